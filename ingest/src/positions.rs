//! Where to start is asked, never guessed: whoever keeps the positions answers with an offset and an epoch, or refuses.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use crate::loss::LogLoss;
use crate::offset::{Epoch, Offset};

/// A topic's name and a partition's number.
pub type TopicPartition = (Arc<str>, i32);

/// What the broker says of a partition at the moment it is assigned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub topic: Arc<str>,
    pub partition: i32,
    /// Base64 as Kafka's tools print it; empty where the broker gives none.
    pub topic_id: String,
    /// How many partitions its topic has.
    pub partitions: u32,
    /// The first offset still in the log.
    pub log_start: Offset,
    /// One after the last offset in the log.
    pub log_end: Offset,
}

/// The right to write a partition's rows, from `next_offset` on, as long as `epoch` is the newest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    pub epoch: Epoch,
    pub next_offset: Offset,
}

/// Why there is no claim.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoClaim {
    /// The world's trouble: ask again later.
    #[error("{0}")]
    World(String),
    /// Another deployment's log, or what nobody knows how to judge: somebody must decide.
    #[error("{0}")]
    Stop(String),
    /// This log is not the one that was read before: somebody must decide.
    #[error(transparent)]
    Lost(#[from] LogLoss),
    /// Nobody wants these positions moved any more, by anybody.
    #[error("{0}")]
    Over(String),
}

/// An offset of the group that bears no tag of ours: somebody else has set it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reset {
    pub topic: Arc<str>,
    pub partition: i32,
    /// As it was set; it may lie outside of the log.
    pub offset: Offset,
    pub log_start: Offset,
    pub log_end: Offset,
}

impl Reset {
    /// The offset, or the one of the log that is nearest to it.
    pub fn within_log(&self) -> Offset {
        self.offset.max(self.log_start).min(self.log_end)
    }
}

/// The offsets of a group, of all partitions that it may be assigned. One that has none is in neither list.
#[derive(Debug, Clone)]
pub struct GroupOffsets {
    /// Those that bear our tag, of whichever generation.
    pub tagged: Vec<TopicPartition>,
    pub resets: Vec<Reset>,
    /// What our tags say of where the positions are kept.
    pub kept_in: BTreeSet<String>,
    /// When they were asked for.
    pub looked: Instant,
}

/// Whoever keeps the positions. Called on the poll thread, which waits for the answer.
pub trait Positions: Send + Sync + 'static {
    /// One claim for each of `found`, in that order.
    ///
    /// # Errors
    /// [`NoClaim`]; nothing is assigned then.
    fn claim(&self, cluster_id: Option<&str>, found: &[Found]) -> Result<Vec<Claim>, NoClaim>;

    /// Decides what is to be made of the group's offsets: before every join, and again before the claim of what was
    /// assigned. What was set by somebody else is mirrored over afterwards.
    ///
    /// # Errors
    /// [`NoClaim`]; nothing is assigned then.
    fn judge(&self, offsets: &GroupOffsets) -> Result<(), NoClaim>;

    /// The group's offsets of these partitions bear our tag now.
    fn mirrored(&self, partitions: &[TopicPartition]);

    /// Waits, for a few seconds at most, until no transaction that moves `partitions` is under way.
    fn release(&self, partitions: &[TopicPartition]);
}
