//! What readers of the live generation would lose by a swap, though the log holds it: records that it applied and the other
//! one has parked, and records that were discarded from it when the other one had applied them.

use sqlx::AssertSqlSafe;
use sqlx::postgres::PgConnection;

use crate::names::{GenerationId, quote};

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
