//! The decoding stage: batches of records in, batches of columns out, while the batch before is being written. It waits
//! for the registry as long as that is away; a record that cannot be decoded keeps its place, with the reason.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use vitrina_avro::{Record, Registry, RegistryError, Rows, SchemaRef};
use vitrina_ingest::{Batch, Epoch, Offset};

use crate::backoff::Backoff;
use crate::batch::{Columns, EventBatch, Reading, RecordReader, Unlearnt};
use crate::board::{Board, State};
use crate::fault::Fault;
use crate::metrics::{self, Neighbour};
use crate::settings::Retries;

/// How often an id that the registry does not know is asked again before it is the record's fault: a registry's follower
/// may be behind its leader.
const UNKNOWN_ATTEMPTS: u32 = 5;
const UNKNOWN_FIRST: Duration = Duration::from_millis(200);

pub(crate) struct Stage {
    pub model: String,
    pub reader: RecordReader,
    pub registry: Arc<Registry>,
    pub board: Board,
    pub retries: Retries,
    /// The newest epoch that was seen: under a newer one, records may be read again because something was mended.
    epoch: Epoch,
}

impl Stage {
    pub(crate) fn new(
        model: &str,
        reader: RecordReader,
        registry: Arc<Registry>,
        board: Board,
        retries: Retries,
    ) -> Self {
        Self { model: model.to_owned(), reader, registry, board, retries, epoch: Epoch::default() }
    }

    /// Decodes until either side hangs up, or the registry refuses us. `spare` gives back the columns of batches that are
    /// written: they keep their memory.
    pub(crate) async fn run(
        mut self,
        mut batches: mpsc::Receiver<Batch>,
        mut spare: mpsc::Receiver<Columns>,
        out: mpsc::Sender<Result<EventBatch, String>>,
    ) {
        loop {
            let next = async {
                let records = batches.recv().await?;
                let mut rows = spare.try_recv().unwrap_or_else(|_| self.reader.rows());
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
    async fn decode(&mut self, records: Batch, rows: Columns) -> Result<EventBatch, String> {
        let epoch = records.spans.iter().map(|span| span.epoch).max().unwrap_or_default();
        if epoch > self.epoch {
            self.epoch = epoch;
            self.reader.forget_refused();
        }
        let events = Vec::with_capacity(records.len());
        let mut batch =
            EventBatch { spans: records.spans.clone(), rows, events, ..EventBatch::default() };
        for (index, (span, record)) in records.records().enumerate() {
            let reading = self.read(&record, &mut batch.rows).await?;
            batch.add(span, index, Offset(record.offset), reading);
        }
        batch.records = records;
        Ok(batch)
    }

    async fn read(&mut self, record: &Record<'_>, rows: &mut Columns) -> Result<Reading, String> {
        loop {
            match self.reader.read(record, rows) {
                Ok(reading) => return Ok(reading),
                Err(Unlearnt(schema)) => self.learn(schema).await?,
            }
        }
    }

    /// Fetches a schema. The registry's absence is waited out; its word that there is no such schema is final, after a
    /// few questions.
    async fn learn(&mut self, schema: SchemaRef) -> Result<(), String> {
        let mut unknown = Backoff::new(UNKNOWN_FIRST, Duration::from_secs(5));
        let (mut questions, mut attempts) = (0, 0);
        loop {
            let Err(error) = self.reader.learn(&self.registry, schema).await else {
                metrics::connected(Neighbour::Registry, true);
                return Ok(());
            };
            match Fault::of_registry(&error) {
                Fault::Record { .. }
                    if matches!(error, RegistryError::Unknown(_) | RegistryError::Unserved(_))
                        && questions < UNKNOWN_ATTEMPTS =>
                {
                    questions += 1;
                    self.board.set(&self.model, State::Waiting, Some(error.to_string()));
                    unknown.wait().await;
                }
                Fault::Record { blame, .. } => {
                    self.reader.refuse(schema, blame);
                    return Ok(());
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
