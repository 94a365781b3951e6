//! The swap: one transaction makes the generation that was built the one that readers see. No partition goes back, because
//! the live generation stands still while the other one passes it; whoever wrote the live one is fenced, and claims it no
//! more. Locks are taken in one order: the model's, the live generation's, the other's, then rows.

use std::time::Duration;

use sqlx::postgres::{PgConnection, PgPool};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _};

use crate::fault::Fault;
use crate::generation::furnish::furnish;
use crate::generation::open::lock_model;
use crate::generation::stable;
use crate::generation::stored::Generation;
use crate::names::{GenerationId, quote};
use crate::parked::inherit::inherit_discards;
use crate::settings::Swap;

/// How long the live generation may be held for the other one to pass it.
const HOLD: Duration = Duration::from_secs(1);
/// How far behind the other one may be when it is tried, having read ten times as much: it has [`HOLD`] to come.
const NEAR: i64 = 2_000;

/// What came of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Attempt {
    Swapped,
    /// Not now, and why; to be tried again.
    NotYet(String),
    /// There is nothing to swap to: it was done, or cancelled, meanwhile.
    Over,
}

/// Whether the generation that is built is about where the live one is.
///
/// # Errors
/// Postgres's.
pub(crate) async fn is_near(
    connection: &mut PgConnection,
    live: &GenerationId,
    building: &Generation,
) -> sqlx::Result<bool> {
    let (behind, read) = behind(connection, live, building).await?;
    Ok(behind <= NEAR.min(read / 10))
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

/// How many events there are from the generation that is built to where it must be: in each partition the live one's
/// position, and where the live one does not read the partition, the log's end. What is not known yet counts as one: a
/// partition that nobody has claimed, an end that nobody has told. And how many it has read.
async fn behind(
    connection: &mut PgConnection,
    live: &GenerationId,
    building: &Generation,
) -> sqlx::Result<(i64, i64)> {
    let (live, own) = (quote(&live.schema()), quote(&building.id.schema()));
    let behind = format!(
        r#"WITH told AS (
               SELECT e.topic, e.partition, max(e."end") AS "end"
               FROM {own}."@report" r
               CROSS JOIN LATERAL jsonb_to_recordset(r.partitions) AS e(topic text, partition int4, "end" int8)
               GROUP BY 1, 2
           ), goal AS (
               SELECT topic, partition, next_offset FROM {live}."@position" WHERE topic = ANY($1)
               UNION ALL
               SELECT p.topic, p.partition, coalesce(t."end", p.next_offset + 1)
               FROM {own}."@position" p LEFT JOIN told t USING (topic, partition)
               WHERE NOT EXISTS (SELECT FROM {live}."@position" l WHERE (l.topic, l.partition) = (p.topic, p.partition))
           )
           SELECT (coalesce(sum(greatest(g.next_offset - coalesce(p.next_offset, g.next_offset - 1), 0)), 0)
                   + CASE WHEN EXISTS (SELECT FROM {live}."@position") AND NOT EXISTS (SELECT FROM {own}."@position")
                          THEN 1 ELSE 0 END)::int8,
                  (SELECT coalesce(sum(next_offset - first_offset), 0)::int8 FROM {own}."@position")
           FROM goal g LEFT JOIN {own}."@position" p USING (topic, partition)"#
    );
    sqlx::query_as(AssertSqlSafe(behind))
        .bind(building.definition.topics())
        .fetch_one(connection)
        .await
}

/// What the live generation applied and the other one has parked, as a sentence.
///
/// # Errors
/// Postgres's.
pub(crate) async fn refused(
    connection: &mut PgConnection,
    live: &GenerationId,
    building: &GenerationId,
) -> sqlx::Result<Option<String>> {
    let refused = format!(
        r#"SELECT count(*), (array_agg(format('topic %s partition %s offset %s: %s', b.topic, b.partition, b."offset", b.reason)
                                       ORDER BY b.id))[1]
           FROM {1}."@parked" b
           WHERE NOT EXISTS (SELECT FROM {0}."@parked" l
                             WHERE (l.topic, l.partition, l."offset") = (b.topic, b.partition, b."offset"))
             AND NOT EXISTS (SELECT FROM {0}."@verdict" v WHERE v.verdict = 'discarded'
                             AND (v.topic, v.partition, v."offset") = (b.topic, b.partition, b."offset"))"#,
        quote(&live.schema()),
        quote(&building.schema())
    );
    let (count, first): (i64, Option<String>) =
        sqlx::query_as(AssertSqlSafe(refused)).fetch_one(&mut *connection).await?;
    if let Some(first) = first {
        return Ok(Some(format!(
            "{count} records that {live} applied are refused by {building}, first: {first}"
        )));
    }
    discarded_late(connection, live, building).await
}

/// What was discarded from the live generation when the other one had applied it, as a sentence.
async fn discarded_late(
    connection: &mut PgConnection,
    live: &GenerationId,
    building: &GenerationId,
) -> sqlx::Result<Option<String>> {
    let late = format!(
        r#"SELECT count(*), (array_agg(format('topic %s partition %s offset %s', v.topic, v.partition, v."offset")
                                       ORDER BY v.id))[1]
           FROM {0}."@verdict" v JOIN {1}."@position" p USING (topic, partition)
           WHERE v.verdict = 'discarded' AND v."offset" >= p.first_offset AND v."offset" < p.next_offset
             AND NOT EXISTS (SELECT FROM {1}."@parked" b
                             WHERE (b.topic, b.partition, b."offset") = (v.topic, v.partition, v."offset"))
             AND NOT EXISTS (SELECT FROM {1}."@verdict" b WHERE b.verdict = 'discarded'
                             AND (b.topic, b.partition, b."offset") = (v.topic, v.partition, v."offset"))"#,
        quote(&live.schema()),
        quote(&building.schema())
    );
    let (count, first): (i64, Option<String>) =
        sqlx::query_as(AssertSqlSafe(late)).fetch_one(connection).await?;
    Ok(first.map(|first| {
        format!(
            "{count} records that were discarded had been applied by {building}, first: {first}"
        )
    }))
}

/// Tries to swap to the generation `building`.
///
/// # Errors
/// [`Fault`], and nothing is changed.
pub(crate) async fn attempt(
    pool: &PgPool,
    building: &Generation,
    leave: &Leave,
) -> Result<Attempt, Fault> {
    if let Some(furnishing) = furnish(pool, &building.id).await? {
        return Ok(Attempt::NotYet(furnishing));
    }
    let mut connection = pool.acquire().await?.detach();
    let attempted = attempt_on(&mut connection, building, leave).await;
    // Whatever is not committed ends with the connection.
    let _ = connection.close().await;
    attempted
}

async fn attempt_on(
    connection: &mut PgConnection,
    building: &Generation,
    leave: &Leave,
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
    move_state(connection, &from, to, &leave.by()).await?;
    stable::switch(connection, model, &switch, &from, to).await?;
    connection.execute("COMMIT").await?;
    tracing::info!(model = %to.model, "readers see generation {} now, and generation {} is retired", to.number, from.number);
    Ok(Attempt::Swapped)
}

/// Takes the generation's lock until the end of the transaction: no batch of it is written meanwhile.
///
/// # Errors
/// Postgres's.
pub(super) async fn lock_generation(
    connection: &mut PgConnection,
    id: &GenerationId,
) -> Result<(), Fault> {
    let lock = format!("SELECT pg_advisory_xact_lock({})", id.lock_key());
    connection.execute(AssertSqlSafe(lock)).await?;
    Ok(())
}

/// Whether the generation that is built passes the live one, which stands still, in time.
async fn passes(
    connection: &mut PgConnection,
    live: &GenerationId,
    building: &Generation,
) -> sqlx::Result<bool> {
    let passing = async {
        while behind(connection, live, building).await?.0 > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    };
    tokio::time::timeout(HOLD, passing)
        .await
        .map_or(Ok(false), |passed: sqlx::Result<()>| passed.map(|()| true))
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

/// Writes down what was decided of a generation.
///
/// # Errors
/// Postgres's.
pub(super) async fn audit(
    connection: &mut PgConnection,
    id: &GenerationId,
    verdict: &str,
    reason: &str,
    by: &str,
) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO vitrina.verdict (model, generation, serial, verdict, reason, decided_by)
         SELECT model, generation, serial, $3, $4, $5 FROM vitrina.generation WHERE model = $1 AND generation = $2",
    )
    .bind(&id.model)
    .bind(id.number)
    .bind(verdict)
    .bind(reason)
    .bind(by)
    .execute(connection)
    .await?;
    Ok(())
}
