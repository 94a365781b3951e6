//! What the analysis of a model says: what each rule touches, and how it runs over many events. Plain data.

use super::access::{Access, Obstacle};
use super::keys::EventKeys;
use super::merge::Merge;
use super::merge::fold::Fold;
use crate::model::Model;
use crate::shape::rule::Rule;

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
    /// statement is the one to run; see [`RuleWaves::told_apart_by`] for where the plain one does the same.
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
    pub fn told_apart_by(&self, model: &Model, rule: &Rule) -> Option<Vec<usize>> {
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
