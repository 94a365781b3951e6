//! The files that pages ask for. Invariant: they are all there are, and they are in the binary.

use std::sync::LazyLock;

use axum::extract::OriginalUri;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use sha2::{Digest as _, Sha256};

use super::sorry::Sorry;
use crate::problem::{Kind, Problem};

/// A file with what it is.
struct Asset {
    path: &'static str,
    kind: &'static str,
    bytes: &'static [u8],
    /// Other bytes have another one.
    tag: String,
}

static ASSETS: LazyLock<[Asset; 4]> = LazyLock::new(|| {
    [
        asset("style.css", "text/css; charset=utf-8", include_bytes!("assets/style.css")),
        asset("console.js", "text/javascript", include_bytes!("assets/console.js")),
        // As it comes from npm: assets/README.md.
        asset("htmx.js", "text/javascript", include_bytes!("assets/htmx.js")),
        asset("icon.svg", "image/svg+xml", include_bytes!("assets/icon.svg")),
    ]
});

fn asset(path: &'static str, kind: &'static str, bytes: &'static [u8]) -> Asset {
    let digest = Sha256::digest(bytes);
    let tag = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect::<String>();
    Asset { path, kind, bytes, tag: format!("\"{tag}\"") }
}

pub(super) async fn file(
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
) -> Result<Response, Sorry> {
    let asked = uri.path().trim_start_matches("/console/");
    let asset = ASSETS.iter().find(|asset| asset.path == asked).ok_or_else(|| {
        Problem::new(Kind::UnknownRoute, format!("Nothing is served at {}.", uri.path()))
    })?;
    let held = headers.get(header::IF_NONE_MATCH).and_then(|held| held.to_str().ok());
    // A proxy that encodes it may have made the tag a weak one.
    if held.is_some_and(|held| held.trim_start_matches("W/") == asset.tag) {
        return Ok(StatusCode::NOT_MODIFIED.into_response());
    }
    let tag = HeaderValue::from_str(&asset.tag).ok().map(|tag| [(header::ETAG, tag)]);
    let shown = [
        (header::CONTENT_TYPE, HeaderValue::from_static(asset.kind)),
        (header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache")),
    ];
    Ok((tag, shown, asset.bytes).into_response())
}
