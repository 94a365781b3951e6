//! Every table that a rule reads, anywhere in its statement, and the columns whose names the statement says. A column is
//! rather read once too often than not at all.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use sqlparser::ast::{
    Expr, Select, Statement, TableFactor, TableWithJoins, UpdateTableFromKind, Visit, Visitor,
};
use sqlparser::tokenizer::Location;

use super::access::{Column, ColumnSet, KeyPart};
use super::facts::position;
use super::names::CalledRelation;
use super::sabotage::{Line, left_out};
use super::select_level::{Keyed, Level, is_natural};
use crate::names::name::{fold, parts, single};
use crate::names::survey::Survey;
use crate::objects::table::Table;
use crate::shape::from;

/// Names of columns that a piece of SQL says where it takes a value.
#[derive(Default)]
pub(crate) struct NamedColumns {
    /// (relation, column)
    dotted: BTreeSet<(String, String)>,
    bare: BTreeSet<String>,
    /// Stars, and joins that name no columns.
    pub(crate) all: bool,
}

impl NamedColumns {
    pub(crate) fn of(node: &impl Visit) -> Self {
        let survey = Survey::of(node);
        let dotted = survey.dotted.iter().filter_map(|name| match &name[..] {
            [relation, column] => Some((fold(relation), fold(column))),
            _ => None,
        });
        Self {
            dotted: dotted.collect(),
            bare: survey.bare.iter().map(fold).collect(),
            all: survey.stars,
        }
    }

    pub(crate) fn name(&mut self, column: String) {
        self.bare.insert(column);
    }

    /// What is read of `table`, which goes by the name `called`. A name that is no column's may be a function of the
    /// whole row, so it reads all of it.
    pub(crate) fn columns(&self, called: &str, table: &Table) -> ColumnSet {
        let dotted: Vec<_> =
            self.dotted.iter().filter(|(relation, _)| relation == called).collect();
        let strange = dotted.iter().any(|(_, column)| !table.has(column));
        let mut columns: ColumnSet = [Column::Exists].into();
        columns.retain(|_| !left_out(Line::Exists));
        if self.all || (self.bare.contains(called) && !left_out(Line::WholeRow)) || strange {
            columns.extend((0..table.columns.len()).map(Column::At));
        } else {
            let named = self.bare.iter().chain(dotted.iter().map(|(_, column)| column));
            columns.extend(named.filter_map(|column| position(table, column)).map(Column::At));
        }
        columns
    }
}

/// Walks through a statement, level by level.
pub(crate) struct Reader<'a, 'k> {
    pub(crate) keyed: Keyed<'a, 'k>,
    /// Where a table's name stands: what its level's conditions say of its rows.
    pub(crate) parts: BTreeMap<Location, Vec<KeyPart>>,
    pub(crate) named: NamedColumns,
    /// The level of an INSERT's own SELECT, or that of an UPDATE's or DELETE's `FROM`, the target last in it.
    pub(crate) outermost: Option<Level>,
}

impl<'a, 'k> Reader<'a, 'k> {
    pub(crate) fn new(keyed: Keyed<'a, 'k>, statement: &Statement, target: CalledRelation) -> Self {
        let mut reader = Self {
            keyed,
            parts: BTreeMap::new(),
            named: NamedColumns::of(statement),
            outermost: None,
        };
        match statement {
            Statement::Update(update) => {
                let from = match &update.from {
                    Some(UpdateTableFromKind::AfterSet(from)) => from.as_slice(),
                    _ => &[],
                };
                reader.outermost =
                    Some(reader.level(from, update.selection.as_ref(), Some(target)));
            }
            Statement::Delete(delete) => {
                let using = delete.using.as_deref().unwrap_or_default();
                reader.outermost =
                    Some(reader.level(using, delete.selection.as_ref(), Some(target)));
            }
            Statement::Insert(insert) => {
                if let Some(select) =
                    insert.source.as_deref().and_then(|query| query.body.as_select())
                {
                    reader.outermost =
                        Some(reader.level(&select.from, select.selection.as_ref(), None));
                }
            }
            _ => {}
        }
        let _: ControlFlow<()> = statement.visit(&mut reader);
        reader
    }

    fn level(
        &mut self,
        from: &[TableWithJoins],
        selection: Option<&Expr>,
        target: Option<CalledRelation>,
    ) -> Level {
        self.named.all |= is_natural(from);
        let level = self.keyed.level(from, selection, target);
        for (item, parts_of_item) in from::items(from).iter().zip(&level.parts) {
            item.join.using().iter().filter_map(single).for_each(|column| self.named.name(column));
            if let TableFactor::Table { name, .. } = item.factor
                && let Some(first) = parts(name).first()
            {
                self.parts.insert(first.span.start, parts_of_item.clone());
            }
        }
        level
    }
}

impl Visitor for Reader<'_, '_> {
    type Break = ();

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<()> {
        self.level(&select.from, select.selection.as_ref(), None);
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
        // The joins inside of parentheses are not read.
        self.named.all |= matches!(factor, TableFactor::NestedJoin { .. });
        ControlFlow::Continue(())
    }
}
