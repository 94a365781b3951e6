//! What is wrong with a JSON value: where it is in the whole, what was found, and what is due.

use serde_json::Value as Json;

/// Why a JSON value is not a value of the schema.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{what}", if .field.is_empty() { String::new() } else { format!("field {}: ", .field) })]
pub struct EncodeError {
    /// Path of the field; empty for the whole value.
    pub field: String,
    pub what: String,
}

pub(crate) type Encoded = Result<(), Box<EncodeError>>;

pub(crate) fn wrong(what: String) -> Box<EncodeError> {
    Box::new(EncodeError { field: String::new(), what })
}

/// A value as a refusal shows it.
pub(crate) fn found(json: &Json) -> String {
    match json {
        Json::Object(_) => "an object".into(),
        Json::Array(_) => "an array".into(),
        scalar => scalar.to_string().chars().take(80).collect(),
    }
}
