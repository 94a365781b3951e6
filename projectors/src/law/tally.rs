//! What a run of the law has seen. A form that never came up was not tried, so the run does not count.

use std::collections::BTreeMap;

use vitrina_sql::Shape;
use vitrina_sql::waves::{Access, Column, Fold, KeyValue, Runs, Waves};

use super::events::Event;
use super::world::Refused;
use crate::definition::Definition;

#[derive(Debug, Default)]
pub(super) struct Tally(BTreeMap<String, u64>);

/// Forms by the analysis and the runs; those of the generator bring their own names.
const SEEN: &[&str] = &[
    "shape: Insert Inlined",
    "shape: Insert PerEvent",
    "shape: Update Inlined",
    "shape: Delete Inlined",
    "runs: in waves",
    "runs: in waves, merged",
    "runs: event by event",
    "merge: First",
    "merge: Last",
    "merge: Sum",
    "merge: Greatest",
    "merge: Least",
    "merge: LastNotNull",
    "merge: FirstNotNull",
    "merge: rows go",
    "merge: rows stay",
    "conflict: writes meet reads",
    "conflict: writes meet writes",
    "conflict: a row comes or goes",
    "conflict: additions meet reads",
    "conflict: additions",
    "rows: all",
    "rows: by the same columns",
    "rows: by some columns in common",
    "rows: by different columns",
    "rows: a new one and one that is found",
    "key: a field",
    "key: asked of Postgres",
    "key: a constant",
    "key: NULL",
    "model: written by the record key",
    "proof: holds",
    "proof: fails",
    "event: an older version",
    "batch: of several waves",
    "batch: several events in a wave",
    "batch: event by event",
    "refused: 23505",
    "refused: 23502",
    "refused: 23514",
    "refused: 22003",
];

/// Forms by the generator's own names.
const FORMS: &[&str] = &[
    "check",
    "conflict: nothing",
    "conflict: refused",
    "conflict: update",
    "conflict: update with a condition",
    "delete",
    "delete: by what a table holds",
    "every.event: a rule",
    "every.event: beside other relations",
    "found by OR",
    "found by a constant",
    "found by another column",
    "found by key",
    "generated column",
    "insert: comma join",
    "insert: common table expression",
    "insert: grouped",
    "insert: inner join",
    "insert: left join",
    "insert: ordered and limited",
    "insert: rows made in the list",
    "insert: several mentions",
    "insert: unnested rows",
    "key: another type",
    "key: two columns",
    "step: another column",
    "step: coalesce",
    "step: greatest",
    "step: last",
    "step: least",
    "step: no merge",
    "step: sum",
    "step: whole row",
    "unique: column",
    "unique: expression",
    "unique: predicate",
    "update: from another table",
    "update: moves a column",
    "update: sets a unique column",
    "update: sets the key",
    "value: not exists",
    "value: of a joined table",
    "value: of all rows",
    "value: of the event",
    "value: sub-select by key",
];

/// Those that a hundred cases may miss.
const RARE: &[&str] = &[
    "found by a range",
    "found by a sub-select",
    "found by an expression of the column",
    "insert: cross join",
    "unique: equal nulls",
    "value: of a view",
];

impl Tally {
    pub(super) fn count(&mut self, what: &str) {
        *self.0.entry(what.to_owned()).or_default() += 1;
    }

    pub(super) fn get(&self, what: &str) -> u64 {
        self.0.get(what).copied().unwrap_or(0)
    }

    pub(super) fn model(&mut self, definition: &Definition, waves: &Waves, split: bool) {
        if split {
            self.count("model: written by the record key");
        }
        for (rule, how) in definition.model.rules.iter().zip(&waves.rules) {
            let shape = if rule.shape == Shape::Inlined { "Inlined" } else { "PerEvent" };
            self.count(&format!("shape: {:?} {shape}", rule.kind));
            self.count(match &how.runs {
                Runs::EventByEvent(_) => "runs: event by event",
                Runs::Waves { merge: None } => "runs: in waves",
                Runs::Waves { merge: Some(_) } => "runs: in waves, merged",
            });
            let Some(merge) = how.merge() else { continue };
            match (merge.key.is_empty(), merge.folds.iter().any(|(_, fold)| *fold != Fold::First)) {
                (true, _) => self.count("merge: rows go"),
                (false, false) => self.count("merge: rows stay"),
                _ => {}
            }
            merge.folds.iter().for_each(|(_, fold)| self.count(&format!("merge: {fold:?}")));
        }
        for key in waves.relations.iter().flat_map(|relation| &relation.keys) {
            self.count(match key {
                KeyValue::Field(_) => "key: a field",
                KeyValue::Asked { .. } => "key: asked of Postgres",
                KeyValue::Constant(_) => "key: a constant",
                KeyValue::Null => "key: NULL",
            });
        }
        let accesses: Vec<&Access> = waves.rules.iter().flat_map(|rule| &rule.accesses).collect();
        for one in &accesses {
            accesses
                .iter()
                .filter(|other| other.table == one.table)
                .for_each(|other| self.pair(one, other));
        }
    }

    fn pair(&mut self, one: &Access, other: &Access) {
        let mut conflicts = vec![
            (
                "conflict: writes meet reads",
                one.writes.intersection(&other.reads).any(|at| *at != Column::Exists),
            ),
            (
                "conflict: writes meet writes",
                one.writes.intersection(&other.writes).next().is_some(),
            ),
            (
                "conflict: a row comes or goes",
                one.writes.contains(&Column::Exists) && other.reads.contains(&Column::Exists),
            ),
            ("conflict: additions meet reads", !one.adds.is_disjoint(&other.reads)),
            ("conflict: additions", !one.adds.is_disjoint(&other.adds)),
        ];
        conflicts.retain(|(_, found)| *found && !(one.new_row && other.new_row));
        conflicts.iter().for_each(|(name, _)| self.count(name));
        if conflicts.is_empty() {
            return;
        }
        let columns = |access: &Access| {
            access.rows.parts().iter().map(|part| part.column).collect::<Vec<_>>()
        };
        let (own, others) = (columns(one), columns(other));
        self.count(match own.iter().filter(|column| others.contains(column)).count() {
            _ if one.new_row || other.new_row => "rows: a new one and one that is found",
            _ if own.is_empty() || others.is_empty() => "rows: all",
            0 => "rows: by different columns",
            common if common == own.len() && common == others.len() => "rows: by the same columns",
            _ => "rows: by some columns in common",
        });
    }

    pub(super) fn batch(&mut self, events: &[Event], refused: &[Refused]) {
        if events.iter().any(|event| event.version == 0 && event.relation != 1) {
            self.count("event: an older version");
        }
        refused.iter().for_each(|(_, reason)| self.count(&format!("refused: {}", &reason[..5])));
    }

    /// Events and waves of each batch that was written.
    pub(super) fn waves(&mut self, written: &[(usize, u64)]) {
        for (events, waves) in written.iter().filter(|(events, _)| *events > 1) {
            self.count(match waves {
                waves if *waves == *events as u64 => "batch: event by event",
                1 => "batch: several events in a wave",
                _ => "batch: of several waves",
            });
        }
    }

    /// What never came up; `all`: there were cases enough for the rare forms, too.
    pub(super) fn missing(&self, all: bool) -> Vec<&'static str> {
        let rare = if all { RARE } else { &[] };
        SEEN.iter().chain(FORMS).chain(rare).copied().filter(|name| self.get(name) == 0).collect()
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|(name, count)| writeln!(f, "{count:>8}  {name}"))
    }
}
