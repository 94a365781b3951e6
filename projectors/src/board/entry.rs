//! One model on the board: what is known of it, and what follows from that: its state, its lag, what the log is told.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::Serialize;
use tokio::sync::watch;
use vitrina_ingest::{Offset, Ownership, TopicPartition};

use crate::board::recent::Recent;
use crate::board::{Orders, State};
use crate::error_type::ErrorType;
use crate::metrics;

/// A live model whose last event is older than this, while it is behind, is catching up again.
const BEHIND: Duration = Duration::from_secs(30);

/// For so long a lag that was known says how old the views are at most: partitions change hands, and brokers restart.
const BRIDGED: Duration = Duration::from_secs(10);

pub(super) struct Entry {
    pub(super) generation: i32,
    /// Whether this instance has a file of the model, and so feeds it.
    pub(super) fed: bool,
    /// What is to be said of the model while nothing else is.
    pub(super) note: Option<String>,
    pub(super) orders: watch::Sender<Orders>,
    /// Sent whenever a batch is committed.
    pub(super) moved: watch::Sender<()>,
    pub(super) state: State,
    pub(super) reason: Option<String>,
    /// Paused, or the breaker open: what the operator must know first, whatever is waited for besides.
    pub(super) halt: Option<(State, String)>,
    /// What keeps it from running, as the log was told, and since when.
    pub(super) told: Option<(State, String, Instant)>,
    pub(super) last_error: Option<(String, SystemTime)>,
    pub(super) error: Option<ErrorType>,
    pub(super) parked: Option<(u64, ErrorType, String)>,
    /// Topics and names that were told of.
    pub(super) unknown: BTreeSet<(String, String)>,
    pub(super) recent: Recent,
    /// The last lag that was known, and when; before the first one, when the model began.
    pub(super) known: (Option<i64>, SystemTime),
    pub(super) ownership: Ownership,
    pub(super) progress: HashMap<TopicPartition, Progress>,
}

#[derive(Clone, Copy)]
pub(super) struct Progress {
    pub(super) next_offset: Offset,
    /// Of the last event, in milliseconds since 1970.
    pub(super) timestamp: Option<i64>,
    /// When it was last seen at the log's end.
    pub(super) at_end: Option<i64>,
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

impl Entry {
    pub(super) fn new(state: State) -> Self {
        Self {
            generation: 0,
            fed: true,
            note: None,
            orders: watch::Sender::default(),
            moved: watch::Sender::default(),
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
    pub(super) fn go_on(&mut self, model: &str) {
        if self.state == State::Waiting {
            self.state = State::CatchingUp;
            self.reason = None;
            self.error = None;
            self.tell(model);
        }
    }

    /// Tells the log what keeps the model from running, when it begins and when it is over.
    pub(super) fn tell(&mut self, model: &str) {
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
    pub(super) fn stands(&self) -> (State, Option<String>) {
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

    pub(super) fn report(&mut self, model: &str) -> Report {
        let ends = self.ownership.ends();
        let measured = self.measure(model, &ends);
        self.follow_lag(measured, !ends.is_empty());
        let lag = self.lag(model, measured);
        self.tell(model);
        let (state, reason) = self.stands();
        for other in State::ALL {
            // A model whose file is not here is nobody's alarm here.
            metrics::state(model, other.name(), self.fed && other == state);
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
