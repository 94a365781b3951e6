//! The proof that a key lives in one partition, from the records alone: only as long as it holds do the lanes and instances
//! of a generation write at once.
//!
//! **Invariant.** No two transactions that hold the generation's lock shared at the same time apply records of one key in
//! two partitions. Each was judged by what is kept of the generation, and compared its version within the lock, and
//! whoever changes what is kept holds the lock alone; so two that overlap were judged by one number of partitions and one
//! set of partitioners. The set is never empty, and each record is where *every* partitioner of it puts the key: in one
//! partition, which has one owner. Because the set only shrinks, and one writer is for good, this holds of all records
//! that were ever proven, not only of those under way.
//!
//! A key's rows are told by the field that the contract keys its records by, or by the key itself
//! (`sql/src/waves/parallel.rs`). So the key's bytes must be the one text of that field's value, else two keys could stand
//! for one row.

pub(crate) mod store;
mod text;

use std::fmt;
use std::sync::Arc;

use vitrina_avro::{EventRows, Record};
use vitrina_ingest::{Offset, Partitioner};

use crate::batch::{Event, EventBatch, Part};

/// What is kept of a generation whose rows are told by the record key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Proof {
    /// Every record so far is where each of these partitioners puts its key, among so many partitions.
    Holds { partitions: u32, partitioners: Vec<Partitioner> },
    /// Some record was not.
    Failed,
}

/// What the records of a part change of what is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// Only these partitioners are left.
    Narrows(Vec<Partitioner>),
    Fails(Doubt),
}

/// The first record that proves nothing, and why not. It holds nothing of the record but its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Doubt {
    pub topic: Arc<str>,
    pub partition: i32,
    /// None where it is the partition itself.
    pub offset: Option<Offset>,
    pub why: String,
}

/// What tells an event's rows, of one layout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Told {
    /// The field of this name, at these places among the columns of its versions.
    ByField(String, Vec<usize>),
    /// The record key, as text.
    ByKey,
}

impl Proof {
    /// What the events that are applied change; none where they prove what is kept. `told`: of each layout.
    pub(crate) fn step(&self, told: &[Told], batch: &EventBatch, part: &Part) -> Option<Step> {
        let Self::Holds { partitions, partitioners } = self else { return None };
        if left_out() {
            return None;
        }
        let beyond = part.spans.iter().find(|span| !is_among(span.partition, *partitions));
        if let Some(span) = beyond {
            let many = if *partitions == 1 { "" } else { "s" };
            let why =
                format!("the topic had {partitions} partition{many} when this generation began");
            let (topic, partition) = (span.topic.clone(), span.partition);
            return Some(Step::Fails(Doubt { topic, partition, offset: None, why }));
        }
        // Of one partition there is nothing to prove.
        if *partitions == 1 {
            return None;
        }
        let mut left = partitioners.clone();
        for event in part.apply.iter().map(|event| &batch.events[*event as usize]) {
            if let Err(why) = prove(told, batch, event, *partitions, &mut left) {
                let span = &batch.spans[event.span];
                let (topic, partition) = (span.topic.clone(), span.partition);
                return Some(Step::Fails(Doubt {
                    topic,
                    partition,
                    offset: Some(event.offset),
                    why,
                }));
            }
        }
        (left.len() < partitioners.len()).then_some(Step::Narrows(left))
    }

    /// What is kept from now on.
    pub(crate) fn take(&mut self, step: Step) {
        match (self, step) {
            (Self::Holds { partitioners, .. }, Step::Narrows(left)) => *partitioners = left,
            (kept, _) => *kept = Self::Failed,
        }
    }
}

/// Leaves only the partitioners that put the event's key where its record is.
///
/// # Errors
/// None is left, or the key does not tell the event's rows: a sentence.
fn prove(
    told: &[Told],
    batch: &EventBatch,
    event: &Event,
    partitions: u32,
    left: &mut Vec<Partitioner>,
) -> Result<(), String> {
    let record = batch.records.get(event.record);
    let key = record.as_ref().and_then(|record: &Record<'_>| record.key);
    let key = key.ok_or("the record has no key")?;
    for row in event.rows().iter().flat_map(EventRows::iter) {
        match &told[row.layout] {
            Told::ByKey if std::str::from_utf8(key).is_err() => {
                return Err("the record's key is no text".into());
            }
            Told::ByKey => {}
            Told::ByField(field, places) => {
                let values = &batch.rows[row.layout][row.version].values[places[row.version]];
                text::compare(values, row.row as usize, key).map_err(|what| {
                    format!("the record's key is not the text of `{field}`{what}")
                })?;
            }
        }
    }
    let partition = batch.spans[event.span].partition;
    let puts_there = |partitioner: &Partitioner| {
        partitioner.partition(key, partitions).cast_signed() == partition
    };
    if left.iter().all(puts_there) {
        return Ok(());
    }
    if !left.iter().any(puts_there) {
        let names: Vec<&str> = left.iter().map(|partitioner| partitioner.name()).collect();
        return Err(format!(
            "the key belongs to another of {partitions} partitions by {}",
            names.join(", by ")
        ));
    }
    left.retain(puts_there);
    Ok(())
}

/// Whether a test leaves the proof out, to see that the law notices.
fn left_out() -> bool {
    cfg!(feature = "sabotage")
        && std::env::var("VITRINA_SABOTAGE").is_ok_and(|line| line == "Proof")
}

fn is_among(partition: i32, partitions: u32) -> bool {
    u32::try_from(partition).is_ok_and(|partition| partition < partitions)
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "topic {} partition {}", self.topic, self.partition)?;
        if let Some(offset) = self.offset {
            write!(f, " offset {offset}")?;
        }
        write!(f, ": {}", self.why)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::HashMap;

    use proptest::prelude::*;
    use vitrina_avro::{Headers, Row};
    use vitrina_ingest::{Batch, Epoch, Span};

    use super::*;
    use crate::batch::Content;

    const TOLD: [Told; 1] = [Told::ByKey];

    fn begun(partitions: u32) -> Proof {
        Proof::Holds { partitions, partitioners: Partitioner::ALL.to_vec() }
    }

    /// A batch of one event a record: key and partition.
    fn batch(records: &[(Option<&[u8]>, i32)]) -> (EventBatch, Part) {
        let (mut batch, mut log) = (EventBatch::default(), Batch::default());
        for (index, (key, partition)) in records.iter().enumerate() {
            let span = Span {
                topic: "t".into(),
                partition: *partition,
                epoch: Epoch(1),
                from: Offset(index as i64),
                to: Offset(index as i64),
                first_timestamp: None,
                last_timestamp: None,
            };
            log.spans.push(span);
            let record = Record {
                topic: "t",
                partition: *partition,
                offset: index as i64,
                timestamp_ms: None,
                key: *key,
                value: None,
                headers: Headers::default(),
            };
            log.add(index, &record);
            batch.events.push(Event {
                span: index,
                offset: Offset(index as i64),
                record: index,
                content: Content::Rows(Row { layout: 0, version: 0, row: 0 }.into()),
                identity: None,
                duplicate: false,
            });
        }
        batch.spans.clone_from(&log.spans);
        batch.records = log.into();
        let apply = (0..records.len() as u32).collect();
        let part =
            Part { range: 0..records.len(), spans: batch.spans.clone(), apply, ..Part::default() };
        (batch, part)
    }

    fn why(records: &[(Option<&[u8]>, i32)], partitions: u32) -> String {
        let (batch, part) = batch(records);
        match begun(partitions).step(&TOLD, &batch, &part) {
            Some(Step::Fails(doubt)) => doubt.to_string(),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn a_doubt_says_where_and_why() {
        assert_eq!(
            why(&[(Some(b"a"), 0), (None, 0)], 3),
            "topic t partition 0 offset 1: the record has no key"
        );
        assert_eq!(
            why(&[(Some(b"\xff"), 0)], 3),
            "topic t partition 0 offset 0: the record's key is no text"
        );
        assert_eq!(
            why(&[(Some(b"a"), 3)], 3),
            "topic t partition 3: the topic had 3 partitions when this generation began"
        );
    }

    #[test]
    fn only_what_is_applied_must_be_proven() {
        let (batch, mut part) = batch(&[(None, 0), (Some(b"a"), 0)]);
        part.apply = Vec::new();
        part.park = vec![0, 1];
        assert_eq!(begun(3).step(&TOLD, &batch, &part), None);
    }

    #[test]
    fn one_partition_proves_itself() {
        let (batch, part) = batch(&[(None, 0), (Some(b"a"), 0)]);
        assert_eq!(begun(1).step(&TOLD, &batch, &part), None);
    }

    proptest! {
        /// Whoever places keys, and however batches are cut: as long as the proof holds, no key was in two partitions;
        /// one partitioner is never doubted; a doubt is for good.
        #[test]
        fn no_proven_key_was_in_two_partitions(
            records in prop::collection::vec((0u8..9, 0usize..4, 0u32..5), 1..40),
            honest in prop::option::of(0usize..3),
            partitions in 1u32..5,
            length in 1usize..6,
        ) {
            let mut proof = begun(partitions);
            let mut places: HashMap<Vec<u8>, i32> = HashMap::new();
            for piece in records.chunks(length) {
                let placed: Vec<(Vec<u8>, i32)> = piece
                    .iter()
                    .map(|(key, by, any)| {
                        let key = vec![b'k', *key];
                        let by = Partitioner::ALL.get(honest.unwrap_or(*by));
                        let partition = by.map_or(*any, |by| by.partition(&key, partitions));
                        (key, partition.cast_signed())
                    })
                    .collect();
                let borrowed: Vec<(Option<&[u8]>, i32)> =
                    placed.iter().map(|(key, partition)| (Some(key.as_slice()), *partition)).collect();
                let (batch, part) = batch(&borrowed);
                let failed = proof == Proof::Failed;
                if let Some(step) = proof.step(&TOLD, &batch, &part) {
                    proof.take(step);
                }
                prop_assert!(!failed || proof == Proof::Failed);
                if proof == Proof::Failed {
                    prop_assert!(honest.is_none());
                    continue;
                }
                for (key, partition) in placed {
                    let before = *places.entry(key).or_insert(partition);
                    prop_assert_eq!(before, partition);
                }
            }
        }
    }
}
