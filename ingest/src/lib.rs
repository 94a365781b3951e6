#![doc = include_str!("../README.md")]

mod batch;
mod client;
mod consumer;
mod loss;
mod offset;
mod partitioner;
mod positions;
mod producer;

pub use batch::{Batch, Span};
pub use client::{
    BrokerKind, Cluster, Compaction, KafkaSettings, Logs, MockBroker, PropertyError, TopicEnds,
    compacted_topics, delete_groups, log_bounds, logs, owned_property,
};
pub use consumer::{Bounds, Consumer, End, Ownership, Subscription, offsets_of_group};
pub use loss::LogLoss;
pub use offset::{Epoch, Offset};
pub use partitioner::Partitioner;
pub use positions::{Claim, Found, GroupOffsets, NoClaim, Positions, Reset, TopicPartition};
pub use producer::{Outgoing, PublishError, Publisher, complete};
