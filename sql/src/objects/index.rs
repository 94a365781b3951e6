//! Indexes, views and comments: what may change without a new generation, because rows do not depend on it (except by
//! a unique index, which decides what conflicts).

use std::collections::BTreeSet;

use sqlparser::ast::{
    CommentObject, CreateIndex, CreateTableOptions, CreateView, Expr, Ident, ObjectName,
};

use crate::finding::place::Place;
use crate::finding::report::Report;
use crate::names::name::{fold, parts, single};
use crate::names::survey::Survey;
use crate::objects::scope::Scope;
use crate::objects::table::plain_columns;
use crate::shape::unordered::Unordered;
use crate::text::Fragment;
use crate::text::literal::Literal;

#[derive(Debug, Clone)]
pub struct Index {
    pub at: Place,
    /// The user's text without semicolon.
    pub sql: String,
    pub table: String,
    pub unique: bool,
    /// None: Postgres chooses it.
    pub name: Option<String>,
    /// Its columns where it is a plain one: no expression, no predicate.
    pub columns: Option<Vec<String>>,
    pub(crate) literals: Vec<Literal>,
    pub(crate) ast: CreateIndex,
}

impl Index {
    pub(crate) fn read(
        create: &CreateIndex,
        fragment: &Fragment<'_>,
        report: &mut Report,
    ) -> Option<Self> {
        let at = fragment.place();
        if create.concurrently || create.if_not_exists {
            report.error(
                at,
                "CONCURRENTLY and IF NOT EXISTS are not part of a model",
                "take them out: Vitrina decides how an index is built",
            );
        }
        Survey::of(create).report(at, false, report);
        let name = create.name.as_ref().map(single);
        let (Some(table), None | Some(Some(_))) = (single(&create.table_name), &name) else {
            report.error(at, "the index or its table names a schema", "write both names alone");
            return None;
        };
        Some(Self {
            at,
            sql: fragment.text().to_owned(),
            table,
            unique: create.unique,
            name: name.flatten(),
            columns: plain_columns(&create.columns).filter(|_| create.predicate.is_none()),
            literals: Literal::all(fragment),
            ast: create.clone(),
        })
    }

    /// The columns that it names outside of any expression.
    pub(crate) fn plain(&self) -> impl Iterator<Item = &Ident> {
        self.ast.columns.iter().filter_map(|column| match &column.column.expr {
            Expr::Identifier(name) => Some(name),
            _ => None,
        })
    }
}

#[derive(Debug, Clone)]
pub struct View {
    pub name: String,
    pub at: Place,
    /// The user's text without semicolon.
    pub sql: String,
    /// The text after `AS`.
    pub query: String,
    /// Column names written after the view's name; empty where the query names them.
    pub columns: Vec<String>,
    /// Tables and views that it reads.
    pub reads: Vec<String>,
    /// Whether its rows may change by the mere passing of time.
    pub reads_clock: bool,
    pub(crate) unordered: Vec<Unordered>,
}

impl View {
    /// `scope` holds the tables and the views above this one.
    pub(crate) fn read(
        create: &CreateView,
        fragment: &Fragment<'_>,
        scope: &Scope<'_>,
        report: &mut Report,
    ) -> Option<Self> {
        let at = fragment.place();
        let Some(name) = single(&create.name) else {
            report.error(
                at,
                format!("`{}` names a schema", create.name),
                "write the view's name alone",
            );
            return None;
        };
        if create.options != CreateTableOptions::None
            || create.if_not_exists
            || create.with_no_schema_binding
        {
            report.error(
                at,
                "an option of this CREATE VIEW is not part of a model",
                "write CREATE VIEW name AS SELECT …",
            );
        }
        let survey = Survey::of(&create.query);
        survey.report(at, true, report);
        let resolved = scope.resolve(&survey, report);
        for event in &resolved.events {
            let what = format!(
                "view `{name}` reads the event relation `{}.{}`",
                event.context, event.event
            );
            report.error(
                event.named.place(),
                what,
                "a view reads tables; keep what it needs in a helper table",
            );
        }
        let reads_clock = survey.reads_clock()
            || !Literal::all(fragment).is_empty()
            || scope.clock_view(&resolved.reads).is_some();
        let opening = fragment.significant().find(|lexeme| lexeme.keyword() == "AS")?;
        let query = fragment.part(&(opening.bytes.end..usize::MAX))?;
        Some(Self {
            name,
            at,
            sql: fragment.text().to_owned(),
            query: query.text().to_owned(),
            columns: create.columns.iter().map(|column| fold(&column.name)).collect(),
            reads: resolved.reads.into_iter().collect(),
            reads_clock,
            unordered: Unordered::all(&create.query, scope.tables, scope.unique),
        })
    }
}

#[derive(Debug, Clone)]
pub struct Comment {
    pub at: Place,
    /// The user's text without semicolon.
    pub sql: String,
}

impl Comment {
    pub(crate) fn read(
        object: CommentObject,
        name: &ObjectName,
        fragment: &Fragment<'_>,
        scope: &Scope<'_>,
        indexes: &BTreeSet<String>,
        report: &mut Report,
    ) -> Option<Self> {
        let folded: Vec<_> = parts(name).into_iter().map(fold).collect();
        let known = match (object, &folded[..]) {
            (CommentObject::Table | CommentObject::View, [relation]) => {
                scope.declared.contains(relation)
            }
            (CommentObject::Index, [index]) => indexes.contains(index),
            (CommentObject::Column, [relation, column]) => match scope.tables.get(relation) {
                Some(table) => table.has(column),
                None => scope.declared.contains(relation),
            },
            _ => {
                let help =
                    "write COMMENT ON TABLE, VIEW or INDEX name, or COMMENT ON COLUMN table.column";
                report.error(fragment.place(), "this COMMENT is not part of a model", help);
                return None;
            }
        };
        if !known {
            let what = format!(
                "this model has no {} `{}`",
                object.to_string().to_lowercase(),
                folded.join(".")
            );
            report.error(fragment.place(), what, "comment on what this file creates");
        }
        Some(Self { at: fragment.place(), sql: fragment.text().to_owned() })
    }
}
