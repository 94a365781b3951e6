//! A model file as a whole: every statement read, every finding named, and what of it decides that rows are the same.

use std::collections::{BTreeMap, BTreeSet};

use crate::Finding;
use crate::finding::place::Place;
use crate::finding::report::Report;
use crate::meaning::MeaningPart;
use crate::names::lexicon;
use crate::names::name::refused_model;
use crate::objects::index::{Comment, Index, View};
use crate::objects::scope::Relations;
use crate::objects::table::Table;
use crate::reading::{self, Meaning, Statements};
use crate::rights::grant::Grant;
use crate::rights::policy::Policy;
use crate::rights::{ColumnGrant, RelationRights, Rights, RowPolicy};
use crate::shape::rule::Rule;
use crate::text::Text;
use crate::text::literal::Literal;

/// One model file, read and accepted.
#[derive(Debug, Clone)]
pub struct Model {
    /// The file's stem.
    pub name: String,
    pub file: String,
    pub tables: Vec<Table>,
    pub indexes: Vec<Index>,
    pub views: Vec<View>,
    pub comments: Vec<Comment>,
    pub grants: Vec<Grant>,
    pub policies: Vec<Policy>,
    /// In file order, which is the order in which they run.
    pub rules: Vec<Rule>,
    /// Statements that rows may depend on.
    meanings: Vec<Meaning>,
}

/// A literal that reads the clock, if Postgres takes it for a time.
#[derive(Debug, Clone, Copy)]
pub struct SuspiciousLiteral<'a> {
    pub literal: &'a Literal,
    pub statement: LiteralStatement<'a>,
}

/// The statement that a literal stands in.
#[derive(Debug, Clone, Copy)]
pub enum LiteralStatement<'a> {
    Table(&'a Table),
    Index(&'a Index),
    Rule(&'a Rule),
}

impl SuspiciousLiteral<'_> {
    /// The statement's text with `replacement` in the literal's place; in a rule, `derived_table` stands for the event
    /// relation, as in [`Rule::with_relation`].
    pub fn replaced(&self, replacement: &str, derived_table: &str) -> String {
        let edit = |sql: &str| {
            crate::text::splice(sql, [(self.literal.span.clone(), replacement.to_owned())])
        };
        match self.statement {
            LiteralStatement::Table(table) => edit(&table.sql),
            LiteralStatement::Index(index) => edit(&index.sql),
            LiteralStatement::Rule(rule) => {
                rule.replaced(derived_table, Some((self.literal, replacement)))
            }
        }
    }
}

impl Model {
    /// Reads a model. All findings at once; a model comes back only if none of them is an error.
    pub fn parse(
        name: &str,
        file: &str,
        text: &str,
        relations: &dyn Relations,
    ) -> (Option<Self>, Vec<Finding>) {
        let mut report = Report::new(file);
        if let Some(why) = refused_model(name) {
            report.error(
                Place::START,
                format!("`{name}` cannot be a model's name: {why}"),
                "rename the file",
            );
        }
        let model = match Text::new(text) {
            Ok(text) => {
                lexicon::check(&text, &mut report);
                Some(Self::new(name, file, reading::read(&text, relations, &mut report)))
            }
            Err(error) => {
                let help = "close what was opened: a quote, a comment or a dollar-quoted text";
                report.error(error.at, error.what, help);
                None
            }
        };
        let (accepted, findings) = report.finish();
        (model.filter(|_| accepted), findings)
    }

    fn new(name: &str, file: &str, read: Statements) -> Self {
        let Statements { tables, indexes, views, comments, grants, policies, rules, meanings } =
            read;
        Self {
            name: name.to_owned(),
            file: file.to_owned(),
            tables,
            indexes,
            views,
            comments,
            grants,
            policies,
            rules,
            meanings,
        }
    }

    /// What rows depend on, insensitive to formatting: all but comments, plain indexes, rights, and views that no rule reads. A
    /// model whose meaning is new needs a new generation.
    pub fn meaning(&self) -> Vec<MeaningPart> {
        let mut read: BTreeSet<&str> = BTreeSet::new();
        let mut open: Vec<&str> =
            self.rules.iter().flat_map(|rule| &rule.reads).map(String::as_str).collect();
        while let Some(name) = open.pop() {
            if read.insert(name) {
                let views = self.views.iter().filter(|view| view.name == name);
                open.extend(views.flat_map(|view| &view.reads).map(String::as_str));
            }
        }
        let counts = |part: &&Meaning| part.view.as_deref().is_none_or(|view| read.contains(view));
        let part = |Meaning { at, text, .. }: &Meaning| MeaningPart {
            file: self.file.clone(),
            at: *at,
            what: head(text),
            text: text.clone(),
        };
        self.meanings.iter().filter(counts).map(part).collect()
    }

    /// Who may read what over HTTP.
    pub fn rights(&self) -> Rights {
        let mut rights: BTreeMap<String, RelationRights> = BTreeMap::new();
        for grant in &self.grants {
            for relation in &grant.relations {
                let (roles, columns) = (grant.roles.clone(), grant.columns.clone());
                let of = rights.entry(relation.clone()).or_default();
                of.grants.push(ColumnGrant { roles, columns });
            }
        }
        for policy in &self.policies {
            let (roles, using) = (policy.roles.clone(), policy.using.clone());
            let of = rights.entry(policy.table.clone()).or_default();
            of.policies.push(RowPolicy { roles, using });
        }
        Rights(rights)
    }

    /// Event relations that rules name, sorted, each once.
    pub fn relations(&self) -> Vec<(String, String)> {
        let names = self.rules.iter().map(|rule| (rule.context.clone(), rule.event.clone()));
        names.collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// Literals such as `'now'` whose type the text does not show. Views are not among them: they may read the clock.
    pub fn suspicious_literals(&self) -> Vec<SuspiciousLiteral<'_>> {
        use LiteralStatement::{Index, Rule, Table};
        let tables = self.tables.iter().map(|table| (&table.literals, Table(table)));
        let indexes = self.indexes.iter().map(|index| (&index.literals, Index(index)));
        let rules = self.rules.iter().map(|rule| (&rule.literals, Rule(rule)));
        let all = tables.chain(indexes).chain(rules);
        all.flat_map(|(literals, statement)| {
            literals.iter().map(move |literal| SuspiciousLiteral { literal, statement })
        })
        .collect()
    }
}

/// How a statement begins, for people.
fn head(text: &str) -> String {
    const SHOWN: usize = 60;
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", text[..end].trim_end()),
        None => text.to_owned(),
    }
}
