//! What this instance says of its models. The board is the only place where a state changes.

mod generations;
mod recent;
mod report;
mod status;

pub use generations::GenerationStatus;
pub use status::{IgnoredName, ModelStatus, PartitionStatus, Status};

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

/// For so long a lag that was known says how old the views are at most: partitions change hands, and brokers restart.
const BRIDGED: Duration = Duration::from_secs(10);

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
    /// Of both, how many texts have come into effect.
    #[sqlx(json)]
    pub texts: BTreeMap<i32, i32>,
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
    /// What keeps it from running, as the log was told, and since when.
    told: Option<(State, String, Instant)>,
    last_error: Option<(String, SystemTime)>,
    error: Option<ErrorType>,
    parked: Option<(u64, ErrorType, String)>,
    /// Topics and names that were told of.
    unknown: BTreeSet<(String, String)>,
    recent: Recent,
    /// The last lag that was known, and when; before the first one, when the model began.
    known: (Option<i64>, SystemTime),
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
    end: Option<i64>,
}

/// One row of `vitrina.worker`.
pub(crate) struct Report {
    pub model: String,
    pub generation: i32,
    pub fed: bool,
    pub state: State,
    pub reason: Option<String>,
    pub last_error: Option<(String, SystemTime)>,
    /// The last request to go on that the state follows.
    pub resumed: Option<i64>,
    pub partitions: Vec<PartitionEnd>,
    pub lag: Lag,
    /// Events and errors.
    pub recent: (u64, u64),
}

/// How old the state of the views is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lag {
    /// At most so many milliseconds: 0 when nothing is left to apply.
    Ms(i64),
    UnknownSince(SystemTime),
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
        // Whoever follows its orders goes on following them.
        let orders = entry.orders.clone();
        let left = Entry { fed: false, reason: Some(reason), orders, ..Entry::new(State::Stopped) };
        *entry = left;
    }

    /// This instance has a file of the model, and begins with it.
    pub(crate) fn take_up(&self, model: &str) {
        let mut entries = self.lock();
        let entry = entries.entry(model.to_owned()).or_insert_with(|| Entry::new(State::Starting));
        (entry.fed, entry.state, entry.reason) = (true, State::Starting, None);
    }

    /// A board of its own for one generation beside the live one, which gets the model's orders, too.
    pub(crate) fn beside(&self, model: &str, label: &str) -> Self {
        let orders = self.lock().get(model).map(|entry| entry.orders.clone()).unwrap_or_default();
        let entry = Entry { orders, ..Entry::new(State::Starting) };
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
        entry.go_on(model);
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
            told: None,
            last_error: None,
            error: None,
            parked: None,
            unknown: BTreeSet::new(),
            recent: Recent::default(),
            known: (None, SystemTime::now()),
            ownership: Ownership::default(),
            progress: HashMap::new(),
        }
    }

    /// What was waited for has come.
    fn go_on(&mut self, model: &str) {
        if self.state == State::Waiting {
            self.state = State::CatchingUp;
            self.reason = None;
            self.error = None;
            self.tell(model);
        }
    }

    /// Tells the log what keeps the model from running, when it begins and when it is over.
    fn tell(&mut self, model: &str) {
        let (state, reason) = self.stands();
        let told = self.told.take();
        let Some(reason) = reason else {
            if let Some((_, reason, since)) = told {
                let seconds = since.elapsed().as_secs_f64();
                tracing::info!(
                    model,
                    state = state.name(),
                    "goes on after {seconds:.1} s; over is: {reason}"
                );
            }
            return;
        };
        match told {
            Some(same) if (same.0, &same.1) == (state, &reason) => self.told = Some(same),
            before => {
                match state {
                    State::Stopped => tracing::error!(model, "stopped: {reason}"),
                    _ => tracing::warn!(model, state = state.name(), "{reason}"),
                }
                if state != State::Paused {
                    self.last_error = Some((reason.clone(), SystemTime::now()));
                }
                let since = before.map_or_else(Instant::now, |(.., since)| since);
                self.told = Some((state, reason, since));
            }
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
        let measured = self.measure(model, &ends);
        self.follow_lag(measured, !ends.is_empty());
        let lag = self.lag(model, measured);
        self.tell(model);
        let (state, reason) = self.stands();
        for other in State::ALL {
            metrics::state(model, other.name(), other == state);
        }
        let partitions = ends
            .into_iter()
            .map(|((topic, partition), end)| {
                let end = end.map(|end| end.0);
                PartitionEnd { topic: topic.to_string(), partition, end }
            })
            .collect();
        Report {
            model: model.to_owned(),
            generation: self.generation,
            fed: self.fed,
            state,
            reason,
            last_error: self.last_error.clone(),
            resumed: self.orders.borrow().resumed,
            partitions,
            lag,
            recent: self.recent.sums(Instant::now()),
        }
    }

    /// How old the state of the views is now, as what was measured says, or what was known before and the time since.
    fn lag(&mut self, model: &str, measured: Option<i64>) -> Lag {
        let now = SystemTime::now();
        let heard = self.ownership.silent_since();
        if let (Some(lag), None) = (measured, heard) {
            self.known = (Some(lag), now);
        }
        let (known, at) = self.known;
        let at = heard.map_or(at, |heard| heard.min(at));
        let age = now.duration_since(at).unwrap_or_default();
        let Some(lag) = known.map(|known| known.saturating_add(age.as_millis() as i64)) else {
            return Lag::UnknownSince(at);
        };
        metrics::lag_seconds(model, lag as f64 / 1000.0);
        if age < BRIDGED { Lag::Ms(lag) } else { Lag::UnknownSince(at) }
    }

    /// The lag in milliseconds by what the broker last said: 0 when nothing is left to apply, `None` where a partition's end
    /// is not known, or there is none.
    fn measure(&mut self, model: &str, ends: &[(TopicPartition, Option<Offset>)]) -> Option<i64> {
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
