//! A model with tables of its own, written batch by batch. The only place of the law that knows the writer.

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _};
use vitrina_avro::{Decoder, Framed, Headers, Record, SchemaRef, encode_json};
use vitrina_ingest::Offset;
use vitrina_sql::waves::Waves;

use super::events::{Event, RELATIONS};
use crate::batch::{EventBatch, Part, Reading, RecordReader, Unlearnt};
use crate::commit::writer::Writer;
use crate::definition::Definition;
use crate::fault::Fault;
use crate::generation::role::Role;
use crate::generation::tables::create_tables;
use crate::names::GenerationId;
use crate::rules::{Rules, StoredTypes};
use crate::worker::bisect::Search;
use crate::{quote, session};

pub(super) struct World {
    writer: Writer,
    connection: PgConnection,
    schema: String,
    reader: RecordReader,
    pub(super) analysis: Waves,
    /// Whether some rule's form over a wave is none that Postgres takes.
    pub(super) unfit: bool,
}

/// A refused event: its offset and why.
pub(super) type Refused = (i64, String);

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
        Ok(Self { writer, connection, schema, reader, analysis, unfit })
    }

    /// Applies the events in parts that Postgres takes; one that it refuses is left out, and told with its offset.
    pub(super) async fn write(
        &mut self,
        definition: &Definition,
        events: &[Event],
        written: &mut Written,
    ) -> Vec<Refused> {
        let batch = self.decode(definition, events);
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
                    let state = blame.sqlstate.unwrap_or_default();
                    let rule = blame.rule.unwrap_or_default();
                    refused
                        .push((events[event].offset, format!("{state} {rule}: {}", blame.reason)));
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

    fn decode(&mut self, definition: &Definition, events: &[Event]) -> EventBatch {
        let mut batch = EventBatch { rows: self.reader.rows(), ..EventBatch::default() };
        for event in events {
            let (context, name, _) = RELATIONS[event.relation];
            let version =
                &definition.contracts.contract(context, name).unwrap().versions[event.version];
            let schema = SchemaRef::Id((event.relation * 10 + event.version) as u32);
            let payload = encode_json(version, &event.value).unwrap();
            let key = event.key.to_string();
            let record = Record {
                topic: context,
                partition: 0,
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
                    Err(Unlearnt(schema)) => self.reader.add_schema(schema, &version.schema),
                }
            };
            assert!(!matches!(reading, Reading::Refused(_)), "{reading:?}");
            batch.add(0, 0, Offset(event.offset), reading);
        }
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

    pub(super) async fn close(mut self) {
        let drop = format!("DROP SCHEMA {} CASCADE", quote(&self.schema));
        self.writer.close().await;
        self.connection.execute(AssertSqlSafe(drop)).await.unwrap();
        self.connection.close().await.unwrap();
    }
}
