//! The swap: one transaction makes the generation that was built the one that readers see. No partition goes back, because
//! the live generation stands still while the other one passes it; whoever wrote the live one is fenced, and claims it no
//! more. Locks are taken in one order: the model's, the live generation's, the other's, then rows.

use sqlx::postgres::{PgConnection, PgPool};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _};
use vitrina_ingest::GroupOffsets;

use crate::fault::Fault;
use crate::generation::audit::audit;
use crate::generation::build::furnish::furnish;
use crate::generation::lock::{lock_generation, lock_model};
use crate::generation::schema::stable;
use crate::generation::start::reset;
use crate::generation::stored::Generation;
use crate::generation::swap::comparison::standing::differs_now;
use crate::generation::swap::distance::{HOLD, passes};
use crate::generation::swap::losses::refused;
use crate::names::{GenerationId, quote};
use crate::parked::inherit::{inherit_discards, inherit_skipped, keep_discards};
use crate::settings::Swap;

/// What came of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Attempt {
    Swapped,
    /// Not now, and why; to be tried again.
    NotYet(String),
    /// The settings ask for equal rows, and they are not, or it could not be told; to be tried again, later each time.
    NotEqual(String),
    /// There is nothing to swap to: it was done, or cancelled, meanwhile.
    Over,
}

/// Who lets a generation go live.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Leave {
    /// The settings: not where it refuses what the live one applied.
    Settings(Swap),
    /// An operator, whatever it refuses.
    Operator(String),
}

impl Leave {
    fn by(&self) -> String {
        match self {
            Self::Settings(swap) => format!("swap = {}", swap.name()),
            Self::Operator(by) => by.clone(),
        }
    }
}

/// Tries to swap to the generation `building`. `resets`: the offsets of the model's group as they are now, where what they may
/// ask for is what this generation has done.
///
/// # Errors
/// [`Fault`], and nothing is changed.
pub(crate) async fn attempt(
    pool: &PgPool,
    building: &Generation,
    leave: &Leave,
    resets: Option<&GroupOffsets>,
) -> Result<Attempt, Fault> {
    if let Some(furnishing) = furnish(pool, &building.id).await? {
        return Ok(Attempt::NotYet(furnishing));
    }
    let mut connection = pool.acquire().await?.detach();
    let attempted = attempt_on(&mut connection, building, leave, resets).await;
    // Whatever is not committed ends with the connection.
    let _ = connection.close().await;
    attempted
}

async fn attempt_on(
    connection: &mut PgConnection,
    building: &Generation,
    leave: &Leave,
    resets: Option<&GroupOffsets>,
) -> Result<Attempt, Fault> {
    let (to, model) = (&building.id, &building.definition.model);
    lock_model(connection, &to.model).await?;
    // What the generation that is built has committed without waiting for the disk is there before this, too.
    connection.execute("SET LOCAL lock_timeout = '5s'; SET LOCAL synchronous_commit = on").await?;
    let live: Option<i32> = sqlx::query_scalar(
        "SELECT m.live FROM vitrina.model m JOIN vitrina.generation g USING (model)
         WHERE model = $1 AND generation = $2 AND state = 'building'",
    )
    .bind(&to.model)
    .bind(to.number)
    .fetch_optional(&mut *connection)
    .await?
    .flatten();
    let Some(live) = live else { return Ok(Attempt::Over) };
    let from = GenerationId::new(&to.model, live);
    let switch = stable::prepare(connection, model, to).await?;
    lock_generation(connection, &from).await?;
    if !passes(connection, &from, building).await? {
        return Ok(Attempt::NotYet(format!("{to} did not pass {from} within {HOLD:?}")));
    }
    lock_generation(connection, to).await?;
    inherit_discards(connection, &from, to).await?;
    if let Leave::Settings(_) = leave
        && let Some(refused) = refused(connection, &from, to).await?
    {
        return Ok(Attempt::NotYet(refused));
    }
    if let Leave::Settings(Swap::WhenEqual) = leave
        && let Some(why) = differs_now(connection, &from, to).await?
    {
        return Ok(Attempt::NotEqual(why));
    }
    if let Some(offsets) = resets {
        reset::answer(connection, (&from, to), offsets).await?;
    }
    keep_discards(connection, &from, to).await?;
    inherit_skipped(connection, &from, to).await?;
    move_state(connection, &from, to, &leave.by()).await?;
    stable::switch(connection, model, &switch, &from, to).await?;
    connection.execute("COMMIT").await?;
    tracing::info!(model = %to.model, "readers see generation {} now, and generation {} is retired", to.number, from.number);
    Ok(Attempt::Swapped)
}

/// The states, the fence of the retired generation's writers, the audit. Rows of `vitrina.generation` come before positions,
/// as in a claim.
async fn move_state(
    connection: &mut PgConnection,
    from: &GenerationId,
    to: &GenerationId,
    by: &str,
) -> sqlx::Result<()> {
    let retire = "UPDATE vitrina.generation SET state = 'retired', ended_at = now() WHERE model = $1 AND generation = $2";
    let swap = "UPDATE vitrina.generation SET state = 'live', swapped_at = now(), waits_for = NULL WHERE model = $1 AND generation = $2";
    for (update, id) in [(retire, from), (swap, to)] {
        sqlx::query(update).bind(&id.model).bind(id.number).execute(&mut *connection).await?;
    }
    sqlx::query("UPDATE vitrina.model SET live = $2 WHERE model = $1")
        .bind(&to.model)
        .bind(to.number)
        .execute(&mut *connection)
        .await?;
    let fence = format!(
        r#"UPDATE {}."@generation" SET swapped_at = now(); UPDATE {}."@position" SET epoch = epoch + 1"#,
        quote(&to.schema()),
        quote(&from.schema())
    );
    connection.execute(AssertSqlSafe(fence)).await?;
    audit(connection, to, "swap", &format!("instead of generation {}", from.number), by).await
}
