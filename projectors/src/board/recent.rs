//! How many events there were of late, and how many errors. Counted in slices of time, so that memory is bounded.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How far back it is looked.
const SPAN: Duration = Duration::from_secs(300);
const SLICE: Duration = Duration::from_secs(10);

#[derive(Debug, Default)]
pub(crate) struct Recent {
    /// When each slice began, the newest at the end, and its events and errors.
    slices: VecDeque<(Instant, u64, u64)>,
}

impl Recent {
    pub(crate) fn add(&mut self, now: Instant, events: u64, errors: u64) {
        match self.slices.back_mut() {
            Some((began, sum_of_events, sum_of_errors)) if now - *began < SLICE => {
                *sum_of_events += events;
                *sum_of_errors += errors;
            }
            _ => self.slices.push_back((now, events, errors)),
        }
        self.forget(now);
    }

    /// Events and errors.
    pub(crate) fn sums(&mut self, now: Instant) -> (u64, u64) {
        self.forget(now);
        self.slices
            .iter()
            .fold((0, 0), |sums, (_, events, errors)| (sums.0 + events, sums.1 + errors))
    }

    fn forget(&mut self, now: Instant) {
        while self.slices.front().is_some_and(|(began, ..)| now - *began >= SPAN) {
            self.slices.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_old_is_forgotten_and_memory_is_bounded() {
        let (mut recent, start) = (Recent::default(), Instant::now());
        for second in 0..1000 {
            recent.add(start + Duration::from_secs(second), 2, second % 2);
        }
        assert!(recent.slices.len() <= 30);
        assert_eq!(recent.sums(start + Duration::from_secs(999)), (600, 150));
        assert_eq!(recent.sums(start + Duration::from_secs(1250)), (80, 20));
        assert_eq!(recent.sums(start + Duration::from_secs(2000)), (0, 0));
    }
}
