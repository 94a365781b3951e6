//! How far the generation that is built is from the live one. It goes live only where it is at least as far in every partition,
//! and two that move hardly ever are by chance: so the live one is held for a moment.

use std::time::Duration;

use sqlx::AssertSqlSafe;
use sqlx::postgres::PgConnection;

use crate::generation::build::goal::goals;
use crate::generation::stored::Generation;
use crate::names::{GenerationId, quote};

/// How long the live generation may be held for the other one to pass it.
pub(crate) const HOLD: Duration = Duration::from_secs(1);
/// How far behind the other one may be when it is tried, having read ten times as much: it has [`HOLD`] to come.
const NEAR: i64 = 2_000;

/// Whether the generation that is built is about where the live one is.
///
/// # Errors
/// Postgres's.
pub(crate) async fn is_near(
    connection: &mut PgConnection,
    live: &GenerationId,
    building: &Generation,
) -> sqlx::Result<bool> {
    let (behind, read) = behind(connection, live, building).await?;
    Ok(behind <= NEAR.min(read / 10))
}

/// Whether the generation that is built passes the live one, which stands still, in time.
pub(crate) async fn passes(
    connection: &mut PgConnection,
    live: &GenerationId,
    building: &Generation,
) -> sqlx::Result<bool> {
    let passing = async {
        while behind(connection, live, building).await?.0 > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    };
    tokio::time::timeout(HOLD, passing)
        .await
        .map_or(Ok(false), |passed: sqlx::Result<()>| passed.map(|()| true))
}

/// How many events there are from the generation that is built to where it must be: in each partition the live one's
/// position, and where that is no goal, the log's end. What is not known yet counts as one: a partition that nobody has
/// claimed, an end that nobody has told. And how many it has read.
async fn behind(
    connection: &mut PgConnection,
    live: &GenerationId,
    building: &Generation,
) -> sqlx::Result<(i64, i64)> {
    let (goals, live, own) =
        (goals(live, &building.id), quote(&live.schema()), quote(&building.id.schema()));
    let behind = format!(
        r#"WITH told AS (
               SELECT e.topic, e.partition, max(e."end") AS "end"
               FROM {own}."@report" r
               CROSS JOIN LATERAL jsonb_to_recordset(r.partitions) AS e(topic text, partition int4, "end" int8)
               GROUP BY 1, 2
           ), shared AS (
               SELECT * FROM ({goals}) g WHERE topic = ANY($1)
           ), goal AS (
               SELECT topic, partition, next_offset FROM shared
               UNION ALL
               SELECT p.topic, p.partition, coalesce(t."end", p.next_offset + 1)
               FROM {own}."@position" p LEFT JOIN told t USING (topic, partition)
               WHERE NOT EXISTS (SELECT FROM shared s WHERE (s.topic, s.partition) = (p.topic, p.partition))
           ), unclaimed AS (
               SELECT greatest(max(partitions) - count(*), 0) AS partitions FROM {own}."@position" GROUP BY topic
           )
           SELECT (coalesce(sum(greatest(g.next_offset - coalesce(p.next_offset, g.next_offset - 1), 0)), 0)
                   + coalesce((SELECT sum(partitions) FROM unclaimed), 0)
                   + CASE WHEN EXISTS (SELECT FROM {live}."@position") AND NOT EXISTS (SELECT FROM {own}."@position")
                          THEN 1 ELSE 0 END)::int8,
                  (SELECT coalesce(sum(next_offset - first_offset), 0)::int8 FROM {own}."@position")
           FROM goal g LEFT JOIN {own}."@position" p USING (topic, partition)"#
    );
    sqlx::query_as(AssertSqlSafe(behind))
        .bind(building.definition.topics())
        .fetch_one(connection)
        .await
}
