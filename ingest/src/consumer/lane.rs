//! A lane: the batch that fills up for one taker. Each partition keeps to one lane as long as it is claimed here, so its
//! records are never in two takers' hands.

use std::collections::HashMap;
use std::time::Instant;

use tokio::sync::mpsc;

use crate::batch::Batch;
use crate::positions::TopicPartition;

pub(super) struct Lane {
    pub(super) out: mpsc::Sender<Batch>,
    pub(super) batch: Batch,
    /// When the first record of `batch` came.
    pub(super) opened: Option<Instant>,
    /// The count of rebalances that the spans of `batch` were made under.
    pub(super) changes: u64,
    /// Since when the taker has been behind.
    pub(super) blocked: Option<Instant>,
}

impl Lane {
    pub(super) fn new(out: mpsc::Sender<Batch>) -> Self {
        Self { out, batch: Batch::default(), opened: None, changes: 0, blocked: None }
    }

    /// Takes the batch out, to be sent.
    pub(super) fn close(&mut self) -> Batch {
        (self.opened, self.blocked) = (None, None);
        std::mem::take(&mut self.batch)
    }
}

/// Which lane each partition keeps to.
#[derive(Debug, Default)]
pub(super) struct Lines(HashMap<TopicPartition, usize>);

impl Lines {
    /// The partition's lane: its own, else the one of `lanes` with the fewest partitions of those that are `owned`.
    pub(super) fn lane(
        &mut self,
        partition: &TopicPartition,
        lanes: usize,
        owned: impl Fn(&TopicPartition) -> bool,
    ) -> usize {
        if let Some(lane) = self.0.get(partition) {
            return *lane;
        }
        self.0.retain(|other, _| owned(other));
        let load = |lane: &usize| self.0.values().filter(|other| *other == lane).count();
        let lane = (0..lanes).min_by_key(load).unwrap_or_default();
        self.0.insert(partition.clone(), lane);
        lane
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn partitions_spread_over_the_lanes_and_stay() {
        let partition = |number: i32| (Arc::from("t"), number);
        let mut lines = Lines::default();
        let lanes: Vec<usize> =
            (0..4).map(|number| lines.lane(&partition(number * 2), 2, |_| true)).collect();
        assert_eq!(lanes, [0, 1, 0, 1]);
        // Partitions 0 and 4 are lost: the next one goes to the lane that they leave empty.
        assert_eq!(lines.lane(&partition(9), 2, |(_, number)| *number == 2 || *number == 6), 0);
        assert_eq!(lines.lane(&partition(2), 2, |_| true), 1);
    }
}
