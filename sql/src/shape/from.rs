//! The items of a `FROM`, and where among them the event relation stands. An event may be replaced by a batch of
//! events only where each of them makes its rows alone: nothing may null-extend it or stand around it.

use sqlparser::ast::{Expr, JoinConstraint, JoinOperator, ObjectName, TableFactor, TableWithJoins};

use crate::names::name::{fold, parts, single};

/// One item of a `FROM`.
pub(crate) struct Item<'a> {
    pub(crate) factor: &'a TableFactor,
    pub(crate) join: Join<'a>,
    /// Index of the first item of its chain of joins.
    pub(crate) chain: usize,
}

/// How an item is joined to those before it.
#[derive(Clone, Copy)]
pub(crate) enum Join<'a> {
    /// By a comma, or as the first of its chain.
    Comma,
    Inner(&'a JoinConstraint),
    Left(&'a JoinConstraint),
    /// RIGHT, FULL and whatever else null-extends or filters those before it.
    Other,
}

impl<'a> Join<'a> {
    fn of(operator: &'a JoinOperator) -> Self {
        match operator {
            JoinOperator::Join(by) | JoinOperator::Inner(by) | JoinOperator::CrossJoin(by) => {
                Self::Inner(by)
            }
            JoinOperator::Left(by) | JoinOperator::LeftOuter(by) => Self::Left(by),
            _ => Self::Other,
        }
    }

    /// The condition, the columns of USING aside.
    pub(crate) fn on(self) -> Option<&'a Expr> {
        match self {
            Self::Inner(JoinConstraint::On(on)) | Self::Left(JoinConstraint::On(on)) => Some(on),
            _ => None,
        }
    }

    pub(crate) fn using(self) -> &'a [ObjectName] {
        match self {
            Self::Inner(JoinConstraint::Using(columns))
            | Self::Left(JoinConstraint::Using(columns)) => columns,
            _ => &[],
        }
    }
}

impl Item<'_> {
    pub(crate) fn is_event(&self) -> bool {
        is_event(self.factor)
    }

    /// The unqualified table or view that it names.
    pub(crate) fn table(&self) -> Option<String> {
        match self.factor {
            TableFactor::Table { name, args: None, .. } => single(name),
            _ => None,
        }
    }

    /// The name by which the statement refers to it.
    pub(crate) fn called(&self) -> String {
        match self.factor {
            TableFactor::Table { alias: Some(alias), .. }
            | TableFactor::Derived { alias: Some(alias), .. }
            | TableFactor::Function { alias: Some(alias), .. }
            | TableFactor::UNNEST { alias: Some(alias), .. } => fold(&alias.name),
            TableFactor::Table { name, .. } | TableFactor::Function { name, .. } => {
                parts(name).last().map(|name| fold(name)).unwrap_or_default()
            }
            _ => String::new(),
        }
    }
}

pub(crate) fn is_event(factor: &TableFactor) -> bool {
    matches!(factor, TableFactor::Table { name, args: None, .. } if name.0.len() == 2)
}

pub(crate) fn items(from: &[TableWithJoins]) -> Vec<Item<'_>> {
    let mut items = Vec::new();
    for chained in from {
        let chain = items.len();
        items.push(Item { factor: &chained.relation, join: Join::Comma, chain });
        for join in &chained.joins {
            items.push(Item { factor: &join.relation, join: Join::of(&join.join_operator), chain });
        }
    }
    items
}

/// Whether the event relation is one of `items`, joined by comma, `CROSS` or `INNER`, or on the left of `LEFT`.
pub(crate) fn holds_event(items: &[Item<'_>]) -> bool {
    let Some(event) = items.iter().position(Item::is_event) else { return false };
    let chain = items[event].chain;
    let joined = matches!(items[event].join, Join::Comma | Join::Inner(_));
    let kept = items[event + 1..]
        .iter()
        .filter(|item| item.chain == chain)
        .all(|item| !matches!(item.join, Join::Other));
    joined && kept
}
