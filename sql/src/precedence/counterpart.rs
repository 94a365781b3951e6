//! What a rule takes from a table, whether another rule brings the same when the table changes, and the rule that would.
//! What cannot be told counts as all of it.

use std::collections::BTreeSet;

use sqlparser::ast::{
    BinaryOperator, Expr, Ident, Select, Statement, TableWithJoins, UpdateTableFromKind,
};

use crate::names::name::fold;
use crate::names::survey::{NamedRelation, Survey};
use crate::objects::table::Table;
use crate::shape::from::{self, Join};
use crate::shape::rule::{Rule, RuleKind};
use crate::shape::written::{assigned, assignments, inserted};
use crate::waves::conjuncts;

/// One rule's look at one table.
pub(crate) struct Lookup<'a> {
    rule: &'a Rule,
    table: &'a Table,
    target: Option<&'a Table>,
    /// The name by which the rule calls the table, where it is an item of the rule's own `FROM` and nothing else.
    called: Option<String>,
    /// Whether it counts that there is a row.
    exists: bool,
    /// The columns whose values count; `None`: all.
    columns: Option<BTreeSet<String>>,
    /// Columns of the target that are made of it, and how.
    made: Vec<(String, &'a Expr)>,
}

impl<'a> Lookup<'a> {
    /// `viewed`: the rule reads the table through a view, too, so all of it.
    pub(crate) fn of(rule: &'a Rule, table: &'a Table, tables: &'a [Table], viewed: bool) -> Self {
        let target = tables.iter().find(|known| known.name == rule.target);
        let mut lookup = Self {
            rule,
            table,
            target,
            called: None,
            exists: true,
            columns: None,
            made: Vec::new(),
        };
        let all = Survey::of(&rule.ast);
        let of_table = |name: &[Ident]| name.len() == 1 && fold(&name[0]) == table.name;
        let mentions: Vec<String> = all
            .relations
            .iter()
            .filter(|named| of_table(&named.name))
            .map(NamedRelation::called)
            .collect();
        if viewed || mentions.is_empty() {
            return lookup;
        }
        let named = mentions.iter().flat_map(|called| lookup.named(&all, called)).collect();
        lookup.columns = Some(named);
        let items = from::items(own_from(&rule.ast));
        let item = items.iter().find(|item| item.table().as_ref() == Some(&table.name));
        if let ([called], Some(item)) = (&mentions[..], item) {
            // What only finds the row does not count: without a row, its columns are NULL.
            if matches!(item.join, Join::Left(_)) {
                let values = values(&rule.ast);
                let named = values.iter().flat_map(|survey| lookup.named(survey, called));
                lookup.columns = Some(named.collect());
                lookup.exists = false;
            }
            let made = lookup.pairs().into_iter();
            let made =
                made.filter(|(_, expr)| !lookup.named(&Survey::of(*expr), called).is_empty());
            lookup.made = made.collect();
            lookup.called = Some(called.clone());
        }
        lookup
    }

    /// Columns of the table that are named; generated ones stand for all that they may be made of.
    fn named(&self, survey: &Survey, called: &str) -> BTreeSet<String> {
        let dotted = survey.dotted.iter().filter_map(|name| match &name[..] {
            [relation, column] if fold(relation) == called => Some(fold(column)),
            _ => None,
        });
        let bare = survey.bare.iter().map(fold);
        let mut named: BTreeSet<String> =
            dotted.chain(bare.filter(|name| self.table.has(name))).collect();
        let generated =
            |column: &crate::TableColumn| column.generated && named.contains(&column.name);
        let whole = survey.stars || survey.bare.iter().any(|name| fold(name) == called);
        if whole || self.table.columns.iter().any(generated) {
            let values = self.table.columns.iter().map(|column| &column.name);
            named.extend(values.filter(|name| !self.table.key.contains(name)).cloned());
        }
        named
    }

    /// What the rule writes, each column with its value.
    fn pairs(&self) -> Vec<(String, &'a Expr)> {
        match (&self.rule.ast, self.target) {
            (Statement::Insert(insert), Some(target)) => inserted(insert, target)
                .unwrap_or_default()
                .into_iter()
                .map(|(column, value)| (target.columns[column].name.clone(), value))
                .collect(),
            (ast, _) => {
                let set = assignments(ast).iter();
                set.filter_map(|item| {
                    let column = assigned(std::slice::from_ref(item)).next()?;
                    Some((fold(column), &item.value))
                })
                .collect()
            }
        }
    }

    /// Whether what `writer` does to the table may be seen by the rule.
    pub(crate) fn sees(&self, writer: &Rule) -> bool {
        let Some(columns) = &self.columns else { return true };
        writer.kind == RuleKind::Delete
            || (writer.kind == RuleKind::Insert && self.exists)
            || written(writer, self.table).is_none_or(|written| !written.is_disjoint(columns))
    }

    /// Whether `half` writes all columns that the rule makes of the table.
    pub(crate) fn is_brought_by(&self, half: &Rule) -> bool {
        let Some(target) = self.target.filter(|_| half.kind != RuleKind::Delete) else {
            return true;
        };
        let written = written(half, target);
        written.is_none_or(|written| self.made.iter().all(|(column, _)| written.contains(column)))
    }

    /// The rule to write, for the event of `writer`; with gaps where it cannot be told.
    pub(crate) fn counterpart(&self, writer: &Rule) -> String {
        self.whole_counterpart(writer).unwrap_or_else(|| {
            let (target, event) = (&self.rule.target, relation(writer));
            format!("UPDATE {target} SET … FROM {event} e WHERE {target}.… = e.…")
        })
    }

    fn whole_counterpart(&self, writer: &Rule) -> Option<String> {
        let (table, called, target) = (self.table, self.called.as_ref()?, self.target?);
        let Statement::Insert(insert) = &writer.ast else { return None };
        let pairs = inserted(insert, table)?;
        let value = |column: &String| {
            let value = pairs.iter().find(|(at, _)| table.columns[*at].name == *column)?.1;
            Some(value.to_string())
        };
        let (mut joins, mut conditions) = (Vec::new(), Vec::new());
        for column in &table.key {
            let looked_for = self.compared_with(column, called)?;
            let own = self.pairs().into_iter().find(|(_, value)| *value == looked_for)?.0;
            let value = value(column)?;
            joins.push(format!("{called}.{column} = {value}"));
            conditions.push(format!("{}.{own} = {value}", target.name));
        }
        let set: Vec<String> =
            self.made.iter().map(|(column, value)| format!("{column} = {value}")).collect();
        let event = Survey::of(&self.rule.ast).relations.into_iter();
        let event =
            event.filter(|named| named.name.len() > 1).map(|named| named.called()).next()?;
        let of_event = |(_, value): &(String, &Expr)| {
            Survey::of(*value).dotted.iter().any(|name| fold(&name[0]) == event)
        };
        // What this rule's own event brings is not at hand when the other comes.
        if set.is_empty() || self.made.iter().any(of_event) {
            return None;
        }
        let writers = Survey::of(&writer.ast).relations.into_iter();
        let alias =
            writers.filter(|named| named.name.len() > 1).map(|named| named.called()).next()?;
        Some(format!(
            "UPDATE {} SET {} FROM {} {alias} JOIN {} {called} ON {} WHERE {}",
            target.name,
            set.join(", "),
            relation(writer),
            table.name,
            joins.join(" AND "),
            conditions.join(" AND ")
        ))
    }

    /// What the rule compares the table's column with, by `=`.
    fn compared_with(&self, column: &str, called: &str) -> Option<&'a Expr> {
        let items = from::items(own_from(&self.rule.ast));
        let conditions = items.iter().filter_map(|item| item.join.on());
        let conditions = conditions
            .chain(own_select(&self.rule.ast).and_then(|select| select.selection.as_ref()));
        let is_column = |expr: &Expr| {
            matches!(expr, Expr::CompoundIdentifier(name)
                if matches!(&name[..], [relation, name] if fold(relation) == called && fold(name) == column))
        };
        conditions.flat_map(conjuncts).find_map(|conjunct| match conjunct {
            Expr::BinaryOp { left, op: BinaryOperator::Eq, right } if is_column(left) => {
                Some(right.as_ref())
            }
            Expr::BinaryOp { left, op: BinaryOperator::Eq, right } if is_column(right) => {
                Some(left.as_ref())
            }
            _ => None,
        })
    }
}

/// What a rule names outside of how its items are joined.
fn values(ast: &Statement) -> Vec<Survey> {
    match (ast, own_select(ast)) {
        (Statement::Update(update), _) => {
            vec![Survey::of(&update.assignments), Survey::of(&update.selection)]
        }
        (Statement::Insert(insert), Some(select)) => {
            vec![
                Survey::of(&select.projection),
                Survey::of(&select.selection),
                Survey::of(&insert.on),
            ]
        }
        _ => vec![Survey::of(ast)],
    }
}

/// The columns that a rule writes; `None` where that cannot be told.
fn written(rule: &Rule, table: &Table) -> Option<BTreeSet<String>> {
    let mut written: BTreeSet<String> = assigned(assignments(&rule.ast)).map(fold).collect();
    if let Statement::Insert(insert) = &rule.ast {
        let pairs = inserted(insert, table)?;
        written.extend(pairs.into_iter().map(|(at, _)| table.columns[at].name.clone()));
    }
    Some(written)
}

fn relation(rule: &Rule) -> String {
    format!("{}.{}", rule.context, rule.event)
}

fn own_select(ast: &Statement) -> Option<&Select> {
    match ast {
        Statement::Insert(insert) => insert.source.as_deref()?.body.as_select(),
        _ => None,
    }
}

fn own_from(ast: &Statement) -> &[TableWithJoins] {
    match ast {
        Statement::Insert(_) => own_select(ast).map_or(&[], |select| &select.from),
        Statement::Update(update) => match &update.from {
            Some(UpdateTableFromKind::AfterSet(from)) => from,
            _ => &[],
        },
        Statement::Delete(delete) => delete.using.as_deref().unwrap_or_default(),
        _ => &[],
    }
}
