//! What a record says besides its payload: id, time, key, headers. Each comes from the first of its sources that has
//! it, and an id that is missing or empty is no id: such an event is never a duplicate. An id is its bytes, whatever they
//! are; a text made of it is for those who read.

use std::borrow::Cow;
use std::fmt;

use crate::contract::{Context, Contract, FACTS, METADATA, Origin};
use crate::read::error::RecordError;
use crate::read::frame::{Headers, Record};
use crate::value::Value;
use crate::value::calendar;
use crate::value::calendar::Unit;
use crate::value::column::Values;
use crate::value::digits;
use crate::value::json;

/// Their places among the four.
const EVENT_ID: usize = 0;
const TIME: usize = 1;
const CORRELATION_ID: usize = 2;
const CAUSATION_ID: usize = 3;
const CLOUD_EVENTS: [&str; FACTS] = ["ce_id", "ce_time", "ce_correlationid", "ce_causationid"];
/// The columns of [`METADATA`] that they are.
const COLUMNS: [&str; FACTS] = ["_event_id", "_time", "_correlation_id", "_causation_id"];

/// Where a context's four facts are found.
#[derive(Debug, Clone, Default)]
pub(crate) struct Envelope {
    pub(crate) origins: [Origin; FACTS],
}

/// One event's facts: the record, and the fields that hold them.
pub(crate) struct Facts<'a> {
    pub(crate) envelope: &'a Envelope,
    pub(crate) record: &'a Record<'a>,
    pub(crate) fields: [Value<'a>; FACTS],
}

impl Envelope {
    /// Of the contract's events.
    pub(crate) fn new(context: &Context, contract: &Contract) -> Self {
        Self { origins: context.origins(contract) }
    }

    /// The facts that a field holds, of those that somebody asks for: the id always, the others where they are among the
    /// `bound` columns of [`METADATA`].
    pub(crate) fn wanted(&self, bound: &[usize], is_field: impl Fn(&str) -> bool) -> [bool; FACTS] {
        let is_bound = |fact: usize| bound.iter().any(|&place| METADATA[place].0 == COLUMNS[fact]);
        std::array::from_fn(|fact| {
            let held = matches!(&self.origins[fact], Origin::Field(name) if is_field(name));
            held && (fact == EVENT_ID || is_bound(fact))
        })
    }
}

impl Facts<'_> {
    /// Appends the event's id, byte by byte, or null.
    pub(crate) fn write_identity(&self, identities: &mut Values) {
        push_unless_empty(identities, |out| self.write_fact(EVENT_ID, out));
    }

    /// The event's time in microseconds since 2000-01-01 UTC; none where neither the event nor the record has one.
    fn time(&self) -> Result<Option<i64>, RecordError> {
        let configured = match &self.envelope.origins[TIME] {
            Origin::Default => None,
            Origin::Header(name) => self.header_time(name)?,
            Origin::Field(name) => match self.fields[TIME] {
                Value::Timestamptz(micros) | Value::Timestamp(micros) => Some(micros),
                Value::Text(text) => Some(parse(format_args!("field {name}"), text)?),
                _ => None,
            },
        };
        let stated = match configured {
            Some(micros) => Some(micros),
            None => self.header_time(CLOUD_EVENTS[TIME])?,
        };
        match (stated, self.record.timestamp_ms) {
            (Some(micros), _) => Ok(Some(micros)),
            (None, None) => Ok(None),
            (None, Some(millis)) => {
                calendar::timestamp(millis, Unit::Millis).map(Some).ok_or_else(|| {
                    RecordError::Metadata(format!(
                        "the record's timestamp {millis} is beyond what Postgres can hold"
                    ))
                })
            }
        }
    }

    fn header_time(&self, name: &str) -> Result<Option<i64>, RecordError> {
        let value = self.record.headers.last(name).filter(|value| !value.is_empty());
        value
            .map(|value| parse(format_args!("header {name}"), &String::from_utf8_lossy(value)))
            .transpose()
    }

    /// Appends the metadata at `place` of [`METADATA`].
    pub(crate) fn write(
        &self,
        place: usize,
        identity: Option<&[u8]>,
        values: &mut Values,
    ) -> Result<(), RecordError> {
        let Record { topic, partition, offset, key, headers, .. } = *self.record;
        match METADATA[place].0 {
            "_event_id" => values.append(|out| match identity {
                Some(id) => {
                    out.extend_from_slice(id);
                    make_readable(out, id.len());
                }
                None => write_coordinates(self.record, out),
            }),
            "_time" => self.time()?.map_or(Value::Null, Value::Timestamptz).push(values),
            "_key" => key.and_then(as_text).map_or(Value::Null, Value::Text).push(values),
            "_key_bytes" => key.map_or(Value::Null, Value::Bytea).push(values),
            "_topic" => values.push_bytes(topic.as_bytes()),
            "_partition" => Value::Int4(partition).push(values),
            "_offset" => Value::Int8(offset).push(values),
            "_headers" => values.append(|out| write_headers(headers, out)),
            "_correlation_id" => self.write_readable(CORRELATION_ID, values),
            _ => self.write_readable(CAUSATION_ID, values),
        }
        Ok(())
    }

    /// Appends a fact as text, or null where it is missing or empty.
    fn write_readable(&self, fact: usize, values: &mut Values) {
        push_unless_empty(values, |out| {
            let start = out.len();
            self.write_fact(fact, out);
            make_readable(out, out.len() - start);
        });
    }

    /// A fact's bytes; none where it is missing.
    fn write_fact(&self, fact: usize, out: &mut Vec<u8>) {
        let header = match &self.envelope.origins[fact] {
            Origin::Field(_) => return self.fields[fact].write_text(out),
            Origin::Header(name) => name.as_str(),
            Origin::Default => CLOUD_EVENTS[fact],
        };
        out.extend_from_slice(self.record.headers.last(header).unwrap_or_default());
    }
}

/// Appends what `write` writes; null where that is nothing.
fn push_unless_empty(values: &mut Values, write: impl FnOnce(&mut Vec<u8>)) {
    let written = values.push(|out| {
        let start = out.len();
        write(out);
        if out.len() > start { Ok(()) } else { Err(()) }
    });
    if written.is_err() {
        values.push_null();
    }
}

/// The bytes as a text that Postgres can hold.
pub(crate) fn as_text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok().filter(|text| !text.contains('\0'))
}

/// The last `length` bytes, where they are no text, as Postgres shows a `bytea`: other bytes, another text.
fn make_readable(out: &mut Vec<u8>, length: usize) {
    let start = out.len() - length;
    if as_text(&out[start..]).is_none() {
        let bytes = out.split_off(start);
        Value::Bytea(&bytes).write_text(out);
    }
}

/// `jsonb` in binary: its version, then the text. What jsonb cannot hold becomes U+FFFD: headers are not the event.
fn write_headers(headers: Headers<'_>, out: &mut Vec<u8>) {
    out.push(1);
    let mut separator = b'{';
    for (name, value) in headers.iter() {
        out.push(separator);
        separator = b',';
        json::write_string(out, &without_nul(name.into()));
        out.push(b':');
        match value {
            None => out.extend_from_slice(b"null"),
            Some(value) => json::write_string(out, &without_nul(String::from_utf8_lossy(value))),
        }
    }
    if separator == b'{' {
        out.push(b'{');
    }
    out.push(b'}');
}

fn without_nul(text: Cow<'_, str>) -> Cow<'_, str> {
    if text.contains('\0') { text.replace('\0', "\u{fffd}").into() } else { text }
}

fn parse(origin: fmt::Arguments<'_>, text: &str) -> Result<i64, RecordError> {
    calendar::parse_timestamp(text).ok_or_else(|| {
        let shown: String = text.chars().take(60).collect();
        RecordError::Metadata(format!(
            "{origin} should be the event's time, and {shown:?} is no RFC 3339 timestamp"
        ))
    })
}

/// The id of an event that has none: where its record is.
fn write_coordinates(record: &Record<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(record.topic.as_bytes());
    for number in [i64::from(record.partition), record.offset] {
        out.push(b'/');
        digits::write(out, number);
    }
}
