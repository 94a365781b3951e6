//! What happens in the demo: a text beside the contracts, because that is where the business is.

/// One line an event, see `super::feed`.
pub(super) const SCENARIO: &str = include_str!("../../avro/samples/demo.jsonl");
