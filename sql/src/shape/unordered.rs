//! Rows whose order is left open and counts: in aggregates that show it, and where some rows are taken and others left.
//! Postgres may give them in one order today and in another tomorrow, so two runs may differ.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use sqlparser::ast::{
    BinaryOperator, Distinct, DuplicateTreatment, Expr, Function, FunctionArgumentClause,
    FunctionArguments, GroupByExpr, LimitClause, OrderByKind, Query, Select, SelectItem, SetExpr,
    Spanned as _, TableFactor, Value, Visit, Visitor, WindowType,
};

use crate::finding::place::Place;
use crate::finding::report::Report;
use crate::names::functions;
use crate::names::name::{fold, parts};
use crate::names::survey::Survey;
use crate::objects::table::Table;
use crate::shape::from::{self, Item};
use crate::waves::conjuncts;

/// What a piece of SQL leaves open.
#[derive(Debug, Clone)]
pub(crate) struct Unordered {
    at: Option<Place>,
    what: String,
    help: &'static str,
}

impl Unordered {
    /// All of it in `node`, whose tables are these, with the keys that unique indexes add to theirs.
    pub(crate) fn all(
        node: &impl Visit,
        tables: &BTreeMap<String, Table>,
        unique: &BTreeMap<String, Vec<Vec<String>>>,
    ) -> Vec<Self> {
        let mut seeker = Seeker { tables, unique, found: Vec::new() };
        let _: ControlFlow<()> = node.visit(&mut seeker);
        seeker.found
    }

    pub(crate) fn report(&self, statement: Place, report: &mut Report) {
        report.warning(self.at.unwrap_or(statement), self.what.clone(), self.help);
    }
}

struct Seeker<'a> {
    tables: &'a BTreeMap<String, Table>,
    unique: &'a BTreeMap<String, Vec<Vec<String>>>,
    found: Vec<Unordered>,
}

impl Visitor for Seeker<'_> {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        if let Expr::Function(function) = expr
            && let Some(name) = parts(&function.name).last()
            && functions::shows_order(&fold(name))
            && !is_ordered(function)
        {
            self.found.push(Unordered {
                at: Place::known(name.span.start),
                what: format!("`{}` puts rows together in an order that nothing says", name.value),
                help: "write ORDER BY inside of its parentheses",
            });
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        let select = query.body.as_select();
        let order = order(query);
        let limits = query.fetch.is_some() || query.limit_clause.as_ref().is_some_and(is_limit);
        if limits && !self.is_whole(&query.body, &order, &[]) {
            self.found.push(Unordered {
                at: Place::known(query.span().start),
                what: "LIMIT takes some of several rows, and ORDER BY does not say which".into(),
                help: "order by a whole key, so that no two rows are level",
            });
        }
        if let Some(Distinct::On(on)) = select.and_then(|select| select.distinct.as_ref())
            && !self.is_whole(&query.body, &order, &on.iter().collect::<Vec<_>>())
        {
            self.found.push(Unordered {
                at: Place::known(query.span().start),
                what: "DISTINCT ON takes one of several rows, and ORDER BY does not say which"
                    .into(),
                help: "order by the columns of DISTINCT ON and then by a whole key, so that no two rows are level",
            });
        }
        ControlFlow::Continue(())
    }
}

fn is_ordered(function: &Function) -> bool {
    let inside = match &function.args {
        FunctionArguments::List(list) => {
            // Postgres sorts what it makes distinct.
            list.duplicate_treatment == Some(DuplicateTreatment::Distinct)
                || list
                    .clauses
                    .iter()
                    .any(|clause| matches!(clause, FunctionArgumentClause::OrderBy(_)))
        }
        _ => false,
    };
    let over = match &function.over {
        Some(WindowType::WindowSpec(window)) => !window.order_by.is_empty(),
        Some(WindowType::NamedWindow(_)) => true,
        None => false,
    };
    inside || over || !function.within_group.is_empty()
}

fn is_limit(clause: &LimitClause) -> bool {
    match clause {
        LimitClause::LimitOffset { limit, offset, .. } => {
            let none = |limit: &Expr| matches!(limit, Expr::Value(value) if matches!(value.value, Value::Null));
            limit.as_ref().is_some_and(|limit| !none(limit)) || offset.is_some()
        }
        LimitClause::OffsetCommaLimit { .. } => true,
    }
}

fn order(query: &Query) -> Vec<&Expr> {
    match query.order_by.as_ref().map(|order| &order.kind) {
        Some(OrderByKind::Expressions(items)) => items.iter().map(|item| &item.expr).collect(),
        _ => Vec::new(),
    }
}

impl Seeker<'_> {
    /// Whether the order leaves no ties, or none that show; `distinct` may be level, too.
    fn is_whole(&self, body: &SetExpr, order: &[&Expr], distinct: &[&Expr]) -> bool {
        let Some(select) = body.as_select() else { return false };
        let grouped: &[Expr] = match &select.group_by {
            GroupByExpr::Expressions(by, _) => by,
            GroupByExpr::All(_) => return false,
        };
        let row_changing = Survey::of(&select.projection).row_changing;
        if grouped.is_empty()
            && row_changing.iter().any(|call| functions::is_aggregate(&fold(call)))
        {
            return true;
        }
        let shown: Vec<&Expr> = order.iter().chain(distinct).copied().collect();
        if all_shown(select, &shown) {
            return true;
        }
        if !grouped.is_empty() {
            return grouped.iter().all(|by| shown.contains(&by));
        }
        from::items(&select.from).iter().all(|item| self.is_told(item, select, &shown))
    }

    /// Whether at most one row of the item has these values.
    fn is_told(&self, item: &Item<'_>, select: &Select, order: &[&Expr]) -> bool {
        let called = item.called();
        let named = |column: &String| {
            order.iter().any(|expr| is_column(expr, &called, column))
                || pinned(select, &called).contains(column)
        };
        match (item.factor, item.table()) {
            _ if item.is_event() => true,
            (_, Some(table)) => {
                let keys = self.tables.get(&table).into_iter().flat_map(Table::keys);
                let unique = self.unique.get(&table).into_iter().flatten();
                keys.chain(unique).any(|key| key.iter().all(named))
            }
            (
                TableFactor::Table { with_ordinality: true, alias: Some(alias), .. }
                | TableFactor::Function { with_ordinality: true, alias: Some(alias), .. }
                | TableFactor::UNNEST { with_ordinality: true, alias: Some(alias), .. },
                None,
            ) => match alias.columns.last() {
                Some(ordinal) => named(&fold(&ordinal.name)),
                None => named(&"ordinality".to_owned()),
            },
            _ => false,
        }
    }
}

/// Whether rows that are level look the same.
fn all_shown(select: &Select, order: &[&Expr]) -> bool {
    let shown = |(index, item): (usize, &SelectItem)| {
        let (expr, alias) = match item {
            SelectItem::UnnamedExpr(expr) => (expr, None),
            SelectItem::ExprWithAlias { expr, alias } => (expr, Some(fold(alias))),
            _ => return false,
        };
        let position = (index + 1).to_string();
        order.iter().any(|by| match by {
            Expr::Value(value) => {
                matches!(&value.value, Value::Number(digits, _) if *digits == position)
            }
            Expr::Identifier(name) if alias.as_ref() == Some(&fold(name)) => true,
            by => *by == expr,
        })
    };
    !select.projection.is_empty() && select.projection.iter().enumerate().all(shown)
}

fn is_column(expr: &Expr, called: &str, column: &str) -> bool {
    match expr {
        Expr::Nested(inner) => is_column(inner, called, column),
        Expr::Identifier(name) => fold(name) == column,
        Expr::CompoundIdentifier(name) => {
            matches!(&name[..], [relation, name] if fold(relation) == called && fold(name) == column)
        }
        _ => false,
    }
}

/// The item's columns that equal something which no other item of this `FROM`, the event aside, has a part in.
fn pinned(select: &Select, called: &str) -> BTreeSet<String> {
    let items = from::items(&select.from);
    let others: BTreeSet<String> =
        items.iter().filter(|item| !item.is_event()).map(Item::called).collect();
    let outside = |value: &Expr| {
        let survey = Survey::of(value);
        survey.bare.is_empty()
            && survey.queries == 0
            && survey.dotted.iter().all(|name| !others.contains(&fold(&name[0])))
    };
    let mut columns = BTreeSet::new();
    let conditions = items.iter().filter_map(|item| item.join.on()).chain(&select.selection);
    for conjunct in conditions.flat_map(conjuncts) {
        let Expr::BinaryOp { left, op: BinaryOperator::Eq, right } = conjunct else { continue };
        for (side, value) in [(left, right), (right, left)] {
            let name = match side.as_ref() {
                Expr::Identifier(name) => Some(fold(name)),
                Expr::CompoundIdentifier(name) if fold(&name[0]) == called => name.last().map(fold),
                _ => None,
            };
            columns.extend(name.filter(|_| outside(value)));
        }
    }
    columns
}
