//! What this instance says of its models. The board is the only place where a state changes.

mod recent;
mod report;
mod status;

pub use status::{GenerationStatus, IgnoredName, ModelStatus, PartitionStatus, Status};

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::Serialize;
use tokio::sync::watch;
use vitrina_avro::{Defaulted, SchemaRef, UnknownName};
use vitrina_ingest::{Offset, Ownership, Span, TopicPartition};

use crate::board::recent::Recent;
use crate::error_type::ErrorType;
use crate::metrics;

/// The state of a model on one instance (`docs/reference.md`, "States").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Starting,
    CatchingUp,
    Live,
    Waiting,
    Paused,
    BreakerOpen,
    Stopped,
}

impl State {
    const ALL: [Self; 7] = [
        Self::Starting,
        Self::CatchingUp,
        Self::Live,
        Self::Waiting,
        Self::Paused,
        Self::BreakerOpen,
        Self::Stopped,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::CatchingUp => "catching_up",
            Self::Live => "live",
            Self::Waiting => "waiting",
            Self::Paused => "paused",
            Self::BreakerOpen => "breaker_open",
            Self::Stopped => "stopped",
        }
    }
}

/// A live model whose last event is older than this, while it is behind, is catching up again.
const BEHIND: Duration = Duration::from_secs(30);

/// The states of all models of this instance.
#[derive(Clone)]
pub struct Board {
    pub(crate) instance: Arc<str>,
    entries: Arc<Mutex<BTreeMap<String, Entry>>>,
}

/// What Postgres asks of a model: operators' word, and the generations to feed.
#[derive(Debug, Clone, Default, PartialEq, Eq, sqlx::FromRow)]
pub struct Orders {
    /// Who pauses it and since when; `None`: it may run.
    pub paused: Option<String>,
    /// How often it was asked to go on; none before the first look.
    pub resumed: Option<i64>,
    /// The generation that readers see.
    pub live: Option<i32>,
    /// The one that is being built.
    pub building: Option<i32>,
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

impl Orders {
    /// Whether the model was asked to go on since `before`.
    pub(crate) fn resumed_since(&self, before: Option<i64>) -> bool {
        before.is_some() && self.resumed.is_some() && self.resumed != before
    }
}

struct Entry {
    generation: i32,
    /// Whether this instance has a file of the model, and so feeds it.
    fed: bool,
    /// What is to be said of the model while nothing else is.
    note: Option<String>,
    orders: watch::Sender<Orders>,
    state: State,
    reason: Option<String>,
    /// Paused, or the breaker open: what the operator must know first, whatever is waited for besides.
    halt: Option<(State, String)>,
    last_error: Option<String>,
    error: Option<ErrorType>,
    parked: Option<(u64, ErrorType, String)>,
    /// Topics and names that were told of.
    unknown: BTreeSet<(String, String)>,
    recent: Recent,
    ownership: Ownership,
    progress: HashMap<TopicPartition, Progress>,
}

#[derive(Clone, Copy)]
struct Progress {
    next_offset: Offset,
    /// Of the last event, in milliseconds since 1970.
    timestamp: Option<i64>,
    /// When it was last seen at the log's end.
    at_end: Option<i64>,
}

#[derive(Debug, Serialize)]
pub(crate) struct PartitionEnd {
    topic: String,
    partition: i32,
    end: i64,
}

/// One row of `vitrina.worker`.
pub(crate) struct Report {
    pub model: String,
    pub generation: i32,
    pub fed: bool,
    pub state: State,
    pub reason: Option<String>,
    pub last_error: Option<String>,
    pub partitions: Vec<PartitionEnd>,
    pub lag_ms: Option<i64>,
    /// Events and errors.
    pub recent: (u64, u64),
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
        if let Some(reason) = &reason
            && entry.reason.as_ref() != Some(reason)
        {
            match state {
                State::Stopped => tracing::error!(model, "stopped: {reason}"),
                _ => tracing::warn!(model, state = state.name(), "{reason}"),
            }
            entry.last_error = Some(reason.clone());
        }
        entry.state = state;
        entry.reason = reason;
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

    /// This instance has no file of the model: it leaves the model as it is.
    pub fn leave(&self, model: &str, reason: String) {
        tracing::warn!(model, "{reason}");
        let left = Entry { fed: false, reason: Some(reason), ..Entry::new(State::Stopped) };
        self.lock().insert(model.to_owned(), left);
    }

    /// A board of its own for one generation beside the live one, which gets the model's orders, too.
    pub(crate) fn beside(&self, model: &str, label: &str) -> Self {
        let orders = self.lock().get(model).map(|entry| entry.orders.clone()).unwrap_or_default();
        let entry = Entry { orders, ..Entry::new(State::Starting) };
        let entries = BTreeMap::from([(label.to_owned(), entry)]);
        Self { instance: self.instance.clone(), entries: Arc::new(Mutex::new(entries)) }
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
            entry.last_error = Some(told);
        }
    }

    /// A record was parked for an error of its own, which is the last error, too.
    pub(crate) fn parked(&self, model: &str, error: ErrorType, reason: String) {
        metrics::error(model, error);
        metrics::parked_one(model, Some(error));
        if let Some(entry) = self.lock().get_mut(model) {
            let before = entry.parked.as_ref().map_or(0, |(records, ..)| *records);
            entry.last_error = Some(format!("parked: {reason}"));
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
        entry.go_on();
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
        entry.go_on();
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
        let Some(entry) = entries.get_mut(model).filter(|entry| entry.halt != halt) else { return };
        match &halt {
            Some((state, reason)) => tracing::warn!(model, state = state.name(), "{reason}"),
            None => tracing::info!(model, "reads again"),
        }
        if let Some((State::BreakerOpen, reason)) = &halt {
            entry.last_error = Some(reason.clone());
        }
        entry.halt = halt;
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

impl Entry {
    fn new(state: State) -> Self {
        Self {
            generation: 0,
            fed: true,
            note: None,
            orders: watch::Sender::default(),
            state,
            reason: None,
            halt: None,
            last_error: None,
            error: None,
            parked: None,
            unknown: BTreeSet::new(),
            recent: Recent::default(),
            ownership: Ownership::default(),
            progress: HashMap::new(),
        }
    }

    /// What was waited for has come.
    fn go_on(&mut self) {
        if self.state == State::Waiting {
            tracing::info!("goes on");
            self.state = State::CatchingUp;
            self.reason = None;
            self.error = None;
        }
    }

    /// State and reason; what the consumer cannot do without is part of them.
    fn stands(&self) -> (State, Option<String>) {
        if self.state == State::Stopped {
            return (self.state, self.reason.clone());
        }
        if let Some((state, reason)) = &self.halt {
            return (*state, Some(reason.clone()));
        }
        match self.ownership.trouble() {
            Some(trouble) => (State::Waiting, Some(trouble)),
            None => (self.state, self.reason.clone().or_else(|| self.note.clone())),
        }
    }

    fn report(&mut self, model: &str) -> Report {
        let ends = self.ownership.ends();
        let lag_ms = self.lag(model, &ends);
        self.follow_lag(lag_ms, !ends.is_empty());
        let (state, reason) = self.stands();
        for other in State::ALL {
            metrics::state(model, other.name(), other == state);
        }
        let partitions = ends
            .into_iter()
            .filter_map(|((topic, partition), end)| {
                Some(PartitionEnd { topic: topic.to_string(), partition, end: end?.0 })
            })
            .collect();
        Report {
            model: model.to_owned(),
            generation: self.generation,
            fed: self.fed,
            state,
            reason,
            last_error: self.last_error.clone(),
            partitions,
            lag_ms,
            recent: self.recent.sums(Instant::now()),
        }
    }

    /// How old the state of the views is, in milliseconds: 0 when nothing is left to apply, `None` where it is unknown.
    fn lag(&mut self, model: &str, ends: &[(TopicPartition, Option<Offset>)]) -> Option<i64> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?.as_millis() as i64;
        // Another instance tells how far behind what was revoked here is.
        for (topic, partition) in
            self.progress.keys().filter(|key| ends.iter().all(|(owned, _)| owned != *key))
        {
            metrics::lag(model, topic, *partition, 0);
        }
        let mut lag = (!ends.is_empty()).then_some(0);
        for ((topic, partition), end) in ends {
            let progress = self.progress.get_mut(&(topic.clone(), *partition))?;
            let behind = (*end)?.since(progress.next_offset).max(0);
            metrics::lag(model, topic, *partition, behind);
            if behind == 0 {
                progress.at_end = Some(now);
                continue;
            }
            // After a quiet night the last event is old, but the views were as new as the log until just now.
            let since = progress.timestamp.max(progress.at_end);
            lag = lag.zip(since).map(|(lag, since)| lag.max(now - since));
        }
        if let Some(lag) = lag {
            metrics::lag_seconds(model, lag as f64 / 1000.0);
        }
        lag
    }

    fn follow_lag(&mut self, lag_ms: Option<i64>, owns: bool) {
        self.state = match (self.state, lag_ms) {
            (State::Starting | State::CatchingUp, Some(0)) if owns => State::Live,
            (State::Starting, _) if owns => State::CatchingUp,
            (State::Live, Some(lag)) if lag > BEHIND.as_millis() as i64 => State::CatchingUp,
            (state, _) => state,
        };
    }
}
