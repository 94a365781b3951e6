//! What a generation is to whoever feeds it: readers see the live one, and beside it one may be built.

use crate::names::GenerationId;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Role {
    Live,
    Building,
}

impl Role {
    /// The state in `vitrina.generation` that it goes with.
    pub(crate) fn state(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Building => "building",
        }
    }

    /// The consumer group: the model's own always follows the live generation.
    pub(crate) fn group(self, prefix: &str, model: &str) -> String {
        match self {
            Self::Live => format!("{prefix}.{model}"),
            Self::Building => format!("{prefix}.{model}.building"),
        }
    }

    /// What its workers are called on the board, in metrics and in the log: what is said of a generation that is built must
    /// not be taken for the model's.
    pub(crate) fn label(self, id: &GenerationId) -> String {
        match self {
            Self::Live => id.model.clone(),
            Self::Building => id.to_string(),
        }
    }
}
