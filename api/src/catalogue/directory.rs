//! The catalogue in memory. Invariant: at most one reading of it at a time, and none is older than [`MAX_AGE`] when a
//! request begins. Where requests follow each other, it is renewed before any of them has to wait for it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, watch};

use super::listing::Catalogue;
use crate::database::{Database, DatabaseError};

/// A little under a second, so that a swap or a new index is followed within one.
const MAX_AGE: Duration = Duration::from_millis(900);

/// As old as this it is renewed beside the request that finds it so.
const RENEWED: Duration = Duration::from_millis(450);

#[derive(Clone)]
pub(crate) struct Directory {
    latest: watch::Sender<Option<Arc<Catalogue>>>,
    turn: Arc<Mutex<()>>,
}

impl Directory {
    pub(crate) fn new() -> Self {
        Self { latest: watch::Sender::new(None), turn: Arc::default() }
    }

    pub(crate) async fn current(
        &self,
        database: &Database,
    ) -> Result<Arc<Catalogue>, DatabaseError> {
        match self.latest() {
            Some(catalogue) if catalogue.read_at.elapsed() < MAX_AGE => {
                if catalogue.read_at.elapsed() >= RENEWED {
                    self.renew(database);
                }
                Ok(catalogue)
            }
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
        self.read(database).await
    }

    /// Reads it by a task of its own, unless that is under way.
    fn renew(&self, database: &Database) {
        let Ok(turn) = self.turn.clone().try_lock_owned() else { return };
        let (directory, database) = (self.clone(), database.clone());
        tokio::spawn(async move {
            if let Err(error) = directory.read(&database).await {
                tracing::debug!(%error, "the catalogue could not be renewed");
            }
            drop(turn);
        });
    }

    /// By whose turn it is.
    async fn read(&self, database: &Database) -> Result<Arc<Catalogue>, DatabaseError> {
        let catalogue = Arc::new(Catalogue::read(database, self.latest().as_deref()).await?);
        self.latest.send_replace(Some(catalogue.clone()));
        Ok(catalogue)
    }

    fn latest(&self) -> Option<Arc<Catalogue>> {
        self.latest.borrow().clone()
    }
}
