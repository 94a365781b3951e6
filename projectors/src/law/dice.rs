//! Chance that can be had again: everything random in a case comes from one seed.

use rand::rngs::SmallRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};

#[derive(Clone)]
pub(super) struct Dice(SmallRng);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(SmallRng::seed_from_u64(seed))
    }

    pub(super) fn below(&mut self, count: usize) -> usize {
        self.0.random_range(0..count.max(1))
    }

    pub(super) fn chance(&mut self, percent: u32) -> bool {
        self.0.random_range(0..100) < percent
    }

    pub(super) fn pick<T: Copy>(&mut self, all: &[T]) -> T {
        *all.choose(&mut self.0).unwrap()
    }

    /// Each of `all`, or not; at least one.
    pub(super) fn some<T: Copy>(&mut self, all: &[T], percent: u32) -> Vec<T> {
        let some: Vec<T> = all.iter().copied().filter(|_| self.chance(percent)).collect();
        if some.is_empty() && !all.is_empty() { vec![self.pick(all)] } else { some }
    }

    /// One of the second by the weights of the first.
    pub(super) fn weigh<T: Copy>(&mut self, all: &[(usize, T)]) -> T {
        let mut left = self.below(all.iter().map(|(weight, _)| weight).sum());
        for (weight, one) in all {
            match left.checked_sub(*weight) {
                Some(rest) => left = rest,
                None => return *one,
            }
        }
        all[0].1
    }
}
