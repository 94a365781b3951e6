//! The accesses of one rule: what it does to its target, and every table that it reads on the way. Each may only grow on
//! its way here: by constraints, by columns that move, by views.

use sqlparser::ast::{Insert, Statement};

use super::access::{Access, Column, ColumnSet, KeyPart, Obstacle, RowSet};
use super::analysis::Study;
use super::reads::{NamedColumns, Reader};
use super::sabotage::{Line, left_out};
use crate::finding::place::Place;
use crate::names::name::fold;
use crate::names::survey::Survey;
use crate::shape::rule::{Rule, RuleKind};

/// What is written by `SET`, generated columns included.
pub(crate) struct Change {
    pub(crate) table: usize,
    pub(crate) written: ColumnSet,
    pub(crate) at: Place,
}

impl Study<'_> {
    /// An access for each table that the statement names, and for those that its views are made of.
    pub(crate) fn reads(&self, reader: &Reader<'_, '_>, rule: &Rule) -> Vec<Access> {
        let survey = Survey::of(&rule.ast);
        let target = usize::from(!matches!(rule.ast, Statement::Insert(_)));
        let mut accesses = Vec::new();
        for named in survey.relations.iter().skip(target) {
            let [name] = &named.name[..] else { continue };
            if let Some(table) = self.table(&fold(name)) {
                let parts = reader.parts.get(&name.span.start).cloned().unwrap_or_default();
                let reads = if named.renames_columns {
                    self.whole_row(table)
                } else {
                    reader.named.columns(&named.called(), &self.model.tables[table])
                };
                accesses.push(self.access(table, parts, reads, rule.at));
            }
            self.read_view(&fold(name), rule.at, &mut accesses);
        }
        accesses
    }

    fn read_view(&self, name: &str, at: Place, accesses: &mut Vec<Access>) {
        for view in
            self.model.views.iter().filter(|view| view.name == name && !left_out(Line::Views))
        {
            for read in &view.reads {
                if let Some(table) = self.table(read) {
                    let obstacle = Obstacle {
                        because: format!("the view `{name}` reads all rows of `{read}`"),
                        at,
                        help: "read the tables themselves, by `column = e.field`".into(),
                    };
                    let access = self.access(table, Vec::new(), self.whole_row(table), at);
                    accesses.push(Access { obstacle: Some(obstacle), ..access });
                }
                self.read_view(read, at, accesses);
            }
        }
    }

    fn whole_row(&self, table: usize) -> ColumnSet {
        let columns = 0..self.model.tables[table].columns.len();
        columns.map(Column::At).chain([Column::Exists]).collect()
    }

    /// An access that reads; rows are not told by columns that a rule of the model moves.
    fn access(&self, table: usize, mut parts: Vec<KeyPart>, reads: ColumnSet, at: Place) -> Access {
        let moved = parts
            .iter()
            .find_map(|part| Some((part.column, *self.set.get(&(table, part.column))?.first()?)));
        parts.retain(|part| {
            !self.set.contains_key(&(table, part.column)) || left_out(Line::MovedColumns)
        });
        let rows = RowSet::of(parts);
        let obstacle = (rows == RowSet::All).then(|| self.untold(table, moved, at));
        let (writes, adds) = (ColumnSet::new(), ColumnSet::new());
        Access { table, rows, reads, writes, adds, new_row: false, obstacle }
    }

    /// Why no key tells the rows; `moved` is a column that would, and where a rule stands that changes it.
    fn untold(&self, table: usize, moved: Option<(usize, Place)>, at: Place) -> Obstacle {
        let table = &self.model.tables[table];
        let inserts = self.model.rules.iter().any(|rule| {
            rule.at == at && rule.target == table.name && rule.kind == RuleKind::Insert
        });
        let (because, help) = match moved {
            Some((column, setter)) => (
                format!(
                    "rows of `{}` are told apart by `{}`, which the rule in line {} changes",
                    table.name, table.columns[column].name, setter.line
                ),
                "tell them apart by a column that no SET writes".to_owned(),
            ),
            None if inserts => (
                format!("the event alone does not say which row of `{}` is meant", table.name),
                "give the key's columns fields of the event, of the columns' own types".to_owned(),
            ),
            None => (
                format!(
                    "no column of `{}` is compared with the event by `=`, so all its rows count",
                    table.name
                ),
                format!(
                    "add `column = e.field` to the conditions on `{}`, joined by AND, with a field of the column's own \
                     type",
                    table.name
                ),
            ),
        };
        Obstacle { because, at, help }
    }

    /// The access of an UPDATE or DELETE, or of what is changed on a conflict.
    pub(crate) fn change(
        &self,
        change: Change,
        parts: Vec<KeyPart>,
        reads: ColumnSet,
        deletes: bool,
    ) -> Access {
        let Change { table, written, at } = change;
        let unique = written.iter().copied().find(|column| self.facts[table].is_unique(*column));
        let mut access = self.access(table, parts, reads, at);
        if !left_out(Line::Constraints) {
            access.reads.extend(self.facts[table].read_along(&written));
        }
        access.writes = written;
        if deletes {
            access.writes.insert(Column::Exists);
        }
        if let Some(Column::At(column)) = unique.filter(|_| !left_out(Line::UniqueWritten)) {
            access.rows = RowSet::All;
            access.obstacle = Some(Obstacle {
                because: format!(
                    "it sets `{}`, which a unique index holds: any row may be in its way",
                    self.model.tables[table].columns[column].name
                ),
                at,
                help: "leave the columns of unique indexes as they were inserted".into(),
            });
        }
        access
    }

    /// The new row, and for each unique index the row that may be there already.
    pub(crate) fn insert(
        &self,
        insert: &Insert,
        called: &str,
        change: Change,
        row: &[KeyPart],
    ) -> Vec<Access> {
        let Change { table, written, at } = change;
        let facts = &self.facts[table];
        let exists: ColumnSet = [Column::Exists].into();
        let mut new = self.access(table, row.to_vec(), exists.clone(), at);
        new.writes = self.whole_row(table);
        new.new_row = true;
        let reads = match &insert.on {
            Some(on) => NamedColumns::of(on).columns(called, &self.model.tables[table]),
            None => exists,
        };
        let mut accesses = vec![new];
        for unique in facts.unique.iter().filter(|_| !left_out(Line::SecondAccess)) {
            let nulls_equal = unique.nulls_equal && !left_out(Line::EqualNulls);
            let known =
                row.iter().filter(|part| unique.columns.contains(&part.column) && !nulls_equal);
            let change = Change { table, written: written.clone(), at };
            accesses.push(self.change(change, known.cloned().collect(), reads.clone(), false));
        }
        accesses
    }
}
