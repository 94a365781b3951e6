//! JSON Schema of what a view holds. Invariant: every row that the view answers is valid under its schema.

use serde_json::{Map, Value, json};

use crate::catalogue::{Column, View};

/// JSON Schema of a whole row, without `select`.
pub(crate) fn schema(view: &View) -> Value {
    let own = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": format!("/v1/schemas/{}", view.name),
        "required": view.column_names().collect::<Vec<_>>(),
        "additionalProperties": false,
    });
    let mut schema = component(view);
    if let (Value::Object(schema), Value::Object(own)) = (&mut schema, own) {
        schema.extend(own);
    }
    schema
}

/// The same as a part of another document, of rows that `select` may have narrowed.
pub(super) fn component(view: &View) -> Value {
    let properties: Map<_, _> =
        view.columns.iter().map(|column| (column.name.clone(), of_column(column))).collect();
    let schema = json!({ "title": view.name, "type": "object", "properties": properties });
    described(schema, view.comment.as_deref())
}

fn of_column(column: &Column) -> Value {
    let value = of_type(&column.cast);
    let schema = if column.nullable { nullable(value) } else { value };
    described(schema, column.comment.as_deref())
}

/// What `to_jsonb` makes of a type, by the name that `format_type` gives it.
pub(super) fn of_type(name: &str) -> Value {
    match name {
        "boolean" => json!({ "type": "boolean" }),
        "smallint" => json!({ "type": "integer", "minimum": i16::MIN, "maximum": i16::MAX }),
        "integer" => json!({ "type": "integer", "format": "int32" }),
        "bigint" => json!({ "type": "integer", "format": "int64" }),
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

/// The same, or null.
fn nullable(mut schema: Value) -> Value {
    if let Some(name) = schema.get_mut("type") {
        *name = json!([name.take(), "null"]);
    } else if let Some(Value::Array(choices)) = schema.get_mut("anyOf") {
        choices.push(json!({ "type": "null" }));
    }
    schema
}

fn described(mut schema: Value, comment: Option<&str>) -> Value {
    if let (Value::Object(schema), Some(comment)) = (&mut schema, comment) {
        schema.insert("description".to_owned(), comment.into());
    }
    schema
}
