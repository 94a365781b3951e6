//! What was read last of how far a live generation has come. Invariant: a reading serves all who may take one as old, is
//! taken by one of them at a time, and is forgotten once another generation is known to be live.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use tokio::sync::OnceCell;

use super::failure::Failure;
use super::reached::Reached;
use super::view::View;
use crate::database::{Binds, Database, Statement, get};

/// One for each live generation that this process knows of.
#[derive(Debug, Default)]
pub(crate) struct Gauge {
    /// With the time before it was asked for.
    latest: Mutex<Option<(Instant, Arc<Reached>)>>,
    turn: tokio::sync::Mutex<()>,
    superseded: AtomicBool,
    topics: OnceCell<Option<Vec<String>>>,
}

impl Gauge {
    /// A reading that was asked for at `since` or after it, by whoever came first.
    pub(crate) async fn since(
        &self,
        database: &Database,
        view: &View,
        since: Instant,
    ) -> Result<Arc<Reached>, Failure> {
        if let Some(reached) = self.known(since) {
            return Ok(reached);
        }
        let _turn = self.turn.lock().await;
        if let Some(reached) = self.known(since) {
            return Ok(reached);
        }
        let asked = Instant::now();
        let reached = Arc::new(Reached::read(database, view).await?);
        *self.latest() = Some((asked, reached.clone()));
        Ok(reached)
    }

    fn known(&self, since: Instant) -> Option<Arc<Reached>> {
        let latest = self.latest();
        let (asked, reached) = latest.as_ref()?;
        let is_known = *asked >= since && !self.superseded.load(Ordering::Relaxed);
        is_known.then(|| reached.clone())
    }

    fn latest(&self) -> std::sync::MutexGuard<'_, Option<(Instant, Arc<Reached>)>> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Another generation is live: whoever still has a view of this one asks Postgres, and learns it.
    pub(crate) fn supersede(&self) {
        self.superseded.store(true, Ordering::Relaxed);
    }

    /// The topics that the generation reads by its definition; none where this version cannot read that.
    pub(crate) async fn topics(
        &self,
        database: &Database,
        view: &View,
    ) -> Result<Option<&[String]>, Failure> {
        let read = async || {
            let mut binds = Binds::default();
            let serial = binds.add(&view.serial.to_string(), "int8");
            let text = format!(
                "SELECT definition::text AS definition FROM vitrina.generation WHERE serial = {serial}"
            );
            let row = database.first(Statement::fixed(text, binds)).await?.ok_or(Failure::Stale)?;
            let definition: String = get(&row, "definition")?;
            Ok::<_, Failure>(vitrina_projectors::topics_of(&definition, &view.model))
        };
        Ok(self.topics.get_or_try_init(read).await?.as_deref())
    }
}
