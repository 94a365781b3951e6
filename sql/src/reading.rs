//! The statements of a model file, read in the order in which they can know each other: tables and indexes, then views
//! (each sees those above it), then comments and rules. A broken statement hides no other's findings.

use std::collections::{BTreeMap, BTreeSet};

use sqlparser::ast::Statement;

use crate::finding::report::Report;
use crate::names::nearest;
use crate::objects::index::{Comment, Index, View};
use crate::objects::scope::{Relations, Scope};
use crate::objects::table::Table;
use crate::precedence;
use crate::shape;
use crate::shape::rule::Rule;
use crate::text::statement::{StatementKind, lacking};
use crate::text::{Fragment, Text};

/// What a model file holds.
#[derive(Default)]
pub(crate) struct Statements {
    pub(crate) tables: Vec<Table>,
    pub(crate) indexes: Vec<Index>,
    pub(crate) views: Vec<View>,
    pub(crate) comments: Vec<Comment>,
    pub(crate) rules: Vec<Rule>,
    /// (canonical text, the view's name if it is one) of what rows may depend on.
    pub(crate) meanings: Vec<(String, Option<String>)>,
}

type Parsed<'a> = (Fragment<'a>, Statement);

pub(crate) fn read(text: &Text<'_>, relations: &dyn Relations, report: &mut Report) -> Statements {
    let mut read = Statements::default();
    let mut parsed = Vec::new();
    let mut declared = BTreeSet::new();
    for fragment in text.statements() {
        let kind = match StatementKind::of(&fragment) {
            Ok(kind) => kind,
            Err((what, help)) => {
                report.error(fragment.line(), what, help);
                continue;
            }
        };
        let statement = fragment.parse();
        if kind == StatementKind::Table || (kind == StatementKind::View && statement.is_err()) {
            declared.extend(declared_name(&fragment));
        }
        match statement {
            Ok(statement) => parsed.push((fragment, statement)),
            Err(error) => report.unreadable(error, lacking(kind, &fragment)),
        }
        if let Some(view) = meaning_of(kind, &fragment) {
            read.meanings.push((fragment.canonical(), view));
        }
    }
    read.tables_and_indexes(&parsed, report);
    let tables = read.tables.iter().map(|table| (table.name.clone(), table.clone())).collect();
    let mut unique: BTreeMap<String, Vec<Vec<String>>> = BTreeMap::new();
    for index in read.indexes.iter().filter(|index| index.unique) {
        unique.entry(index.table.clone()).or_default().extend(index.columns.clone());
    }
    let mut scope =
        Scope { relations, tables: &tables, unique: &unique, declared, views: BTreeMap::new() };
    read.check_indexes(&scope, report);
    read.views(&parsed, &mut scope, report);
    read.check_names(report);
    read.comments_and_rules(parsed, &scope, report);
    precedence::warn(&read.rules, report);
    read
}

/// The name after CREATE TABLE or VIEW, known even where the rest cannot be read.
fn declared_name(fragment: &Fragment<'_>) -> Option<String> {
    let lexeme = fragment.significant().nth(2)?;
    fragment.part(&lexeme.bytes)?.names().pop_first()
}

/// Whether rows may depend on a statement; with the name, if it is a view.
fn meaning_of(kind: StatementKind, fragment: &Fragment<'_>) -> Option<Option<String>> {
    match kind {
        StatementKind::Index | StatementKind::Comment => None,
        StatementKind::View => Some(declared_name(fragment)),
        _ => Some(None),
    }
}

impl Statements {
    fn tables_and_indexes(&mut self, parsed: &[Parsed<'_>], report: &mut Report) {
        for (fragment, statement) in parsed {
            match statement {
                Statement::CreateTable(create) => {
                    self.tables.extend(Table::read(create, fragment, report))
                }
                Statement::CreateIndex(create) => {
                    self.indexes.extend(Index::read(create, fragment, report))
                }
                _ => {}
            }
        }
    }

    fn check_indexes(&self, scope: &Scope<'_>, report: &mut Report) {
        for index in &self.indexes {
            if !scope.declared.contains(&index.table) {
                let near =
                    nearest::did_you_mean(&index.table, scope.declared.iter().map(String::as_str));
                let what = format!("this model has no table `{}`", index.table);
                report.error(
                    index.line,
                    what,
                    format!("{near}an index is on a table of this file"),
                );
            }
        }
    }

    fn views(&mut self, parsed: &[Parsed<'_>], scope: &mut Scope<'_>, report: &mut Report) {
        for (fragment, statement) in parsed {
            if let Statement::CreateView(create) = statement {
                let Some(view) = View::read(create, fragment, scope, report) else { continue };
                scope.declared.insert(view.name.clone());
                scope.views.insert(view.name.clone(), view.reads_clock);
                self.views.push(view);
            }
        }
    }

    /// Tables, views and indexes share one space of names; those of the catalogue come before a model's.
    fn check_names(&self, report: &mut Report) {
        let tables = self.tables.iter().map(|table| (table.line, &table.name));
        let views = self.views.iter().map(|view| (view.line, &view.name));
        let indexes =
            self.indexes.iter().filter_map(|index| Some((index.line, index.name.as_ref()?)));
        let mut names: BTreeMap<&String, usize> = BTreeMap::new();
        for (line, name) in tables.chain(views).chain(indexes) {
            if name.starts_with("pg_") {
                report.error(
                    line,
                    format!("`{name}` bears a name of the catalogue"),
                    "choose a name without pg_",
                );
            }
            if let Some(first) = names.insert(name, line) {
                let (first, second) = (first.min(line), first.max(line));
                report.error(
                    second,
                    format!("`{name}` is created in line {first} already"),
                    "choose another name",
                );
            }
        }
    }

    fn comments_and_rules(
        &mut self,
        parsed: Vec<Parsed<'_>>,
        scope: &Scope<'_>,
        report: &mut Report,
    ) {
        let indexes = self.indexes.iter().filter_map(|index| index.name.clone()).collect();
        for (fragment, statement) in parsed {
            match statement {
                Statement::CreateTable(_)
                | Statement::CreateIndex(_)
                | Statement::CreateView(_) => {}
                Statement::Comment { object_type, object_name, .. } => {
                    self.comments.extend(Comment::read(
                        object_type,
                        &object_name,
                        &fragment,
                        scope,
                        &indexes,
                        report,
                    ));
                }
                rule => self.rules.extend(shape::read(rule, &fragment, scope, report)),
            }
        }
    }
}
