//! Where parked records of one generation are worked on: its own definition, from Postgres and not from files, so that
//! any process can.

use std::sync::Arc;

use sqlx::Connection as _;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool};
use vitrina_avro::{Decoder, HeaderPlace, Headers, Record, Registry};
use vitrina_ingest::Offset;

use super::refusal::Refusal;
use crate::batch::{RecordReader, Unlearnt};
use crate::definition::Definition;
use crate::fault::Fault;
use crate::generation::role::Role;
use crate::generation::stored::Generation;
use crate::names::GenerationId;
use crate::rules::Rules;
use crate::session;

pub(crate) struct Workbench {
    pub id: GenerationId,
    /// What the generation must be, for anything to be changed in it.
    pub role: Role,
    pub duplicate_window: u32,
    pub definition: Definition,
    pub reader: RecordReader,
    pub rules: Rules,
    pub connection: PgConnection,
    pub registry: Arc<Registry>,
}

/// A parked record as it is stored.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(crate) struct ParkedRecord {
    pub id: i64,
    pub topic: String,
    pub partition: i32,
    #[sqlx(try_from = "i64")]
    pub offset: Offset,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: String,
    pub timestamp_ms: Option<i64>,
    pub duplicate: bool,
    /// Whether it had decoded when it was parked.
    pub decoded: bool,
}

/// What [`ParkedRecord`] is read with.
pub(crate) const STORED: &str = r#"SELECT id, topic, partition, "offset", key, value, headers::text AS headers,
    timestamp_ms, duplicate, event IS NOT NULL AS decoded FROM "@parked""#;

/// A record's headers, in bytes of their own.
pub(crate) struct HeaderBytes {
    bytes: Vec<u8>,
    places: Vec<HeaderPlace>,
}

impl Workbench {
    /// # Errors
    /// [`Refusal`].
    pub(crate) async fn open(
        pool: &PgPool,
        postgres: &PgConnectOptions,
        registry: Arc<Registry>,
        (id, role): (&GenerationId, Role),
    ) -> Result<Self, Refusal> {
        let Generation { definition, duplicate_window, .. } = Generation::load(pool, id).await?;
        let schema = id.schema();
        let mut connection = session::writer(postgres, &schema, 0, session::STATEMENT).await?;
        let rules = Rules::new(&mut connection, &definition, &schema).await?;
        let decoder = Decoder::new(&definition.contracts, definition.layouts.clone());
        Ok(Self {
            id: id.clone(),
            role,
            duplicate_window,
            reader: RecordReader::new(decoder),
            definition,
            rules,
            connection,
            registry,
        })
    }

    /// Fetches a schema, or remembers why it cannot be had.
    ///
    /// # Errors
    /// The registry is away, or refuses us.
    pub(crate) async fn learn(&mut self, Unlearnt(schema): Unlearnt) -> Result<(), Refusal> {
        let Err(error) = self.reader.learn(&self.registry, schema).await else { return Ok(()) };
        match Fault::of_registry(&error) {
            Fault::Record { blame, .. } => {
                self.reader.refuse(schema, blame);
                Ok(())
            }
            _ => Err(Refusal::World(format!("{error}; nothing of this key was changed"))),
        }
    }

    pub(crate) async fn close(self) {
        // Whatever was to be written is committed.
        let _ = self.connection.close().await;
    }
}

impl ParkedRecord {
    pub(crate) fn record<'a>(&'a self, headers: &'a HeaderBytes) -> Record<'a> {
        Record {
            topic: &self.topic,
            partition: self.partition,
            offset: self.offset.0,
            timestamp_ms: self.timestamp_ms,
            key: self.key.as_deref(),
            value: self.value.as_deref(),
            headers: Headers::new(&headers.bytes, &headers.places),
        }
    }

    pub(crate) fn header_bytes(&self) -> HeaderBytes {
        let mut headers = HeaderBytes { bytes: Vec::new(), places: Vec::new() };
        for (name, value) in super::store::read_headers(&self.headers) {
            let name = headers.keep(name.as_bytes());
            let value = value.map(|value| headers.keep(&value));
            headers.places.push(HeaderPlace { name, value });
        }
        headers
    }
}

impl HeaderBytes {
    fn keep(&mut self, bytes: &[u8]) -> std::ops::Range<u32> {
        let start = self.bytes.len() as u32;
        self.bytes.extend_from_slice(bytes);
        start..self.bytes.len() as u32
    }
}
