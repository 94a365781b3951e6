//! What `check` says of a rule's accesses, and why events of a type cannot run together.

use std::collections::BTreeMap;

use super::access::{Access, Column, ColumnSet, Obstacle, RowSet};
use super::draft::Draft;
use super::keys::KeyValue;
use super::order::{Order, common};
use crate::model::Model;
use crate::objects::table::Table;

/// One access in one line.
pub(crate) fn touches(access: &Access, table: &Table) -> String {
    let rows = match &access.rows {
        RowSet::All if access.new_row => "new row".to_owned(),
        RowSet::All => match &access.obstacle {
            Some(obstacle) => format!("all rows ({})", obstacle.because),
            None => "all rows".to_owned(),
        },
        RowSet::Key(parts) => {
            let columns: Vec<&String> =
                parts.iter().map(|part| &table.columns[part.column].name).collect();
            let whole = table.keys().any(|key| key.iter().all(|column| columns.contains(&column)));
            let pairs = parts
                .iter()
                .map(|part| format!("{} = {}", table.columns[part.column].name, part.text));
            let kind = if access.new_row {
                "new row"
            } else if whole {
                "row"
            } else {
                "rows"
            };
            format!("{kind} ({})", pairs.collect::<Vec<_>>().join(", "))
        }
    };
    let does = [("reads", &access.reads), ("writes", &access.writes), ("adds to", &access.adds)];
    let does = does.iter().filter(|(_, columns)| !columns.is_empty());
    let does: Vec<String> =
        does.map(|(verb, columns)| format!("{verb} {}", list(columns, table))).collect();
    format!("{}: {rows}: {}", table.name, does.join(", "))
}

fn list(columns: &ColumnSet, table: &Table) -> String {
    if columns.len() == table.columns.len() + 1 {
        return "the whole row".to_owned();
    }
    let names = columns.iter().map(|column| match column {
        Column::Exists => "exists",
        Column::At(at) => table.columns[*at].name.as_str(),
    });
    names.collect::<Vec<_>>().join(", ")
}

/// Why any two events of this rule's type conflict: by this rule itself, or by another of the same type. `drafts` are
/// those of all rules of the type.
pub(crate) fn obstacle(
    rule: usize,
    drafts: &BTreeMap<usize, &Draft>,
    keys: &[KeyValue],
    model: &Model,
) -> Option<Obstacle> {
    let others = drafts.keys().copied().filter(|other| *other != rule);
    let mut culprits = std::iter::once(rule).chain(others);
    let mut obstacle = culprits.find_map(|culprit| own_obstacle(culprit, drafts, keys, model))?;
    if obstacle.at != model.rules[rule].at {
        obstacle.because = format!(
            "its events also run the rule in line {}: {}",
            obstacle.at.line, obstacle.because
        );
    }
    Some(obstacle)
}

fn own_obstacle(
    rule: usize,
    drafts: &BTreeMap<usize, &Draft>,
    keys: &[KeyValue],
    model: &Model,
) -> Option<Obstacle> {
    let own = drafts.get(&rule)?;
    for access in &own.accesses {
        for (other, draft) in drafts {
            let merged = *other == rule && draft.merge.is_some();
            let found = draft.accesses.iter().find(|met| {
                Order::between(access, met, merged) == Order::After
                    && always_meet(access, met, keys)
            });
            if let Some(met) = found {
                return Some(explain((rule, access), (*other, met), model));
            }
        }
    }
    None
}

/// Whether no two events can have keys that keep these apart.
fn always_meet(one: &Access, other: &Access, keys: &[KeyValue]) -> bool {
    common(one, other).all(|(left, right)| match (&keys[left.key], &keys[right.key]) {
        (KeyValue::Constant(left), KeyValue::Constant(right)) => left == right,
        _ => false,
    })
}

fn explain(
    (rule, access): (usize, &Access),
    (other, met): (usize, &Access),
    model: &Model,
) -> Obstacle {
    let (at, there) = (model.rules[rule].at, model.rules[other].at);
    let table = &model.tables[access.table].name;
    if let Some(obstacle) = &access.obstacle {
        return obstacle.clone();
    }
    if let Some(obstacle) = &met.obstacle {
        return obstacle.clone();
    }
    if common(access, met).next().is_some() {
        return Obstacle {
            because: format!("every event touches the same row of `{table}`"),
            at,
            help: "let SET only merge what events bring: n = t.n + EXCLUDED.n, x = EXCLUDED.x, GREATEST, LEAST or \
                   COALESCE of t.x and EXCLUDED.x, in a table without CHECK, generated columns and further unique \
                   indexes"
                .into(),
        };
    }
    Obstacle {
        because: format!(
            "line {} and line {} find rows of `{table}` by different columns, so they may be the same rows",
            at.line, there.line
        ),
        at,
        help: format!("find rows of `{table}` by the same column in both"),
    }
}
