//! One `FROM` with its conditions: which columns of its tables must equal a value of the event, or the row has no effect
//! there. Only equalities that stand by themselves count, joined by `AND`.

use sqlparser::ast::{
    BinaryOperator, Expr, Ident, JoinConstraint, JoinOperator, TableFactor, TableWithJoins, Value,
};

use super::access::KeyPart;
use super::keys::{EventKeys, KeyValue};
use super::names::{CalledRelation, Names, Referent, Source, event_called, original};
use super::sabotage::{Line, left_out};
use super::types::{Kind, SqlType};
use crate::names::name::{quoted, single};
use crate::shape::from::{self, Item, Join};
use crate::shape::rule::BATCH;

/// Whether a value is stored in a column, which converts it, or compared with it, which may convert the column.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Use {
    Stored,
    Compared,
}

/// The items of a level and what its conditions say of them.
pub(crate) struct Level {
    pub(crate) own: Vec<CalledRelation>,
    /// For each item.
    pub(crate) parts: Vec<Vec<KeyPart>>,
}

/// Reads levels of one rule and collects the keys they need.
pub(crate) struct Keyed<'a, 'k> {
    pub(crate) names: &'a Names<'a>,
    pub(crate) types: &'a dyn Fn(usize, usize) -> Option<&'a SqlType>,
    /// Whether the event's columns have the event's values wherever the rule mentions them: nothing null-extends it.
    pub(crate) whole: bool,
    pub(crate) keys: &'k mut EventKeys,
}

impl<'a> Keyed<'a, '_> {
    /// `target` is what an UPDATE or DELETE writes: it stands beside the items of its `FROM`, as the last one here.
    pub(crate) fn level(
        &mut self,
        from: &[TableWithJoins],
        selection: Option<&Expr>,
        target: Option<CalledRelation>,
    ) -> Level {
        let items = from::items(from);
        let mut own: Vec<CalledRelation> = items.iter().map(|item| self.mention(item)).collect();
        own.extend(target);
        let mut level = Level { parts: vec![Vec::new(); own.len()], own };
        for (index, item) in items.iter().enumerate() {
            let only = matches!(item.join, Join::Left(_)).then_some(index);
            if let Some(on) = item.join.on() {
                self.read(on, only, &mut level);
            }
            for column in item.join.using().iter().filter_map(single) {
                self.using(&column, item.chain..index, index, &mut level);
            }
        }
        if let Some(selection) = selection {
            self.read(selection, None, &mut level);
        }
        level
    }

    fn mention(&self, item: &Item<'_>) -> CalledRelation {
        let renamed = matches!(item.factor, TableFactor::Table { alias: Some(alias), .. } if !alias.columns.is_empty());
        let table = item.table().filter(|_| !renamed);
        let tables = &self.names.model.tables;
        let source = match table.and_then(|name| tables.iter().position(|table| table.name == name))
        {
            _ if item.is_event() => Source::Event,
            Some(table) => Source::Table(table),
            None => Source::Opaque,
        };
        CalledRelation { called: item.called(), source }
    }

    /// The merged column of USING equals the event's where the event is the only item before that has it.
    fn using(
        &mut self,
        column: &str,
        before: std::ops::Range<usize>,
        item: usize,
        level: &mut Level,
    ) {
        let holding: Vec<Expr> = before
            .map(|index| {
                let relation = Ident::with_quote('"', &level.own[index].called);
                Expr::CompoundIdentifier(vec![relation, Ident::with_quote('"', column)])
            })
            .filter(|name| self.names.resolve(name, &level.own).is_some())
            .collect();
        let opaque = level.own.iter().any(|mention| mention.source == Source::Opaque);
        let called = Ident::with_quote('"', &level.own[item].called);
        if let ([value], false) = (&holding[..], opaque) {
            let joined = Expr::CompoundIdentifier(vec![called, Ident::with_quote('"', column)]);
            self.equate(&joined, value, Some(item), level);
        }
    }

    fn read(&mut self, condition: &Expr, only: Option<usize>, level: &mut Level) {
        for conjunct in conjuncts(condition) {
            if let Expr::BinaryOp { left, op: BinaryOperator::Eq, right } = conjunct {
                match (left.as_ref(), right.as_ref()) {
                    (Expr::Tuple(left), Expr::Tuple(right)) if left.len() == right.len() => {
                        left.iter()
                            .zip(right)
                            .for_each(|(left, right)| self.equate(left, right, only, level));
                    }
                    (left, right) => self.equate(left, right, only, level),
                }
            }
        }
    }

    fn equate(&mut self, left: &Expr, right: &Expr, only: Option<usize>, level: &mut Level) {
        for (side, value) in [(left, right), (right, left)] {
            let Some(Referent::Column { item, column }) = self.names.resolve(side, &level.own)
            else {
                continue;
            };
            let Source::Table(table) = level.own[item].source else { continue };
            let known = level.parts[item].iter().any(|part| part.column == column);
            if known || only.is_some_and(|only| only != item) {
                continue;
            }
            level.parts[item].extend(self.part(table, column, value, Use::Compared, &level.own));
        }
    }

    /// The key part `column = value`, where the event alone gives the value.
    pub(crate) fn part(
        &mut self,
        table: usize,
        column: usize,
        value: &Expr,
        used: Use,
        own: &[CalledRelation],
    ) -> Option<KeyPart> {
        let ty = (self.types)(table, column)?;
        let key = self.value(value, ty, used, own)?;
        let text = original(self.names.rule, value).unwrap_or_else(|| value.to_string());
        Some(KeyPart { column, key: self.keys.slot(key), text })
    }

    fn value(
        &mut self,
        expr: &Expr,
        ty: &SqlType,
        used: Use,
        own: &[CalledRelation],
    ) -> Option<KeyValue> {
        if let Expr::Nested(inner) = expr {
            return self.value(inner, ty, used, own);
        }
        if let Expr::Value(value) = expr {
            return constant(&value.value, ty);
        }
        let field = match self.names.resolve(expr, own) {
            Some(Referent::Field(field)) => Some(field),
            Some(Referent::Column { .. }) => return None,
            None => None,
        };
        let own_type = self.names.type_of(expr, own);
        if let (Some(field), Some(own_type)) = (&field, &own_type)
            && (ty.compares_bytewise_with(own_type) || left_out(Line::ConvertedFields))
        {
            return Some(KeyValue::Field(field.clone()));
        }
        // A float would convert the column, and so equal numbers that the column tells apart.
        let exact = own_type.is_some_and(|own| own.is_exact_number());
        if used == Use::Compared && ty.is_exact_number() && !exact && !left_out(Line::FloatCompared)
        {
            return None;
        }
        let fields = self.names.event_only(expr, own).filter(|fields| !fields.is_empty())?;
        if field.is_none() && !self.whole {
            return None;
        }
        let (text, called) = (original(self.names.rule, expr)?, event_called(expr, self.names)?);
        Some(KeyValue::Asked { sql: asked(&text, &called, ty), columns: fields })
    }
}

/// A scalar query over one event of a batch.
fn asked(text: &str, called: &str, ty: &SqlType) -> String {
    let cast = format!("({text})::{}", ty.sql);
    let value = match ty.hash_function().filter(|_| !left_out(Line::HashedByPostgres)) {
        Some(hash) => format!("{hash}({cast}, 0)"),
        None => cast,
    };
    format!("(SELECT {value} FROM (SELECT {BATCH}.*) AS {})", quoted(called))
}

/// The conditions that must all hold.
pub(crate) fn conjuncts(condition: &Expr) -> Vec<&Expr> {
    match condition {
        Expr::Nested(inner) => conjuncts(inner),
        Expr::BinaryOp { left, op, right }
            if *op == BinaryOperator::And
                || (*op == BinaryOperator::Or && left_out(Line::TopLevelAnd)) =>
        {
            let mut all = conjuncts(left);
            all.extend(conjuncts(right));
            all
        }
        other => vec![other],
    }
}

/// A literal in the binary format of the column's type.
fn constant(value: &Value, ty: &SqlType) -> Option<KeyValue> {
    let bytes = match (value, ty.kind) {
        (Value::Null, _) => return Some(KeyValue::Null),
        (Value::SingleQuotedString(text), Kind::Text) => text.clone().into_bytes(),
        (Value::Number(digits, _), Kind::Int2) => {
            digits.parse::<i16>().ok()?.to_be_bytes().to_vec()
        }
        (Value::Number(digits, _), Kind::Int4) => {
            digits.parse::<i32>().ok()?.to_be_bytes().to_vec()
        }
        (Value::Number(digits, _), Kind::Int8) => {
            digits.parse::<i64>().ok()?.to_be_bytes().to_vec()
        }
        (Value::Boolean(truth), Kind::Bool) => vec![u8::from(*truth)],
        _ => return None,
    };
    Some(KeyValue::Constant(bytes))
}

/// Whether an item of this `FROM` is joined by the columns that happen to have one name.
pub(crate) fn is_natural(from: &[TableWithJoins]) -> bool {
    from.iter().flat_map(|chain| &chain.joins).any(|join| {
        let (JoinOperator::Join(by)
        | JoinOperator::Inner(by)
        | JoinOperator::Left(by)
        | JoinOperator::LeftOuter(by)
        | JoinOperator::Right(by)
        | JoinOperator::RightOuter(by)
        | JoinOperator::FullOuter(by)) = &join.join_operator
        else {
            return false;
        };
        matches!(by, JoinConstraint::Natural)
    })
}
