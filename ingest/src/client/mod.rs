//! How the cluster is reached, and what is asked of it without a group.

mod admin;
mod cluster;
mod commit;
mod heard;
mod metadata;
mod mock;
mod properties;
mod settings;
mod topic_id;

pub use admin::{Compaction, compacted_topics, delete_groups};
pub use cluster::{Cluster, Logs, TopicEnds, log_bounds, logs};
pub(crate) use commit::commit_and_tell;
pub(crate) use heard::{Heard, is_refusal, listen};
pub(crate) use metadata::metadata;
pub use mock::MockBroker;
pub use properties::{PropertyError, owned_property};
pub use settings::{BrokerKind, KafkaSettings};
pub(crate) use topic_id::topic_ids;
