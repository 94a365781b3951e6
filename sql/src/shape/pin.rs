//! An `UPDATE` finds at most one source row for each target row. Else Postgres takes any of them, silently, so each
//! further item of `FROM` must be pinned by equality on one of its whole unique keys.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use sqlparser::ast::{BinaryOperator, Expr, Query, TableFactor, TableWithJoins, Visit, Visitor};

use crate::names::name::{fold, single};
use crate::objects::scope::Scope;
use crate::shape::from::{self, Join};

/// A relation of the statement: its name in it, its columns, its unique keys.
struct Relation {
    called: String,
    columns: Vec<String>,
    keys: Vec<Vec<String>>,
    /// It is the event or the target, which are given.
    given: bool,
}

/// `relations[relation].column` equals something made of `sources` and constants.
struct Equality {
    relation: usize,
    column: String,
    sources: BTreeSet<usize>,
    /// Where it stands in the ON of a LEFT JOIN, it says something about the joined item only.
    only: Option<usize>,
}

/// Names of the items of an UPDATE's `FROM` that are not pinned. `event` are the event relation's columns.
pub(crate) fn loose_items(
    target: (&str, &str),
    from: &[TableWithJoins],
    selection: Option<&Expr>,
    event: &[String],
    scope: &Scope<'_>,
) -> Vec<String> {
    let items = from::items(from);
    let mut pins = Pins {
        relations: vec![table_relation(target.1, target.0, true, scope)],
        equalities: Vec::new(),
    };
    for item in &items {
        let called = item.called();
        pins.relations.push(match item.table() {
            _ if item.is_event() => {
                Relation { called, columns: event.to_vec(), keys: Vec::new(), given: true }
            }
            Some(table) if !renames(item.factor) => table_relation(&called, &table, false, scope),
            _ => Relation { called, columns: Vec::new(), keys: Vec::new(), given: false },
        });
    }
    for (index, item) in items.iter().enumerate() {
        // The target is relation 0, so item i is relation i + 1.
        let only = matches!(item.join, Join::Left(_)).then_some(index + 1);
        if let Some(on) = item.join.on() {
            pins.read(on, only);
        }
        for column in item.join.using().iter().filter_map(single) {
            let sources = (item.chain + 1..=index).collect();
            pins.equalities.push(Equality { relation: index + 1, column, sources, only });
        }
    }
    if let Some(selection) = selection {
        pins.read(selection, None);
    }
    pins.loose()
}

fn table_relation(called: &str, table: &str, given: bool, scope: &Scope<'_>) -> Relation {
    let found = scope.tables.get(table);
    let mut keys: Vec<_> = found.iter().flat_map(|table| table.keys().cloned()).collect();
    keys.extend(scope.unique.get(table).into_iter().flatten().cloned());
    let columns =
        found.iter().flat_map(|table| &table.columns).map(|column| column.name.clone()).collect();
    Relation { called: called.to_owned(), columns, keys, given }
}

fn renames(factor: &TableFactor) -> bool {
    matches!(factor, TableFactor::Table { alias: Some(alias), .. } if !alias.columns.is_empty())
}

struct Pins {
    relations: Vec<Relation>,
    equalities: Vec<Equality>,
}

impl Pins {
    /// Takes the equalities out of a condition: its conjuncts that hold for every row that is left.
    fn read(&mut self, condition: &Expr, only: Option<usize>) {
        match condition {
            Expr::Nested(inner) => self.read(inner, only),
            Expr::BinaryOp { left, op: BinaryOperator::And, right } => {
                self.read(left, only);
                self.read(right, only);
            }
            Expr::BinaryOp { left, op: BinaryOperator::Eq, right } => {
                match (left.as_ref(), right.as_ref()) {
                    (Expr::Tuple(left), Expr::Tuple(right)) if left.len() == right.len() => {
                        left.iter()
                            .zip(right)
                            .for_each(|(left, right)| self.equate(left, right, only));
                    }
                    (left, right) => self.equate(left, right, only),
                }
            }
            _ => {}
        }
    }

    fn equate(&mut self, left: &Expr, right: &Expr, only: Option<usize>) {
        for (column, value) in [(left, right), (right, left)] {
            if let (Some((relation, column)), Some(sources)) =
                (self.column(column), self.sources(value))
            {
                self.equalities.push(Equality { relation, column, sources, only });
            }
        }
    }

    fn column(&self, expr: &Expr) -> Option<(usize, String)> {
        match expr {
            Expr::Nested(inner) => self.column(inner),
            Expr::Identifier(name) => {
                let name = fold(name);
                let mut having = (0..self.relations.len())
                    .filter(|index| self.relations[*index].columns.contains(&name));
                let first = having.next()?;
                having.next().is_none().then_some((first, name))
            }
            Expr::CompoundIdentifier(name) => {
                let [relation, column] = &name[..] else { return None };
                let relation = fold(relation);
                let index = self.relations.iter().position(|other| other.called == relation)?;
                Some((index, fold(column)))
            }
            _ => None,
        }
    }

    /// The relations that an expression is made of; `None` where that cannot be told.
    fn sources(&self, expr: &Expr) -> Option<BTreeSet<usize>> {
        let mut sources = Sources { pins: self, found: BTreeSet::new() };
        match expr.visit(&mut sources) {
            ControlFlow::Continue(()) => Some(sources.found),
            ControlFlow::Break(()) => None,
        }
    }

    /// Pins what hangs on what is pinned already, until nothing is added; then names the rest.
    fn loose(&self) -> Vec<String> {
        let all = 0..self.relations.len();
        let mut pinned: BTreeSet<usize> =
            all.clone().filter(|index| self.relations[*index].given).collect();
        while let Some(next) =
            all.clone().find(|index| !pinned.contains(index) && self.is_pinned(*index, &pinned))
        {
            pinned.insert(next);
        }
        all.filter(|index| !pinned.contains(index))
            .map(|index| self.relations[index].called.clone())
            .collect()
    }

    fn is_pinned(&self, index: usize, pinned: &BTreeSet<usize>) -> bool {
        let fixed = |column: &String| {
            self.equalities.iter().any(|equality| {
                equality.relation == index
                    && equality.column == *column
                    && equality.only.is_none_or(|only| only == index)
                    && equality.sources.is_subset(pinned)
            })
        };
        self.relations[index].keys.iter().any(|key| key.iter().all(fixed))
    }
}

struct Sources<'a> {
    pins: &'a Pins,
    found: BTreeSet<usize>,
}

impl Visitor for Sources<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
        ControlFlow::Break(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        match expr {
            Expr::Identifier(_) | Expr::CompoundIdentifier(_) => match self.pins.column(expr) {
                Some((index, _)) => {
                    self.found.insert(index);
                    ControlFlow::Continue(())
                }
                None => ControlFlow::Break(()),
            },
            _ => ControlFlow::Continue(()),
        }
    }
}
