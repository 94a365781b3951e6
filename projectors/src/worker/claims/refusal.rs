//! Why a claim is refused.

use vitrina_ingest::{LogLoss, NoClaim};

use crate::generation::control::ControlError;

#[derive(Debug, thiserror::Error)]
pub(super) enum ClaimError {
    #[error("Postgres (postgres.url): {0}")]
    Postgres(#[from] sqlx::Error),
    #[error(transparent)]
    Control(#[from] ControlError),
    #[error(transparent)]
    Log(#[from] LogLoss),
    #[error("Kafka (kafka.brokers) does not answer, so nobody knows where the log ends")]
    Away,
    /// The generation's state.
    #[error("the generation is {0}")]
    Over(String),
}

impl From<ClaimError> for NoClaim {
    fn from(error: ClaimError) -> Self {
        match error {
            ClaimError::Log(loss) => loss.into(),
            ClaimError::Control(ControlError::OtherDeployment(what)) => Self::Stop(what),
            over @ ClaimError::Over(_) => Self::Over(over.to_string()),
            other => Self::World(other.to_string()),
        }
    }
}
