//! `CREATE POLICY … FOR SELECT TO roles USING (…)`: which rows of a table roles may read. A row is read where any policy of
//! any of the reader's roles lets it; conditions that hold together are written in one.

use crate::finding::place::Place;
use crate::finding::report::Report;
use crate::objects::index::View;
use crate::objects::table::Table;
use crate::rights::grant::{refuse_helper, unknown_relation};
use crate::rights::phrase::{Phrase, Refused, Spelled, SpelledRole};
use crate::rights::using::compile;
use crate::rights::{Predicate, Role};
use crate::text::Fragment;
use crate::text::literal::Literal;

const FORM: &str = "write CREATE POLICY name ON table FOR SELECT TO role USING (condition)";

/// A policy.
#[derive(Debug, Clone)]
pub struct Policy {
    pub at: Place,
    /// The user's text without semicolon.
    pub sql: String,
    pub name: String,
    pub table: String,
    pub roles: Vec<Role>,
    /// The user's condition, and where it begins.
    pub condition: String,
    pub condition_at: Place,
    /// Literals that read the clock, if Postgres takes them for a time; bytes are those of the condition.
    pub literals: Vec<Literal>,
    pub using: Predicate,
    /// Roles as they are written.
    pub(crate) spelled: Vec<SpelledRole>,
}

/// A policy before its names are looked up.
struct Written<'a> {
    name: Spelled,
    table: Spelled,
    roles: Vec<SpelledRole>,
    condition: Fragment<'a>,
}

impl Policy {
    pub(crate) fn read(
        fragment: &Fragment<'_>,
        tables: &[Table],
        views: &[View],
        report: &mut Report,
    ) -> Option<Self> {
        let written = Written::read(fragment);
        let written = written.map_err(|(at, what, help)| report.error(at, what, help)).ok()?;
        let Written { name, table, roles, condition } = written;
        if table.folded.starts_with('_') {
            refuse_helper(&table, report);
            return None;
        }
        if views.iter().any(|view| view.name == table.folded) {
            let what = format!("`{}` is a view, and policies are on tables", table.folded);
            let help = "write the condition into the view, and grant the view to whom it is for";
            report.error(table.at, what, help);
            return None;
        }
        let Some(on) = tables.iter().find(|known| known.name == table.folded) else {
            unknown_relation(&table, tables, views, report);
            return None;
        };
        Some(Self {
            at: fragment.place(),
            sql: fragment.text().to_owned(),
            name: name.folded,
            table: table.folded,
            roles: roles.iter().map(|spelled| spelled.role.clone()).collect(),
            using: compile(&condition, on, report)?,
            condition: condition.text().to_owned(),
            condition_at: condition.place(),
            literals: Literal::all(&condition),
            spelled: roles,
        })
    }
}

impl<'a> Written<'a> {
    fn read(fragment: &Fragment<'a>) -> Result<Self, Refused> {
        let mut phrase = Phrase::new(fragment, FORM);
        phrase.wants("CREATE POLICY")?;
        let name = phrase.name("the policy's name")?;
        phrase.wants("ON")?;
        let table = phrase.relation()?;
        let at = phrase.place();
        if phrase.takes("AS RESTRICTIVE") {
            let what = "AS RESTRICTIVE is not part of a model".to_owned();
            let help = "write what must always hold into each policy, with AND".to_owned();
            return Err((at, what, help));
        }
        phrase.takes("AS PERMISSIVE");
        let at = phrase.place();
        if !phrase.takes("FOR SELECT") {
            let what = match phrase.takes("FOR") {
                true => "a policy for anything but SELECT is not part of a model",
                false => {
                    "a policy without FOR is one for all commands, and what is served is only read"
                }
            };
            return Err((at, what.to_owned(), FORM.to_owned()));
        }
        let mut roles = Vec::new();
        if phrase.takes("TO") {
            roles = phrase.list(Phrase::role)?;
        }
        let at = phrase.place();
        if phrase.takes("WITH CHECK") {
            let what = "WITH CHECK is not part of a model".to_owned();
            return Err((at, what, format!("readers write nothing: {FORM}")));
        }
        if roles.is_empty() {
            let what = "this policy does not say whom it is for".to_owned();
            return Err((at, what, format!("{FORM}, TO PUBLIC for everyone")));
        }
        phrase.wants("USING")?;
        let at = phrase.place();
        let condition = phrase.parenthesised()?;
        let condition = fragment
            .part(&condition)
            .ok_or_else(|| (at, "the condition is empty".to_owned(), FORM.to_owned()))?;
        let at = phrase.place();
        if phrase.takes("WITH CHECK") {
            let what = "WITH CHECK is not part of a model".to_owned();
            return Err((at, what, "leave it out: readers write nothing".to_owned()));
        }
        phrase.ends()?;
        Ok(Self { name, table, roles, condition })
    }
}
