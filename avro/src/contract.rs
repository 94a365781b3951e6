//! A contract: one event type in all its versions, and the context that it belongs to. What is here has passed every
//! check of loading, so that nothing later needs to doubt it.

pub(crate) mod carry;
pub(crate) mod context;
pub(crate) mod draft;
pub(crate) mod every;
pub(crate) mod literal;
pub(crate) mod load;
pub(crate) mod publish;
pub(crate) mod sort;
pub(crate) mod tombstone;
pub(crate) mod upcast;
pub(crate) mod version;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use vitrina_sql::{Place, UpcastItem};

use crate::contract::every::EVERY;
use crate::schema::Schema;
use crate::schema::node::{Field, RecordType};
use crate::value::column::{Column, ColumnType};

/// What the transport knows of an event: columns that every event relation has besides its fields.
pub const METADATA: [(&str, ColumnType); 10] = [
    ("_event_id", ColumnType::Text),
    ("_time", ColumnType::Timestamptz),
    ("_key", ColumnType::Text),
    ("_key_bytes", ColumnType::Bytea),
    ("_topic", ColumnType::Text),
    ("_partition", ColumnType::Int4),
    ("_offset", ColumnType::Int8),
    ("_headers", ColumnType::Jsonb),
    ("_correlation_id", ColumnType::Text),
    ("_causation_id", ColumnType::Text),
];

/// Event id, time, correlation id and causation id, in this order wherever there are four of something.
pub(crate) const FACTS: usize = 4;

/// All contexts of a definition.
#[derive(Debug, Clone, Default)]
pub struct Contracts {
    pub contexts: BTreeMap<String, Context>,
    /// All events of all contexts; none where the contract of one does not load, or there is no context.
    pub every: Option<Arc<Contract>>,
    /// What does not load, a context (`None`) or an event of it, and where it says why.
    pub broken: BTreeMap<(String, Option<String>), String>,
}

/// Where an event's id, time, correlation or causation is found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Origin {
    /// The CloudEvents header, then what the transport knows.
    #[default]
    Default,
    /// A field of the event, by its Avro name.
    Field(String),
    Header(String),
}

/// A bounded context: one topic, and the event types on it.
#[derive(Debug, Clone)]
pub struct Context {
    pub name: String,
    pub topic: String,
    /// The field that is the record's key, by its Avro name.
    pub key: String,
    pub event_id: Origin,
    pub time: Origin,
    pub correlation_id: Origin,
    pub causation_id: Origin,
    /// Whether a topic that Kafka compacts still holds all that a model is built from.
    pub compaction_loses_nothing: bool,
    pub events: BTreeMap<String, Arc<Contract>>,
    /// Its records without a value.
    pub tombstone: Arc<Contract>,
}

/// An event type and its versions.
#[derive(Debug, Clone)]
pub struct Contract {
    pub context: String,
    pub name: String,
    /// `domain`, `integration`, `system` or `command`, as the newest version's schema says, if it does.
    pub kind: Option<&'static str>,
    /// `state_changed`, `command_executed`, `milestone`, `compensation` or `notification`, likewise.
    pub purpose: Option<&'static str>,
    /// Full names and aliases of the record, of all versions.
    pub full_names: Vec<String>,
    /// Index 0 is version 1.
    pub versions: Vec<Version>,
    /// The files it was read from.
    pub files: Vec<String>,
    /// Of `every.event`: the contracts of all events.
    pub(crate) stands_for: Vec<Arc<Contract>>,
}

/// One version of a contract.
#[derive(Debug, Clone)]
pub struct Version {
    /// From 1.
    pub number: u32,
    pub schema: Arc<Schema>,
    /// The schema as it is registered.
    pub json: String,
    /// The fields as columns, in the schema's order.
    pub columns: Vec<Column>,
    /// The file of the upcast, and the items that the user wrote in it; none for version 1.
    pub upcast_file: String,
    pub written: Vec<UpcastItem>,
    /// How each column is made of the version before; none for version 1.
    pub(crate) upcast: Vec<ColumnSource>,
}

/// How a column is made of the columns of the version before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ColumnSource {
    /// An expression of the column's type.
    pub(crate) sql: String,
    /// What it reads of the version before and of the metadata.
    pub(crate) reads: BTreeSet<String>,
}

impl Contracts {
    /// The contract of an event type.
    pub fn contract(&self, context: &str, event: &str) -> Option<&Arc<Contract>> {
        self.contexts.get(context)?.events.get(event)
    }

    /// What stands behind the name of an event relation: the contract of an event type, a context's tombstones, or all
    /// events of all contexts.
    pub fn relation(&self, context: &str, event: &str) -> Option<&Arc<Contract>> {
        if context == EVERY {
            return self.every.as_ref().filter(|every| every.name == event);
        }
        let context = self.contexts.get(context)?;
        if event == context.tombstone.name {
            Some(&context.tombstone)
        } else {
            context.events.get(event)
        }
    }
}

impl Context {
    /// Where the id, time, correlation and causation of the contract's events are found, in this order. A tombstone has no
    /// field: what would be in one comes from where it is found without a setting.
    pub fn origins(&self, contract: &Contract) -> [Origin; FACTS] {
        let origins = [&self.event_id, &self.time, &self.correlation_id, &self.causation_id];
        origins.map(|origin| match origin {
            Origin::Field(_) if contract.is_tombstone() => Origin::Default,
            known => known.clone(),
        })
    }
}

impl Contract {
    /// The event relation's name, as a rule writes it.
    pub fn relation(&self) -> String {
        format!("{}.{}", self.context, self.name)
    }

    /// The version whose columns rules see.
    pub fn newest(&self) -> &Version {
        &self.versions[self.versions.len() - 1]
    }

    /// The files of the upcasts that make a version the newest, in their order.
    pub fn upcasts_from(&self, version: u32) -> Vec<String> {
        let later = self.versions.iter().filter(|later| later.number > version);
        later.map(|later| later.upcast_file.clone()).collect()
    }

    /// Where a version's schema defines a field, by the last name of its path; its beginning where that cannot be found.
    pub fn place_of(&self, version: u32, field: &str) -> Option<(&str, Place)> {
        let version = self.versions.iter().find(|known| known.number == version)?;
        Some((self.schema_file(version), version::field_place(&version.json, field)))
    }

    /// As it was with its first `versions`.
    pub fn until(&self, versions: usize) -> Self {
        Self { versions: self.versions[..versions].to_vec(), ..self.clone() }
    }

    /// The file of a version's schema.
    pub fn schema_file(&self, version: &Version) -> &str {
        let name = format!("/v{}.avsc", version.number);
        self.files.iter().find(|file| file.ends_with(&name)).map_or("", String::as_str)
    }
}

impl Version {
    /// The record's name with its namespace.
    pub fn full_name(&self) -> &str {
        self.record().map_or("", |record| &record.name.full)
    }

    /// The fields, in the order of `columns`.
    pub(crate) fn fields(&self) -> &[Field] {
        self.record().map_or(&[], |record| &record.fields)
    }

    pub(crate) fn record(&self) -> Option<&RecordType> {
        self.schema.record(self.schema.root())
    }

    /// The place of a field by its Avro name, or by its column's.
    pub(crate) fn place(&self, field: &str) -> Option<usize> {
        let folded = field.to_ascii_lowercase();
        self.columns.iter().position(|column| column.name == folded)
    }
}

impl vitrina_sql::Relations for Contracts {
    fn columns(&self, context: &str, event: &str) -> Option<Vec<String>> {
        let newest = self.relation(context, event)?.newest();
        let metadata = METADATA.iter().map(|(name, _)| (*name).to_owned());
        Some(newest.columns.iter().map(|column| column.name.clone()).chain(metadata).collect())
    }

    fn broken(&self, context: &str, event: &str) -> Option<String> {
        let named = |event| self.broken.get(&(context.to_owned(), event));
        let first = || self.broken.values().next().filter(|_| context == EVERY);
        named(None).or_else(|| named(Some(event.to_owned()))).or_else(first).cloned()
    }

    fn topic(&self, context: &str) -> String {
        if context == EVERY {
            let topics: BTreeSet<&String> =
                self.contexts.values().map(|context| &context.topic).collect();
            return topics.into_iter().map(String::as_str).collect::<Vec<_>>().join(" ");
        }
        self.contexts.get(context).map_or_else(String::new, |context| context.topic.clone())
    }

    fn why_absent(&self, context: &str, event: &str, column: &str) -> Option<String> {
        let context = self.contexts.get(context)?;
        let is_key = event == context.tombstone.name && column == context.key.to_ascii_lowercase();
        context.key_type().err().filter(|_| is_key)
    }

    fn names(&self) -> Vec<String> {
        let contracts = self
            .contexts
            .values()
            .flat_map(|context| context.events.values().chain([&context.tombstone]))
            .chain(&self.every);
        contracts.map(|contract| contract.relation()).collect()
    }
}
