//! `GET /v1/schemas/{view}` and `GET /openapi.json`: what can be asked, in words that tools read.

use axum::extract::{OriginalUri, State};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};

use crate::access::Caller;
use crate::api::Api;
use crate::catalogue::View;
use crate::json::json;
use crate::openapi;
use crate::problem::Problem;
use crate::query::Parameters;
use crate::query::path;
use crate::sight;

pub(crate) async fn schema(
    State(api): State<Api>,
    caller: Caller,
    OriginalUri(uri): OriginalUri,
) -> Result<Response, Problem> {
    Parameters::parse(uri.query())?.only("a schema's address", &[])?;
    let catalogue = api.directory().current(api.database()).await?;
    let view = sight::view(&catalogue, &caller, &path::view(&uri)?)?;
    let schema = json(&openapi::schema(&view))?;
    Ok(told(schema, "application/schema+json"))
}

pub(crate) async fn openapi(
    State(api): State<Api>,
    caller: Caller,
    OriginalUri(uri): OriginalUri,
) -> Result<Response, Problem> {
    Parameters::parse(uri.query())?.only("the OpenAPI document", &[])?;
    let catalogue = api.directory().current(api.database()).await?;
    let seen = sight::all(&catalogue, &caller);
    let views: Vec<&View> = seen.views.values().map(AsRef::as_ref).collect();
    let document = json(&openapi::document(&views, api.authority().is_some()))?;
    Ok(told(document, "application/json"))
}

fn told(text: String, kind: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(kind)),
        (header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache")),
    ];
    (headers, text).into_response()
}
