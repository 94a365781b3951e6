//! Contracts from inline files, and records of bytes: what every test of this crate begins with.

use std::collections::BTreeMap;
use std::sync::Arc;

use vitrina_avro::{
    Contracts, DecodedRecord, Decoder, Defaulted, HeaderPlace, Headers, Layout, Record,
    RecordError, Rows, Schema, SchemaRef, UnknownName,
};
use vitrina_sql::{Files, Finding};

pub const CONTEXT: &str = "topic = \"shop.events\"\nkey = \"id\"\n";

/// `(path below the root, text)`.
pub fn files(texts: &[(&str, &str)]) -> Files {
    Files(
        texts
            .iter()
            .map(|(path, text)| (format!("c/{path}"), (*text).to_owned()))
            .collect::<BTreeMap<_, _>>(),
    )
}

pub fn load(texts: &[(&str, &str)]) -> (Contracts, Vec<Finding>) {
    Contracts::load(&files(texts), "c")
}

/// Contracts that load without a finding.
pub fn contracts(texts: &[(&str, &str)]) -> Contracts {
    let (contracts, findings) = load(texts);
    assert!(
        findings.is_empty(),
        "{}",
        findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    );
    contracts
}

/// A record schema `shop.NAME` of these fields, as JSON.
pub fn record(name: &str, fields: &str) -> String {
    format!(r#"{{"type":"record","name":"{name}","namespace":"shop","fields":[{fields}]}}"#)
}

/// A record schema `shop.Placed` with a field `id` and these.
pub fn placed(fields: &str) -> String {
    let comma = if fields.is_empty() { "" } else { "," };
    record("Placed", &format!(r#"{{"name":"id","type":"string"}}{comma}{fields}"#))
}

/// The contract `shop.placed` in the given versions, with their upcasts.
pub fn versions(schemas: &[&str], upcasts: &[&str]) -> Vec<(String, String)> {
    let mut texts = vec![("shop/context.toml".to_owned(), CONTEXT.to_owned())];
    for (place, schema) in schemas.iter().enumerate() {
        texts.push((format!("shop/placed/v{}.avsc", place + 1), (*schema).to_owned()));
    }
    for (place, upcast) in upcasts.iter().enumerate() {
        texts.push((format!("shop/placed/v{}.sql", place + 2), (*upcast).to_owned()));
    }
    texts
}

pub fn borrowed(texts: &[(String, String)]) -> Vec<(&str, &str)> {
    texts.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect()
}

/// A model that reads all columns of all events, and the rows that it decodes into.
pub struct Bench {
    pub decoder: Decoder,
    pub rows: Vec<Vec<Rows>>,
    pub layouts: Vec<Layout>,
    /// The name of the last record that was ignored, where no contract knows it.
    pub unknown: Option<UnknownName>,
    /// Where the last event went: layout and version.
    pub places: Vec<(usize, usize)>,
}

/// What one decoded event is.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    pub version: usize,
    /// The record's name, and the id's bytes.
    pub identity: Option<(String, Vec<u8>)>,
    /// The columns' bytes by name; `None` is NULL.
    pub columns: BTreeMap<String, Option<Vec<u8>>>,
}

impl Row {
    pub fn text(&self, column: &str) -> Option<String> {
        self.columns[column].clone().map(|bytes| String::from_utf8(bytes).unwrap())
    }

    /// `_time` in microseconds since 1970.
    pub fn time_micros(&self) -> Option<i64> {
        let bytes = self.columns["_time"].clone()?;
        Some(i64::from_be_bytes(bytes.try_into().unwrap()) + 946_684_800_000_000)
    }

    /// Of a `jsonb` column.
    pub fn json(&self, column: &str) -> Option<String> {
        self.text(column).map(|text| text.strip_prefix('\u{1}').unwrap().to_owned())
    }
}

/// A record besides its schema and datum.
#[derive(Default, Clone)]
pub struct Envelope<'a> {
    pub key: Option<&'a [u8]>,
    pub timestamp_ms: Option<i64>,
    pub headers: &'a [(&'a str, Option<&'a [u8]>)],
}

impl Bench {
    pub fn new(contracts: &Contracts) -> Self {
        let events = contracts.contexts.values().flat_map(|context| context.events.values());
        Self::with(contracts, events.map(|contract| Layout::new(contract, None)).collect())
    }

    pub fn with(contracts: &Contracts, layouts: Vec<Layout>) -> Self {
        let decoder = Decoder::new(contracts, layouts.clone());
        Self { rows: decoder.rows(), decoder, layouts, unknown: None, places: Vec::new() }
    }

    /// Of `shop.placed`, these versions.
    pub fn of(schemas: &[&str], upcasts: &[&str]) -> Self {
        Self::new(&contracts(&borrowed(&versions(schemas, upcasts))))
    }

    pub fn writer(&mut self, schema: &str) -> Vec<Defaulted> {
        let schema = Schema::of_writer(schema, &[]).unwrap();
        self.decoder.add_schema(SchemaRef::Id(1), &Arc::new(schema))
    }

    /// Decodes a datum of the schema that was given last; `Ok(None)` is ignored.
    pub fn decode(&mut self, datum: &[u8]) -> Result<Option<Row>, RecordError> {
        self.decode_with(datum, &Envelope::default())
    }

    pub fn decode_with(
        &mut self,
        datum: &[u8],
        envelope: &Envelope<'_>,
    ) -> Result<Option<Row>, RecordError> {
        self.read(Some(&[&[0, 0, 0, 0, 1], datum].concat()), envelope)
    }

    /// Takes a record without a value.
    pub fn tombstone(&mut self, envelope: &Envelope<'_>) -> Result<Option<Row>, RecordError> {
        self.read(None, envelope)
    }

    fn read(
        &mut self,
        value: Option<&[u8]>,
        envelope: &Envelope<'_>,
    ) -> Result<Option<Row>, RecordError> {
        let (bytes, places) = headers(envelope.headers);
        let record = Record {
            topic: "shop.events",
            partition: 3,
            offset: 1842,
            timestamp_ms: envelope.timestamp_ms,
            key: envelope.key,
            value,
            headers: Headers::new(&bytes, &places),
        };
        let before: Vec<Vec<usize>> = lengths(&self.rows);
        let decoded = match value {
            Some(_) => self.decoder.decode(&record, &Decoder::frame(&record)?, &mut self.rows),
            None => self.decoder.tombstone(&record, &mut self.rows),
        };
        let (layout, version, row, identity) = match decoded {
            Ok(DecodedRecord::Event { rows, identity }) => {
                let identity =
                    identity.map(|identity| (identity.record.to_owned(), identity.id.to_vec()));
                self.places = rows.iter().map(|row| (row.layout, row.version)).collect();
                let first = rows.iter().next().unwrap();
                (first.layout, first.version, first.row as usize, identity)
            }
            Ok(DecodedRecord::Ignored { unknown }) => {
                self.unknown = unknown.map(|unknown| (**unknown).clone());
                return Ok(None);
            }
            Err(error) => {
                assert_eq!(lengths(&self.rows), before, "an event is in all columns or in none");
                return Err(error);
            }
        };
        let columns = &self.layouts[layout].versions()[version].columns;
        let values = &self.rows[layout][version].values;
        let columns = columns.iter().zip(values);
        let columns = columns.map(|(column, values)| {
            assert_eq!(values.len(), row + 1);
            (column.name.clone(), values.get(row).map(<[u8]>::to_vec))
        });
        Ok(Some(Row { version, identity, columns: columns.collect() }))
    }
}

fn lengths(rows: &[Vec<Rows>]) -> Vec<Vec<usize>> {
    rows.iter()
        .map(|layout| layout.iter().flat_map(|rows| rows.values.iter().map(|v| v.len())).collect())
        .collect()
}

fn headers(list: &[(&str, Option<&[u8]>)]) -> (Vec<u8>, Vec<HeaderPlace>) {
    let mut bytes = Vec::new();
    let mut add = |part: &[u8]| {
        let start = bytes.len() as u32;
        bytes.extend_from_slice(part);
        start..bytes.len() as u32
    };
    let places = list
        .iter()
        .map(|(name, value)| HeaderPlace { name: add(name.as_bytes()), value: value.map(&mut add) })
        .collect();
    (bytes, places)
}

/// Avro's zigzag number.
pub fn long(value: i64) -> Vec<u8> {
    let mut rest = ((value << 1) ^ (value >> 63)) as u64;
    let mut out = Vec::new();
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
    out
}

/// Avro's string or bytes.
pub fn string(value: &str) -> Vec<u8> {
    [long(value.len() as i64), value.as_bytes().to_vec()].concat()
}
