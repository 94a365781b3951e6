//! The end of a load: the plain indexes that no rule looks by are made over all rows at once, which costs a fraction of
//! keeping them row by row, and Postgres learns what the tables hold. Before that, readers are not given the generation.

use sqlx::postgres::{PgConnection, PgPool};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _};

use crate::fault::Fault;
use crate::generation::schema::tables::run;
use crate::generation::stored;
use crate::names::GenerationId;

/// Makes what is missing, where no other instance is at it. `None`: nothing was missing; else why readers must wait.
///
/// # Errors
/// [`Fault`]; what was not made is made the next time.
pub(crate) async fn furnish(pool: &PgPool, id: &GenerationId) -> Result<Option<String>, Fault> {
    let mut connection = pool.acquire().await?.detach();
    let furnished = furnish_on(&mut connection, id).await;
    let _ = connection.close().await;
    furnished
}

async fn furnish_on(
    connection: &mut PgConnection,
    id: &GenerationId,
) -> Result<Option<String>, Fault> {
    if stored::postponed(connection, id).await?.is_none() {
        return Ok(None);
    }
    let key = xxhash_rust::xxh3::xxh3_64(format!("vitrina furnishes {id}").as_bytes()) as i64;
    let alone: bool = sqlx::query_scalar("SELECT pg_try_advisory_lock($1)")
        .bind(key)
        .fetch_one(&mut *connection)
        .await?;
    if alone {
        make_indexes(connection, id).await?;
        analyse(connection, id).await?;
        stored::loaded(connection, id).await?;
    }
    Ok(Some(format!("the indexes of {id} are being made")))
}

/// Its writers wait at the generation's lock meanwhile, and claims do not.
async fn make_indexes(connection: &mut PgConnection, id: &GenerationId) -> Result<(), Fault> {
    let begin = format!("BEGIN; SELECT pg_advisory_xact_lock({})", id.lock_key());
    connection.execute(AssertSqlSafe(begin)).await?;
    stored::make_postponed(connection, id).await?;
    connection.execute("COMMIT").await?;
    Ok(())
}

/// Readers' first queries are planned with numbers, and find no row whose visibility nobody has looked at.
async fn analyse(connection: &mut PgConnection, id: &GenerationId) -> Result<(), Fault> {
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT format('%I.%I', $1::text, relname) FROM pg_class
         WHERE relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = $1) AND relkind = 'r'",
    )
    .bind(id.schema())
    .fetch_all(&mut *connection)
    .await?;
    for table in tables {
        run(connection, format!("VACUUM (ANALYZE) {table}")).await?;
    }
    Ok(())
}
