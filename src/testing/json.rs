//! Values of a test file as JSON, and when a value that came out is the one that was expected. Numbers are compared as
//! numbers and moments as moments, however they are written; all else to the letter.

use std::str::FromStr as _;

use serde_json::{Map, Number, Value};
use toml::de::{DeFloat, DeInteger, DeValue};
use toml::value::{Datetime, Offset};

/// What stands for NULL in a file: TOML has none.
const NULL: &str = r#"{ is = "null" }"#;

/// A TOML value as plain JSON.
pub(super) fn json(value: &DeValue<'_>) -> Value {
    match value {
        DeValue::String(text) => Value::String(text.to_string()),
        DeValue::Integer(number) => integer(number),
        DeValue::Float(number) => float(number),
        DeValue::Boolean(value) => Value::Bool(*value),
        DeValue::Datetime(moment) => Value::String(moment.to_string()),
        DeValue::Array(items) => items.iter().map(|item| json(item.get_ref())).collect(),
        DeValue::Table(table) => {
            let members = table.iter();
            let members: Map<String, Value> = members
                .map(|(name, value)| (name.get_ref().to_string(), json(value.get_ref())))
                .collect();
            match members.get("is") {
                Some(Value::String(word)) if word == "null" && members.len() == 1 => Value::Null,
                _ => Value::Object(members),
            }
        }
    }
}

fn integer(number: &DeInteger<'_>) -> Value {
    let text = match number.radix() {
        10 => number.as_str().trim_start_matches('+').to_owned(),
        radix => i128::from_str_radix(number.as_str(), radix).unwrap_or_default().to_string(),
    };
    Number::from_str(&text).map_or(Value::String(text), Value::Number)
}

/// What JSON has no number for is the text that plain JSON has for it.
fn float(number: &DeFloat<'_>) -> Value {
    let text = number.as_str().trim_start_matches('+');
    match text {
        "inf" => Value::String("Infinity".to_owned()),
        "-inf" => Value::String("-Infinity".to_owned()),
        "nan" | "-nan" => Value::String("NaN".to_owned()),
        text => Number::from_str(text).map_or(Value::String(text.to_owned()), Value::Number),
    }
}

/// A JSON value as TOML, on one line.
pub(super) fn toml(value: &Value) -> String {
    match value {
        Value::Null => NULL.to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Number(number) => match number.to_string() {
            text if number.is_i64() || text.contains('.') && text.parse::<f64>().is_ok() => text,
            text => quoted(&text),
        },
        Value::String(text) => quoted(text),
        Value::Array(items) => {
            format!("[{}]", items.iter().map(toml).collect::<Vec<_>>().join(", "))
        }
        Value::Object(members) => table(members.iter()),
    }
}

/// A table on one line.
pub(super) fn table<'v>(members: impl Iterator<Item = (&'v String, &'v Value)>) -> String {
    let pairs = members.map(|(name, value)| format!("{} = {}", key(name), toml(value)));
    match pairs.collect::<Vec<_>>().join(", ") {
        none if none.is_empty() => "{}".to_owned(),
        pairs => format!("{{ {pairs} }}"),
    }
}

fn key(name: &str) -> String {
    let bare = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    match !name.is_empty() && name.bytes().all(bare) {
        true => name.to_owned(),
        false => quoted(name),
    }
}

/// JSON's escapes are among TOML's, which has one for the character U+007F, too.
fn quoted(text: &str) -> String {
    Value::String(text.to_owned()).to_string().replace('\u{7f}', "\\u007F")
}

/// Whether a value that came out is the expected one.
pub(super) fn same(expected: &Value, actual: &Value) -> bool {
    match (expected, actual) {
        (Value::Number(expected), Value::Number(actual)) => {
            let [expected, actual] =
                [expected, actual].map(|number| Decimal::of(&number.to_string()));
            expected.is_some() && expected == actual
        }
        // A decimal may be written as a text, as for `publish`.
        (Value::String(text), Value::Number(number)) => {
            let expected = Decimal::of(text);
            expected.is_some() && expected == Decimal::of(&number.to_string())
        }
        (Value::String(expected), Value::String(actual)) => {
            expected == actual
                || moment(expected).is_some_and(|expected| moment(actual) == Some(expected))
        }
        (Value::Array(expected), Value::Array(actual)) => {
            expected.len() == actual.len()
                && expected.iter().zip(actual).all(|(expected, actual)| same(expected, actual))
        }
        (Value::Object(expected), Value::Object(actual)) => {
            expected.len() == actual.len()
                && expected.iter().all(|(name, expected)| {
                    actual.get(name).is_some_and(|actual| same(expected, actual))
                })
        }
        (expected, actual) => expected == actual,
    }
}

/// A number as its sign, its digits without zeros at either end, and the power of ten of the last of them.
#[derive(Debug, PartialEq, Eq)]
struct Decimal {
    negative: bool,
    digits: String,
    exponent: i64,
}

impl Decimal {
    fn of(text: &str) -> Option<Self> {
        let (negative, text) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
            None => (text, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits = format!("{whole}{fraction}");
        if whole.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let exponent = i64::from(exponent) - fraction.len() as i64;
        let kept = digits.trim_end_matches('0');
        let zeros = (digits.len() - kept.len()) as i64;
        let kept = kept.trim_start_matches('0');
        Some(match kept.is_empty() {
            true => Self { negative: false, digits: String::new(), exponent: 0 },
            false => Self { negative, digits: kept.to_owned(), exponent: exponent + zeros },
        })
    }
}

/// Nanoseconds since 1970 UTC of an ISO 8601 date and time with an offset.
fn moment(text: &str) -> Option<i128> {
    // A year of four digits comes first, so that most texts are told from a moment at once.
    text.as_bytes().get(4).filter(|byte| **byte == b'-')?;
    nanoseconds(&text.parse().ok()?)
}

/// Milliseconds since 1970 UTC; none without a date, a time and an offset.
pub(super) fn milliseconds(moment: &Datetime) -> Option<i64> {
    i64::try_from(nanoseconds(moment)?.div_euclid(1_000_000)).ok()
}

fn nanoseconds(moment: &Datetime) -> Option<i128> {
    let (date, time, offset) = (moment.date?, moment.time?, moment.offset?);
    let minutes = match offset {
        Offset::Z => 0,
        Offset::Custom { minutes } => i64::from(minutes),
    };
    let of_day = (i64::from(time.hour) * 60 + i64::from(time.minute) - minutes) * 60
        + i64::from(time.second.unwrap_or_default());
    let seconds = days(i64::from(date.year), i64::from(date.month), i64::from(date.day)) * 86_400;
    let nanoseconds = i128::from(time.nanosecond.unwrap_or_default());
    Some(i128::from(seconds + of_day) * 1_000_000_000 + nanoseconds)
}

/// Days since 1970 of a date of the Gregorian calendar; the year is counted from March, so that February's end is its end.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    365 * year + year.div_euclid(4) - year.div_euclid(100)
        + year.div_euclid(400)
        + (153 * month + 2) / 5
        + day
        - 719_469
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_and_moments_are_the_same_however_they_are_written() {
        let parsed = |text: &str| serde_json::from_str::<Value>(text).unwrap();
        for (expected, actual) in
            [("12.5", "12.50"), ("\"12.50\"", "12.5"), ("1e3", "1000"), ("0", "-0.00")]
        {
            assert!(same(&parsed(expected), &parsed(actual)), "{expected} {actual}");
        }
        for (expected, actual) in [
            ("12.5", "12.51"),
            ("\"12\"", "\"12.0\""),
            ("12345678901234567890123", "12345678901234567890124"),
            ("1", "-1"),
            ("null", "0"),
        ] {
            assert!(!same(&parsed(expected), &parsed(actual)), "{expected} {actual}");
        }
        let at = |text: &str| json!(text);
        assert!(same(&at("2026-03-01T13:00:00+01:00"), &at("2026-03-01T12:00:00+00:00")));
        assert!(same(&at("2026-03-01T12:00:00.25Z"), &at("2026-03-01T12:00:00.250000+00:00")));
        assert!(!same(&at("2026-03-01T12:00:00Z"), &at("2026-03-01T12:00:01Z")));
        assert!(!same(&at("2026-03-01"), &at("2026-03-02")));
    }

    #[test]
    fn days_are_those_of_the_calendar() {
        assert_eq!(days(1970, 1, 1), 0);
        assert_eq!(days(2000, 3, 1) - days(2000, 2, 28), 2);
        assert_eq!(days(2026, 1, 1), 20_454);
        let moment: Datetime = "2026-01-01T00:00:00.5Z".parse().unwrap();
        assert_eq!(milliseconds(&moment), Some(1_767_225_600_500));
    }

    #[test]
    fn what_is_written_is_read_again() {
        let value = json!({
            "a b": [null, true, "é\n\u{7f}\"", 5],
            "c": {"d": 1.50, "is": "null", "more": {}},
        });
        let written = format!("value = {}", toml(&value));
        let read = toml::de::DeTable::parse(&written).unwrap();
        assert!(same(&value, &json(read.get_ref()["value"].get_ref())), "{written}");
        let large: Value = serde_json::from_str("123456789012345678901234567890").unwrap();
        assert_eq!(toml(&large), "\"123456789012345678901234567890\"");
    }
}
