//! An answer's validator and headers. Invariant: two answers with one tag hold the same data: the tag is made of the
//! generation, its positions and the query.

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::catalogue::View;
use crate::freshness::Freshness;
use crate::problem::{Kind, Problem};

const POSITION: HeaderName = HeaderName::from_static("projection-position");

/// 16 bytes of SHA-256 over the parts, each with its length so that none runs into the next.
pub(crate) fn fingerprint<'a>(parts: impl IntoIterator<Item = &'a str>) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    URL_SAFE_NO_PAD.encode(&hash.finalize()[..16])
}

/// The weak tag of `view` at a position, asked with `query`. None for a SQL view: what it computes on reading may
/// depend on the clock.
pub(crate) fn tag(view: &View, freshness: &Freshness, query: &[&str]) -> Option<String> {
    if view.is_view {
        return None;
    }
    let generation = view.generation.to_string();
    let snapshot = [view.name.as_str(), &generation, &freshness.position];
    Some(format!("W/\"{}\"", fingerprint(snapshot.iter().chain(query).copied())))
}

/// Whether the caller already holds the answer with this tag.
pub(crate) fn holds(request: &HeaderMap, tag: Option<&str>) -> bool {
    let opaque = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    let Some(tag) = tag.map(opaque) else { return false };
    let tags = request.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    tags.flat_map(|value| value.split(',')).any(|given| opaque(given) == tag)
}

/// 304, for who holds it already.
pub(crate) fn not_modified(freshness: &Freshness, tag: Option<&str>) -> Response {
    with_headers(StatusCode::NOT_MODIFIED.into_response(), freshness, tag)
}

/// 200 with a JSON text.
pub(crate) fn found(body: String, freshness: &Freshness, tag: Option<&str>) -> Response {
    let json = HeaderValue::from_static("application/json");
    with_headers(([(header::CONTENT_TYPE, json)], body).into_response(), freshness, tag)
}

fn with_headers(mut response: Response, freshness: &Freshness, tag: Option<&str>) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    if let Some(tag) = tag.and_then(|tag| HeaderValue::from_str(tag).ok()) {
        headers.insert(header::ETAG, tag);
    }
    located(response, freshness)
}

/// The response with the position that it reflects.
pub(crate) fn located(mut response: Response, freshness: &Freshness) -> Response {
    if let Ok(position) = HeaderValue::from_str(&freshness.position) {
        response.headers_mut().insert(POSITION, position);
    }
    response
}

/// JSON text of a part of a body.
pub(crate) fn json(part: &impl Serialize) -> Result<String, Problem> {
    serde_json::to_string(part).map_err(|error| {
        tracing::error!(%error, "an answer cannot be written as JSON");
        Problem::new(Kind::Internal, "The answer could not be written; the service's log says why.")
    })
}
