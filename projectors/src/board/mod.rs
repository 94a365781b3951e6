//! What this instance says of its models. The board is the only place where a state changes.

mod entry;
mod generations;
mod orders;
mod recent;
mod report;
mod state;
mod status;

pub use generations::GenerationStatus;
pub use orders::Orders;
pub use state::State;
pub use status::{IgnoredName, ModelStatus, PartitionStatus, Status};

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime};

use tokio::sync::watch;
use vitrina_avro::{Defaulted, SchemaRef, UnknownName};
use vitrina_ingest::{Offset, Ownership, Span, TopicPartition};

use crate::board::entry::{Entry, Progress, Report};
use crate::error_type::ErrorType;
use crate::metrics;

/// The states of all models of this instance.
#[derive(Clone)]
pub struct Board {
    pub(crate) instance: Arc<str>,
    entries: Arc<Mutex<BTreeMap<String, Entry>>>,
}

/// What this instance says of a model at this moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    pub model: String,
    pub state: State,
    pub reason: Option<String>,
    /// Of the last error; none where nothing is wrong.
    pub error: Option<ErrorType>,
    /// How many records this instance has parked for errors of their own, and of the last one the error and its reason.
    pub parked: Option<(u64, ErrorType, String)>,
}

impl Board {
    pub fn new(instance: &str) -> Self {
        Self { instance: Arc::from(instance), entries: Arc::default() }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The model's state from now on. A reason is given for states that need one; an error is also the last error.
    pub fn set(&self, model: &str, state: State, reason: Option<String>) {
        let mut entries = self.lock();
        let entry = entries.entry(model.to_owned()).or_insert_with(|| Entry::new(state));
        entry.state = state;
        entry.reason = reason;
        entry.tell(model);
    }

    /// What is to be said of a model that goes on.
    pub(crate) fn note(&self, model: &str, note: Option<String>) {
        if let Some(note) = &note {
            tracing::warn!(model, "{note}");
        }
        if let Some(entry) = self.lock().get_mut(model) {
            entry.note = note;
        }
    }

    /// Whether something is to be said of the model.
    pub(crate) fn has_note(&self, model: &str) -> bool {
        self.lock().get(model).is_some_and(|entry| entry.note.is_some())
    }

    /// This instance has no file of the model: it leaves the model as it is.
    pub fn leave(&self, model: &str, reason: String) {
        let mut entries = self.lock();
        let entry = entries.entry(model.to_owned()).or_insert_with(|| Entry::new(State::Stopped));
        if entry.reason.as_ref() != Some(&reason) {
            tracing::warn!(model, "{reason}");
        }
        // Whoever follows it goes on following it.
        let (orders, moved) = (entry.orders.clone(), entry.moved.clone());
        let stopped = Entry::new(State::Stopped);
        let left = Entry { fed: false, reason: Some(reason), orders, moved, ..stopped };
        *entry = left;
    }

    /// This instance has a file of the model, and begins with it.
    pub(crate) fn take_up(&self, model: &str) {
        let mut entries = self.lock();
        let entry = entries.entry(model.to_owned()).or_insert_with(|| Entry::new(State::Starting));
        (entry.fed, entry.state, entry.reason) = (true, State::Starting, None);
    }

    /// A generation of the model begins to be fed: what has stopped the one before it is over.
    pub(crate) fn begin(&self, model: &str) {
        if let Some(entry) =
            self.lock().get_mut(model).filter(|entry| entry.state == State::Stopped)
        {
            (entry.state, entry.reason, entry.error) = (State::Starting, None, None);
            entry.tell(model);
        }
    }

    /// A board of its own for one generation beside the live one, which gets the model's orders, too, and wakes the same.
    pub(crate) fn beside(&self, model: &str, label: &str) -> Self {
        let followed = |entry: &Entry| (entry.orders.clone(), entry.moved.clone());
        let (orders, moved) = self.lock().get(model).map(followed).unwrap_or_default();
        let entry = Entry { orders, moved, ..Entry::new(State::Starting) };
        let entries = BTreeMap::from([(label.to_owned(), entry)]);
        Self { instance: self.instance.clone(), entries: Arc::new(Mutex::new(entries)) }
    }

    /// What was waited for has come, whoever reads.
    pub(crate) fn waited(&self, model: &str) {
        if let Some(entry) = self.lock().get_mut(model) {
            entry.go_on(model);
        }
    }

    /// Waits until an operator has mended what stopped the model, and says so.
    pub(crate) async fn asked_to_go_on(&self, model: &str) {
        let mut orders = self.orders(model);
        let mut before = orders.borrow_and_update().resumed;
        // The board outlives its models, so this ends by the order only.
        while !orders.borrow_and_update().resumed_since(before) && orders.changed().await.is_ok() {
            before = before.or(orders.borrow().resumed);
        }
    }

    /// Something went wrong; the model's state says what became of it.
    pub(crate) fn failed(&self, model: &str, error: ErrorType) {
        metrics::error(model, error);
        if let Some(entry) = self.lock().get_mut(model) {
            entry.error = Some(error);
            entry.recent.add(Instant::now(), 0, 1);
        }
    }

    /// A record came whose name no contract of its topic knows: said once for each name.
    pub(crate) fn unknown(&self, model: &str, unknown: &UnknownName) {
        let mut entries = self.lock();
        let Some(entry) = entries.get_mut(model) else { return };
        let UnknownName { topic, name, nearest } = unknown;
        if entry.unknown.insert((topic.clone(), name.clone())) {
            let meant = nearest
                .as_ref()
                .map(|known| format!("; did you mean {known}?"))
                .unwrap_or_default();
            tracing::warn!(
                model,
                topic,
                "ignores {name}, which no contract of the topic knows{meant}"
            );
        }
    }

    /// Records of a schema lack fields of the contract, for which defaults stand: said once.
    pub(crate) fn defaulted(&self, model: &str, schema: SchemaRef, defaulted: &Defaulted) {
        let Defaulted { record, relation, version, fields } = defaulted;
        let fields = fields.join(", ");
        let told = format!(
            "schema {schema}: {record} lacks {fields}, so it is read as {relation} v{version} with their defaults"
        );
        tracing::warn!(model, "{told}");
        if let Some(entry) = self.lock().get_mut(model) {
            entry.last_error = Some((told, SystemTime::now()));
        }
    }

    /// A record was parked for an error of its own, which is the last error, too.
    pub(crate) fn parked(&self, model: &str, error: ErrorType, reason: String) {
        metrics::error(model, error);
        metrics::parked_one(model, Some(error));
        if let Some(entry) = self.lock().get_mut(model) {
            let before = entry.parked.as_ref().map_or(0, |(records, ..)| *records);
            entry.last_error = Some((format!("parked: {reason}"), SystemTime::now()));
            entry.parked = Some((before + 1, error, reason));
            entry.recent.add(Instant::now(), 0, 1);
        }
    }

    /// How each model stands.
    pub fn standings(&self) -> Vec<Standing> {
        let standing = |(model, entry): (&String, &Entry)| {
            let (state, reason) = entry.stands();
            Standing {
                model: model.clone(),
                state,
                reason,
                error: entry.error,
                parked: entry.parked.clone(),
            }
        };
        self.lock().iter().map(standing).collect()
    }

    /// A consumer of this generation has started.
    pub(crate) fn consuming(&self, model: &str, generation: i32, ownership: Ownership) {
        if let Some(entry) = self.lock().get_mut(model) {
            entry.generation = generation;
            entry.ownership = ownership;
        }
    }

    /// Partitions were claimed at these offsets: the broker and Postgres both answered.
    pub(crate) fn claimed(
        &self,
        model: &str,
        starts: impl Iterator<Item = (TopicPartition, Offset)>,
    ) {
        let mut entries = self.lock();
        let Some(entry) = entries.get_mut(model) else { return };
        entry.progress.extend(starts.map(|(key, next_offset)| {
            (key, Progress { next_offset, timestamp: None, at_end: None })
        }));
        entry.go_on(model);
    }

    /// A batch is committed: the world is in order again, and these are the positions.
    pub(crate) fn committed(&self, model: &str, spans: &[Span]) {
        let mut entries = self.lock();
        let Some(entry) = entries.get_mut(model) else { return };
        for span in spans {
            let key = (span.topic.clone(), span.partition);
            let before = entry.progress.get(&key);
            let timestamp = span.last_timestamp.or(before.and_then(|progress| progress.timestamp));
            let at_end = before.and_then(|progress| progress.at_end);
            let events = before.map_or(0, |progress| span.to.since(progress.next_offset));
            entry.recent.add(Instant::now(), events.max(0) as u64, 0);
            entry.progress.insert(key, Progress { next_offset: span.to, timestamp, at_end });
        }
        entry.moved.send_replace(());
        entry.go_on(model);
    }

    /// Wakes whenever this instance has committed a batch of the model's; none where it knows no such model.
    pub fn moved(&self, model: &str) -> Option<watch::Receiver<()>> {
        self.lock().get(model).map(|entry| entry.moved.subscribe())
    }

    /// Operators' orders for the model, as they come.
    pub(crate) fn orders(&self, model: &str) -> watch::Receiver<Orders> {
        let mut entries = self.lock();
        entries
            .entry(model.to_owned())
            .or_insert_with(|| Entry::new(State::Starting))
            .orders
            .subscribe()
    }

    /// The model does not read, for this reason: it is paused, or its breaker is open. `None`: it may.
    pub(crate) fn halt(&self, model: &str, halt: Option<(State, String)>) {
        let mut entries = self.lock();
        let Some(entry) = entries.get_mut(model) else { return };
        entry.halt = halt;
        entry.tell(model);
    }

    /// Whether any model of this instance is not stopped.
    pub fn any_running(&self) -> bool {
        self.lock().values().any(|entry| entry.state != State::Stopped)
    }

    /// What is to be written of each model.
    pub(crate) fn reports(&self) -> Vec<Report> {
        self.lock().iter_mut().map(|(model, entry)| entry.report(model)).collect()
    }

    /// Whether each consumer's broker answers; none where nothing consumes yet.
    pub(crate) fn reaches_broker(&self) -> Option<bool> {
        let entries = self.lock();
        let consumes = |entry: &&Entry| entry.generation > 0 && entry.state != State::Stopped;
        let mut consuming = entries.values().filter(consumes).peekable();
        consuming.peek()?;
        Some(consuming.all(|entry| entry.ownership.reaches_broker()))
    }

    /// What operators ask of the model from now on.
    pub(crate) fn order(&self, model: &str, orders: &Orders) {
        if let Some(entry) = self.lock().get(model) {
            entry
                .orders
                .send_if_modified(|known| std::mem::replace(known, orders.clone()) != *orders);
        }
    }
}
