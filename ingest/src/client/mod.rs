//! How the cluster is reached, and what is asked of it without a group.

mod cluster;
mod settings;
mod topic_id;

pub use cluster::{Cluster, TopicEnds};
pub use settings::{BrokerKind, KafkaSettings, owned_property};
pub(crate) use topic_id::topic_ids;
