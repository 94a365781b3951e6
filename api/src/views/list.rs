//! `GET /v1/views/{view}`. Invariant: rows, cursor and position of an answer come from one statement.

use std::sync::Arc;

use axum::extract::{OriginalUri, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Uri, Version, header};
use axum::response::Response;
use serde::Serialize;
use serde_json::Value;

use super::whole;
use crate::access::Caller;
use crate::answer;
use crate::answer::refusal;
use crate::api::Api;
use crate::catalogue::{Failure, Freshness, View};
use crate::database::{DatabaseError, get};
use crate::format::Format;
use crate::json::json;
use crate::prefer::{self, Preferences};
use crate::problem::Problem;
use crate::query::path;
use crate::query::{Count, Cursor, Page, Parameters};

const TOTAL_COUNT: HeaderName = HeaderName::from_static("total-count");

/// A request for a list.
pub(super) struct Request {
    uri: Uri,
    pub(super) version: Version,
    pub(super) headers: HeaderMap,
    parameters: Parameters,
    pub(super) format: Format,
    pub(super) count: Count,
}

/// What an answer says of its page.
#[derive(Serialize)]
struct Told<'a> {
    limit: u32,
    next: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    count: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<&'a str>,
}

pub(crate) async fn list(
    State(api): State<Api>,
    caller: Caller,
    OriginalUri(uri): OriginalUri,
    version: Version,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let name = path::view(&uri)?;
    let request = Request {
        parameters: Parameters::parse(uri.query())?,
        format: Format::accepted(&headers)?,
        count: Count::preferred(&Preferences::of(&headers)),
        version,
        uri,
        headers,
    };
    api.on_view(&caller, &name, &request.headers, |view| read(&api, view, &request)).await
}

async fn read(api: &Api, view: Arc<View>, request: &Request) -> Result<Response, Failure> {
    let page = Page::parse(&view, &request.parameters, request.format)?;
    let query = request.canonical();
    if let Some(unchanged) =
        answer::unchanged(api.database(), &view, &request.headers, &query).await?
    {
        return Ok(unchanged);
    }
    match page.limit {
        Some(limit) => of_page(api, &page, limit, request).await,
        None => whole::answer(api, &page, request).await,
    }
}

async fn of_page(
    api: &Api,
    page: &Page<'_>,
    limit: u32,
    request: &Request,
) -> Result<Response, Failure> {
    let rows = match api.database().all(page.statement(limit, request.count)).await {
        Ok(rows) => rows,
        Err(error) => return Err(refusal::of_page(api.database(), page, error).await),
    };
    let (first, rows) = rows.split_first().ok_or(Failure::Stale)?;
    let (freshness, shape) = (Freshness::of(Some(first), page.view)?, page.shape()?);
    let (rows, beyond) = rows.split_at(rows.len().min(limit as usize));
    let next = match beyond.first() {
        Some(beyond) => Some(request.next(page, &page.next(rows, beyond)?)?),
        None => None,
    };
    let count = match request.count {
        Count::Unsaid | Count::None => None,
        Count::Exact => Some(get(first, "count")?),
        // Who has the whole list in hand need not guess.
        Count::Estimated if next.is_none() && !page.has_cursor() => i64::try_from(rows.len()).ok(),
        Count::Estimated => Some(estimate(api, page).await?),
    };
    let answered = |body| {
        let Request { format, headers, .. } = request;
        answer::found(*format, body, page.view, &freshness, headers, &request.canonical())
    };
    let mut response = if request.format == Format::Json {
        let told = Told { limit, next, count, note: page.note.as_deref() };
        let (told, meta) = (json(&told)?, json(&freshness)?);
        let mut body = String::from(r#"{"data":["#);
        for (index, row) in rows.iter().enumerate() {
            body.push_str(if index > 0 { "," } else { "" });
            shape.object(&page.texts(row)?, &mut body);
        }
        body.push_str(&format!(r#"],"page":{told},"meta":{meta}}}"#));
        answered(body)
    } else {
        let mut body = request.format.head(page.names());
        for row in rows {
            request.format.add(&shape, &page.texts(row)?, &mut body);
        }
        let mut response = answered(body);
        if let Some(next) = next {
            response.headers_mut().insert(header::LINK, link(&next)?);
        }
        counted(&mut response, count);
        response
    };
    request.say_applied(&mut response);
    Ok(response)
}

/// The address as a header has it: of a text in it that is no ASCII, its bytes as addresses write them.
fn link(next: &str) -> Result<HeaderValue, DatabaseError> {
    let byte = |byte: u8| match byte.is_ascii() {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    };
    let next: String = next.bytes().map(byte).collect();
    let link = HeaderValue::try_from(format!("<{next}>; rel=\"next\""));
    link.map_err(|error| DatabaseError::Other(error.to_string()))
}

/// Says of a body that has no place for it how many rows the list has.
pub(super) fn counted(response: &mut Response, count: Option<i64>) {
    if let Some(count) = count {
        response.headers_mut().insert(TOTAL_COUNT, HeaderValue::from(count));
    }
}

/// How many rows the planner takes the list for; how many there are, where it goes by what the reader may not know.
pub(super) async fn estimate(api: &Api, page: &Page<'_>) -> Result<i64, Failure> {
    let is_guessed = page.view.may_be_guessed();
    let statement = if is_guessed { page.estimate() } else { page.count() };
    let row = match api.database().first(statement).await {
        Ok(row) => row.ok_or(Failure::Stale)?,
        Err(error) => return Err(refusal::of_page(api.database(), page, error).await),
    };
    if !is_guessed {
        return Ok(get(&row, "count")?);
    }
    let plan: Value = get(&row, "QUERY PLAN")?;
    let rows = plan.pointer("/0/Plan/Plan Rows").and_then(Value::as_i64);
    Ok(rows.ok_or_else(|| DatabaseError::Other(format!("a plan without rows: {plan}")))?)
}

impl Request {
    /// What the answer depends on, but for the rows.
    pub(super) fn canonical(&self) -> Vec<&str> {
        let count = self.count.applied().unwrap_or_default();
        [vec![self.format.media_type(), count], self.parameters.canonical()].concat()
    }

    pub(super) fn say_applied(&self, response: &mut Response) {
        if let Some(preference) = self.count.applied() {
            prefer::applied(response.headers_mut(), preference);
        }
    }

    /// The address of the page that begins after the cursor.
    fn next(&self, page: &Page<'_>, cursor: &Cursor) -> Result<String, Failure> {
        let cursor = cursor.encode(page.view)?;
        Ok(format!("{}?{}", self.uri.path(), self.parameters.with_cursor(&cursor)))
    }
}
