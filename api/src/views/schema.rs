//! `GET /v1/schemas/{view}`. Invariant: every row that the view answers is valid under its schema.

use axum::extract::{OriginalUri, State};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use crate::access::Caller;
use crate::api::Api;
use crate::catalogue::{Column, View};
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
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/schema+json")),
        (header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache")),
    ];
    Ok((headers, crate::json::json(&of_view(&view))?).into_response())
}

/// JSON Schema of a whole row, without `select`.
fn of_view(view: &View) -> Value {
    let properties: Map<_, _> =
        view.columns.iter().map(|column| (column.name.clone(), of_column(column))).collect();
    let mut schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": format!("/v1/schemas/{}", view.name),
        "title": view.name,
        "type": "object",
        "properties": properties,
        "required": view.column_names().collect::<Vec<_>>(),
        "additionalProperties": false,
    });
    describe(&mut schema, view.comment.as_deref());
    schema
}

fn of_column(column: &Column) -> Value {
    let value = of_type(&column.cast);
    let mut schema = match column.nullable {
        true if value != json!({}) => json!({ "anyOf": [value, { "type": "null" }] }),
        _ => value,
    };
    describe(&mut schema, column.comment.as_deref());
    schema
}

/// What `to_jsonb` makes of a type, by the name that `format_type` gives it.
fn of_type(name: &str) -> Value {
    match name {
        "boolean" => json!({ "type": "boolean" }),
        "smallint" => integer(i16::MIN.into(), i16::MAX.into()),
        "integer" => integer(i32::MIN.into(), i32::MAX.into()),
        "bigint" => integer(i64::MIN, i64::MAX),
        // What JSON has no number for comes as text.
        "numeric" | "real" | "double precision" => {
            json!({ "anyOf": [{ "type": "number" }, { "enum": ["NaN", "Infinity", "-Infinity"] }] })
        }
        "uuid" => json!({ "type": "string", "format": "uuid" }),
        "date" => json!({ "type": "string", "format": "date" }),
        "timestamp with time zone" => json!({ "type": "string", "format": "date-time" }),
        "bytea" => json!({ "type": "string", "pattern": r"^\\x([0-9a-f]{2})*$" }),
        "text"
        | "character varying"
        | "bpchar"
        | "name"
        | "interval"
        | "timestamp without time zone"
        | "time without time zone"
        | "time with time zone" => json!({ "type": "string" }),
        array if array.ends_with("[]") => json!({ "type": "array" }),
        // json, jsonb and types that a database brings itself: anything.
        _ => json!({}),
    }
}

fn integer(minimum: i64, maximum: i64) -> Value {
    json!({ "type": "integer", "minimum": minimum, "maximum": maximum })
}

fn describe(schema: &mut Value, comment: Option<&str>) {
    if let (Value::Object(schema), Some(comment)) = (schema, comment) {
        schema.insert("description".to_owned(), comment.into());
    }
}
