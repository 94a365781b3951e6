//! Topics are read side by side, so an event of one may come before that of another. Rules of two topics that meet in a
//! table come to the same rows either way only in pairs: one looks up what is there, the other brings what it changes to
//! the rows that were made before. This warns where the other half is missing (`docs/contract.md` §1.2, §3.5).

mod counterpart;

use std::collections::BTreeSet;

use crate::finding::report::Report;
use crate::objects::index::View;
use crate::objects::scope::Relations;
use crate::objects::table::Table;
use crate::shape::rule::{Rule, RuleKind};
use counterpart::Lookup;

/// A model's rules, and what they are to one another.
pub(crate) struct Precedence<'a> {
    pub(crate) rules: &'a [Rule],
    pub(crate) tables: &'a [Table],
    pub(crate) views: &'a [View],
    pub(crate) relations: &'a dyn Relations,
}

impl<'a> Precedence<'a> {
    pub(crate) fn warn(&self, report: &mut Report) {
        for rule in self.rules {
            let absent = self.warn_of_absence(rule, report);
            for table in self.base(&rule.reads) {
                if *table != rule.target && !absent.contains(table) {
                    self.warn_of_change(rule, table, report);
                }
            }
        }
    }

    /// Warns where the rule needs rows that only rules of other topics insert; gives the tables that it reads so.
    fn warn_of_absence(&self, rule: &Rule, report: &mut Report) -> BTreeSet<&'a String> {
        let joined = self.base(&rule.needs).into_iter().filter(|table| !self.made_by(rule, table));
        let joined: BTreeSet<_> =
            joined.filter(|table| self.others_insert(rule, table).is_some()).collect();
        let needed = joined.iter().map(|table| {
            (*table, "use LEFT JOIN, and let the other event bring what is missing when it comes")
        });
        let changed = (rule.kind != RuleKind::Insert && !self.looked_up(rule)).then_some((
            &rule.target,
            "use INSERT … ON CONFLICT DO UPDATE, or keep what this event brings in a helper table for the insert to look up",
        ));
        for (table, help) in needed.chain(changed) {
            if let Some(others) = self.others_insert(rule, table) {
                let what = format!(
                    "only events of {others} insert rows of `{table}`: where `{}.{}` comes first, this rule does nothing",
                    rule.context, rule.event
                );
                report.warning(rule.at, what, help);
            }
        }
        joined
    }

    /// Warns where rules of another topic change what this one reads in `table`, and do not bring it to the rows that it
    /// made.
    fn warn_of_change(&self, rule: &Rule, table: &str, report: &mut Report) {
        let Some(table) = self.tables.iter().find(|known| known.name == table) else { return };
        let views = rule.reads.iter().filter(|name| **name != table.name);
        let viewed = self.base(&views.cloned().collect()).contains(&table.name);
        let lookup = Lookup::of(rule, table, self.tables, viewed);
        let mut told = BTreeSet::new();
        for writer in self.rules {
            let other = writer.target == table.name && !self.same_topic(rule, writer);
            if !other || !lookup.sees(writer) || !told.insert((&writer.context, &writer.event)) {
                continue;
            }
            let mut halves = self
                .rules
                .iter()
                .filter(|half| half.same_event(writer) && half.target == rule.target)
                .peekable();
            let brings_some = halves.peek().is_some();
            if halves.any(|half| lookup.is_brought_by(half)) {
                continue;
            }
            let what = format!(
                "this rule looks `{}` up, which `{}.{}` changes: rows of `{}` that are there already {}",
                table.name,
                writer.context,
                writer.event,
                rule.target,
                if brings_some { "get only a part of it" } else { "do not get it" }
            );
            let help = format!("add the other half: {}", lookup.counterpart(writer));
            report.warning(rule.at, what, help);
        }
    }

    /// The tables behind these names of tables and views.
    fn base(&self, names: &BTreeSet<String>) -> BTreeSet<&'a String> {
        let mut open: Vec<&String> = names.iter().collect();
        let (mut seen, mut tables) = (BTreeSet::new(), BTreeSet::new());
        while let Some(name) = open.pop() {
            if seen.insert(name.clone()) {
                tables.extend(
                    self.tables.iter().map(|table| &table.name).filter(|table| *table == name),
                );
                let views = self.views.iter().filter(|view| view.name == *name);
                open.extend(views.flat_map(|view| &view.reads));
            }
        }
        tables
    }

    fn same_topic(&self, one: &Rule, other: &Rule) -> bool {
        self.relations.topic(&one.context) == self.relations.topic(&other.context)
    }

    /// The contexts that insert into `table`, where none of them is of the rule's own topic; every event is of all.
    fn others_insert(&self, rule: &Rule, table: &str) -> Option<String> {
        let inserts = || {
            let of_table = |other: &&Rule| other.kind == RuleKind::Insert && other.target == table;
            self.rules.iter().filter(of_table)
        };
        let contexts: BTreeSet<String> =
            inserts().map(|other| format!("`{}`", other.context)).collect();
        let own = inserts().any(|other| other.is_of_every() || self.same_topic(rule, other));
        (!contexts.is_empty() && !own).then(|| Vec::from_iter(contexts).join(", "))
    }

    /// Whether whoever inserts the rows of `table` inserts what this rule would have inserted, too.
    fn made_by(&self, rule: &Rule, table: &str) -> bool {
        let inserts = |target: &str| {
            let target = target.to_owned();
            self.rules
                .iter()
                .filter(move |other| other.kind == RuleKind::Insert && other.target == target)
        };
        rule.kind == RuleKind::Insert
            && inserts(table)
                .all(|maker| inserts(&rule.target).any(|other| other.same_event(maker)))
    }

    /// Whether an insert of the rows looks up a table that this rule's event writes as well: then it makes up for it.
    fn looked_up(&self, rule: &Rule) -> bool {
        let written = |table: &String| {
            let writes = |writer: &Rule| writer.target == *table && writer.same_event(rule);
            *table != rule.target && self.rules.iter().any(writes)
        };
        self.rules
            .iter()
            .filter(|insert| insert.kind == RuleKind::Insert && insert.target == rule.target)
            .any(|insert| self.base(&insert.reads).into_iter().any(written))
    }
}
