//! An event of a contract from JSON, and its record key, as `vitrina publish` sends them.

use serde_json::Value as Json;

use crate::contract::literal;
use crate::contract::{Context, Version};
use crate::write::dialect::Dialect;
use crate::write::encode::encode;
use crate::write::error::EncodeError;

/// Encodes one plain JSON object as an event of this version: the datum alone, without framing. Fields that are left
/// out take their default, or null.
///
/// # Errors
/// The first field that is unknown, missing, or not of its type.
pub fn encode_json(version: &Version, json: &Json) -> Result<Vec<u8>, EncodeError> {
    encode(&version.schema, version.schema.root(), json, Dialect::Plain)
}

/// The record key of an event: the text that Postgres writes for the context's key field, in UTF-8.
///
/// # Errors
/// A key that is missing, null, or not of its type.
pub fn key_text(context: &Context, version: &Version, json: &Json) -> Result<String, EncodeError> {
    let error = |what: String| EncodeError { field: context.key.clone(), what };
    let place = version
        .place(&context.key)
        .ok_or_else(|| error("the key is not a field of this version".into()))?;
    let field = &version.fields()[place];
    let (value, dialect) = match (json.get(&field.name), &field.default) {
        (Some(value), _) => (value, Dialect::Plain),
        (None, Some(default)) => (default, Dialect::Default),
        (None, None) => return Err(error("the key is missing".into())),
    };
    let datum =
        encode(&version.schema, field.node, value, dialect).map_err(|below| error(below.what))?;
    let text = literal::text(&version.schema, field.node, &datum).map_err(error)?;
    text.ok_or_else(|| error("the key is null".into()))
}
