//! A model with tables of its own, written batch by batch. The only place of the law that knows the writer.

use std::ops::Range;

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _};
use vitrina_avro::{Decoder, Framed, Headers, Record, SchemaRef, encode_json};
use vitrina_ingest::{Batch, Epoch, Offset, Span};
use vitrina_sql::waves::Waves;

use super::events::{Event, RELATIONS};
use crate::batch::{EventBatch, Part, QueueId, Reading, RecordReader, Unlearnt};
use crate::commit::writer::Writer;
use crate::definition::Definition;
use crate::error_type::ErrorType;
use crate::fault::{Blame, Fault};
use crate::generation::role::Role;
use crate::generation::schema::tables::create_tables;
use crate::names::GenerationId;
use crate::rules::bisect::Search;
use crate::rules::run::Written as Running;
use crate::rules::{Rules, StoredTypes};
use crate::{quote, session};

pub(super) struct World {
    writer: Writer,
    connection: PgConnection,
    schema: String,
    reader: RecordReader,
    pub(super) analysis: Waves,
    /// Whether some rule's form over a wave is none that Postgres takes.
    pub(super) unfit: bool,
    /// Whether culprits are left out of a part, and not searched for from part to part.
    pub(super) sifts: bool,
    /// The claim of a lane, and where it reads on.
    pub(super) epoch: Epoch,
    pub(super) next_offset: Offset,
}

/// A refused event: its offset and why.
pub(super) type Refused = (i64, String);

/// Events that a lane has tried to write together.
pub(super) struct Tried {
    /// Grows in the order in which Postgres let lanes try.
    pub(super) attempt: i64,
    pub(super) events: Vec<Event>,
    /// None where they are written; else it is one event alone.
    pub(super) refused: Option<Refused>,
}

/// Events and waves of each part that was committed.
pub(super) type Written = Vec<(usize, u64)>;

impl World {
    /// # Errors
    /// What Postgres refuses of the tables or rules.
    pub(super) async fn open(
        options: &PgConnectOptions,
        definition: &Definition,
        number: i32,
        waves: bool,
    ) -> Result<Self, String> {
        let id = GenerationId::new("law", number);
        let schema = id.schema();
        let mut connection =
            session::writer(options, &schema, 0, session::STATEMENT).await.unwrap();
        let name = quote(&schema);
        connection
            .execute(AssertSqlSafe(format!("DROP SCHEMA IF EXISTS {name} CASCADE; BEGIN")))
            .await
            .unwrap();
        let created = create_tables(&mut connection, &definition.model, &schema).await;
        created.map_err(|fault| format!("{fault:?}"))?;
        connection.execute("COMMIT").await.unwrap();
        Self::on(connection, options, definition, id, waves).await
    }

    /// Another writer of a world that is open.
    pub(super) async fn beside(
        options: &PgConnectOptions,
        definition: &Definition,
        number: i32,
    ) -> Self {
        let id = GenerationId::new("law", number);
        let schema = id.schema();
        let connection = session::writer(options, &schema, 0, session::STATEMENT).await.unwrap();
        Self::on(connection, options, definition, id, true).await.unwrap()
    }

    async fn on(
        mut connection: PgConnection,
        options: &PgConnectOptions,
        definition: &Definition,
        id: GenerationId,
        waves: bool,
    ) -> Result<Self, String> {
        let schema = id.schema();
        let mut rules = Rules::new(&mut connection, definition, &schema).await.unwrap();
        for rule in &rules.rules {
            (&mut connection)
                .prepare(rule.single.sql())
                .await
                .map_err(|error| format!("{}: {error}", rule.place))?;
        }
        let types =
            StoredTypes::read(&mut connection, &definition.contracts, &schema).await.unwrap();
        let analysis = definition.model.waves(&types);
        let unfit = rules.cutting.is_none();
        if !waves {
            rules.cutting = None;
        }
        let writer = Writer::new(
            options.clone(),
            (id, Role::Live),
            0,
            session::STATEMENT,
            (rules, definition.layouts.clone()),
        );
        let decoder = Decoder::new(&definition.contracts, definition.layouts.clone());
        let reader = RecordReader::new(decoder);
        let (epoch, next_offset) = (Epoch(1), Offset(0));
        let sifts = false;
        Ok(Self { writer, connection, schema, reader, analysis, unfit, sifts, epoch, next_offset })
    }

    /// Applies the events in parts that Postgres takes; one that it refuses is left out, and told with its offset.
    pub(super) async fn write(
        &mut self,
        definition: &Definition,
        events: &[Event],
        written: &mut Written,
    ) -> Vec<Refused> {
        let batch = self.decode(definition, events, None);
        if self.sifts && events.len() > 1 {
            return self.sift(&batch, events, written).await;
        }
        let (mut search, mut done, mut culprit, mut refused) =
            (Search::default(), 0, None, Vec::new());
        while done < events.len() {
            let end = culprit.take().unwrap_or_else(|| search.end(done, events.len()));
            let part = Part {
                range: done..end,
                apply: (done as u32..end as u32).collect(),
                ..Part::default()
            };
            match self.writer.write(&batch, &part).await {
                Ok(run) => {
                    written.push((end - done, run.waves));
                    done = end;
                    search.committed(end);
                }
                Err(Fault::Record { event: Some(event), blame, .. }) if event == done => {
                    refused.push((events[event].offset, told(blame)));
                    done += 1;
                    search.reset();
                }
                // It ran event by event: what comes before the culprit is good.
                Err(Fault::Record { event: Some(event), .. }) => culprit = Some(event),
                Err(Fault::Record { event: None, .. }) => search.refused(end, None),
                Err(other) => panic!("{other:?}"),
            }
        }
        refused
    }

    /// The same in one transaction, in which culprits are left out.
    async fn sift(
        &mut self,
        batch: &EventBatch,
        events: &[Event],
        written: &mut Written,
    ) -> Vec<Refused> {
        let (mut done, mut refused) = (0, Vec::new());
        while done < events.len() {
            let apply = (done as u32..events.len() as u32).collect();
            let part = Part { range: done..events.len(), apply, ..Part::default() };
            let (open, sifted) = self.writer.sift(batch, &part, &|_, _| false).await.unwrap();
            self.writer.finish(batch, &part, open).await.unwrap();
            written.push((sifted.applied.len(), sifted.written.waves));
            let last = |found: Option<usize>| found.map_or(done, |event| event + 1);
            let applied = last(sifted.applied.last().map(|event| *event as usize));
            done = applied.max(last(sifted.refused.last().map(|(event, _)| *event)));
            let told = sifted
                .refused
                .into_iter()
                .map(|(event, blame)| (events[event].offset, told(blame)));
            refused.extend(told);
        }
        refused
    }

    /// The same as one of several lanes, piece by piece: positions move, and records prove where keys live.
    pub(super) async fn write_lane(
        &mut self,
        definition: &Definition,
        partition: i32,
        pieces: impl Iterator<Item = &[Event]>,
    ) -> Vec<Tried> {
        let mut tried = Vec::new();
        for events in pieces {
            let mut batch = self.decode(definition, events, Some(partition));
            let (mut search, mut culprit) = (Search::default(), None);
            while !batch.is_done() {
                let done = batch.done;
                let end = culprit.take().unwrap_or_else(|| search.end(done, events.len()));
                let (part, written) = self.write_part(&batch, done..end, done..end).await;
                match written {
                    Ok(_) => {
                        let (attempt, events) = (self.attempt(partition).await, &events[done..end]);
                        tried.push(Tried { attempt, events: events.to_vec(), refused: None });
                        batch.advance(&part);
                        search.committed(end);
                    }
                    Err(Fault::Record { event: Some(event), blame, .. }) if event == done => {
                        let (attempt, event) = (self.attempt(partition).await, &events[event]);
                        let refused = Some((event.offset, told(blame)));
                        tried.push(Tried { attempt, events: vec![event.clone()], refused });
                        self.pass_over(&mut batch).await;
                        search.reset();
                    }
                    Err(Fault::Record { event: Some(event), .. }) => culprit = Some(event),
                    Err(Fault::Record { event: None, .. }) => search.refused(end, None),
                    // Tried again: what the lane knew was old, or lanes that must not write at once were in a deadlock.
                    Err(Fault::Stale | Fault::World { .. }) => {}
                    Err(other) => panic!("{other:?}"),
                }
            }
        }
        tried
    }

    /// Tries to write one event of a lane.
    pub(super) async fn write_one(
        &mut self,
        definition: &Definition,
        partition: i32,
        event: &Event,
    ) -> Result<(), Fault> {
        let events = std::slice::from_ref(event);
        let batch = self.decode(definition, events, Some(partition));
        self.write_part(&batch, 0..1, 0..1).await.1.map(|_| ())
    }

    /// Parks an event of a lane.
    pub(super) async fn park(&mut self, definition: &Definition, partition: i32, event: &Event) {
        let events = std::slice::from_ref(event);
        let mut batch = self.decode(definition, events, Some(partition));
        let (error_type, reason) = (ErrorType::Validation, "a test".into());
        batch.blame(0, Blame { error_type, reason, sqlstate: None, rule: None });
        let spans = batch.spans_until(1);
        let part = Part { range: 0..1, spans, park: vec![0], ..Part::default() };
        loop {
            match self.writer.write(&batch, &part).await {
                Ok(_) => return,
                Err(Fault::Stale | Fault::World { .. }) => {}
                Err(other) => panic!("{other:?}"),
            }
        }
    }

    /// How many records of a topic and key this writer knows to be parked.
    pub(super) fn parked(&self, topic: &str, key: &str) -> u32 {
        self.writer.queues.length(QueueId::new(topic, key.as_bytes()))
    }

    async fn write_part(
        &mut self,
        batch: &EventBatch,
        range: Range<usize>,
        apply: Range<usize>,
    ) -> (Part, Result<Running, Fault>) {
        let spans = batch.spans_until(range.end);
        let apply = apply.map(|event| event as u32).collect();
        let part = Part { range, spans, apply, ..Part::default() };
        let written = self.writer.write(batch, &part).await;
        (part, written)
    }

    /// Moves the lane past an event that is refused.
    async fn pass_over(&mut self, batch: &mut EventBatch) {
        loop {
            let done = batch.done;
            let (part, written) = self.write_part(batch, done..done + 1, 0..0).await;
            match written {
                Ok(_) => return batch.advance(&part),
                Err(Fault::Stale | Fault::World { .. }) => {}
                Err(other) => panic!("{other:?}"),
            }
        }
    }

    /// The number of the lane's last attempt.
    async fn attempt(&mut self, partition: i32) -> i64 {
        let number = format!("SELECT last_value FROM public.attempt_of_{partition}");
        sqlx::query_scalar(AssertSqlSafe(number)).fetch_one(&mut self.connection).await.unwrap()
    }

    /// `partition`: of a lane, which reads on there.
    fn decode(
        &mut self,
        definition: &Definition,
        events: &[Event],
        partition: Option<i32>,
    ) -> EventBatch {
        let mut batch = EventBatch { rows: self.reader.rows(), ..EventBatch::default() };
        let mut records = Batch::default();
        let topic = events.first().map_or("", |event| RELATIONS[event.relation].0);
        let (from, partition_number) = (self.next_offset, partition.unwrap_or_default());
        records.spans.push(Span {
            topic: topic.into(),
            partition: partition_number,
            epoch: self.epoch,
            from,
            to: from,
            first_timestamp: None,
            last_timestamp: None,
        });
        for event in events {
            let (context, name, _) = RELATIONS[event.relation];
            let version =
                &definition.contracts.contract(context, name).unwrap().versions[event.version];
            let schema = SchemaRef::Id((event.relation * 10 + event.version) as u32);
            let payload = encode_json(version, &event.value).unwrap();
            let key = event.key.to_string();
            let record = Record {
                topic: context,
                partition: partition_number,
                offset: event.offset,
                timestamp_ms: Some(0),
                key: Some(key.as_bytes()),
                value: Some(&payload),
                headers: Headers::default(),
            };
            let framed = Framed { schema, payload: &payload };
            let reading = loop {
                match self.reader.read_framed(&record, &framed, &mut batch.rows) {
                    Ok(reading) => break reading,
                    Err(Unlearnt(schema)) => drop(self.reader.add_schema(schema, &version.schema)),
                }
            };
            assert!(!matches!(reading, Reading::Refused(_)), "{reading:?}");
            batch.add(0, records.len(), Offset(event.offset), reading);
            records.add(0, &record);
        }
        if partition.is_some() {
            batch.spans.clone_from(&records.spans);
            self.next_offset = batch.spans[0].to;
        }
        batch.records = records.into();
        batch
    }

    /// Every table's rows, in one order.
    pub(super) async fn rows(&mut self, definition: &Definition) -> Vec<String> {
        let mut all = Vec::new();
        for table in &definition.model.tables {
            let name = format!("{}.{}", quote(&self.schema), quote(&table.name));
            let sql = format!(
                "SELECT '{}: ' || t::text FROM {name} t ORDER BY t::text COLLATE \"C\"",
                table.name
            );
            let rows: Vec<String> = sqlx::query_scalar(AssertSqlSafe(sql))
                .fetch_all(&mut self.connection)
                .await
                .unwrap();
            all.extend(rows);
        }
        all
    }

    /// Forgets all rows.
    pub(super) async fn empty(&mut self, definition: &Definition) {
        let names = definition
            .model
            .tables
            .iter()
            .map(|table| format!("{}.{}", quote(&self.schema), quote(&table.name)));
        let sql = format!("TRUNCATE {}", names.collect::<Vec<_>>().join(", "));
        self.connection.execute(AssertSqlSafe(sql)).await.unwrap();
    }

    /// Leaves the rows to those that write beside.
    pub(super) async fn leave(self) {
        self.writer.close().await;
        self.connection.close().await.unwrap();
    }

    pub(super) async fn close(mut self) {
        let drop = format!("DROP SCHEMA {} CASCADE", quote(&self.schema));
        self.writer.close().await;
        self.connection.execute(AssertSqlSafe(drop)).await.unwrap();
        self.connection.close().await.unwrap();
    }
}

fn told(blame: Blame) -> String {
    let (state, rule) = (blame.sqlstate.unwrap_or_default(), blame.rule.unwrap_or_default());
    format!("{state} {rule}: {}", blame.reason)
}
