//! A table holds columns, one primary key and constraints that concern one row at a time. Whatever would make rows
//! depend on the clock, a sequence or another table is refused.

use sqlparser::ast::helpers::stmt_create_table::CreateTableBuilder;
use sqlparser::ast::{
    ColumnDef, ColumnOption, ConstraintCharacteristics, CreateTable, Expr, GeneratedExpressionMode,
    Ident, IndexColumn, TableConstraint,
};

use crate::finding::place::Place;
use crate::finding::report::Report;
use crate::names::name::{fold, single};
use crate::names::nearest::did_you_mean;
use crate::names::survey::Survey;
use crate::text::Fragment;
use crate::text::literal::Literal;

/// A table of a model.
#[derive(Debug, Clone)]
pub struct Table {
    pub name: String,
    pub at: Place,
    /// The user's text without semicolon.
    pub sql: String,
    pub columns: Vec<TableColumn>,
    /// Columns of the primary key, in its order.
    pub key: Vec<String>,
    /// Columns of each `UNIQUE` constraint.
    pub unique: Vec<Vec<String>>,
    pub(crate) literals: Vec<Literal>,
    pub(crate) ast: CreateTable,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableColumn {
    pub name: String,
    /// The type as declared, in lower case.
    pub ty: String,
    pub not_null: bool,
    pub default: bool,
    /// Whether Postgres computes it from other columns.
    pub generated: bool,
}

impl Table {
    pub(crate) fn read(
        create: &CreateTable,
        fragment: &Fragment<'_>,
        report: &mut Report,
    ) -> Option<Self> {
        let at = fragment.place();
        let Some(name) = single(&create.name) else {
            report.error(
                at,
                format!("`{}` names a schema", create.name),
                "write the table's name alone",
            );
            return None;
        };
        refuse_options(create, at, report);
        let mut table = Self {
            name,
            at,
            sql: fragment.text().to_owned(),
            columns: Vec::new(),
            key: Vec::new(),
            unique: Vec::new(),
            literals: Literal::all(fragment),
            ast: create.clone(),
        };
        for column in &create.columns {
            table.read_column(column, report);
        }
        for constraint in &create.constraints {
            table.read_constraint(constraint, report);
        }
        if table.key.is_empty() {
            let help = "add PRIMARY KEY (…): rows are found, paged and merged by it";
            report.error(at, format!("table `{}` has no primary key", table.name), help);
        }
        for column in &mut table.columns {
            column.not_null |= table.key.contains(&column.name);
        }
        let survey = Survey::of(create);
        survey.report(at, false, report);
        if survey.queries > 0 {
            report.error(
                at,
                "a sub-select in CREATE TABLE is not part of a model",
                "compute the value in the rules",
            );
        }
        Some(table)
    }

    /// All keys by which at most one row is found.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &Vec<String>> {
        std::iter::once(&self.key).chain(&self.unique).filter(|key| !key.is_empty())
    }

    pub(crate) fn has(&self, column: &str) -> bool {
        self.columns.iter().any(|other| other.name == column)
    }

    /// Finds a column that it lacks.
    pub(crate) fn check_column(&self, column: &Ident, report: &mut Report) {
        let name = fold(column);
        if !self.has(&name) {
            let known = || self.columns.iter().map(|column| column.name.as_str());
            let near = did_you_mean(&name, known());
            let help = format!("{near}its columns are {}", known().collect::<Vec<_>>().join(", "));
            let what = format!("`{}` has no column `{name}`", self.name);
            report.error(Place::known(column.span.start).unwrap_or(Place::START), what, help);
        }
    }

    fn read_column(&mut self, column: &ColumnDef, report: &mut Report) {
        let (name, at) = (fold(&column.name), Place::from(column.name.span.start));
        let mut read = TableColumn {
            name: name.clone(),
            ty: column.data_type.to_string(),
            not_null: false,
            default: false,
            generated: false,
        };
        if !read.ty.contains('"') {
            read.ty.make_ascii_lowercase();
        }
        if matches!(
            read.ty.as_str(),
            "serial" | "bigserial" | "smallserial" | "serial2" | "serial4" | "serial8"
        ) {
            refuse_sequence(at, &read.ty, report);
        }
        for option in &column.options {
            match &option.option {
                ColumnOption::Default(_) => read.default = true,
                ColumnOption::Null | ColumnOption::Check(_) | ColumnOption::Collation(_) => {}
                ColumnOption::NotNull => read.not_null = true,
                ColumnOption::PrimaryKey(key) => {
                    refuse_deferrable(key.characteristics, at, report);
                    self.key = vec![name.clone()];
                }
                ColumnOption::Unique(unique) => {
                    refuse_deferrable(unique.characteristics, at, report);
                    self.unique.push(vec![name.clone()]);
                }
                ColumnOption::Generated { generation_expr: None, .. }
                | ColumnOption::Identity(_) => {
                    refuse_sequence(at, "an identity column", report);
                }
                ColumnOption::Generated {
                    generation_expr_mode: Some(GeneratedExpressionMode::Stored),
                    ..
                } => {
                    read.generated = true;
                }
                ColumnOption::Generated { .. } => {
                    report.error(
                        at,
                        "a generated column that is not stored is not part of a model",
                        "add STORED",
                    );
                }
                ColumnOption::ForeignKey(_) => refuse_foreign_key(at, report),
                other => {
                    let help = "a column may be NOT NULL, PRIMARY KEY, UNIQUE, and have CHECK, DEFAULT, COLLATE and GENERATED";
                    report.error(at, format!("`{other}` is not part of a model"), help);
                }
            }
        }
        self.columns.push(read);
    }

    fn read_constraint(&mut self, constraint: &TableConstraint, report: &mut Report) {
        match constraint {
            TableConstraint::PrimaryKey(key) => {
                refuse_deferrable(key.characteristics, self.at, report);
                self.key = plain_columns(&key.columns).unwrap_or_default();
            }
            TableConstraint::Unique(unique) => {
                refuse_deferrable(unique.characteristics, self.at, report);
                self.unique.extend(plain_columns(&unique.columns));
            }
            TableConstraint::Check(_) => {}
            TableConstraint::ForeignKey(key) => {
                let at =
                    key.columns.first().map_or(self.at, |column| Place::from(column.span.start));
                refuse_foreign_key(at, report);
            }
            TableConstraint::Exclude(_) => {
                let help = "use UNIQUE, or a CHECK of one row";
                report.error(self.at, "EXCLUDE is not part of a model", help);
            }
            other => {
                let help = "a table may have PRIMARY KEY, UNIQUE and CHECK constraints";
                report.error(self.at, format!("`{other}` is not part of a model"), help);
            }
        }
    }
}

/// The columns of an index, where all of them are plain columns.
pub(crate) fn plain_columns(columns: &[IndexColumn]) -> Option<Vec<String>> {
    let plain = columns.iter().map(|column| match &column.column.expr {
        Expr::Identifier(name) => Some(fold(name)),
        _ => None,
    });
    plain.collect()
}

fn refuse_options(create: &CreateTable, at: Place, report: &mut Report) {
    let refusals = [
        (
            create.temporary || create.unlogged,
            "a temporary or unlogged table",
            "write CREATE TABLE",
        ),
        (create.if_not_exists, "IF NOT EXISTS", "take it out: each generation starts empty"),
        (
            create.query.is_some(),
            "CREATE TABLE … AS",
            "write the columns out, and a rule that fills them",
        ),
        (create.like.is_some(), "LIKE", "write the columns out"),
        (create.inherits.is_some(), "inheritance", "write the columns out"),
        (
            create.partition_by.is_some() || create.partition_of.is_some(),
            "partitioning",
            "write one plain table",
        ),
    ];
    let plain = CreateTableBuilder::new(create.name.clone())
        .columns(create.columns.clone())
        .constraints(create.constraints.clone())
        .hive_distribution(create.hive_distribution.clone())
        .build();
    let mut found = refusals.iter().filter(|(found, ..)| *found).peekable();
    if found.peek().is_none() && *create != plain {
        report.error(
            at,
            "an option of this CREATE TABLE is not part of a model",
            "write columns and constraints only",
        );
    }
    for (_, what, help) in found {
        report.error(at, format!("{what} is not part of a model"), *help);
    }
}

fn refuse_deferrable(
    characteristics: Option<ConstraintCharacteristics>,
    at: Place,
    report: &mut Report,
) {
    let deferred = |found: ConstraintCharacteristics| {
        found.deferrable == Some(true) || found.initially.is_some()
    };
    if characteristics.is_some_and(deferred) {
        report.error(
            at,
            "a deferrable constraint is not part of a model",
            "take DEFERRABLE and INITIALLY out",
        );
    }
}

fn refuse_foreign_key(at: Place, report: &mut Report) {
    let help =
        "take REFERENCES out: events of two topics come in any order; join the tables in a view";
    report.error(at, "a foreign key is not part of a model", help);
}

fn refuse_sequence(at: Place, what: &str, report: &mut Report) {
    let help = "use what identifies the event: a field of it, `_event_id`, or `_topic`, `_partition` and `_offset`";
    report.error(
        at,
        format!("{what} numbers rows by a sequence, so a rebuild would give other numbers"),
        help,
    );
}
