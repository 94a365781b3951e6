//! A door for benchmarks: the writer of one model, fed with records of one partition without Kafka. What goes through it
//! goes the way that it goes in a worker.

use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use vitrina_avro::{Decoder, Framed, Headers, Record, SchemaRef};
use vitrina_ingest::{Epoch, Offset, Span};

use crate::batch::{EventBatch, Part, RecordReader, Unlearnt};
use crate::commit::writer::Writer;
use crate::definition::Definition;
use crate::fault::Fault;
use crate::generation::control;
use crate::generation::role::Role;
use crate::generation::start::open;
use crate::names::GenerationId;
use crate::rules::Rules;
use crate::session;

const PARTITION: i32 = 0;
const SCHEMA: SchemaRef = SchemaRef::Id(1);

/// The writer of one model.
pub struct Applying {
    writer: Writer,
    reader: RecordReader,
    topic: String,
    next_offset: Offset,
}

/// Records that are decoded, and not written yet.
pub struct Batch {
    decoded: EventBatch,
    part: Part,
}

impl Applying {
    /// Makes the model's first generation in a database that has none. Its records are the first contract's newest
    /// version.
    ///
    /// # Errors
    /// Postgres refuses.
    pub async fn open(options: &PgConnectOptions, definition: &Definition) -> Result<Self, Fault> {
        let (name, topic) = (definition.model.name.clone(), definition.topics().remove(0));
        let pool = session::control_pool(options, 2);
        control::migrate(&pool).await.map_err(|error| Fault::Stop(error.to_string()))?;
        open::open(&pool, definition, 0, None).await?;
        let position =
            format!(r#"INSERT INTO "{name}@1"."@position" VALUES ($1, $2, '', 1, 0, 0)"#);
        sqlx::query(AssertSqlSafe(position)).bind(&topic).bind(PARTITION).execute(&pool).await?;
        let id = GenerationId::new(&name, 1);
        let schema = id.schema();
        let mut connection: PgConnection =
            session::writer(options, &schema, 0, session::STATEMENT).await?;
        let rules = Rules::new(&mut connection, definition, &schema).await?;
        let _ = connection.close().await;
        let mut reader =
            RecordReader::new(Decoder::new(&definition.contracts, definition.layouts.clone()));
        reader.add_schema(SCHEMA, &definition.layouts[0].contract.newest().schema);
        let layouts = definition.layouts.clone();
        let writer =
            Writer::new(options.clone(), (id, Role::Live), 0, session::STATEMENT, (rules, layouts));
        Ok(Self { writer, reader, topic, next_offset: Offset::default() })
    }

    /// Decodes a batch of Avro datums; batches are written in the order in which they were decoded.
    ///
    /// # Errors
    /// One does not decode.
    pub fn decode(&mut self, datums: &[Vec<u8>]) -> Result<Batch, String> {
        let mut decoded = EventBatch { rows: self.reader.rows(), ..EventBatch::default() };
        let from = self.next_offset;
        for datum in datums {
            let record = Record {
                topic: &self.topic,
                partition: PARTITION,
                offset: self.next_offset.0,
                timestamp_ms: Some(0),
                key: None,
                value: Some(datum),
                headers: Headers::default(),
            };
            let framed = Framed { schema: SCHEMA, payload: datum };
            let read = self.reader.read_framed(&record, &framed, &mut decoded.rows);
            let reading =
                read.map_err(|Unlearnt(schema)| format!("schema {schema} is not known"))?;
            decoded.add(0, 0, self.next_offset, reading);
            self.next_offset = self.next_offset.next();
        }
        if decoded.events.len() != datums.len() || !decoded.blames.is_empty() {
            return Err(format!("not all are events of a rule: {:?}", decoded.blames));
        }
        let (topic, to) = (self.topic.as_str().into(), self.next_offset);
        decoded.spans.push(Span {
            topic,
            partition: PARTITION,
            epoch: Epoch(1),
            from,
            to,
            first_timestamp: None,
            last_timestamp: None,
        });
        let range = 0..decoded.events.len();
        let apply = range.clone().map(|event| event as u32).collect();
        let part = Part { range, spans: decoded.spans.clone(), apply, ..Part::default() };
        Ok(Batch { decoded, part })
    }

    /// Writes a batch in one transaction, as a worker does.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn write(&mut self, batch: &Batch) -> Result<(), Fault> {
        loop {
            match self.writer.write(&batch.decoded, &batch.part).await {
                // The first transaction reads what is parked, and is tried again.
                Err(Fault::Stale) => {}
                written => return written.map(|_| ()),
            }
        }
    }
}
