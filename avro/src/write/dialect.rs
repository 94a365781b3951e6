//! The scalars of JSON in Avro's bytes, in the two dialects in which people and schemas write them. A value that is
//! not of its type writes nothing and says what is due.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value as Json;
use uuid::Uuid;

use crate::hint::hint;
use crate::schema::node::{Enumeration, Node};
use crate::value::calendar;
use crate::value::calendar::Unit;
use crate::value::numeric::{self, NotDecimal};
use crate::write::error::{Encoded, found, wrong};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    Plain,
    /// Logical types as the types below them, bytes as characters up to U+00FF.
    Default,
}

impl Dialect {
    /// Appends a scalar.
    pub(crate) fn scalar(self, node: &Node, json: &Json, out: &mut Vec<u8>) -> Encoded {
        match self {
            Self::Plain => plain(node, json, out),
            Self::Default => default(node, json, out),
        }
    }
}

fn plain(node: &Node, json: &Json, out: &mut Vec<u8>) -> Encoded {
    let text = json.as_str();
    match node {
        Node::Bytes => encoded(node, json, decode_base64(json).map(|value| bytes(out, &value))),
        Node::Fixed(_, size) => {
            encoded(node, json, sized(decode_base64(json), *size).map(|value| out.extend(value)))
        }
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
        Node::TimeMillis => encoded(
            node,
            json,
            text.and_then(calendar::parse_time).map(|micros| long(out, micros / 1000)),
        ),
        Node::TimeMicros => {
            encoded(node, json, text.and_then(calendar::parse_time).map(|micros| long(out, micros)))
        }
        Node::Timestamp { unit, .. } => {
            let units = text
                .and_then(calendar::parse_timestamp)
                .and_then(|micros| calendar::unix(micros, *unit));
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
        Node::Int | Node::Date | Node::TimeMillis => json
            .as_i64()
            .filter(|value| i32::try_from(*value).is_ok())
            .map(|value| long(out, value)),
        Node::Long | Node::TimeMicros | Node::Timestamp { .. } => {
            json.as_i64().map(|value| long(out, value))
        }
        Node::Float => {
            let value = float(json).map(|value| (value, value as f32));
            let fits = value.filter(|(wide, value)| value.is_finite() || !wide.is_finite());
            fits.map(|(_, value)| out.extend_from_slice(&value.to_le_bytes()))
        }
        Node::Double => float(json).map(|value| out.extend_from_slice(&value.to_le_bytes())),
        Node::String | Node::Uuid { fixed: false } => {
            json.as_str().map(|value| bytes(out, value.as_bytes()))
        }
        Node::Bytes | Node::Decimal { size: None, .. } => {
            latin(json).map(|value| bytes(out, &value))
        }
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
    let place =
        json.as_str().and_then(|text| symbols.symbols.iter().position(|symbol| symbol == text));
    let Some(place) = place else {
        let hint =
            hint(json.as_str().unwrap_or_default(), symbols.symbols.iter().map(String::as_str));
        return Err(wrong(format!(
            "{} is not a symbol of {}{hint}",
            found(json),
            symbols.name.full
        )));
    };
    long(out, place as i64);
    Ok(())
}

fn decimal(
    json: &Json,
    size: Option<usize>,
    precision: usize,
    scale: usize,
    out: &mut Vec<u8>,
) -> Encoded {
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
            let missing =
                missing.ok_or_else(|| wrong(format!("{text} does not fit into {size} bytes")))?;
            let sign = if value[0] >= 0x80 { 0xff } else { 0 };
            out.extend(std::iter::repeat_n(sign, missing).chain(value));
        }
    }
    Ok(())
}

/// `{"months": 1, "days": 2, "milliseconds": 3}`, parts left out are 0.
fn duration(json: &Json) -> Option<Vec<u8>> {
    const PARTS: [&str; 3] = ["months", "days", "milliseconds"];
    let members = json
        .as_object()
        .filter(|members| members.keys().all(|key| PARTS.contains(&key.as_str())))?;
    let part = |name| {
        members.get(name).map_or(Some(0), Json::as_u64).and_then(|count| u32::try_from(count).ok())
    };
    let parts: Option<Vec<[u8; 4]>> =
        PARTS.into_iter().map(|name| part(name).map(u32::to_le_bytes)).collect();
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

pub(crate) fn bytes(out: &mut Vec<u8>, value: &[u8]) {
    long(out, value.len() as i64);
    out.extend_from_slice(value);
}

pub(crate) fn long(out: &mut Vec<u8>, value: i64) {
    let mut rest = ((value << 1) ^ (value >> 63)) as u64;
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}
