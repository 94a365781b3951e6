//! Reads what is given: a record, encoded as its producer would have encoded it. What cannot be written is wrong in the file,
//! and never reaches the engine.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use serde_json::Value;
use toml::Spanned;
use toml::de::DeValue;
use vitrina_avro::{Context, Contract, Version, encode_json, key_text, parse_json};
use vitrina_projectors::Definitions;
use vitrina_projectors::rehearsal::LogRecord;
use vitrina_sql::{Relations as _, nearest};

use super::table::{Table, described};
use super::{Reading, Span};
use crate::testing::file::Given;
use crate::testing::json::{json, milliseconds};

const GIVEN: &[&str] = &["event", "value", "key", "headers", "time", "topic", "partition"];

/// The time of a test's first record that gives none, 2026-01-01T00:00:00Z; each later one comes a second after.
const BEGINNING: i64 = 1_767_225_600_000;
const YEAR_10000: i64 = 253_402_300_800_000;

/// The record key that a value gives, or why it gives none; and where the value is.
type OwnKey = (Result<String, String>, Span);

impl<'r> Reading<'r> {
    pub(super) fn given(
        &mut self,
        table: &Table<'_>,
        span: Span,
        number: usize,
        partitions: &mut BTreeMap<(String, Option<Vec<u8>>), i32>,
    ) -> Option<Given> {
        self.know(table, "[[test.given]]", GIVEN);
        let missing = (
            "the record has no event",
            "write event = \"context.event\", with @vN behind it for an older version",
        );
        let (written, at) = self.needed(table, "event", &span, missing)?;
        let (contract, version) = self.event(&written, at)?;
        let context = self.definitions.contracts.contexts.get(&contract.context)?;
        let (value, key) = match version {
            None => (None, None),
            Some(version) => {
                let (value, key) = self.encoded(table, &span, context, (contract, version))?;
                (Some(value), Some(key))
            }
        };
        let key = self.key(table, key, &span)?;
        let timestamp_ms = self.time(table).unwrap_or(BEGINNING + 1000 * number as i64);
        let mut headers = self.headers(table);
        headers.entry("ce_id".to_owned()).or_insert_with(|| format!("event-{}", number + 1));
        headers.entry("ce_time".to_owned()).or_insert_with(|| rfc3339(timestamp_ms));
        let topic = self.text_of(table, "topic").map_or(context.topic.clone(), |(topic, _)| topic);
        // Keys of one topic may come in any order among one another, as they do from different partitions.
        let own = partitions.iter().filter(|((other, _), _)| *other == topic).count() as i32;
        let own = *partitions.entry((topic.clone(), key.clone())).or_insert(own);
        let partition = self.whole(table, "partition").unwrap_or(own);
        let relation = contract.relation();
        let written = version.map_or(relation.clone(), |version| version_name(contract, version));
        let record = LogRecord {
            topic: topic.into(),
            partition,
            timestamp_ms,
            key,
            value,
            headers: headers.into_iter().collect(),
        };
        Some(Given { line: self.line(&span), relation, written, record })
    }

    /// A record's value with its framing, and the key that the value gives, or why it gives none and where.
    fn encoded(
        &mut self,
        table: &Table<'_>,
        span: &Span,
        context: &Context,
        (contract, version): (&Contract, &Version),
    ) -> Option<(Vec<u8>, OwnKey)> {
        let (json, at) = self.value(table, span)?;
        match encode_json(version, &json) {
            Ok(datum) => {
                let key = key_text(context, version, &json).map_err(|error| error.to_string());
                Some((self.schemas.frame(contract, version, &datum), (key, at)))
            }
            Err(error) => {
                let at = table.get("value").map_or(at, |value| deepest(value, &error.field));
                let what = format!("this is no {}: {error}", version_name(contract, version));
                self.find(at, what, "write it as `vitrina publish` takes it");
                None
            }
        }
    }

    /// The contract, and the version that the record is written with; none for a tombstone.
    pub(super) fn event(
        &mut self,
        written: &str,
        at: Span,
    ) -> Option<(&'r Arc<Contract>, Option<&'r Version>)> {
        let definitions: &'r Definitions = self.definitions;
        let contracts = &definitions.contracts;
        let (name, number) = match written.split_once("@v") {
            Some((name, number)) => (name, Some(number)),
            None => (written, None),
        };
        let place = name.split_once('.');
        let found = place.and_then(|(context, event)| contracts.relation(context, event));
        let Some(contract) = found else {
            let broken = place.and_then(|(context, event)| contracts.broken(context, event));
            let names = contracts.names();
            let help = match (broken, nearest(name, names.iter().map(String::as_str))) {
                (Some(place), _) => format!("its contract does not load, see {place}"),
                (None, Some(nearest)) => format!("did you mean {nearest}?"),
                (None, None) => {
                    "write CONTEXT.EVENT of a contract, as in orders.order_placed@v2".to_owned()
                }
            };
            self.find(at, format!("there is no event {name:?}"), help);
            return None;
        };
        if contract.is_tombstone() {
            return Some((contract, None));
        }
        let version = match number {
            None => Some(contract.newest()),
            Some(number) => contract.versions.iter().find(|one| one.number.to_string() == number),
        };
        if version.is_none() {
            let what = format!("{name} has no version v{}", number.unwrap_or_default());
            self.find(at, what, format!("it has v1 to v{}", contract.newest().number));
        }
        version.map(|version| (contract, Some(version)))
    }

    /// The value of a record: a table, or JSON as a text.
    fn value(&mut self, table: &Table<'_>, span: &Span) -> Option<(Value, Span)> {
        let Some(value) = table.get("value") else {
            self.find(span.clone(), "the record has no value", "write value = { … }");
            return None;
        };
        match value.get_ref() {
            DeValue::Table(_) => Some((json(value.get_ref()), value.span())),
            DeValue::String(text) => match parse_json(text) {
                Ok(json) => Some((json, value.span())),
                Err(error) => {
                    let help = "write a table, or JSON between quotes";
                    self.find(value.span(), format!("this is no JSON: {error}"), help);
                    None
                }
            },
            other => {
                let what = format!("a value is a table, not {}", described(other));
                self.find(value.span(), what, "write value = { field = …, … }");
                None
            }
        }
    }

    /// The record's key: what is written, else what the contract's key field says; `false` is none.
    fn key(
        &mut self,
        table: &Table<'_>,
        own: Option<OwnKey>,
        span: &Span,
    ) -> Option<Option<Vec<u8>>> {
        if let Some(key) = table.get("key") {
            return match key.get_ref() {
                DeValue::String(text) => Some(Some(text.as_bytes().to_vec())),
                DeValue::Boolean(false) => Some(None),
                other => {
                    let what = format!("a key is a text, not {}", described(other));
                    self.find(key.span(), what, "write it between quotes, or false for none");
                    None
                }
            };
        }
        match own {
            Some((Ok(key), _)) => Some(Some(key.into_bytes())),
            Some((Err(error), at)) => {
                let what = format!("the value gives no record key: {error}");
                self.find(
                    at,
                    what,
                    "write it, or key = \"…\" beside the value; key = false is none",
                );
                None
            }
            None => {
                self.find(span.clone(), "a tombstone needs a key", "write key = \"…\"");
                None
            }
        }
    }

    fn time(&mut self, table: &Table<'_>) -> Option<i64> {
        let time = table.get("time")?;
        let moment = match time.get_ref() {
            DeValue::Datetime(moment) => milliseconds(moment),
            DeValue::String(text) => text.parse().ok().as_ref().and_then(milliseconds),
            _ => None,
        };
        // Kafka knows no time before 1970, and RFC 3339 none after 9999.
        let moment = moment.filter(|moment| (0..YEAR_10000).contains(moment));
        if moment.is_none() {
            let help = "write it as 2026-03-01T12:00:00Z";
            self.find(time.span(), "this is no time since 1970 with a date and an offset", help);
        }
        moment
    }

    fn headers(&mut self, table: &Table<'_>) -> BTreeMap<String, String> {
        let Some(headers) = table.get("headers") else { return BTreeMap::new() };
        let DeValue::Table(pairs) = headers.get_ref() else {
            self.find(
                headers.span(),
                "headers are a table",
                "write headers = { name = \"value\" }",
            );
            return BTreeMap::new();
        };
        let mut read = BTreeMap::new();
        for (name, value) in pairs {
            match value.get_ref() {
                DeValue::String(text) => {
                    read.insert(name.get_ref().to_string(), text.to_string());
                }
                other => {
                    let what = format!("a header's value is a text, not {}", described(other));
                    self.find(value.span(), what, "write it between quotes");
                }
            }
        }
        read
    }
}

fn version_name(contract: &Contract, version: &Version) -> String {
    format!("{}@v{}", contract.relation(), version.number)
}

/// Where in a value the field with this path stands, or what lies on the way to it.
fn deepest(value: &Spanned<DeValue<'_>>, path: &str) -> Span {
    let (mut value, mut span) = (value, value.span());
    for name in path.split(['.', '[', ']']).filter(|name| !name.is_empty()) {
        let next = match value.get_ref() {
            DeValue::Table(table) => {
                table.get_key_value(name).map(|(key, value)| (value, key.span()))
            }
            DeValue::Array(items) => name
                .parse()
                .ok()
                .and_then(|place: usize| items.get(place))
                .map(|item| (item, item.span())),
            _ => None,
        };
        match next {
            Some(next) => (value, span) = next,
            None => break,
        }
    }
    span
}

/// Of a time that [`Reading::time`] takes.
fn rfc3339(milliseconds: i64) -> String {
    let since = Duration::from_millis(milliseconds.unsigned_abs());
    humantime::format_rfc3339_millis(UNIX_EPOCH + since).to_string()
}
