//! The fence: positions move first in every transaction, and only from where their claim believes them to be. The
//! connection stands in the generation's schema.

use std::collections::HashMap;

use sqlx::postgres::PgConnection;
use vitrina_ingest::{Epoch, Offset, Span, TopicPartition};

use crate::fault::Fault;
use crate::parked::{ParkedVersion, Versions};

/// Spans as arrays to be bound.
fn columns(spans: &[Span]) -> (Vec<&str>, Vec<i32>) {
    spans.iter().map(|span| (&*span.topic, span.partition)).unzip()
}

fn partition(span: &Span) -> TopicPartition {
    (span.topic.clone(), span.partition)
}

/// Moves the positions of all spans; for each, the version of its topic's set of parked keys.
///
/// # Errors
/// [`Fault::Fenced`] names the partitions that somebody else has claimed, or moved.
pub(crate) async fn advance(
    connection: &mut PgConnection,
    spans: &[Span],
) -> Result<Versions, Fault> {
    if spans.is_empty() {
        return Ok(Vec::new());
    }
    let (topics, partitions) = columns(spans);
    let epochs: Vec<i64> = spans.iter().map(|span| span.epoch.0).collect();
    let from: Vec<i64> = spans.iter().map(|span| span.from.0).collect();
    let to: Vec<i64> = spans.iter().map(|span| span.to.0).collect();
    let first: Vec<Option<i64>> = spans.iter().map(|span| span.first_timestamp).collect();
    let last: Vec<Option<i64>> = spans.iter().map(|span| span.last_timestamp).collect();
    let moved: Vec<(String, i32, ParkedVersion)> = sqlx::query_as(
        r#"UPDATE "@position" p
         SET next_offset = n.upto, updated_at = now(),
             first_time = coalesce(p.first_time, to_timestamp(n.first / 1000.0)),
             event_time = coalesce(to_timestamp(n.last / 1000.0), p.event_time)
         FROM unnest($1::text[], $2::int4[], $3::int8[], $4::int8[], $5::int8[], $6::int8[], $7::int8[])
             AS n(topic, partition, epoch, since, upto, first, last)
         WHERE p.topic = n.topic AND p.partition = n.partition AND p.epoch = n.epoch AND p.next_offset = n.since
         RETURNING p.topic, p.partition, p.parked_version"#,
    )
    .bind(topics)
    .bind(partitions)
    .bind(epochs)
    .bind(from)
    .bind(to)
    .bind(first)
    .bind(last)
    .fetch_all(connection)
    .await?;
    let version = |span: &Span| {
        moved
            .iter()
            .find(|(topic, partition, _)| **topic == *span.topic && *partition == span.partition)
    };
    let fenced: Vec<TopicPartition> =
        spans.iter().filter(|span| version(span).is_none()).map(partition).collect();
    if !fenced.is_empty() {
        return Err(Fault::Fenced(fenced));
    }
    Ok(spans.iter().filter_map(|span| Some((partition(span), version(span)?.2))).collect())
}

/// Whether the transaction that moved these spans was committed. Their positions are locked, so it has ended, and read.
///
/// # Errors
/// [`Fault::Fenced`] where some are neither where it began nor where it ended.
pub(crate) async fn committed(
    connection: &mut PgConnection,
    spans: &[Span],
) -> Result<bool, Fault> {
    let (topics, partitions) = columns(spans);
    let found: Vec<(String, i32, i64, i64)> = sqlx::query_as(
        r#"SELECT p.topic, p.partition, p.epoch, p.next_offset FROM "@position" p
         WHERE (p.topic, p.partition) IN (SELECT * FROM unnest($1::text[], $2::int4[]))
         FOR UPDATE"#,
    )
    .bind(topics)
    .bind(partitions)
    .fetch_all(connection)
    .await?;
    let found: HashMap<(&str, i32), (Epoch, Offset)> = found
        .iter()
        .map(|(topic, partition, epoch, next)| {
            ((topic.as_str(), *partition), (Epoch(*epoch), Offset(*next)))
        })
        .collect();
    let stands = |span: &Span, offset: Offset| {
        found.get(&(&*span.topic, span.partition)) == Some(&(span.epoch, offset))
    };
    if spans.iter().all(|span| stands(span, span.to)) {
        return Ok(true);
    }
    let fenced: Vec<TopicPartition> =
        spans.iter().filter(|span| !stands(span, span.from)).map(partition).collect();
    if fenced.is_empty() { Ok(false) } else { Err(Fault::Fenced(fenced)) }
}
