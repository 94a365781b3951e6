//! How fresh an answer is. Invariant: positions and rows come from one statement, so from one snapshot.

use serde::Serialize;
use sqlx::postgres::PgRow;

use super::failure::Failure;
use super::view::View;
use crate::database::{Binds, Database, DatabaseError, Statement, get};

const FRESHNESS: &str = include_str!("freshness.sql");

/// What an answer says of itself.
#[derive(Debug, Serialize)]
pub(crate) struct Freshness {
    view: String,
    generation: i32,
    /// RFC 3339: the log is reflected up to here. `None` where nothing was read yet.
    as_of: Option<String>,
    lag_ms: Option<i64>,
    /// `topic;p=3;o=1842, …`: the last offset applied of each partition.
    pub(crate) position: String,
}

/// How far a model is behind its log; `None`: nobody says.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Lag {
    events: Option<i64>,
    ms: Option<i64>,
}

impl Freshness {
    /// The text of a statement that reads the freshness of `view` and, of the same snapshot, `columns` of `from`
    /// (either may be empty; else they go on with a comma and a join).
    pub(crate) fn select(view: &View, columns: &str, from: &str, binds: &mut Binds) -> String {
        let model = binds.add(&view.model, "text");
        format!(
            "SELECT m.live, f.*{columns} FROM vitrina.model m CROSS JOIN LATERAL ({FRESHNESS}) f{from} WHERE m.model = {model}"
        )
    }

    /// The freshness alone, without a look at the view's table.
    pub(crate) async fn read(database: &Database, view: &View) -> Result<Self, Failure> {
        let mut binds = Binds::default();
        let text = Self::select(view, "", "", &mut binds);
        let row = database.first(Statement::fixed(text, binds)).await?;
        Self::of(row.as_ref(), view)
    }

    /// Of a row that [`Self::select`] made; `Stale` where another generation is live by now.
    pub(crate) fn of(row: Option<&PgRow>, view: &View) -> Result<Self, Failure> {
        let row = row.ok_or(Failure::Stale)?;
        if get::<Option<i32>>(row, "live")? != Some(view.generation) {
            return Err(Failure::Stale);
        }
        Ok(Self {
            view: view.name.clone(),
            generation: view.generation,
            as_of: get(row, "as_of")?,
            lag_ms: get(row, "lag_ms")?,
            position: get::<Option<String>>(row, "position")?.unwrap_or_default(),
        })
    }
}

impl Lag {
    /// The lag of every model that has a live generation, by name.
    pub(crate) async fn read(database: &Database) -> Result<Vec<(String, Self)>, DatabaseError> {
        let text = format!(
            "SELECT m.model, f.behind, f.lag_ms FROM vitrina.model m CROSS JOIN LATERAL ({FRESHNESS}) f WHERE m.live IS NOT NULL"
        );
        let rows = database.all(Statement::fixed(text, Binds::default())).await?;
        rows.iter().map(|row| Ok((get(row, "model")?, Self::of(row)?))).collect()
    }

    fn of(row: &PgRow) -> Result<Self, DatabaseError> {
        Ok(Self { events: get(row, "behind")?, ms: get(row, "lag_ms")? })
    }
}
