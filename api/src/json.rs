//! What is written as JSON by us, not by Postgres. Invariant: a value that cannot be written is a problem, never half an answer.

use serde::Serialize;

use crate::problem::{Kind, Problem};

/// Its text.
pub(crate) fn json(part: &impl Serialize) -> Result<String, Problem> {
    serde_json::to_string(part).map_err(|error| {
        tracing::error!(%error, "an answer cannot be written as JSON");
        Problem::new(Kind::Internal, "The answer could not be written; the service's log says why.")
    })
}
