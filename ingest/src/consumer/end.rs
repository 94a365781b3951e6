//! Why a consumer ended: whoever made it decides by this alone whether another one follows.

use rdkafka::error::KafkaError;

use crate::loss::LogLoss;
use crate::positions::NoClaim;

/// Why a consumer ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// It was told to, or what it read for is over.
    Closed,
    /// The world's trouble: a new consumer, after a while, goes on.
    World(String),
    /// Going on would be wrong until somebody decides.
    Stop(String),
    /// The log does not go on from where it was read: so it stays until somebody decides.
    Lost(LogLoss),
}

impl From<NoClaim> for End {
    fn from(none: NoClaim) -> Self {
        match none {
            NoClaim::World(what) => Self::World(what),
            NoClaim::Stop(what) => Self::Stop(what),
            NoClaim::Lost(loss) => Self::Lost(loss),
            NoClaim::Over(_) => Self::Closed,
        }
    }
}

impl From<KafkaError> for End {
    fn from(error: KafkaError) -> Self {
        Self::World(format!("Kafka: {error}"))
    }
}
