//! A generation that is built never passes the live one: where that stands, also where it has stopped, the other one comes
//! to exactly the same positions, so that both can be compared, and readers see nothing from before its time. What the live
//! one does not read, or knows another log of, has no bound.

use std::sync::Arc;
use std::time::Duration;

use sqlx::AssertSqlSafe;
use sqlx::postgres::PgPool;
use vitrina_ingest::{Bounds, Offset};

use crate::generation::build::goal::goals;
use crate::generation::state::live;
use crate::names::GenerationId;

/// How often it is looked how far the live one has come.
const PACE: Duration = Duration::from_millis(100);

/// Sets the bounds to where the live generation stands; a generation that is live has none.
///
/// # Errors
/// Postgres's.
pub(super) async fn read(pool: &PgPool, id: &GenerationId, bounds: &Bounds) -> sqlx::Result<()> {
    let mut connection = pool.acquire().await?;
    let live = live(&mut connection, &id.model).await?;
    let Some(live) = live.filter(|live| live != id) else {
        bounds.set([]);
        return Ok(());
    };
    let stands = format!("SELECT topic, partition, next_offset FROM ({}) g", goals(&live, id));
    let stands: Vec<(String, i32, i64)> =
        sqlx::query_as(AssertSqlSafe(stands)).fetch_all(&mut *connection).await?;
    let stands = stands.into_iter();
    bounds
        .set(stands.map(|(topic, partition, next)| ((Arc::from(topic), partition), Offset(next))));
    Ok(())
}

/// Moves the bounds on as the live generation does, for ever.
pub(super) async fn keep(pool: &PgPool, id: &GenerationId, bounds: &Bounds) {
    let mut pace = tokio::time::interval(PACE);
    pace.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        pace.tick().await;
        // What cannot be read now leaves the bounds where they are.
        if let Err(error) = read(pool, id, bounds).await {
            tracing::debug!(model = %id.model, %error, "how far the live generation is could not be read");
        }
    }
}
