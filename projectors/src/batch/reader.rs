//! The one way from a record to an event: frame, tombstone, schema, decode, identity. Live batches, retries and whoever
//! looks into a parked record read by it, so that all of them say the same of the same bytes.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use vitrina_avro::{
    DecodedRecord, Decoder, Defaulted, EventRows, Framed, KeySchema, Record, RecordError, Registry,
    RegistryError, Rows, Schema, SchemaRef, UnknownName,
};

use crate::batch::{Columns, Identity};
use crate::fault::Blame;

/// How long the registry's word that a schema cannot be had is taken for other records of the same schema.
const REFUSED_FOR: Duration = Duration::from_secs(30);

/// Reads the records of one generation.
pub(crate) struct RecordReader {
    decoder: Decoder,
    /// Schemas that cannot be had, and until when that is believed.
    refused: HashMap<SchemaRef, (Instant, Blame)>,
}

/// What a record is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reading {
    /// Its values are in the rows; by the identity duplicates are known, where it has one.
    Event(EventRows, Option<Identity>),
    /// No rule names its type, and perhaps no contract.
    Ignored(Option<Arc<UnknownName>>),
    Refused(Blame),
}

/// The schema that a record was written with has not been asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unlearnt(pub SchemaRef);

impl Reading {
    fn refused(error: &RecordError) -> Self {
        Self::Refused(Blame::from(error))
    }
}

impl RecordReader {
    pub(crate) fn new(decoder: Decoder) -> Self {
        Self { decoder, refused: HashMap::new() }
    }

    /// Empty rows, as [`Self::read`] fills them.
    pub(crate) fn rows(&self) -> Columns {
        self.decoder.rows()
    }

    /// Takes a schema; the records that it writes and that lack what a default stands for come back.
    pub(crate) fn add_schema(
        &mut self,
        reference: SchemaRef,
        schema: &Arc<Schema>,
    ) -> Vec<Defaulted> {
        self.refused.remove(&reference);
        self.decoder.add_schema(reference, schema)
    }

    /// Reads a record; what it holds is the next row of its layout and version.
    ///
    /// # Errors
    /// Nothing can be said yet: its schema must be learnt before.
    pub(crate) fn read(
        &self,
        record: &Record<'_>,
        rows: &mut [Vec<Rows>],
    ) -> Result<Reading, Unlearnt> {
        if record.value.is_none() {
            return self.read_tombstone(record, rows);
        }
        match Decoder::frame(record) {
            Ok(framed) => self.read_framed(record, &framed, rows),
            Err(error) => Ok(Reading::refused(&error)),
        }
    }

    /// Reads a record whose framing is known.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub(crate) fn read_framed(
        &self,
        record: &Record<'_>,
        framed: &Framed<'_>,
        rows: &mut [Vec<Rows>],
    ) -> Result<Reading, Unlearnt> {
        let schema = framed.schema;
        if let Some(blame) = self.refusal(schema)? {
            return Ok(Reading::Refused(blame));
        }
        Ok(match self.decoder.decode(record, framed, rows) {
            Ok(decoded) => of(record, decoded),
            Err(error) => Reading::Refused(of_schema(schema, Blame::from(&error))),
        })
    }

    /// A record without a value has no schema, but its key may have one.
    fn read_tombstone(
        &self,
        record: &Record<'_>,
        rows: &mut [Vec<Rows>],
    ) -> Result<Reading, Unlearnt> {
        let key = match self.decoder.key_schema(record) {
            Ok(key) => key,
            Err(error) => return Ok(Reading::refused(&error)),
        };
        if let Some(KeySchema { column, schema }) = key
            && let Some(blame) = self.refusal(schema)?
        {
            let reason = format!("the key does not give `{column}`: {}", blame.reason);
            return Ok(Reading::Refused(Blame { reason, ..blame }));
        }
        Ok(match (self.decoder.tombstone(record, rows), key) {
            (Ok(decoded), _) => of(record, decoded),
            (Err(error), None) => Reading::refused(&error),
            (Err(error), Some(KeySchema { schema, .. })) => {
                Reading::Refused(of_schema(schema, Blame::from(&error)))
            }
        })
    }

    /// Why the schema's records are refused, if they are.
    fn refusal(&self, schema: SchemaRef) -> Result<Option<Blame>, Unlearnt> {
        if self.decoder.knows(&schema) {
            return Ok(None);
        }
        let believed = self.refused.get(&schema).filter(|(until, _)| Instant::now() < *until);
        believed.map(|(_, blame)| Some(blame.clone())).ok_or(Unlearnt(schema))
    }

    /// Asks the registry for a schema, once.
    ///
    /// # Errors
    /// The registry's answer; [`Self::refuse`] remembers it where it is final.
    pub(crate) async fn learn(
        &mut self,
        registry: &Registry,
        schema: SchemaRef,
    ) -> Result<Vec<Defaulted>, RegistryError> {
        let fetched = registry.schema(&schema).await?;
        Ok(self.add_schema(schema, &fetched))
    }

    /// Whether the schema could not be had before, so that its records need not wait for another round of questions.
    pub(crate) fn was_refused(&self, schema: SchemaRef) -> bool {
        self.refused.contains_key(&schema)
    }

    /// The schema cannot be had: for a while its records are refused without a question.
    pub(crate) fn refuse(&mut self, schema: SchemaRef, blame: Blame) {
        self.refused.insert(schema, (Instant::now() + REFUSED_FOR, of_schema(schema, blame)));
    }

    /// Asks anew for what could not be had.
    pub(crate) fn ask_refused_anew(&mut self) {
        let now = Instant::now();
        self.refused.values_mut().for_each(|(until, _)| *until = now);
    }
}

fn of(record: &Record<'_>, decoded: DecodedRecord<'_>) -> Reading {
    match decoded {
        DecodedRecord::Ignored { unknown } => Reading::Ignored(unknown.cloned()),
        DecodedRecord::Event { rows, identity } => {
            let value = record.value.unwrap_or_default();
            let identity = identity.map(|one| Identity::new(one.record, record.key, one.id, value));
            Reading::Event(rows, identity)
        }
    }
}

fn of_schema(schema: SchemaRef, blame: Blame) -> Blame {
    Blame { reason: format!("schema {schema}: {}", blame.reason), ..blame }
}

#[cfg(test)]
mod tests {
    use vitrina_avro::Headers;
    use vitrina_sql::Files;

    use super::*;
    use crate::definition::{Definitions, Roots};
    use crate::error_type::ErrorType;

    const EVENT: &str =
        r#"{"type":"record","name":"Up","namespace":"a","fields":[{"name":"k","type":"string"}]}"#;
    const MODEL: &str = "CREATE TABLE m (k text PRIMARY KEY);
        INSERT INTO m SELECT e.k FROM a.up e ON CONFLICT (k) DO NOTHING;";

    fn reader() -> (RecordReader, Arc<Schema>) {
        let files = [
            ("c/a/context.toml", "topic = \"a\"\nkey = \"k\"\n"),
            ("c/a/up/v1.avsc", EVENT),
            ("m/m.sql", MODEL),
        ];
        let files = files.into_iter().map(|(path, text)| (path.to_owned(), text.to_owned()));
        let roots = Roots { contracts: "c".into(), models: "m".into() };
        let loaded = Definitions::load(&Files(files.collect()), &roots);
        let definition = &loaded.models[0];
        let decoder = Decoder::new(&definition.contracts, definition.layouts.clone());
        let schema = definition.layouts[0].contract.newest().schema.clone();
        (RecordReader::new(decoder), schema)
    }

    fn read(reader: &RecordReader, value: &[u8]) -> Result<Reading, Unlearnt> {
        let record = Record {
            topic: "a",
            partition: 0,
            offset: 0,
            timestamp_ms: None,
            key: Some(b"k"),
            value: Some(value),
            headers: Headers::default(),
        };
        reader.read(&record, &mut reader.rows())
    }

    /// Whatever is wrong with a datum or its schema, the reason names the schema: a retry's as a live record's.
    #[test]
    fn reasons_name_the_schema() {
        let (mut reader, schema) = reader();
        let (good, cut) = ([0, 0, 0, 0, 7, 2, b'k'], [0, 0, 0, 0, 7, 2]);
        assert_eq!(read(&reader, &good), Err(Unlearnt(SchemaRef::Id(7))));
        let reason = "no such schema".to_owned();
        let blame = Blame { error_type: ErrorType::NotFound, reason, sqlstate: None, rule: None };
        reader.refuse(SchemaRef::Id(7), blame);
        let Ok(Reading::Refused(refused)) = read(&reader, &good) else { panic!("not refused") };
        assert_eq!(refused.reason, "schema 7: no such schema");
        reader.add_schema(SchemaRef::Id(7), &schema);
        assert!(matches!(read(&reader, &good), Ok(Reading::Event(..))));
        let Ok(Reading::Refused(refused)) = read(&reader, &cut) else { panic!("not refused") };
        assert!(refused.reason.starts_with("schema 7: "), "{}", refused.reason);
    }
}
