//! Records that wait for the registry's word on a schema, and all that is behind them in their partitions. Other
//! partitions go on; the order within one is kept.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use vitrina_avro::SchemaRef;
use vitrina_ingest::{Batch, Offset, TopicPartition};

/// How many bytes of batches may be kept; beyond, nothing more is read until the registry has spoken.
const ROOM: usize = 16 << 20;

/// What is left of one span of a batch.
#[derive(Debug, Clone)]
pub(super) struct Rest {
    pub records: Arc<Batch>,
    /// Index of the span.
    pub span: usize,
    /// Index of the first record that is left.
    pub next: usize,
    /// Where the positions stand once all before is written.
    pub from: Offset,
}

#[derive(Debug, Default)]
pub(super) struct Held(HashMap<TopicPartition, (SchemaRef, VecDeque<Rest>)>);

impl Held {
    pub(super) fn holds(&self, partition: &TopicPartition) -> bool {
        self.0.contains_key(partition)
    }

    /// Appends what comes behind the records of a partition that waits.
    pub(super) fn append(&mut self, partition: &TopicPartition, rest: Rest) {
        if let Some((_, rests)) = self.0.get_mut(partition) {
            rests.push_back(rest);
        }
    }

    /// The partition waits for the schema, with all this.
    pub(super) fn hold(
        &mut self,
        partition: TopicPartition,
        schema: SchemaRef,
        rests: VecDeque<Rest>,
    ) {
        self.0.insert(partition, (schema, rests));
    }

    /// Takes out what waits for the schema.
    pub(super) fn take(
        &mut self,
        schema: SchemaRef,
    ) -> impl Iterator<Item = (TopicPartition, VecDeque<Rest>)> {
        let ready = self.0.extract_if(move |_, (waits_for, _)| *waits_for == schema);
        ready.map(|(partition, (_, rests))| (partition, rests)).collect::<Vec<_>>().into_iter()
    }

    /// Whether more may be kept.
    pub(super) fn has_room(&self) -> bool {
        let rests = self.0.values().flat_map(|(_, rests)| rests);
        rests.map(|rest| rest.records.bytes()).sum::<usize>() < ROOM
    }
}
