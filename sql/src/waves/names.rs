//! What the names in a rule's expressions refer to. Only where that is certain is an expression called the event's own:
//! then its value depends on nothing but the event.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use sqlparser::ast::{Expr, Ident, Query, UnaryOperator, Value, Visit, Visitor};
use sqlparser::tokenizer::Token;

use super::facts::position;
use super::types::{SqlType, Types};
use crate::model::Model;
use crate::names::name::fold;
use crate::names::survey::Survey;
use crate::shape::rule::Rule;
use crate::text::{Lexeme, Text};

/// A relation as a statement calls it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CalledRelation {
    pub(crate) called: String,
    pub(crate) source: Source,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    Event,
    /// Index into the model's tables.
    Table(usize),
    /// Its columns are not known.
    Opaque,
}

pub(crate) enum Referent {
    /// A column of the event.
    Field(String),
    /// A column of an item of the same level.
    Column { item: usize, column: usize },
}

pub(crate) struct Names<'a> {
    pub(crate) model: &'a Model,
    pub(crate) types: &'a dyn Types,
    pub(crate) rule: &'a Rule,
    /// Every relation that the statement mentions, anywhere.
    pub(crate) all: Vec<CalledRelation>,
}

impl Names<'_> {
    /// What a column's name refers to, where `own` are the items of its own `FROM`.
    pub(crate) fn resolve(&self, expr: &Expr, own: &[CalledRelation]) -> Option<Referent> {
        match expr {
            Expr::Nested(inner) => self.resolve(inner, own),
            Expr::Identifier(name) => self.bare(&fold(name), own),
            Expr::CompoundIdentifier(name) => match &name[..] {
                [relation, column] => self.dotted(&fold(relation), &fold(column), own),
                _ => None,
            },
            _ => None,
        }
    }

    fn dotted(&self, relation: &str, column: &str, own: &[CalledRelation]) -> Option<Referent> {
        if let Some(item) = own.iter().position(|mention| mention.called == relation) {
            return self.column_of(item, own[item].source, column);
        }
        let mut outer = self.all.iter().filter(|mention| mention.called == relation).peekable();
        outer.peek()?;
        outer.all(|mention| mention.source == Source::Event).then_some(())?;
        self.field(column)
    }

    fn bare(&self, column: &str, own: &[CalledRelation]) -> Option<Referent> {
        let holders: Vec<usize> =
            (0..own.len()).filter(|item| self.holds(own[*item].source, column)).collect();
        // From around, a name that says no relation could be anything's.
        let [item] = holders[..] else { return None };
        self.column_of(item, own[item].source, column)
    }

    fn column_of(&self, item: usize, source: Source, column: &str) -> Option<Referent> {
        match source {
            Source::Event => self.field(column),
            Source::Table(table) => Some(Referent::Column {
                item,
                column: position(&self.model.tables[table], column)?,
            }),
            Source::Opaque => None,
        }
    }

    fn holds(&self, source: Source, column: &str) -> bool {
        match source {
            Source::Event => self.field(column).is_some(),
            Source::Table(table) => self.model.tables[table].has(column),
            Source::Opaque => false,
        }
    }

    fn field(&self, column: &str) -> Option<Referent> {
        self.types.event(&self.rule.context, &self.rule.event, column)?;
        Some(Referent::Field(column.to_owned()))
    }

    /// The event's columns that an expression is made of, if it is made of them and constants alone, one value from one
    /// event. A collation of its own would compare in another way than the column does.
    pub(crate) fn event_only(
        &self,
        expr: &Expr,
        own: &[CalledRelation],
    ) -> Option<BTreeSet<String>> {
        let mut fields = Fields { names: self, own, found: BTreeSet::new() };
        let made_alone = expr.visit(&mut fields).is_continue();
        (made_alone && Survey::of(expr).row_changing.is_empty()).then_some(fields.found)
    }

    /// The type of an expression of the event's, where its text shows it.
    pub(crate) fn type_of(&self, expr: &Expr, own: &[CalledRelation]) -> Option<SqlType> {
        match expr {
            Expr::Nested(inner) | Expr::UnaryOp { op: UnaryOperator::Minus, expr: inner } => {
                self.type_of(inner, own)
            }
            Expr::Cast { data_type, .. } => SqlType::read(&data_type.to_string()),
            Expr::Value(value) => match &value.value {
                Value::Number(digits, _) if digits.parse::<i64>().is_ok() => SqlType::read("int8"),
                _ => None,
            },
            _ => match self.resolve(expr, own)? {
                Referent::Field(field) => SqlType::read(&self.types.event(
                    &self.rule.context,
                    &self.rule.event,
                    &field,
                )?),
                Referent::Column { .. } => None,
            },
        }
    }
}

struct Fields<'a, 'b> {
    names: &'a Names<'b>,
    own: &'a [CalledRelation],
    found: BTreeSet<String>,
}

impl Visitor for Fields<'_, '_> {
    type Break = ();

    fn pre_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
        ControlFlow::Break(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        match expr {
            Expr::Identifier(_) | Expr::CompoundIdentifier(_) => {
                match self.names.resolve(expr, self.own) {
                    Some(Referent::Field(field)) => {
                        self.found.insert(field);
                        ControlFlow::Continue(())
                    }
                    _ => ControlFlow::Break(()),
                }
            }
            Expr::Collate { .. } | Expr::Wildcard(_) | Expr::QualifiedWildcard(..) => {
                ControlFlow::Break(())
            }
            _ => ControlFlow::Continue(()),
        }
    }
}

/// The user's own text of an expression: the place in the rule whose words are those of the printed tree. Where printing
/// changed a word, there is none, and nothing is lost but speed.
pub(crate) fn original(rule: &Rule, expr: &Expr) -> Option<String> {
    let (text, printed) = (Text::new(&rule.sql).ok()?, expr.to_string());
    let printed = Text::new(&printed).ok()?;
    let wanted: Vec<&Lexeme> = printed.significant().collect();
    let words: Vec<&Lexeme> = text.significant().collect();
    let same = |(one, other): (&&Lexeme, &&Lexeme)| match (&one.token.token, &other.token.token) {
        (Token::Word(one), Token::Word(other))
            if one.quote_style.is_none() && other.quote_style.is_none() =>
        {
            one.value.eq_ignore_ascii_case(&other.value)
        }
        (one, other) => one == other,
    };
    let found = words.windows(wanted.len().max(1)).find(|run| run.iter().zip(&wanted).all(same))?;
    Some(rule.sql[found.first()?.bytes.start..found.last()?.bytes.end].to_owned())
}

/// The name by which an expression calls the event; `None`: by several.
pub(crate) fn event_called(expr: &Expr, rule: &Names<'_>) -> Option<String> {
    let survey = Survey::of(expr);
    let mut called: BTreeSet<String> = survey
        .dotted
        .iter()
        .filter_map(|name| name.first())
        .map(|name: &Ident| fold(name))
        .collect();
    if called.is_empty() {
        called.extend(
            rule.all
                .iter()
                .find(|mention| mention.source == Source::Event)
                .map(|event| event.called.clone()),
        );
    }
    if called.len() == 1 { called.pop_first() } else { None }
}
