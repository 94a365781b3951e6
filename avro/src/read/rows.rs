//! The decoded events of one version, column by column. An event is in all columns or in none; cleared rows keep their
//! memory, so that the next batch allocates nothing.

use crate::value::column::{Column, ColumnType, Values};

/// Where an event's values are: the relation, as an index into the layouts; the version, as one into the layout's
/// versions; the row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    pub layout: usize,
    pub version: usize,
    pub row: u32,
}

/// An event's values: in the relation of its own type, in `every.event`, or in both.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct EventRows([Option<Row>; 2]);

impl EventRows {
    /// One after another, at most two.
    pub fn iter(&self) -> impl Iterator<Item = Row> + Clone + use<> {
        self.0.into_iter().flatten()
    }

    /// The one in this relation.
    pub fn of(&self, layout: usize) -> Option<Row> {
        self.iter().find(|row| row.layout == layout)
    }

    /// Whether both events are in some relation.
    pub fn meets(&self, other: &Self) -> bool {
        self.iter().any(|row| other.of(row.layout).is_some())
    }

    /// Adds one of another relation.
    pub(crate) fn add(&mut self, row: Row) {
        self.0 = [self.0[0].or(Some(row)), self.0[0].and(Some(row))];
    }
}

impl From<Row> for EventRows {
    fn from(row: Row) -> Self {
        Self([Some(row), None])
    }
}

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
