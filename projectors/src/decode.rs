//! The decoding stage: batches of records in, batches of columns out, while the batch before is being written. It waits
//! for the registry as long as that is away; a record that cannot be decoded ends the batch before it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use vitrina_avro::{Decoded as Outcome, Decoder, Record, Registry, RegistryError, SchemaRef};
use vitrina_ingest::{Batch, Span};

use crate::backoff::Backoff;
use crate::batch::{Decoded, Event, Refused};
use crate::status::{Board, State};
use crate::window::Identity;

/// How often an id that the registry does not know is asked again before it is the record's fault: a registry's follower
/// may be behind its leader.
const UNKNOWN_ATTEMPTS: u32 = 5;

pub(crate) struct Stage {
    pub model: String,
    pub decoder: Decoder,
    pub registry: Arc<Registry>,
    pub board: Board,
}

impl Stage {
    /// Decodes until either side hangs up, or a record cannot be decoded.
    pub(crate) async fn run(mut self, mut batches: mpsc::Receiver<Batch>, out: mpsc::Sender<Decoded>) {
        loop {
            let decoded = tokio::select! {
                decoded = self.next(&mut batches) => decoded,
                () = out.closed() => return,
            };
            let Some(decoded) = decoded else { return };
            let last = decoded.refused.is_some();
            if out.send(decoded).await.is_err() || last {
                return;
            }
        }
    }

    async fn next(&mut self, batches: &mut mpsc::Receiver<Batch>) -> Option<Decoded> {
        let batch = batches.recv().await?;
        Some(self.decode(&batch).await)
    }

    async fn decode(&mut self, batch: &Batch) -> Decoded {
        let mut decoded = Decoded { spans: batch.spans.clone(), rows: self.decoder.rows(), ..Decoded::default() };
        for (index, (span, record)) in batch.records().enumerate() {
            if let Err((schema, reason)) = self.decode_one(span, &record, &mut decoded).await {
                decoded.refused = Some(refuse(&record, schema, reason));
                end_before(&mut decoded.spans, batch, index);
                break;
            }
        }
        decoded
    }

    /// # Errors
    /// The schema, as far as it is known, and what is wrong with the record.
    async fn decode_one(
        &mut self,
        span: usize,
        record: &Record<'_>,
        batch: &mut Decoded,
    ) -> Result<(), (Option<String>, String)> {
        let Some(value) = record.value else {
            batch.ignored += 1;
            return Ok(());
        };
        let framed = Decoder::frame(record).map_err(|error| (None, error.to_string()))?;
        let named = |reason: String| (Some(framed.schema.to_string()), reason);
        if !self.decoder.knows(&framed.schema) {
            self.learn(&framed.schema).await.map_err(named)?;
        }
        match self.decoder.decode(record, &framed, &mut batch.rows) {
            Ok(Outcome::Ignored { .. }) => batch.ignored += 1,
            Ok(Outcome::Event { layout, version, row, identity, .. }) => {
                let identity = identity.map(|one| Identity::new(one.record, record.key, one.id, value));
                let offset = record.offset;
                batch.events.push(Event { span, offset, layout, version, row, identity, duplicate: false });
            }
            Err(error) => return Err(named(error.to_string())),
        }
        Ok(())
    }

    /// Fetches a schema. The registry's absence is waited out; its word that there is no such schema is final, after a
    /// few questions.
    async fn learn(&mut self, schema: &SchemaRef) -> Result<(), String> {
        let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(10));
        let mut unknown = 0;
        loop {
            let reason = match self.registry.schema(schema).await {
                Ok(fetched) => {
                    self.decoder.add_schema(*schema, &fetched);
                    return Ok(());
                }
                Err(error @ RegistryError::Unusable(_)) => return Err(error.to_string()),
                Err(error @ RegistryError::Unknown(_)) if unknown == UNKNOWN_ATTEMPTS => return Err(error.to_string()),
                Err(error) => {
                    unknown += u32::from(matches!(error, RegistryError::Unknown(_)));
                    error.to_string()
                }
            };
            self.board.set(&self.model, State::Waiting, Some(reason));
            backoff.wait().await;
        }
    }
}

fn refuse(record: &Record<'_>, schema: Option<String>, reason: String) -> Refused {
    let topic = Arc::from(record.topic);
    let (partition, offset) = (record.partition, record.offset);
    Refused { topic, partition, offset, schema, rule: None, sqlstate: None, reason }
}

/// Ends each span before its first record from `index` on.
fn end_before(spans: &mut [Span], batch: &Batch, index: usize) {
    let rest: Vec<(usize, i64)> = batch.records().skip(index).map(|(span, record)| (span, record.offset)).collect();
    for (span, offset) in rest.into_iter().rev() {
        spans[span].to = offset;
    }
}
