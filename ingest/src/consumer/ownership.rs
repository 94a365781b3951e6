//! What a consumer owns at the moment, shared with whoever applies its batches. Invariant: a partition has one claim here,
//! the newest; what was read under another one is nobody's.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use crate::offset::{Epoch, Offset};
use crate::positions::{Claim, TopicPartition};

/// The claims of one consumer, and what it notices of its broker.
#[derive(Debug, Default, Clone)]
pub struct Ownership(Arc<Mutex<Owned>>);

#[derive(Debug, Default)]
struct Owned {
    /// `next_offset` is the next offset to read, ahead of Postgres by what is in flight.
    claims: HashMap<TopicPartition, Claim>,
    /// The last stable offset, from librdkafka's statistics.
    ends: HashMap<TopicPartition, Offset>,
    /// Topics of the subscription that the broker does not know.
    missing: Vec<String>,
    /// No broker can be reached: a sentence, and since when none was heard.
    unreachable: Option<(String, SystemTime)>,
    /// A broker that is connected and owes an answer for too long, likewise.
    silent: Option<(String, SystemTime)>,
}

impl Ownership {
    fn lock(&self) -> MutexGuard<'_, Owned> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether records read under `epoch` may still be applied.
    pub fn is_current(&self, topic: &Arc<str>, partition: i32, epoch: Epoch) -> bool {
        self.lock()
            .claims
            .get(&(topic.clone(), partition))
            .is_some_and(|claim| claim.epoch == epoch)
    }

    /// Each owned partition and the end of its log, where it is known.
    pub fn ends(&self) -> Vec<(TopicPartition, Option<Offset>)> {
        let owned = self.lock();
        owned.claims.keys().map(|key| (key.clone(), owned.ends.get(key).copied())).collect()
    }

    /// Whether the broker answers, as far as its client has noticed.
    pub fn reaches_broker(&self) -> bool {
        self.lock().unreachable.is_none()
    }

    /// What keeps the broker from answering, as a sentence, while it lasts.
    pub fn trouble(&self) -> Option<String> {
        let owned = self.lock();
        let away = owned.unreachable.as_ref().or(owned.silent.as_ref());
        let away = away.map(|(sentence, _)| sentence.clone());
        if away.is_some() || owned.missing.is_empty() {
            return away;
        }
        let names = owned.missing.join(", ");
        Some(format!(
            "topic {names} does not exist yet; its producers create it, Vitrina never does"
        ))
    }

    /// Since when a broker has not been heard, while that lasts: what is known of the logs' ends is as old.
    pub fn silent_since(&self) -> Option<SystemTime> {
        let owned = self.lock();
        owned.unreachable.iter().chain(&owned.silent).map(|(_, since)| *since).min()
    }

    /// The newest claims of this instance, and how far each has been read.
    pub fn claims(&self) -> Vec<(TopicPartition, Claim)> {
        self.lock().claims.iter().map(|(key, claim)| (key.clone(), *claim)).collect()
    }

    pub(super) fn claim_of(&self, key: &TopicPartition) -> Option<Claim> {
        self.lock().claims.get(key).copied()
    }

    pub(super) fn owns(&self, key: &TopicPartition) -> bool {
        self.lock().claims.contains_key(key)
    }

    /// Whether the log holds something that has not been read here.
    pub(super) fn is_behind(&self) -> bool {
        let owned = self.lock();
        owned
            .claims
            .iter()
            .any(|(key, claim)| owned.ends.get(key).is_some_and(|end| *end > claim.next_offset))
    }

    /// Partitions claimed just now; their topics exist.
    pub(super) fn own(&self, claims: impl IntoIterator<Item = (TopicPartition, Claim)>) {
        let mut owned = self.lock();
        for (key, claim) in claims {
            owned.missing.retain(|topic| **topic != *key.0);
            owned.claims.insert(key, claim);
        }
    }

    pub(super) fn disown(&self, partitions: &[TopicPartition]) {
        let mut owned = self.lock();
        for key in partitions {
            owned.claims.remove(key);
            owned.ends.remove(key);
        }
    }

    /// Records that everything below `next_offset` has been read under `epoch`.
    pub(super) fn advance(&self, key: &TopicPartition, epoch: Epoch, next_offset: Offset) {
        if let Some(claim) = self.lock().claims.get_mut(key).filter(|claim| claim.epoch == epoch) {
            claim.next_offset = next_offset;
        }
    }

    pub(super) fn set_missing(&self, topics: Vec<String>) {
        self.lock().missing = topics;
    }

    /// The first call of a row of them says since when.
    pub(super) fn set_unreachable(&self, trouble: Option<String>) {
        let mut owned = self.lock();
        let before = owned.unreachable.take().map(|(_, since)| since);
        let since = before.unwrap_or_else(SystemTime::now);
        owned.unreachable = trouble.map(|trouble| (trouble, since));
    }

    pub(super) fn set_silent(&self, trouble: Option<(String, SystemTime)>) {
        self.lock().silent = trouble;
    }

    /// The ends of the logs as `end` knows them; where it does not, the last one known stays.
    pub(super) fn set_ends(&self, end: impl Fn(&TopicPartition) -> Option<Offset>) {
        let Owned { claims, ends, .. } = &mut *self.lock();
        ends.extend(claims.keys().filter_map(|key| Some((key.clone(), end(key)?))));
    }
}
