//! A model rehearsed: the engine without Kafka, for `vitrina test`. Records that nobody has polled go the way that they go in
//! a worker, from their bytes to the commit, in the order and the batches in which they are said to arrive. Nothing is left
//! of one run in the next.

mod record;
mod schemas;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _};
use vitrina_avro::{Decoder, SchemaRef};
use vitrina_ingest::{Batch, Epoch, Offset, Span, TopicPartition};

use crate::batch::{EventBatch, RecordReader, Unlearnt};
use crate::commit::window::{Window, Windows, mark_duplicates};
use crate::commit::writer::Writer;
use crate::definition::Definition;
use crate::error_type::ErrorType;
use crate::fault::{Blame, Fault, Otherwise};
use crate::generation::control;
use crate::generation::role::Role;
use crate::generation::start::open;
use crate::names::{GenerationId, quote};
use crate::rules::Rules;
use crate::rules::bisect::Search;
use crate::session;
use crate::settings::ModelSettings;
use crate::worker::breaker::Breaker;
use crate::worker::plan::plan;

pub use record::LogRecord;
pub use schemas::Schemas;

/// The only claim of every partition.
const EPOCH: Epoch = Epoch(1);

/// A model's first generation in a scratch database, and who writes it.
pub struct Rehearsal {
    settings: ModelSettings,
    schemas: Arc<Schemas>,
    reader: RecordReader,
    writer: Writer,
    rules: Rules,
    /// The rule that the writer does without.
    without: Option<usize>,
    /// Beside the writer's: empties the tables before a run, and reads what is parked after it.
    connection: PgConnection,
    /// Leaves the generation as it began.
    empty: String,
}

/// A record that a run has parked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedRecord {
    /// Its place among all records of the run, in the order of their arrival.
    pub arrival: usize,
    /// None: it waits behind another record of its key.
    pub reason: Option<String>,
}

/// Makes the control tables in a scratch database.
///
/// # Errors
/// Postgres refuses.
pub async fn prepare(options: &PgConnectOptions) -> Result<(), Fault> {
    let pool = session::control_pool(options, 1);
    let migrated = control::migrate(&pool).await;
    pool.close().await;
    migrated.map_err(|error| Fault::Stop(error.to_string()))
}

impl Rehearsal {
    /// Makes the model's first generation in a database that has been prepared and has none of it.
    ///
    /// # Errors
    /// [`Fault::Stop`] where Postgres refuses what the model declares; [`Fault::World`] where it is away.
    pub async fn open(
        options: &PgConnectOptions,
        definition: &Definition,
        settings: ModelSettings,
        schemas: Arc<Schemas>,
    ) -> Result<Self, Fault> {
        // Nobody needs the rows after a crash; and what runs over a few rows, again and again, is planned once.
        let settings_of_all =
            [("synchronous_commit", "off"), ("plan_cache_mode", "force_generic_plan")];
        let options = options.clone().options(settings_of_all);
        let pool = session::control_pool(&options, 1);
        let opened = open::open(&pool, definition, settings.duplicate_window, None).await;
        pool.close().await;
        opened?;
        let id = GenerationId::new(&definition.model.name, 1);
        let schema = id.schema();
        let mut connection = session::writer(&options, &schema, 0, settings.timeout).await?;
        let rules = Rules::new(&mut connection, definition, &schema).await?;
        let empty = empty(&mut connection, &schema).await?;
        let layouts = definition.layouts.clone();
        let reader = RecordReader::new(Decoder::new(&definition.contracts, layouts.clone()));
        let (window, timeout) = (settings.duplicate_window, settings.timeout);
        let writer =
            Writer::new(options, (id, Role::Live), window, timeout, (rules.clone(), layouts));
        Ok(Self { settings, schemas, reader, writer, rules, without: None, connection, empty })
    }

    /// Runs the records of each batch on empty tables, without the rule at that place in the model's file order, if one is
    /// named; what is parked then, by arrival.
    ///
    /// # Errors
    /// [`Fault`]: the world's, or one that stops the model.
    pub async fn run(
        &mut self,
        batches: &[Vec<&LogRecord>],
        without: Option<usize>,
    ) -> Result<Vec<RefusedRecord>, Fault> {
        self.begin(batches, without).await?;
        let mut next: HashMap<TopicPartition, Offset> = HashMap::new();
        let mut arrivals: Vec<(TopicPartition, Offset)> = Vec::new();
        let mut windows = Windows::new();
        for records in batches {
            let batch = self.decode(records, &mut next);
            for span in &batch.spans {
                let partition = (span.topic.clone(), span.partition);
                let window = Window::new(self.settings.duplicate_window);
                windows.entry(partition).or_insert((EPOCH, window));
            }
            arrivals.extend(batch.records.records().map(|(span, record)| {
                let span = &batch.spans[span];
                ((span.topic.clone(), span.partition), Offset(record.offset))
            }));
            self.write(batch, &mut windows).await?;
        }
        self.parked(&arrivals).await
    }

    async fn begin(
        &mut self,
        batches: &[Vec<&LogRecord>],
        without: Option<usize>,
    ) -> Result<(), Fault> {
        let partitions: BTreeSet<(&str, i32)> =
            batches.iter().flatten().map(|record| (&*record.topic, record.partition)).collect();
        let (topics, partitions): (Vec<&str>, Vec<i32>) = partitions.into_iter().unzip();
        self.connection.execute(AssertSqlSafe(self.empty.clone())).await?;
        sqlx::query(
            r#"INSERT INTO "@position" (topic, partition, topic_id, epoch, next_offset, first_offset)
               SELECT topic, partition, '', $3, 0, 0 FROM unnest($1::text[], $2::int4[]) AS p(topic, partition)"#,
        )
        .bind(topics)
        .bind(partitions)
        .bind(EPOCH.0)
        .execute(&mut self.connection)
        .await?;
        if self.without != without {
            let rules = without.map_or_else(|| self.rules.clone(), |rule| self.rules.without(rule));
            self.writer.take_rules(rules);
            self.without = without;
        }
        self.writer.begin_anew();
        Ok(())
    }

    /// As a consumer and a worker's decoding make a batch of what is polled.
    fn decode(
        &mut self,
        records: &[&LogRecord],
        next: &mut HashMap<TopicPartition, Offset>,
    ) -> EventBatch {
        let mut polled = Batch::default();
        for record in records {
            let partition = (record.topic.clone(), record.partition);
            let offset = next.entry(partition).or_default();
            let span = polled.spans.iter().position(|span| {
                (&span.topic, span.partition) == (&record.topic, record.partition)
            });
            let span = span.unwrap_or_else(|| {
                polled.spans.push(Span {
                    topic: record.topic.clone(),
                    partition: record.partition,
                    epoch: EPOCH,
                    from: *offset,
                    to: *offset,
                    first_timestamp: None,
                    last_timestamp: None,
                });
                polled.spans.len() - 1
            });
            record.poll(*offset, |record| polled.add(span, record));
            *offset = offset.next();
        }
        let mut batch = EventBatch { rows: self.reader.rows(), ..EventBatch::default() };
        for (index, (span, record)) in polled.records().enumerate() {
            let reading = loop {
                match self.reader.read(&record, &mut batch.rows) {
                    Ok(reading) => break reading,
                    Err(Unlearnt(schema)) => learn(&mut self.reader, &self.schemas, schema),
                }
            };
            batch.add(span, index, Offset(record.offset), reading);
        }
        batch.spans.clone_from(&polled.spans);
        batch.records = polled.into();
        batch
    }

    /// Writes a batch as a worker does that the world never troubles: what is refused by itself is parked, whatever comes
    /// behind it for its key waits.
    async fn write(&mut self, mut batch: EventBatch, windows: &mut Windows) -> Result<(), Fault> {
        mark_duplicates(windows, &mut batch);
        let mut search = Search::default();
        while !batch.is_done() {
            let end = search.end(batch.done, batch.events.len());
            // It never opens: nothing is counted from one part to the next.
            let breaker = Breaker::new(self.settings.breaker.clone());
            let planned = plan(&batch, end, &self.writer.queues, &self.settings.parked, breaker);
            let part = planned.map_err(Fault::Stop)?.part;
            let alone = part.apply.first().copied();
            match self.writer.write(&batch, &part).await {
                Ok(_) => {
                    search.committed(part.range.end);
                    batch.advance(&part);
                }
                Err(Fault::Stale) => {}
                Err(Fault::Record { event: Some(event), blame, .. })
                    if alone == Some(event as u32) =>
                {
                    search.reset();
                    batch.blame(event, blame);
                }
                Err(Fault::Record { event, .. } | Fault::Doubt { event, .. })
                    if part.apply.len() > 1 =>
                {
                    search.refused(part.range.end, event);
                }
                Err(Fault::Doubt { event: Some(event), blame, otherwise: Otherwise::Wait(_) }) => {
                    search.reset();
                    batch.blame(event, blame);
                }
                Err(other) => return Err(other),
            }
        }
        Ok(())
    }

    async fn parked(
        &mut self,
        arrivals: &[(TopicPartition, Offset)],
    ) -> Result<Vec<RefusedRecord>, Fault> {
        type Row = (String, i32, i64, Option<String>, Option<String>, Option<String>);
        let parked: Vec<Row> = sqlx::query_as(
            r#"SELECT topic, partition, "offset", reason, sqlstate, rule FROM "@parked""#,
        )
        .fetch_all(&mut self.connection)
        .await?;
        let refused = |(topic, partition, offset, reason, sqlstate, rule): Row| {
            let is_it = |((other, number), at): &(TopicPartition, Offset)| {
                **other == *topic && *number == partition && at.0 == offset
            };
            let error_type = ErrorType::Validation;
            let reason =
                reason.map(|reason| Blame { error_type, reason, sqlstate, rule }.to_string());
            Some(RefusedRecord { arrival: arrivals.iter().position(is_it)?, reason })
        };
        let mut refused: Vec<RefusedRecord> = parked.into_iter().filter_map(refused).collect();
        refused.sort_by_key(|record| record.arrival);
        Ok(refused)
    }

    /// Ends its connections.
    pub async fn close(self) {
        self.writer.close().await;
        let _ = self.connection.close().await;
    }
}

fn learn(reader: &mut RecordReader, schemas: &Schemas, reference: SchemaRef) {
    match schemas.of(reference) {
        Some(schema) => drop(reader.add_schema(reference, schema)),
        None => {
            let reason = "no contract's version has this schema".to_owned();
            let error_type = ErrorType::NotFound;
            reader.refuse(reference, Blame { error_type, reason, sqlstate: None, rule: None });
        }
    }
}

/// Statements that delete what a run leaves behind.
async fn empty(connection: &mut PgConnection, schema: &str) -> Result<String, Fault> {
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT relname::text FROM pg_class
         WHERE relnamespace = $1::regnamespace AND relkind = 'r' AND relname <> '@generation' ORDER BY 1",
    )
    .bind(quote(schema))
    .fetch_all(connection)
    .await?;
    let deletes = tables.iter().map(|table| format!("DELETE FROM {}", quote(table)));
    Ok(deletes.collect::<Vec<_>>().join("; "))
}
