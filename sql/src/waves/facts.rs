//! What a table's declaration ties together: unique indexes, checks, generated columns. Who writes one column of a tie
//! looks at all of them.

use std::collections::BTreeSet;

use sqlparser::ast::{
    ColumnOption, CreateIndex, Expr, IndexColumn, NullsDistinctOption, TableConstraint, Value,
    ValueWithSpan, Visit,
};

use super::access::{Column, ColumnSet};
use super::sabotage::{Line, left_out};
use super::types::{SqlType, Types};
use crate::names::name::fold;
use crate::names::survey::Survey;
use crate::objects::index::Index;
use crate::objects::table::Table;

pub(crate) struct TableFacts {
    pub(crate) unique: Vec<Unique>,
    /// Columns that each CHECK names.
    pub(crate) checks: Vec<BTreeSet<usize>>,
    /// A generated column and those that its expression names.
    pub(crate) generated: Vec<(usize, BTreeSet<usize>)>,
    pub(crate) defaults: Vec<Option<Expr>>,
    /// `None` where equality of the column's values cannot be told.
    pub(crate) types: Vec<Option<SqlType>>,
}

/// A unique index, however it was declared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unique {
    /// Its key, as far as that is plain columns.
    pub(crate) columns: BTreeSet<usize>,
    /// All columns that it names, also in expressions and its predicate.
    pub(crate) named: BTreeSet<usize>,
    /// It has neither expressions nor a predicate.
    pub(crate) plain: bool,
    /// Two NULLs are one value to it.
    pub(crate) nulls_equal: bool,
}

impl TableFacts {
    pub(crate) fn of(table: &Table, indexes: &[Index], types: &dyn Types) -> Self {
        let mut facts = Self {
            unique: Vec::new(),
            checks: Vec::new(),
            generated: Vec::new(),
            defaults: vec![None; table.columns.len()],
            types: Vec::new(),
        };
        for (at, column) in table.ast.columns.iter().enumerate() {
            let collated = column
                .options
                .iter()
                .any(|option| matches!(option.option, ColumnOption::Collation(_)));
            facts.types.push(match types.table(&table.name, &fold(&column.name)) {
                Some(stored) => SqlType::read(&stored.sql)
                    .filter(|_| stored.deterministic || left_out(Line::Collations)),
                None => SqlType::read(&table.columns[at].ty)
                    .filter(|_| !collated || left_out(Line::Collations)),
            });
            for option in &column.options {
                facts.read_option(at, &option.option, table);
            }
        }
        for constraint in &table.ast.constraints {
            match constraint {
                TableConstraint::PrimaryKey(key) => {
                    facts.unique.push(Unique::of(&key.columns, false, table))
                }
                TableConstraint::Unique(unique) => {
                    let nulls_equal = unique.nulls_distinct == NullsDistinctOption::NotDistinct;
                    facts.unique.push(Unique::of(&unique.columns, nulls_equal, table));
                }
                TableConstraint::Check(check) => facts.checks.push(named(&check.expr, table)),
                _ => {}
            }
        }
        let own = indexes.iter().filter(|index| index.unique && index.table == table.name);
        facts.unique.extend(own.map(|index| Unique::of_index(&index.ast, table)));
        facts
    }

    fn read_option(&mut self, at: usize, option: &ColumnOption, table: &Table) {
        match option {
            ColumnOption::PrimaryKey(_) => self.unique.push(Unique::of_column(at, false)),
            ColumnOption::Unique(unique) => {
                let nulls_equal = unique.nulls_distinct == NullsDistinctOption::NotDistinct;
                self.unique.push(Unique::of_column(at, nulls_equal));
            }
            ColumnOption::Check(check) => self.checks.push(named(&check.expr, table)),
            ColumnOption::Generated { generation_expr: Some(expr), .. } => {
                self.generated.push((at, named(expr, table)));
            }
            ColumnOption::Default(value) => self.defaults[at] = Some(value.clone()),
            _ => {}
        }
    }

    /// Whether any declaration but the plain columns of `key` looks at this column.
    pub(crate) fn ties(&self, column: usize) -> bool {
        self.checks.iter().any(|named| named.contains(&column))
            || self.generated.iter().any(|(own, named)| *own == column || named.contains(&column))
            || self.unique.iter().any(|unique| unique.named.contains(&column))
    }

    pub(crate) fn is_unique(&self, column: Column) -> bool {
        matches!(column, Column::At(at) if self.unique.iter().any(|unique| unique.named.contains(&at)))
    }

    /// The columns, and the generated ones that change with them.
    pub(crate) fn with_generated(&self, mut columns: ColumnSet) -> ColumnSet {
        let touched =
            self.generated.iter().filter(|(_, named)| meets(named, &columns)).map(|(own, _)| *own);
        let touched: Vec<_> = touched.filter(|_| !left_out(Line::GeneratedColumns)).collect();
        columns.extend(touched.into_iter().map(Column::At));
        columns
    }

    /// What Postgres reads of a row besides, when these columns of it are written.
    pub(crate) fn read_along(&self, writes: &ColumnSet) -> ColumnSet {
        let generated = self.generated.iter().map(|(_, named)| named);
        let unique = self.unique.iter().map(|unique| &unique.named);
        let ties = generated.chain(&self.checks).chain(unique).filter(|named| meets(named, writes));
        ties.flatten().map(|at| Column::At(*at)).collect()
    }

    /// Whether a row that does not name this column gets 0 there.
    pub(crate) fn defaults_to_zero(&self, column: usize) -> bool {
        let zero = |number: &str| number.chars().all(|digit| digit == '0' || digit == '.');
        matches!(&self.defaults[column], Some(Expr::Value(ValueWithSpan { value: Value::Number(number, _), .. })) if zero(number))
    }

    /// Whether these columns find at most one row.
    pub(crate) fn pins(&self, columns: &BTreeSet<usize>) -> bool {
        self.unique.iter().any(|unique| unique.plain && unique.columns.is_subset(columns))
    }
}

impl Unique {
    fn of_column(at: usize, nulls_equal: bool) -> Self {
        Self { columns: [at].into(), named: [at].into(), plain: true, nulls_equal }
    }

    fn of(columns: &[IndexColumn], nulls_equal: bool, table: &Table) -> Self {
        let plain: Vec<Option<usize>> = columns
            .iter()
            .map(|column| match &column.column.expr {
                Expr::Identifier(name) => position(table, &fold(name)),
                _ => None,
            })
            .collect();
        let mut all = BTreeSet::new();
        for column in columns {
            all.append(&mut named(&column.column.expr, table));
        }
        let whole = plain.iter().all(Option::is_some);
        Self {
            columns: plain.into_iter().flatten().collect(),
            named: all,
            plain: whole,
            nulls_equal,
        }
    }

    fn of_index(index: &CreateIndex, table: &Table) -> Self {
        let mut unique = Self::of(&index.columns, index.nulls_distinct == Some(false), table);
        if let Some(predicate) = &index.predicate {
            unique.named.append(&mut named(predicate, table));
            unique.plain = false;
        }
        unique
    }
}

pub(crate) fn position(table: &Table, column: &str) -> Option<usize> {
    table.columns.iter().position(|other| other.name == column)
}

fn meets(named: &BTreeSet<usize>, columns: &ColumnSet) -> bool {
    named.iter().any(|at| columns.contains(&Column::At(*at)))
}

/// The columns that an expression of the declaration names; all of them where a name is no column's.
fn named(expr: &impl Visit, table: &Table) -> BTreeSet<usize> {
    let survey = Survey::of(expr);
    let last = survey.dotted.iter().filter_map(|name| name.last());
    let found: Option<BTreeSet<usize>> =
        survey.bare.iter().chain(last).map(|name| position(table, &fold(name))).collect();
    found.filter(|_| !survey.stars).unwrap_or_else(|| (0..table.columns.len()).collect())
}
