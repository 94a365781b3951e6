//! The one transaction: lock, positions first, every event's rules in order, the window of identities, commit. Either all
//! of a batch is in Postgres and its positions have moved, or nothing is.
//!
//! Event by event is the meaning of a model (`design.md` §1), and the reference for waves. Whatever goes wrong in a wave
//! sends the whole batch through event by event, so that only this path ever says which event is to blame.

use std::collections::HashMap;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, Connection, Executor};
use vitrina_avro::Rows;
use vitrina_ingest::{Span, TopicPartition};

use crate::batch::Decoded;
use crate::fault::Fault;
use crate::rules::Rules;
use crate::session::{self, ROUND_TRIP, within};
use crate::statement::Statement;
use crate::window;

/// How long a connection may take to roll back, or to close, before it is given up.
const ROLLBACK: Duration = Duration::from_secs(2);

/// What a batch did.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Written {
    /// Runs of a rule that touched no row.
    pub untouched: u64,
    pub waves: u64,
}

/// Runs a statement over the picked rows; how many rows it touched.
async fn run<P: AsRef<[u32]>>(
    connection: &mut PgConnection,
    statement: &Statement,
    versions: &[Rows],
    picked: &[P],
) -> sqlx::Result<u64> {
    let arguments = statement.arguments(versions, picked).map_err(sqlx::Error::Encode)?;
    let run = sqlx::query_with(statement.sql(), arguments).execute(connection);
    Ok(within(ROUND_TRIP, run).await?.rows_affected())
}

/// Writes the batches of one generation, one at a time.
pub(crate) struct Writer {
    options: PgConnectOptions,
    model: String,
    generation: i32,
    duplicate_window: u32,
    rules: Rules,
    connection: Option<PgConnection>,
    /// A COMMIT was sent and its answer never came.
    doubtful: bool,
}

impl Writer {
    pub(crate) fn new(
        options: PgConnectOptions,
        (model, generation): (String, i32),
        duplicate_window: u32,
        rules: Rules,
    ) -> Self {
        Self { options, model, generation, duplicate_window, rules, connection: None, doubtful: false }
    }

    /// Writes `batch`, or nothing.
    ///
    /// # Errors
    /// [`Fault`]; the transaction is rolled back, and the same batch may be given again.
    pub(crate) async fn write(&mut self, batch: &Decoded) -> Result<Written, Fault> {
        if self.doubtful {
            let committed = self.resolve(batch).await?;
            self.doubtful = false;
            if committed {
                return Ok(Written::default());
            }
        }
        let written = match self.attempt(batch, true).await {
            Err(fault @ (Fault::World(_) | Fault::Fenced(_))) => Err(fault),
            Err(fault) if self.rules.cutting.is_some() => {
                tracing::debug!(model = %self.model, ?fault, "a wave was refused; the batch runs event by event");
                self.roll_back().await;
                self.attempt(batch, false).await
            }
            written => written,
        };
        if written.is_err() && !self.doubtful {
            self.roll_back().await;
        }
        written
    }

    async fn attempt(&mut self, batch: &Decoded, waves: bool) -> Result<Written, Fault> {
        let begin = format!("BEGIN; SELECT pg_advisory_xact_lock({})", lock_key(&self.model, self.generation));
        let connection = self.connected().await?;
        within(ROUND_TRIP, connection.execute(AssertSqlSafe(begin))).await.map_err(world)?;
        self.move_positions(&batch.spans).await?;
        let written = match waves && self.rules.cutting.is_some() && batch.events.len() > 1 {
            true => self.run_waves(batch).await?,
            false => self.run_events(batch).await?,
        };
        self.store_window(batch).await?;
        self.commit(batch).await?;
        Ok(written)
    }

    /// The meaning: each event alone, each of its rules once, in file order.
    async fn run_events(&mut self, batch: &Decoded) -> Result<Written, Fault> {
        let Self { rules, connection, .. } = self;
        let connection = connection.as_mut().ok_or(Fault::World("Postgres: no connection".into()))?;
        let mut written = Written::default();
        for (index, event) in batch.events.iter().enumerate().filter(|(_, event)| !event.duplicate) {
            let row = [event.row];
            let mut picked: Vec<&[u32]> = vec![&[]; batch.rows[event.layout].len()];
            picked[event.version] = &row;
            for &rule in &rules.of_layout[event.layout] {
                let rule = &rules.rules[rule];
                let touched = run(connection, &rule.single, &batch.rows[event.layout], &picked).await;
                let touched = touched.map_err(|error| Fault::of(&error, Some((index, &rule.place))))?;
                written.untouched += u64::from(touched == 0);
            }
            written.waves += 1;
        }
        Ok(written)
    }

    /// Wave after wave; within one, each rule once over all its events, in file order.
    async fn run_waves(&mut self, batch: &Decoded) -> Result<Written, Fault> {
        let Self { rules, connection, .. } = self;
        let connection = connection.as_mut().ok_or(Fault::World("Postgres: no connection".into()))?;
        let Some(cutting) = &mut rules.cutting else { return Ok(Written::default()) };
        let cut = within(ROUND_TRIP, cutting.cut(connection, batch)).await.map_err(world)?;
        let mut picked: Vec<Vec<Vec<u32>>> =
            batch.rows.iter().map(|versions| vec![Vec::new(); versions.len()]).collect();
        let mut written = Written::default();
        for wave in cut.waves() {
            picked.iter_mut().flatten().for_each(Vec::clear);
            for &event in wave {
                let event = &batch.events[event as usize];
                picked[event.layout][event.version].push(event.row);
            }
            for rule in rules.rules.iter().filter(|rule| picked[rule.layout].iter().any(|rows| !rows.is_empty())) {
                let touched = run(connection, &rule.wave, &batch.rows[rule.layout], &picked[rule.layout]).await;
                let touched = touched.map_err(|error| Fault::of(&error, Some((0, &rule.place))))?;
                written.untouched += u64::from(touched == 0);
            }
            written.waves += 1;
        }
        Ok(written)
    }

    async fn connected(&mut self) -> Result<&mut PgConnection, Fault> {
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => {
                let schema = crate::generation_schema(&self.model, self.generation);
                let statements = 2 * self.rules.rules.len() + 20;
                session::writer(&self.options, &schema, statements).await.map_err(world)?
            }
        };
        Ok(self.connection.insert(connection))
    }

    /// The fence: moves each position that is still where its claim believes it to be.
    async fn move_positions(&mut self, spans: &[Span]) -> Result<(), Fault> {
        let topics: Vec<&str> = spans.iter().map(|span| &*span.topic).collect();
        let partitions: Vec<i32> = spans.iter().map(|span| span.partition).collect();
        let epochs: Vec<i64> = spans.iter().map(|span| span.epoch).collect();
        let from: Vec<i64> = spans.iter().map(|span| span.from).collect();
        let to: Vec<i64> = spans.iter().map(|span| span.to).collect();
        let times: Vec<Option<i64>> = spans.iter().map(|span| span.last_timestamp).collect();
        let (model, generation) = (self.model.clone(), self.generation);
        let moved = sqlx::query_as(
            "UPDATE vitrina.position p
             SET next_offset = n.upto, updated_at = now(),
                 event_time = coalesce(to_timestamp(n.millis / 1000.0), p.event_time)
             FROM unnest($3::text[], $4::int4[], $5::int8[], $6::int8[], $7::int8[], $8::int8[])
                 AS n(topic, partition, epoch, since, upto, millis)
             WHERE p.model = $1 AND p.generation = $2 AND p.topic = n.topic AND p.partition = n.partition
               AND p.epoch = n.epoch AND p.next_offset = n.since
             RETURNING p.topic, p.partition",
        )
        .bind(model)
        .bind(generation)
        .bind(topics)
        .bind(partitions)
        .bind(epochs)
        .bind(from)
        .bind(to)
        .bind(times)
        .fetch_all(self.connected().await?);
        let moved: Vec<(String, i32)> = within(ROUND_TRIP, moved).await.map_err(world)?;
        let fenced: Vec<TopicPartition> = spans
            .iter()
            .filter(|span| {
                !moved.iter().any(|(topic, partition)| **topic == *span.topic && *partition == span.partition)
            })
            .map(|span| (span.topic.clone(), span.partition))
            .collect();
        if fenced.is_empty() { Ok(()) } else { Err(Fault::Fenced(fenced)) }
    }

    /// One row a span; rows that lie wholly before the window go.
    async fn store_window(&mut self, batch: &Decoded) -> Result<(), Fault> {
        let mut identities: Vec<Vec<u8>> = vec![Vec::new(); batch.spans.len()];
        for event in &batch.events {
            if let Some(identity) = event.identity {
                window::store(event.offset, identity, &mut identities[event.span]);
            }
        }
        if self.duplicate_window == 0 || identities.iter().all(Vec::is_empty) {
            return Ok(());
        }
        let topics: Vec<&str> = batch.spans.iter().map(|span| &*span.topic).collect();
        let partitions: Vec<i32> = batch.spans.iter().map(|span| span.partition).collect();
        let last: Vec<i64> = batch.spans.iter().map(|span| span.to - 1).collect();
        let (model, generation, length) = (self.model.clone(), self.generation, i64::from(self.duplicate_window));
        let stored = sqlx::query(
            "WITH n AS (
                 SELECT * FROM unnest($3::text[], $4::int4[], $5::int8[], $6::bytea[])
                     AS n(topic, partition, last_offset, identities)
             ), gone AS (
                 DELETE FROM vitrina.seen s USING n
                 WHERE s.model = $1 AND s.generation = $2 AND s.topic = n.topic AND s.partition = n.partition
                   AND s.last_offset < n.last_offset + 1 - $7
             )
             INSERT INTO vitrina.seen (model, generation, topic, partition, last_offset, identities)
             SELECT $1, $2, topic, partition, last_offset, identities FROM n WHERE identities <> ''",
        )
        .bind(model)
        .bind(generation)
        .bind(topics)
        .bind(partitions)
        .bind(last)
        .bind(identities)
        .bind(length)
        .execute(self.connected().await?);
        within(ROUND_TRIP, stored).await.map_err(world)?;
        Ok(())
    }

    async fn commit(&mut self, batch: &Decoded) -> Result<(), Fault> {
        let commit = self.connected().await?.execute("COMMIT");
        let Err(error) = within(ROUND_TRIP, commit).await else { return Ok(()) };
        if matches!(error, sqlx::Error::Database(_)) {
            return Err(Fault::of(&error, None));
        }
        self.connection = None;
        self.doubtful = true;
        tracing::warn!(model = %self.model, %error, "the answer to COMMIT was lost; the positions will tell");
        let committed = self.resolve(batch).await?;
        self.doubtful = false;
        if committed { Ok(()) } else { Err(Fault::World(format!("Postgres (postgres.url): {error}"))) }
    }

    /// Whether the doubtful transaction was committed: its positions are locked, so it has ended, and read.
    async fn resolve(&mut self, batch: &Decoded) -> Result<bool, Fault> {
        let (model, generation) = (self.model.clone(), self.generation);
        let topics: Vec<&str> = batch.spans.iter().map(|span| &*span.topic).collect();
        let partitions: Vec<i32> = batch.spans.iter().map(|span| span.partition).collect();
        let found = sqlx::query_as(
            "SELECT p.topic, p.partition, p.epoch, p.next_offset FROM vitrina.position p
             WHERE p.model = $1 AND p.generation = $2
               AND (p.topic, p.partition) IN (SELECT * FROM unnest($3::text[], $4::int4[]))
             FOR UPDATE",
        )
        .bind(model)
        .bind(generation)
        .bind(topics)
        .bind(partitions)
        .fetch_all(self.connected().await?);
        let found: Vec<(String, i32, i64, i64)> = within(ROUND_TRIP, found).await.map_err(world)?;
        let found: HashMap<(&str, i32), (i64, i64)> = found
            .iter()
            .map(|(topic, partition, epoch, next)| ((topic.as_str(), *partition), (*epoch, *next)))
            .collect();
        let stands =
            |span: &Span, offset: i64| found.get(&(&*span.topic, span.partition)) == Some(&(span.epoch, offset));
        if batch.spans.iter().all(|span| stands(span, span.to)) {
            return Ok(true);
        }
        let fenced: Vec<&Span> = batch.spans.iter().filter(|span| !stands(span, span.from)).collect();
        if fenced.is_empty() {
            return Ok(false);
        }
        Err(Fault::Fenced(fenced.into_iter().map(|span| (span.topic.clone(), span.partition)).collect()))
    }

    /// Rolls back; a connection that cannot even do that is given up, and the server rolls back.
    async fn roll_back(&mut self) {
        if let Some(mut connection) = self.connection.take()
            && within(ROLLBACK, connection.execute("ROLLBACK")).await.is_ok()
        {
            self.connection = Some(connection);
        }
    }

    pub(crate) async fn close(self) {
        if let Some(connection) = self.connection {
            let _ = within(ROLLBACK, connection.close()).await;
        }
    }
}

fn world(error: sqlx::Error) -> Fault {
    Fault::of(&error, None)
}

/// The advisory lock of a generation's writer.
fn lock_key(model: &str, generation: i32) -> i64 {
    xxhash_rust::xxh3::xxh3_64(format!("vitrina {model}@{generation}").as_bytes()) as i64
}
