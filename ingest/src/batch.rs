//! A batch: records of several partitions in the order of their arrival, in one arena, with the claim that each
//! partition was read under. What a batch moves is stated by its spans, even where it holds no record.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use rdkafka::Message;
use rdkafka::message::Headers as _;
use vitrina_avro::{HeaderPlace, Headers, Record};

use crate::offset::{Epoch, Offset};

/// The part of one partition that a batch covers: `from` (where the claim stood) up to, not including, `to`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    pub topic: Arc<str>,
    pub partition: i32,
    pub epoch: Epoch,
    pub from: Offset,
    pub to: Offset,
    /// Milliseconds since 1970 of the first record that has a timestamp.
    pub first_timestamp: Option<i64>,
    /// Milliseconds since 1970 of the last record, where the span holds one that has a timestamp.
    pub last_timestamp: Option<i64>,
}

/// A producer's timestamp may be any number; later ones say nothing about lag, and Postgres has no such year.
const YEAR_9999: i64 = 253_402_300_799_999;

#[derive(Debug, Default)]
pub struct Batch {
    arena: Vec<u8>,
    records: Vec<Stored>,
    headers: Vec<HeaderPlace>,
    pub spans: Vec<Span>,
    /// Held as long as the batch is: whoever fills the next one sees by it that this one is not written yet.
    pub(crate) under_way: Option<Arc<()>>,
}

#[derive(Debug)]
struct Stored {
    span: u32,
    offset: Offset,
    timestamp: Option<i64>,
    key: Option<Range<u32>>,
    value: Option<Range<u32>>,
    headers: Range<u32>,
}

impl Batch {
    pub fn len(&self) -> usize {
        self.records.len()
    }

    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Bytes of keys, values and headers.
    pub fn bytes(&self) -> usize {
        self.arena.len()
    }

    /// Each record with the index of its span.
    pub fn records(&self) -> impl Iterator<Item = (usize, Record<'_>)> {
        self.records.iter().map(|stored| (stored.span as usize, self.record(stored)))
    }

    /// The index of the span of the record at a place in [`Self::records`].
    pub fn span_at(&self, index: usize) -> Option<usize> {
        Some(self.records.get(index)?.span as usize)
    }

    /// The timestamp of the record at a place in [`Self::records`], as [`Span::last_timestamp`] has it.
    pub fn timestamp(&self, index: usize) -> Option<i64> {
        self.records.get(index)?.timestamp.filter(|millis| *millis <= YEAR_9999)
    }

    /// The record at a place in [`Self::records`].
    pub fn get(&self, index: usize) -> Option<Record<'_>> {
        self.records.get(index).map(|stored| self.record(stored))
    }

    fn record<'a>(&'a self, stored: &Stored) -> Record<'a> {
        let span = &self.spans[stored.span as usize];
        let headers = &self.headers[stored.headers.start as usize..stored.headers.end as usize];
        Record {
            topic: &span.topic,
            partition: span.partition,
            offset: stored.offset.0,
            timestamp_ms: stored.timestamp,
            key: stored.key.as_ref().map(|range| self.slice(range)),
            value: stored.value.as_ref().map(|range| self.slice(range)),
            headers: Headers::new(&self.arena, headers),
        }
    }

    /// The span of a partition's newest claim, if the batch has one.
    pub(crate) fn span_of(&self, topic: &str, partition: i32) -> Option<usize> {
        self.spans.iter().rposition(|span| span.partition == partition && &*span.topic == topic)
    }

    pub(crate) fn push(&mut self, span: usize, message: &impl Message) {
        let first = self.headers.len();
        if let Some(headers) = message.headers() {
            for index in 0..headers.count() {
                // rdkafka 0.39 panics where a header's name is not UTF-8: such a header is kept without its name and value.
                let header = catch_unwind(AssertUnwindSafe(|| headers.get(index)));
                let name = header.as_ref().map_or("\u{fffd}", |header| header.key).as_bytes();
                self.keep_header(name, header.ok().and_then(|header| header.value));
            }
        }
        let timestamp = message.timestamp().to_millis().filter(|millis| *millis >= 0);
        let (key, value) = (message.key(), message.payload());
        self.store(span, Offset(message.offset()), timestamp, (key, value), first);
    }

    /// Adds a record that no consumer has polled to a span.
    pub fn add(&mut self, span: usize, record: &Record<'_>) {
        let first = self.headers.len();
        for (name, value) in record.headers.iter() {
            self.keep_header(name.as_bytes(), value);
        }
        let (key, value) = (record.key, record.value);
        self.store(span, Offset(record.offset), record.timestamp_ms, (key, value), first);
    }

    /// Stores a record whose headers are kept already, from `first` on.
    fn store(
        &mut self,
        span: usize,
        offset: Offset,
        timestamp: Option<i64>,
        (key, value): (Option<&[u8]>, Option<&[u8]>),
        first: usize,
    ) {
        let key = key.map(|bytes| self.keep(bytes));
        let value = value.map(|bytes| self.keep(bytes));
        let headers = first as u32..self.headers.len() as u32;
        self.records.push(Stored { span: span as u32, offset, timestamp, key, value, headers });
        let span = &mut self.spans[span];
        span.to = offset.next();
        let timestamp = timestamp.filter(|millis| *millis <= YEAR_9999);
        span.first_timestamp = span.first_timestamp.or(timestamp);
        span.last_timestamp = timestamp.or(span.last_timestamp);
    }

    fn keep_header(&mut self, name: &[u8], value: Option<&[u8]>) {
        let name = self.keep(name);
        let value = value.map(|bytes| self.keep(bytes));
        self.headers.push(HeaderPlace { name, value });
    }

    fn keep(&mut self, bytes: &[u8]) -> Range<u32> {
        let start = self.arena.len() as u32;
        self.arena.extend_from_slice(bytes);
        start..self.arena.len() as u32
    }

    fn slice(&self, range: &Range<u32>) -> &[u8] {
        &self.arena[range.start as usize..range.end as usize]
    }
}
