//! What a piece of parsed SQL names, as flat lists. It only collects, except for syntax that no part of a model may
//! use: that is refused here, once, for tables, views, rules and upcasts alike.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use sqlparser::ast::{
    DataType, Expr, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, ObjectName, Query,
    Select, SelectItem, SetExpr, Spanned, TableAlias, TableFactor, Value, Visit, Visitor,
};

use crate::finding::place::Place;
use crate::finding::report::Report;
use crate::names::functions::{self, Refusal};
use crate::names::name::{fold, parts};
use crate::text::literal;

/// A table factor that names a relation.
#[derive(Debug, Clone)]
pub(crate) struct NamedRelation {
    pub(crate) name: Vec<Ident>,
    pub(crate) alias: Option<Ident>,
    pub(crate) renames_columns: bool,
}

impl NamedRelation {
    pub(crate) fn place(&self) -> Place {
        self.name.first().map_or(Place::START, |ident| Place::from(ident.span.start))
    }

    /// The name by which the statement refers to it, folded.
    pub(crate) fn called(&self) -> String {
        self.alias.as_ref().or(self.name.last()).map(fold).unwrap_or_default()
    }
}

#[derive(Debug)]
struct Refused {
    /// None where the parser did not keep it.
    at: Option<Place>,
    what: String,
    help: String,
    clock: bool,
}

/// Everything that was named, in the order of the text.
#[derive(Debug, Default)]
pub(crate) struct Survey {
    pub(crate) relations: Vec<NamedRelation>,
    /// What the statement writes, as far as its reader says so: it is not among `relations`.
    pub(crate) target: Option<NamedRelation>,
    pub(crate) ctes: BTreeSet<String>,
    /// Names by which derived tables, functions and joins in FROM are called.
    pub(crate) others: Vec<String>,
    /// Aliases of parenthesised joins, whose whole row holds other relations' columns.
    pub(crate) joins: BTreeSet<String>,
    /// Names that select lists give to their items.
    pub(crate) items: BTreeSet<String>,
    /// Names standing alone where a value is expected.
    pub(crate) bare: Vec<Ident>,
    /// Dotted names where a value is expected.
    pub(crate) dotted: Vec<Vec<Ident>>,
    /// Whether a select list holds a star.
    pub(crate) stars: bool,
    pub(crate) queries: usize,
    /// Calls in expressions that make one row of many, many of one, or might (a user's own function).
    pub(crate) row_changing: Vec<Ident>,
    refused: Vec<Refused>,
}

impl Survey {
    pub(crate) fn of(node: &impl Visit) -> Self {
        let mut survey = Self::default();
        let _: ControlFlow<()> = node.visit(&mut survey);
        survey
    }

    pub(crate) fn reads_clock(&self) -> bool {
        self.refused.iter().any(|refused| refused.clock)
    }

    /// Reports what was refused on the way; `statement` stands for places that the parser did not keep. `clock`
    /// allows to read the clock, as views may.
    pub(crate) fn report(&self, statement: Place, clock: bool, report: &mut Report) {
        for refused in self.refused.iter().filter(|refused| !(clock && refused.clock)) {
            let at = refused.at.unwrap_or(statement);
            report.error(at, refused.what.clone(), refused.help.clone());
        }
    }

    fn refuse(&mut self, at: Option<Place>, what: impl Into<String>, help: impl Into<String>) {
        self.refused.push(Refused { at, what: what.into(), help: help.into(), clock: false });
    }

    fn refuse_name(&mut self, name: &Ident, refusal: Refusal) {
        self.refused.push(Refused {
            at: Place::known(name.span.start),
            what: format!("`{}` {}", name.value, refusal.what),
            help: refusal.help.to_owned(),
            clock: refusal.clock,
        });
    }

    fn call(&mut self, name: &ObjectName, arguments: usize) {
        let (schema, function) = match parts(name)[..] {
            [function] => ("pg_catalog".to_owned(), function),
            [schema, function] => (fold(schema), function),
            _ => {
                return self.refuse(
                    start(name),
                    format!("`{name}` is not a function's name"),
                    "write function or schema.function",
                );
            }
        };
        match schema.as_str() {
            "pg_catalog" => {
                if let Some(refusal) = functions::refused_call(&fold(function), arguments) {
                    self.refuse_name(function, refusal);
                }
            }
            "information_schema" => self.refuse(
                start(name),
                format!("`{name}` reads the catalogue"),
                "write the value out",
            ),
            _ => {}
        }
    }

    fn table(&mut self, factor: &TableFactor) {
        let alias = match factor {
            TableFactor::Table { name, alias, args, sample, .. } => {
                if sample.is_some() {
                    self.refuse(start(name), "TABLESAMPLE draws at random", "take it out");
                }
                match args {
                    Some(args) => self.call(name, args.args.len()),
                    None => {
                        let renames_columns =
                            alias.as_ref().is_some_and(|alias| !alias.columns.is_empty());
                        let name: Vec<_> = parts(name).into_iter().cloned().collect();
                        let alias = alias.as_ref().map(|alias| alias.name.clone());
                        return self.relations.push(NamedRelation { name, alias, renames_columns });
                    }
                }
                return self.others.push(called(name, alias.as_ref()));
            }
            TableFactor::Function { name, args, alias, .. } => {
                self.call(name, args.len());
                return self.others.push(called(name, alias.as_ref()));
            }
            TableFactor::Derived { alias, sample, .. } => {
                if sample.is_some() {
                    self.refuse(start(factor), "TABLESAMPLE draws at random", "take it out");
                }
                alias
            }
            TableFactor::UNNEST { alias, .. } => alias,
            TableFactor::NestedJoin { alias, .. } => {
                self.joins.extend(alias.iter().map(|alias| fold(&alias.name)));
                alias
            }
            _ => {
                let help = "FROM may hold tables, event relations, sub-selects, functions and joins of these";
                return self.refuse(start(factor), "this item of FROM is not supported", help);
            }
        };
        self.others.extend(alias.iter().map(|alias| fold(&alias.name)));
    }

    fn expression(&mut self, expr: &Expr) {
        match expr {
            Expr::Identifier(name) => {
                if name.quote_style.is_none()
                    && let Some(refusal) = functions::refused_word(&fold(name))
                {
                    self.refuse_name(name, refusal);
                }
                self.bare.push(name.clone());
            }
            Expr::CompoundIdentifier(name) => self.dotted.push(name.clone()),
            Expr::Function(function) => {
                let arguments = match &function.args {
                    FunctionArguments::List(list) => list.args.as_slice(),
                    _ => &[],
                };
                self.call(&function.name, arguments.len());
                let whole_row = |argument: &FunctionArg| {
                    matches!(argument, FunctionArg::Unnamed(FunctionArgExpr::QualifiedWildcard(_)))
                };
                self.stars |= arguments.iter().any(whole_row);
                let names = parts(&function.name);
                let folded = names.last().map(|name| fold(name)).unwrap_or_default();
                let changes = names.len() > 1
                    || functions::is_aggregate(&folded)
                    || functions::is_set_returning(&folded);
                if changes
                    || function.over.is_some()
                    || function.filter.is_some()
                    || !function.within_group.is_empty()
                {
                    self.row_changing.extend(names.last().map(|name| (*name).clone()));
                }
            }
            Expr::QualifiedWildcard(..) | Expr::Wildcard(_) => self.stars = true,
            Expr::Cast { expr: inner, data_type, .. } => {
                let text = match inner.as_ref() {
                    Expr::Nested(nested) => nested.as_ref(),
                    other => other,
                };
                let text = if let Expr::Value(value) = text { Some(&value.value) } else { None };
                self.cast(expr, text, data_type);
            }
            Expr::TypedString(typed) => self.cast(expr, Some(&typed.value.value), &typed.data_type),
            _ => {}
        }
    }

    fn cast(&mut self, place: &Expr, literal: Option<&Value>, data_type: &DataType) {
        let name = data_type.to_string().to_ascii_lowercase();
        let name = name.trim_start_matches("pg_catalog.");
        if functions::refused(name.trim_end_matches("[]")).is_some() {
            self.refuse(
                start(place),
                format!("a cast to `{name}` reads the catalogue"),
                "write the value out, as text",
            );
        }
        let text = literal.and_then(|value| value.clone().into_string());
        if (name.contains("time") || name.contains("date"))
            && let Some(word) = text.as_deref().and_then(literal::clock_word)
        {
            self.refused.push(Refused {
                at: start(place),
                what: format!(
                    "'{word}' as a time reads the clock, so a rebuild would give other rows"
                ),
                help: "use the event's time, `_time`".into(),
                clock: true,
            });
        }
    }
}

/// The name by which a function in FROM is called, folded.
fn called(function: &ObjectName, alias: Option<&TableAlias>) -> String {
    alias.map(|alias| &alias.name).or(parts(function).last().copied()).map(fold).unwrap_or_default()
}

/// Where a node begins; none where the parser did not keep it.
fn start(node: &impl Spanned) -> Option<Place> {
    Place::known(node.span().start)
}

impl Visitor for Survey {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        self.queries += 1;
        for cte in query.with.iter().flat_map(|with| &with.cte_tables) {
            let name = fold(&cte.alias.name);
            if name.starts_with("pg_") {
                self.refuse(
                    Place::known(cte.alias.name.span.start),
                    format!("`{name}` bears a name of the catalogue"),
                    "choose another name",
                );
            }
            self.ctes.insert(name);
        }
        if !query.locks.is_empty() {
            self.refuse(
                start(query),
                "FOR UPDATE and FOR SHARE are not part of a model",
                "take it out: Vitrina locks what it needs",
            );
        }
        if matches!(
            *query.body,
            SetExpr::Insert(_) | SetExpr::Update(_) | SetExpr::Delete(_) | SetExpr::Merge(_)
        ) {
            self.refuse(
                start(query),
                "a query that changes data is not supported",
                "write a rule of its own for each change",
            );
        }
        if matches!(*query.body, SetExpr::Table(_)) {
            self.refuse(
                start(query),
                "`TABLE name` as a query is not supported",
                "write SELECT * FROM name",
            );
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<()> {
        self.stars |= select.projection.iter().any(|item| {
            matches!(item, SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..))
        });
        self.items.extend(select.projection.iter().filter_map(|item| match item {
            SelectItem::ExprWithAlias { alias, .. } => Some(fold(alias)),
            _ => None,
        }));
        if select.into.is_some() {
            self.refuse(
                start(select),
                "SELECT … INTO makes a table",
                "write CREATE TABLE and INSERT INTO … SELECT",
            );
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
        self.table(factor);
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        self.expression(expr);
        ControlFlow::Continue(())
    }
}
