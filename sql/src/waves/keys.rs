//! The values of an event that rows are told by. Two values are the same key exactly where Postgres's `=` of the
//! column's type says so; a key may stand for more rows than it finds, never for fewer.

use std::collections::BTreeSet;

use super::access::KeyPart;
use crate::names::name::quoted;
use crate::shape::rule::BATCH;

/// The name of the column that numbers the events of a batch, in the derived tables of [`EventKeys::asked`] and
/// [`super::Merge::statement`]: an integer that grows with the events' order.
pub const ORDINAL: &str = "_ordinal";

/// The keys of an event relation, in the order in which [`super::Cutter::cut`] takes their hashes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventKeys {
    pub context: String,
    pub event: String,
    /// Indexes into [`crate::Model::rules`], in the order in which they run.
    pub rules: Vec<usize>,
    pub keys: Vec<KeyValue>,
}

/// Where a key's value comes from. Hash its bytes, always with the same function; a NULL has no hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyValue {
    /// The bytes of this column of the event, as Postgres's binary format has them.
    Field(String),
    /// The bytes of what Postgres answers to this column of [`EventKeys::asked`], in binary format.
    Asked {
        /// A scalar query over one event of a batch.
        sql: String,
        /// Columns of the event relation that it needs.
        columns: BTreeSet<String>,
    },
    /// These bytes, for every event.
    Constant(Vec<u8>),
    /// NULL for every event.
    Null,
}

impl EventKeys {
    pub(crate) fn new(context: String, event: String) -> Self {
        Self { context, event, rules: Vec::new(), keys: Vec::new() }
    }

    /// The index of this value among the keys.
    pub(crate) fn slot(&mut self, value: KeyValue) -> usize {
        match self.keys.iter().position(|known| *known == value) {
            Some(index) => index,
            None => {
                self.keys.push(value);
                self.keys.len() - 1
            }
        }
    }

    /// Forgets the keys that no access needs in the end.
    pub(crate) fn prune<'a>(&mut self, parts: impl Iterator<Item = &'a mut KeyPart>) {
        let all = std::mem::take(&mut self.keys);
        for part in parts {
            part.key = self.slot(all[part.key].clone());
        }
    }

    /// Columns of the relation that [`Self::asked`] needs.
    pub fn asked_columns(&self) -> BTreeSet<String> {
        self.asked_keys().flat_map(|(_, columns)| columns.iter().cloned()).collect()
    }

    /// One query for the keys that Postgres must be asked for: a row for each event, its [`ORDINAL`] and then, in their
    /// order, the asked keys. `derived_table` is a text like `(SELECT …)` with [`Self::asked_columns`] and the ordinal.
    /// `None`: nothing is to be asked. An error of it says no more than that the batch must run event by event.
    pub fn asked(&self, derived_table: &str) -> Option<String> {
        let list: Vec<&str> = self.asked_keys().map(|(sql, _)| sql).collect();
        let ordinal = quoted(ORDINAL);
        (!list.is_empty()).then(|| {
            format!("SELECT {BATCH}.{ordinal}, {} FROM {derived_table} AS {BATCH}", list.join(", "))
        })
    }

    fn asked_keys(&self) -> impl Iterator<Item = (&str, &BTreeSet<String>)> {
        self.keys.iter().filter_map(|key| match key {
            KeyValue::Asked { sql, columns } => Some((sql.as_str(), columns)),
            _ => None,
        })
    }
}
