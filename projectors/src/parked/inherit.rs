//! What was decided once holds for every generation: a record that was discarded, or lies in a range that was skipped, is
//! skipped where another generation comes to it, and one that is parked and that the log no longer holds is parked there,
//! too. Only of the same log: a topic that was created anew counts its own offsets. Both generations' locks are held.

use sqlx::AssertSqlSafe;
use sqlx::postgres::PgConnection;
use vitrina_ingest::Found;

use crate::names::{GenerationId, quote};

/// Those of the topics in `found` that `from` has read as they were before they were created again.
///
/// # Errors
/// Postgres's.
pub(crate) async fn created_again(
    connection: &mut PgConnection,
    from: &GenerationId,
    found: &[Found],
) -> sqlx::Result<Vec<String>> {
    let (topics, ids): (Vec<&str>, Vec<&str>) =
        found.iter().map(|found| (&*found.topic, found.topic_id.as_str())).unzip();
    let created_again = format!(
        r#"SELECT DISTINCT topic FROM {}."@position" f JOIN unnest($1::text[], $2::text[]) AS n(topic, topic_id) USING (topic)
           WHERE f.topic_id <> n.topic_id AND f.topic_id <> '' AND n.topic_id <> ''"#,
        quote(&from.schema())
    );
    sqlx::query_scalar(AssertSqlSafe(created_again))
        .bind(topics)
        .bind(ids)
        .fetch_all(connection)
        .await
}

/// Discards of `from` hold in `to`: what is parked there goes, what is still to come will be skipped. What was applied there
/// stays applied.
///
/// # Errors
/// Postgres's.
pub(crate) async fn inherit_discards(
    connection: &mut PgConnection,
    from: &GenerationId,
    to: &GenerationId,
) -> sqlx::Result<()> {
    let (from, to) = (quote(&from.schema()), quote(&to.schema()));
    let inherit = format!(
        r#"WITH same AS (
               SELECT topic, partition, t.next_offset FROM {to}."@position" t JOIN {from}."@position" f
               USING (topic, partition, topic_id)
           ), discarded AS (
               SELECT v.*, s.next_offset FROM {from}."@verdict" v JOIN same s USING (topic, partition)
               WHERE v.verdict = 'discarded' AND NOT EXISTS (
                   SELECT FROM {to}."@verdict" o
                   WHERE o.verdict = 'discarded' AND (o.topic, o.partition, o."offset") = (v.topic, v.partition, v."offset"))
           ), gone AS (
               DELETE FROM {to}."@parked" p USING discarded d
               WHERE (p.topic, p.partition, p."offset") = (d.topic, d.partition, d."offset")
               RETURNING p.id, p.topic, p.partition, p."offset", p.queue, d.reason, p.reason AS fault, d.decided_by,
                         d.decided_at
           ), skipped AS (
               SELECT * FROM discarded WHERE "offset" >= next_offset
           ), kept AS (
               INSERT INTO {to}."@verdict"
                   (parked, topic, partition, "offset", queue, verdict, reason, fault, decided_by, decided_at, inherited)
               SELECT id, topic, partition, "offset", queue, 'discarded', reason, fault, decided_by, decided_at, false
               FROM gone
               UNION ALL
               SELECT parked, topic, partition, "offset", queue, 'discarded', reason, fault, decided_by, decided_at, true
               FROM skipped
           )
           UPDATE {to}."@position" SET parked_version = parked_version + 1
           WHERE topic IN (SELECT topic FROM gone UNION ALL SELECT topic FROM skipped)"#
    );
    sqlx::query(AssertSqlSafe(inherit)).execute(connection).await?;
    Ok(())
}

/// Discards of `from` are known in `to`, also of records that it has applied: whatever is built from it next skips them.
///
/// # Errors
/// Postgres's.
pub(crate) async fn keep_discards(
    connection: &mut PgConnection,
    from: &GenerationId,
    to: &GenerationId,
) -> sqlx::Result<()> {
    let (from, to) = (quote(&from.schema()), quote(&to.schema()));
    let keep = format!(
        r#"INSERT INTO {to}."@verdict"
               (parked, topic, partition, "offset", queue, verdict, reason, fault, decided_by, decided_at, inherited)
           SELECT v.parked, topic, partition, v."offset", v.queue, 'discarded', v.reason, v.fault, v.decided_by, v.decided_at,
                  true
           FROM {from}."@verdict" v JOIN {from}."@position" f USING (topic, partition)
           JOIN {to}."@position" t USING (topic, partition, topic_id)
           WHERE v.verdict = 'discarded' AND NOT EXISTS (
               SELECT FROM {to}."@verdict" o
               WHERE o.verdict = 'discarded' AND (o.topic, o.partition, o."offset") = (topic, partition, v."offset"))"#
    );
    sqlx::query(AssertSqlSafe(keep)).execute(connection).await?;
    Ok(())
}

/// Ranges that were skipped in `from` are skipped in `to`, of partitions that it has claimed. A claim tells of them, so who has
/// claimed before must do so anew.
///
/// # Errors
/// Postgres's.
pub(crate) async fn inherit_skipped(
    connection: &mut PgConnection,
    from: &GenerationId,
    to: &GenerationId,
) -> sqlx::Result<()> {
    let (from, to) = (quote(&from.schema()), quote(&to.schema()));
    let inherit = format!(
        r#"INSERT INTO {to}."@skipped" (topic, partition, from_offset, until_offset)
           SELECT topic, partition, s.from_offset, s.until_offset
           FROM {from}."@skipped" s JOIN {from}."@position" f USING (topic, partition)
           JOIN {to}."@position" t USING (topic, partition, topic_id)
           ON CONFLICT DO NOTHING"#
    );
    sqlx::query(AssertSqlSafe(inherit)).execute(connection).await?;
    Ok(())
}

/// What `from` has parked from before the start of the logs in `found` is parked in `to`, in the same order, as long as that
/// has not begun to read.
///
/// # Errors
/// Postgres's.
pub(crate) async fn inherit_parked(
    connection: &mut PgConnection,
    from: &GenerationId,
    to: &GenerationId,
    found: &[Found],
) -> sqlx::Result<()> {
    let topics: Vec<&str> = found.iter().map(|found| &*found.topic).collect();
    let partitions: Vec<i32> = found.iter().map(|found| found.partition).collect();
    let starts: Vec<i64> = found.iter().map(|found| found.log_start.0).collect();
    let (from, to) = (quote(&from.schema()), quote(&to.schema()));
    let columns = r#"topic, partition, "offset", queue, key, value, headers, timestamp_ms, schema, event, identity, duplicate,
                     reason, error_type, sqlstate, rule, attempts, parked_at, failed_at"#;
    let inherit = format!(
        r#"WITH lost AS (
               SELECT p.* FROM {from}."@parked" p
               JOIN unnest($1::text[], $2::int4[], $3::int8[]) AS n(topic, partition, log_start) USING (topic, partition)
               JOIN {from}."@position" f USING (topic, partition)
               JOIN {to}."@position" t USING (topic, partition, topic_id)
               WHERE p."offset" < n.log_start AND t.next_offset = t.first_offset
                 AND NOT EXISTS (SELECT FROM {to}."@parked" o
                                 WHERE (o.topic, o.partition, o."offset") = (p.topic, p.partition, p."offset"))
           ), came AS (
               INSERT INTO {to}."@parked" ({columns}) SELECT {columns} FROM lost ORDER BY id RETURNING topic
           )
           UPDATE {to}."@position" SET parked_version = parked_version + 1 WHERE topic IN (SELECT topic FROM came)"#
    );
    sqlx::query(AssertSqlSafe(inherit))
        .bind(topics)
        .bind(partitions)
        .bind(starts)
        .execute(connection)
        .await?;
    Ok(())
}
