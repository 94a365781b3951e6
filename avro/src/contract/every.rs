//! All events of all contexts as one event relation, `every.event`: a contract of one version, so that whatever runs
//! contracts runs it, too. Its columns say which event it is, and show it as its newest version has it. It stands for the
//! contracts of the events and is none: nothing is written by it.

use std::sync::Arc;

use crate::contract::{Contract, Contracts, Version};
use crate::schema::Schema;
use crate::value::column::{Column, ColumnType};

/// Its name, which no context may bear.
pub(crate) const EVERY: &str = "every";
const EVENT: &str = "event";

/// Its columns besides the metadata: the event's own relation, the version that its writer's schema is read as, the
/// contract's kind, and the row of the newest version.
pub(crate) const TYPE: &str = "_type";
pub(crate) const VERSION: &str = "_version";
pub(crate) const KIND: &str = "_kind";
pub(crate) const PAYLOAD: &str = "_payload";

impl Contract {
    /// What stands for these events.
    pub(crate) fn every(events: Vec<Arc<Self>>) -> Self {
        let column =
            |(name, ty, nullable): (&str, _, _)| Column { name: name.into(), ty, nullable };
        let columns = [
            (TYPE, ColumnType::Text, false),
            (VERSION, ColumnType::Int4, false),
            (KIND, ColumnType::Text, true),
            (PAYLOAD, ColumnType::Jsonb, false),
        ];
        let version = Version {
            number: 1,
            schema: Arc::new(Schema::record_of(EVENT, None)),
            json: String::new(),
            columns: columns.map(column).to_vec(),
            upcast_file: String::new(),
            written: Vec::new(),
            upcast: Vec::new(),
        };
        Self {
            context: EVERY.to_owned(),
            name: EVENT.to_owned(),
            kind: None,
            purpose: None,
            full_names: Vec::new(),
            versions: vec![version],
            files: Vec::new(),
            stands_for: events,
        }
    }

    /// Whether it is `every.event`.
    pub fn is_every(&self) -> bool {
        self.context == EVERY
    }

    /// The contracts whose events the relation holds: its own, or all.
    pub fn events(self: &Arc<Self>) -> &[Arc<Self>] {
        if self.is_every() { &self.stands_for } else { std::slice::from_ref(self) }
    }
}

impl Contracts {
    /// `every.event`, where the contracts of all events are known.
    pub(crate) fn every_event(&self) -> Option<Arc<Contract>> {
        let known = !self.contexts.is_empty() && self.broken.is_empty();
        let events = self.contexts.values().flat_map(|context| context.events.values().cloned());
        known.then(|| Arc::new(Contract::every(events.collect())))
    }
}
