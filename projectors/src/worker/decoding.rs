//! The decoding stage: batches of records in, batches of columns out, while the batch before is being written. It waits
//! for the registry as long as that is away; a record that cannot be decoded keeps its place, with the reason. What the
//! registry does not give, though it gives others, is asked for again a few times: that holds its partition alone.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use vitrina_avro::{Defaulted, Record, Registry, RegistryError, Rows, Schema, SchemaRef};
use vitrina_ingest::{Batch, Epoch, Offset, Span, TopicPartition};

use crate::backoff::Backoff;
use crate::batch::{Columns, EventBatch, Reading, RecordReader, Unlearnt};
use crate::board::{Board, State};
use crate::fault::Fault;
use crate::metrics::{self, Neighbour};
use crate::settings::Retries;
use crate::worker::held::{Held, Rest};

/// How often an id that the registry does not know is asked again before it is the record's fault: a registry's follower
/// may be behind its leader.
const UNKNOWN_ATTEMPTS: u32 = 5;
const UNKNOWN_FIRST: Duration = Duration::from_millis(200);

/// What the registry says in the end of a schema that it did not give at first.
type Answer = (SchemaRef, Result<Arc<Schema>, RegistryError>);

pub(crate) struct Stage {
    pub model: String,
    pub reader: RecordReader,
    pub registry: Arc<Registry>,
    pub board: Board,
    pub retries: Retries,
    /// The newest epoch that was seen: under a newer one, records may be read again because something was mended.
    epoch: Epoch,
    held: Held,
    /// Under way, each for another schema.
    questions: JoinSet<Answer>,
    asked: HashSet<SchemaRef>,
}

impl Stage {
    pub(crate) fn new(
        model: &str,
        reader: RecordReader,
        registry: Arc<Registry>,
        board: Board,
        retries: Retries,
    ) -> Self {
        Self {
            model: model.to_owned(),
            reader,
            registry,
            board,
            retries,
            epoch: Epoch::default(),
            held: Held::default(),
            questions: JoinSet::new(),
            asked: HashSet::new(),
        }
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
            let decoded = tokio::select! {
                decoded = self.next(&mut batches, &mut spare) => decoded,
                () = out.closed() => return,
            };
            let Some(decoded) = decoded else { return };
            let decoded = match decoded {
                Ok(decoded) => decoded,
                Err(reason) => {
                    // Nobody who is left would act on it.
                    let _ = out.send(Err(reason)).await;
                    return;
                }
            };
            for batch in decoded {
                if out.send(Ok(batch)).await.is_err() {
                    return;
                }
            }
        }
    }

    /// The next batches: of records that came, or of some that the registry has spoken of. None after the last.
    async fn next(
        &mut self,
        batches: &mut mpsc::Receiver<Batch>,
        spare: &mut mpsc::Receiver<Columns>,
    ) -> Option<Result<Vec<EventBatch>, String>> {
        tokio::select! {
            Some(Ok(answer)) = self.questions.join_next() => Some(self.answered(answer).await),
            records = batches.recv(), if self.held.has_room() => {
                let records = Arc::new(records?);
                let mut rows = spare.try_recv().unwrap_or_else(|_| self.reader.rows());
                rows.iter_mut().flatten().for_each(Rows::clear);
                Some(self.decode(&records, rows).await.map(|batch| vec![batch]))
            }
        }
    }

    /// Decodes what came; of partitions that wait it goes to what they wait with.
    ///
    /// # Errors
    /// Why the registry will not serve us.
    async fn decode(&mut self, records: &Arc<Batch>, rows: Columns) -> Result<EventBatch, String> {
        let epoch = records.spans.iter().map(|span| span.epoch).max().unwrap_or_default();
        if epoch > self.epoch {
            self.epoch = epoch;
            self.reader.ask_refused_anew();
        }
        let mut rests = Vec::with_capacity(records.spans.len());
        for (index, span) in records.spans.iter().enumerate() {
            let rest = Rest { records: records.clone(), span: index, next: 0, from: span.from };
            let partition = partition(span);
            if self.held.holds(&partition) {
                self.held.append(&partition, rest);
            } else {
                rests.push(rest);
            }
        }
        let (batch, waiting) = self.decode_rests(records, rests, rows).await?;
        for (rest, schema) in waiting {
            let partition = partition(&records.spans[rest.span]);
            self.held.hold(partition, schema, VecDeque::from([rest]));
        }
        Ok(batch)
    }

    /// Decodes these rests of a batch; those that came to a schema which nobody can say anything about yet come back.
    async fn decode_rests(
        &mut self,
        records: &Arc<Batch>,
        rests: Vec<Rest>,
        rows: Columns,
    ) -> Result<(EventBatch, Vec<(Rest, SchemaRef)>), String> {
        let mut batch = EventBatch {
            spans: records
                .spans
                .iter()
                .map(|span| Span { to: span.from, ..span.clone() })
                .collect(),
            rows,
            events: Vec::with_capacity(records.len()),
            records: records.clone(),
            ..EventBatch::default()
        };
        let mut open: Vec<Option<Rest>> = vec![None; records.spans.len()];
        for rest in rests {
            let whole = &records.spans[rest.span];
            batch.spans[rest.span] = Span { from: rest.from, ..whole.clone() };
            let place = rest.span;
            open[place] = Some(rest);
        }
        let mut waiting = Vec::new();
        for (index, (span, record)) in records.records().enumerate() {
            let Some(rest) = open[span].take_if(|rest| rest.next <= index) else { continue };
            match self.read(&record, &mut batch.rows).await? {
                Ok(reading) => {
                    batch.add(span, index, Offset(record.offset), reading);
                    open[span] = Some(rest);
                }
                Err(schema) => {
                    let from = Offset(record.offset);
                    batch.end_span(span, from, index);
                    waiting.push((Rest { next: index, from, ..rest }, schema));
                }
            }
        }
        batch.retain_spans(|span| span.from < span.to);
        Ok((batch, waiting))
    }

    /// The registry has spoken of a schema: what waits for it goes on, as far as it gets.
    async fn answered(&mut self, (schema, answer): Answer) -> Result<Vec<EventBatch>, String> {
        self.asked.remove(&schema);
        match answer {
            Ok(fetched) => {
                let defaulted = self.reader.add_schema(schema, &fetched);
                self.tell_defaulted(schema, &defaulted);
            }
            // What is the world's by now is waited for with the next question.
            Err(error) => {
                if let Fault::Record { blame, .. } = Fault::of_registry(&error) {
                    self.reader.refuse(schema, blame);
                }
            }
        }
        let mut batches = Vec::new();
        for (partition, mut rests) in self.held.take(schema).collect::<Vec<_>>() {
            while let Some(rest) = rests.pop_front() {
                let (records, rows) = (rest.records.clone(), self.reader.rows());
                let (batch, mut waiting) = self.decode_rests(&records, vec![rest], rows).await?;
                batches.push(batch);
                if let Some((rest, schema)) = waiting.pop() {
                    rests.push_front(rest);
                    self.held.hold(partition, schema, rests);
                    break;
                }
            }
        }
        Ok(batches)
    }

    /// What the record is, or the schema that questions are under way for.
    async fn read(
        &mut self,
        record: &Record<'_>,
        rows: &mut Columns,
    ) -> Result<Result<Reading, SchemaRef>, String> {
        loop {
            match self.reader.read(record, rows) {
                Ok(reading) => {
                    if let Reading::Ignored(Some(unknown)) = &reading {
                        self.board.unknown(&self.model, unknown);
                    }
                    return Ok(Ok(reading));
                }
                Err(Unlearnt(schema)) if self.asked.contains(&schema) => return Ok(Err(schema)),
                Err(Unlearnt(schema)) => self.learn(schema).await?,
            }
        }
    }

    /// Fetches a schema. The registry's absence is waited out; its word that it does not give this one is doubted once,
    /// by questions that go on beside.
    async fn learn(&mut self, schema: SchemaRef) -> Result<(), String> {
        let mut attempts = 0;
        loop {
            let error = match self.reader.learn(&self.registry, schema).await {
                Ok(defaulted) => {
                    metrics::connected(Neighbour::Registry, true);
                    self.tell_defaulted(schema, &defaulted);
                    return Ok(());
                }
                Err(error) => error,
            };
            match Fault::of_registry(&error) {
                Fault::Record { .. } if may_pass(&error) && !self.reader.was_refused(schema) => {
                    tracing::warn!(model = %self.model, "{error}; its partition waits while it is asked again");
                    self.asked.insert(schema);
                    self.questions.spawn(ask_again(self.registry.clone(), schema, error));
                    return Ok(());
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

    fn tell_defaulted(&self, schema: SchemaRef, defaulted: &[Defaulted]) {
        defaulted.iter().for_each(|one| self.board.defaulted(&self.model, schema, one));
    }
}

fn partition(span: &Span) -> TopicPartition {
    (span.topic.clone(), span.partition)
}

/// Whether the registry may say otherwise of the same schema in a moment.
fn may_pass(error: &RegistryError) -> bool {
    matches!(error, RegistryError::Unknown(_) | RegistryError::Unserved(_))
}

async fn ask_again(registry: Arc<Registry>, schema: SchemaRef, error: RegistryError) -> Answer {
    let mut answer = Err(error);
    let mut pause = Backoff::new(UNKNOWN_FIRST, Duration::from_secs(5));
    for _ in 0..UNKNOWN_ATTEMPTS {
        if !matches!(&answer, Err(error) if may_pass(error)) {
            break;
        }
        pause.wait().await;
        answer = registry.schema(&schema).await;
    }
    (schema, answer)
}
