//! The rules of a model looked at together: each is drafted by itself, and then judged by what the others touch.

use std::collections::{BTreeMap, BTreeSet};

use super::access::{Access, RowSet};
use super::analysis::Study;
use super::draft::Draft;
use super::explain;
use super::facts::TableFacts;
use super::keys::EventKeys;
use super::runs::{RuleWaves, Runs, Waves};
use super::types::Types;
use crate::model::Model;

impl Model {
    /// Works out what every rule touches and how it may run.
    pub fn waves(&self, types: &dyn Types) -> Waves {
        let facts: Vec<TableFacts> =
            self.tables.iter().map(|table| TableFacts::of(table, &self.indexes, types)).collect();
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
        let rules =
            (0..drafts.len()).map(|index| self.rule_waves(index, &drafts, &relations)).collect();
        Waves { rules, relations }
    }

    fn rule_waves(
        &self,
        index: usize,
        drafts: &[(usize, Draft)],
        relations: &[EventKeys],
    ) -> RuleWaves {
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
