//! What a swap would change: each table of both generations, row by row, at equal positions. Nobody is stopped for it: a
//! snapshot of both is one moment, and where they were not equally far then, a row differs only if it did so again, unmoved
//! on both sides, when each had come to where the other one was before. What goes on moving is not judged.

mod pair;
mod rows;
pub(crate) mod standing;

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection as _, Executor as _};

use crate::fault::Fault;
use crate::names::{GenerationId, quote};
use crate::session;
use rows::Comparing;

/// How long it may take to look at all rows: a snapshot that is open for long slows the writers.
pub(crate) const AT_MOST: Duration = Duration::from_secs(60);

/// One table, in the live generation and in the one that is built.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct TableComparison {
    pub table: String,
    /// Of the live generation, and of the one that is built; null where it has no such table, or they were not counted.
    pub rows: [Option<i64>; 2],
    /// Whether all rows have the same values in the columns that both have.
    pub equal: bool,
    /// Rows that differ, or are on one side only.
    pub differing: i64,
    pub columns_added: Vec<String>,
    pub columns_gone: Vec<String>,
    pub sample: Vec<Difference>,
    /// Why it could not be compared.
    pub failed: Option<String>,
}

/// A row that differs: its key, and some of the columns that do; null where there is no such row. Long values are cut: it
/// says where to look, and is kept, shown and logged wherever generations are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    pub key: Value,
    pub old: Value,
    pub new: Value,
}

/// What came of an attempt to compare.
pub(crate) enum Compared {
    Tables(Vec<TableComparison>),
    /// Another instance does it.
    Elsewhere,
}

/// Compares all tables, as many of them as there is time for; `topics` are those that the new generation reads.
///
/// # Errors
/// Postgres's; or they do not come to the same positions.
pub(crate) async fn compare(
    postgres: &PgConnectOptions,
    old: &GenerationId,
    new: &GenerationId,
    topics: Vec<String>,
    at_most: Duration,
) -> Result<Compared, Fault> {
    let mut connection = session::writer(postgres, &new.schema(), 0, AT_MOST).await?;
    let key = xxhash_rust::xxh3::xxh3_64(format!("vitrina comparison of {new}").as_bytes()) as i64;
    let mine: bool = sqlx::query_scalar("SELECT pg_try_advisory_lock($1)")
        .bind(key)
        .fetch_one(&mut connection)
        .await?;
    if !mine {
        return Ok(Compared::Elsewhere);
    }
    // The planner's settings of a writer fit arrays, and would make a full join slow.
    connection
        .execute(
            "SET enable_seqscan = on; SET enable_hashjoin = on; SET enable_mergejoin = on;
             SET idle_in_transaction_session_timeout = 0",
        )
        .await?;
    let schemas = [quote(&old.schema()), quote(&new.schema())];
    let compared = Comparing { schemas, topics, at_most }.all(&mut connection, old, new).await;
    // Whoever tries again needs the lock.
    let _ = connection.close().await;
    let far = || Fault::world(format!("it and {old} do not come to the same positions"));
    compared?.map(Compared::Tables).ok_or_else(far)
}

/// What is kept of a comparison that failed.
pub(crate) fn failed(tables: impl Iterator<Item = String>, why: &str) -> Vec<TableComparison> {
    let failed = Some(why.to_owned());
    tables
        .map(|table| TableComparison { table, failed: failed.clone(), ..Default::default() })
        .collect()
}

/// Whether readers lose nothing by the swap, and see nothing else where they see the same.
pub(crate) fn is_equal(tables: &[TableComparison]) -> bool {
    tables.iter().all(|table| {
        let added = table.rows[0].is_none() && table.failed.is_none();
        added || table.equal && table.columns_gone.is_empty()
    })
}

/// What is said where it is not equal.
pub(crate) fn in_words(tables: &[TableComparison]) -> String {
    let unequal = tables.iter().filter(|table| !is_equal(std::slice::from_ref(table)));
    let words =
        unequal.map(|table| match (&table.failed, table.rows, table.columns_gone.as_slice()) {
            (Some(why), ..) => format!("{} was not compared: {why}", table.table),
            (None, [_, None], _) => format!("{} is gone", table.table),
            (None, _, []) => format!("{} rows of {} differ", table.differing, table.table),
            (None, _, gone) => {
                format!(
                    "{} has no {} any more, and {} rows differ",
                    table.table,
                    gone.join(", "),
                    table.differing
                )
            }
        });
    words.collect::<Vec<_>>().join("; ")
}
