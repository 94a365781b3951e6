//! One view, its columns and its indexes, with every name already quoted by Postgres.

use std::sync::Arc;

use serde::Deserialize;
use vitrina_sql::RelationRights;

use super::freshness::Freshness;
use super::gauge::Gauge;
use super::log::Log;
use super::rows::Rows;
use super::seal::Seal;
use crate::database::{Binds, DatabaseError, Gather};

/// A column of a view.
#[derive(Debug, Clone, Deserialize)]
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
    /// Whether comparing two of its values may fail.
    pub(crate) fallible: bool,
    pub(crate) comment: Option<String>,
}

/// A valid, whole btree index of plain columns.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Index {
    pub(crate) primary: bool,
    pub(crate) columns: Vec<Indexed>,
}

/// A column of an index, in the direction of a forward scan.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct Indexed {
    pub(crate) column: String,
    pub(crate) descending: bool,
    pub(crate) nulls_first: bool,
}

/// What was found under a key.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub(crate) freshness: Arc<Freshness>,
    /// The row's JSON text; none where there is no such row.
    pub(crate) row: Option<String>,
}

/// A table or a SQL view of a model's live generation.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct View {
    pub(crate) name: String,
    pub(crate) model: String,
    pub(crate) generation: i32,
    /// The generation's serial, which no other generation ever has.
    pub(crate) serial: i64,
    /// The generation's schema as SQL writes it.
    pub(crate) schema: String,
    /// Schema and name as SQL writes them.
    relation: String,
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
    /// Where those who look for rows by key meet. A clone has another one, so nobody meets a reader who sees other rows or
    /// columns.
    #[serde(skip)]
    pub(crate) lookups: Gather<Vec<String>, Result<Found, DatabaseError>>,
    /// Who may read what, where it is written: by the file that was proposed last, and by the generation's text.
    pub(crate) rights: Option<Vec<Option<RelationRights>>>,
    /// The rows that may be read; without a reader, all.
    #[serde(skip)]
    pub(crate) rows: Rows,
    /// Tells what a reader sees of it from what others see; empty without a reader.
    #[serde(skip)]
    pub(crate) scope: String,
    /// What cursors are sealed with, where a column may not be read.
    #[serde(skip)]
    pub(crate) seal: Option<Arc<Seal>>,
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

    /// What stands behind `FROM` for those of its rows, called `t`, that may be read and meet all of `conditions`. Where these
    /// may fail, they never see another row, nor one that a SQL view leaves out.
    pub(crate) fn only(&self, conditions: &[String], may_fail: bool, binds: &mut Binds) -> String {
        let rows = (!self.rows.is_all()).then(|| self.rows.sql(binds));
        let hides = rows.is_some() || self.is_view && !self.scope.is_empty();
        let (relation, rows) = (&self.relation, rows.as_deref().unwrap_or("true"));
        let conditions = match conditions {
            [] => "true".to_owned(),
            conditions => conditions.join(" AND "),
        };
        match may_fail && hides {
            true => {
                format!("(SELECT * FROM {relation} t WHERE {rows} OFFSET 0) t WHERE {conditions}")
            }
            false => format!("{relation} t WHERE {rows} AND {conditions}"),
        }
    }

    /// A condition that may take long, on a relation called `t`: on a row that may not be read it is never tried, however the
    /// planner would put the conditions, or the time taken would tell of it.
    pub(crate) fn readable_first(&self, condition: String, binds: &mut Binds) -> String {
        match self.rows.is_all() {
            true => condition,
            false => format!("CASE WHEN {} THEN {condition} END", self.rows.sql(binds)),
        }
    }

    /// Whether its reader may know all that Postgres's planner goes by: it guesses by what stands in hidden rows and columns,
    /// too, and in the tables behind a SQL view.
    pub(crate) fn may_be_guessed(&self) -> bool {
        self.scope.is_empty() || !self.is_view && self.rows.is_all() && self.seal.is_none()
    }

    /// Its columns, of a relation called `t`.
    pub(crate) fn all_columns(&self) -> String {
        let columns = self.columns.iter().map(|column| format!("t.{}", column.quoted));
        columns.collect::<Vec<_>>().join(", ")
    }

    /// Whether a key tells its rows apart: not those of a SQL view, nor where some of the key may not be read.
    pub(crate) fn is_keyed(&self) -> bool {
        self.indexes.iter().any(|index| index.primary)
    }

    /// The primary key's columns in its order; none where it is not keyed.
    pub(crate) fn key(&self) -> Vec<&Column> {
        let primary = self.indexes.iter().find(|index| index.primary);
        primary
            .into_iter()
            .flat_map(|index| &index.columns)
            .filter_map(|key| self.column(&key.column))
            .collect()
    }
}
