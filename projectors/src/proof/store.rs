//! Where the proof is kept: one row a generation, made by its first claim. It changes only in a transaction that holds the
//! generation's lock alone and raises the version that every position tells, so that whatever was judged by what was kept
//! before is judged again.

use serde::Serialize;
use sqlx::postgres::PgConnection;
use vitrina_ingest::Partitioner;

use super::{Proof, Step};
use crate::generation::live::Live;
use crate::parked::{Versions, raise_versions};

/// Keeps how many partitions the topic has, unless it is kept already.
///
/// # Errors
/// Postgres's.
pub(crate) async fn begin(
    connection: &mut PgConnection,
    topic: &str,
    partitions: u32,
) -> sqlx::Result<()> {
    sqlx::query(
        r#"INSERT INTO "@proof" (topic, partitions) VALUES ($1, $2) ON CONFLICT DO NOTHING"#,
    )
    .bind(topic)
    .bind(partitions.cast_signed())
    .execute(connection)
    .await?;
    Ok(())
}

/// What is kept; none before the first claim.
///
/// # Errors
/// Postgres's.
pub(crate) async fn read(connection: &mut PgConnection) -> sqlx::Result<Option<Proof>> {
    let kept: Option<(i32, Vec<String>, bool)> = sqlx::query_as(
        r#"SELECT partitions, partitioners, one_writer_at IS NOT NULL FROM "@proof""#,
    )
    .fetch_optional(connection)
    .await?;
    Ok(kept.map(|(partitions, names, failed)| {
        let partitioners: Vec<Partitioner> =
            names.iter().filter_map(|name| Partitioner::named(name)).collect();
        // One that only a newer version knows cannot be told from none.
        if failed || partitioners.is_empty() {
            return Proof::Failed;
        }
        Proof::Holds { partitions: partitions.cast_unsigned(), partitioners }
    }))
}

/// Keeps what a part's records change; the versions of the positions afterwards.
///
/// # Errors
/// Postgres's.
pub(crate) async fn keep(connection: &mut PgConnection, step: &Step) -> sqlx::Result<Versions> {
    let (left, why) = match step {
        Step::Narrows(left) => (Some(left.iter().map(|one| one.name()).collect::<Vec<_>>()), None),
        Step::Fails(doubt) => (None, Some(doubt.to_string())),
    };
    let topic: Option<String> = sqlx::query_scalar(
        r#"UPDATE "@proof"
           SET partitioners = coalesce($1, partitioners), one_writer_why = $2,
               one_writer_at = CASE WHEN $2 IS NOT NULL THEN now() END
           RETURNING topic"#,
    )
    .bind(left)
    .bind(why)
    .fetch_optional(&mut *connection)
    .await?;
    raise_versions(connection, topic.as_slice()).await
}

/// A model that has one writer, though its rules allow more.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow, Serialize)]
pub struct OneWriter {
    #[serde(skip)]
    pub model: String,
    /// RFC 3339.
    pub since: String,
    /// The first record that proved nothing, and why not.
    pub why: String,
}

/// The live generations that have one writer.
pub(crate) fn one_writers(live: &[Live]) -> Option<String> {
    Live::union(live, |model, schema| {
        format!(
            r#"SELECT {model} AS model, one_writer_why AS why,
                   to_char(one_writer_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS since
               FROM {schema}."@proof" WHERE one_writer_at IS NOT NULL"#
        )
    })
}
