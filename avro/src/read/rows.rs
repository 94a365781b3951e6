//! The decoded events of one version, column by column. An event is in all columns or in none; cleared rows keep their
//! memory, so that the next batch allocates nothing.

use crate::value::column::{Column, ColumnType, Values};

/// Values of one version, in the order of the columns that it was made for.
#[derive(Debug, Clone)]
pub struct Rows {
    pub values: Vec<Values>,
    /// The ids by which duplicates are known, as bytes; null where an event has none.
    pub(crate) identities: Values,
}

impl Rows {
    pub fn new(columns: &[Column]) -> Self {
        Self {
            values: columns.iter().map(|column| Values::new(column.ty)).collect(),
            identities: Values::new(ColumnType::Bytea),
        }
    }

    /// Events.
    pub fn len(&self) -> usize {
        self.identities.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes held, for bounds on a batch's size.
    pub fn bytes(&self) -> usize {
        self.values.iter().map(Values::bytes).sum()
    }

    /// Drops the events from `rows` on.
    pub fn truncate(&mut self, rows: usize) {
        self.values
            .iter_mut()
            .chain([&mut self.identities])
            .for_each(|values| values.truncate(rows));
    }

    /// Forgets all events and keeps the memory.
    pub fn clear(&mut self) {
        self.values.iter_mut().chain([&mut self.identities]).for_each(Values::clear);
    }
}
