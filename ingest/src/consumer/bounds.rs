//! How far a consumer may read for now: what lies behind a partition's bound stays fetched and is not given out. Whoever
//! sets the bounds moves them on.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::offset::Offset;
use crate::positions::TopicPartition;

/// Bounds by partition; one that has none may be read to the log's end.
#[derive(Debug, Clone, Default)]
pub struct Bounds(Arc<Mutex<HashMap<TopicPartition, Offset>>>);

impl Bounds {
    fn lock(&self) -> MutexGuard<'_, HashMap<TopicPartition, Offset>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// These, and no others, from now on: the first offset of each partition that may not be read.
    pub fn set(&self, bounds: impl IntoIterator<Item = (TopicPartition, Offset)>) {
        *self.lock() = bounds.into_iter().collect();
    }

    pub(super) fn of(&self, key: &TopicPartition) -> Option<Offset> {
        self.lock().get(key).copied()
    }
}
