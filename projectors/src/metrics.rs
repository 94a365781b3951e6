//! Every metric of the write side: name, unit, meaning. Labels come from fixed sets: models, states, kinds of errors;
//! never a record's key nor a reason's text. What a rule touches is said in words of the model's own text.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use metrics::{
    Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
};

use crate::error_type::ErrorType;
use crate::generation::build::progress::Progress;
use crate::rules::run::Written;

const EVENTS: &str = "vitrina_events_total";
const UNTOUCHED: &str = "vitrina_rule_runs_without_rows_total";
const BATCH_EVENTS: &str = "vitrina_batch_events";
const BATCH_WAVES: &str = "vitrina_batch_waves";
const BATCH_SECONDS: &str = "vitrina_batch_duration_seconds";
const FENCED: &str = "vitrina_fenced_partitions_total";
const WORLD: &str = "vitrina_world_faults_total";
const STATE: &str = "vitrina_model_state";
const LAG_EVENTS: &str = "vitrina_model_lag_events";
const LAG_SECONDS: &str = "vitrina_model_lag_seconds";
const STATE_SECONDS: &str = "vitrina_state_seconds_total";
const ERRORS: &str = "vitrina_errors_total";
const RETRIES: &str = "vitrina_retries_total";
const PARKED: &str = "vitrina_parked";
const PARKED_TOTAL: &str = "vitrina_parked_total";
const RETRIED: &str = "vitrina_retried_total";
const DISCARDED: &str = "vitrina_discarded_total";
const HISTORY: &str = "vitrina_history_begins_timestamp_seconds";
const BREAKER_STATE: &str = "vitrina_breaker_state";
const BREAKER_TRIPS: &str = "vitrina_breaker_trips_total";
const ONE_WRITER: &str = "vitrina_model_one_writer";
const BUILDING_DONE: &str = "vitrina_building_done_events";
const BUILDING_TOTAL: &str = "vitrina_building_total_events";
const BUILDING_PER_SECOND: &str = "vitrina_building_events_per_second";
const EVENT_BY_EVENT: &str = "vitrina_rule_event_by_event";

/// What Vitrina works with, and cannot work without.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Neighbour {
    Kafka,
    Postgres,
    Registry,
}

impl Neighbour {
    const ALL: [Self; 3] = [Self::Kafka, Self::Postgres, Self::Registry];

    fn connected(self) -> &'static str {
        match self {
            Self::Kafka => "vitrina_kafka_connected",
            Self::Postgres => "vitrina_postgres_connected",
            Self::Registry => "vitrina_registry_connected",
        }
    }
}

/// How far the breaker of a model is open; the numbers are the metric's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BreakerState {
    Closed = 0,
    HalfOpen = 1,
    Open = 2,
}

pub fn describe() {
    describe_gauge!(EVENT_BY_EVENT, "1 for a rule whose events never run together, and why");
    describe_counter!(EVENTS, "Records by model and outcome: applied, duplicate, ignored");
    describe_counter!(UNTOUCHED, "Runs of a rule that touched no row");
    describe_histogram!(BATCH_EVENTS, "Events in a committed batch");
    describe_histogram!(
        BATCH_WAVES,
        "Waves that a committed batch ran in; as many as events where it ran event by event"
    );
    describe_histogram!(
        BATCH_SECONDS,
        Unit::Seconds,
        "From a batch's first statement to its commit"
    );
    describe_counter!(
        FENCED,
        "Partitions whose batch was rolled back because another instance had claimed them"
    );
    describe_counter!(WORLD, "Batches that the world's trouble held up");
    describe_gauge!(STATE, "1 for the state that the model is in on this instance");
    describe_gauge!(
        LAG_EVENTS,
        "Offsets between the position and the last stable offset, by partition"
    );
    describe_gauge!(
        LAG_SECONDS,
        Unit::Seconds,
        "Age of the last applied event while the model is behind, else 0"
    );
    describe_gauge!(
        ONE_WRITER,
        "1 for a model that would have several writers, if its records proved that a key lives in one partition"
    );
    describe_gauge!(
        HISTORY,
        Unit::Seconds,
        "Only where what came before was gone from the log when the model first read it: the time of the first record"
    );
    describe_counter!(
        STATE_SECONDS,
        Unit::Seconds,
        "Time that the model has spent in the state on this instance"
    );
    for neighbour in Neighbour::ALL {
        describe_gauge!(neighbour.connected(), "1 while this instance reaches it, else 0");
    }
    describe_trouble();
}

fn describe_trouble() {
    describe_counter!(
        ERRORS,
        "Errors by model, kind and severity: records refused, and the world's trouble"
    );
    describe_counter!(RETRIES, "Attempts after the world's trouble, by its class");
    describe_gauge!(PARKED, "Records of the model that are parked now, over all instances");
    describe_counter!(
        PARKED_TOTAL,
        "Records that this instance parked; reason_class `behind`: they wait for another"
    );
    describe_counter!(RETRIED, "Parked records tried again, by outcome: applied, still_parked");
    describe_counter!(DISCARDED, "Parked records discarded by an operator");
    describe_gauge!(BREAKER_STATE, "0: closed, 1: half open, 2: open");
    describe_counter!(BREAKER_TRIPS, "How often the breaker has opened");
    describe_gauge!(
        BUILDING_DONE,
        "Events that the generation which is built has done; 0: none is"
    );
    describe_gauge!(BUILDING_TOTAL, "Events that the generation which is built has in all");
    describe_gauge!(
        BUILDING_PER_SECOND,
        "Events a second that it does, of late, over all instances"
    );
}

/// Generations that are built here, by their labels.
static BUILT_HERE: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// A generation that is built here, as long as this lives: its series are told, and no others of its kind.
pub(crate) struct BuiltHere(String);

impl BuiltHere {
    pub(crate) fn new(label: &str) -> Self {
        BUILT_HERE.lock().unwrap_or_else(PoisonError::into_inner).insert(label.to_owned());
        Self(label.to_owned())
    }
}

impl Drop for BuiltHere {
    fn drop(&mut self) {
        BUILT_HERE.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.0);
    }
}

/// The lines of `rendered` without the series of generations that were built here and are not any more: the recorder keeps
/// each series for ever, as it was last.
pub fn without_ended(rendered: &str) -> String {
    let built = BUILT_HERE.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let told = |line: &&str| match model_of(line) {
        Some(model) => !model.contains('@') || built.contains(model),
        None => true,
    };
    rendered.split_inclusive('\n').filter(told).collect()
}

/// The label `model` of a series.
fn model_of(line: &str) -> Option<&str> {
    let (_, labels) = line.split_once('{').filter(|_| !line.starts_with('#'))?;
    let (_, model) = labels.split_once("model=\"")?;
    model.split('"').next()
}

/// How far the generation that is built has come, over all instances; nothing is where none is.
pub(crate) fn building(model: &str, progress: &Progress) {
    let set = |name, value: f64| gauge!(name, "model" => model.to_owned()).set(value);
    set(BUILDING_DONE, progress.done as f64);
    set(BUILDING_TOTAL, progress.total as f64);
    set(BUILDING_PER_SECOND, progress.per_second.unwrap_or(0.0));
}

pub(crate) fn committed(
    model: &str,
    applied: u64,
    duplicates: u64,
    ignored: u64,
    written: Written,
    seconds: f64,
) {
    let model = model.to_owned();
    for (outcome, count) in [("applied", applied), ("duplicate", duplicates), ("ignored", ignored)]
    {
        counter!(EVENTS, "model" => model.clone(), "outcome" => outcome).increment(count);
    }
    counter!(UNTOUCHED, "model" => model.clone()).increment(written.untouched);
    histogram!(BATCH_WAVES, "model" => model.clone()).record(written.waves as f64);
    histogram!(BATCH_EVENTS, "model" => model.clone()).record((applied + duplicates) as f64);
    histogram!(BATCH_SECONDS, "model" => model).record(seconds);
}

pub(crate) fn fenced(model: &str, partitions: usize) {
    counter!(FENCED, "model" => model.to_owned()).increment(partitions as u64);
}

pub(crate) fn world(model: &str) {
    counter!(WORLD, "model" => model.to_owned()).increment(1);
}

pub(crate) fn state(model: &str, state: &'static str, on: bool) {
    gauge!(STATE, "model" => model.to_owned(), "state" => state).set(f64::from(u8::from(on)));
}

pub(crate) fn lag(model: &str, topic: &str, partition: i32, events: i64) {
    gauge!(LAG_EVENTS, &of_partition(model, topic, partition)).set(events as f64);
}

fn of_partition(model: &str, topic: &str, partition: i32) -> [(&'static str, String); 3] {
    [("model", model.to_owned()), ("topic", topic.to_owned()), ("partition", partition.to_string())]
}

pub(crate) fn lag_seconds(model: &str, seconds: f64) {
    gauge!(LAG_SECONDS, "model" => model.to_owned()).set(seconds);
}

/// A partition's history begins late, with a record of that time, in seconds since 1970.
pub(crate) fn history_begins(model: &str, topic: &str, partition: i32, seconds: f64) {
    gauge!(HISTORY, &of_partition(model, topic, partition)).set(seconds);
}

/// The model was in the state for so many more seconds.
pub fn state_seconds(model: &str, state: &'static str, seconds: u64) {
    counter!(STATE_SECONDS, "model" => model.to_owned(), "state" => state).increment(seconds);
}

/// Whether this instance reaches the neighbour.
pub fn connected(neighbour: Neighbour, yes: bool) {
    gauge!(neighbour.connected()).set(f64::from(u8::from(yes)));
}

/// Something went wrong.
pub fn error(model: &str, error: ErrorType) {
    let (kind, severity) = (error.name(), error.severity().name());
    counter!(ERRORS, "model" => model.to_owned(), "error_type" => kind, "severity" => severity)
        .increment(1);
}

/// The world is asked again; `class` is that of its trouble.
pub fn retry(model: &str, class: &'static str) {
    counter!(RETRIES, "model" => model.to_owned(), "class" => class).increment(1);
}

/// So many records of the model are parked now.
pub fn parked(model: &str, records: u64) {
    gauge!(PARKED, "model" => model.to_owned()).set(records as f64);
}

/// A record was parked: for an error of its own, or (`None`) behind another.
pub fn parked_one(model: &str, error: Option<ErrorType>) {
    let class = error.map_or("behind", ErrorType::name);
    counter!(PARKED_TOTAL, "model" => model.to_owned(), "reason_class" => class).increment(1);
}

/// Parked records were tried again: so many applied, so many are parked still.
pub fn retried(model: &str, applied: u64, still_parked: u64) {
    for (outcome, records) in [("applied", applied), ("still_parked", still_parked)] {
        counter!(RETRIED, "model" => model.to_owned(), "outcome" => outcome).increment(records);
    }
}

pub fn discarded(model: &str, records: u64) {
    counter!(DISCARDED, "model" => model.to_owned()).increment(records);
}

/// The breaker's state from now on.
pub fn breaker(model: &str, state: BreakerState) {
    gauge!(BREAKER_STATE, "model" => model.to_owned()).set(f64::from(state as u8));
}

pub fn breaker_tripped(model: &str) {
    counter!(BREAKER_TRIPS, "model" => model.to_owned()).increment(1);
}

/// Whether the model has one writer because of what its records are.
pub(crate) fn one_writer(model: &str, one: bool) {
    gauge!(ONE_WRITER, "model" => model.to_owned()).set(f64::from(u8::from(one)));
}

/// `rule` is its `file:line`. What is said comes from the model's text, never from a record.
pub(crate) fn event_by_event(model: &str, rule: &str, because: &str) {
    let labels =
        [("model", model.to_owned()), ("rule", rule.to_owned()), ("because", because.to_owned())];
    gauge!(EVENT_BY_EVENT, &labels).set(1.0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_of_a_build_end_with_it() {
        let rendered = "# HELP vitrina_model_state of m@7\nvitrina_model_state{model=\"m\",state=\"live\"} 1\n\
                        vitrina_model_state{model=\"m@7\",state=\"live\"} 0\nvitrina_kafka_connected 1\n";
        let built = BuiltHere::new("m@7");
        assert_eq!(without_ended(rendered), rendered);
        drop(built);
        let left: Vec<&str> =
            rendered.lines().filter(|line| !line.contains("{model=\"m@7\"")).collect();
        assert_eq!(without_ended(rendered).lines().collect::<Vec<_>>(), left);
    }
}
