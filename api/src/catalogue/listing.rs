//! All views at one moment, in one statement.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use sqlx::Row;

use super::gauge::Gauge;
use super::seal::Secret;
use super::sights::Sights;
use super::view::View;
use crate::database::{Binds, Database, DatabaseError, Statement, get};
use crate::problem::{Kind, Problem};

/// All views at one moment.
#[derive(Debug, Clone)]
pub(crate) struct Catalogue {
    pub(crate) read_at: Instant,
    pub(crate) views: BTreeMap<String, Arc<View>>,
    /// What cursors are sealed with.
    pub(crate) secret: Secret,
    /// What readers see of the views.
    pub(crate) sights: Arc<Sights>,
}

impl Catalogue {
    /// Reads it, and takes over what the one before has of generations that are still live.
    pub(crate) async fn read(
        database: &Database,
        before: Option<&Self>,
    ) -> Result<Self, DatabaseError> {
        // Taken before the reading: what changes meanwhile belongs to the next one.
        let read_at = Instant::now();
        let statement = Statement::fixed(include_str!("catalogue.sql"), Binds::default());
        let mut views = BTreeMap::new();
        let mut gauges: BTreeMap<i64, Arc<Gauge>> = BTreeMap::new();
        if let Some(before) = before {
            gauges.extend(before.views.values().map(|view| (view.serial, view.gauge.clone())));
        }
        for row in database.all(statement).await? {
            let mut view: View =
                serde_json::from_str(row.try_get::<&str, _>(0)?).map_err(|error| {
                    DatabaseError::Other(format!("the catalogue cannot be read: {error}"))
                })?;
            view.gauge = gauges.entry(view.serial).or_default().clone();
            views.insert(view.name.clone(), Arc::new(view));
        }
        let live: BTreeSet<i64> = views.values().map(|view| view.serial).collect();
        gauges.retain(|serial, _| !live.contains(serial));
        gauges.values().for_each(|gauge| gauge.supersede());
        let secret = "SELECT value FROM vitrina.secret WHERE name = 'cursor'";
        let secret = database.first(Statement::fixed(secret, Binds::default())).await?;
        let secret = secret.ok_or_else(|| {
            DatabaseError::Other("vitrina.secret has no row `cursor`: put one there".to_owned())
        })?;
        let secret = Secret::new(get(&secret, "value")?);
        Ok(Self { read_at, views, secret, sights: Arc::default() })
    }

    pub(crate) fn view(&self, name: &str) -> Result<Arc<View>, Problem> {
        self.views.get(name).cloned().ok_or_else(|| {
            let near = self.near(name);
            Problem::new(
                Kind::UnknownView,
                format!("There is no view `{name}`.{near} GET /v1/views lists all of them."),
            )
        })
    }

    /// ` Did you mean …?`: a table's name without its model's means that table, a model's all of its tables; else what is
    /// close.
    fn near(&self, name: &str) -> String {
        let is_table = |view: &View| {
            let whole = format!("{}.{}", view.model, view.table_name());
            [view.table_name(), &whole].iter().any(|known| name.eq_ignore_ascii_case(known))
        };
        let is_model = |view: &View| name.eq_ignore_ascii_case(&view.model);
        let means = |meant: &dyn Fn(&View) -> bool| -> Vec<&str> {
            self.views.values().filter(|view| meant(view)).map(|view| &*view.name).collect()
        };
        let mut meant = means(&is_table);
        if meant.is_empty() {
            meant = means(&is_model);
        }
        if meant.is_empty() {
            let tables = self.views.values().map(|view| (view.table_name(), &*view.name));
            let names: BTreeMap<&str, &str> =
                tables.chain(self.views.keys().map(|name| (&**name, &**name))).collect();
            let near = vitrina_sql::nearest(name, names.keys().copied());
            meant.extend(near.map(|near| names[near]));
        }
        match meant.is_empty() {
            true => String::new(),
            false => format!(" Did you mean `{}`?", meant.join("` or `")),
        }
    }
}
