//! The orders in which a log may arrive, of which some are tried. Invariant: within one partition the order stays, for
//! that is what Kafka promises; everything else is free, and what is tried depends on the seed alone.

use std::collections::HashSet;

use rand::rngs::SmallRng;
use rand::seq::SliceRandom as _;
use rand::{Rng as _, SeedableRng as _};

/// All orders are tried where there are no more than so many: those of four topics with a record each.
const ALL: usize = 24;
/// Else so many others.
const SOME: usize = 8;
/// Of more records than this all orders are not even counted.
const FEW: usize = 6;

/// Records by their places in the test, batch by batch in the order of their arrival.
pub(super) type Batches = Vec<Vec<usize>>;

/// What is done with the records of a test besides playing them as they are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Twist {
    /// Another order among partitions.
    Order,
    /// Other batches.
    Batches,
    /// Records that come again.
    Duplicates,
}

#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) twist: Twist,
    pub(super) batches: Batches,
}

/// What is tried of a log whose records lie in these partitions, topic by topic.
pub(super) fn attempts(partitions: &[(usize, usize)], seed: u64) -> Vec<Attempt> {
    let count = partitions.len();
    if count == 0 {
        return Vec::new();
    }
    let written: Vec<usize> = (0..count).collect();
    let mut attempts = Vec::new();
    if count > 1 {
        let alone = written.iter().map(|record| vec![*record]).collect();
        attempts.push(Attempt { twist: Twist::Batches, batches: alone });
    }
    // Each in a row, and all of them once more.
    let twice = written.iter().flat_map(|record| [*record, *record]).collect();
    attempts.push(Attempt { twist: Twist::Duplicates, batches: vec![twice, written] });
    let mut random = SmallRng::seed_from_u64(seed);
    for order in orders(partitions, &mut random) {
        let batches = cut(order, &mut random);
        attempts.push(Attempt { twist: Twist::Order, batches });
    }
    attempts
}

/// Other orders than the written one: all there are, where they are few; else topic after topic, keys in turns, and others
/// by chance.
fn orders(partitions: &[(usize, usize)], random: &mut SmallRng) -> Vec<Vec<usize>> {
    let written: Vec<usize> = (0..partitions.len()).collect();
    let mut queues: Vec<(usize, usize)> = Vec::new();
    for partition in partitions {
        if !queues.contains(partition) {
            queues.push(*partition);
        }
    }
    if queues.len() < 2 {
        return Vec::new();
    }
    if partitions.len() <= FEW {
        let mut all = Vec::new();
        interleave(&mut Vec::new(), partitions, &mut all);
        if all.len() <= ALL {
            return all.split_off(1);
        }
    }
    let mut seen = HashSet::from([written.clone()]);
    let mut found = Vec::new();
    let mut keep = |order: Vec<usize>| {
        if found.len() < SOME && seen.insert(order.clone()) {
            found.push(order);
        }
    };
    // The last first: with the written order, any two partitions come in both orders.
    let mut reversed = written.clone();
    let place = |record: &usize| queues.iter().position(|queue| *queue == partitions[*record]);
    reversed.sort_by_key(|record| std::cmp::Reverse(place(record)));
    keep(reversed);
    let topics = queues.iter().map(|(topic, _)| topic + 1).max().unwrap_or_default();
    for first in 0..topics {
        let mut order = written.clone();
        order.sort_by_key(|record| (partitions[*record].0 + topics - first) % topics);
        keep(order);
    }
    for _ in 0..SOME * 4 {
        keep(by_chance(partitions, random));
    }
    found
}

/// All orders, the written one first.
fn interleave(begun: &mut Vec<usize>, partitions: &[(usize, usize)], all: &mut Vec<Vec<usize>>) {
    if begun.len() == partitions.len() {
        all.push(begun.clone());
        return;
    }
    for record in 0..partitions.len() {
        let is_next = (0..record)
            .all(|before| begun.contains(&before) || partitions[before] != partitions[record]);
        if is_next && !begun.contains(&record) {
            begun.push(record);
            interleave(begun, partitions, all);
            begun.pop();
        }
    }
}

/// Draws whose turn it is, record by record.
fn by_chance(partitions: &[(usize, usize)], random: &mut SmallRng) -> Vec<usize> {
    let mut turns = partitions.to_vec();
    turns.shuffle(random);
    let mut left: Vec<usize> = (0..partitions.len()).collect();
    let mut order = Vec::new();
    for turn in turns {
        if let Some(next) = left.iter().position(|record| partitions[*record] == turn) {
            order.push(left.remove(next));
        }
    }
    order
}

/// Cuts an order into a few batches.
fn cut(order: Vec<usize>, random: &mut SmallRng) -> Batches {
    let mut batches = vec![Vec::new()];
    for record in order {
        let begun = batches.last().is_some_and(|batch: &Vec<usize>| !batch.is_empty());
        if begun && random.random_range(0..4) == 0 {
            batches.push(Vec::new());
        }
        if let Some(batch) = batches.last_mut() {
            batch.push(record);
        }
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flat(attempt: &Attempt) -> Vec<usize> {
        attempt.batches.concat()
    }

    #[test]
    fn no_order_breaks_a_partitions_and_none_comes_twice() {
        for partitions in [
            vec![(0, 0), (1, 0), (0, 0), (0, 1)],
            [(0, 0), (1, 0), (2, 0), (0, 1)].repeat(4),
            vec![(0, 0); 9],
        ] {
            let attempts = attempts(&partitions, 1);
            let orders: Vec<_> =
                attempts.iter().filter(|one| one.twist == Twist::Order).map(flat).collect();
            let distinct: HashSet<_> = orders.iter().collect();
            assert!(distinct.len() == orders.len() && orders.len() < ALL);
            assert!(!orders.contains(&(0..partitions.len()).collect()));
            for order in &orders {
                let mut sorted = order.clone();
                sorted.sort();
                assert_eq!(sorted, (0..partitions.len()).collect::<Vec<_>>());
                for (place, record) in order.iter().enumerate() {
                    let later = order[place..].iter();
                    let mut own = later.filter(|other| partitions[**other] == partitions[*record]);
                    assert!(own.all(|other| other >= record), "{order:?}");
                }
            }
        }
    }

    #[test]
    fn few_records_are_tried_in_every_order_and_one_partition_in_none() {
        let orders = |partitions: &[(usize, usize)]| {
            let tried = attempts(partitions, 7);
            tried.iter().filter(|one| one.twist == Twist::Order).count()
        };
        assert_eq!(orders(&[(0, 0), (1, 0), (0, 0)]), 2);
        assert_eq!(orders(&[(0, 0), (1, 0), (2, 0)]), 5);
        assert_eq!(orders(&[(0, 0), (0, 0)]), 0);
        assert_eq!(orders(&[(0, 0), (1, 0), (2, 0), (3, 0)]), ALL - 1);
        assert_eq!(orders(&[(0, 0), (1, 0)].repeat(8)), SOME);
        assert!(attempts(&[], 1).is_empty());
    }

    #[test]
    fn a_seed_says_all() {
        let partitions = [(0, 0), (1, 0), (2, 1)].repeat(3);
        let told = |seed| format!("{:?}", attempts(&partitions, seed));
        assert_eq!(told(3), told(3));
        assert_ne!(told(3), told(4));
    }
}
