//! A rule is read once: its levels, its keys, what it sets. Columns that any rule of the model sets are known before, so
//! that none of them tells rows.

use std::collections::{BTreeMap, BTreeSet};

use sqlparser::ast::{Assignment, Expr, GroupByExpr, Insert, Statement};

use super::access::{Column, ColumnSet, KeyPart};
use super::facts::{TableFacts, position};
use super::keys::KeyValue;
use super::names::{CalledRelation, Names, Source};
use super::select_level::{Keyed, Level, Use};
use super::types::Types;
use crate::finding::place::Place;
use crate::model::Model;
use crate::names::name::{fold, single};
use crate::names::survey::Survey;
use crate::shape::from;
use crate::shape::rule::{Rule, Shape};
use crate::shape::written::{assigned, assignments, inserted};

/// A model under study.
pub(crate) struct Study<'a> {
    pub(crate) model: &'a Model,
    pub(crate) facts: &'a [TableFacts],
    pub(crate) types: &'a dyn Types,
    /// (table, column) that a `SET` of the model writes, and where the rules stand that do.
    pub(crate) set: BTreeMap<(usize, usize), Vec<Place>>,
}

/// A rule under study, read once.
pub(crate) struct Read<'a> {
    pub(crate) rule: &'a Rule,
    pub(crate) names: Names<'a>,
    pub(crate) table: usize,
    /// The name by which the statement calls its target.
    pub(crate) called: String,
    pub(crate) level: Option<Level>,
    /// The rest of the rule reads its own target as well.
    pub(crate) reads_target: bool,
}

impl<'a> Study<'a> {
    pub(crate) fn new(model: &'a Model, facts: &'a [TableFacts], types: &'a dyn Types) -> Self {
        let mut study = Self { model, facts, types, set: BTreeMap::new() };
        for rule in &model.rules {
            let Some(table) = study.table(&rule.target) else { continue };
            for column in facts[table].with_generated(study.written(table, assignments(&rule.ast)))
            {
                if let Column::At(at) = column {
                    study.set.entry((table, at)).or_default().push(rule.at);
                }
            }
        }
        study
    }

    pub(crate) fn table(&self, name: &str) -> Option<usize> {
        self.model.tables.iter().position(|table| table.name == name)
    }

    /// The columns that these assignments write.
    pub(crate) fn written(&self, table: usize, assignments: &[Assignment]) -> ColumnSet {
        assigned(assignments)
            .filter_map(|name| position(&self.model.tables[table], &fold(name)))
            .map(Column::At)
            .collect()
    }

    /// Every relation of the statement, the target and the proposed row as well.
    pub(crate) fn mentions(&self, rule: &Rule, target: &CalledRelation) -> Vec<CalledRelation> {
        let survey = Survey::of(&rule.ast);
        let mut all = vec![target.clone()];
        for named in &survey.relations {
            let source = match &named.name[..] {
                [_, _] => Source::Event,
                [one] if !named.renames_columns && !survey.ctes.contains(&fold(one)) => {
                    self.table(&fold(one)).map_or(Source::Opaque, Source::Table)
                }
                _ => Source::Opaque,
            };
            all.push(CalledRelation { called: named.called(), source });
        }
        let opaque =
            survey.others.iter().chain(&survey.ctes).cloned().chain(["excluded".to_owned()]);
        all.extend(opaque.map(|called| CalledRelation { called, source: Source::Opaque }));
        if !matches!(rule.ast, Statement::Insert(_)) {
            // An UPDATE and a DELETE name their target first, and have no proposed row.
            all.remove(1);
            all.pop();
        }
        all
    }

    /// What the event alone gives of an INSERT's row.
    pub(crate) fn new_row(
        &self,
        insert: &Insert,
        table: usize,
        level: Option<&Level>,
        keyed: &mut Keyed<'_, '_>,
    ) -> Vec<KeyPart> {
        let columns = &self.model.tables[table].columns;
        let own = level.map_or(&[][..], |level| &level.own);
        let mut row = Vec::new();
        for (column, value) in inserted(insert, &self.model.tables[table]).unwrap_or_default() {
            row.extend(keyed.part(table, column, value, Use::Stored, own));
        }
        let listed: BTreeSet<String> = insert.columns.iter().filter_map(single).collect();
        for (at, column) in columns.iter().enumerate() {
            let left_out =
                !listed.is_empty() && !listed.contains(&column.name) && !column.generated;
            match &self.facts[table].defaults[at] {
                _ if !left_out => {}
                Some(default) => row.extend(keyed.part(table, at, default, Use::Stored, &[])),
                None => row.push(KeyPart {
                    column: at,
                    key: keyed.keys.slot(KeyValue::Null),
                    text: "NULL".into(),
                }),
            }
        }
        row
    }
}

pub(crate) fn called(ast: &Statement) -> Option<String> {
    match ast {
        Statement::Insert(insert) => insert.table_alias.as_ref().map(|alias| fold(&alias.alias)),
        _ => Survey::of(ast).relations.first().map(|named| named.called()),
    }
}

/// Whether wherever the event's columns are named they have the event's values: no outer join, no grouping set puts a
/// NULL in their place.
pub(crate) fn is_whole(rule: &Rule) -> bool {
    let Statement::Insert(insert) = &rule.ast else { return true };
    if rule.shape == Shape::Inlined {
        return true;
    }
    let select = insert.source.as_deref().and_then(|query| query.body.as_select());
    select.is_some_and(|select| {
        let sets = |expr: &Expr| matches!(expr, Expr::Rollup(_) | Expr::Cube(_) | Expr::GroupingSets(_));
        let plain = matches!(&select.group_by, GroupByExpr::Expressions(by, modifiers) if modifiers.is_empty() && !by.iter().any(sets));
        plain && rule.mentions.len() == 1 && from::holds_event(&from::items(&select.from))
    })
}
