//! What happens in the demo: a text beside the contracts, because that is where the business is.

use anyhow::Context as _;

const SCENARIO: &str = include_str!("../../avro/samples/demo.jsonl");

/// The models that are shown, which the first line names, and the others: one an event, see `super::feed`.
pub(super) fn read() -> anyhow::Result<(Vec<String>, &'static str)> {
    let (models, events) = SCENARIO.split_once('\n').context("the scenario has one line")?;
    Ok((serde_json::from_str(models).context("the scenario's models")?, events))
}
