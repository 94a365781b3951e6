//! One scalar value on its way from Avro to Postgres, and its three forms: an array's binary element, JSON as
//! `to_jsonb` writes it, and the text of a cast. Text and bytes stay where the record has them.

pub(crate) mod ascii;
pub(crate) mod calendar;
pub(crate) mod column;
pub(crate) mod digits;
pub(crate) mod json;
pub(crate) mod numeric;
pub(crate) mod text;

use std::io::Write;

use uuid::Uuid;

use column::Values;
use numeric::Decimal;

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Value<'a> {
    Null,
    Boolean(bool),
    Int4(i32),
    Int8(i64),
    Float4(f32),
    Float8(f64),
    Text(&'a str),
    /// A uuid where text is wanted.
    UuidText(Uuid),
    Bytea(&'a [u8]),
    Numeric(Decimal<'a>),
    Uuid(Uuid),
    /// Days since 2000-01-01.
    Date(i32),
    /// Microseconds since midnight.
    Time(i64),
    /// Microseconds since 2000-01-01, in no time zone.
    Timestamp(i64),
    /// Microseconds since 2000-01-01 UTC.
    Timestamptz(i64),
    Interval {
        months: i32,
        days: i32,
        micros: i64,
    },
}

impl Value<'_> {
    /// Appends the value to a column, as an element of a binary array.
    #[inline(always)]
    pub(crate) fn push(self, values: &mut Values) {
        match self {
            Self::Null => values.push_null(),
            Self::Boolean(value) => values.push_bytes(&[u8::from(value)]),
            Self::Int4(value) | Self::Date(value) => values.push_bytes(&value.to_be_bytes()),
            Self::Int8(value)
            | Self::Time(value)
            | Self::Timestamp(value)
            | Self::Timestamptz(value) => {
                values.push_bytes(&value.to_be_bytes());
            }
            Self::Float4(value) => values.push_bytes(&value.to_be_bytes()),
            Self::Float8(value) => values.push_bytes(&value.to_be_bytes()),
            Self::Text(value) => values.push_bytes(value.as_bytes()),
            Self::UuidText(_) => values.append(|out| self.write_text(out)),
            Self::Bytea(value) => values.push_bytes(value),
            Self::Numeric(value) => values.append(|out| value.write_binary(out)),
            Self::Uuid(value) => values.push_bytes(value.as_bytes()),
            Self::Interval { months, days, micros } => values.append(|out| {
                out.extend_from_slice(&micros.to_be_bytes());
                out.extend_from_slice(&days.to_be_bytes());
                out.extend_from_slice(&months.to_be_bytes());
            }),
        }
    }

    #[inline(always)]
    pub(crate) fn write_json(self, out: &mut Vec<u8>) {
        match self {
            Self::Null => out.extend_from_slice(b"null"),
            Self::Text(value) => json::write_string(out, value),
            Self::Float4(value) if value.is_finite() => {
                let _ = write!(out, "{value}");
            }
            Self::Float8(value) if value.is_finite() => {
                let _ = write!(out, "{value}");
            }
            Self::Boolean(_) => self.write_text(out),
            Self::Int4(value) => digits::write(out, i64::from(value)),
            Self::Int8(value) => digits::write(out, value),
            Self::Numeric(value) => value.write_text(out),
            Self::Bytea(_) => {
                // The backslash of `\x` is escaped.
                out.extend_from_slice(b"\"\\");
                self.write_text(out);
                out.push(b'"');
            }
            Self::Timestamptz(value) => {
                out.push(b'"');
                calendar::write_timestamp(out, value, b'T', "+00:00");
                out.push(b'"');
            }
            Self::Timestamp(value) => {
                out.push(b'"');
                calendar::write_timestamp(out, value, b'T', "");
                out.push(b'"');
            }
            quoted => {
                out.push(b'"');
                quoted.write_text(out);
                out.push(b'"');
            }
        }
    }

    /// The value as `::text` writes it in a session in UTC. Null has none.
    pub(crate) fn write_text(self, out: &mut Vec<u8>) {
        match self {
            Self::Null => {}
            Self::Boolean(value) => out.extend_from_slice(if value { b"true" } else { b"false" }),
            Self::Int4(value) => digits::write(out, i64::from(value)),
            Self::Int8(value) => digits::write(out, value),
            Self::Float4(value) => write_float(out, &format!("{value:e}"), &value.to_string(), 6),
            Self::Float8(value) => write_float(out, &format!("{value:e}"), &value.to_string(), 15),
            Self::Text(value) => out.extend_from_slice(value.as_bytes()),
            Self::UuidText(value) | Self::Uuid(value) => {
                out.extend_from_slice(value.as_hyphenated().encode_lower(&mut [0; 36]).as_bytes());
            }
            Self::Bytea(value) => {
                out.extend_from_slice(b"\\x");
                for byte in value {
                    out.extend_from_slice(&json::hex(*byte));
                }
            }
            Self::Numeric(value) => value.write_text(out),
            Self::Date(value) => calendar::write_date(out, value),
            Self::Time(value) => calendar::write_time(out, value),
            Self::Timestamp(value) => calendar::write_timestamp(out, value, b' ', ""),
            Self::Timestamptz(value) => calendar::write_timestamp(out, value, b' ', "+00"),
            Self::Interval { months, days, micros } => write_interval(out, months, days, micros),
        }
    }
}

/// Postgres writes an exponent below 1e-4 and from `digits` digits on, and gives it two places at least.
fn write_float(out: &mut Vec<u8>, scientific: &str, plain: &str, digits: i32) {
    let parts = scientific
        .split_once('e')
        .and_then(|(mantissa, power)| Some((mantissa, power.parse::<i32>().ok()?)));
    let _ = match (plain, parts) {
        ("inf", _) => write!(out, "Infinity"),
        ("-inf", _) => write!(out, "-Infinity"),
        (_, Some((mantissa, power))) if power < -4 || power >= digits => {
            let sign = if power < 0 { '-' } else { '+' };
            write!(out, "{mantissa}e{sign}{:02}", power.abs())
        }
        _ => write!(out, "{plain}"),
    };
}

/// `IntervalStyle` postgres; an Avro duration is never negative.
fn write_interval(out: &mut Vec<u8>, months: i32, days: i32, micros: i64) {
    let start = out.len();
    for (count, one, many) in
        [(months / 12, "year", "years"), (months % 12, "mon", "mons"), (days, "day", "days")]
    {
        if count != 0 {
            let space = if out.len() > start { " " } else { "" };
            let _ = write!(out, "{space}{count} {}", if count == 1 { one } else { many });
        }
    }
    if micros != 0 || out.len() == start {
        if out.len() > start {
            out.push(b' ');
        }
        calendar::write_time(out, micros);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn both(value: Value<'_>) -> (String, String) {
        let (mut text, mut json) = (Vec::new(), Vec::new());
        value.write_text(&mut text);
        value.write_json(&mut json);
        (String::from_utf8(text).unwrap(), String::from_utf8(json).unwrap())
    }

    #[test]
    fn texts_and_json_are_those_of_postgres() {
        let interval =
            |months, days, millis: i64| Value::Interval { months, days, micros: millis * 1000 };
        for (value, text, json) in [
            (Value::Boolean(true), "true", "true"),
            (Value::Float8(0.1), "0.1", "0.1"),
            (Value::Float8(1e14), "100000000000000", "100000000000000"),
            (Value::Float8(1e15), "1e+15", "1000000000000000"),
            (Value::Float8(1.5e-7), "1.5e-07", "0.00000015"),
            (Value::Float4(1e6), "1e+06", "1000000"),
            (Value::Float4(0.1), "0.1", "0.1"),
            (Value::Float8(f64::NAN), "NaN", "\"NaN\""),
            (Value::Float8(f64::NEG_INFINITY), "-Infinity", "\"-Infinity\""),
            (Value::Bytea(b"hi"), "\\x6869", "\"\\\\x6869\""),
            (Value::Text("a\"\\\n\u{1}é"), "a\"\\\n\u{1}é", "\"a\\\"\\\\\\n\\u0001é\""),
            (
                Value::Timestamptz(1_500_000),
                "2000-01-01 00:00:01.5+00",
                "\"2000-01-01T00:00:01.5+00:00\"",
            ),
            (Value::Timestamp(0), "2000-01-01 00:00:00", "\"2000-01-01T00:00:00\""),
            (Value::Time(86_400_000_000), "24:00:00", "\"24:00:00\""),
            (interval(0, 0, 0), "00:00:00", "\"00:00:00\""),
            (
                interval(14, 1, 3_600_001),
                "1 year 2 mons 1 day 01:00:00.001",
                "\"1 year 2 mons 1 day 01:00:00.001\"",
            ),
            (interval(0, 2, 0), "2 days", "\"2 days\""),
            (
                interval(24, 0, i64::from(u32::MAX)),
                "2 years 1193:02:47.295",
                "\"2 years 1193:02:47.295\"",
            ),
        ] {
            assert_eq!(both(value), (text.to_owned(), json.to_owned()));
        }
    }
}
