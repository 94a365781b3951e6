//! An answer's validator and headers. Invariant: two answers with one tag hold the same data: the tag is made of the
//! generation's serial, its positions, the version of what is parked, what the reader may see, and the query, to which the
//! form belongs.

mod after;
pub(crate) mod refusal;

use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::catalogue::{Failure, Freshness, Reached, View, fingerprint};
use crate::database::Database;
use crate::format::Format;

pub(crate) use after::After;

const POSITION: HeaderName = HeaderName::from_static("projection-position");
/// As old as a 304 may be; a little under a second, for the rest of its way.
const MAX_AGE: Duration = Duration::from_millis(900);

/// 304 for who already holds the answer to `query`, found by the positions alone, without a look at the table.
pub(crate) async fn unchanged(
    database: &Database,
    view: &View,
    headers: &HeaderMap,
    query: &[&str],
) -> Result<Option<Response>, Failure> {
    // `*` holds whatever there is; the positions do not say whether there is such a row at all.
    if view.is_view || held(headers).next().is_none() || held(headers).any(|held| held == "*") {
        return Ok(None);
    }
    let now = Instant::now();
    let a_while_ago = now.checked_sub(MAX_AGE).filter(|_| !After::is_asked(headers));
    for since in a_while_ago.into_iter().chain([now]) {
        let reached = view.gauge.since(database, view, since).await?;
        let tag = tag(view, &reached, query);
        if tag.as_ref().is_some_and(|tag| held(headers).any(|held| held == opaque(tag))) {
            let response = StatusCode::NOT_MODIFIED.into_response();
            return Ok(Some(with_headers(response, &reached, tag)));
        }
    }
    Ok(None)
}

/// 200 with what answers `query`; 304 for who asks only for what does not exist yet.
pub(crate) fn found(
    format: Format,
    body: impl Into<Body>,
    view: &View,
    freshness: &Freshness,
    headers: &HeaderMap,
    query: &[&str],
) -> Response {
    let content_type = HeaderValue::from_static(format.content_type());
    let response = match held(headers).any(|held| held == "*") {
        true => StatusCode::NOT_MODIFIED.into_response(),
        false => ([(header::CONTENT_TYPE, content_type)], body.into()).into_response(),
    };
    let reached = &freshness.reached;
    with_headers(response, reached, tag(view, reached, query))
}

/// What `If-None-Match` says that the caller holds, as weak comparison has it. Whoever asks writes what they like: what is
/// no tag is one that nothing has. (A library's parser asserts on some of it.) No tag of ours holds a comma.
fn held(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let lines = headers.get_all(header::IF_NONE_MATCH).iter();
    lines.filter_map(|line| line.to_str().ok()).flat_map(|line| line.split(',')).map(opaque)
}

/// A tag without its mark of weakness.
fn opaque(tag: &str) -> &str {
    let tag = tag.trim();
    tag.strip_prefix("W/").unwrap_or(tag)
}

/// The weak tag of `view` at a position of its generation. None for a SQL view: what it computes on reading may depend on the clock.
fn tag(view: &View, reached: &Reached, query: &[&str]) -> Option<String> {
    if view.is_view {
        return None;
    }
    let (serial, parked) = (view.serial.to_string(), reached.parked_version.to_string());
    let snapshot = [view.name.as_str(), &view.scope, &serial, &reached.header, &parked];
    Some(format!("W/\"{}\"", fingerprint(snapshot.iter().chain(query).copied())))
}

fn with_headers(mut response: Response, reached: &Reached, tag: Option<String>) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    if let Some(tag) = tag.and_then(|tag| HeaderValue::from_str(&tag).ok()) {
        headers.insert(header::ETAG, tag);
    }
    located(response, reached)
}

/// The response with the position that it reflects.
pub(crate) fn located(mut response: Response, reached: &Reached) -> Response {
    if let Ok(position) = HeaderValue::from_str(&reached.header) {
        response.headers_mut().insert(POSITION, position);
    }
    response
}
