//! `GRANT SELECT [(columns)] ON tables TO roles`: each names columns that are there, of tables and views that are served.

use sqlparser::tokenizer::Token;

use crate::finding::place::Place;
use crate::finding::report::Report;
use crate::names::nearest::did_you_mean;
use crate::objects::index::View;
use crate::objects::table::Table;
use crate::rights::Role;
use crate::rights::phrase::{Phrase, Refused, Spelled, SpelledRole};
use crate::text::Fragment;

const FORM: &str =
    "write GRANT SELECT ON table TO role, or GRANT SELECT (column, …) ON table TO role";

/// A grant.
#[derive(Debug, Clone)]
pub struct Grant {
    pub at: Place,
    /// The user's text without semicolon.
    pub sql: String,
    /// Tables and views.
    pub relations: Vec<String>,
    /// None: all columns.
    pub columns: Option<Vec<String>>,
    pub roles: Vec<Role>,
    /// Roles as they are written.
    pub(crate) spelled: Vec<SpelledRole>,
}

/// A grant before its names are looked up.
struct Written {
    relations: Vec<Spelled>,
    columns: Option<Vec<Spelled>>,
    roles: Vec<SpelledRole>,
}

impl Grant {
    pub(crate) fn read(
        fragment: &Fragment<'_>,
        tables: &[Table],
        views: &[View],
        report: &mut Report,
    ) -> Option<Self> {
        let written = Written::read(fragment);
        let written = written.map_err(|(at, what, help)| report.error(at, what, help)).ok()?;
        for relation in &written.relations {
            let known = columns(&relation.folded, tables, views);
            match known {
                _ if relation.folded.starts_with('_') => refuse_helper(relation, report),
                None => unknown_relation(relation, tables, views, report),
                Some(known) => {
                    for column in written.columns.iter().flatten() {
                        check_column(column, &relation.folded, &known, report);
                    }
                }
            }
        }
        let names = |names: Vec<Spelled>| names.into_iter().map(|name| name.folded).collect();
        Some(Self {
            at: fragment.place(),
            sql: fragment.text().to_owned(),
            relations: names(written.relations),
            columns: written.columns.map(names),
            roles: written.roles.iter().map(|spelled| spelled.role.clone()).collect(),
            spelled: written.roles,
        })
    }
}

impl Written {
    fn read(fragment: &Fragment<'_>) -> Result<Self, Refused> {
        let mut phrase = Phrase::new(fragment, FORM);
        phrase.wants("GRANT")?;
        let mut columns = Some(Vec::new());
        for privilege in phrase.list(privilege)? {
            // One without a list takes all of them.
            columns = columns.zip(privilege).map(|(before, more)| [before, more].concat());
        }
        if phrase.takes("TO") {
            let what = "a role that has another one is not part of a model".to_owned();
            let help =
                "readers have the roles of their tokens: grant the tables to each".to_owned();
            return Err((fragment.place(), what, help));
        }
        phrase.wants("ON")?;
        phrase.takes("TABLE");
        let many = phrase.place();
        if phrase.takes("ALL TABLES") {
            let help = "name the tables and views".to_owned();
            return Err((many, "ON ALL TABLES is not part of a model".to_owned(), help));
        }
        let relations = phrase.list(Phrase::relation)?;
        phrase.wants("TO")?;
        let roles = phrase.list(|phrase| {
            // A word of long ago, which Postgres passes over.
            phrase.takes("GROUP");
            phrase.role()
        })?;
        let option = phrase.place();
        if phrase.takes("WITH") || phrase.takes("GRANTED BY") {
            let what = "an option of GRANT is not part of a model".to_owned();
            let help = "end the statement after the roles: readers grant nothing".to_owned();
            return Err((option, what, help));
        }
        phrase.ends()?;
        Ok(Self { relations, columns, roles })
    }
}

/// `SELECT`, or the columns of `SELECT (…)`.
fn privilege(phrase: &mut Phrase<'_>) -> Result<Option<Vec<Spelled>>, Refused> {
    let at = phrase.place();
    if !phrase.takes("SELECT") {
        let name = phrase.name("SELECT")?;
        // What follows decides whether this is a privilege or a role.
        if phrase.next().is_some_and(|next| next.keyword() == "TO") {
            return Ok(None);
        }
        let what = format!("GRANT {} is not part of a model", name.written);
        return Err((at, what, format!("what is served is only read: {FORM}")));
    }
    if !phrase.takes_token(&Token::LParen) {
        return Ok(None);
    }
    let columns = phrase.list(|phrase| phrase.name("a column's name"))?;
    match phrase.takes_token(&Token::RParen) {
        true => Ok(Some(columns)),
        false => Err(phrase.unfit(")")),
    }
}

/// The columns of a table or view, as far as they are known without Postgres; none where there is no such.
fn columns(name: &str, tables: &[Table], views: &[View]) -> Option<Vec<String>> {
    if let Some(table) = tables.iter().find(|table| table.name == name) {
        return Some(table.columns.iter().map(|column| column.name.clone()).collect());
    }
    views.iter().find(|view| view.name == name).map(|view| view.columns.clone())
}

fn check_column(column: &Spelled, relation: &str, known: &[String], report: &mut Report) {
    if known.is_empty() || known.contains(&column.folded) {
        return;
    }
    let near = did_you_mean(&column.folded, known.iter().map(String::as_str));
    let help = format!("{near}its columns are {}", known.join(", "));
    report.error(column.at, format!("`{relation}` has no column `{}`", column.folded), help);
}

pub(super) fn refuse_helper(name: &Spelled, report: &mut Report) {
    let what = format!("`{}` is a helper, and helpers are not served", name.folded);
    report.error(name.at, what, "leave it out, or give the table a name without `_`");
}

pub(super) fn unknown_relation(
    name: &Spelled,
    tables: &[Table],
    views: &[View],
    report: &mut Report,
) {
    let tables = tables.iter().map(|table| table.name.as_str());
    let known = tables.chain(views.iter().map(|view| view.name.as_str()));
    let near = did_you_mean(&name.folded, known);
    let what = format!("this model has no table or view `{}`", name.folded);
    report.error(name.at, what, format!("{near}name what this file creates"));
}
