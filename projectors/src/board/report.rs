//! The board in Postgres: once a second it is written there, where `vitrina status` and the API of any instance read it,
//! and what operators ask of the models is read. What it cannot write now, it writes with the next state.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use sqlx::AssertSqlSafe;
use sqlx::postgres::PgPool;
use tokio_util::sync::CancellationToken;

use crate::board::entry::{Lag, Report};
use crate::board::{Board, Orders};
use crate::metrics::{self, Neighbour};
use crate::names::{GenerationId, quote};
use crate::parked;

const PACE: Duration = Duration::from_secs(1);
const WRITE: Duration = Duration::from_secs(5);
/// Counting a long queue is not free, and workers tell what they park.
const COUNT: Duration = Duration::from_secs(60);

impl Board {
    /// Writes the board to Postgres once, so that whoever asks how the models are finds them all.
    pub async fn announce(&self, pool: &PgPool) {
        let written = tokio::time::timeout(WRITE, self.exchange(pool, self.reports(), false)).await;
        if !matches!(written, Ok(Ok(()))) {
            tracing::debug!(?written, "the states could not be written");
        }
    }

    /// Writes the board to Postgres until `shutdown`, then takes its rows away.
    pub async fn publish(self, pool: PgPool, shutdown: CancellationToken) {
        let mut pace = tokio::time::interval(PACE);
        let (mut counted, mut told) = (None::<Instant>, Instant::now());
        loop {
            tokio::select! {
                _ = pace.tick() => {}
                () = shutdown.cancelled() => break,
            }
            let reports = self.reports();
            let seconds = told.elapsed().as_secs();
            told += Duration::from_secs(seconds);
            for report in &reports {
                metrics::state_seconds(&report.model, report.state.name(), seconds);
            }
            if let Some(reaches) = self.reaches_broker() {
                metrics::connected(Neighbour::Kafka, reaches);
            }
            let count = counted.is_none_or(|counted| counted.elapsed() >= COUNT);
            let written = tokio::time::timeout(WRITE, self.exchange(&pool, reports, count)).await;
            let reached = matches!(written, Ok(Ok(())));
            metrics::connected(Neighbour::Postgres, reached);
            match reached {
                true if count => counted = Some(Instant::now()),
                true => {}
                false => tracing::debug!(?written, "the states could not be written"),
            }
        }
        let gone =
            sqlx::query("DELETE FROM vitrina.worker WHERE instance = $1 OR updated_at < now() - interval '1 hour'")
                .bind(&*self.instance);
        let gone = tokio::time::timeout(WRITE, gone.execute(&pool)).await;
        if !matches!(gone, Ok(Ok(_))) {
            tracing::debug!(?gone, "the states could not be taken away");
        }
    }

    async fn exchange(&self, pool: &PgPool, reports: Vec<Report>, count: bool) -> sqlx::Result<()> {
        for report in reports {
            let model = report.model.clone();
            self.write(pool, report).await?;
            self.follow_orders(pool, &model).await?;
        }
        if count {
            for (model, records) in parked::count(&mut *pool.acquire().await?).await? {
                metrics::parked(&model, records.unsigned_abs());
            }
        }
        Ok(())
    }

    async fn write(&self, pool: &PgPool, report: Report) -> sqlx::Result<()> {
        let (events, errors) = report.recent;
        let (last_error, last_error_at) = report.last_error.unzip();
        let (lag_ms, unknown_since) = match report.lag {
            Lag::Ms(ms) => (Some(ms), None),
            Lag::UnknownSince(since) => (None, Some(seconds(since))),
        };
        sqlx::query(
            "INSERT INTO vitrina.worker
                 (model, generation, instance, state, reason, last_error, partitions, lag_ms,
                  recent_events, recent_errors, fed, last_error_at, resumed, unknown_since, updated_at)
             SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, to_timestamp($12), $13, to_timestamp($14), now()
             WHERE $11 OR EXISTS (SELECT FROM vitrina.model WHERE model = $1)
             ON CONFLICT (model, instance) DO UPDATE SET
                 generation = EXCLUDED.generation, fed = EXCLUDED.fed, state = EXCLUDED.state, reason = EXCLUDED.reason,
                 last_error = EXCLUDED.last_error, partitions = EXCLUDED.partitions, lag_ms = EXCLUDED.lag_ms,
                 recent_events = EXCLUDED.recent_events, recent_errors = EXCLUDED.recent_errors,
                 last_error_at = EXCLUDED.last_error_at, resumed = EXCLUDED.resumed,
                 unknown_since = EXCLUDED.unknown_since, updated_at = EXCLUDED.updated_at",
        )
        .bind(report.model)
        .bind(report.generation)
        .bind(&*self.instance)
        .bind(report.state.name())
        .bind(report.reason)
        .bind(last_error)
        .bind(sqlx::types::Json(report.partitions))
        .bind(lag_ms)
        .bind(i64::try_from(events).unwrap_or(i64::MAX))
        .bind(i64::try_from(errors).unwrap_or(i64::MAX))
        .bind(report.fed)
        .bind(last_error_at.map(seconds))
        .bind(report.resumed)
        .bind(unknown_since)
        .execute(pool)
        .await?;
        Ok(())
    }

    /// Writes what this board says of a generation that is built into the generation's schema.
    pub(crate) async fn write_beside(
        &self,
        pool: &PgPool,
        id: &GenerationId,
        per_second: Option<f64>,
    ) -> sqlx::Result<()> {
        let write = format!(
            r#"INSERT INTO {}."@report" (instance, state, reason, last_error, partitions, per_second, updated_at)
               VALUES ($1, $2, $3, $4, $5, $6, now())
               ON CONFLICT (instance) DO UPDATE SET
                   state = EXCLUDED.state, reason = EXCLUDED.reason, last_error = EXCLUDED.last_error,
                   partitions = EXCLUDED.partitions, per_second = EXCLUDED.per_second,
                   updated_at = EXCLUDED.updated_at"#,
            quote(&id.schema())
        );
        for report in self.reports() {
            sqlx::query(AssertSqlSafe(write.clone()))
                .bind(&*self.instance)
                .bind(report.state.name())
                .bind(report.reason)
                .bind(report.last_error.map(|(error, _)| error))
                .bind(sqlx::types::Json(report.partitions))
                .bind(per_second)
                .execute(pool)
                .await?;
        }
        Ok(())
    }

    /// Reads what operators ask of the model, and which of its generations there are to feed: once a second, and before it begins to read, or a paused one would apply
    /// what comes first.
    pub(crate) async fn follow_orders(&self, pool: &PgPool, model: &str) -> sqlx::Result<()> {
        let orders: Option<Orders> = sqlx::query_as(
            "SELECT 'paused by ' || paused_by || ' since ' || to_char(paused_at AT TIME ZONE 'UTC',
                        'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') AS paused, resumed, live,
                    (SELECT generation FROM vitrina.generation g WHERE g.model = m.model AND g.state = 'building') AS building,
                    coalesce((SELECT jsonb_object_agg(g.generation, cardinality(g.used)) FROM vitrina.generation g
                              WHERE g.model = m.model AND g.state IN ('live', 'building')), '{}') AS texts
             FROM vitrina.model m WHERE model = $1",
        )
        .bind(model)
        .fetch_optional(pool)
        .await?;
        if let Some(orders) = orders {
            self.order(model, &orders);
        }
        Ok(())
    }
}

/// As `to_timestamp` takes it.
fn seconds(at: SystemTime) -> f64 {
    at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}
