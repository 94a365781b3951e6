//! How fresh an answer is. Invariant: positions and rows come from one statement, so from one snapshot.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use serde::{Serialize, Serializer};
use sqlx::postgres::PgRow;

use super::failure::Failure;
use super::listing::Catalogue;
use super::reached::Reached;
use super::view::View;
use crate::database::{Binds, Database, DatabaseError, Snapshot, Statement, get};

/// What an answer says of itself.
#[derive(Debug, Serialize)]
pub(crate) struct Freshness {
    view: String,
    generation: i32,
    /// RFC 3339: the log is reflected up to here. `None` where nothing was read yet.
    as_of: Option<String>,
    lag_ms: Option<i64>,
    #[serde(rename = "position", serialize_with = "position")]
    pub(crate) reached: Arc<Reached>,
}

/// How far a model is behind its log; `None`: nobody says.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Lag {
    events: Option<i64>,
    ms: Option<i64>,
}

impl Freshness {
    /// As [`Reached::select`].
    pub(crate) fn select(view: &View, columns: &str, from: &str, binds: &mut Binds) -> String {
        let tried = match view.rows.is_all() {
            true => String::new(),
            false => format!(", {} AS tried", binds.tried()),
        };
        Reached::select(view, &format!("{columns}{tried}"), from, binds)
    }

    /// The freshness alone, of a snapshot.
    pub(crate) async fn read_in(snapshot: &mut Snapshot, view: &View) -> Result<Self, Failure> {
        let mut binds = Binds::default();
        let text = Self::select(view, "", "", &mut binds);
        let row = snapshot.first(Statement::fixed(text, binds)).await?;
        Ok(Self::of(row.as_ref(), view)?)
    }

    /// Of a row that [`Self::select`] made; `Stale` where another generation is live by now.
    pub(crate) fn of(row: Option<&PgRow>, view: &View) -> Result<Self, DatabaseError> {
        Ok(Self::new(view, Arc::new(Reached::live(row, view)?)))
    }

    pub(crate) fn new(view: &View, reached: Arc<Reached>) -> Self {
        Self {
            view: view.name.clone(),
            generation: view.generation,
            as_of: reached.as_of(&view.log).map(rfc3339),
            lag_ms: view.log.lag_ms,
            reached,
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
                format!(
                    "SELECT {model} AS model, f.* FROM ({}) f",
                    Reached::of_schema(&view.schema)
                )
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

fn position<S: Serializer>(reached: &Reached, serializer: S) -> Result<S::Ok, S::Error> {
    reached.position.serialize(serializer)
}

fn rfc3339(ms: i64) -> String {
    let since = Duration::from_millis(ms.max(0).unsigned_abs());
    humantime::format_rfc3339_millis(UNIX_EPOCH + since).to_string()
}
