//! All views at one moment, in one statement.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use sqlx::Row;

use super::view::View;
use crate::database::{Binds, Database, DatabaseError, Statement};
use crate::problem::{Kind, Problem, suggestion};

/// All views at one moment.
#[derive(Debug)]
pub(crate) struct Catalogue {
    pub(crate) read_at: Instant,
    pub(crate) views: BTreeMap<String, Arc<View>>,
}

impl Catalogue {
    pub(crate) async fn read(database: &Database) -> Result<Self, DatabaseError> {
        // Taken before the reading: what changes meanwhile belongs to the next one.
        let read_at = Instant::now();
        let statement = Statement::fixed(include_str!("catalogue.sql"), Binds::default());
        let mut views = BTreeMap::new();
        for row in database.all(statement).await? {
            let view: View = serde_json::from_str(row.try_get::<&str, _>(0)?).map_err(|error| {
                DatabaseError::Other(format!("the catalogue cannot be read: {error}"))
            })?;
            views.insert(view.name.clone(), Arc::new(view));
        }
        Ok(Self { read_at, views })
    }

    pub(crate) fn view(&self, name: &str) -> Result<Arc<View>, Problem> {
        self.views.get(name).cloned().ok_or_else(|| {
            let near = suggestion(name, self.views.keys().map(String::as_str));
            Problem::new(
                Kind::UnknownView,
                format!("There is no view `{name}`.{near} GET /v1/views lists all of them."),
            )
        })
    }
}
