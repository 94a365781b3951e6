//! What operators decide of parked records and of running models: retry, discard, pause, resume; what they decide of
//! generations is in `generation/`. Each decision is one transaction in Postgres, and a retry several, under the generation's
//! lock where it changes what is parked; instances follow what is written there.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;
use sqlx::postgres::{PgConnectOptions, PgPool};
use sqlx::{AssertSqlSafe, Executor};
use vitrina_avro::Registry;
use vitrina_ingest::KafkaSettings;

use crate::commit::window;
use crate::definition::Definition;
use crate::generation::Files;
use crate::generation::live::{Live, is_live};
use crate::generation::role::Role;
use crate::generation::state::building;
use crate::generation::stored;
use crate::metrics;
use crate::names::{GenerationId, quote};
use crate::parked::history::note_read;
use crate::parked::inherit::inherit_discards;
use crate::parked::list::{self, Parked};
use crate::parked::queues;
use crate::parked::refusal::Refusal;
use crate::parked::replay::QueueToReplay;
use crate::parked::show::ParkedDetail;
use crate::parked::workbench::Workbench;

/// Where the file of a model lies; none where there is none.
pub type FileOf = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// Where operators' decisions are made. Any process with the same settings has one.
#[derive(Clone)]
pub struct Desk {
    pub pool: PgPool,
    pub postgres: PgConnectOptions,
    pub registry: Arc<Registry>,
    /// What a rebuild takes.
    pub files: Files,
    /// A model's file, where there is one.
    pub file: FileOf,
    /// For what the log still holds, and for the groups of what is dropped.
    pub kafka: KafkaSettings,
}

/// What came of a retry.
#[derive(Debug, Default, Serialize)]
pub struct Retried {
    /// Records that left their queues: applied, or known to be applied already, or named by no rule any more.
    pub applied: u64,
    /// The heads that failed again, with their new reasons.
    pub still_parked: Vec<Parked>,
}

/// What became of a model that was asked to go on.
#[derive(Debug, sqlx::FromRow)]
pub struct Resumed {
    /// How many instances run it.
    pub instances: i64,
    /// None where they have not followed yet, or there is none.
    pub state: Option<String>,
    pub reason: Option<String>,
}

/// How long an order to go on is followed, and a model that reads again is looked at, before its state is told.
const PATIENCE: Duration = Duration::from_secs(10);
const SETTLED: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(200);

impl Desk {
    /// Looks into a parked record, once it is written down who does. What cannot be told of it is left out.
    ///
    /// # Errors
    /// [`Refusal`].
    pub async fn show(&self, id: i64, by: &str) -> Result<ParkedDetail, Refusal> {
        let parked = list::by_ids(&self.pool, &[id]).await?.remove(0);
        note_read(&self.pool, &parked, by).await?;
        let mut workbench = self.workbench(&parked.generation()).await?;
        let shown = workbench.show(parked).await;
        workbench.close().await;
        shown
    }

    /// What the model's live generation runs.
    ///
    /// # Errors
    /// [`Refusal`]; there is no live generation, or its texts do not load in this version.
    pub async fn definition(&self, model: &str) -> Result<Definition, Refusal> {
        list::known(&self.pool, model).await?;
        let mut connection = self.pool.acquire().await?;
        let live = Live::all(&mut connection).await?;
        let none = || Refusal::Wrong(format!("{model} has no live generation yet"));
        let live = live.iter().find(|live| live.model == model).ok_or_else(none)?;
        let id = GenerationId::new(model, live.generation);
        Ok(stored::definition(&mut connection, &id).await?)
    }

    async fn workbench(&self, id: &GenerationId) -> Result<Workbench, Refusal> {
        let live = (id, Role::Live);
        Workbench::open(&self.pool, &self.postgres, self.registry.clone(), live).await
    }

    /// Replays the queues of these records in order, each up to the first record that fails again. A long one takes several
    /// transactions.
    ///
    /// # Errors
    /// [`Refusal`]; queues before the one in the way may have been replayed.
    pub async fn retry(&self, ids: &[i64], by: &str) -> Result<Retried, Refusal> {
        let named = list::by_ids(&self.pool, ids).await?;
        let generations: BTreeSet<GenerationId> = named.iter().map(Parked::generation).collect();
        let mut retried = Retried::default();
        for id in generations {
            self.replay(&id, Some(ids), by, &mut retried).await?;
        }
        Ok(retried)
    }

    /// Replays all queues of a model, or of all models.
    ///
    /// # Errors
    /// [`Refusal`]; queues before the one in the way may have been replayed.
    pub async fn retry_all(&self, model: Option<&str>, by: &str) -> Result<Retried, Refusal> {
        if let Some(model) = model {
            list::known(&self.pool, model).await?;
        }
        let mut connection = self.pool.acquire().await?;
        let live = Live::all(&mut connection).await?;
        drop(connection);
        let mut retried = Retried::default();
        for live in live.iter().filter(|live| model.is_none_or(|model| model == live.model)) {
            let id = GenerationId::new(&live.model, live.generation);
            self.replay(&id, None, by, &mut retried).await?;
        }
        Ok(retried)
    }

    async fn replay(
        &self,
        id: &GenerationId,
        ids: Option<&[i64]>,
        by: &str,
        retried: &mut Retried,
    ) -> Result<(), Refusal> {
        let queues = format!(
            r#"SELECT min(id), topic, queue FROM {}."@parked" WHERE $1::int8[] IS NULL OR id = ANY($1)
               GROUP BY topic, queue, CASE WHEN queue IS NULL THEN id END ORDER BY 1"#,
            quote(&id.schema())
        );
        let queues: Vec<(i64, String, Option<Vec<u8>>)> =
            sqlx::query_as(AssertSqlSafe(queues)).bind(ids).fetch_all(&self.pool).await?;
        if queues.is_empty() {
            return Ok(());
        }
        let mut workbench = self.workbench(id).await?;
        let before = retried.applied;
        let mut failed = Vec::new();
        for (head, topic, queue) in queues {
            let replayed = workbench.replay(&QueueToReplay { id: head, topic, queue }, by).await;
            let replayed = match replayed {
                Ok(replayed) => replayed,
                Err(refusal) => {
                    workbench.close().await;
                    return Err(match ids {
                        Some(ids) if matches!(refusal, Refusal::Superseded(_)) => {
                            self.superseded(id, ids).await
                        }
                        _ => refusal,
                    });
                }
            };
            retried.applied += replayed.applied;
            failed.extend(replayed.failed);
        }
        window::forget_kept(&mut workbench.connection).await?;
        workbench.close().await;
        metrics::retried(&id.model, retried.applied - before, failed.len() as u64);
        retried.still_parked.extend(list::still_parked(&self.pool, &failed).await?);
        Ok(())
    }

    /// A swap came before the decision: what the records are called now, where that is known.
    async fn superseded(&self, id: &GenerationId, ids: &[i64]) -> Refusal {
        match list::by_ids(&self.pool, ids).await {
            Err(unknown @ Refusal::Unknown(_)) => unknown,
            _ => Refusal::superseded(id),
        }
    }

    /// Removes records for good; what waits behind them stays parked until it is retried. How many were removed.
    ///
    /// # Errors
    /// [`Refusal`]; then none was removed.
    pub async fn discard(&self, ids: &[i64], reason: &str, by: &str) -> Result<u64, Refusal> {
        if reason.trim().is_empty() {
            return Err(Refusal::Wrong("a discard needs a reason, which is kept".into()));
        }
        let named = list::by_ids(&self.pool, ids).await?;
        let mut by_generation: BTreeMap<GenerationId, Vec<i64>> = BTreeMap::new();
        for parked in named {
            by_generation.entry(parked.generation()).or_default().push(parked.id);
        }
        let mut transaction = self.pool.begin().await?;
        for (id, ids) in &by_generation {
            let lock = format!(
                "SET LOCAL search_path = {}, pg_catalog, pg_temp; SELECT pg_advisory_xact_lock({})",
                quote(&id.schema()),
                id.lock_key()
            );
            (&mut *transaction).execute(AssertSqlSafe(lock)).await?;
            if !is_live(&mut transaction, id).await? {
                return Err(self.superseded(id, ids).await);
            }
            let topics: Vec<String> = sqlx::query_scalar(
                r#"WITH gone AS (DELETE FROM "@parked" WHERE id = ANY($1) RETURNING *), audit AS (
                       INSERT INTO vitrina.verdict
                           (model, generation, serial, verdict, parked, topic, partition, "offset", reason, fault, decided_by)
                       SELECT g.model, g.generation, g.serial, 'discarded', id, topic, partition, "offset", $2, reason, $3
                       FROM gone, "@generation" g
                   )
                   INSERT INTO "@verdict"
                       (parked, topic, partition, "offset", queue, verdict, reason, decided_by, fault)
                   SELECT id, topic, partition, "offset", queue, 'discarded', $2, $3, reason FROM gone
                   RETURNING topic"#,
            )
            .bind(ids)
            .bind(reason)
            .bind(by)
            .fetch_all(&mut *transaction)
            .await?;
            if topics.len() != ids.len() {
                return Err(Refusal::Wrong(
                    "some of these records were retried or discarded just now".into(),
                ));
            }
            queues::raise_versions(&mut transaction, &topics).await?;
            if let Some(building) = building(&mut transaction, &id.model).await? {
                let lock = format!("SELECT pg_advisory_xact_lock({})", building.lock_key());
                (&mut *transaction).execute(AssertSqlSafe(lock)).await?;
                inherit_discards(&mut transaction, id, &building).await?;
            }
            window::forget_kept(&mut transaction).await?;
        }
        transaction.commit().await?;
        for (GenerationId { model, .. }, ids) in &by_generation {
            metrics::discarded(model, ids.len() as u64);
            tracing::warn!(model, ?ids, reason, by, "discarded");
        }
        Ok(ids.len() as u64)
    }

    /// The model stops reading, on every instance, until it is resumed.
    ///
    /// # Errors
    /// [`Refusal`].
    pub async fn pause(&self, model: &str, by: &str) -> Result<(), Refusal> {
        list::known(&self.pool, model).await?;
        sqlx::query(
            "UPDATE vitrina.model SET paused_at = coalesce(paused_at, now()), paused_by = coalesce(paused_by, $2)
             WHERE model = $1",
        )
        .bind(model)
        .bind(by)
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// The model goes on: it is not paused any more, its breaker closes, and where it had stopped it starts again. The
    /// answer is what became of that within a few seconds.
    ///
    /// # Errors
    /// [`Refusal`].
    pub async fn resume(&self, model: &str) -> Result<Resumed, Refusal> {
        list::known(&self.pool, model).await?;
        let order: i64 = sqlx::query_scalar(
            "UPDATE vitrina.model SET paused_at = NULL, paused_by = NULL, resumed = resumed + 1 WHERE model = $1
             RETURNING resumed",
        )
        .bind(model)
        .fetch_one(&self.pool)
        .await?;
        let begun = Instant::now();
        loop {
            let resumed = self.resumed(model, order).await?;
            let patience = match resumed.state.as_deref() {
                Some("live" | "stopped" | "breaker_open" | "paused") => Duration::ZERO,
                // What stopped it may come again with the first record.
                Some("catching_up") => SETTLED,
                // It has not followed yet, or begins, or waits.
                _ => PATIENCE,
            };
            if begun.elapsed() >= patience {
                return Ok(resumed);
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// The worst state of the model on the instances that run it, once all of them follow the order.
    async fn resumed(&self, model: &str, order: i64) -> Result<Resumed, Refusal> {
        Ok(sqlx::query_as(
            "SELECT count(*) AS instances, CASE WHEN bool_and(coalesce(resumed, 0) >= $2) THEN (array_agg(state ORDER BY place))[1] END AS state,
                 (array_agg(reason ORDER BY place))[1] AS reason
             FROM vitrina.worker w, array_position(ARRAY['stopped', 'breaker_open', 'waiting', 'paused', 'starting',
                 'catching_up', 'live'], w.state) AS place
             WHERE model = $1 AND updated_at > now() - interval '10 seconds'",
        )
        .bind(model)
        .bind(order)
        .fetch_one(&self.pool)
        .await?)
    }
}
