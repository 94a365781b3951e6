//! Topics are read side by side, so an event of one may come before that of another. A rule that finds the other's
//! row missing does nothing, silently; this warns of it.

use crate::finding::report::Report;
use crate::shape::rule::{Rule, RuleKind};

/// Warns of rules that need rows which only rules of other contexts insert.
pub(crate) fn warn(rules: &[Rule], report: &mut Report) {
    for rule in rules {
        let joined = rule.needs.iter().map(|table| {
            (table, "use LEFT JOIN, and let the other event bring what is missing when it comes")
        });
        let changed = (rule.kind != RuleKind::Insert && !looked_up(rule, rules)).then_some((
            &rule.target,
            "use INSERT … ON CONFLICT DO UPDATE, or keep what this event brings in a helper table for the insert to look up",
        ));
        for (table, help) in joined.chain(changed) {
            if let Some(others) = others_insert(rule, table, rules) {
                let what = format!(
                    "only events of {others} insert rows of `{table}`: where `{}.{}` comes first, this rule does nothing",
                    rule.context, rule.event
                );
                report.warning(rule.at, what, help);
            }
        }
    }
}

/// The contexts that insert into `table`, where the rule's own is not among them.
fn others_insert(rule: &Rule, table: &str, rules: &[Rule]) -> Option<String> {
    let inserts =
        rules.iter().filter(|other| other.kind == RuleKind::Insert && other.target == table);
    let mut contexts: Vec<_> = inserts.map(|other| format!("`{}`", other.context)).collect();
    contexts.sort();
    contexts.dedup();
    let own = contexts.contains(&format!("`{}`", rule.context));
    (!contexts.is_empty() && !own).then(|| contexts.join(", "))
}

/// Whether an insert of the rows looks up a table that this rule's event writes as well: then it makes up for it.
fn looked_up(rule: &Rule, rules: &[Rule]) -> bool {
    let same_event = |other: &&Rule| other.context == rule.context && other.event == rule.event;
    rules
        .iter()
        .filter(|insert| insert.kind == RuleKind::Insert && insert.target == rule.target)
        .any(|insert| {
            rules
                .iter()
                .filter(same_event)
                .any(|writer| writer.target != rule.target && insert.reads.contains(&writer.target))
        })
}
