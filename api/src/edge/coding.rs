//! Answers in fewer bytes. Invariant: gzip and zstd change an answer's bytes on the wire and nothing of what it says, neither
//! its status nor its tag.

use axum::http::StatusCode;
use axum::response::Response;
use tower_http::CompressionLevel;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{NotForContentType, Predicate, SizeAbove};

/// Below this it costs more than it saves.
const MIN_BYTES: u64 = 1024;

pub(crate) fn layer() -> CompressionLayer<impl Predicate> {
    CompressionLayer::new()
        .gzip(true)
        .zstd(true)
        .quality(CompressionLevel::Fastest)
        .compress_when(SizeAbove::new(MIN_BYTES).and(NotForContentType::SSE))
}

/// Notes the status that an answer has before the layer.
pub(crate) fn note_status<B>(mut response: Response<B>) -> Response<B> {
    let status = response.status();
    response.extensions_mut().insert(status);
    response
}

/// Gives the answer its own status: the layer says 406, over the same body, to who refuses every coding. Who does gets it
/// without any.
pub(crate) fn keep_status<B>(mut response: Response<B>) -> Response<B> {
    if let Some(status) = response.extensions_mut().remove::<StatusCode>() {
        *response.status_mut() = status;
    }
    response
}
