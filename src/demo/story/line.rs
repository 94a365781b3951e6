//! A line of a story: an event, what it says, and in which rounds of the story it is told.

use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Line {
    /// `context.event@vN`.
    pub(super) event: String,
    /// With `at`: it is told in rounds that leave one of these when divided by it.
    #[serde(default = "one")]
    every: u64,
    #[serde(default = "nothing")]
    at: Vec<u64>,
    pub(super) value: Value,
}

fn one() -> u64 {
    1
}

fn nothing() -> Vec<u64> {
    vec![0]
}

impl Line {
    pub(super) fn is_told_in(&self, round: u64) -> bool {
        self.at.contains(&(round % self.every.max(1)))
    }
}
