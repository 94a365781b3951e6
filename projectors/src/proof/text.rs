//! The one text of a value, as Postgres casts it: what a record key must be, byte by byte, to stand for the value.

use vitrina_avro::{ColumnType, Values};

/// Whether `key` is the text of the value in a row.
///
/// # Errors
/// It is not: what more there is to say of it, to follow *it is not the text of the field*.
pub(super) fn compare(values: &Values, row: usize, key: &[u8]) -> Result<(), &'static str> {
    let value = values.get(row).ok_or(", which is null")?;
    let same = match values.column_type() {
        ColumnType::Text => value == key,
        ColumnType::Int4 => integer(value).is_some_and(|text| text == key),
        ColumnType::Int8 => integer(value).is_some_and(|text| text == key),
        ColumnType::Boolean => key == if value == [1] { &b"true"[..] } else { b"false" },
        ColumnType::Uuid => uuid(value) == key,
        ColumnType::Bytea => key.strip_prefix(b"\\x").is_some_and(|key| hex(value) == key),
        _ => return Err(", whose type is none that keys are compared by"),
    };
    if same { Ok(()) } else { Err("") }
}

fn integer(value: &[u8]) -> Option<Vec<u8>> {
    let number = match *value {
        [a, b, c, d] => i64::from(i32::from_be_bytes([a, b, c, d])),
        _ => i64::from_be_bytes(value.try_into().ok()?),
    };
    Some(number.to_string().into_bytes())
}

fn hex(value: &[u8]) -> Vec<u8> {
    let digit = |nibble: u8| b"0123456789abcdef"[usize::from(nibble)];
    value.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

fn uuid(value: &[u8]) -> Vec<u8> {
    let mut text = hex(value);
    for dash in [8, 13, 18, 23] {
        text.insert(dash.min(text.len()), b'-');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_text(ty: ColumnType, value: &[u8], key: &str) -> bool {
        let mut values = Values::new(ty);
        let pushed = values.push(|out| {
            out.extend_from_slice(value);
            Ok::<(), ()>(())
        });
        assert!(pushed.is_ok());
        compare(&values, 0, key.as_bytes()).is_ok()
    }

    #[test]
    fn a_value_has_one_text() {
        assert!(is_text(ColumnType::Text, "é".as_bytes(), "é"));
        assert!(!is_text(ColumnType::Text, b"a", "a "));
        assert!(is_text(ColumnType::Int4, &(-7i32).to_be_bytes(), "-7"));
        assert!(is_text(ColumnType::Int8, &i64::MIN.to_be_bytes(), "-9223372036854775808"));
        for other in ["07", "+7", " 7", "7.0", ""] {
            assert!(!is_text(ColumnType::Int8, &7i64.to_be_bytes(), other), "{other}");
        }
        assert!(is_text(ColumnType::Boolean, &[1], "true"));
        assert!(!is_text(ColumnType::Boolean, &[0], "f"));
        let uuid = 0x00112233_4455_6677_8899_aabbccddeeff_u128.to_be_bytes();
        assert!(is_text(ColumnType::Uuid, &uuid, "00112233-4455-6677-8899-aabbccddeeff"));
        assert!(!is_text(ColumnType::Uuid, &uuid, "00112233-4455-6677-8899-AABBCCDDEEFF"));
        assert!(is_text(ColumnType::Bytea, &[0, 255], "\\x00ff"));
        assert!(!is_text(ColumnType::Bytea, &[0, 255], "\0\u{ff}"));
        assert!(!is_text(ColumnType::Date, &0i32.to_be_bytes(), "2000-01-01"));
    }

    #[test]
    fn null_has_none() {
        let mut values = Values::new(ColumnType::Text);
        values.push_null();
        assert_eq!(compare(&values, 0, b""), Err(", which is null"));
    }
}
