#![doc = include_str!("../README.md")]

mod batch;
mod cluster;
mod consumer;
mod context;
mod joining;
mod lane;
mod loss;
mod mirror;
mod poll;
mod positions;
mod settings;
mod topic_id;
mod watch;

pub use batch::{Batch, Span};
pub use cluster::{Cluster, TopicEnds};
pub use consumer::{Consumer, End};
pub use context::Ownership;
pub use loss::{lost_offsets, recreated};
pub use positions::{Claim, Found, Positions, Refusal, TopicPartition};
pub use settings::{BrokerKind, KafkaSettings, Subscription, owned_property};
