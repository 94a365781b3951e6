//! One model and its batches, tried: in waves, event by event, cut elsewhere and sifted, and where rows are told by the record key
//! alone, split over two writers. All must end with the same rows and the same refusals.

use sqlx::postgres::PgConnectOptions;

use super::dice::Dice;
use super::events::{EVERY, Event, RELATIONS};
use super::models::{self, Model};
use super::split::{Split, compare};
use super::tally::Tally;
use super::world::World;
use crate::definition::Definition;
use crate::rules::parallel;

/// A batch, and whether it comes after rows that are there already.
#[derive(Debug, Clone)]
pub(super) struct Batch {
    pub(super) events: Vec<Event>,
    /// Where the third world cuts it, by offset.
    pub(super) cuts: Vec<i64>,
    pub(super) on_empty_tables: bool,
}

/// Batches that a model is tried with: each on empty tables or on the rows that the last one left.
pub(super) const BATCHES: u64 = 2;

impl Batch {
    pub(super) fn draw_some(dice: &mut Dice, relations: &[usize]) -> Vec<Self> {
        (0..BATCHES as i64).map(|at| Self::draw(dice, relations, at * 100)).collect()
    }

    fn draw(dice: &mut Dice, relations: &[usize], start: i64) -> Self {
        let count = 3 + dice.below(22) as i64;
        let events =
            (start..start + count).map(|offset| Event::draw(dice, offset, relations)).collect();
        let cuts =
            (0..1 + dice.below(3)).map(|_| start + dice.below(count as usize) as i64).collect();
        Self { events, cuts, on_empty_tables: dice.chance(40) }
    }

    fn pieces(&self) -> Vec<Vec<Event>> {
        let mut pieces = vec![Vec::new()];
        for event in &self.events {
            if self.cuts.contains(&event.offset) {
                pieces.push(Vec::new());
            }
            pieces.last_mut().unwrap().push(event.clone());
        }
        pieces
    }
}

pub(super) enum Outcome {
    /// The model does not load.
    NoModel(String),
    Lawful,
    /// How the worlds differ.
    Broken(String),
}

/// The relations whose events run rules, as indices.
pub(super) fn relations(definition: &Definition) -> Vec<usize> {
    let named = |at: &usize| {
        let (context, event, _) = RELATIONS[*at];
        let names =
            definition.model.rules.iter().map(|rule| format!("{}.{}", rule.context, rule.event));
        names.into_iter().any(|name| name == EVERY || name == format!("{context}.{event}"))
    };
    (0..RELATIONS.len()).filter(named).collect()
}

pub(super) async fn run(
    options: &PgConnectOptions,
    text: &str,
    batches: &[Batch],
    tally: &mut Tally,
) -> Outcome {
    let definition = match models::load(text) {
        Ok(definition) => definition,
        Err(findings) => return Outcome::NoModel(findings),
    };
    let mut worlds = match Worlds::open(options, &definition).await {
        Ok(worlds) => worlds,
        Err(refusal) => return Outcome::NoModel(refusal),
    };
    if worlds.waves.unfit {
        return Outcome::Broken("Postgres does not take some rule's form over a wave".into());
    }
    tally.model(&definition, &worlds.waves.analysis, worlds.split.is_some());
    let named = relations(&definition);
    let mut outcome = Outcome::Lawful;
    for batch in batches {
        let events =
            batch.events.iter().filter(|event| named.contains(&event.relation)).cloned().collect();
        if let Err(difference) =
            worlds.apply(&definition, &Batch { events, ..batch.clone() }, tally).await
        {
            outcome = Outcome::Broken(difference);
            break;
        }
    }
    worlds.close().await;
    outcome
}

struct Worlds {
    waves: World,
    events: World,
    cut: World,
    split: Option<Split>,
}

impl Worlds {
    async fn open(options: &PgConnectOptions, definition: &Definition) -> Result<Self, String> {
        let waves = World::open(options, definition, 1, true).await?;
        let events = World::open(options, definition, 2, false).await?;
        let mut cut = World::open(options, definition, 3, true).await?;
        cut.sifts = true;
        let split = match parallel(definition, &waves.analysis) {
            Ok(_) => Some(Split::open(options, definition, 4).await?),
            Err(_) => None,
        };
        Ok(Self { waves, events, cut, split })
    }

    async fn apply(
        &mut self,
        definition: &Definition,
        batch: &Batch,
        tally: &mut Tally,
    ) -> Result<(), String> {
        let whole = [batch.events.clone()];
        let ways: Vec<(&str, &mut World, Vec<Vec<Event>>)> = vec![
            ("in waves", &mut self.waves, whole.to_vec()),
            ("cut elsewhere, and sifted", &mut self.cut, batch.pieces()),
        ];
        if batch.on_empty_tables {
            self.events.empty(definition).await;
        }
        let refused = self.events.write(definition, &batch.events, &mut Vec::new()).await;
        let rows = self.events.rows(definition).await;
        tally.batch(&batch.events, &refused);
        for (way, world, pieces) in ways {
            if batch.on_empty_tables {
                world.empty(definition).await;
            }
            let (mut found, mut written) = (Vec::new(), Vec::new());
            for piece in pieces.iter().filter(|piece| !piece.is_empty()) {
                found.append(&mut world.write(definition, piece, &mut written).await);
            }
            found.sort();
            if way == "in waves" {
                tally.waves(&written);
            }
            let own = world.rows(definition).await;
            compare(way, (&rows, &refused), (&own, &found))?;
        }
        if let Some(split) = &mut self.split {
            split.apply(definition, batch, (&rows, &refused), tally).await?;
        }
        Ok(())
    }

    async fn close(self) {
        for world in [self.waves, self.events, self.cut] {
            world.close().await;
        }
        if let Some(split) = self.split {
            split.close().await;
        }
    }
}

/// Drops batches, rules and events as long as the law stays broken; the smallest case and how its worlds differ.
pub(super) async fn shrink(
    options: &PgConnectOptions,
    model: Model,
    batches: Vec<Batch>,
) -> (Model, Vec<Batch>, String) {
    let mut smallest = (model, batches, String::new());
    let mut budget = 300;
    loop {
        let mut smaller = None;
        for candidate in candidates(&smallest.0, &smallest.1) {
            budget -= 1;
            let (model, batches) = candidate;
            if let Outcome::Broken(how) =
                run(options, &model.text(), &batches, &mut Tally::default()).await
            {
                smaller = Some((model, batches, how));
                break;
            }
            if budget <= 0 {
                break;
            }
        }
        match smaller {
            Some(smaller) => smallest = smaller,
            None => return smallest,
        }
    }
}

/// The same case with one thing less.
fn candidates(model: &Model, batches: &[Batch]) -> Vec<(Model, Vec<Batch>)> {
    let mut all = Vec::new();
    for at in 0..batches.len() {
        let mut fewer = batches.to_vec();
        fewer.remove(at);
        all.push((model.clone(), fewer));
    }
    for at in 0..model.rules.len() {
        let mut fewer = model.clone();
        fewer.rules.remove(at);
        all.push((fewer, batches.to_vec()));
    }
    for (at, batch) in batches.iter().enumerate() {
        let half = batch.events.len() / 2;
        let halves = [half..batch.events.len(), 0..half]
            .into_iter()
            .filter(|range| half > 1 && !range.is_empty());
        for range in halves.chain((0..batch.events.len()).map(|event| event..event + 1)) {
            let mut fewer = batches.to_vec();
            fewer[at].events.drain(range);
            all.push((model.clone(), fewer));
        }
    }
    all
}
