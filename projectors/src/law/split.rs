//! The law of parallel writers: a batch that two lanes write at once, split by proof, gives what event by event gives. Split
//! at random, the records prove nothing, and what the lanes have tried one after another gives the same as event by event
//! in that order.

use sqlx::postgres::PgConnectOptions;
use vitrina_ingest::Partitioner;

use super::lanes::{Lanes, Placing, refused};
use super::tally::Tally;
use super::trial::Batch;
use super::world::{Refused, World};
use crate::definition::Definition;

pub(super) struct Split {
    proven: Lanes,
    random: Lanes,
    /// Event by event, in the order of the lanes of `random`.
    events: World,
    partitioner: Partitioner,
}

impl Split {
    /// # Errors
    /// What Postgres refuses of the tables or rules.
    pub(super) async fn open(
        options: &PgConnectOptions,
        definition: &Definition,
        first: i32,
    ) -> Result<Self, String> {
        Ok(Self {
            proven: Lanes::open(options, definition, first).await?,
            random: Lanes::open(options, definition, first + 1).await?,
            events: World::open(options, definition, first + 2, false).await?,
            partitioner: Partitioner::ALL[definition.model.rules.len() % Partitioner::ALL.len()],
        })
    }

    /// # Errors
    /// How the lanes differ from the rows and refusals that event by event gives.
    pub(super) async fn apply(
        &mut self,
        definition: &Definition,
        batch: &Batch,
        event_by_event: (&[String], &[Refused]),
        tally: &mut Tally,
    ) -> Result<(), String> {
        if batch.on_empty_tables {
            self.proven.empty(definition).await;
        }
        let length = 1 + batch.events.len() % 5;
        let placing = Placing::ByKey(self.partitioner);
        let tried = self.proven.write(definition, &batch.events, placing, length).await;
        let mut found = refused(&tried);
        found.sort();
        let rows = self.proven.rows(definition).await;
        compare("split by proof", event_by_event, (&rows, &found))?;
        if !self.proven.holds().await {
            return Err(format!("placed by {}, and not proven", self.partitioner.name()));
        }
        tally.count("proof: holds");
        self.at_random(definition, batch, length, tally).await
    }

    async fn at_random(
        &mut self,
        definition: &Definition,
        batch: &Batch,
        length: usize,
        tally: &mut Tally,
    ) -> Result<(), String> {
        self.random.begin_again(definition).await;
        self.events.empty(definition).await;
        let placing = Placing::AtRandom(batch.events.len() as u64);
        let tried = self.random.write(definition, &batch.events, placing, length).await;
        let mut refusals = Vec::new();
        for tried in &tried {
            refusals.extend(self.events.write(definition, &tried.events, &mut Vec::new()).await);
        }
        let event_by_event = self.events.rows(definition).await;
        let rows = self.random.rows(definition).await;
        let found = refused(&tried);
        compare("split at random", (&event_by_event, &refusals), (&rows, &found))?;
        let holds = self.random.holds().await;
        tally.count(if holds { "proof: holds by chance" } else { "proof: fails" });
        Ok(())
    }

    pub(super) async fn close(self) {
        self.proven.close().await;
        self.random.close().await;
        self.events.close().await;
    }
}

/// # Errors
/// How the rows and refusals of a way differ from those of another one, event by event or live.
pub(super) fn compare(
    way: &str,
    (rows, refused): (&[String], &[Refused]),
    (own, found): (&[String], &[Refused]),
) -> Result<(), String> {
    if found != refused {
        return Err(format!("refused before: {refused:#?}\nrefused {way}: {found:#?}"));
    }
    if own != rows {
        return Err(format!("before:\n  {}\n{way}:\n  {}", rows.join("\n  "), own.join("\n  ")));
    }
    Ok(())
}
