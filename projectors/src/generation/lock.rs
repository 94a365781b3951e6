//! The locks of generations, in the one order in which they are taken: the model's, the live generation's, the other's, and
//! rows after them all.

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Executor as _};

use crate::names::GenerationId;

/// Begins a transaction that holds the lock under which a model's generations are made, swapped and taken away.
///
/// # Errors
/// Postgres's.
pub(crate) async fn lock_model(connection: &mut PgConnection, model: &str) -> sqlx::Result<()> {
    let key =
        xxhash_rust::xxh3::xxh3_64(format!("vitrina generations of {model}").as_bytes()) as i64;
    connection
        .execute(AssertSqlSafe(format!("BEGIN; SELECT pg_advisory_xact_lock({key})")))
        .await?;
    Ok(())
}

/// Takes the generation's lock until the end of the transaction: no batch of it is written meanwhile.
///
/// # Errors
/// Postgres's.
pub(crate) async fn lock_generation(
    connection: &mut PgConnection,
    id: &GenerationId,
) -> sqlx::Result<()> {
    let lock = format!("SELECT pg_advisory_xact_lock({})", id.lock_key());
    connection.execute(AssertSqlSafe(lock)).await?;
    Ok(())
}
