//! The decoding stage: batches of records in, batches of columns out, while the batch before is being written. It waits
//! for the registry as long as that is away; a record that cannot be decoded keeps its place, with the reason.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use vitrina_avro::{DecodedRecord, Decoder, Record, Registry, RegistryError, Rows, SchemaRef};
use vitrina_ingest::Batch;

use crate::backoff::Backoff;
use crate::batch::{Columns, Content, Decoded, Event, Row};
use crate::board::{Board, State};
use crate::commit::window::Identity;
use crate::fault::{Blame, Fault};
use crate::metrics::{self, Neighbour};
use crate::settings::Retries;

/// How often an id that the registry does not know is asked again before it is the record's fault: a registry's follower
/// may be behind its leader.
const UNKNOWN_ATTEMPTS: u32 = 5;
const UNKNOWN_FIRST: Duration = Duration::from_millis(200);
/// How long the registry's word is taken for other records of the same schema.
const UNKNOWN_FOR: Duration = Duration::from_secs(30);

pub(crate) struct Stage {
    pub model: String,
    pub decoder: Decoder,
    pub registry: Arc<Registry>,
    pub board: Board,
    pub retries: Retries,
    /// Schemas that cannot be had, and until when that is believed.
    refused: HashMap<SchemaRef, (Instant, Blame)>,
    /// The newest epoch that was seen: under a newer one, records may be read again because something was mended.
    epoch: i64,
}

impl Stage {
    pub(crate) fn new(
        model: &str,
        decoder: Decoder,
        registry: Arc<Registry>,
        board: Board,
        retries: Retries,
    ) -> Self {
        Self {
            model: model.to_owned(),
            decoder,
            registry,
            board,
            retries,
            refused: HashMap::new(),
            epoch: 0,
        }
    }

    /// Decodes until either side hangs up, or the registry refuses us. `spare` gives back the columns of batches that are
    /// written: they keep their memory.
    pub(crate) async fn run(
        mut self,
        mut batches: mpsc::Receiver<Batch>,
        mut spare: mpsc::Receiver<Columns>,
        out: mpsc::Sender<Result<Decoded, String>>,
    ) {
        loop {
            let next = async {
                let records = batches.recv().await?;
                let mut rows = spare.try_recv().unwrap_or_else(|_| self.decoder.rows());
                rows.iter_mut().flatten().for_each(Rows::clear);
                Some(self.decode(records, rows).await)
            };
            let decoded = tokio::select! {
                decoded = next => decoded,
                () = out.closed() => return,
            };
            let Some(decoded) = decoded else { return };
            let last = decoded.is_err();
            if out.send(decoded).await.is_err() || last {
                return;
            }
        }
    }

    /// # Errors
    /// Why the registry will not serve us.
    async fn decode(&mut self, records: Batch, rows: Columns) -> Result<Decoded, String> {
        let epoch = records.spans.iter().map(|span| span.epoch).max().unwrap_or_default();
        if epoch > self.epoch {
            self.epoch = epoch;
            self.refused.clear();
        }
        let events = Vec::with_capacity(records.len());
        let mut batch =
            Decoded { spans: records.spans.clone(), rows, events, ..Decoded::default() };
        for (index, (span, record)) in records.records().enumerate() {
            self.decode_one(index, span, &record, &mut batch).await?;
        }
        batch.records = records;
        Ok(batch)
    }

    async fn decode_one(
        &mut self,
        index: usize,
        span: usize,
        record: &Record<'_>,
        batch: &mut Decoded,
    ) -> Result<(), String> {
        let (content, identity) = match self.content(record, batch).await? {
            Ok(DecodedRecord::Ignored { .. }) => {
                batch.ignored += 1;
                return Ok(());
            }
            Ok(DecodedRecord::Event { layout, version, row, identity, .. }) => {
                let value = record.value.unwrap_or_default();
                let identity =
                    identity.map(|one| Identity::new(one.record, record.key, one.id, value));
                (Content::Row(Row { layout, version, row }), identity)
            }
            Err(blame) => {
                batch.blames.push(blame);
                (Content::Refused { blame: batch.blames.len() - 1, row: None }, None)
            }
        };
        let offset = record.offset;
        batch.events.push(Event {
            span,
            offset,
            record: index,
            content,
            identity,
            duplicate: false,
        });
        Ok(())
    }

    async fn content<'o>(
        &'o mut self,
        record: &Record<'_>,
        batch: &'o mut Decoded,
    ) -> Result<Result<DecodedRecord<'o>, Blame>, String> {
        if record.value.is_none() {
            return Ok(self
                .decoder
                .tombstone(record, &mut batch.rows)
                .map_err(|error| Blame::from(&error)));
        }
        let framed = match Decoder::frame(record) {
            Ok(framed) => framed,
            Err(error) => return Ok(Err(Blame::from(&error))),
        };
        if !self.decoder.knows(&framed.schema)
            && let Err(blame) = self.learn(&framed.schema).await?
        {
            return Ok(Err(Blame {
                reason: format!("schema {}: {}", framed.schema, blame.reason),
                ..blame
            }));
        }
        let decoded = self.decoder.decode(record, &framed, &mut batch.rows);
        Ok(decoded.map_err(|error| {
            let blame = Blame::from(&error);
            Blame { reason: format!("schema {}: {}", framed.schema, blame.reason), ..blame }
        }))
    }

    /// Fetches a schema. The registry's absence is waited out; its word that there is no such schema is final, after a
    /// few questions.
    async fn learn(&mut self, schema: &SchemaRef) -> Result<Result<(), Blame>, String> {
        if let Some((until, blame)) = self.refused.get(schema)
            && Instant::now() < *until
        {
            return Ok(Err(blame.clone()));
        }
        let mut unknown = Backoff::new(UNKNOWN_FIRST, Duration::from_secs(5));
        let (mut questions, mut attempts) = (0, 0);
        loop {
            let error = match self.registry.schema(schema).await {
                Ok(fetched) => {
                    metrics::connected(Neighbour::Registry, true);
                    self.decoder.add_schema(*schema, &fetched);
                    self.refused.remove(schema);
                    return Ok(Ok(()));
                }
                Err(error) => error,
            };
            match Fault::of_registry(&error) {
                Fault::Record { .. }
                    if matches!(error, RegistryError::Unknown(_))
                        && questions < UNKNOWN_ATTEMPTS =>
                {
                    questions += 1;
                    self.board.set(&self.model, State::Waiting, Some(error.to_string()));
                    unknown.wait().await;
                }
                Fault::Record { blame, .. } => {
                    self.refused.insert(*schema, (Instant::now() + UNKNOWN_FOR, blame.clone()));
                    return Ok(Err(blame));
                }
                Fault::World { trouble, reason } => {
                    attempts += 1;
                    metrics::connected(Neighbour::Registry, false);
                    metrics::retry(&self.model, trouble.name());
                    self.board.failed(&self.model, trouble.error_type());
                    let pause =
                        trouble.pause(&self.retries, attempts).ok_or_else(|| reason.clone())?;
                    self.board.set(&self.model, State::Waiting, Some(reason));
                    tokio::time::sleep(pause).await;
                }
                other => return Err(other.to_string()),
            }
        }
    }
}
