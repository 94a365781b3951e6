//! A retry that was right in the live generation is repeated in the one that is built, where the same record is parked: the
//! same rules have parked it there at the same place of the log, or it was taken over; and what an operator mended is decided
//! once. Each retry is repeated once: what fails here is this generation's own.

use std::sync::Arc;

use sqlx::AssertSqlSafe;
use sqlx::postgres::{PgConnectOptions, PgPool};
use vitrina_avro::Registry;

use super::refusal::Refusal;
use super::replay::QueueToReplay;
use super::workbench::Workbench;
use crate::generation::role::Role;
use crate::names::{GenerationId, quote};

/// Repeats in `building` what has left the parked records of `live` by a retry.
///
/// # Errors
/// [`Refusal`]; what was repeated before stays so.
pub(crate) async fn repeat_retries(
    (pool, postgres, registry): (&PgPool, &PgConnectOptions, &Arc<Registry>),
    live: &GenerationId,
    building: &GenerationId,
) -> Result<(), Refusal> {
    let heads = heads(pool, live, building).await?;
    if heads.is_empty() {
        return Ok(());
    }
    let built = (building, Role::Building);
    let mut workbench = Workbench::open(pool, postgres, registry.clone(), built).await?;
    repeat(&mut workbench, heads, &format!("a retry in {live}")).await?;
    workbench.close().await;
    Ok(())
}

/// The queues of `building` whose heads have left the parked records of `live` by a retry.
///
/// # Errors
/// Postgres's.
pub(crate) async fn heads(
    pool: &PgPool,
    live: &GenerationId,
    building: &GenerationId,
) -> sqlx::Result<Vec<QueueToReplay>> {
    let retried = format!(
        r#"SELECT b.id, topic, b.queue FROM {1}."@parked" b JOIN {0}."@verdict" v USING (topic, partition, "offset")
           JOIN {0}."@position" l USING (topic, partition) JOIN {1}."@position" p USING (topic, partition, topic_id)
           WHERE v.verdict <> 'discarded' AND (b.attempts = 0 OR b.failed_at < v.decided_at)
             AND NOT EXISTS (SELECT FROM {1}."@parked" o WHERE o.queue = b.queue AND o.id < b.id)
           ORDER BY b.id"#,
        quote(&live.schema()),
        quote(&building.schema())
    );
    let heads: Vec<(i64, String, Option<Vec<u8>>)> =
        sqlx::query_as(AssertSqlSafe(retried)).fetch_all(pool).await?;
    Ok(heads.into_iter().map(|(id, topic, queue)| QueueToReplay { id, topic, queue }).collect())
}

/// Replays them.
///
/// # Errors
/// [`Refusal`]; what was repeated before stays so.
pub(crate) async fn repeat(
    workbench: &mut Workbench,
    heads: Vec<QueueToReplay>,
    by: &str,
) -> Result<(), Refusal> {
    for head in heads {
        let applied = workbench.replay(&head, by).await?.applied;
        tracing::info!(generation = %workbench.id, id = head.id, applied, "a retry was repeated");
    }
    Ok(())
}
