//! The catalogue in memory. Invariant: at most one reading of it at a time, and none is older than [`MAX_AGE`] when a
//! request begins.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, watch};

use super::listing::Catalogue;
use crate::database::{Database, DatabaseError};

/// A little under a second, so that a swap or a new index is followed within one.
const MAX_AGE: Duration = Duration::from_millis(900);

pub(crate) struct Directory {
    latest: watch::Sender<Option<Arc<Catalogue>>>,
    turn: Mutex<()>,
}

impl Directory {
    pub(crate) fn new() -> Self {
        Self { latest: watch::Sender::new(None), turn: Mutex::new(()) }
    }

    pub(crate) async fn current(
        &self,
        database: &Database,
    ) -> Result<Arc<Catalogue>, DatabaseError> {
        match self.latest() {
            Some(catalogue) if catalogue.read_at.elapsed() < MAX_AGE => Ok(catalogue),
            old => self.newer(database, old.as_ref()).await,
        }
    }

    /// A catalogue read after `old`, by whoever came first.
    pub(crate) async fn newer(
        &self,
        database: &Database,
        old: Option<&Arc<Catalogue>>,
    ) -> Result<Arc<Catalogue>, DatabaseError> {
        let _turn = self.turn.lock().await;
        if let Some(latest) = self.latest()
            && !old.is_some_and(|old| Arc::ptr_eq(old, &latest))
        {
            return Ok(latest);
        }
        let catalogue = Arc::new(Catalogue::read(database, self.latest().as_deref()).await?);
        self.latest.send_replace(Some(catalogue.clone()));
        Ok(catalogue)
    }

    fn latest(&self) -> Option<Arc<Catalogue>> {
        self.latest.borrow().clone()
    }
}
