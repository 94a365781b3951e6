//! What readers of the live generation would lose by a swap: a part of its history, which the log does not hold any more and
//! nobody has given away; and though the log holds them, records that it applied and the other one has parked, and records
//! that were discarded from it when the other one had applied them.

use sqlx::AssertSqlSafe;
use sqlx::postgres::PgConnection;

use crate::generation::build::goal::OTHER_LOG;
use crate::names::{GenerationId, quote};

/// What would be lost, as a sentence.
///
/// # Errors
/// Postgres's.
pub(crate) async fn refused(
    connection: &mut PgConnection,
    live: &GenerationId,
    building: &GenerationId,
) -> sqlx::Result<Option<String>> {
    if let Some(shorter) = shorter(connection, live, building).await? {
        return Ok(Some(shorter));
    }
    let refused = format!(
        r#"SELECT count(*), (array_agg(format('topic %s partition %s offset %s: %s', b.topic, b.partition, b."offset", b.reason)
                                       ORDER BY b.id))[1]
           FROM {1}."@parked" b JOIN {1}."@position" p USING (topic, partition)
           JOIN {0}."@position" l USING (topic, partition)
           WHERE b."offset" < l.next_offset AND NOT {OTHER_LOG}
             AND NOT EXISTS (SELECT FROM {0}."@parked" l
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

/// What the live generation was made of and the other one was not, because the log did not hold it when that one began, as a
/// sentence; none where an operator has allowed it.
async fn shorter(
    connection: &mut PgConnection,
    live: &GenerationId,
    building: &GenerationId,
) -> sqlx::Result<Option<String>> {
    let shorter = format!(
        r#"SELECT p.topic, p.partition, p.first_offset, l.first_offset, {OTHER_LOG}
           FROM {0}."@position" l JOIN {1}."@position" p USING (topic)
           WHERE ({OTHER_LOG} OR p.partition = l.partition AND p.first_offset > l.first_offset)
             AND EXISTS (SELECT FROM vitrina.generation
                         WHERE model = $1 AND generation = $2 AND shorter IS NULL)
           ORDER BY 1, 2 LIMIT 1"#,
        quote(&live.schema()),
        quote(&building.schema())
    );
    let shorter: Option<(String, i32, i64, i64, bool)> = sqlx::query_as(AssertSqlSafe(shorter))
        .bind(&building.model)
        .bind(building.number)
        .fetch_optional(connection)
        .await?;
    Ok(shorter.map(|(topic, partition, first, before, other_log)| match other_log {
        true => format!(
            "its history is shorter than that of {live}: topic {topic} was deleted and created again"
        ),
        false => format!(
            "its history is shorter than that of {live}: topic {topic} partition {partition} begins at offset {first}, and \
             began at {before}"
        ),
    }))
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
           JOIN {0}."@position" l USING (topic, partition)
           WHERE v.verdict = 'discarded' AND NOT {OTHER_LOG} AND v."offset" >= p.first_offset AND v."offset" < p.next_offset
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
