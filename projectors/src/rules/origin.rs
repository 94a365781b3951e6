//! Where an event failed: in the rule that ran, or already in an upcast, which is a part of the rule's statement. Postgres
//! does not say, so the upcasts are asked alone; the first that fails in the same words is it.

use std::sync::Arc;

use vitrina_avro::{EventRows, Layout, Rows};

use crate::fault::{Blame, Fault};
use crate::rules::run::Bounded;
use crate::rules::statement::Statement;
use crate::rules::{Rules, RunnableRule};

impl Bounded<'_> {
    /// The blame with its place in the upcast, where that is where the event failed. What fails here leaves a transaction,
    /// if one is open, to be rolled back.
    pub(crate) async fn locate(
        &mut self,
        rules: &Rules,
        layouts: &[Layout],
        rows: &[Vec<Rows>],
        event: EventRows,
        blame: Blame,
    ) -> Blame {
        let failed = rules.rules.iter().filter(|rule| blame.rule.as_ref() == Some(&rule.place));
        let failed = failed.filter_map(|rule| Some((rule, event.of(rule.layout)?))).next();
        let Some((rule, event)) = failed else { return blame };
        let (row, rows) = ([event.row], &rows[event.layout]);
        let mut picked: Vec<&[u32]> = vec![&[]; rows.len()];
        picked[event.version] = &row;
        for (place, statement) in upcasts(rule, &layouts[event.layout], event.version) {
            let asked = self.run(&statement, rows, &picked, &place, Some(0)).await;
            let Err(fault) = asked else { continue };
            return match fault {
                Fault::Record { blame: found, .. } | Fault::Doubt { blame: found, .. }
                    if (&found.reason, &found.sqlstate) == (&blame.reason, &blame.sqlstate) =>
                {
                    Blame { rule: Some(place), ..blame }
                }
                _ => blame,
            };
        }
        blame
    }
}

/// What brings an event of the version at `place` to the columns that the rule uses, oldest step first: each written item, and where
/// it is written.
fn upcasts(rule: &RunnableRule, stored: &Layout, place: usize) -> Vec<(String, Statement)> {
    let used = stored.narrow(rule.columns.as_ref());
    // Of every event, those of its own relation.
    let Some((used, version)) = used.source(place) else { return Vec::new() };
    let contract = &used.contract;
    let mut statements = Vec::new();
    for newer in version + 1..contract.versions.len() {
        let step = &contract.versions[newer];
        let so_far = Arc::new(contract.until(newer + 1));
        for item in &step.written {
            if !used.versions()[newer].columns.iter().any(|column| column.name == item.name) {
                continue;
            }
            let column = [item.name.clone()].into();
            let layout = Layout::new(&so_far, Some(&column));
            let statement = Statement::of_column(&layout, version, stored, place);
            statements.push((format!("{}:{}", step.upcast_file, item.at.line), statement));
        }
    }
    statements
}
