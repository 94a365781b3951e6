//! Records without a value, as an event relation of their context: a contract of one version that has no field, so that
//! whatever runs contracts runs them, too. It stands beside a context's events and is none: nothing is written by it.

use std::sync::Arc;

use crate::contract::{Contract, Version};
use crate::schema::Schema;

/// The relation's name within its context, which no event may bear.
pub(crate) const TOMBSTONE: &str = "tombstone";

impl Contract {
    /// The records without a value of a context.
    pub(crate) fn tombstone(context: &str) -> Self {
        let version = Version {
            number: 1,
            schema: Arc::new(Schema::empty_record(TOMBSTONE)),
            json: String::new(),
            columns: Vec::new(),
            upcast_file: String::new(),
            written: Vec::new(),
            upcast: Vec::new(),
        };
        Self {
            context: context.to_owned(),
            name: TOMBSTONE.to_owned(),
            full_names: Vec::new(),
            versions: vec![version],
            files: Vec::new(),
        }
    }

    /// Whether its events are the records without a value.
    pub fn is_tombstone(&self) -> bool {
        self.name == TOMBSTONE
    }
}
