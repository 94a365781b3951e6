//! Values from the text that Postgres writes for them. A value has one text, and no other text stands for it: what is read
//! is written again and compared.

use uuid::Uuid;

use crate::value::Value;
use crate::value::calendar;
use crate::value::column::{ColumnType, Values};
use crate::value::numeric::{self, Decimal};

/// Appends the value of the column's type whose text this is; none where it is the text of no value. Intervals and JSON
/// have many texts, of which none is read.
pub(crate) fn push(text: &str, values: &mut Values) -> Option<()> {
    let bytes;
    let value = match values.column_type() {
        ColumnType::Boolean => Value::Boolean(text.parse().ok()?),
        ColumnType::Int4 => Value::Int4(text.parse().ok()?),
        ColumnType::Int8 => Value::Int8(text.parse().ok()?),
        ColumnType::Float4 => Value::Float4(text.parse().ok()?),
        ColumnType::Float8 => Value::Float8(text.parse().ok()?),
        ColumnType::Text => Value::Text(text),
        ColumnType::Bytea => {
            bytes = from_hex(text.strip_prefix("\\x")?)?;
            Value::Bytea(&bytes)
        }
        ColumnType::Numeric(precision, scale) => {
            bytes = numeric::parse(text, precision.into(), scale.into()).ok()?;
            Value::Numeric(Decimal::new(&bytes, precision, scale, scale)?)
        }
        ColumnType::Uuid => Value::Uuid(Uuid::try_parse(text).ok()?),
        ColumnType::Date => Value::Date(calendar::parse_date(text)?),
        ColumnType::Time => Value::Time(calendar::parse_time(text)?),
        ColumnType::Timestamp => Value::Timestamp(calendar::parse_timestamp(text)?),
        ColumnType::Timestamptz => Value::Timestamptz(calendar::parse_timestamp(text)?),
        ColumnType::Interval | ColumnType::Jsonb => return None,
    };
    let mut written = Vec::with_capacity(text.len());
    value.write_text(&mut written);
    (written == text.as_bytes()).then(|| value.push(values))
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let byte = |pair: &[u8]| u8::try_from(digit(*pair.first()?)? * 16 + digit(*pair.get(1)?)?).ok();
    text.as_bytes().chunks(2).map(byte).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_read(ty: ColumnType, text: &str) -> bool {
        let mut values = Values::new(ty);
        let read = push(text, &mut values).is_some();
        assert_eq!(values.len(), usize::from(read), "{text}");
        read
    }

    #[test]
    fn a_value_has_one_text() {
        let uuid = "00112233-4455-6677-8899-aabbccddeeff";
        for (ty, text, others) in [
            (ColumnType::Boolean, "true", &["t", "TRUE", "1", ""][..]),
            (ColumnType::Int4, "-7", &["+7", "07", " 7", "7.0", "2147483648", ""]),
            (ColumnType::Int8, "-9223372036854775808", &["9223372036854775808"]),
            (ColumnType::Float8, "1.5e-07", &["0.00000015", "1.50", "nan"]),
            (ColumnType::Float8, "NaN", &[]),
            (ColumnType::Text, "", &[]),
            (ColumnType::Bytea, "\\x00ff", &["\\x0", "\\x00FF", "00ff", "\\xzz", "\\x0é"]),
            (ColumnType::Numeric(5, 2), "-1.50", &["1.5", "1.505", "1e0", "1000.00"]),
            (
                ColumnType::Uuid,
                uuid,
                &["00112233445566778899aabbccddeeff", "AA112233-4455-6677-8899-aabbccddeeff"],
            ),
            (ColumnType::Date, "2026-03-01", &["2026-3-1", "2026-02-29"]),
            (ColumnType::Time, "12:00:00.5", &["12:00:00.50", "12:00"]),
            (ColumnType::Timestamp, "2026-03-01 12:00:00", &["2026-03-01T12:00:00"]),
            (ColumnType::Timestamptz, "2026-03-01 12:00:00+00", &["2026-03-01 13:00:00+01"]),
            (ColumnType::Jsonb, "", &["1"]),
        ] {
            assert_eq!(is_read(ty, text), ty != ColumnType::Jsonb, "{text}");
            others.iter().for_each(|other| assert!(!is_read(ty, other), "{other}"));
        }
    }
}
