//! Values as examples. Invariant: they are made of a column's type alone, never of what a row holds.

use serde_json::{Value, json};

use crate::catalogue::Column;

/// A value as an address or a filter writes it.
pub(crate) fn example(column: &Column) -> String {
    match of_type(&column.cast) {
        Value::String(text) => text,
        other => other.to_string(),
    }
}

/// A value as a row has it.
pub(super) fn of_type(name: &str) -> Value {
    match name {
        "boolean" => json!(true),
        "smallint" | "integer" | "bigint" => json!(7),
        "numeric" | "real" | "double precision" => json!(9.5),
        "uuid" => json!("0b5f0f6e-5d3c-4f0e-9a51-3f0c3e5b7a11"),
        "date" => json!("2026-03-01"),
        "timestamp with time zone" => json!("2026-03-01T12:00:00+00:00"),
        "timestamp without time zone" => json!("2026-03-01T12:00:00"),
        "time without time zone" => json!("12:00:00"),
        "time with time zone" => json!("12:00:00+00"),
        "interval" => json!("01:30:00"),
        "bytea" => json!(r"\x00ff"),
        "json" | "jsonb" => json!({}),
        array if array.ends_with("[]") => json!([]),
        _ => json!("abc"),
    }
}
