//! What each rule touches, worked out once when the model loads: whatever can not be told is *all rows*. Two events may
//! run in one statement only where no access of one may meet an access of the other that it conflicts with.

mod access;
mod analysis;
mod cut;
mod explain;
mod facts;
mod keys;
mod merge;
mod names;
mod order;
mod parallel;
mod reads;
mod sabotage;
mod select_level;
mod touch;
mod types;

use std::collections::{BTreeMap, BTreeSet};

pub use access::{Access, Column, ColumnSet, KeyPart, Obstacle, RowSet};
pub use cut::{Cutter, combine};
pub use keys::{EventKeys, KeyValue};
pub use merge::Merge;
pub use merge::fold::Fold;
pub use parallel::{KEY, Parallel, RecordKey};
pub use types::{StoredType, Types};

use crate::model::Model;
use crate::shape::rule::Rule;
use analysis::{Draft, Study};
use facts::Facts;

/// The name of the column that numbers the events of a batch, in the derived tables of [`EventKeys::asked`] and
/// [`Merge::statement`]: an integer that grows with the events' order.
pub const ORDINAL: &str = "_ordinal";

/// The whole model's analysis: plain data.
#[derive(Debug, Clone)]
pub struct Waves {
    /// One for each rule of the model, in its order.
    pub rules: Vec<RuleWaves>,
    /// One for each event relation that rules name, sorted by name as in [`Model::relations`].
    pub relations: Vec<EventKeys>,
}

/// How one rule runs.
#[derive(Debug, Clone)]
pub struct RuleWaves {
    /// Index into [`Waves::relations`].
    pub relation: usize,
    pub accesses: Vec<Access>,
    pub runs: Runs,
    /// One line for each access, for people.
    pub touches: Vec<String>,
}

/// Whether a rule's events may run together.
#[derive(Debug, Clone)]
pub enum Runs {
    /// In waves: over any events that do not conflict. With `merge`, events of one key may be among them, and the merged
    /// statement is the one to run; see [`RuleWaves::told_by`] for where the plain one does the same.
    Waves { merge: Option<Merge> },
    /// Any two events of its type conflict, for this reason.
    EventByEvent(Obstacle),
}

impl RuleWaves {
    /// The merge, where the rule has one.
    pub fn merge(&self) -> Option<&Merge> {
        match &self.runs {
            Runs::Waves { merge } => merge.as_ref(),
            Runs::EventByEvent(_) => None,
        }
    }

    /// Keys of the relation (as in [`EventKeys::keys`]) that tell the rows of a merge: over events that differ in one of
    /// them, or have a NULL there, the plain statement does what the merged one does. `None`: only the merged one will do,
    /// because it looks whether sums have room.
    pub fn told_by(&self, model: &Model, rule: &Rule) -> Option<Vec<usize>> {
        let merge = self.merge().filter(|merge| !merge.key.is_empty())?;
        if merge.folds.iter().any(|(_, fold)| *fold == Fold::Sum) {
            return None;
        }
        let tells = |access: &&Access| {
            let table = &model.tables[access.table];
            let parts = access.rows.parts();
            let known =
                |name: &String| parts.iter().any(|part| table.columns[part.column].name == *name);
            table.name == rule.target
                && parts.len() == merge.key.len()
                && merge.key.iter().all(known)
        };
        let access = self.accesses.iter().find(tells)?;
        Some(access.rows.parts().iter().map(|part| part.key).collect())
    }
}

impl Model {
    /// Works out what every rule touches and how it may run.
    pub fn waves(&self, types: &dyn Types) -> Waves {
        let facts: Vec<Facts> =
            self.tables.iter().map(|table| Facts::of(table, &self.indexes, types)).collect();
        let names = self.relations();
        let mut relations: Vec<EventKeys> =
            names.into_iter().map(|(context, event)| EventKeys::new(context, event)).collect();
        let study = Study::new(self, &facts, types);
        let mut drafts = Vec::with_capacity(self.rules.len());
        for (index, rule) in self.rules.iter().enumerate() {
            let of_rule =
                |keys: &EventKeys| keys.context == rule.context && keys.event == rule.event;
            let Some(relation) = relations.iter().position(of_rule) else { continue };
            relations[relation].rules.push(index);
            drafts.push((relation, study.draft(rule, &mut relations[relation])));
        }
        forget_idle_columns(
            drafts.iter_mut().flat_map(|(_, draft)| draft.accesses.iter_mut()).collect(),
        );
        for (index, keys) in relations.iter_mut().enumerate() {
            let own = drafts.iter_mut().filter(|(relation, _)| *relation == index);
            keys.prune(
                own.flat_map(|(_, draft)| draft.accesses.iter_mut())
                    .flat_map(|access| access.rows.parts_mut()),
            );
        }
        let rules = (0..drafts.len()).map(|index| self.judge(index, &drafts, &relations)).collect();
        Waves { rules, relations }
    }

    fn judge(&self, index: usize, drafts: &[(usize, Draft)], relations: &[EventKeys]) -> RuleWaves {
        let (relation, draft) = &drafts[index];
        let others: BTreeMap<usize, &Draft> =
            relations[*relation].rules.iter().map(|other| (*other, &drafts[*other].1)).collect();
        let keys = &relations[*relation].keys;
        let mut accesses = draft.accesses.clone();
        let runs = match explain::obstacle(index, &others, keys, self) {
            Some(obstacle) => {
                // Only the merged statement looks whether sums have room.
                accesses.iter_mut().for_each(Access::forget_sums);
                Runs::EventByEvent(obstacle)
            }
            None => Runs::Waves { merge: draft.merge.clone() },
        };
        let touches = accesses
            .iter()
            .map(|access| explain::touches(access, &self.tables[access.table]))
            .collect();
        RuleWaves { relation: *relation, accesses, runs, touches }
    }
}

/// Leaves of what is known of new rows only the columns by which some other access finds rows: no other is compared.
fn forget_idle_columns(accesses: Vec<&mut Access>) {
    let (new, found): (Vec<_>, Vec<_>) = accesses.into_iter().partition(|access| access.new_row);
    let columns = |access: &&mut Access| {
        let table = access.table;
        access.rows.parts().iter().map(move |part| (table, part.column)).collect::<Vec<_>>()
    };
    let used: BTreeSet<(usize, usize)> = found.iter().flat_map(columns).collect();
    for access in new {
        let parts =
            access.rows.parts().iter().filter(|part| used.contains(&(access.table, part.column)));
        access.rows = RowSet::of(parts.cloned().collect());
    }
}
