//! The columns that a rule writes: each is one of its target's, and an INSERT brings all that must not be NULL. Postgres
//! would take an INSERT that leaves such a column out, and then refuse every one of its rows.

use std::collections::BTreeSet;

use sqlparser::ast::{
    Assignment, AssignmentTarget, ConflictTarget, Expr, Ident, Insert, ObjectName, OnConflict,
    OnConflictAction, OnInsert, SelectItem, Statement, TableObject, Value,
};

use crate::finding::place::Place;
use crate::finding::report::Report;
use crate::names::name::{parts, single};
use crate::objects::table::Table;

/// The `SET` items of a rule, those of an INSERT's conflict included.
pub(crate) fn assignments(ast: &Statement) -> &[Assignment] {
    match ast {
        Statement::Update(update) => &update.assignments,
        Statement::Insert(insert) => match &insert.on {
            Some(OnInsert::OnConflict(OnConflict {
                action: OnConflictAction::DoUpdate(update),
                ..
            })) => &update.assignments,
            _ => &[],
        },
        _ => &[],
    }
}

/// The columns that these assignments write; `c[1]` and `c.field` write a part of `c`.
pub(crate) fn assigned(assignments: &[Assignment]) -> impl Iterator<Item = &Ident> {
    let targets = assignments.iter().flat_map(|assignment| match &assignment.target {
        AssignmentTarget::ColumnName(name) => std::slice::from_ref(name),
        AssignmentTarget::Tuple(names) => names.as_slice(),
    });
    targets.filter_map(|name| name.0.first()?.as_ident())
}

/// The columns whose conflict an INSERT minds.
fn conflicting(insert: &Insert) -> &[Ident] {
    match &insert.on {
        Some(OnInsert::OnConflict(OnConflict {
            conflict_target: Some(ConflictTarget::Columns(columns)),
            ..
        })) => columns,
        _ => &[],
    }
}

/// The columns that an INSERT names and the expressions for them; `None` where they cannot be paired.
pub(crate) fn inserted<'s>(insert: &'s Insert, table: &Table) -> Option<Vec<(usize, &'s Expr)>> {
    let values = values(insert)?;
    let at = |name: &ObjectName| {
        let name = single(name)?;
        table.columns.iter().position(|column| column.name == name)
    };
    let columns: Vec<usize> = if insert.columns.is_empty() {
        (0..table.columns.len()).take(values.len()).collect()
    } else {
        insert.columns.iter().map(at).collect::<Option<_>>()?
    };
    (columns.len() == values.len()).then(|| columns.into_iter().zip(values).collect())
}

/// The items of the INSERT's own list; `None` where a star hides how many there are.
fn values(insert: &Insert) -> Option<Vec<&Expr>> {
    let select = insert.source.as_deref()?.body.as_select()?;
    let value = |item| match item {
        &SelectItem::UnnamedExpr(ref expr) | &SelectItem::ExprWithAlias { ref expr, .. } => {
            Some(expr)
        }
        _ => None,
    };
    select.projection.iter().map(value).collect()
}

/// Finds columns that the target lacks, and those that it must have and does not get.
pub(crate) fn check(ast: &Statement, table: &Table, begin: Place, report: &mut Report) {
    for column in assigned(assignments(ast)) {
        table.check_column(column, report);
    }
    let Statement::Insert(insert) = ast else { return };
    let named = insert.columns.iter().filter_map(|name| parts(name).into_iter().next());
    for column in named.chain(conflicting(insert)) {
        table.check_column(column, report);
    }
    let at = match &insert.table {
        TableObject::TableName(name) => place(parts(name).into_iter().next(), begin),
        _ => begin,
    };
    if let Some(values) = values(insert)
        && !insert.columns.is_empty()
        && insert.columns.len() != values.len()
    {
        let what = format!(
            "{} columns are named, and {} values selected",
            insert.columns.len(),
            values.len()
        );
        return report.error(at, what, "select one value for each column");
    }
    check_brought(insert, table, at, report);
}

fn check_brought(insert: &Insert, table: &Table, at: Place, report: &mut Report) {
    let pairs = inserted(insert, table);
    let brought: BTreeSet<&str> = match (&pairs, insert.columns.is_empty()) {
        (Some(pairs), _) => {
            pairs.iter().map(|(column, _)| table.columns[*column].name.as_str()).collect()
        }
        (None, false) => {
            let listed: BTreeSet<String> = insert.columns.iter().filter_map(single).collect();
            let known = table.columns.iter().map(|column| column.name.as_str());
            known.filter(|column| listed.contains(*column)).collect()
        }
        (None, true) => return,
    };
    let nulls = pairs.iter().flatten().filter(|(_, value)| is_null(value));
    let nulls: BTreeSet<usize> = nulls.map(|(column, _)| *column).collect();
    for (index, column) in table.columns.iter().enumerate() {
        if !column.not_null || column.generated {
            continue;
        }
        let (table, name) = (&table.name, &column.name);
        if nulls.contains(&index) {
            let what = format!("`{table}.{name}` is NOT NULL, and NULL is inserted");
            report.error(at, what, "select a value for it, or take NOT NULL away");
        } else if !column.default && !brought.contains(name.as_str()) {
            let what = format!(
                "`{table}.{name}` is NOT NULL and has no default, and this INSERT leaves it out"
            );
            report.error(at, what, "insert a value for it, or give it a DEFAULT");
        }
    }
}

fn is_null(expr: &Expr) -> bool {
    match expr {
        Expr::Nested(inner) | Expr::Cast { expr: inner, .. } => is_null(inner),
        Expr::Value(value) => matches!(value.value, Value::Null),
        _ => false,
    }
}

fn place(name: Option<&Ident>, otherwise: Place) -> Place {
    name.and_then(|name| Place::known(name.span.start)).unwrap_or(otherwise)
}
