//! Cuts a batch into waves: an event comes after every earlier event that it conflicts with, and never before one that
//! it is merged with. One pass over the events; hashes that collide make more waves, never fewer.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use super::access::{Access, KeyPart};
use super::order::{Order, common};
use super::runs::Waves;
use super::sabotage::{Line, left_out};

/// Cuts batches of one model. It keeps its memory from batch to batch.
#[derive(Debug, Clone)]
pub struct Cutter {
    /// For each relation, what one of its events looks up and leaves.
    probes: Vec<Vec<Probe>>,
    lookups: Vec<Lookup>,
}

/// A table's rows as told by some of its columns: the ones that two conflicting accesses both know. An access that knows
/// more is looked at through these alone.
#[derive(Debug, Clone)]
struct Lookup {
    table: usize,
    columns: Vec<usize>,
    /// How many kinds of access leave marks here.
    marks: usize,
    /// Where a key's marks begin.
    index: HashMap<u64, usize, BuildHasherDefault<Hashed>>,
    /// For each key and kind, one more than the last wave that holds such an access; 0: none does.
    last: Vec<u32>,
}

/// What the accesses of one relation that share a lookup and a key do there.
#[derive(Debug, Clone)]
struct Probe {
    lookup: usize,
    /// The relation's keys that make up the lookup's columns.
    keys: Vec<usize>,
    /// Marks that it runs after.
    after: Vec<usize>,
    /// Marks that it does not run before.
    not_before: Vec<usize>,
    /// Marks that it leaves.
    leaves: Vec<usize>,
}

impl Cutter {
    pub fn new(waves: &Waves) -> Self {
        let mut plan = CutterPlan::new(waves);
        plan.pair();
        plan.finish()
    }

    /// For each event the relations that hold it (as in [`Waves::relations`]), each with the hashes of its keys, in the
    /// log's order; `None` for a NULL. Appends each event's wave, from 0 without gaps, and says how many waves there are.
    pub fn cut<'a, E>(&mut self, events: impl IntoIterator<Item = E>, waves: &mut Vec<u32>) -> u32
    where
        E: IntoIterator<Item = (usize, &'a [Option<u64>])> + Clone,
    {
        for lookup in &mut self.lookups {
            lookup.index.clear();
            lookup.last.clear();
        }
        let mut count = 0;
        for event in events {
            let wave = self.earliest(event.clone());
            self.leave(event, wave);
            count = count.max(wave + 1);
            waves.push(wave);
        }
        count
    }

    /// The first wave that an event may be in, for all that it does in any relation.
    fn earliest<'a>(&self, event: impl IntoIterator<Item = (usize, &'a [Option<u64>])>) -> u32 {
        let mut wave = 0;
        let most = if left_out(Line::AllRelations) { 1 } else { usize::MAX };
        for (relation, keys) in event.into_iter().take(most) {
            for probe in &self.probes[relation] {
                let lookup = &self.lookups[probe.lookup];
                let hash = combine(&probe.keys, keys);
                let Some(start) = hash.and_then(|hash| lookup.index.get(&hash)) else { continue };
                let last = &lookup.last[*start..start + lookup.marks];
                wave = probe.after.iter().fold(wave, |wave, mark| wave.max(last[*mark]));
                wave = probe
                    .not_before
                    .iter()
                    .fold(wave, |wave, mark| wave.max(last[*mark].saturating_sub(1)));
            }
        }
        wave
    }

    /// Marks what the event does, for those that come after it.
    fn leave<'a>(
        &mut self,
        event: impl IntoIterator<Item = (usize, &'a [Option<u64>])>,
        wave: u32,
    ) {
        for (relation, keys) in event {
            for probe in &self.probes[relation] {
                let lookup = &mut self.lookups[probe.lookup];
                let Some(hash) = combine(&probe.keys, keys).filter(|_| !probe.leaves.is_empty())
                else {
                    continue;
                };
                let start = *lookup.index.entry(hash).or_insert_with(|| {
                    lookup.last.resize(lookup.last.len() + lookup.marks, 0);
                    lookup.last.len() - lookup.marks
                });
                for mark in &probe.leaves {
                    let last = &mut lookup.last[start + mark];
                    *last = (*last).max(wave + 1);
                }
            }
        }
    }
}

/// One number for several of an event's hashed keys; `None` where one of them is NULL, which equals nothing.
pub fn combine(chosen: &[usize], keys: &[Option<u64>]) -> Option<u64> {
    chosen
        .iter()
        .try_fold(0u64, |hash, key| Some((hash.rotate_left(25) ^ keys[*key]?).wrapping_mul(SPREAD)))
}

/// An odd number without a pattern in its bits.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

/// The keys are hashes already.
#[derive(Debug, Default)]
struct Hashed(u64);

impl Hasher for Hashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write_u64(&mut self, hash: u64) {
        // The map takes its place from the low bits and a tag from the high ones; a product's low bits are its poorer ones.
        self.0 = hash ^ (hash >> 32);
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| {
            self.0 = (self.0.rotate_left(8) ^ u64::from(*byte)).wrapping_mul(SPREAD)
        });
    }
}

/// All pairs of accesses, looked at once.
struct CutterPlan<'a> {
    /// (relation, rule, access)
    accesses: Vec<(usize, usize, &'a Access)>,
    merged: Vec<bool>,
    relations: usize,
    lookups: Vec<Lookup>,
    /// (access, lookup): the accesses that it must heed there.
    heeds: HashMap<(usize, usize), Vec<(usize, Order)>>,
}

impl<'a> CutterPlan<'a> {
    fn new(waves: &'a Waves) -> Self {
        let rules = waves.rules.iter().enumerate();
        let accesses = rules.flat_map(|(index, rule)| {
            rule.accesses.iter().map(move |access| (rule.relation, index, access))
        });
        Self {
            accesses: accesses.collect(),
            merged: waves.rules.iter().map(|rule| rule.merge().is_some()).collect(),
            relations: waves.relations.len(),
            lookups: Vec::new(),
            heeds: HashMap::new(),
        }
    }

    fn pair(&mut self) {
        for one in 0..self.accesses.len() {
            for other in 0..self.accesses.len() {
                let ((_, rule, left), (_, other_rule, right)) =
                    (self.accesses[one], self.accesses[other]);
                let order = Order::between(left, right, rule == other_rule && self.merged[rule]);
                if order != Order::Free {
                    let columns =
                        common(left, right).map(|(part, _): (&KeyPart, _)| part.column).collect();
                    let lookup = self.lookup(left.table, columns);
                    self.heeds.entry((one, lookup)).or_default().push((other, order));
                }
            }
        }
    }

    fn lookup(&mut self, table: usize, columns: Vec<usize>) -> usize {
        let known = self
            .lookups
            .iter()
            .position(|lookup| lookup.table == table && lookup.columns == columns);
        known.unwrap_or_else(|| {
            let (index, last) = (HashMap::default(), Vec::new());
            self.lookups.push(Lookup { table, columns, marks: 0, index, last });
            self.lookups.len() - 1
        })
    }

    fn finish(mut self) -> Cutter {
        let mut probes: Vec<Vec<Probe>> = (0..self.relations).map(|_| Vec::new()).collect();
        for lookup in 0..self.lookups.len() {
            let marks = self.marks(lookup);
            self.lookups[lookup].marks = marks.values().max().map_or(0, |most| most + 1);
            for (access, mark) in &marks {
                let (relation, _, found) = self.accesses[*access];
                let keys = self.keys(lookup, found);
                let own = &mut probes[relation];
                let probe = match own
                    .iter_mut()
                    .position(|probe| probe.lookup == lookup && probe.keys == keys)
                {
                    Some(index) => &mut own[index],
                    None => {
                        own.push(Probe {
                            lookup,
                            keys,
                            after: vec![],
                            not_before: vec![],
                            leaves: vec![],
                        });
                        let last = own.len() - 1;
                        &mut own[last]
                    }
                };
                add(&mut probe.leaves, *mark);
                for (other, order) in &self.heeds[&(*access, lookup)] {
                    match order {
                        Order::After => add(&mut probe.after, marks[other]),
                        Order::NotBefore => add(&mut probe.not_before, marks[other]),
                        Order::Free => {}
                    }
                }
            }
        }
        for probe in probes.iter_mut().flatten() {
            probe.not_before.retain(|mark| !probe.after.contains(mark));
        }
        Cutter { probes, lookups: self.lookups }
    }

    /// A mark for each access of a lookup; accesses that are heeded alike share one.
    fn marks(&self, lookup: usize) -> HashMap<usize, usize> {
        let mut heeded: HashMap<usize, Vec<(usize, Order)>> = HashMap::new();
        for ((access, own), others) in &self.heeds {
            if *own == lookup {
                others.iter().for_each(|(other, order)| {
                    heeded.entry(*other).or_default().push((*access, *order))
                });
            }
        }
        let mut kinds: Vec<Vec<(usize, Order)>> = Vec::new();
        let mut marks = HashMap::new();
        for (access, mut by) in heeded {
            by.sort_unstable();
            let kind = kinds.iter().position(|known| *known == by).unwrap_or(kinds.len());
            if kind == kinds.len() {
                kinds.push(by);
            }
            marks.insert(access, kind);
        }
        marks
    }

    /// The keys that make up the lookup's columns for this access.
    fn keys(&self, lookup: usize, access: &Access) -> Vec<usize> {
        let parts = access.rows.parts();
        let columns = self.lookups[lookup].columns.iter();
        columns
            .filter_map(|column| parts.iter().find(|part| part.column == *column))
            .map(|part| part.key)
            .collect()
    }
}

fn add(marks: &mut Vec<usize>, mark: usize) {
    if !marks.contains(&mark) {
        marks.push(mark);
    }
}
