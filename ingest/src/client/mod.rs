//! How the cluster is reached, and what is asked of it without a group.

mod cluster;
mod groups;
mod mock;
mod properties;
mod settings;
mod topic_id;

pub use cluster::{Cluster, TopicEnds, log_ends};
pub use groups::delete_group;
pub use mock::MockBroker;
pub use properties::{PropertyError, owned_property};
pub use settings::{BrokerKind, KafkaSettings};
pub(crate) use topic_id::topic_ids;
