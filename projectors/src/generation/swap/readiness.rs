//! Whether a generation that has come as far as the live one may take its place: it is compared first, then the settings
//! say; an operator's word asks for no comparison. One that failed is no comparison: it is made again, later each time, and
//! until then only an operator's word counts.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sqlx::postgres::{PgConnectOptions, PgPool};
use sqlx::types::Json;
use sqlx::{AssertSqlSafe, PgConnection};
use vitrina_avro::Registry;

use crate::fault::Fault;
use crate::generation::stored::Generation;
use crate::generation::swap::attempt::Leave;
use crate::generation::swap::comparison::{self, Compared, TableComparison};
use crate::generation::swap::distance::is_near;
use crate::generation::swap::losses::refused;
use crate::names::{GenerationId, quote};
use crate::parked::repeat::repeat_retries;
use crate::settings::Swap;

/// What a comparison came to, as it is kept.
type Kept = Json<Vec<TableComparison>>;

/// How soon a comparison that has failed is made again, and how late at most: it costs what one costs that has not.
const AGAIN: Duration = Duration::from_secs(2);
const AGAIN_AT_MOST: Duration = Duration::from_secs(60);

/// Why it is not live yet, or who lets it go.
pub(crate) enum Readiness {
    NotYet(String),
    Ready(Leave),
}

/// A generation that is built, on its way to the swap.
pub(crate) struct Candidate {
    pub generation: Generation,
    swap: Swap,
    pool: PgPool,
    postgres: PgConnectOptions,
    registry: Arc<Registry>,
    put_off: Option<PutOff>,
}

/// Why nothing is compared for now.
struct PutOff {
    why: String,
    until: Instant,
    pause: Duration,
}

impl Candidate {
    pub(crate) fn new(
        generation: Generation,
        swap: Swap,
        (pool, postgres, registry): (&PgPool, &PgConnectOptions, &Arc<Registry>),
    ) -> Self {
        let (pool, postgres, registry) = (pool.clone(), postgres.clone(), registry.clone());
        Self { generation, swap, pool, postgres, registry, put_off: None }
    }

    /// Looks at it, and compares it with the live one where nobody has.
    ///
    /// # Errors
    /// Postgres's.
    pub(crate) async fn readiness(&mut self, live: &GenerationId) -> Result<Readiness, Fault> {
        let id = &self.generation.id;
        let mut connection = self.pool.acquire().await?;
        if !is_near(&mut connection, live, &self.generation).await? {
            return Ok(Readiness::NotYet(format!("it has not come as far as {live}")));
        }
        if let Some(why) = broken(&mut connection, id).await? {
            return Ok(Readiness::NotYet(format!("its breaker is open: {why}")));
        }
        let row: Option<(Option<Kept>, Option<String>)> = sqlx::query_as(
            "SELECT comparison, swap_by FROM vitrina.generation WHERE model = $1 AND generation = $2 AND state = 'building'",
        )
        .bind(&id.model)
        .bind(id.number)
        .fetch_optional(&mut *connection)
        .await?;
        let (comparison, by) = row.unwrap_or_default();
        if let Some(by) = by {
            return Ok(Readiness::Ready(Leave::Operator(by)));
        }
        if let Some(put_off) = self.put_off.as_ref().filter(|one| Instant::now() < one.until) {
            return Ok(Readiness::NotYet(put_off.why.clone()));
        }
        let way = self.way();
        let Some(Json(comparison)) = comparison else {
            drop(connection);
            return self.compare(live).await;
        };
        let world = (&self.pool, &self.postgres, &self.registry);
        repeat_retries(world, live, id)
            .await
            .map_err(|refusal| Fault::world(refusal.to_string()))?;
        if let Some(refused) = refused(&mut connection, live, id).await? {
            return Ok(Readiness::NotYet(format!("{refused}; {way}")));
        }
        Ok(match self.swap {
            Swap::ByHand => Readiness::NotYet(format!("it is built: {way}")),
            Swap::WhenEqual if !comparison::is_equal(&comparison) => {
                let words = comparison::in_words(&comparison);
                Readiness::NotYet(format!("it is not equal to {live}: {words}; {way}"))
            }
            Swap::WhenEqual | Swap::Auto => Readiness::Ready(Leave::Settings(self.swap)),
        })
    }

    fn way(&self) -> String {
        format!("`vitrina swap {}` lets it go live as it is", self.generation.id.model)
    }

    /// At the swap it turned out not to be equal, or it could not be told: it is compared anew, not at once, for the live
    /// generation stands still while that is found out. Why, for people.
    ///
    /// # Errors
    /// Postgres's.
    pub(crate) async fn put_off(&mut self, why: String) -> Result<String, Fault> {
        let id = &self.generation.id;
        sqlx::query(
            "UPDATE vitrina.generation SET comparison = NULL
             WHERE model = $1 AND generation = $2 AND state = 'building'",
        )
        .bind(&id.model)
        .bind(id.number)
        .execute(&self.pool)
        .await?;
        Ok(self.wait(format!("{why}; {}", self.way())))
    }

    fn wait(&mut self, why: String) -> String {
        let before = self.put_off.take().map(|put_off| put_off.pause * 2);
        let pause = before.unwrap_or(AGAIN).min(AGAIN_AT_MOST);
        self.put_off = Some(PutOff { why: why.clone(), until: Instant::now() + pause, pause });
        why
    }

    async fn compare(&mut self, live: &GenerationId) -> Result<Readiness, Fault> {
        let id = &self.generation.id;
        let topics = self.generation.definition.topics();
        let tables = match comparison::compare(&self.postgres, live, id, topics).await {
            Ok(Compared::Tables(tables)) => tables,
            Ok(Compared::NotYet(why)) => return Ok(Readiness::NotYet(why)),
            Err(fault) => {
                let why =
                    format!("it cannot be compared with {live}, which is tried again: {fault}");
                return Ok(Readiness::NotYet(self.wait(format!("{why}; {}", self.way()))));
            }
        };
        sqlx::query(
            "UPDATE vitrina.generation SET comparison = $3
             WHERE model = $1 AND generation = $2 AND state = 'building' AND comparison IS NULL",
        )
        .bind(&id.model)
        .bind(id.number)
        .bind(Json(tables))
        .execute(&self.pool)
        .await?;
        Ok(Readiness::NotYet(format!("it was compared with {live} just now")))
    }
}

/// Why its breaker is open, on any instance.
async fn broken(connection: &mut PgConnection, id: &GenerationId) -> sqlx::Result<Option<String>> {
    let broken = format!(
        r#"SELECT coalesce(reason, '') FROM {}."@report"
           WHERE state = 'breaker_open' AND updated_at > now() - interval '10 seconds' LIMIT 1"#,
        quote(&id.schema())
    );
    sqlx::query_scalar(AssertSqlSafe(broken)).fetch_optional(connection).await
}

/// Writes down why it is not live yet.
///
/// # Errors
/// Postgres's.
pub(crate) async fn tell(pool: &PgPool, id: &GenerationId, why: &str) -> sqlx::Result<()> {
    sqlx::query(
        "UPDATE vitrina.generation SET waits_for = $3
         WHERE model = $1 AND generation = $2 AND state = 'building' AND waits_for IS DISTINCT FROM $3",
    )
    .bind(&id.model)
    .bind(id.number)
    .bind(why)
    .execute(pool)
    .await?;
    Ok(())
}
