//! Planning: what becomes of each event of a part, before the transaction that writes it. A record that is refused, and
//! every later one of its topic and key, is parked; one that was discarded before is skipped; the rest is applied. Nothing
//! here does I/O.

use std::collections::HashMap;

use vitrina_ingest::Span;
use xxhash_rust::xxh3::xxh3_64;

use crate::batch::{Event, EventBatch, Part, QueueId};
use crate::parked::Queues;
use crate::settings::ParkedLimits;
use crate::worker::breaker::{Breaker, Failure, Outcome};

/// A part, and what the breaker will count once it is committed.
pub(crate) struct PlannedPart {
    pub part: Part,
    pub outcomes: Vec<Outcome>,
    /// Records that are parked for their own fault.
    pub culprits: usize,
}

impl PlannedPart {
    /// A part that moves nothing: it only asks whether all is still as it was.
    pub(crate) fn nothing(batch: &EventBatch) -> Self {
        let spans = batch.spans.iter().map(|span| Span { to: span.from, ..span.clone() });
        let part =
            Part { range: batch.done..batch.done, spans: spans.collect(), ..Part::default() };
        Self { part, outcomes: Vec::new(), culprits: 0 }
    }
}

/// Plans the events from `batch.done` to `end`, with a copy of the breaker to look ahead with; or fewer where the breaker opens or no more may be parked.
///
/// # Errors
/// The first of them would have to be parked, and there is no room: a sentence.
pub(crate) fn plan(
    batch: &EventBatch,
    end: usize,
    queues: &Queues,
    limits: &ParkedLimits,
    mut breaker: Breaker,
) -> Result<PlannedPart, String> {
    let part = Part { range: batch.done..end, ..Part::default() };
    let mut plan = PlannedPart { part, outcomes: Vec::new(), culprits: 0 };
    let nothing_parks = queues.is_empty() && batch.blames.is_empty();
    let mut parking: HashMap<QueueId, u32> = HashMap::new();
    let mut in_a_row = 0;
    for index in batch.done..end {
        let event = &batch.events[index];
        if queues.is_discarded(&batch.spans[event.span], event.offset) {
            continue;
        }
        let queue = if nothing_parks { None } else { batch.queue(event) };
        let waiting = queue
            .map_or(0, |queue| queues.length(queue) + parking.get(&queue).copied().unwrap_or(0));
        if waiting == 0 && event.blame().is_none() {
            if !event.duplicate {
                plan.part.apply.push(index as u32);
                in_a_row += 1;
            }
            continue;
        }
        if let Some(full) = full(waiting, queues.total() + plan.part.park.len() as u64, limits) {
            if index == batch.done {
                return Err(full);
            }
            plan.part.range.end = index;
            break;
        }
        plan.part.park.push(index as u32);
        if let Some(queue) = queue {
            *parking.entry(queue).or_default() += 1;
        }
        if waiting == 0 {
            plan.culprits += 1;
            let failure = failure(batch, event);
            plan.outcomes.extend([Outcome::Applied(in_a_row), Outcome::Failed(failure)]);
            breaker.applied(std::mem::take(&mut in_a_row));
            // Only where to cut: the breaker opens when this is committed, by what all workers have counted until then.
            if breaker.failed(failure).is_some() {
                plan.part.range.end = index + 1;
                break;
            }
        }
    }
    plan.outcomes.push(Outcome::Applied(in_a_row));
    plan.part.spans = batch.spans_until(plan.part.range.end);
    Ok(plan)
}

/// Where a part ends that tries one record: behind the first one that neither waits nor was seen before.
pub(crate) fn probe(batch: &EventBatch, queues: &Queues) -> usize {
    let tries = |event: &Event| {
        let waits = batch.queue(event).is_some_and(|queue| queues.length(queue) > 0);
        let skipped = queues.is_discarded(&batch.spans[event.span], event.offset);
        !waits && !skipped && !event.duplicate
    };
    let found = batch.events[batch.done..].iter().position(tries);
    found.map_or(batch.events.len(), |place| batch.done + place + 1)
}

fn full(waiting: u32, total: u64, limits: &ParkedLimits) -> Option<String> {
    let way = "retry or discard some (`vitrina parked`), or raise the limit";
    if waiting >= limits.max_per_key {
        return Some(format!(
            "{waiting} records of one key are parked, which is parked.max_per_key: {way}"
        ));
    }
    (total >= limits.max).then(|| format!("{total} records are parked, which is parked.max: {way}"))
}

/// Two records fail for the same reason where kind of error, SQLSTATE and rule are the same.
fn failure(batch: &EventBatch, event: &Event) -> Failure {
    let blame = event.blame().map(|blame| &batch.blames[blame]);
    let kind =
        blame.map(|blame| format!("{:?} {:?} {:?}", blame.error_type, blame.sqlstate, blame.rule));
    let without_key = QueueId(u128::from(event.offset.0 as u64));
    Failure {
        reason: xxh3_64(kind.unwrap_or_default().as_bytes()),
        queue: batch.queue(event).unwrap_or(without_key),
    }
}
