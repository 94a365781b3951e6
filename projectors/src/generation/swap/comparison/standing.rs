//! Whether two generations that both stand still are equal: by the sums of all rows' hashes, because whoever waits for the
//! answer is the live one.

use std::time::{Duration, Instant};

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Executor as _};

use super::pair::{Pair, pairs};
use crate::fault::Fault;
use crate::names::{GenerationId, quote};
use crate::sqlstate::Sqlstate;

/// How long the live generation may stand still for it.
const STANDSTILL: Duration = Duration::from_secs(10);

/// Why they are not equal, or it cannot be told. The locks of both are held, in the transaction of the connection, which may
/// have failed afterwards.
///
/// # Errors
/// Postgres's.
pub(crate) async fn differs_now(
    connection: &mut PgConnection,
    old: &GenerationId,
    new: &GenerationId,
) -> Result<Option<String>, Fault> {
    let schemas = [quote(&old.schema()), quote(&new.schema())];
    if !equally_far(connection, &schemas).await? {
        return Ok(Some(format!("it and {old} are not at the same positions")));
    }
    let (pairs, alone) = pairs(connection, old, new).await?;
    if let Some(gone) = alone.iter().find(|table| table.rows[1].is_none()) {
        return Ok(Some(format!("it is not equal to {old}: {} is gone", gone.table)));
    }
    let until = Instant::now() + STANDSTILL;
    for pair in &pairs {
        let left = until.saturating_duration_since(Instant::now()).as_millis().max(1);
        connection.execute(AssertSqlSafe(format!("SET LOCAL statement_timeout = {left}"))).await?;
        match same_sums(connection, &schemas, pair).await {
            Ok(true) if pair.columns_gone.is_empty() => {}
            Ok(_) => {
                return Ok(Some(format!("it is not equal to {old}: rows of {} differ", pair.name)));
            }
            Err(error) if Sqlstate::of(&error) == Some(Sqlstate::TimedOut) => {
                let seconds = STANDSTILL.as_secs();
                return Ok(Some(format!(
                    "it cannot be compared with {old} within {seconds} s, and no longer may that one stand still"
                )));
            }
            Err(error) => return Err(error.into()),
        }
    }
    connection.execute("SET LOCAL statement_timeout = 0").await?;
    Ok(None)
}

/// In all partitions that both read.
async fn equally_far(
    connection: &mut PgConnection,
    [old, new]: &[String; 2],
) -> sqlx::Result<bool> {
    let ahead = format!(
        r#"SELECT NOT EXISTS (
               SELECT FROM {old}."@position" o JOIN {new}."@position" n USING (topic, partition)
               WHERE o.next_offset <> n.next_offset)"#
    );
    sqlx::query_scalar(AssertSqlSafe(ahead)).fetch_one(connection).await
}

async fn same_sums(
    connection: &mut PgConnection,
    schemas: &[String; 2],
    pair: &Pair,
) -> sqlx::Result<bool> {
    let sums: Vec<String> = schemas
        .iter()
        .map(|schema| {
            let (values, table) = (pair.values.join(", "), quote(&pair.name));
            format!(
                "(SELECT ROW(count(*), coalesce(sum(hash_record_extended(ROW({values}), 0)), 0)) FROM {schema}.{table} t)"
            )
        })
        .collect();
    let same = format!("SELECT {}", sums.join(" = "));
    sqlx::query_scalar(AssertSqlSafe(same)).fetch_one(connection).await
}
