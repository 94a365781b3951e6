//! A decoded batch: events in the order of their arrival, their values in columns, and what the positions become. It can
//! be cut: a prefix, or the partitions that are still ours, is a batch as good as the whole.

use std::sync::Arc;

use vitrina_avro::Rows;
use vitrina_ingest::{Span, TopicPartition};

use crate::window::Identity;

/// One event, waiting for its rules.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    /// Index into [`Decoded::spans`].
    pub span: usize,
    pub offset: i64,
    /// The contract, as an index into the model's layouts; the version and the row of its values.
    pub layout: usize,
    pub version: usize,
    pub row: u32,
    /// `None`: never a duplicate.
    pub identity: Option<Identity>,
    /// Seen before, so no rule runs.
    pub duplicate: bool,
}

/// Why a record cannot be applied, with all that its reader needs to find it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refused {
    pub topic: Arc<str>,
    pub partition: i32,
    pub offset: i64,
    /// The writer's schema as the registry names it.
    pub schema: Option<String>,
    pub rule: Option<String>,
    pub sqlstate: Option<String>,
    pub reason: String,
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "topic {} partition {} offset {}", self.topic, self.partition, self.offset)?;
        if let Some(schema) = &self.schema {
            write!(f, ", schema {schema}")?;
        }
        if let Some(rule) = &self.rule {
            write!(f, ", rule {rule}")?;
        }
        write!(f, ": {}", self.reason)?;
        if let Some(sqlstate) = &self.sqlstate {
            write!(f, " [{sqlstate}]")?;
        }
        Ok(())
    }
}

#[derive(Debug, Default)]
pub(crate) struct Decoded {
    pub spans: Vec<Span>,
    pub events: Vec<Event>,
    /// By layout, then by version.
    pub rows: Vec<Vec<Rows>>,
    /// Records that no rule wants, which were passed over by name.
    pub ignored: u64,
    /// The record after the batch's end that could not be decoded.
    pub refused: Option<Refused>,
}

impl Decoded {
    /// Keeps what came before event `at`; what comes after is read again by whoever claims next.
    pub(crate) fn cut(&mut self, at: usize) {
        let rest = self.events.split_off(at);
        for event in rest.iter().rev() {
            self.spans[event.span].to = event.offset;
        }
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
        self.events.retain_mut(|event| {
            let keep = kept[event.span];
            event.span = places[event.span];
            keep
        });
        let mut kept = kept.into_iter();
        self.spans.retain(|_| kept.next().unwrap_or(false));
    }

    /// What the positions are once the batch is committed.
    pub(crate) fn positions(&self) -> Vec<(TopicPartition, i64)> {
        self.spans.iter().map(|span| ((span.topic.clone(), span.partition), span.to)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch() -> Decoded {
        let span =
            |partition, from, to| Span { topic: Arc::from("t"), partition, epoch: 1, from, to, last_timestamp: None };
        let event =
            |span, offset| Event { span, offset, layout: 0, version: 0, row: 0, identity: None, duplicate: false };
        Decoded {
            spans: vec![span(0, 10, 20), span(1, 5, 9), span(2, 0, 3)],
            events: vec![event(0, 10), event(1, 6), event(0, 12), event(1, 7), event(1, 8)],
            ..Decoded::default()
        }
    }

    #[test]
    fn cut_moves_each_partition_to_its_first_event_not_kept() {
        let mut cut = batch();
        cut.cut(2);
        assert_eq!(cut.spans.iter().map(|span| span.to).collect::<Vec<_>>(), [12, 7, 3]);
        assert_eq!(cut.events.len(), 2);
        let mut all = batch();
        all.cut(5);
        assert_eq!(all.spans, batch().spans);
    }

    #[test]
    fn spans_leave_with_their_events() {
        let mut kept = batch();
        kept.retain_spans(|span| span.partition != 0);
        assert_eq!(kept.spans.iter().map(|span| span.partition).collect::<Vec<_>>(), [1, 2]);
        assert_eq!(
            kept.events.iter().map(|event| (event.span, event.offset)).collect::<Vec<_>>(),
            [(0, 6), (0, 7), (0, 8)]
        );
    }
}
