//! One generation of a model, fed from a log in memory as a worker feeds it from Kafka: claims, windows, what is parked and
//! what is passed over go the worker's way. A stand that is dropped is a crash: the next one claims what was committed.

use std::collections::HashMap;
use std::sync::Arc;

use sqlx::postgres::{PgConnectOptions, PgPool};
use sqlx::{AssertSqlSafe, Connection as _};
use vitrina_avro::{
    Decoder, HeaderPlace, Headers, Record, Registry, RegistrySettings, SchemaRef, encode_json,
};
use vitrina_ingest::{Batch, Claim, Found, Offset, Positions as _, Span, TopicPartition};

use super::events::{Event, RELATIONS};
use crate::batch::{EventBatch, RecordReader, Unlearnt};
use crate::board::Board;
use crate::commit::window::{Windows, mark_duplicates};
use crate::commit::writer::Writer;
use crate::definition::Definition;
use crate::fault::Fault;
use crate::generation::role::Role;
use crate::names::{GenerationId, quote};
use crate::parked::workbench::Workbench;
use crate::rules::Rules;
use crate::rules::bisect::Search;
use crate::session;
use crate::settings::{BreakerSettings, ParkedLimits, Rewind};
use crate::worker::breaker::Breaker;
use crate::worker::claims::Claims;
use crate::worker::plan;

/// Offsets in which an event may come again unseen: fewer than a log has.
pub(super) const WINDOW: u32 = 12;
const PARTITION: i32 = 0;

/// A record of the log.
struct Logged {
    topic: &'static str,
    offset: i64,
    key: Vec<u8>,
    value: Vec<u8>,
    id: String,
}

/// A model, and the log that its generations read.
pub(super) struct Deck {
    pub(super) options: PgConnectOptions,
    pub(super) pool: PgPool,
    pub(super) definition: Definition,
    log: Vec<Logged>,
}

/// A registry that nobody asks.
pub(super) fn nowhere() -> Arc<Registry> {
    let settings = RegistrySettings { url: "http://localhost:1".into(), ..Default::default() };
    Arc::new(Registry::new(&settings).unwrap())
}

/// The number of a writer's schema.
fn schema_of(relation: usize, version: usize) -> u32 {
    (relation * 10 + version) as u32
}

impl Deck {
    /// Each event with its id; topics count their own offsets.
    pub(super) fn new(
        (options, pool): (&PgConnectOptions, &PgPool),
        definition: Definition,
        events: &[(Event, String)],
    ) -> Self {
        let mut ends: HashMap<&str, i64> = HashMap::new();
        let logged = |(event, id): &(Event, String)| {
            let (topic, name, _) = RELATIONS[event.relation];
            let contract = definition.contracts.contract(topic, name).unwrap();
            let version = &contract.versions[event.version];
            let mut value = vec![0];
            value.extend(schema_of(event.relation, event.version).to_be_bytes());
            value.extend(encode_json(version, &event.value).unwrap());
            let end = ends.entry(topic).or_default();
            *end += 1;
            let key = event.key.to_string().into_bytes();
            Logged { topic, offset: *end - 1, key, value, id: id.clone() }
        };
        let log = events.iter().map(logged).collect();
        Self { options: options.clone(), pool: pool.clone(), definition, log }
    }

    pub(super) fn len(&self) -> usize {
        self.log.len()
    }

    /// Where the topic's log ends.
    pub(super) fn end(&self, topic: &str) -> Offset {
        Offset(self.log.iter().filter(|logged| logged.topic == topic).count() as i64)
    }

    /// Where parked records of a generation are worked on, which knows all schemas.
    pub(super) async fn workbench(&self, id: &GenerationId, role: Role) -> Workbench {
        let (pool, options) = (&self.pool, &self.options);
        let mut workbench = Workbench::open(pool, options, nowhere(), (id, role)).await.unwrap();
        learn(&mut workbench.reader, &self.definition);
        workbench
    }
}

fn learn(reader: &mut RecordReader, definition: &Definition) {
    for (relation, (context, name, _)) in RELATIONS.iter().enumerate() {
        let Some(contract) = definition.contracts.contract(context, name) else { continue };
        for (number, version) in contract.versions.iter().enumerate() {
            let schema = SchemaRef::Id(schema_of(relation, number));
            let _ = reader.add_schema(schema, &version.schema);
        }
    }
}

pub(super) struct Stand {
    pub(super) id: GenerationId,
    claims: Arc<Claims>,
    writer: Writer,
    reader: RecordReader,
    windows: Windows,
    held: HashMap<TopicPartition, Claim>,
}

impl Stand {
    pub(super) async fn open(deck: &Deck, id: &GenerationId, role: Role) -> Self {
        let (definition, schema) = (&deck.definition, id.schema());
        let connected = session::writer(&deck.options, &schema, 0, session::STATEMENT).await;
        let mut connection = connected.unwrap();
        let rules = Rules::new(&mut connection, definition, &schema).await.unwrap();
        connection.close().await.unwrap();
        let (rules, generation) = ((rules, definition.layouts.clone()), (id.clone(), role));
        let options = deck.options.clone();
        let writer = Writer::new(options, generation.clone(), WINDOW, session::STATEMENT, rules);
        let decoder = Decoder::new(&definition.contracts, definition.layouts.clone());
        let mut reader = RecordReader::new(decoder);
        learn(&mut reader, definition);
        let (board, rewind) = (Board::new("law"), (Rewind::Rebuild, None));
        let claims =
            Claims::new(deck.pool.clone(), generation, WINDOW, "law".into(), board, false, rewind);
        let (windows, held) = (Windows::new(), HashMap::new());
        let mut stand =
            Self { id: id.clone(), claims: Arc::new(claims), writer, reader, windows, held };
        stand.claim(deck).await;
        stand
    }

    async fn claim(&mut self, deck: &Deck) {
        let found = |topic: String| Found {
            log_end: deck.end(&topic),
            topic: Arc::from(topic),
            partition: PARTITION,
            topic_id: "law".to_owned(),
            partitions: 1,
            log_start: Offset(0),
        };
        let found: Vec<Found> = deck.definition.topics().into_iter().map(found).collect();
        let (claims, asked) = (self.claims.clone(), found.clone());
        let claiming = tokio::task::spawn_blocking(move || claims.claim(None, &asked));
        for (found, claim) in found.into_iter().zip(claiming.await.unwrap().unwrap()) {
            let key = (found.topic, found.partition);
            let (window, verdict) = self.claims.take_window(&key, claim.epoch).unwrap();
            self.writer.queues.window_read(key.clone(), verdict);
            self.windows.insert(key.clone(), (claim.epoch, window));
            self.held.insert(key, claim);
        }
    }

    /// Where it reads on in a topic.
    pub(super) fn next(&self, topic: &str) -> Offset {
        self.held[&(Arc::from(topic), PARTITION)].next_offset
    }

    /// Writes what is left of the log before the record at `until`, in one batch.
    pub(super) async fn feed(&mut self, deck: &Deck, until: usize) {
        loop {
            let mut batch = self.read(deck, until);
            if self.write(&mut batch).await {
                return;
            }
            self.claim(deck).await;
        }
    }

    /// False: fenced.
    async fn write(&mut self, batch: &mut EventBatch) -> bool {
        let never =
            BreakerSettings { in_a_row: u32::MAX, share: 2.0, ..BreakerSettings::default() };
        let (mut search, limits) = (Search::default(), ParkedLimits::default());
        while !batch.is_done() {
            let end = search.end(batch.done, batch.events.len());
            let breaker = Breaker::new(never.clone());
            let part = plan::plan(batch, end, &self.writer.queues, &limits, breaker).unwrap().part;
            match self.writer.write(batch, &part).await {
                Ok(_) => {
                    search.committed(part.range.end);
                    batch.advance(&part);
                    for (key, to) in part.positions() {
                        self.held.entry(key).and_modify(|claim| claim.next_offset = to);
                    }
                }
                Err(Fault::Stale) => {}
                Err(Fault::Fenced(_)) => return false,
                Err(Fault::Record { event: Some(event), blame, .. }) => {
                    search.reset();
                    batch.blame(event, blame);
                }
                Err(Fault::Record { event: None, .. }) => search.refused(part.range.end, None),
                Err(other) => panic!("{other:?}"),
            }
        }
        true
    }

    fn read(&mut self, deck: &Deck, until: usize) -> EventBatch {
        let mut batch = EventBatch { rows: self.reader.rows(), ..EventBatch::default() };
        let mut records = Batch::default();
        let mut keys: Vec<&TopicPartition> = self.held.keys().collect();
        keys.sort();
        for key in &keys {
            let Claim { epoch, next_offset } = self.held[*key];
            let (topic, partition) = (*key).clone();
            let (first_timestamp, last_timestamp) = (None, None);
            let (from, to) = (next_offset, next_offset);
            records.spans.push(Span {
                topic,
                partition,
                epoch,
                from,
                to,
                first_timestamp,
                last_timestamp,
            });
        }
        for logged in &deck.log[..until] {
            let Some(span) = keys.iter().position(|(topic, _)| **topic == *logged.topic) else {
                continue;
            };
            if Offset(logged.offset) < records.spans[span].to {
                continue;
            }
            let header = format!("ce_id{}", logged.id);
            let (name, end) = ("ce_id".len() as u32, header.len() as u32);
            let places = [HeaderPlace { name: 0..name, value: Some(name..end) }];
            let record = Record {
                topic: logged.topic,
                partition: PARTITION,
                offset: logged.offset,
                timestamp_ms: Some(0),
                key: Some(&logged.key),
                value: Some(&logged.value),
                headers: Headers::new(header.as_bytes(), &places),
            };
            let reading = match self.reader.read(&record, &mut batch.rows) {
                Ok(reading) => reading,
                Err(Unlearnt(schema)) => panic!("schema {schema} is not known"),
            };
            batch.add(span, records.len(), Offset(logged.offset), reading);
            records.add(span, &record);
        }
        batch.spans.clone_from(&records.spans);
        batch.records = records.into();
        batch.retain_records(|span, offset| {
            !self.windows[&(span.topic.clone(), span.partition)].1.skips(offset)
        });
        mark_duplicates(&mut self.windows, &mut batch);
        batch
    }

    /// Every table's rows, in one order.
    pub(super) async fn rows(&self, deck: &Deck) -> Vec<String> {
        let mut all = Vec::new();
        for table in &deck.definition.model.tables {
            let sql = format!(
                "SELECT '{}: ' || t::text FROM {}.{} t ORDER BY t::text COLLATE \"C\"",
                table.name,
                quote(&self.id.schema()),
                quote(&table.name)
            );
            let rows = sqlx::query_scalar(AssertSqlSafe(sql)).persistent(false);
            let rows: Vec<String> = rows.fetch_all(&deck.pool).await.unwrap();
            all.extend(rows);
        }
        all
    }

    /// Topic, offset and id of what is parked, in the order of parking.
    pub(super) async fn parked(&self, deck: &Deck) -> Vec<(String, i64, i64)> {
        let parked = format!(
            r#"SELECT topic, "offset", id FROM {}."@parked" ORDER BY id"#,
            quote(&self.id.schema())
        );
        let parked = sqlx::query_as(AssertSqlSafe(parked)).persistent(false);
        parked.fetch_all(&deck.pool).await.unwrap()
    }

    pub(super) async fn close(self) {
        self.writer.close().await;
    }
}
