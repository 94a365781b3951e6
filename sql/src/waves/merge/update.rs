//! When an UPDATE is a merge: it finds rows by fields of the event, its further conditions are on the event alone, and
//! every item folds something of the event's into its own column.

use std::collections::BTreeSet;

use sqlparser::ast::{Assignment, BinaryOperator, Expr, Update, UpdateTableFromKind};

use crate::shape::from;
use crate::waves::access::KeyPart;
use crate::waves::keys::KeyValue;
use crate::waves::merge::fold::{Fold, SetItem, is_column};
use crate::waves::merge::statement::{self, Piece};
use crate::waves::merge::{Candidate, Merge};
use crate::waves::names::{Referent, original};
use crate::waves::select_level::conjuncts;

impl Candidate<'_> {
    pub(crate) fn update(&self, update: &Update, keys: &[KeyValue]) -> Option<Merge> {
        let Some(UpdateTableFromKind::AfterSet(from)) = &update.from else { return None };
        let [event] = &from::items(from)[..] else { return None };
        let mut key: Vec<Piece> = Vec::new();
        let mut conditions = Vec::new();
        for conjunct in conjuncts(update.selection.as_ref()?) {
            match self.key_piece(conjunct, keys) {
                Some(piece) => key.push(piece),
                None => {
                    self.event_only(conjunct)?;
                    conditions.push(original(self.read.rule, conjunct)?);
                }
            }
        }
        let mut pieces = Vec::new();
        for item in &update.assignments {
            pieces.push(
                self.update_piece(item)
                    .filter(|piece| key.iter().all(|part| part.column != piece.column))?,
            );
        }
        key.sort_by_key(|piece| piece.column);
        key.dedup_by_key(|piece| piece.column);
        let pieces: Vec<Piece> = key.into_iter().chain(pieces).collect();
        if pieces.first()?.fold.is_some() {
            return None;
        }
        let statement =
            statement::Updating { form: self.form(&pieces), event: event.called(), conditions };
        let (before, after) = statement.sql()?;
        Some(self.merge(&pieces, before, after))
    }

    fn event_only(&self, expr: &Expr) -> Option<BTreeSet<String>> {
        self.read.names.event_only(expr, &self.read.level.as_ref()?.own)
    }

    /// A condition `column = field` of one type, told apart by bytes.
    fn key_piece(&self, conjunct: &Expr, keys: &[KeyValue]) -> Option<Piece> {
        let level = self.read.level.as_ref()?;
        let Expr::BinaryOp { left, op: BinaryOperator::Eq, right } = conjunct else { return None };
        let (target, parts) = (level.own.len() - 1, level.parts.last()?);
        for (side, value) in [(left, right), (right, left)] {
            let Some(Referent::Column { item, column }) = self.read.names.resolve(side, &level.own)
            else {
                continue;
            };
            let Some(Referent::Field(field)) = self.read.names.resolve(value, &level.own) else {
                continue;
            };
            let known = |part: &&KeyPart| part.column == column;
            let key = parts.iter().find(known).map(|part| &keys[part.key]);
            if item == target && key == Some(&KeyValue::Field(field)) {
                let ty = self.facts.types[column].clone()?;
                return Some(Piece {
                    column,
                    ty,
                    fold: None,
                    value: original(self.read.rule, value)?,
                });
            }
        }
        None
    }

    fn update_piece(&self, item: &Assignment) -> Option<Piece> {
        let column = self.target(item).filter(|column| !self.facts.ties(*column))?;
        let name = self.name(column);
        let own = &self.read.level.as_ref()?.own;
        let old = |expr: &Expr| {
            is_column(expr, &self.read.called, name)
                || matches!(self.read.names.resolve(expr, own), Some(Referent::Column { item, column: found })
                    if item == own.len() - 1 && found == column)
        };
        let step = SetItem::read(&item.value, &old);
        self.event_only(step.value)?;
        let ty = self.stored_type(column)?;
        let value_type = self.read.names.type_of(step.value, own);
        let fits = match step.fold {
            Fold::Last => true,
            Fold::Sum => value_type.is_some_and(|value| ty.adds_exactly(&value)),
            Fold::Greatest | Fold::Least => value_type
                .is_some_and(|value| value.kind == ty.kind && value.modifier == ty.modifier),
            _ => false,
        };
        let text = original(self.read.rule, step.value)?;
        let value = if step.negated { format!("-({text})") } else { text };
        (fits && self.allows(step.fold, column, &ty)).then_some(Piece {
            column,
            ty,
            fold: Some(step.fold),
            value,
        })
    }
}
