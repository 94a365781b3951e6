//! A record as it came, and what its framing says: which schema wrote it, and where its datum begins. Borrowed all
//! through; what is not one of the two known framings is an error of the record.

use std::fmt;
use std::ops::Range;

use uuid::Uuid;

use crate::read::error::RecordError;

/// The headers that carry the schema's id where the value, or the key, does not.
const VALUE_SCHEMA_ID: &str = "__value_schema_id";
const KEY_SCHEMA_ID: &str = "__key_schema_id";

/// A record, free of the transport that brought it.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    pub topic: &'a str,
    pub partition: i32,
    pub offset: i64,
    /// Milliseconds since 1970 UTC.
    pub timestamp_ms: Option<i64>,
    pub key: Option<&'a [u8]>,
    pub value: Option<&'a [u8]>,
    pub headers: Headers<'a>,
}

/// Where a header's name and value are in a batch's bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderPlace {
    pub name: Range<u32>,
    pub value: Option<Range<u32>>,
}

/// A record's headers, as places in bytes that may hold many records.
#[derive(Debug, Clone, Copy, Default)]
pub struct Headers<'a> {
    bytes: &'a [u8],
    places: &'a [HeaderPlace],
}

impl<'a> Headers<'a> {
    /// Places outside of `bytes` read as empty.
    pub fn new(bytes: &'a [u8], places: &'a [HeaderPlace]) -> Self {
        Self { bytes, places }
    }

    /// Names and values, in the record's order.
    pub fn iter(self) -> impl Iterator<Item = (&'a str, Option<&'a [u8]>)> {
        self.places.iter().map(move |place| {
            let name = std::str::from_utf8(self.at(&place.name)).unwrap_or_default();
            (name, place.value.as_ref().map(|value| self.at(value)))
        })
    }

    /// The value of the last header of this name; `None` where there is none, or its value is null.
    pub fn last(self, name: &str) -> Option<&'a [u8]> {
        let named = |place: &&HeaderPlace| self.at(&place.name) == name.as_bytes();
        let value = self.places.iter().rev().find(named)?.value.as_ref()?;
        Some(self.at(value))
    }

    fn at(self, range: &Range<u32>) -> &'a [u8] {
        self.bytes.get(range.start as usize..range.end as usize).unwrap_or_default()
    }
}

/// The schema that wrote a record, as the registry knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SchemaRef {
    Id(u32),
    Guid(Uuid),
}

impl fmt::Display for SchemaRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => write!(f, "{id}"),
            Self::Guid(guid) => write!(f, "{guid}"),
        }
    }
}

/// A record's schema and datum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Framed<'a> {
    pub schema: SchemaRef,
    pub payload: &'a [u8],
}

impl<'a> Framed<'a> {
    /// Reads the framing: the header, or magic byte 0 and the id before the datum.
    ///
    /// # Errors
    /// A value that is null, empty, or framed in neither way.
    pub fn read(record: &Record<'a>) -> Result<Self, RecordError> {
        let value = record.value.ok_or_else(|| framing("the record has no value"))?;
        if let Some(header) = record.headers.last(VALUE_SCHEMA_ID) {
            return Ok(Self { schema: header_schema(VALUE_SCHEMA_ID, header)?, payload: value });
        }
        match value {
            [] => Err(framing("the value is empty")),
            [0, rest @ ..] => Self::after_magic("value", rest),
            [first, ..] => Err(framing(format!(
                "the value begins with byte {first:#04x}, not with 0 and a schema id, and has no header {VALUE_SCHEMA_ID}"
            ))),
        }
    }

    /// Reads the framing of the key; none where it has none. No text that Postgres can hold begins with the magic byte.
    ///
    /// # Errors
    /// A framing that names no schema.
    pub(crate) fn read_key(record: &Record<'a>) -> Result<Option<Self>, RecordError> {
        let Some(key) = record.key else { return Ok(None) };
        if let Some(header) = record.headers.last(KEY_SCHEMA_ID) {
            return Ok(Some(Self { schema: header_schema(KEY_SCHEMA_ID, header)?, payload: key }));
        }
        key.strip_prefix(&[0]).map(|rest| Self::after_magic("key", rest)).transpose()
    }

    fn after_magic(of: &str, rest: &'a [u8]) -> Result<Self, RecordError> {
        let Some((number, payload)) = rest.split_first_chunk() else {
            let length = 1 + rest.len();
            return Err(framing(format!(
                "the {of} has {length} bytes, its schema id alone takes 5"
            )));
        };
        Ok(Self { schema: id(*number)?, payload })
    }

    /// The value that [`Self::read`] takes apart: magic byte 0, the schema's id, the datum.
    pub fn write(id: u32, datum: &[u8]) -> Vec<u8> {
        [&[0], &id.to_be_bytes()[..], datum].concat()
    }
}

/// Registries count their schemas in Java's int; no question about another number has an answer.
fn id(bytes: [u8; 4]) -> Result<SchemaRef, RecordError> {
    let id = u32::from_be_bytes(bytes);
    if i32::try_from(id).is_err() {
        return Err(framing(format!(
            "no registry has a schema {id}: their ids end at {}",
            i32::MAX
        )));
    }
    Ok(SchemaRef::Id(id))
}

fn header_schema(name: &str, header: &[u8]) -> Result<SchemaRef, RecordError> {
    match header {
        [0, bytes @ ..] => bytes.try_into().ok().map(id),
        [1, guid @ ..] => Uuid::from_slice(guid).ok().map(|guid| Ok(SchemaRef::Guid(guid))),
        _ => None,
    }
    .unwrap_or_else(|| {
        Err(framing(format!(
            "the header {name} has {} bytes: 0 and a 4-byte id, or 1 and a 16-byte guid, are known",
            header.len()
        )))
    })
}

fn framing(what: impl Into<String>) -> RecordError {
    RecordError::Framing(what.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(value: Option<&[u8]>, header: Option<&[u8]>) -> Result<(SchemaRef, Vec<u8>), String> {
        let name = VALUE_SCHEMA_ID.as_bytes();
        let bytes = [name, header.unwrap_or_default()].concat();
        let end = name.len() as u32;
        let places = [HeaderPlace {
            name: 0..end,
            value: header.map(|value| end..end + value.len() as u32),
        }];
        let headers = Headers::new(&bytes, &places);
        let record = Record {
            topic: "t",
            partition: 0,
            offset: 0,
            timestamp_ms: None,
            key: None,
            value,
            headers,
        };
        Framed::read(&record)
            .map(|framed| (framed.schema, framed.payload.to_vec()))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn both_framings_are_read() {
        let guid = Uuid::from_u128(7);
        assert_eq!(frame(Some(&[0, 0, 0, 1, 2, 9]), None), Ok((SchemaRef::Id(258), vec![9])));
        assert_eq!(frame(Some(&Framed::write(258, &[9])), None), Ok((SchemaRef::Id(258), vec![9])));
        assert_eq!(frame(Some(&[0, 0, 0, 0, 1]), None), Ok((SchemaRef::Id(1), vec![])));
        let last = SchemaRef::Id(0x7fff_ffff);
        assert_eq!(frame(Some(&[0, 0x7f, 0xff, 0xff, 0xff]), None), Ok((last, vec![])));
        assert_eq!(frame(Some(&[9]), Some(&[0, 0, 0, 0, 3])), Ok((SchemaRef::Id(3), vec![9])));
        assert_eq!(
            frame(Some(&[]), Some(&[&[1], &guid.as_bytes()[..]].concat())),
            Ok((SchemaRef::Guid(guid), vec![]))
        );
    }

    #[test]
    fn anything_else_is_an_error_of_the_record() {
        for (value, header, what) in [
            (None, None, "no value"),
            (Some(&[][..]), None, "empty"),
            (Some(&[0, 0, 0, 1][..]), None, "has 4 bytes"),
            (Some(&b"{\"a\":1}"[..]), None, "byte 0x7b"),
            (Some(&[1, 0, 0, 0, 1, 9][..]), None, "byte 0x01"),
            (Some(&[9][..]), Some(&[0, 0, 3][..]), "has 3 bytes"),
            (Some(&[9][..]), Some(&[1, 0, 0, 0, 3][..]), "has 5 bytes"),
            (Some(&[9][..]), Some(&[][..]), "has 0 bytes"),
            (Some(&[0, 0xff, 0xff, 0xff, 0xff, 2, 0x61][..]), None, "no registry has a schema"),
            (Some(&[0, 0x80, 0, 0, 0][..]), None, "no registry has a schema 2147483648"),
            (Some(&[9][..]), Some(&[0, 0x80, 0, 0, 7][..]), "no registry has a schema"),
        ] {
            let error =
                frame(value, header).map(drop).map_or_else(|error| error, |()| String::new());
            assert!(error.contains(what), "{value:?} {header:?}: {error}");
        }
    }
}
