//! A decoded batch: events in the order of their arrival, their values in columns, and what the positions become. A part
//! of it, from where the last one ended, is a batch as good as the whole: it moves the positions up to its end.

mod identity;
mod queue;
mod reader;

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

use vitrina_avro::{EventRows, Row, Rows, UnknownName};
use vitrina_ingest::{Batch, Offset, Span, TopicPartition};

use crate::fault::Blame;

pub(crate) use identity::Identity;
pub use identity::stored_id;
pub(crate) use queue::QueueId;
pub(crate) use reader::{Reading, RecordReader, Unlearnt};

/// One event, or a record that should have been one.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    /// Index into [`EventBatch::spans`].
    pub span: usize,
    pub offset: Offset,
    /// Place of its record in [`EventBatch::records`].
    pub record: usize,
    pub content: Content,
    /// `None`: never a duplicate.
    pub identity: Option<Identity>,
    /// Seen before, so no rule runs.
    pub duplicate: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content {
    /// Where its values are.
    Rows(EventRows),
    /// It did not decode, or its rules refuse it: index into [`EventBatch::blames`].
    Refused { blame: usize, rows: Option<EventRows> },
}

impl Event {
    /// Its values, where it decoded.
    pub(crate) fn rows(&self) -> Option<EventRows> {
        match self.content {
            Content::Rows(rows) => Some(rows),
            Content::Refused { rows, .. } => rows,
        }
    }

    pub(crate) fn blame(&self) -> Option<usize> {
        match self.content {
            Content::Rows(_) => None,
            Content::Refused { blame, .. } => Some(blame),
        }
    }
}

/// The values of a batch's events: by layout, then by version.
pub(crate) type Columns = Vec<Vec<Rows>>;

#[derive(Debug, Default)]
pub(crate) struct EventBatch {
    /// What is left to write: `from` follows the parts that were committed.
    pub spans: Vec<Span>,
    pub events: Vec<Event>,
    pub rows: Columns,
    /// Records that no rule wants, which were passed over by name.
    pub ignored: u64,
    /// Those of them whose name no contract knows, each with the index of its span.
    pub unknown: Vec<(usize, Offset, Arc<UnknownName>)>,
    /// Why events are refused.
    pub blames: Vec<Blame>,
    /// The records as they came, for those that are parked.
    pub records: Arc<Batch>,
    /// Events that were committed, or parked.
    pub done: usize,
}

/// Events that are written in one transaction: what becomes of each, and where the positions are afterwards.
#[derive(Debug, Default)]
pub(crate) struct Part {
    pub range: Range<usize>,
    /// As many as the batch has; one of which the part holds nothing stays where it is.
    pub spans: Vec<Span>,
    /// The events whose rules run.
    pub apply: Vec<u32>,
    /// The events that are parked, in order.
    pub park: Vec<u32>,
}

impl EventBatch {
    /// The spans of the events from `done` to `end`.
    pub(crate) fn spans_until(&self, end: usize) -> Vec<Span> {
        let mut spans = self.spans.clone();
        if end == self.events.len() {
            return spans;
        }
        // A span ends before its first event that is left, which is the last one that a walk from the back finds: what
        // lies between two events (aborted records, markers) goes with the earlier one.
        for event in self.events[end..].iter().rev() {
            spans[event.span].to = event.offset;
        }
        for (index, span) in
            spans.iter_mut().enumerate().filter(|(index, span)| span.to != self.spans[*index].to)
        {
            let last = self.events[self.done..end].iter().rev().find(|event| event.span == index);
            span.last_timestamp = last.and_then(|event| self.records.timestamp(event.record));
        }
        spans
    }

    /// Ends a span before the record at `index`, at `to`.
    pub(crate) fn end_span(&mut self, span: usize, to: Offset, index: usize) {
        let before = (0..index).rev().find(|&before| self.records.span_at(before) == Some(span));
        self.spans[span].to = to;
        self.spans[span].last_timestamp = before.and_then(|before| self.records.timestamp(before));
    }

    /// The part is committed: what is left begins behind it.
    pub(crate) fn advance(&mut self, part: &Part) {
        self.done = part.range.end;
        for (span, written) in self.spans.iter_mut().zip(&part.spans) {
            span.from = written.to;
        }
    }

    /// Whether nothing is left to write.
    pub(crate) fn is_done(&self) -> bool {
        self.done == self.events.len() && self.spans.iter().all(|span| span.from == span.to)
    }

    /// Keeps only the spans that `keep` wants, with their events.
    pub(crate) fn retain_spans(&mut self, mut keep: impl FnMut(&Span) -> bool) {
        let kept: Vec<bool> = self.spans.iter().map(&mut keep).collect();
        if kept.iter().all(|kept| *kept) {
            return;
        }
        let places: Vec<usize> = kept
            .iter()
            .scan(0, |next, kept| {
                let place = *next;
                *next += usize::from(*kept);
                Some(place)
            })
            .collect();
        self.events.drain(..std::mem::take(&mut self.done));
        self.events.retain_mut(|event| {
            let keep = kept[event.span];
            event.span = places[event.span];
            keep
        });
        self.unknown.retain_mut(|(span, ..)| {
            let keep = kept[*span];
            *span = places[*span];
            keep
        });
        let mut kept = kept.into_iter();
        self.spans.retain(|_| kept.next().unwrap_or(false));
    }

    /// Keeps only what was read of the records that `keep` wants, of a batch of which nothing is written; the spans move as
    /// before.
    pub(crate) fn retain_records(&mut self, keep: impl Fn(&Span, Offset) -> bool) {
        let spans = &self.spans;
        self.events.retain(|event| keep(&spans[event.span], event.offset));
        self.unknown.retain(|(span, offset, _)| keep(&spans[*span], *offset));
    }

    /// Adds what was read of a record: the one at `record` among [`Self::records`], of that span.
    pub(crate) fn add(&mut self, span: usize, record: usize, offset: Offset, reading: Reading) {
        let (content, identity) = match reading {
            Reading::Ignored(unknown) => {
                self.ignored += 1;
                self.unknown.extend(unknown.map(|unknown| (span, offset, unknown)));
                return;
            }
            Reading::Event(rows, identity) => (Content::Rows(rows), identity),
            Reading::Refused(blame) => {
                self.blames.push(blame);
                (Content::Refused { blame: self.blames.len() - 1, rows: None }, None)
            }
        };
        self.events.push(Event { span, offset, record, content, identity, duplicate: false });
    }

    /// Says that the rules refuse an event.
    pub(crate) fn blame(&mut self, event: usize, blame: Blame) {
        let rows = self.events[event].rows();
        self.events[event].content = Content::Refused { blame: self.blames.len(), rows };
        self.blames.push(blame);
    }

    /// The values that an event has in a layout's relation.
    pub(crate) fn row(&self, event: u32, layout: usize) -> Option<Row> {
        self.events[event as usize].rows()?.of(layout)
    }

    /// The first of some events whose record key is among the values of a row that Postgres shows.
    pub(crate) fn suspect(&self, events: &[u32], row: &str) -> Option<usize> {
        let (start, end) = (row.find('(')? + 1, row.rfind(')')?);
        let values: HashSet<&[u8]> = row.get(start..end)?.split(", ").map(str::as_bytes).collect();
        let key = |event: usize| self.records.get(self.events[event].record)?.key;
        events
            .iter()
            .map(|event| *event as usize)
            .find(|event| key(*event).is_some_and(|key| values.contains(key)))
    }

    /// The queue that an event would be parked in; none without a key.
    pub(crate) fn queue(&self, event: &Event) -> Option<QueueId> {
        let key = self.records.get(event.record)?.key?;
        Some(QueueId::new(&self.spans[event.span].topic, key))
    }
}

impl Part {
    /// What the positions are once the part is committed.
    pub(crate) fn positions(&self) -> Vec<(TopicPartition, Offset)> {
        self.spans.iter().map(|span| ((span.topic.clone(), span.partition), span.to)).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use vitrina_ingest::Epoch;

    use super::*;

    fn batch() -> EventBatch {
        let span = |partition, from, to| Span {
            topic: Arc::from("t"),
            partition,
            epoch: Epoch(1),
            from: Offset(from),
            to: Offset(to),
            first_timestamp: None,
            last_timestamp: None,
        };
        let content = Content::Rows(Row { layout: 0, version: 0, row: 0 }.into());
        let event = |span, offset| Event {
            span,
            offset: Offset(offset),
            record: 0,
            content,
            identity: None,
            duplicate: false,
        };
        EventBatch {
            spans: vec![span(0, 10, 20), span(1, 5, 9), span(2, 0, 3)],
            events: vec![event(0, 10), event(1, 6), event(0, 12), event(1, 7), event(1, 8)],
            ..EventBatch::default()
        }
    }

    fn part(batch: &EventBatch, end: usize) -> Part {
        Part { range: batch.done..end, spans: batch.spans_until(end), ..Part::default() }
    }

    #[test]
    fn parts_follow_one_another_without_gap() {
        let mut batch = batch();
        let first = part(&batch, 2);
        assert_eq!(
            first.spans.iter().map(|span| (span.from.0, span.to.0)).collect::<Vec<_>>(),
            [(10, 12), (5, 7), (0, 3)]
        );
        batch.advance(&first);
        assert!(!batch.is_done());
        let rest = part(&batch, 5);
        assert_eq!(
            rest.spans.iter().map(|span| (span.from.0, span.to.0)).collect::<Vec<_>>(),
            [(12, 20), (7, 9), (3, 3)]
        );
        batch.advance(&rest);
        assert!(batch.is_done());
    }

    #[test]
    fn spans_leave_with_their_events() {
        let mut kept = batch();
        kept.advance(&part(&kept, 2));
        kept.retain_spans(|span| span.partition != 0);
        assert_eq!(kept.spans.iter().map(|span| span.partition).collect::<Vec<_>>(), [1, 2]);
        assert_eq!(
            kept.events.iter().map(|event| (event.span, event.offset.0)).collect::<Vec<_>>(),
            [(0, 7), (0, 8)]
        );
    }
}
