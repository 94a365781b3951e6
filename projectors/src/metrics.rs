//! Every metric of the write side: name, unit, meaning.

use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};

use crate::writer::Written;

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

pub fn describe() {
    describe_counter!(EVENTS, "Records by model and outcome: applied, duplicate, ignored");
    describe_counter!(UNTOUCHED, "Runs of a rule that touched no row");
    describe_histogram!(BATCH_EVENTS, "Events in a committed batch");
    describe_histogram!(
        BATCH_WAVES,
        "Waves that a committed batch ran in; as many as events where it ran event by event"
    );
    describe_histogram!(BATCH_SECONDS, Unit::Seconds, "From a batch's first statement to its commit");
    describe_counter!(FENCED, "Partitions whose batch was rolled back because another instance had claimed them");
    describe_counter!(WORLD, "Batches that the world's trouble held up");
    describe_gauge!(STATE, "1 for the state that the model is in on this instance");
    describe_gauge!(LAG_EVENTS, "Offsets between the position and the last stable offset, by partition");
    describe_gauge!(LAG_SECONDS, Unit::Seconds, "Age of the last applied event while the model is behind, else 0");
}

pub(crate) fn committed(model: &str, applied: u64, duplicates: u64, ignored: u64, written: Written, seconds: f64) {
    let model = model.to_owned();
    for (outcome, count) in [("applied", applied), ("duplicate", duplicates), ("ignored", ignored)] {
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
    let labels = [("model", model.to_owned()), ("topic", topic.to_owned()), ("partition", partition.to_string())];
    gauge!(LAG_EVENTS, &labels).set(events as f64);
}

pub(crate) fn lag_seconds(model: &str, seconds: f64) {
    gauge!(LAG_SECONDS, "model" => model.to_owned()).set(seconds);
}
