//! Which generations are built: so many of a deployment at a time, the smallest first; the others are queued.

use std::time::Duration;

use sqlx::postgres::{PgConnection, PgPool};
use sqlx::{AssertSqlSafe, Connection as _};
use tokio_util::sync::CancellationToken;

use crate::names::{GenerationId, quote};

/// Each takes a consumer, writers and as much disk as the live one has.
const AT_A_TIME: i64 = 2;
/// Under which it is decided who begins ("vitrinaQ" in ASCII).
const LOCK: i64 = 0x7669_7472_696e_6151;
const PACE: Duration = Duration::from_secs(1);

/// Lets those begin that there is room for. The connection is in a transaction.
///
/// # Errors
/// Postgres's.
pub(crate) async fn begin_queued(connection: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(LOCK).execute(&mut *connection).await?;
    let building: i64 =
        sqlx::query_scalar("SELECT count(*) FROM vitrina.generation WHERE state = 'building'")
            .fetch_one(&mut *connection)
            .await?;
    let queued: Vec<(i64, String, Option<i32>)> = sqlx::query_as(
        "SELECT g.serial, model, m.live FROM vitrina.generation g JOIN vitrina.model m USING (model)
         WHERE state = 'queued' ORDER BY 1",
    )
    .fetch_all(&mut *connection)
    .await?;
    let mut sizes = Vec::with_capacity(queued.len());
    for (serial, model, live) in queued {
        let live = live.map(|number| GenerationId::new(&model, number));
        sizes.push((size(connection, live.as_ref()).await?, serial));
    }
    sizes.sort_unstable();
    let room = usize::try_from(AT_A_TIME - building).unwrap_or(0);
    let begin: Vec<i64> = sizes.into_iter().take(room).map(|(_, serial)| serial).collect();
    sqlx::query(
        "UPDATE vitrina.generation SET state = 'building' WHERE serial = ANY($1) AND state = 'queued'",
    )
    .bind(begin)
    .execute(connection)
    .await?;
    Ok(())
}

/// About how many events there are to read.
async fn size(connection: &mut PgConnection, live: Option<&GenerationId>) -> sqlx::Result<i64> {
    let Some(live) = live else { return Ok(0) };
    let size = format!(
        r#"SELECT coalesce(sum(next_offset - first_offset), 0)::int8 FROM {}."@position""#,
        quote(&live.schema())
    );
    sqlx::query_scalar(AssertSqlSafe(size)).fetch_one(connection).await
}

/// Lets queued ones begin as others end, until `shutdown`.
pub(crate) async fn keep(pool: PgPool, shutdown: CancellationToken) {
    let mut pace = tokio::time::interval(PACE);
    while shutdown.run_until_cancelled(pace.tick()).await.is_some() {
        let looked = shutdown.run_until_cancelled(look(&pool)).await;
        if let Some(Err(error)) = looked {
            tracing::debug!(%error, "what is queued waits");
        }
    }
}

async fn look(pool: &PgPool) -> sqlx::Result<()> {
    let mut connection = pool.acquire().await?;
    let waits = "SELECT EXISTS (SELECT FROM vitrina.generation WHERE state = 'queued')";
    if sqlx::query_scalar(waits).fetch_one(&mut *connection).await? {
        let mut transaction = connection.begin().await?;
        begin_queued(&mut transaction).await?;
        transaction.commit().await?;
    }
    Ok(())
}
