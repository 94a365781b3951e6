//! One view, its columns and its indexes, with every name already quoted by Postgres.

use std::sync::Arc;

use serde::Deserialize;

use super::gauge::Gauge;
use super::log::Log;

/// A column of a view.
#[derive(Debug, Deserialize)]
pub(crate) struct Column {
    pub(crate) name: String,
    /// The name as SQL writes it.
    pub(crate) quoted: String,
    /// The type as declared, for people.
    pub(crate) display: String,
    /// The type without length or precision: a cast to it refuses a value, it never cuts or rounds it.
    pub(crate) cast: String,
    pub(crate) nullable: bool,
    /// Whether `like` makes sense: text and its relatives.
    pub(crate) textual: bool,
    /// Whether its values may be read by the clock: dates, times, and arrays and ranges of them.
    pub(crate) temporal: bool,
    /// Whether values that its type's order takes for equal are the same in every way.
    pub(crate) exact: bool,
    pub(crate) comment: Option<String>,
}

/// A valid, whole btree index of plain columns.
#[derive(Debug, Deserialize)]
pub(crate) struct Index {
    pub(crate) primary: bool,
    pub(crate) columns: Vec<Indexed>,
}

/// A column of an index, in the direction of a forward scan.
#[derive(Debug, Deserialize)]
pub(crate) struct Indexed {
    pub(crate) column: String,
    pub(crate) descending: bool,
    pub(crate) nulls_first: bool,
}

/// A table or a SQL view of a model's live generation.
#[derive(Debug, Deserialize)]
pub(crate) struct View {
    pub(crate) name: String,
    pub(crate) model: String,
    pub(crate) generation: i32,
    /// The generation's serial, which no other generation ever has.
    pub(crate) serial: i64,
    /// The generation's schema as SQL writes it.
    pub(crate) schema: String,
    /// Schema and name as SQL writes them.
    pub(crate) relation: String,
    /// The table's own name as SQL writes it.
    pub(crate) table: String,
    pub(crate) is_view: bool,
    pub(crate) comment: Option<String>,
    pub(crate) columns: Vec<Column>,
    pub(crate) indexes: Vec<Index>,
    /// The log of the view's model.
    pub(crate) log: Log,
    /// How far its generation has come: one for all views of it, and all readers.
    #[serde(skip)]
    pub(crate) gauge: Arc<Gauge>,
}

impl View {
    pub(crate) fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }

    pub(crate) fn column_names(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().map(|column| column.name.as_str())
    }

    /// The table's name without its model's.
    pub(crate) fn table_name(&self) -> &str {
        let table = self.name.strip_prefix(&*self.model).and_then(|rest| rest.strip_prefix('.'));
        table.unwrap_or(&self.name)
    }

    /// The primary key's columns in its order; none for a SQL view.
    pub(crate) fn key(&self) -> Vec<&Column> {
        let primary = self.indexes.iter().find(|index| index.primary);
        primary
            .into_iter()
            .flat_map(|index| &index.columns)
            .filter_map(|key| self.column(&key.column))
            .collect()
    }
}
