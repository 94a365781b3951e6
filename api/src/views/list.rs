//! `GET /v1/views/{view}`. Invariant: rows pass through as the text that Postgres made of them.

use std::sync::Arc;

use axum::extract::{OriginalUri, State};
use axum::http::{HeaderMap, Uri};
use axum::response::Response;
use serde::Serialize;

use crate::access::Caller;
use crate::answer;
use crate::answer::refusal;
use crate::api::Api;
use crate::catalogue::{Failure, Freshness, View};
use crate::database::{DatabaseError, get};
use crate::json::json;
use crate::problem::Problem;
use crate::query::path;
use crate::query::{Page, Parameters};

/// What an answer says of its page.
#[derive(Serialize)]
struct Told<'a> {
    limit: u32,
    next: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<&'a str>,
}

pub(crate) async fn list(
    State(api): State<Api>,
    _: Caller,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let name = path::view(&uri)?;
    let parameters = Parameters::parse(uri.query())?;
    api.on_view(&name, |view| read(&api, view, &uri, &parameters, &headers)).await
}

async fn read(
    api: &Api,
    view: Arc<View>,
    uri: &Uri,
    parameters: &Parameters,
    headers: &HeaderMap,
) -> Result<Response, Failure> {
    let page = Page::parse(&view, parameters)?;
    let query = parameters.canonical();
    if let Some(unchanged) = answer::unchanged(api.database(), &view, headers, &query).await? {
        return Ok(unchanged);
    }
    let row = match api.database().first(page.statement()).await {
        Ok(row) => row.ok_or(Failure::Stale)?,
        Err(error) => return Err(refusal::of_page(api.database(), &page, error).await),
    };
    let freshness = Freshness::of(Some(&row), &view)?;
    let rows = get::<Option<Vec<String>>>(&row, "rows")?.unwrap_or_default();
    let next = match rows.len() > page.limit as usize {
        true => Some(next(&page, uri, parameters, get(&row, "last")?, get(&row, "same")?)?),
        false => None,
    };
    let rows = &rows[..rows.len().min(page.limit as usize)];
    let body = format!(
        r#"{{"data":[{}],"page":{},"meta":{}}}"#,
        rows.join(","),
        json(&Told { limit: page.limit, next, note: page.note.as_deref() })?,
        json(&freshness)?
    );
    Ok(answer::found(body, &view, &freshness, headers, &query))
}

/// The address of the page after the row whose order values are `last`, a JSON array; `same` as [`Page::cursor`] has it.
fn next(
    page: &Page<'_>,
    uri: &Uri,
    parameters: &Parameters,
    last: &str,
    same: i64,
) -> Result<String, Failure> {
    let last =
        serde_json::from_str(last).map_err(|error| DatabaseError::Other(error.to_string()))?;
    let cursor = page.cursor(last, same.unsigned_abs()).encode()?;
    Ok(format!("{}?{}", uri.path(), parameters.with_cursor(&cursor)))
}
