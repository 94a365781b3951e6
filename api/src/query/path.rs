//! The segments of an address. Invariant: they are cut before they are decoded, so `%2F` is a slash inside a segment.

use axum::http::Uri;

use super::parameter::decode;
use crate::problem::Problem;

/// What stands after `/v1/…/`, decoded: the view's name, then its key parts.
pub(crate) fn segments(uri: &Uri) -> Result<Vec<String>, Problem> {
    uri.path().split('/').skip(3).map(|segment| decode(segment, "a part of the path")).collect()
}

/// The view's name alone.
pub(crate) fn view(uri: &Uri) -> Result<String, Problem> {
    Ok(segments(uri)?.into_iter().next().unwrap_or_default())
}

/// A segment as an address has it.
pub(crate) fn encode(segment: &str) -> String {
    let mut encoded = String::with_capacity(segment.len());
    for byte in segment.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                encoded.push(char::from(byte));
            }
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}
