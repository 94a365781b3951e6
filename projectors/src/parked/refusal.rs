//! Why an operator's decision was not carried out.

use crate::fault::Fault;
use crate::names::GenerationId;

/// Why a decision was not carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A model or an id that is not known: a sentence with some that are.
    #[error("{0}")]
    Unknown(String),
    /// The generation that it was about is not live any more.
    #[error("{0}")]
    Superseded(String),
    /// What was asked cannot be.
    #[error("{0}")]
    Wrong(String),
    /// The world is in the way: the same again, later.
    #[error("{0}")]
    World(String),
}

impl Refusal {
    /// A decision about a generation that readers do not see any more.
    pub(crate) fn superseded(id: &GenerationId) -> Self {
        Self::Superseded(format!(
            "{id} is not the live generation any more, and nothing was changed; `vitrina parked {}` lists what the live one \
             has parked",
            id.model
        ))
    }
}

impl From<sqlx::Error> for Refusal {
    fn from(error: sqlx::Error) -> Self {
        Fault::from(error).into()
    }
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::World { reason, .. } => Self::World(reason),
            other => Self::Wrong(other.to_string()),
        }
    }
}
