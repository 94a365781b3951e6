//! What was produced, in the broker's own order, and what it comes to. It shares no code with what it judges: one thread,
//! one fold, nothing remembered but the records themselves.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

/// One event; a producer that repeats itself sends the same one again.
#[derive(Debug, Clone)]
pub struct Event {
    pub account: String,
    /// No other event has it.
    pub number: i64,
    pub amount: i64,
}

/// An account's row.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Deserialize)]
pub struct Row {
    pub account: String,
    /// Doubling and loss show here …
    pub events: i64,
    pub total: i64,
    pub last_number: i64,
    /// … and disorder here.
    pub chain: i64,
}

/// What was applied of a partition.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize)]
pub struct Applied {
    pub partition: i32,
    pub records: i64,
    pub offsets: i64,
    pub last: i64,
}

/// By partition and offset; `None` is a record that no rule wants.
#[derive(Default)]
pub struct Ledger(Mutex<BTreeMap<(i32, i64), Option<Event>>>);

impl Ledger {
    /// The broker has taken the event, and put it there.
    pub fn note(&self, place: (i32, i64), event: Event) {
        self.0.lock().unwrap().insert(place, Some(event));
    }

    /// The broker has put something there that the model has nothing to do with.
    pub fn pass(&self, place: (i32, i64)) {
        self.0.lock().unwrap().insert(place, None);
    }

    /// How far each partition is known without a gap: several producers are told of their records in any order.
    pub fn ends(&self) -> BTreeMap<i32, i64> {
        let mut ends = BTreeMap::new();
        for (partition, offset) in self.0.lock().unwrap().keys() {
            let end = ends.entry(*partition).or_insert(0);
            *end += i64::from(*end == *offset);
        }
        ends
    }

    pub fn len(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    /// The rows that are right when each partition has been applied up to, not including, its position.
    pub fn fold(&self, positions: &BTreeMap<i32, i64>) -> (Vec<Row>, Vec<Applied>) {
        let mut rows: BTreeMap<String, Row> = BTreeMap::new();
        let mut applied: BTreeMap<i32, Applied> = BTreeMap::new();
        let mut seen = BTreeSet::new();
        for ((partition, offset), event) in self.0.lock().unwrap().iter() {
            let Some(event) = event
                .as_ref()
                .filter(|_| positions.get(partition).is_some_and(|next| offset < next))
            else {
                continue;
            };
            if !seen.insert(event.number) {
                continue;
            }
            let row = rows.entry(event.account.clone()).or_default();
            row.chain = match row.events {
                0 => event.number,
                _ => (row.chain * 31 + event.number) % 1_000_000_007,
            };
            row.account.clone_from(&event.account);
            row.events += 1;
            row.total += event.amount;
            row.last_number = event.number;
            let applied = applied.entry(*partition).or_default();
            applied.partition = *partition;
            applied.records += 1;
            applied.offsets += offset;
            applied.last = *offset;
        }
        (rows.into_values().collect(), applied.into_values().collect())
    }
}
