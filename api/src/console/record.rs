//! `/console/parked/{id}`: one parked record, and what can be decided of it. Invariant: its payload is shown to who asks for
//! it by a POST alone, for it is written down who was shown it.

use askama::Template;
use axum::Extension;
use axum::extract::{OriginalUri, State};
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use serde_json::{Map, Value};
use vitrina_projectors::parked::{self, Parked, ParkedDetail};

use super::Console;
use super::deed::{Ask, Done};
use super::form::Form;
use super::frame::{Frame, Tab, html};
use super::parked::{ShownRecord, told};
use super::sorry::Sorry;
use crate::admin::{By, RecordAnswer};
use crate::problem::{Kind, Problem};
use crate::query::Parameters;
use crate::query::path::{encode, segments};

/// Bytes of a payload that are written out.
const MOST: usize = 4096;
/// Bytes of one line of them.
const LINE: usize = 16;

#[derive(Template)]
#[template(path = "console/record.html")]
struct Page {
    frame: Frame,
    record: ShownRecord,
    model: String,
    model_address: String,
    reason: String,
    sqlstate: Option<String>,
    rule: Option<(String, String)>,
    payload: Option<Payload>,
}

/// What is personal data.
struct Payload {
    event: Option<String>,
    schema: Option<String>,
    writer_schema: Option<String>,
    headers: Vec<(String, String)>,
    text: Option<String>,
    bytes: Option<String>,
    more: usize,
    versions: Vec<(String, String)>,
    /// What every version has: where the record lies, and what else came with it.
    metadata: Option<String>,
}

impl Payload {
    fn new(record: ParkedDetail) -> Self {
        let value = record.value.clone();
        let answer = RecordAnswer::from(record);
        let header = |value: Value| match value {
            Value::String(text) => text,
            other => other.to_string(),
        };
        let metadata = answer.versions.last().map(|version| parted(&version.fields).1);
        let metadata = metadata.filter(Value::is_object);
        let versions = answer.versions.into_iter();
        Self {
            event: answer.event,
            schema: answer.schema,
            writer_schema: answer.writer_schema.map(|schema| pretty(&schema)),
            headers: answer
                .headers
                .into_iter()
                .map(|(name, value)| (name, header(value)))
                .collect(),
            text: answer.value_text,
            more: value.as_ref().map_or(0, |value| value.len().saturating_sub(MOST)),
            bytes: value.as_deref().map(dumped),
            versions: versions
                .map(|version| (version.version, pretty(&parted(&version.fields).0)))
                .collect(),
            metadata: metadata.as_ref().map(pretty),
        }
    }
}

/// An event's own fields, and its metadata.
fn parted(fields: &Value) -> (Value, Value) {
    let Value::Object(fields) = fields else { return (fields.clone(), Value::Null) };
    let (metadata, own): (Map<_, _>, Map<_, _>) =
        fields.clone().into_iter().partition(|(name, _)| name.starts_with('_'));
    (own.into(), metadata.into())
}

/// JSON for people; a text that is JSON, too.
fn pretty(value: &Value) -> String {
    match value {
        Value::String(text) => match serde_json::from_str::<Value>(text) {
            Ok(inner @ (Value::Object(_) | Value::Array(_))) => format!("{inner:#}"),
            _ => text.clone(),
        },
        other => format!("{other:#}"),
    }
}

/// Bytes as `xxd` writes them.
fn dumped(bytes: &[u8]) -> String {
    let line = |(number, line): (usize, &[u8])| {
        let digits: Vec<_> = line.iter().map(|byte| format!("{byte:02x}")).collect();
        let readable = line.iter().map(|byte| match byte {
            b' '..=b'~' => char::from(*byte),
            _ => '.',
        });
        let (digits, readable) = (digits.join(" "), readable.collect::<String>());
        format!("{:06x}  {digits:<47}  {readable}", number * LINE)
    };
    let shown = &bytes[..bytes.len().min(MOST)];
    shown.chunks(LINE).enumerate().map(line).collect::<Vec<_>>().join("\n")
}

/// Of `/console/parked/{id}…`.
fn id(uri: &Uri) -> Result<i64, Problem> {
    Parameters::parse(uri.query())?.only("a parked record's address", &[])?;
    let id = segments(uri)?.into_iter().next().unwrap_or_default();
    let unknown =
        || format!("`{id}` is no id: ids are numbers, which the parked records' page lists.");
    id.parse().map_err(|_| Problem::new(Kind::UnknownName, unknown()))
}

/// The record of an address, without its payload.
async fn parked_record(console: &Console, uri: &Uri) -> Result<Parked, Sorry> {
    let id = id(uri)?;
    let found = parked::list(&console.operators.desk.pool, None, id.saturating_sub(1), 1).await?;
    found.into_iter().find(|parked| parked.id == id).ok_or_else(|| {
        let detail = format!(
            "No record is parked as {id}: it was applied or discarded meanwhile, or a swap gave it another number."
        );
        Problem::new(Kind::UnknownName, detail).into()
    })
}

fn shown(console: &Console, parked: &Parked, payload: Option<Payload>) -> Response {
    let model_address = format!("/console/models/{}", encode(&parked.model));
    let place = |rule: &String| {
        let line = rule.rsplit_once(':').map_or("", |(_, line)| line);
        (rule.clone(), format!("{model_address}/rules#L{line}"))
    };
    let page = Page {
        frame: console.frame(Tab::Parked),
        record: ShownRecord::new(parked),
        model: parked.model.clone(),
        reason: parked.reason.clone(),
        sqlstate: parked.sqlstate.clone(),
        rule: parked.rule.as_ref().map(place),
        model_address: model_address.clone(),
        payload,
    };
    html(StatusCode::OK, &page)
}

pub(super) async fn page(
    State(console): State<Console>,
    OriginalUri(uri): OriginalUri,
) -> Result<Response, Sorry> {
    let parked = parked_record(&console, &uri).await?;
    Ok(shown(&console, &parked, None))
}

pub(super) async fn payload(
    State(console): State<Console>,
    Extension(By(by)): Extension<By>,
    OriginalUri(uri): OriginalUri,
) -> Result<Response, Sorry> {
    let record = console.operators.desk.show(id(&uri)?, by).await?;
    let parked = record.parked.clone();
    Ok(shown(&console, &parked, Some(Payload::new(record))))
}

pub(super) async fn ask_retry(
    State(console): State<Console>,
    OriginalUri(uri): OriginalUri,
) -> Result<Response, Sorry> {
    let detail = "It is applied, and then what waits behind it, in their order, up to the first that fails again.";
    ask(&console, &uri, "Retry", detail, false).await
}

pub(super) async fn retry(
    State(console): State<Console>,
    Extension(By(by)): Extension<By>,
    OriginalUri(uri): OriginalUri,
) -> Result<Response, Sorry> {
    let id = id(&uri)?;
    let retried = console.operators.desk.retry(&[id], by).await?;
    Ok(told(&console, &format!("Retry record {id}"), &retried))
}

pub(super) async fn ask_discard(
    State(console): State<Console>,
    OriginalUri(uri): OriginalUri,
) -> Result<Response, Sorry> {
    let detail = "It is given up for good, and no rebuild applies it either. What waits behind it stays parked until it is retried.";
    ask(&console, &uri, "Discard", detail, true).await
}

/// Before it is done; what is grave wants a reason.
async fn ask(
    console: &Console,
    uri: &Uri,
    button: &str,
    detail: &str,
    is_grave: bool,
) -> Result<Response, Sorry> {
    let parked = parked_record(console, uri).await?;
    let page = Ask {
        frame: console.frame(Tab::Parked),
        title: &format!("{button} record {}", parked.id),
        detail,
        button,
        is_grave,
        boxes: &[],
        wants_reason: is_grave,
        address: uri.path(),
        back: &ShownRecord::new(&parked).address,
    };
    Ok(html(StatusCode::OK, &page))
}

pub(super) async fn discard(
    State(console): State<Console>,
    Extension(By(by)): Extension<By>,
    OriginalUri(uri): OriginalUri,
    form: Form,
) -> Result<Response, Sorry> {
    let id = id(&uri)?;
    let reason = form.get("reason").unwrap_or_default();
    console.operators.desk.discard(&[id], reason, by).await?;
    let page = Done {
        frame: console.frame(Tab::Parked),
        title: &format!("Discard record {id}"),
        lines: vec!["It is discarded. What waited behind it can be retried.".to_owned()],
        is_well: true,
        back: "/console/parked",
    };
    Ok(html(StatusCode::OK, &page))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_dumped_and_json_in_a_text_is_json() {
        let bytes: Vec<u8> = (0x38..0x4b).chain([0xff]).collect();
        assert_eq!(
            dumped(&bytes),
            "000000  38 39 3a 3b 3c 3d 3e 3f 40 41 42 43 44 45 46 47  89:;<=>?@ABCDEFG\n\
             000010  48 49 4a ff                                      HIJ."
        );
        assert_eq!(dumped(b""), "");
        assert_eq!(pretty(&Value::from(r#"{"a":1}"#)), "{\n  \"a\": 1\n}");
        assert_eq!(pretty(&Value::from("refused: 1")), "refused: 1");
    }
}
