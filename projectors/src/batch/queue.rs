//! A queue: the records of one topic and key, which stay in order whatever becomes of them.

use xxhash_rust::xxh3::Xxh3;

/// Names the queue of a topic and record key: 128 bits, so that a hundred thousand parked keys take a few MiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct QueueId(pub u128);

impl QueueId {
    pub(crate) fn new(topic: &str, key: &[u8]) -> Self {
        let mut hash = Xxh3::new();
        hash.update(&(topic.len() as u64).to_le_bytes());
        hash.update(topic.as_bytes());
        hash.update(key);
        Self(hash.digest128())
    }

    /// As it is stored.
    pub(crate) fn to_bytes(self) -> Vec<u8> {
        self.0.to_be_bytes().to_vec()
    }

    /// What [`Self::to_bytes`] made.
    pub(crate) fn from_bytes(stored: &[u8]) -> Option<Self> {
        stored.try_into().ok().map(u128::from_be_bytes).map(Self)
    }
}
