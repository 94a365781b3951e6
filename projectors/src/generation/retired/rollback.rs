//! What operators decide of generations that are there: what was built goes live as it is; the one before comes back. It is
//! brought up to date beside the live one first, as one that is built, so no row goes back in time.

use std::time::{Duration, Instant};

use sqlx::postgres::PgConnection;
use sqlx::{Connection as _, Executor as _};

use crate::desk::Desk;
use crate::generation::audit::audit;
use crate::generation::build::queue::begin_queued;
use crate::generation::lock::lock_model;
use crate::generation::start::retention;
use crate::generation::state::{building, live};
use crate::generation::stored::Generation;
use crate::generation::swap::distance::is_near;
use crate::names::GenerationId;
use crate::parked::list::known;
use crate::parked::refusal::Refusal;

/// What is built reads no further than the live generation has come, and learns a moment later how far that is: where
/// events have just come, that moment is waited for.
const FOLLOWS: Duration = Duration::from_secs(4);

impl Desk {
    /// Lets the generation that was built go live, whatever it refuses and however it compares; which one it is.
    ///
    /// # Errors
    /// [`Refusal`]; there is none, or it has not come as far as the live one yet.
    pub async fn swap(&self, model: &str, by: &str) -> Result<i32, Refusal> {
        known(&self.pool, model).await?;
        let begun = Instant::now();
        let mut connection = self.pool.acquire().await?.detach();
        let mut decided = swap_on(&mut connection, model, by).await;
        while matches!(decided, Ok(Decided::TooEarly(_))) && begun.elapsed() < FOLLOWS {
            connection.execute("ROLLBACK").await?;
            tokio::time::sleep(FOLLOWS / 20).await;
            decided = swap_on(&mut connection, model, by).await;
        }
        // What was not committed ends with the connection.
        let _ = connection.close().await;
        match decided? {
            Decided::Swaps(number) => Ok(number),
            Decided::TooEarly(id) => Err(Refusal::Wrong(format!(
                "{id} has not come as far as the live generation yet: `vitrina status` says how far it is"
            ))),
        }
    }

    /// Lets the generation that was retired last come back; which one it is.
    ///
    /// # Errors
    /// [`Refusal`]; there is none, or the log does not hold what it has not read.
    pub async fn rollback(&self, model: &str, by: &str) -> Result<i32, Refusal> {
        known(&self.pool, model).await?;
        let mut connection = self.pool.acquire().await?.detach();
        let decided = self.rollback_on(&mut connection, model, by).await;
        let _ = connection.close().await;
        decided
    }

    async fn rollback_on(
        &self,
        connection: &mut PgConnection,
        model: &str,
        by: &str,
    ) -> Result<i32, Refusal> {
        lock_model(connection, model).await?;
        if let Some(building) = building(connection, model).await? {
            return Err(Refusal::Wrong(format!(
                "{building} is being built: give it up first, with `vitrina cancel {model}`"
            )));
        }
        let retired: Option<i32> = sqlx::query_scalar(
            "SELECT generation FROM vitrina.generation WHERE model = $1 AND state = 'retired'
             ORDER BY ended_at DESC, generation DESC LIMIT 1",
        )
        .bind(model)
        .fetch_optional(&mut *connection)
        .await?;
        let Some(number) = retired else {
            return Err(Refusal::Wrong(format!(
                "there is nothing to go back to: no generation of {model} is retired"
            )));
        };
        let id = GenerationId::new(model, number);
        retention::reaches_position(connection, &id, &self.kafka).await?;
        sqlx::query(
            "UPDATE vitrina.generation
             SET state = 'queued', ended_at = NULL, comparison = NULL, waits_for = NULL, swap_by = $3
             WHERE model = $1 AND generation = $2",
        )
        .bind(model)
        .bind(number)
        .bind(by)
        .execute(&mut *connection)
        .await?;
        begin_queued(connection).await?;
        audit(connection, &id, "rollback", "", by).await?;
        connection.execute("COMMIT").await?;
        Ok(number)
    }
}

/// What came of an operator's word.
enum Decided {
    Swaps(i32),
    /// The generation that is built is too far behind.
    TooEarly(GenerationId),
}

async fn swap_on(connection: &mut PgConnection, model: &str, by: &str) -> Result<Decided, Refusal> {
    lock_model(connection, model).await?;
    let Some(id) = building(connection, model).await? else {
        return Err(Refusal::Wrong(format!(
            "no generation of {model} is being built: there is nothing to swap to"
        )));
    };
    let built = Generation::read(connection, &id).await?;
    let near = match live(connection, model).await? {
        Some(live) => is_near(connection, &live, &built).await?,
        None => false,
    };
    let decided = sqlx::query(
        "UPDATE vitrina.generation SET swap_by = $3
         WHERE model = $1 AND generation = $2 AND state = 'building' AND $4",
    )
    .bind(model)
    .bind(id.number)
    .bind(by)
    .bind(near)
    .execute(&mut *connection)
    .await?;
    if decided.rows_affected() == 0 {
        return Ok(Decided::TooEarly(id));
    }
    connection.execute("COMMIT").await?;
    Ok(Decided::Swaps(id.number))
}
