//! The duplicates' window: an event whose identity was seen within the last N offsets of its partition is one that was
//! applied already. It is a pure function of the log and N, so a rebuild drops the same
//! events; a record that decodes only when it is retried is put in its place then.

use std::collections::{HashMap, VecDeque};
use std::ops::Range;

use sqlx::postgres::PgConnection;

use vitrina_ingest::{Epoch, Offset, TopicPartition};

use crate::batch::{EventBatch, Identity, Part};

/// What the window says of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Seen {
    New,
    /// `same`: the bytes are the same, too.
    Duplicate {
        same: bool,
    },
}

/// The identities of one partition's last N offsets.
#[derive(Debug, Default)]
pub(crate) struct Window {
    length: i64,
    newest: HashMap<u128, (Offset, u64)>,
    order: VecDeque<(Offset, u128)>,
    /// Ranges that are not read.
    skipped: Vec<Range<Offset>>,
}

impl Window {
    /// `length` is N in offsets; 0 remembers nothing.
    pub(crate) fn new(length: u32) -> Self {
        Self { length: i64::from(length), ..Self::default() }
    }

    /// What lies in these ranges is not read.
    pub(crate) fn skip(&mut self, ranges: impl Iterator<Item = Range<Offset>>) {
        self.skipped.extend(ranges);
    }

    pub(crate) fn skips(&self, offset: Offset) -> bool {
        self.skipped.iter().any(|range| range.contains(&offset))
    }

    /// Looks at the event at `offset`, and remembers it. Offsets must grow.
    pub(crate) fn see(&mut self, offset: Offset, identity: Identity) -> Seen {
        if self.length == 0 {
            return Seen::New;
        }
        self.forget_below(offset.before(self.length));
        self.order.push_back((offset, identity.hash()));
        match self.newest.insert(identity.hash(), (offset, identity.content())) {
            Some((_, content)) => Seen::Duplicate { same: content == identity.content() },
            None => Seen::New,
        }
    }

    /// Remembers an event whose identity became known late, when later ones had been seen.
    pub(crate) fn see_late(&mut self, offset: Offset, identity: Identity) {
        let place = self.order.partition_point(|(other, _)| *other < offset);
        self.order.insert(place, (offset, identity.hash()));
        let newest = self.newest.entry(identity.hash()).or_insert((offset, identity.content()));
        if newest.0 < offset {
            *newest = (offset, identity.content());
        }
    }

    fn forget_below(&mut self, lowest: Offset) {
        while let Some(&(offset, hash)) = self.order.front().filter(|(offset, _)| *offset < lowest)
        {
            self.order.pop_front();
            if self.newest.get(&hash).is_some_and(|(newest, _)| *newest == offset) {
                self.newest.remove(&hash);
            }
        }
    }

    /// Takes back what was stored, in any order.
    pub(crate) fn restore(&mut self, stored: &[u8]) {
        let mut identities: Vec<(Offset, Identity)> = Identity::all(stored).collect();
        identities.sort_by_key(|(offset, _)| *offset);
        for (offset, identity) in identities {
            self.see(offset, identity);
        }
    }
}

/// Windows by partition, with the epochs of the claims that they were read under.
pub(crate) type Windows = HashMap<TopicPartition, (Epoch, Window)>;

/// Marks the events that their windows have seen. The answer: those among them whose bytes differ from what was seen.
pub(crate) fn mark_duplicates(windows: &mut Windows, batch: &mut EventBatch) -> Vec<usize> {
    let mut differing = Vec::new();
    for (index, event) in batch.events.iter_mut().enumerate() {
        let span = &batch.spans[event.span];
        let Some(identity) = event.identity else { continue };
        let window = windows.get_mut(&(span.topic.clone(), span.partition));
        let Some((_, window)) = window else { continue };
        if let Seen::Duplicate { same } = window.see(event.offset, identity) {
            event.duplicate = true;
            if !same {
                differing.push(index);
            }
        }
    }
    differing
}

/// Stores the part's identities, one row a span. Rows that lie wholly before the window go; those that a parked record
/// that has not decoded will be compared with are kept aside.
///
/// # Errors
/// Postgres's.
pub(crate) async fn store(
    connection: &mut PgConnection,
    length: u32,
    batch: &EventBatch,
    part: &Part,
) -> sqlx::Result<()> {
    let mut identities: Vec<Vec<u8>> = vec![Vec::new(); part.spans.len()];
    for event in &batch.events[part.range.clone()] {
        if let Some(identity) = event.identity {
            identity.write(event.offset, &mut identities[event.span]);
        }
    }
    if length == 0 || identities.iter().all(Vec::is_empty) {
        return Ok(());
    }
    let topics: Vec<&str> = part.spans.iter().map(|span| &*span.topic).collect();
    let partitions: Vec<i32> = part.spans.iter().map(|span| span.partition).collect();
    let last: Vec<i64> = part.spans.iter().map(|span| span.to.before(1).0).collect();
    sqlx::query(
        r#"WITH n AS (
             SELECT * FROM unnest($1::text[], $2::int4[], $3::int8[], $4::bytea[])
                 AS n(topic, partition, last_offset, identities)
         ), gone AS (
             DELETE FROM "@seen" s USING n
             WHERE s.topic = n.topic AND s.partition = n.partition AND s.last_offset < n.last_offset + 1 - $5
             RETURNING s.*
         ), kept AS (
             INSERT INTO "@seen_kept" (topic, partition, last_offset, identities)
             SELECT g.* FROM gone g
             WHERE EXISTS (
                 SELECT FROM "@parked" p
                 WHERE p.topic = g.topic AND p.partition = g.partition
                   AND p."offset" BETWEEN g.last_offset - 2 * $5 AND g.last_offset + $5 AND p.event IS NULL)
         )
         INSERT INTO "@seen" (topic, partition, last_offset, identities)
         SELECT topic, partition, last_offset, identities FROM n WHERE identities <> ''"#,
    )
    .bind(topics)
    .bind(partitions)
    .bind(last)
    .bind(identities)
    .bind(i64::from(length))
    .execute(connection)
    .await?;
    Ok(())
}

/// Lets go of what [`store`] keeps aside, where no parked record needs it any more.
///
/// # Errors
/// Postgres's.
pub(crate) async fn forget_kept(connection: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query(
        r#"DELETE FROM "@seen_kept" k USING "@generation" g
           WHERE NOT EXISTS (
               SELECT FROM "@parked" p
               WHERE p.topic = k.topic AND p.partition = k.partition
                 AND p."offset" BETWEEN k.last_offset - 2 * g.duplicate_window::bigint
                                    AND k.last_offset + g.duplicate_window AND p.event IS NULL)"#,
    )
    .execute(connection)
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    fn identity(id: u8) -> Identity {
        Identity::new("a.B", Some(b"k"), id.to_string().as_bytes(), &[id])
    }

    proptest! {
        /// The window agrees with a search through the last N offsets, also when it is restored in the middle.
        #[test]
        fn window_is_the_last_n_offsets(
            ids in prop::collection::vec((0u8..6, 1i64..4), 0..60),
            length in 0u32..9,
            cut in 0usize..60,
        ) {
            let mut window = Window::new(length);
            let mut log: Vec<(i64, u8)> = Vec::new();
            let mut offset = 0;
            for (index, (id, step)) in ids.into_iter().enumerate() {
                if index == cut {
                    let mut stored = Vec::new();
                    for (offset, id) in &log {
                        identity(*id).write(Offset(*offset), &mut stored);
                    }
                    window = Window::new(length);
                    window.restore(&stored);
                }
                offset += step;
                let expected = length > 0
                    && log.iter().any(|(before, other)| *other == id && *before >= offset - i64::from(length));
                let seen = window.see(Offset(offset), identity(id));
                prop_assert_eq!(seen, if expected { Seen::Duplicate { same: true } } else { Seen::New });
                log.push((offset, id));
            }
        }
    }
}
