//! The statements of a model file, read in the order in which they can know each other: tables and indexes, then views
//! (each sees those above it), then rights, comments and rules. A broken statement hides no other's findings.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use sqlparser::ast::Statement;

use crate::finding::place::Place;
use crate::finding::report::Report;
use crate::names::nearest;
use crate::objects::index::{Comment, Index, View};
use crate::objects::scope::{Relations, Scope};
use crate::objects::table::Table;
use crate::precedence::Precedence;
use crate::rights::grant::Grant;
use crate::rights::policy::Policy;
use crate::rights::verdict::Verdict;
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
    pub(crate) grants: Vec<Grant>,
    pub(crate) policies: Vec<Policy>,
    pub(crate) rules: Vec<Rule>,
    /// What rows may depend on.
    pub(crate) meanings: Vec<Meaning>,
}

type Parsed<'a> = (Fragment<'a>, Statement);

/// A statement that rows may depend on.
#[derive(Debug, Clone)]
pub(crate) struct Meaning {
    pub(crate) at: Place,
    /// Its canonical text.
    pub(crate) text: String,
    /// Its name, if it is a view.
    pub(crate) view: Option<String>,
}

pub(crate) fn read(text: &Text<'_>, relations: &dyn Relations, report: &mut Report) -> Statements {
    let mut read = Statements::default();
    let mut parsed = Vec::new();
    let mut rights = Vec::new();
    let mut declared = BTreeSet::new();
    let mut open = VecDeque::from(text.statements());
    while let Some(fragment) = open.pop_front() {
        let kind = match StatementKind::of(&fragment) {
            Ok(kind) => kind,
            Err((what, help)) => {
                report.error(fragment.place(), what, help);
                continue;
            }
        };
        if matches!(kind, StatementKind::Grant | StatementKind::Policy) {
            rights.push((kind, fragment));
            continue;
        }
        let statement = fragment.parse();
        if statement.is_err()
            && let Some((statement, next)) = unseparated(&fragment)
        {
            let help =
                format!("write one: the next statement begins in line {}", next.place().line);
            report.error(statement.end(), "here a semicolon is missing", help);
            open.push_front(next);
            open.push_front(statement);
            continue;
        }
        if kind == StatementKind::Table || (kind == StatementKind::View && statement.is_err()) {
            declared.extend(declared_name(&fragment));
        }
        match statement {
            Ok(statement) => parsed.push((fragment, statement)),
            Err(error) => report.unreadable(error, lacking(kind, &fragment)),
        }
        if let Some(view) = meaning_of(kind, &fragment) {
            let (at, text) = (fragment.place(), fragment.canonical());
            read.meanings.push(Meaning { at, text, view });
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
    read.rights(&rights, report);
    read.comments_and_rules(parsed, &scope, report);
    read.warn_of_views(report);
    let Statements { rules, tables, views, .. } = &read;
    Precedence { rules, tables, views, relations }.warn(report);
    read
}

/// Two statements with nothing between them, where the first is whole and the next begins a line.
fn unseparated<'t>(fragment: &Fragment<'t>) -> Option<(Fragment<'t>, Fragment<'t>)> {
    fragment.line_starts().into_iter().find_map(|first| {
        let (statement, next) = fragment.cut(first)?;
        let two = StatementKind::of(&next).is_ok() && statement.parse().is_ok();
        two.then_some((statement, next))
    })
}

/// The name after CREATE TABLE or VIEW, known even where the rest cannot be read.
fn declared_name(fragment: &Fragment<'_>) -> Option<String> {
    let lexeme = fragment.significant().nth(2)?;
    fragment.part(&lexeme.bytes)?.names().pop_first()
}

/// Whether rows may depend on a statement; with the name, if it is a view.
fn meaning_of(kind: StatementKind, fragment: &Fragment<'_>) -> Option<Option<String>> {
    match kind {
        StatementKind::Index
        | StatementKind::Comment
        | StatementKind::Grant
        | StatementKind::Policy => None,
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

    /// What a view leaves open counts where a rule reads it.
    fn warn_of_views(&self, report: &mut Report) {
        let mut open: Vec<&String> = self.rules.iter().flat_map(|rule| &rule.reads).collect();
        let mut seen = BTreeSet::new();
        while let Some(name) = open.pop() {
            let view = self.views.iter().find(|view| view.name == *name);
            let Some(view) = view.filter(|_| seen.insert(name)) else { continue };
            view.unordered.iter().for_each(|unordered| unordered.report(view.at, report));
            open.extend(&view.reads);
        }
    }

    fn check_indexes(&self, scope: &Scope<'_>, report: &mut Report) {
        for index in &self.indexes {
            if !scope.declared.contains(&index.table) {
                let near =
                    nearest::did_you_mean(&index.table, scope.declared.iter().map(String::as_str));
                let what = format!("this model has no table `{}`", index.table);
                report.error(index.at, what, format!("{near}an index is on a table of this file"));
            }
            if let Some(table) = scope.tables.get(&index.table) {
                index.plain().for_each(|column| table.check_column(column, report));
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

    fn rights(&mut self, statements: &[(StatementKind, Fragment<'_>)], report: &mut Report) {
        for (kind, fragment) in statements {
            if *kind == StatementKind::Grant {
                self.grants.extend(Grant::read(fragment, &self.tables, &self.views, report));
            } else {
                self.policies.extend(Policy::read(fragment, &self.tables, &self.views, report));
            }
        }
        let Self { grants, policies, views, .. } = self;
        Verdict { grants, policies, views }.report(report);
    }

    /// Tables, views and indexes share one space of names; those of the catalogue come before a model's.
    fn check_names(&self, report: &mut Report) {
        let tables = self.tables.iter().map(|table| (table.at, &table.name));
        let views = self.views.iter().map(|view| (view.at, &view.name));
        let indexes =
            self.indexes.iter().filter_map(|index| Some((index.at, index.name.as_ref()?)));
        let mut names: BTreeMap<&String, Place> = BTreeMap::new();
        for (at, name) in tables.chain(views).chain(indexes) {
            if name.starts_with("pg_") {
                report.error(
                    at,
                    format!("`{name}` bears a name of the catalogue"),
                    "choose a name without pg_",
                );
            }
            if let Some(first) = names.insert(name, at) {
                let (first, second) = (first.min(at), first.max(at));
                report.error(
                    second,
                    format!("`{name}` is created in line {} already", first.line),
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
