//! Effects on a column that are merges: many of them, one after another, are one of the same kind.

use crate::waves::sabotage::{Line, left_out};
use sqlparser::ast::{
    BinaryOperator, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Ident,
};

use crate::names::name::{fold as folded, single};

/// How the values of several events become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fold {
    /// Of a column that only the insert writes.
    First,
    /// `c = EXCLUDED.c`, `c = f(e)`
    Last,
    /// `c = t.c + …`
    Sum,
    /// `c = GREATEST(t.c, …)`
    Greatest,
    /// `c = LEAST(t.c, …)`
    Least,
    /// `c = COALESCE(EXCLUDED.c, t.c)`
    LastNotNull,
    /// `c = COALESCE(t.c, EXCLUDED.c)`
    FirstNotNull,
}

/// A `SET` item as a fold of the column's old value (`None`: it does not look at it) with a new one.
pub(crate) struct SetItem<'a> {
    pub(crate) fold: Fold,
    pub(crate) value: &'a Expr,
    /// The value is taken away, not added.
    pub(crate) negated: bool,
}

impl<'a> SetItem<'a> {
    /// `is_old` tells the column's own old value.
    pub(crate) fn read(expr: &'a Expr, is_old: &dyn Fn(&Expr) -> bool) -> Self {
        let (fold, value, negated) = match expr {
            Expr::Nested(inner) => return Self::read(inner, is_old),
            Expr::BinaryOp { left, op: BinaryOperator::Plus, right } if is_old(left) => {
                (Fold::Sum, &**right, false)
            }
            Expr::BinaryOp { left, op: BinaryOperator::Plus, right } if is_old(right) => {
                (Fold::Sum, &**left, false)
            }
            Expr::BinaryOp { left, op: BinaryOperator::Minus, right } if is_old(left) => {
                (Fold::Sum, &**right, true)
            }
            Expr::Function(function) => match Self::call(function, is_old) {
                Some((fold, value)) => (fold, value, false),
                None => (Fold::Last, expr, false),
            },
            _ => (Fold::Last, expr, false),
        };
        Self { fold, value, negated }
    }

    fn call(function: &'a Function, is_old: &dyn Fn(&Expr) -> bool) -> Option<(Fold, &'a Expr)> {
        let [first, second] = &arguments(function)?[..] else { return None };
        match single(&function.name)?.as_str() {
            "greatest" if is_old(first) => Some((Fold::Greatest, second)),
            "greatest" if is_old(second) => Some((Fold::Greatest, first)),
            "least" if is_old(first) => Some((Fold::Least, second)),
            "least" if is_old(second) => Some((Fold::Least, first)),
            "coalesce" if is_old(first) => Some((Fold::FirstNotNull, second)),
            "coalesce" if is_old(second) => Some((Fold::LastNotNull, first)),
            _ => None,
        }
    }
}

fn arguments(function: &Function) -> Option<Vec<&Expr>> {
    let FunctionArguments::List(list) = &function.args else { return None };
    let plain = list.args.iter().map(|argument| match argument {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr),
        _ => None,
    });
    plain.collect()
}

/// Whether an expression is `relation.column`, parentheses aside.
pub(crate) fn is_column(expr: &Expr, relation: &str, column: &str) -> bool {
    match expr {
        Expr::Nested(inner) => is_column(inner, relation, column),
        Expr::CompoundIdentifier(name) => {
            let same = |ident: &Ident, other: &str| folded(ident) == other;
            matches!(&name[..], [first, second] if same(first, relation) && same(second, column))
        }
        _ => false,
    }
}

impl Fold {
    /// The aggregate over the events of one key. A NULL among values that may not be NULL makes it NULL, so that
    /// Postgres refuses it as it would have refused that event.
    pub(crate) fn aggregate(self, value: &str, ordinal: &str, not_null: bool) -> String {
        let pick = |order: &str, filter: &str| {
            format!("(array_agg({value} ORDER BY {ordinal}{order}){filter})[1]")
        };
        let known = format!(" FILTER (WHERE {value} IS NOT NULL)");
        let merged = match self {
            Self::First => pick("", ""),
            Self::Last => pick(" DESC", ""),
            Self::Sum => format!("sum({value})"),
            Self::Greatest => format!("max({value})"),
            Self::Least => format!("min({value})"),
            Self::LastNotNull => pick(" DESC", &known),
            Self::FirstNotNull => pick("", &known),
        };
        if not_null && !left_out(Line::NotNull) {
            format!("CASE WHEN count({value}) = count(*) THEN {merged} END")
        } else {
            merged
        }
    }

    /// The `SET` expression that folds `new` into the row's `old` value.
    pub(crate) fn step(self, old: &str, new: &str) -> String {
        match self {
            Self::First => old.to_owned(),
            Self::Last => new.to_owned(),
            Self::Sum => format!("{old} + {new}"),
            Self::Greatest => format!("GREATEST({old}, {new})"),
            Self::Least => format!("LEAST({old}, {new})"),
            Self::LastNotNull => format!("COALESCE({new}, {old})"),
            Self::FirstNotNull => format!("COALESCE({old}, {new})"),
        }
    }
}
