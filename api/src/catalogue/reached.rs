//! How far a generation had come, as one snapshot has it. Invariant: all of it comes from one row of one statement.

use sqlx::postgres::PgRow;

use super::failure::Failure;
use super::log::Log;
use super::position::Position;
use super::view::View;
use crate::database::{Binds, Database, DatabaseError, Statement, get};

const FRESHNESS: &str = include_str!("freshness.sql");

/// How far a generation had come.
#[derive(Debug)]
pub(crate) struct Reached {
    pub(crate) position: Position,
    /// The position as a header has it.
    pub(crate) header: String,
    /// Grows with what is parked and retried, which changes rows and moves no position.
    pub(crate) parked_version: i64,
    /// When a position moved last, in milliseconds since 1970.
    moved_ms: Option<i64>,
}

impl Reached {
    /// As many [`Self::select`] reads without others.
    pub(crate) const COLUMNS: usize = 6;

    /// The text of a statement that reads how far the generation of `view` has come and, of the same snapshot, `columns`,
    /// each of which goes on with a comma.
    pub(crate) fn select(view: &View, columns: &str, binds: &mut Binds) -> String {
        let model = binds.add(&view.model, "text");
        let reached = Self::of_schema(&view.schema);
        format!(
            "SELECT m.live, f.*{columns} FROM vitrina.model m CROSS JOIN LATERAL ({reached}) f WHERE m.model = {model}"
        )
    }

    /// What a statement reads of the generation whose schema this is.
    pub(crate) fn of_schema(schema: &str) -> String {
        FRESHNESS.replace("{schema}", schema)
    }

    /// It alone, without a look at the view's table.
    pub(crate) async fn read(database: &Database, view: &View) -> Result<Self, Failure> {
        let mut binds = Binds::default();
        let text = Self::select(view, "", &mut binds);
        let row = database.first(Statement::fixed(text, binds)).await?;
        Ok(Self::live(row.as_ref(), view)?)
    }

    /// Of a row that [`Self::select`] made; `Stale` where another generation is live by now.
    pub(crate) fn live(row: Option<&PgRow>, view: &View) -> Result<Self, DatabaseError> {
        let stale = || DatabaseError::Stale(format!("{} is another generation's", view.model));
        let row = row.ok_or_else(stale)?;
        if get::<Option<i32>>(row, "live")? != Some(view.generation) {
            return Err(stale());
        }
        Self::of(row)
    }

    pub(crate) fn of(row: &PgRow) -> Result<Self, DatabaseError> {
        let topics = get::<Option<Vec<String>>>(row, "topics")?.unwrap_or_default();
        let partitions = get::<Option<Vec<i32>>>(row, "partitions")?.unwrap_or_default();
        let next_offsets = get::<Option<Vec<i64>>>(row, "next_offsets")?.unwrap_or_default();
        let rows = topics.iter().zip(partitions).zip(next_offsets);
        let position =
            Position::of(rows.map(|((topic, partition), next)| (&**topic, partition, next)));
        Ok(Self {
            header: position.to_string(),
            position,
            parked_version: get::<Option<i64>>(row, "parked_version")?.unwrap_or_default(),
            moved_ms: get(row, "moved_ms")?,
        })
    }

    /// Up to when the log is reflected, in milliseconds since 1970. Who is at the log's ends is as fresh as the ends are
    /// known to be.
    pub(crate) fn as_of(&self, log: &Log) -> Option<i64> {
        match log.behind(&self.position) {
            Some(0) => log.seen_ms(),
            _ => self.moved_ms,
        }
    }
}
