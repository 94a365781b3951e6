//! What was decided of parked records: how each of them left, by whose word; and who was shown their payloads. Invariant: no
//! payload is kept here.

use serde::Serialize;
use sqlx::PgPool;

use super::list::{self, Parked};
use super::refusal::Refusal;

/// How one record left; serialized as the admin API and `vitrina parked history --json` tell it.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow, Serialize)]
pub struct VerdictLine {
    pub id: i64,
    pub model: String,
    pub generation: i32,
    /// The id that the record had while it was parked.
    pub parked: i64,
    pub topic: String,
    pub partition: i32,
    pub offset: i64,
    /// `applied`, `duplicate`, `ignored` or `discarded`.
    pub verdict: String,
    /// Of a discard.
    pub reason: Option<String>,
    pub by: String,
    /// RFC 3339.
    pub at: String,
    /// Why it had been parked; none where it only waited.
    pub fault: Option<String>,
}

/// Up to `limit` verdicts with ids above `after`, of one model or of all, by id.
///
/// # Errors
/// Postgres's; a model that does not exist, with the names of those that do.
pub async fn history(
    pool: &PgPool,
    model: Option<&str>,
    after: i64,
    limit: i64,
) -> Result<Vec<VerdictLine>, Refusal> {
    if let Some(model) = model {
        list::known(pool, model).await?;
    }
    Ok(sqlx::query_as(
        r#"SELECT id, model, generation, parked, topic, partition, "offset", verdict, reason, decided_by AS by, fault,
               to_char(decided_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS at
           FROM vitrina.verdict WHERE parked IS NOT NULL AND id > $1 AND ($2::text IS NULL OR model = $2) ORDER BY id LIMIT $3"#,
    )
    .bind(after)
    .bind(model)
    .bind(limit)
    .fetch_all(pool)
    .await?)
}

/// Writes down that somebody is about to be shown the payload of a record.
///
/// # Errors
/// Postgres's; then nobody may be shown it.
pub(crate) async fn note_read(pool: &PgPool, parked: &Parked, by: &str) -> Result<(), Refusal> {
    sqlx::query(
        r#"INSERT INTO vitrina.payload_read (model, generation, parked, topic, partition, "offset", read_by)
           VALUES ($1, $2, $3, $4, $5, $6, $7)"#,
    )
    .bind(&parked.model)
    .bind(parked.generation)
    .bind(parked.id)
    .bind(&parked.topic)
    .bind(parked.partition)
    .bind(parked.offset)
    .bind(by)
    .execute(pool)
    .await?;
    Ok(())
}
