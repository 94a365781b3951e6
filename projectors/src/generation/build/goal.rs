//! Where a generation that is built has to come: to the live one's position, in each partition in which both count the same
//! log. Where they do not, the log's end is where it has to come: the topic was created again, or what the live one reads
//! next was deleted before the other one began, or is not there any more and an operator knows.

use sqlx::AssertSqlSafe;
use sqlx::postgres::PgConnection;
use vitrina_sql::quote_literal;

use crate::names::{GenerationId, quote};

/// A condition: the positions `l` and `p` of one topic count different logs. Any partition tells it of the whole topic.
pub(crate) const OTHER_LOG: &str =
    "(p.topic_id <> l.topic_id AND p.topic_id <> '' AND l.topic_id <> '')";

/// Selects the positions of `live` that `building` has to reach: topic, partition, first_offset, next_offset.
pub(crate) fn goals(live: &GenerationId, building: &GenerationId) -> String {
    let (model, number) = (quote_literal(&building.model), building.number);
    let (live, own) = (quote(&live.schema()), quote(&building.schema()));
    format!(
        r#"SELECT l.topic, l.partition, l.first_offset, l.next_offset FROM {live}."@position" l
           WHERE NOT EXISTS (
               SELECT FROM {own}."@position" p WHERE p.topic = l.topic AND (
                   {OTHER_LOG}
                   OR p.partition = l.partition AND (
                       p.first_offset > l.next_offset
                       OR EXISTS (
                           SELECT FROM vitrina.generation g WHERE g.model = {model} AND g.generation = {number}
                           AND g.shorter @> jsonb_build_array(
                               jsonb_build_object('topic', l.topic, 'partition', l.partition))))))"#
    )
}

/// A partition in which the live generation's position is no goal.
#[derive(sqlx::FromRow)]
struct Apart {
    topic: String,
    partition: i32,
    live_next: i64,
    first: Option<i64>,
    other_log: bool,
}

/// Why the two can never be at the same place of the log, for people; none where they can.
///
/// # Errors
/// Postgres's.
pub(crate) async fn apart(
    connection: &mut PgConnection,
    live: &GenerationId,
    building: &GenerationId,
    topics: Vec<String>,
) -> sqlx::Result<Option<String>> {
    let apart = format!(
        r#"WITH goal AS ({})
           SELECT l.topic, l.partition, l.next_offset AS live_next, o.first_offset AS first,
               EXISTS (SELECT FROM {own}."@position" p WHERE p.topic = l.topic AND {OTHER_LOG}) AS other_log
           FROM {}."@position" l LEFT JOIN {own}."@position" o ON (o.topic, o.partition) = (l.topic, l.partition)
           WHERE l.topic = ANY($1)
             AND NOT EXISTS (SELECT FROM goal g WHERE (g.topic, g.partition) = (l.topic, l.partition))
           ORDER BY 1, 2 LIMIT 1"#,
        goals(live, building),
        quote(&live.schema()),
        own = quote(&building.schema())
    );
    let apart: Option<Apart> =
        sqlx::query_as(AssertSqlSafe(apart)).bind(topics).fetch_optional(connection).await?;
    Ok(apart.map(|Apart { topic, partition, live_next, first, other_log }| match first {
        _ if other_log => format!("topic {topic} was deleted and created again since {live} read it"),
        Some(first) if first > live_next => format!(
            "topic {topic} partition {partition}: {live} has read up to offset {live_next}, and {building} begins at {first}"
        ),
        _ => format!(
            "topic {topic} partition {partition}: {live} has read up to offset {live_next}, and the log ended before that"
        ),
    }))
}
