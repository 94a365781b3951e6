//! One event fails alone, with an error that may be its own or everybody's: a statement that takes too long, a table that
//! is not there. So others are tried, in transactions that are taken back. Only an event that fails while others pass
//! before it and after it is to blame; where they fare no better, or none is at hand, nothing is parked.

use vitrina_avro::EventRows;
use vitrina_ingest::{End, Offset, TopicPartition};

use super::Worker;
use crate::batch::{Columns, Content, Event, EventBatch};
use crate::fault::{Blame, Fault, Otherwise, Trouble};

/// How often an event must fail alone, where it may be only slow.
const ATTEMPTS: u32 = 3;
/// How many others are tried.
const OTHERS: usize = 3;

/// An event that fails alone.
#[derive(Debug)]
pub(super) struct Suspect {
    place: (TopicPartition, Offset),
    /// How often it has failed in a row.
    attempts: u32,
    /// Whether others fared better when they were tried last.
    others_passed: bool,
}

/// Events that were applied, the last of each relation: they are tried where the batch has no others.
#[derive(Debug)]
pub(super) struct Witnesses {
    rows: Columns,
    events: Vec<EventRows>,
}

/// How others fare.
#[derive(Debug)]
enum Others {
    Better,
    /// Just as badly; or there are none.
    NoBetter,
    World(Trouble, String),
}

impl Worker {
    /// Whether it is the event's own doing. Where that cannot be said now, the world is waited for, and the event is to be
    /// tried again.
    ///
    /// # Errors
    /// Why the worker ends.
    pub(super) async fn is_its_own(
        &mut self,
        batch: &EventBatch,
        event: usize,
        blame: &Blame,
        otherwise: Otherwise,
    ) -> Result<bool, Option<End>> {
        let Suspect { place, attempts, others_passed } = self.failed_alone(batch, event);
        let fare = match otherwise {
            // Worth their time only where the next failure may decide.
            Otherwise::Wait(_) if attempts + 1 < ATTEMPTS => Others::NoBetter,
            _ => self.try_others(batch, event, blame, otherwise).await?,
        };
        let passed = matches!(fare, Others::Better);
        let enough = attempts >= ATTEMPTS || otherwise == Otherwise::Stop;
        // The trouble may have ended just between the two: so it is tried once more.
        if passed && others_passed && enough {
            return Ok(true);
        }
        self.suspect = Some(Suspect { place, attempts, others_passed: passed });
        let (trouble, reason) = match (fare, otherwise) {
            (Others::World(trouble, reason), _) => (trouble, reason),
            (_, Otherwise::Wait(trouble)) => {
                (trouble, format!("Postgres, {blame}, {attempts} times for one event alone"))
            }
            (Others::Better, Otherwise::Stop) => return Ok(false),
            (Others::NoBetter, Otherwise::Stop) => {
                return Err(Some(End::Stop(format!("Postgres refuses: {blame}"))));
            }
        };
        self.wait_for_world(trouble, reason).await?;
        Ok(false)
    }

    /// The event has failed alone once more.
    fn failed_alone(&mut self, batch: &EventBatch, event: usize) -> Suspect {
        let event = &batch.events[event];
        let span = &batch.spans[event.span];
        let place = ((span.topic.clone(), span.partition), event.offset);
        match self.suspect.take().filter(|suspect| suspect.place == place) {
            Some(known) => Suspect { attempts: known.attempts + 1, ..known },
            None => Suspect { place, attempts: 1, others_passed: false },
        }
    }

    /// Tries others: they are to pass the rule that the event fails with, or at least Postgres is to answer them.
    async fn try_others(
        &mut self,
        batch: &EventBatch,
        event: usize,
        blame: &Blame,
        otherwise: Otherwise,
    ) -> Result<Others, Option<End>> {
        let kept = self.witnesses.take();
        let mut others = others(batch, event);
        others.extend(
            kept.iter().flat_map(|kept| kept.events.iter().map(|event| (&kept.rows, *event))),
        );
        let own = batch.events[event].rows().unwrap_or_default();
        others.sort_by_key(|(_, other)| !other.meets(&own));
        if otherwise == Otherwise::Stop {
            others.retain(|(_, other)| other.meets(&own));
        }
        let mut fare = Others::NoBetter;
        for (rows, other) in others.into_iter().take(OTHERS) {
            if self.shutdown.is_cancelled() {
                return Err(None);
            }
            match self.writer.try_out(blame.rule.as_deref(), rows, other).await {
                // Also one that is refused for its values has come past whatever is in everybody's way.
                Ok(()) | Err(Fault::Record { .. }) => fare = Others::Better,
                Err(Fault::World { trouble, reason }) => fare = Others::World(trouble, reason),
                Err(_) => continue,
            }
            break;
        }
        self.witnesses = kept;
        Ok(fare)
    }

    /// Keeps what was applied of a batch that is done; gives back the columns that are not needed for it.
    pub(super) fn keep_witnesses(&mut self, batch: EventBatch) -> Option<Columns> {
        let mut events: Vec<EventRows> = Vec::new();
        for event in batch.events.iter().rev().filter_map(applied) {
            let known = |layout: usize| events.iter().any(|known| known.of(layout).is_some());
            if event.iter().any(|row| !known(row.layout)) {
                events.push(event);
            }
        }
        if events.is_empty() {
            return Some(batch.rows);
        }
        let before = self.witnesses.replace(Witnesses { rows: batch.rows, events });
        before.map(|before| before.rows)
    }
}

/// The other events of the batch that may be tried, of other keys: those that come later, then those that came before.
fn others(batch: &EventBatch, event: usize) -> Vec<(&Columns, EventRows)> {
    let queue = batch.queue(&batch.events[event]);
    let later = batch.events[event + 1..].iter();
    let others = later.chain(batch.events[..event].iter().rev());
    let others = others.filter(|other| queue.is_none() || batch.queue(other) != queue);
    others.filter_map(applied).map(|rows| (&batch.rows, rows)).collect()
}

/// An event that was applied, or is to be.
fn applied(event: &Event) -> Option<EventRows> {
    match event.content {
        Content::Rows(rows) if !event.duplicate => Some(rows),
        _ => None,
    }
}
