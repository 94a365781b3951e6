//! A lane: the batch that fills up for one taker. Each partition keeps to one lane as long as it is claimed here, so its
//! records are never in two takers' hands.

use std::collections::HashMap;
use std::sync::Arc;
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
    /// Shared with the batches that were sent and are not written yet.
    under_way: Arc<()>,
}

impl Lane {
    pub(super) fn new(out: mpsc::Sender<Batch>) -> Self {
        Self {
            out,
            batch: Batch::default(),
            opened: None,
            changes: 0,
            blocked: None,
            under_way: Arc::default(),
        }
    }

    /// Takes the batch out, to be sent.
    pub(super) fn close(&mut self) -> Batch {
        (self.opened, self.blocked) = (None, None);
        let mut batch = std::mem::take(&mut self.batch);
        batch.under_way = Some(self.under_way.clone());
        batch
    }

    /// Whether there are records, and nothing for their taker to do meanwhile: then waiting for more saves nothing.
    pub(super) fn is_waited_for(&self) -> bool {
        self.opened.is_some() && Arc::strong_count(&self.under_way) == 1
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
    use super::*;

    #[test]
    fn a_batch_is_waited_for_until_one_is_under_way() {
        let (out, _taker) = mpsc::channel(1);
        let mut lane = Lane::new(out);
        assert!(!lane.is_waited_for(), "nothing is there yet");
        lane.opened = Some(Instant::now());
        assert!(lane.is_waited_for());
        let sent = lane.close();
        lane.opened = Some(Instant::now());
        assert!(!lane.is_waited_for(), "the one before is being written");
        drop(sent);
        assert!(lane.is_waited_for());
    }

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
