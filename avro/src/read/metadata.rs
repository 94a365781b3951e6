//! What a record says besides its payload: id, time, key, headers. Each comes from the first of its sources that has
//! it, and an id that is missing or empty is no id: such an event is never a duplicate.

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
pub(crate) const EVENT_ID: usize = 0;
pub(crate) const TIME: usize = 1;
const CORRELATION_ID: usize = 2;
const CAUSATION_ID: usize = 3;
const CLOUD_EVENTS: [&str; FACTS] = ["ce_id", "ce_time", "ce_correlationid", "ce_causationid"];

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
}

impl Facts<'_> {
    /// Appends the event's id, or null.
    pub(crate) fn write_identity(&self, identities: &mut Values) {
        self.write_fact(EVENT_ID, identities);
    }

    /// The event's time in microseconds since 2000-01-01 UTC; none where neither the event nor the record has one.
    pub(crate) fn time(&self) -> Result<Option<i64>, RecordError> {
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
        time: Option<i64>,
        values: &mut Values,
    ) -> Result<(), RecordError> {
        let Record { topic, partition, offset, key, headers, .. } = *self.record;
        match METADATA[place].0 {
            "_event_id" => match identity {
                Some(id) => values.push_bytes(id),
                None => values.append(|out| write_coordinates(self.record, out)),
            },
            "_time" => time.map_or(Value::Null, Value::Timestamptz).push(values),
            "_key" => match key {
                None => values.push_null(),
                Some(key) if std::str::from_utf8(key).is_ok() => values.push_bytes(key),
                Some(_) => {
                    return Err(RecordError::Metadata("the record's key is not UTF-8".into()));
                }
            },
            "_topic" => values.push_bytes(topic.as_bytes()),
            "_partition" => Value::Int4(partition).push(values),
            "_offset" => Value::Int8(offset).push(values),
            "_headers" => values.append(|out| write_headers(headers, out)),
            "_correlation_id" => self.write_fact(CORRELATION_ID, values),
            _ => self.write_fact(CAUSATION_ID, values),
        }
        Ok(())
    }

    /// Appends a fact's text, or null where it is missing or empty.
    fn write_fact(&self, fact: usize, values: &mut Values) {
        let header = match &self.envelope.origins[fact] {
            Origin::Field(_) => None,
            Origin::Header(name) => Some(name.as_str()),
            Origin::Default => Some(CLOUD_EVENTS[fact]),
        };
        match header.map(|name| self.record.headers.last(name).unwrap_or_default()) {
            Some([]) => values.push_null(),
            Some(value) => values.push_bytes(String::from_utf8_lossy(value).as_bytes()),
            None => self.write_field(fact, values),
        }
    }

    fn write_field(&self, fact: usize, values: &mut Values) {
        let written = values.push(|out| {
            let start = out.len();
            self.fields[fact].write_text(out);
            if out.len() > start { Ok(()) } else { Err(()) }
        });
        if written.is_err() {
            values.push_null();
        }
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
