//! How fresh an answer is. Invariant: positions and rows come from one statement, so from one snapshot.

use std::collections::BTreeMap;

use serde::Serialize;
use sqlx::postgres::PgRow;

use super::failure::Failure;
use super::listing::Catalogue;
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
    /// Grows with what is parked and retried, which changes rows and moves no position.
    #[serde(skip)]
    pub(crate) parked_version: i64,
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
        let freshness = of_schema(&view.schema);
        format!(
            "SELECT m.live, f.*{columns} FROM vitrina.model m CROSS JOIN LATERAL ({freshness}) f{from} WHERE m.model = {model}"
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
            parked_version: get::<Option<i64>>(row, "parked_version")?.unwrap_or_default(),
        })
    }
}

impl Lag {
    /// The lag of every model that has views, by name. The schemas are in the statement's text, for a view over all of them
    /// would be planned anew, and whole, at each call.
    pub(crate) async fn read(
        database: &Database,
        catalogue: &Catalogue,
    ) -> Result<Vec<(String, Self)>, DatabaseError> {
        let schemas: BTreeMap<&str, &str> =
            catalogue.views.values().map(|view| (&*view.model, &*view.schema)).collect();
        let mut binds = Binds::default();
        let of_model = |(model, schema): (&str, &str)| {
            let (model, freshness) = (binds.add(model, "text"), of_schema(schema));
            format!(
                "SELECT m.model, f.behind, f.lag_ms FROM vitrina.model m CROSS JOIN LATERAL ({freshness}) f WHERE m.model = {model}"
            )
        };
        let selects: Vec<String> = schemas.into_iter().map(of_model).collect();
        if selects.is_empty() {
            return Ok(Vec::new());
        }
        let rows = database.all(Statement::free(selects.join(" UNION ALL "), binds)).await?;
        rows.iter().map(|row| Ok((get(row, "model")?, Self::of(row)?))).collect()
    }

    fn of(row: &PgRow) -> Result<Self, DatabaseError> {
        Ok(Self { events: get(row, "behind")?, ms: get(row, "lag_ms")? })
    }
}

fn of_schema(schema: &str) -> String {
    FRESHNESS.replace("{schema}", schema)
}
