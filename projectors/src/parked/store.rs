//! Storing what is parked: raw bytes, coordinates and reason, in the transaction that moves the positions past them.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use sqlx::postgres::PgConnection;
use vitrina_avro::{Decoder, Headers, Layout, Record};

use super::queues::{Versions, raise_versions};
use crate::batch::{EventBatch, Part, QueueId};

/// What parking changes in the set of parked keys once it is committed.
#[derive(Debug)]
pub(crate) struct Change {
    pub queues: Vec<Option<QueueId>>,
    /// The newest id.
    pub newest: i64,
    pub versions: Versions,
}

/// Columns of the rows to be stored, bound as arrays.
#[derive(Default)]
struct ParkedColumns<'a> {
    topics: Vec<&'a str>,
    partitions: Vec<i32>,
    offsets: Vec<i64>,
    queues: Vec<Option<QueueId>>,
    keys: Vec<Option<&'a [u8]>>,
    values: Vec<Option<&'a [u8]>>,
    headers: Vec<String>,
    timestamps: Vec<Option<i64>>,
    schemas: Vec<Option<String>>,
    events: Vec<Option<String>>,
    identities: Vec<Option<Vec<u8>>>,
    duplicates: Vec<bool>,
    reasons: Vec<Option<String>>,
    error_types: Vec<Option<&'static str>>,
    sqlstates: Vec<Option<&'a str>>,
    rules: Vec<Option<&'a str>>,
}

/// Parks the part's records, and raises the version of their topics' sets.
///
/// # Errors
/// Postgres's.
pub(crate) async fn park(
    connection: &mut PgConnection,
    layouts: &[Layout],
    batch: &EventBatch,
    part: &Part,
) -> sqlx::Result<Change> {
    let mut columns = ParkedColumns::default();
    for &event in &part.park {
        columns.push(layouts, batch, event as usize);
    }
    let ids = columns.insert(connection).await?;
    let versions = raise_versions(connection, &columns.topics).await?;
    Ok(Change { queues: columns.queues, newest: ids.into_iter().max().unwrap_or(0), versions })
}

impl<'a> ParkedColumns<'a> {
    /// Adds the record of an event.
    fn push(&mut self, layouts: &[Layout], batch: &'a EventBatch, index: usize) {
        let event = &batch.events[index];
        let span = &batch.spans[event.span];
        let Some(record) = batch.records.get(event.record) else { return };
        let queue = record.key.map(|key| QueueId::new(&span.topic, key));
        self.topics.push(&span.topic);
        self.partitions.push(span.partition);
        self.offsets.push(event.offset.0);
        self.queues.push(queue);
        self.keys.push(record.key);
        self.values.push(record.value);
        self.headers.push(headers(record.headers).to_string());
        self.timestamps.push(record.timestamp_ms);
        self.schemas.push(schema(&record));
        let blame = event.blame().map(|blame| &batch.blames[blame]);
        let row = event.rows().and_then(|rows| rows.iter().next());
        self.events.push(row.map(|row| {
            let rows = &batch.rows[row.layout][row.version];
            layouts[row.layout].event(row.version, rows, row.row as usize)
        }));
        self.identities.push(event.identity.map(|identity| identity.bytes(event.offset)));
        self.duplicates.push(event.duplicate);
        self.reasons.push(blame.map(|blame| without_nul(&blame.reason)));
        self.error_types.push(blame.map(|blame| blame.error_type.name()));
        self.sqlstates.push(blame.and_then(|blame| blame.sqlstate.as_deref()));
        self.rules.push(blame.and_then(|blame| blame.rule.as_deref()));
    }

    async fn insert(&self, connection: &mut PgConnection) -> sqlx::Result<Vec<i64>> {
        let queues: Vec<Option<Vec<u8>>> =
            self.queues.iter().map(|queue| queue.map(QueueId::to_bytes)).collect();
        sqlx::query_scalar(
            r#"INSERT INTO "@parked" (topic, partition, "offset", queue, key, value, headers,
                   timestamp_ms, schema, event, identity, duplicate, reason, error_type, sqlstate, rule)
               SELECT topic, partition, "offset", queue, key, value, headers,
                   timestamp_ms, schema, event, identity, duplicate, reason, error_type, sqlstate, rule
               FROM unnest($1::text[], $2::int4[], $3::int8[], $4::bytea[], $5::bytea[], $6::bytea[], $7::json[],
                   $8::int8[], $9::text[], $10::text[], $11::bytea[], $12::bool[], $13::text[], $14::text[],
                   $15::text[], $16::text[])
                   WITH ORDINALITY AS n(topic, partition, "offset", queue, key, value, headers, timestamp_ms, schema,
                       event, identity, duplicate, reason, error_type, sqlstate, rule, place)
               ORDER BY place
               RETURNING id"#,
        )
        .bind(&self.topics)
        .bind(&self.partitions)
        .bind(&self.offsets)
        .bind(queues)
        .bind(&self.keys)
        .bind(&self.values)
        .bind(&self.headers)
        .bind(&self.timestamps)
        .bind(&self.schemas)
        .bind(&self.events)
        .bind(&self.identities)
        .bind(&self.duplicates)
        .bind(&self.reasons)
        .bind(&self.error_types)
        .bind(&self.sqlstates)
        .bind(&self.rules)
        .fetch_all(connection)
        .await
    }
}

/// Which schema the record says that it was written with; none where its framing is broken.
fn schema(record: &Record<'_>) -> Option<String> {
    Decoder::frame(record).ok().map(|framed| framed.schema.to_string())
}

fn headers(headers: Headers<'_>) -> Value {
    headers
        .iter()
        .map(|(name, value)| json!([name, value.map(|value| BASE64_STANDARD.encode(value))]))
        .collect()
}

/// What [`headers`] has written.
pub(crate) fn read_headers(stored: &str) -> Vec<(String, Option<Vec<u8>>)> {
    let stored: Vec<(String, Option<String>)> = serde_json::from_str(stored).unwrap_or_default();
    let decode = |value: String| BASE64_STANDARD.decode(value).unwrap_or_default();
    stored.into_iter().map(|(name, value)| (name, value.map(decode))).collect()
}

/// Postgres's text has no NUL.
pub(crate) fn without_nul(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}
