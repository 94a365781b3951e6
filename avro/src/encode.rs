//! JSON to Avro, by the schema. Two dialects: plain, as people write it (untagged unions, decimals as numbers, moments as
//! ISO texts, bytes as base64), and Avro's own for defaults. What is not of its type is refused with its path.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Map, Value as Json};
use uuid::Uuid;

use crate::calendar;
use crate::contract::{Context, Version};
use crate::literal;
use crate::nearest;
use crate::numeric::{self, NotDecimal};
use crate::schema::{Enumeration, Field, Node, NodeId, Record, Schema, Unit};

/// Defaults that hold themselves would never end.
const MAX_DEPTH: usize = 128;

/// Why a JSON value is not a value of the schema.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{what}", if .field.is_empty() { String::new() } else { format!("field {}: ", .field) })]
pub struct EncodeError {
    /// Path of the field; empty for the whole value.
    pub field: String,
    pub what: String,
}

type Encoded = Result<(), Box<EncodeError>>;

/// Encodes one plain JSON object as an event of this version: the datum alone, without framing. Fields that are left out
/// take their default, or null.
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
    let place = version.place(&context.key).ok_or_else(|| error("the key is not a field of this version".into()))?;
    let field = &version.fields()[place];
    let (value, dialect) = match (json.get(&field.name), &field.default) {
        (Some(value), _) => (value, Dialect::Plain),
        (None, Some(default)) => (default, Dialect::Default),
        (None, None) => return Err(error("the key is missing".into())),
    };
    let datum = encode(&version.schema, field.node, value, dialect).map_err(|below| error(below.what))?;
    let text = literal::text(&version.schema, field.node, &datum).map_err(error)?;
    text.ok_or_else(|| error("the key is null".into()))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    Plain,
    /// Logical types as the types below them, bytes as characters up to U+00FF.
    Default,
}

/// Encodes a value of one node.
pub(crate) fn encode(schema: &Schema, id: NodeId, json: &Json, dialect: Dialect) -> Result<Vec<u8>, EncodeError> {
    let mut out = Vec::new();
    Encoder { schema, dialect }.value(id, json, &mut out, 0).map_err(|error| *error)?;
    Ok(out)
}

struct Encoder<'a> {
    schema: &'a Schema,
    dialect: Dialect,
}

impl Encoder<'_> {
    fn value(&self, id: NodeId, json: &Json, out: &mut Vec<u8>, depth: usize) -> Encoded {
        if depth > MAX_DEPTH {
            return Err(wrong(format!("values nest deeper than {MAX_DEPTH} levels")));
        }
        match (self.schema.node(id), json) {
            (Node::Union(branches), _) => self.union(branches, json, out, depth),
            (Node::Record(record), Json::Object(members)) => self.record(record, members, out, depth),
            (Node::Array(items), Json::Array(values)) => {
                block(out, values.len());
                for (place, value) in values.iter().enumerate() {
                    self.value(*items, value, out, depth + 1).map_err(|error| within(error, &format!("[{place}]")))?;
                }
                if !values.is_empty() {
                    out.push(0);
                }
                Ok(())
            }
            (Node::Map(values), Json::Object(members)) => {
                block(out, members.len());
                for (key, value) in members {
                    bytes(out, key.as_bytes());
                    self.value(*values, value, out, depth + 1).map_err(|error| within(error, &format!("[{key}]")))?;
                }
                if !members.is_empty() {
                    out.push(0);
                }
                Ok(())
            }
            (node, _) => match self.dialect {
                Dialect::Plain => plain(node, json, out),
                Dialect::Default => default(node, json, out),
            },
        }
    }

    fn record(&self, record: &Record, members: &Map<String, Json>, out: &mut Vec<u8>, depth: usize) -> Encoded {
        if let Some(unknown) = members.keys().find(|key| !record.fields.iter().any(|field| field.name == **key)) {
            let hint = nearest::hint(unknown, record.fields.iter().map(|field| field.name.as_str()));
            return Err(within(wrong(format!("{} has no such field{hint}", record.name.full)), unknown));
        }
        for field in &record.fields {
            self.field(field, members.get(&field.name), out, depth).map_err(|error| within(error, &field.name))?;
        }
        Ok(())
    }

    fn field(&self, field: &Field, json: Option<&Json>, out: &mut Vec<u8>, depth: usize) -> Encoded {
        match (json, &field.default) {
            (Some(json), _) => self.value(field.node, json, out, depth + 1),
            (None, Some(json)) => {
                Encoder { schema: self.schema, dialect: Dialect::Default }.value(field.node, json, out, depth + 1)
            }
            (None, None) if self.schema.nullable(field.node) => self.value(field.node, &Json::Null, out, depth + 1),
            (None, None) => Err(wrong("is missing and has no default".into())),
        }
    }

    /// The first branch that takes the value.
    fn union(&self, branches: &[NodeId], json: &Json, out: &mut Vec<u8>, depth: usize) -> Encoded {
        let start = out.len();
        let mut errors = Vec::new();
        for (index, &branch) in branches.iter().enumerate() {
            long(out, index as i64);
            match self.value(branch, json, out, depth + 1) {
                Ok(()) => return Ok(()),
                Err(error) => {
                    out.truncate(start);
                    if !matches!(self.schema.node(branch), Node::Null) {
                        errors.push(error);
                    }
                }
            }
        }
        let only = if errors.len() == 1 { errors.pop() } else { None };
        Err(only.unwrap_or_else(|| {
            let branches: Vec<String> = branches.iter().map(|&branch| self.schema.node(branch).describe()).collect();
            wrong(format!("{} is none of {}", found(json), branches.join(", ")))
        }))
    }
}

fn plain(node: &Node, json: &Json, out: &mut Vec<u8>) -> Encoded {
    let text = json.as_str();
    match node {
        Node::Bytes => encoded(node, json, decode_base64(json).map(|value| bytes(out, &value))),
        Node::Fixed(_, size) => encoded(node, json, sized(decode_base64(json), *size).map(|value| out.extend(value))),
        Node::Decimal { size, precision, scale } => decimal(json, *size, *precision, *scale, out),
        Node::Uuid { fixed } => {
            let uuid = text.and_then(|text| Uuid::try_parse(text).ok());
            encoded(
                node,
                json,
                uuid.map(|uuid| match fixed {
                    true => out.extend_from_slice(uuid.as_bytes()),
                    false => bytes(out, uuid.to_string().as_bytes()),
                }),
            )
        }
        Node::Date => {
            let days = text.and_then(calendar::parse_date).and_then(calendar::unix_days);
            encoded(node, json, days.map(|days| long(out, i64::from(days))))
        }
        Node::TimeMillis => {
            encoded(node, json, text.and_then(calendar::parse_time).map(|micros| long(out, micros / 1000)))
        }
        Node::TimeMicros => encoded(node, json, text.and_then(calendar::parse_time).map(|micros| long(out, micros))),
        Node::Timestamp { unit, .. } => {
            let units = text.and_then(calendar::parse_timestamp).and_then(|micros| calendar::unix(micros, *unit));
            encoded(node, json, units.map(|units| long(out, units)))
        }
        Node::Duration => encoded(node, json, duration(json).map(|value| out.extend(value))),
        other => default(other, json, out),
    }
}

fn default(node: &Node, json: &Json, out: &mut Vec<u8>) -> Encoded {
    let done = match node {
        Node::Null => json.is_null().then_some(()),
        Node::Boolean => json.as_bool().map(|value| out.push(u8::from(value))),
        Node::Int | Node::Date | Node::TimeMillis => {
            json.as_i64().filter(|value| i32::try_from(*value).is_ok()).map(|value| long(out, value))
        }
        Node::Long | Node::TimeMicros | Node::Timestamp { .. } => json.as_i64().map(|value| long(out, value)),
        Node::Float => {
            let value = float(json).map(|value| (value, value as f32));
            let fits = value.filter(|(wide, value)| value.is_finite() || !wide.is_finite());
            fits.map(|(_, value)| out.extend_from_slice(&value.to_le_bytes()))
        }
        Node::Double => float(json).map(|value| out.extend_from_slice(&value.to_le_bytes())),
        Node::String | Node::Uuid { fixed: false } => json.as_str().map(|value| bytes(out, value.as_bytes())),
        Node::Bytes | Node::Decimal { size: None, .. } => latin(json).map(|value| bytes(out, &value)),
        Node::Fixed(_, size) | Node::Decimal { size: Some(size), .. } => {
            sized(latin(json), *size).map(|value| out.extend(value))
        }
        Node::Uuid { fixed: true } => sized(latin(json), 16).map(|value| out.extend(value)),
        Node::Duration => sized(latin(json), 12).map(|value| out.extend(value)),
        Node::Enum(symbols) => return symbol(symbols, json, out),
        Node::Record(_) | Node::Array(_) | Node::Map(_) | Node::Union(_) => None,
    };
    encoded(node, json, done)
}

fn symbol(symbols: &Enumeration, json: &Json, out: &mut Vec<u8>) -> Encoded {
    let place = json.as_str().and_then(|text| symbols.symbols.iter().position(|symbol| symbol == text));
    let Some(place) = place else {
        let hint = nearest::hint(json.as_str().unwrap_or_default(), symbols.symbols.iter().map(String::as_str));
        return Err(wrong(format!("{} is not a symbol of {}{hint}", found(json), symbols.name.full)));
    };
    long(out, place as i64);
    Ok(())
}

fn decimal(json: &Json, size: Option<usize>, precision: usize, scale: usize, out: &mut Vec<u8>) -> Encoded {
    let text = match json {
        Json::Number(number) => number.to_string(),
        Json::String(text) => text.trim().to_owned(),
        _ => String::new(),
    };
    let value = numeric::parse(&text, precision, scale).map_err(|why| {
        wrong(match why {
            NotDecimal::Syntax => format!("{} is not a decimal", found(json)),
            NotDecimal::Scale => format!("{text} has more than {scale} digits after the point"),
            NotDecimal::Precision => {
                format!("{text} has more than {precision} digits, {scale} of them after the point")
            }
        })
    })?;
    match size {
        None => bytes(out, &value),
        Some(size) => {
            let missing = size.checked_sub(value.len());
            let missing = missing.ok_or_else(|| wrong(format!("{text} does not fit into {size} bytes")))?;
            let sign = if value[0] >= 0x80 { 0xff } else { 0 };
            out.extend(std::iter::repeat_n(sign, missing).chain(value));
        }
    }
    Ok(())
}

/// `{"months": 1, "days": 2, "milliseconds": 3}`, parts left out are 0.
fn duration(json: &Json) -> Option<Vec<u8>> {
    const PARTS: [&str; 3] = ["months", "days", "milliseconds"];
    let members = json.as_object().filter(|members| members.keys().all(|key| PARTS.contains(&key.as_str())))?;
    let part = |name| members.get(name).map_or(Some(0), Json::as_u64).and_then(|count| u32::try_from(count).ok());
    let parts: Option<Vec<[u8; 4]>> = PARTS.into_iter().map(|name| part(name).map(u32::to_le_bytes)).collect();
    parts.map(|parts| parts.concat())
}

fn float(json: &Json) -> Option<f64> {
    match json {
        Json::Number(number) => number.as_f64().filter(|value| value.is_finite()),
        Json::String(text) => match text.as_str() {
            "NaN" => Some(f64::NAN),
            "Infinity" => Some(f64::INFINITY),
            "-Infinity" => Some(f64::NEG_INFINITY),
            _ => None,
        },
        _ => None,
    }
}

fn decode_base64(json: &Json) -> Option<Vec<u8>> {
    BASE64_STANDARD.decode(json.as_str()?).ok()
}

fn latin(json: &Json) -> Option<Vec<u8>> {
    json.as_str()?.chars().map(|character| u8::try_from(u32::from(character)).ok()).collect()
}

fn sized(value: Option<Vec<u8>>, size: usize) -> Option<Vec<u8>> {
    value.filter(|value| value.len() == size)
}

fn encoded(node: &Node, json: &Json, done: Option<()>) -> Encoded {
    done.ok_or_else(|| wrong(format!("{} is not {}", found(json), expected(node))))
}

/// How the plain dialect writes a type.
fn expected(node: &Node) -> String {
    let unit = |unit: &Unit| format!("{unit:?}").to_lowercase();
    match node {
        Node::Bytes => "bytes in base64".into(),
        Node::Fixed(_, size) => format!("{size} bytes in base64"),
        Node::Date => "a date as \"2026-11-22\"".into(),
        Node::TimeMillis | Node::TimeMicros => "a time as \"04:44:09.5\"".into(),
        Node::Timestamp { unit: of, zoned: true } => {
            format!("a timestamp in {} as \"2026-11-22T04:44:09.5Z\"", unit(of))
        }
        Node::Timestamp { unit: of, zoned: false } => {
            format!("a local timestamp in {} as \"2026-11-22T04:44:09.5\"", unit(of))
        }
        Node::Duration => "a duration as {\"months\":0,\"days\":1,\"milliseconds\":0}".into(),
        other => other.describe(),
    }
}

fn found(json: &Json) -> String {
    match json {
        Json::Object(_) => "an object".into(),
        Json::Array(_) => "an array".into(),
        scalar => scalar.to_string().chars().take(80).collect(),
    }
}

fn wrong(what: String) -> Box<EncodeError> {
    Box::new(EncodeError { field: String::new(), what })
}

fn within(mut error: Box<EncodeError>, name: &str) -> Box<EncodeError> {
    let dot = if error.field.is_empty() || error.field.starts_with('[') { "" } else { "." };
    error.field = format!("{name}{dot}{}", error.field);
    error
}

fn block(out: &mut Vec<u8>, count: usize) {
    long(out, count as i64);
}

fn bytes(out: &mut Vec<u8>, value: &[u8]) {
    long(out, value.len() as i64);
    out.extend_from_slice(value);
}

fn long(out: &mut Vec<u8>, value: i64) {
    let mut rest = ((value << 1) ^ (value >> 63)) as u64;
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}
