//! Whether a rule's effect on a row is a merge. Then events of one key may share a wave: what they do one after another
//! is what the merged one does.

pub(crate) mod fold;
pub(crate) mod statement;
mod update;

use std::collections::BTreeSet;

use sqlparser::ast::{
    Assignment, AssignmentTarget, ConflictTarget, Expr, Insert, OnConflict, OnConflictAction,
    OnInsert, Statement, Value,
};

use super::access::{Access, Column};
use super::analysis::{Read, Study};
use super::facts::{TableFacts, position};
use super::keys::KeyValue;
use super::names::Source;
use super::sabotage::{Line, left_out};
use super::types::SqlType;
use crate::names::name::{fold, single};
use crate::objects::table::Table;
use crate::shape::rule::{RuleKind, Shape};
use crate::shape::written::{assignments, inserted};
use fold::{Fold, SetItem, is_column};
use statement::{Piece, split};

/// How the events of one key become one. In the log's order, or together: never the later one first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Merge {
    /// Columns of the target by which events are one; empty for a DELETE, which may simply run over all of them.
    pub key: Vec<String>,
    /// The other columns that it writes.
    pub folds: Vec<(String, Fold)>,
    pub(crate) before: String,
    pub(crate) after: String,
}

impl Merge {
    /// The statement over any number of events. `derived_table` is a text like `(SELECT …)` with the rule's columns and
    /// [`super::ORDINAL`]. An error of it says no more than that the batch must run event by event.
    pub fn statement(&self, derived_table: &str) -> String {
        format!("{}{derived_table}{}", self.before, self.after)
    }

    /// Sums are additions: their order among other rules' additions does not matter. That an INSERT made the row matters
    /// neither, where the rows that all such rules make differ in nothing else.
    pub(crate) fn mark_sums(&self, accesses: &mut [Access], table: &Table, facts: &TableFacts) {
        let at = |name: &String| position(table, name);
        let sums = self
            .folds
            .iter()
            .filter(|(_, fold)| *fold == Fold::Sum)
            .filter_map(|(name, _)| at(name));
        let sums: BTreeSet<usize> = sums.collect();
        let inserts = accesses.iter().any(|access| access.new_row);
        let named: BTreeSet<usize> =
            self.key.iter().filter_map(at).chain(sums.iter().copied()).collect();
        let zero = (0..table.columns.len()).all(|column| {
            named.contains(&column)
                || facts.defaults_to_zero(column)
                || left_out(Line::ZeroDefaults)
        });
        let only_adds = inserts
            && self.folds.iter().all(|(_, fold)| *fold == Fold::Sum)
            && !sums.is_empty()
            && zero;
        for access in accesses {
            let mut added: BTreeSet<Column> = sums.iter().copied().map(Column::At).collect();
            if only_adds {
                added.insert(Column::Exists);
                if access.new_row {
                    added.append(&mut access.writes);
                }
            } else if access.new_row {
                continue;
            }
            access.reads.retain(|column| !added.contains(column));
            access.writes.retain(|column| !added.contains(column));
            access.adds = added;
        }
    }
}

pub(crate) fn of(study: &Study<'_>, read: &Read<'_>, keys: &[KeyValue]) -> Option<Merge> {
    let found = Candidate {
        study,
        read,
        table: &study.model.tables[read.table],
        facts: &study.facts[read.table],
    };
    match (&read.rule.ast, read.rule.kind) {
        _ if (read.reads_target && !left_out(Line::MergedReads)) || read.rule.columns.is_none() => {
            None
        }
        (Statement::Insert(insert), _) => found.insert(insert),
        (Statement::Update(update), _) => found.update(update, keys),
        (_, RuleKind::Delete) => {
            let (before, after) = split(|derived| read.rule.with_relation(derived))?;
            Some(Merge { key: Vec::new(), folds: Vec::new(), before, after })
        }
        _ => None,
    }
}

/// A rule under examination.
pub(crate) struct Candidate<'a> {
    study: &'a Study<'a>,
    pub(crate) read: &'a Read<'a>,
    table: &'a Table,
    pub(crate) facts: &'a TableFacts,
}

impl Candidate<'_> {
    fn insert(&self, insert: &Insert) -> Option<Merge> {
        let key = match &self.facts.unique[..] {
            [key] => key,
            [key, ..] if left_out(Line::MergedUnique) => key,
            _ => return None,
        };
        let ties = !self.facts.checks.is_empty() || !self.facts.generated.is_empty();
        let tied = (ties && !left_out(Line::MergedTies)) || !key.plain;
        let Some(OnInsert::OnConflict(on)) = &insert.on else { return None };
        let several = !self.makes_one_row() && !left_out(Line::OneRow);
        if tied
            || several
            || self.read.rule.shape != Shape::Inlined
            || !self.is_arbiter(on, &key.columns)
        {
            return None;
        }
        let row = inserted(insert, self.table)?;
        let set = assignments(&self.read.rule.ast);
        let mut pieces = Vec::with_capacity(row.len());
        for (column, value) in &row {
            let ty = self.stored_type(*column).filter(|ty| {
                !key.columns.contains(column) || ty.has_one_form() || left_out(Line::OneForm)
            })?;
            let fold = match set.iter().find(|item| self.target(item) == Some(*column)) {
                Some(item) => Some(self.step(item, *column, value)?),
                None => (!key.columns.contains(column)).then_some(Fold::First),
            };
            pieces.push(Piece { column: *column, ty, fold, value: String::new() });
        }
        let named: BTreeSet<usize> = row.iter().map(|(column, _)| *column).collect();
        let all_set =
            set.iter().all(|item| self.target(item).is_some_and(|column| named.contains(&column)));
        if !all_set || !key.columns.is_subset(&named) || named.len() < row.len() {
            return None;
        }
        let statement = statement::Insertion {
            form: self.form(&pieces),
            rule: self.read.rule,
            updates: !set.is_empty(),
        };
        let (before, after) = statement.sql(insert)?;
        Some(self.merge(&pieces, before, after))
    }

    /// Whether a conflict is one of this key and has no further condition.
    fn is_arbiter(&self, on: &OnConflict, key: &BTreeSet<usize>) -> bool {
        let unconditional = match &on.action {
            OnConflictAction::DoNothing => true,
            OnConflictAction::DoUpdate(update) => {
                update.selection.is_none() || left_out(Line::ConflictCondition)
            }
        };
        let arbiter = match &on.conflict_target {
            None | Some(ConflictTarget::OnConstraint(_)) => true,
            Some(ConflictTarget::Columns(columns)) => {
                let named: Option<BTreeSet<usize>> =
                    columns.iter().map(|column| position(self.table, &fold(column))).collect();
                named.as_ref() == Some(key)
            }
        };
        unconditional && arbiter
    }

    /// Whether one event makes at most one row: everything that it is joined with is found by a whole key.
    fn makes_one_row(&self) -> bool {
        let Some(level) = &self.read.level else { return false };
        level.own.iter().zip(&level.parts).all(|(mention, parts)| match mention.source {
            Source::Event => true,
            Source::Table(table) => self.study.facts[table]
                .pins(&parts.iter().map(|part| part.column).collect::<BTreeSet<_>>()),
            Source::Opaque => false,
        })
    }

    pub(crate) fn name(&self, column: usize) -> &str {
        &self.table.columns[column].name
    }

    /// The column that a `SET` item writes; `None` for several, or a part of one.
    pub(crate) fn target(&self, item: &Assignment) -> Option<usize> {
        match &item.target {
            AssignmentTarget::ColumnName(name) => position(self.table, &single(name)?),
            AssignmentTarget::Tuple(_) => None,
        }
    }

    /// How an INSERT's `SET` item folds the proposed value of its own column, given as `inserted`.
    fn step(&self, item: &Assignment, column: usize, inserted: &Expr) -> Option<Fold> {
        let name = self.name(column);
        let step = SetItem::read(&item.value, &|expr| is_column(expr, &self.read.called, name));
        let number = |expr: &Expr| matches!(expr, Expr::Value(value) if matches!(&value.value, Value::Number(digits, _) if digits.parse::<i64>().is_ok()));
        // `n = t.n + 1` where 1 is inserted is `n = t.n + EXCLUDED.n`.
        let same = step.fold == Fold::Sum && number(step.value) && step.value == inserted;
        let ty = self.stored_type(column)?;
        let proposed = same || is_column(step.value, "excluded", name);
        (proposed && !step.negated && self.allows(step.fold, column, &ty)).then_some(step.fold)
    }

    pub(crate) fn allows(&self, fold: Fold, column: usize, ty: &SqlType) -> bool {
        match fold {
            Fold::Sum => {
                (ty.is_exact_number() || left_out(Line::FloatSums))
                    && (self.table.columns[column].not_null || left_out(Line::NullableSums))
            }
            Fold::Greatest | Fold::Least => ty.is_ordered() || left_out(Line::Ordered),
            _ => true,
        }
    }

    /// The column's type, where a cast to it does what storing a value there does.
    pub(crate) fn stored_type(&self, column: usize) -> Option<SqlType> {
        self.facts.types[column]
            .clone()
            .filter(|ty| ty.casts_as_it_stores() || left_out(Line::StoredCasts))
    }

    pub(crate) fn form<'p>(&'p self, pieces: &'p [Piece]) -> statement::Form<'p> {
        let adders =
            |column: usize| self.study.set.get(&(self.read.table, column)).map_or(1, Vec::len);
        let factors = pieces.iter().map(|piece| match adders(piece.column) {
            0 | 1 => 1,
            _ if left_out(Line::RoomForSeveral) => 1,
            several => several + 1,
        });
        statement::Form {
            table: self.table,
            called: &self.read.called,
            factors: factors.collect(),
            pieces,
        }
    }

    pub(crate) fn merge(&self, pieces: &[Piece], before: String, after: String) -> Merge {
        let name = |piece: &Piece| self.name(piece.column).to_owned();
        let key = pieces.iter().filter(|piece| piece.fold.is_none()).map(name).collect();
        let folds = pieces.iter().filter_map(|piece| Some((name(piece), piece.fold?))).collect();
        Merge { key, folds, before, after }
    }
}
