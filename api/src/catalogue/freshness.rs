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

/// Rows that are read together with the freshness.
pub(crate) struct Below {
    /// Expressions, each with its type.
    pub(crate) values: Vec<(String, &'static str)>,
    /// What they are of, in its order.
    pub(crate) from: String,
}

/// How far a model is behind its log; `None`: nobody says.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Lag {
    events: Option<i64>,
    ms: Option<i64>,
}

impl Freshness {
    /// The text of a statement whose first row is the freshness with `told`, and whose others are those `below` of the same
    /// snapshot, whose values are their last.
    pub(crate) fn above(
        view: &View,
        told: Option<&str>,
        below: &Below,
        binds: &mut Binds,
    ) -> String {
        let tried = tried(view, binds);
        let own: Vec<&str> = told.into_iter().chain(tried.as_deref()).collect();
        let none = below.values.iter().map(|(_, ty)| format!("NULL::{ty}"));
        let columns = own.iter().map(|own| (*own).to_owned()).chain(none);
        let freshness = Reached::select(
            view,
            &columns.map(|one| format!(", {one}")).collect::<String>(),
            binds,
        );
        let none = std::iter::repeat_n("NULL", Reached::COLUMNS + own.len());
        let values = none.chain(below.values.iter().map(|(value, _)| value.as_str()));
        let values: Vec<&str> = values.collect();
        format!("{freshness} UNION ALL (SELECT {} FROM {})", values.join(", "), below.from)
    }

    /// The freshness alone, of a snapshot.
    pub(crate) async fn read_in(snapshot: &mut Snapshot, view: &View) -> Result<Self, Failure> {
        let mut binds = Binds::default();
        let tried = tried(view, &binds).map(|tried| format!(", {tried}"));
        let text = Reached::select(view, &tried.unwrap_or_default(), &mut binds);
        let row = snapshot.first(Statement::fixed(text, binds)).await?;
        Ok(Self::of(row.as_ref(), view)?)
    }

    /// Of the first row of [`Self::above`]; `Stale` where another generation is live by now.
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

/// What fails where a claim is not of the type that it is compared as; none where all rows may be read.
fn tried(view: &View, binds: &Binds) -> Option<String> {
    (!view.rows.is_all()).then(|| binds.tried())
}

fn position<S: Serializer>(reached: &Reached, serializer: S) -> Result<S::Ok, S::Error> {
    reached.position.serialize(serializer)
}

fn rfc3339(ms: i64) -> String {
    let since = Duration::from_millis(ms.max(0).unsigned_abs());
    humantime::format_rfc3339_millis(UNIX_EPOCH + since).to_string()
}
