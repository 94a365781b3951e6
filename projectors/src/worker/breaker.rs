//! The breaker: when records fail one after another, or most of them for one reason, somebody deployed something wrong,
//! and a topic must not be parked for it. It counts culprits only, never what waits behind them.

use std::collections::{HashSet, VecDeque};
use std::time::Instant;

use crate::batch::QueueId;
use crate::settings::BreakerSettings;

/// A culprit, as far as the breaker tells them apart: hashes of its reason and of its topic and key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Failure {
    pub reason: u64,
    pub queue: QueueId,
}

/// What became of an event that did not wait behind another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// So many in a row were applied.
    Applied(usize),
    Failed(Failure),
}

/// Since when it is open, as far as anybody needs to know.
#[derive(Debug, Clone)]
pub(crate) struct Opened {
    pub why: String,
    /// When one record may be tried.
    pub until: Instant,
    /// Somebody tries one.
    pub half: bool,
    /// How often the operator had asked the model to go on.
    pub under: Option<i64>,
}

#[derive(Debug, Clone)]
pub(crate) struct Breaker {
    settings: BreakerSettings,
    in_a_row: u32,
    /// The last events, the newest at the end; `None`: it was applied.
    last: VecDeque<Option<Failure>>,
    opened: Option<Opened>,
}

impl Breaker {
    pub(crate) fn new(settings: BreakerSettings) -> Self {
        Self { settings, in_a_row: 0, last: VecDeque::new(), opened: None }
    }

    /// So many events in a row were applied.
    pub(crate) fn applied(&mut self, events: usize) {
        if events > 0 {
            self.in_a_row = 0;
        }
        for _ in 0..events.min(self.settings.of_last as usize) {
            self.push(None);
        }
    }

    /// A culprit was found; says why the breaker must open, if it must.
    pub(crate) fn failed(&mut self, failure: Failure) -> Option<String> {
        self.in_a_row += 1;
        self.push(Some(failure));
        if self.in_a_row >= self.settings.in_a_row {
            return Some(format!("{} records in a row were refused", self.in_a_row));
        }
        let alike = self.last.iter().flatten().filter(|other| other.reason == failure.reason);
        let queues: HashSet<QueueId> = alike.clone().map(|other| other.queue).collect();
        let (alike, all) = (alike.count(), self.last.len());
        let often = alike as f64 >= self.settings.share * all as f64;
        let many = queues.len() >= self.settings.same_reason as usize;
        (often && many)
            .then(|| format!("{alike} of the last {all} records were refused for the same reason"))
    }

    fn push(&mut self, outcome: Option<Failure>) {
        if self.last.len() >= self.settings.of_last as usize {
            self.last.pop_front();
        }
        self.last.push_back(outcome);
    }

    /// Counts what is committed; says why the breaker must open, if it must.
    pub(crate) fn count(&mut self, outcomes: &[Outcome]) -> Option<String> {
        let mut opens = None;
        for outcome in outcomes {
            match outcome {
                Outcome::Applied(events) => self.applied(*events),
                Outcome::Failed(failure) => opens = self.failed(*failure).or(opens),
            }
        }
        opens
    }

    pub(crate) fn open(&mut self, why: String, now: Instant, under: Option<i64>) {
        self.opened =
            Some(Opened { why, until: now + self.settings.half_open_after, half: false, under });
    }

    /// Half opens it, where it is time; true: for the one who asked, to try one record.
    pub(crate) fn half_open(&mut self, now: Instant) -> bool {
        match &mut self.opened {
            Some(opened) if !opened.half && opened.until <= now => {
                opened.half = true;
                true
            }
            _ => false,
        }
    }

    /// Whoever tried a record is gone.
    pub(crate) fn give_up_trying(&mut self) {
        if let Some(opened) = &mut self.opened {
            opened.half = false;
        }
    }

    /// Closes it, and forgets what was counted.
    pub(crate) fn close(&mut self) {
        (self.in_a_row, self.opened) = (0, None);
        self.last.clear();
    }

    pub(crate) fn opened(&self) -> Option<&Opened> {
        self.opened.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn breaker() -> Breaker {
        let half_open_after = Duration::from_secs(60);
        Breaker::new(BreakerSettings {
            in_a_row: 20,
            same_reason: 10,
            share: 0.5,
            of_last: 100,
            half_open_after,
        })
    }

    fn failure(reason: u64, queue: u128) -> Failure {
        Failure { reason, queue: QueueId(queue) }
    }

    #[test]
    fn one_percent_of_poison_never_opens_it() {
        let mut breaker = breaker();
        for record in 0..100_000 {
            breaker.applied(99);
            assert_eq!(breaker.failed(failure(1, record)), None);
        }
    }

    #[test]
    fn many_in_a_row_open_it_whatever_their_reasons() {
        let mut breaker = breaker();
        let opened =
            (0u32..).find(|n| breaker.failed(failure(u64::from(*n), u128::from(*n))).is_some());
        assert_eq!(opened, Some(19));
    }

    #[test]
    fn the_same_reason_on_many_keys_opens_it() {
        let mut breaker = breaker();
        let mut record = 0;
        let opened = loop {
            record += 1;
            breaker.applied(usize::from(record % 3 == 0));
            if breaker.failed(failure(7, record)).is_some() {
                break record;
            }
        };
        assert_eq!(opened, 10);
        let mut one_key = self::breaker();
        for _ in 0..1000 {
            one_key.applied(1);
            assert_eq!(one_key.failed(failure(7, 1)), None);
        }
    }
}
