//! Events that are looked for by their ids in a generation's window. Invariant: an event that is found is reflected by the
//! snapshot that it was found in, for its id is written in the transaction of its rows.

use std::sync::Arc;

use super::failure::Failure;
use super::reached::Reached;
use super::view::View;
use crate::database::{Binds, Database, Statement, get};
use crate::problem::{Kind, Problem};

/// Ids of events, those that were not found yet.
pub(crate) struct Sought {
    /// As the window stores them, in hexadecimal.
    ids: Vec<String>,
    /// Up to where was looked.
    looked: Option<Arc<Reached>>,
}

impl Sought {
    pub(crate) fn new(ids: &[String]) -> Self {
        let stored = |id: &String| {
            let bytes = vitrina_projectors::stored_id(id);
            let digits = bytes.iter().map(|byte| format!("{byte:02x}"));
            format!("\\x{}", digits.collect::<String>())
        };
        Self { ids: ids.iter().map(stored).collect(), looked: None }
    }

    pub(crate) fn is_found(&self) -> bool {
        self.ids.is_empty()
    }

    /// Looks in what has come since the last look; the answer is how far the generation has come by then.
    pub(crate) async fn look(
        &mut self,
        database: &Database,
        view: &View,
        reached: Arc<Reached>,
    ) -> Result<Arc<Reached>, Failure> {
        let same = |looked: &Reached| {
            looked.header == reached.header && looked.parked_version == reached.parked_version
        };
        if self.is_found() || self.looked.as_deref().is_some_and(same) {
            return Ok(reached);
        }
        // Of a record that is retried the id comes late, at its own place.
        let looked = self.looked.take();
        let before = looked.filter(|looked| looked.parked_version == reached.parked_version);
        let mut binds = Binds::default();
        let columns = self.columns(view, before.as_deref(), &mut binds);
        let text = Reached::select(view, &columns, &mut binds);
        let row = database.first(Statement::fixed(text, binds)).await?;
        let reached = Arc::new(Reached::live(row.as_ref(), view)?);
        let row = row.ok_or(Failure::Stale)?;
        if get::<i32>(&row, "duplicate_window")? == 0 {
            return Err(no_window(view).into());
        }
        let found = get::<Option<Vec<String>>>(&row, "found")?.unwrap_or_default();
        self.ids.retain(|id| !found.contains(id));
        self.looked = Some(reached.clone());
        Ok(reached)
    }

    fn columns(&self, view: &View, before: Option<&Reached>, binds: &mut Binds) -> String {
        let (mut topics, mut partitions, mut next_offsets) = (Vec::new(), Vec::new(), Vec::new());
        let position = before.map(|before| &before.position);
        for (topic, partition) in position.into_iter().flat_map(|position| position.partitions()) {
            let next_offset = position.and_then(|position| position.next_offset(topic, partition));
            topics.push(topic.to_owned());
            partitions.push(partition.to_string());
            next_offsets.push(next_offset.unwrap_or(0).to_string());
        }
        let ids = binds.add_all(self.ids.clone(), "text[]");
        let before = [(topics, "text[]"), (partitions, "int4[]"), (next_offsets, "int8[]")]
            .map(|(values, cast)| binds.add_all(values, cast));
        format!(
            r#", (SELECT duplicate_window FROM {schema}."@generation") AS duplicate_window,
            (SELECT array_agg(id) FROM unnest({ids}) AS i(id)
             WHERE EXISTS (
                 SELECT FROM {schema}."@seen" s
                 LEFT JOIN unnest({before}) AS b(topic, partition, next_offset) USING (topic, partition)
                 WHERE s.last_offset >= coalesce(b.next_offset, 0) AND position(i.id::bytea IN s.identities) > 0)) AS found"#,
            schema = view.schema,
            before = before.join(", "),
        )
    }
}

fn no_window(view: &View) -> Problem {
    let detail = format!(
        "The model `{}` keeps no window of events (duplicate_window = 0), so that none can be found by its id: send TOPIC/PARTITION=OFFSET.",
        view.model
    );
    Problem::of(Kind::BadValue, "Read-After", detail, None::<String>)
}
