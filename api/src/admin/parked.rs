//! Parked records: listed without their payloads, shown one at a time with them, retried and discarded. A payload leaves
//! through `show` alone, and is never logged.

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{OriginalUri, State};
use axum::http::Uri;
use axum::{Extension, Json};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use vitrina_projectors::Retried;
use vitrina_projectors::parked::{self, Parked, ParkedDetail, VerdictLine};

use super::gate::By;
use super::operators::Operators;
use crate::problem::{Kind, Problem};
use crate::query::Parameters;
use crate::query::path;

/// Rows of a page, unless `limit` says otherwise, and at most.
const PAGE: (i64, i64) = (100, 1000);

/// The answer of `vitrina parked --json` and of `GET /admin/v1/parked`.
#[derive(Debug, Serialize)]
pub struct ParkedList {
    pub parked: Vec<Parked>,
}

/// The answer of `vitrina parked history --json` and of `GET /admin/v1/parked/history`.
#[derive(Debug, Serialize)]
pub struct History {
    pub history: Vec<VerdictLine>,
}

/// The answer of `show`: the record as it came, and what each version makes of it.
#[derive(Debug, Serialize)]
pub struct RecordAnswer {
    #[serde(flatten)]
    pub parked: Parked,
    /// `CONTEXT.EVENT@vN`; none where it does not decode.
    pub event: Option<String>,
    pub timestamp_ms: Option<i64>,
    /// Which one the record says that it was written with.
    pub schema: Option<String>,
    pub writer_schema: Option<Value>,
    /// Values as text, or base64 under `{"base64"}` where they are not UTF-8.
    pub headers: Vec<(String, Value)>,
    /// Base64; null: a tombstone.
    pub value: Option<String>,
    /// What of its bytes can be read, the others as `\\xNN`.
    pub value_text: Option<String>,
    /// The fields, version by version, as each upcast makes them.
    pub versions: Vec<VersionAnswer>,
}

#[derive(Debug, Serialize)]
pub struct VersionAnswer {
    /// `vN`.
    pub version: String,
    pub fields: Value,
}

impl From<ParkedDetail> for RecordAnswer {
    fn from(record: ParkedDetail) -> Self {
        let header = |value: Option<Vec<u8>>| match value.map(String::from_utf8) {
            None => Value::Null,
            Some(Ok(text)) => Value::String(text),
            Some(Err(bytes)) => json!({ "base64": STANDARD.encode(bytes.as_bytes()) }),
        };
        Self {
            parked: record.parked,
            event: record.event,
            timestamp_ms: record.timestamp_ms,
            schema: record.schema,
            writer_schema: record.writer_schema,
            headers: record
                .headers
                .into_iter()
                .map(|(name, value)| (name, header(value)))
                .collect(),
            value_text: record.value.as_deref().map(readable),
            value: record.value.map(|value| STANDARD.encode(value)),
            versions: record
                .versions
                .into_iter()
                .map(|(version, fields)| VersionAnswer { version, fields })
                .collect(),
        }
    }
}

pub(super) async fn list(
    State(operators): State<Operators>,
    OriginalUri(uri): OriginalUri,
) -> Result<Json<ParkedList>, Problem> {
    let parameters = Parameters::parse(uri.query())?;
    parameters.only("the parked records' address", &["model", "after", "limit"])?;
    let (after, limit) = part(&parameters)?;
    let found = parked::list(&operators.desk.pool, parameters.get("model"), after, limit).await?;
    Ok(Json(ParkedList { parked: found }))
}

pub(super) async fn history(
    State(operators): State<Operators>,
    OriginalUri(uri): OriginalUri,
) -> Result<Json<History>, Problem> {
    let parameters = Parameters::parse(uri.query())?;
    parameters.only("the verdicts' address", &["model", "after", "limit"])?;
    let (after, limit) = part(&parameters)?;
    let model = parameters.get("model");
    let history = parked::history(&operators.desk.pool, model, after, limit).await?;
    Ok(Json(History { history }))
}

pub(super) async fn show(
    State(operators): State<Operators>,
    Extension(By(by)): Extension<By>,
    OriginalUri(uri): OriginalUri,
) -> Result<Json<RecordAnswer>, Problem> {
    Ok(Json(operators.desk.show(id(&uri)?, by).await?.into()))
}

pub(super) async fn retry(
    State(operators): State<Operators>,
    Extension(By(by)): Extension<By>,
    OriginalUri(uri): OriginalUri,
) -> Result<Json<Retried>, Problem> {
    Ok(Json(operators.desk.retry(&[id(&uri)?], by).await?))
}

pub(super) async fn retry_all(
    State(operators): State<Operators>,
    Extension(By(by)): Extension<By>,
    OriginalUri(uri): OriginalUri,
) -> Result<Json<Retried>, Problem> {
    let parameters = Parameters::parse(uri.query())?;
    parameters.only("the address of retries", &["model"])?;
    Ok(Json(operators.desk.retry_all(parameters.get("model"), by).await?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Discard {
    reason: String,
}

pub(super) async fn discard(
    State(operators): State<Operators>,
    Extension(By(by)): Extension<By>,
    OriginalUri(uri): OriginalUri,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Value>, Problem> {
    let id = id(&uri)?;
    let body = body.map_err(|rejection| {
        let detail = format!("The body cannot be read, it says why in a few words: {rejection}.");
        Problem::new(Kind::Refused, detail)
    })?;
    let Discard { reason } = serde_json::from_slice(&body).map_err(|error| {
        Problem::new(
            Kind::Refused,
            format!(
                "The body says why, as in {{\"reason\": \"…\"}}; this one is not that: {error}."
            ),
        )
    })?;
    if reason.trim().is_empty() {
        let detail = "A discard needs a reason, which is kept: send {\"reason\": \"…\"} with some words in it.";
        return Err(Problem::new(Kind::Refused, detail));
    }
    let discarded = operators.desk.discard(&[id], &reason, by).await?;
    Ok(Json(json!({ "discarded": discarded })))
}

/// Which part of a long list is asked for: the id before it, and its length.
fn part(parameters: &Parameters) -> Result<(i64, i64), Problem> {
    let after = number(parameters, "after")?.unwrap_or(0);
    let limit = number(parameters, "limit")?.unwrap_or(PAGE.0);
    if limit < 1 {
        let detail = format!("`limit` is `{limit}`: write a whole number from 1 to {}.", PAGE.1);
        return Err(Problem::of(Kind::BadValue, "limit", detail, None::<String>));
    }
    Ok((after, limit.min(PAGE.1)))
}

/// Text as it is, control characters and what is no UTF-8 escaped.
fn readable(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '\n' | '\t' => text.push(character),
                control if control.is_control() => {
                    text.push_str(&escaped(control.to_string().as_bytes()))
                }
                readable => text.push(readable),
            }
        }
        text.push_str(&escaped(chunk.invalid()));
    }
    text
}

fn escaped(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("\\x{byte:02x}")).collect()
}

fn number(parameters: &Parameters, name: &str) -> Result<Option<i64>, Problem> {
    let Some(text) = parameters.get(name) else { return Ok(None) };
    let wrong = || {
        Problem::of(
            Kind::BadValue,
            name,
            format!("`{name}` is `{text}`: write a whole number."),
            None::<String>,
        )
    };
    text.parse().map(Some).map_err(|_| wrong())
}

/// Of `/admin/v1/parked/{id}…`.
fn id(uri: &Uri) -> Result<i64, Problem> {
    Parameters::parse(uri.query())?.only("a parked record's address", &[])?;
    let id = path::segments(uri)?.into_iter().nth(1).unwrap_or_default();
    let unknown = || format!("`{id}` is no id: ids are numbers, which GET /admin/v1/parked lists.");
    id.parse().map_err(|_| Problem::new(Kind::UnknownName, unknown()))
}
