//! What happens in the demo: stories that lie beside the contracts, because that is where the business is. Several are
//! told at a time, an event of the one and then of another. What is told depends on the seed and on the moment of the
//! beginning, and on nothing else.

mod line;
mod text;

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};
use serde::Deserialize;
use serde_json::Value;
use uuid::Uuid;

use line::Line;
use text::Teller;

/// Each a file: what it is, then its events in their order.
const STORIES: [&str; 7] = [
    include_str!("../../../avro/samples/stories/artisan.jsonl"),
    include_str!("../../../avro/samples/stories/campaign.jsonl"),
    include_str!("../../../avro/samples/stories/checkout.jsonl"),
    include_str!("../../../avro/samples/stories/customer.jsonl"),
    include_str!("../../../avro/samples/stories/operations.jsonl"),
    include_str!("../../../avro/samples/stories/partner.jsonl"),
    include_str!("../../../avro/samples/stories/till.jsonl"),
];
/// The models that the demo runs from its first moment.
const MODELS: &str = include_str!("../../../avro/samples/models.json");
/// How many are told at a time.
const TOGETHER: usize = 12;

/// A story's first line.
#[derive(Deserialize)]
struct Head {
    /// How often it begins, compared with the others.
    share: u32,
    /// What its lines name: `${NAME}`. Each may name those before it.
    #[serde(rename = "let")]
    names: Vec<(String, Value)>,
}

struct Story {
    head: Head,
    lines: Vec<Line>,
    /// How often it has begun.
    begun: u64,
}

/// A story that is being told.
struct Open {
    story: usize,
    round: u64,
    names: BTreeMap<String, Value>,
    random: SmallRng,
    /// The line that comes next.
    next: usize,
    /// The events that it has told.
    told: Vec<Uuid>,
}

/// All stories, event by event, without end.
pub(crate) struct Stories {
    stories: Vec<Story>,
    open: Vec<Open>,
    random: SmallRng,
    seed: u64,
    moment: SystemTime,
    step: Duration,
    told: u64,
}

/// One event of a story.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Told {
    /// `context.event@vN`.
    pub(crate) event: String,
    pub(crate) value: Value,
    pub(crate) id: Uuid,
    pub(crate) moment: SystemTime,
    /// The first event of its story, and the last one before it.
    pub(crate) correlation: Option<Uuid>,
    pub(crate) causation: Option<Uuid>,
}

/// The models that are shown.
///
/// # Errors
/// Their list cannot be read.
pub(crate) fn models() -> anyhow::Result<Vec<String>> {
    serde_json::from_str(MODELS).context("the demo's models")
}

impl Stories {
    /// `step`: how far apart events are.
    ///
    /// # Errors
    /// A story that cannot be read.
    pub(crate) fn new(seed: u64, began: SystemTime, step: Duration) -> anyhow::Result<Self> {
        let stories = STORIES.iter().map(|text| Story::read(text));
        Ok(Self {
            stories: stories.collect::<anyhow::Result<_>>()?,
            open: Vec::new(),
            random: SmallRng::seed_from_u64(seed),
            seed,
            moment: began,
            step,
            told: 0,
        })
    }

    /// Begins one of the stories, by their shares.
    fn begin(&mut self) {
        let all = self.stories.iter().map(|story| story.head.share).sum();
        let mut drawn = self.random.random_range(0..all);
        let index = self.stories.iter().position(|story| {
            let share = story.head.share;
            let is_drawn = drawn < share;
            drawn = drawn.saturating_sub(share);
            is_drawn
        });
        let index = index.unwrap_or_default();
        let story = &mut self.stories[index];
        let round = story.begun;
        story.begun += 1;
        let (mut names, mut random) =
            (BTreeMap::new(), SmallRng::seed_from_u64(self.random.random()));
        for (name, value) in &story.head.names {
            let value = Teller { round, moment: self.moment, names: &names, random: &mut random }
                .fill(value);
            names.insert(name.clone(), value);
        }
        self.open.push(Open { story: index, round, names, random, next: 0, told: Vec::new() });
    }
}

impl Iterator for Stories {
    type Item = Told;

    fn next(&mut self) -> Option<Told> {
        loop {
            while self.open.len() < TOGETHER {
                self.begin();
            }
            let place = self.random.random_range(0..TOGETHER);
            let open = &mut self.open[place];
            let lines = &self.stories[open.story].lines;
            let next = lines[open.next..].iter().position(|line| line.is_told_in(open.round));
            let Some(next) = next.map(|next| open.next + next) else {
                self.open.swap_remove(place);
                continue;
            };
            open.next = next + 1;
            let (round, moment, names) = (open.round, self.moment, &open.names);
            let mut teller = Teller { round, moment, names, random: &mut open.random };
            let value = teller.fill(&lines[next].value);
            let id = text::uuid(&format!("{} {}", self.seed, self.told));
            let (correlation, causation) = (open.told.first().copied(), open.told.last().copied());
            open.told.push(id);
            self.told += 1;
            self.moment += self.step;
            let event = lines[next].event.clone();
            return Some(Told { event, value, id, moment, correlation, causation });
        }
    }
}

impl Story {
    fn read(text: &str) -> anyhow::Result<Self> {
        let (head, lines) = text.split_once('\n').context("a story has one line")?;
        let head = serde_json::from_str(head).context("a story's first line")?;
        let line = |line| serde_json::from_str(line).with_context(|| format!("a story's {line}"));
        Ok(Self { head, lines: lines.lines().map(line).collect::<anyhow::Result<_>>()?, begun: 0 })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::{BTreeMap, BTreeSet};
    use std::path::Path;

    use vitrina_avro::{Contracts, encode_json, key_text};
    use vitrina_sql::Files;

    use super::*;

    const EVENTS: usize = 20_000;

    fn began() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_225_600)
    }

    fn told(seed: u64, began: SystemTime) -> Vec<Told> {
        Stories::new(seed, began, Duration::from_millis(20)).unwrap().take(EVENTS).collect()
    }

    #[test]
    fn a_seed_tells_one_log() {
        let first = told(7, began());
        assert_eq!(first, told(7, began()));
        let ids: BTreeSet<Uuid> = first.iter().map(|event| event.id).collect();
        assert_eq!(ids.len(), EVENTS, "no event is another one");
        let other = told(8, began());
        assert!(first.iter().zip(&other).all(|(one, other)| one.id != other.id));
        let later = told(7, began() + Duration::from_secs(3600));
        let names = |events: &[Told]| -> Vec<_> {
            events.iter().map(|event| (event.event.clone(), event.id)).collect()
        };
        assert_eq!(names(&first), names(&later), "only the moments are others");
    }

    #[test]
    fn every_version_of_every_event_is_told_as_its_contract_has_it() {
        let root = "avro/contracts";
        let files = Files::read(Path::new(root), root, &[".toml", ".avsc", ".sql"]).unwrap();
        let (contracts, _) = Contracts::load(&files, root);
        let mut seen = BTreeSet::new();
        for Told { event, value, .. } in told(1, began()) {
            let (name, number) = event.split_once("@v").unwrap();
            let (context, name) = name.split_once('.').unwrap();
            let contract = contracts.contract(context, name).unwrap();
            let version = &contract.versions[number.parse::<usize>().unwrap() - 1];
            encode_json(version, &value).unwrap_or_else(|error| panic!("{event}: {error}"));
            key_text(&contracts.contexts[context], version, &value).unwrap();
            seen.insert(event);
        }
        let contracts = contracts.contexts.values().flat_map(|context| context.events.values());
        let all = contracts.flat_map(|contract| {
            contract
                .versions
                .iter()
                .map(|version| format!("{}@v{}", contract.relation(), version.number))
        });
        assert_eq!(seen, all.collect());
    }

    /// By order: what is told of it, in this order.
    #[test]
    fn the_stories_hang_together() {
        let mut orders: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for event in told(3, began()) {
            if let Some(order) = event.value["order_id"].as_str() {
                let name = event.event.split_once("@v").unwrap().0.to_owned();
                orders.entry(order.to_owned()).or_default().push(name);
            }
        }
        let mut ends: BTreeMap<&str, usize> = BTreeMap::new();
        for (order, events) in &orders {
            let place = |name: &str| events.iter().position(|event| event == name);
            let is_before = |one: &str, other: &str| match (place(one), place(other)) {
                (Some(one), Some(other)) => one < other,
                (None, Some(_)) => false,
                _ => true,
            };
            for (one, other) in [
                ("orders.create_order", "orders.order_placed"),
                ("orders.order_placed", "payments.charge_payment"),
                ("payments.payment_initiated", "payments.payment_succeeded"),
                ("payments.payment_succeeded", "orders.order_confirmed"),
                ("orders.order_confirmed", "orders.order_shipped"),
                ("orders.order_shipped", "orders.order_delivered"),
                ("payments.payment_succeeded", "payments.refund_processed"),
                ("inventory.stock_reserved", "inventory.stock_released"),
            ] {
                assert!(is_before(one, other), "{order}: {one} before {other} in {events:?}");
            }
            for end in
                ["orders.order_delivered", "orders.order_cancelled", "payments.refund_processed"]
            {
                *ends.entry(end).or_default() += usize::from(place(end).is_some());
            }
        }
        assert!(ends.values().all(|count| *count > 10), "{ends:?}");
    }
}
