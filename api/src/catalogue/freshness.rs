//! How fresh an answer is. Invariant: positions and rows come from one statement, so from one snapshot.

use std::collections::BTreeMap;
use std::time::{Duration, UNIX_EPOCH};

use serde::Serialize;
use sqlx::postgres::PgRow;

use super::failure::Failure;
use super::listing::Catalogue;
use super::log::Log;
use super::position::Position;
use super::view::View;
use crate::database::{Binds, Database, DatabaseError, Snapshot, Statement, get};

const FRESHNESS: &str = include_str!("freshness.sql");

/// What an answer says of itself.
#[derive(Debug, Serialize)]
pub(crate) struct Freshness {
    view: String,
    generation: i32,
    /// RFC 3339: the log is reflected up to here. `None` where nothing was read yet.
    as_of: Option<String>,
    lag_ms: Option<i64>,
    position: Position,
    /// The position as a header has it.
    #[serde(skip)]
    pub(crate) header: String,
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

/// How far a generation had come in one snapshot.
struct Reached {
    position: Position,
    parked_version: i64,
    /// When a position moved last, in milliseconds since 1970.
    moved_ms: Option<i64>,
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

    /// The freshness alone, of a snapshot.
    pub(crate) async fn read_in(snapshot: &mut Snapshot, view: &View) -> Result<Self, Failure> {
        let mut binds = Binds::default();
        let text = Self::select(view, "", "", &mut binds);
        let row = snapshot.first(Statement::fixed(text, binds)).await?;
        Self::of(row.as_ref(), view)
    }

    /// Of a row that [`Self::select`] made; `Stale` where another generation is live by now.
    pub(crate) fn of(row: Option<&PgRow>, view: &View) -> Result<Self, Failure> {
        let row = row.ok_or(Failure::Stale)?;
        if get::<Option<i32>>(row, "live")? != Some(view.generation) {
            return Err(Failure::Stale);
        }
        let reached = Reached::of(row)?;
        Ok(Self {
            view: view.name.clone(),
            generation: view.generation,
            as_of: reached.as_of(&view.log).map(rfc3339),
            lag_ms: view.log.lag_ms,
            header: reached.position.to_string(),
            position: reached.position,
            parked_version: reached.parked_version,
        })
    }
}

impl Reached {
    fn of(row: &PgRow) -> Result<Self, DatabaseError> {
        let topics = get::<Option<Vec<String>>>(row, "topics")?.unwrap_or_default();
        let partitions = get::<Option<Vec<i32>>>(row, "partitions")?.unwrap_or_default();
        let next_offsets = get::<Option<Vec<i64>>>(row, "next_offsets")?.unwrap_or_default();
        let rows = topics.iter().zip(partitions).zip(next_offsets);
        Ok(Self {
            position: Position::of(
                rows.map(|((topic, partition), next)| (&**topic, partition, next)),
            ),
            parked_version: get::<Option<i64>>(row, "parked_version")?.unwrap_or_default(),
            moved_ms: get(row, "moved_ms")?,
        })
    }

    /// Who is at the log's ends is as fresh as the ends are known to be.
    fn as_of(&self, log: &Log) -> Option<i64> {
        match log.behind(&self.position) {
            Some(0) => log.seen_ms(),
            _ => self.moved_ms,
        }
    }
}

impl Lag {
    /// The lag of every model that has views, by name. The schemas are in the statement's text, for a view over all of them
    /// would be planned anew, and whole, at each call.
    pub(crate) async fn read(
        database: &Database,
        catalogue: &Catalogue,
    ) -> Result<BTreeMap<String, Self>, DatabaseError> {
        let models: BTreeMap<&str, &View> =
            catalogue.views.values().map(|view| (&*view.model, &**view)).collect();
        let mut binds = Binds::default();
        let selects: Vec<String> = models
            .values()
            .map(|view| {
                let model = binds.add(&view.model, "text");
                format!("SELECT {model} AS model, f.* FROM ({}) f", of_schema(&view.schema))
            })
            .collect();
        if selects.is_empty() {
            return Ok(BTreeMap::new());
        }
        let rows = database.all(Statement::free(selects.join(" UNION ALL "), binds)).await?;
        let mut lags = BTreeMap::new();
        for row in &rows {
            let model: String = get(row, "model")?;
            if let Some(View { log, .. }) = models.get(&*model) {
                let events = log.behind(&Reached::of(row)?.position);
                lags.insert(model, Self { events, ms: log.lag_ms });
            }
        }
        Ok(lags)
    }
}

fn of_schema(schema: &str) -> String {
    FRESHNESS.replace("{schema}", schema)
}

fn rfc3339(ms: i64) -> String {
    let since = Duration::from_millis(ms.max(0).unsigned_abs());
    humantime::format_rfc3339_millis(UNIX_EPOCH + since).to_string()
}
