//! What names mean in a model: a qualified name is an event relation, an unqualified one a table or view of the same
//! file. Nothing else exists.

use std::collections::{BTreeMap, BTreeSet};

use sqlparser::ast::Ident;

use crate::finding::place::Place;
use crate::finding::report::Report;
use crate::names::functions;
use crate::names::name::fold;
use crate::names::nearest::did_you_mean;
use crate::names::survey::{NamedRelation, Survey};
use crate::objects::table::Table;
use crate::shape::rule::EVERY;

/// What the models may refer to: event relations and their columns.
pub trait Relations {
    /// Names (folded) of the columns of `context.event`, its fields and the metadata (`_event_id` …); `None` where
    /// there is no such relation.
    fn columns(&self, context: &str, event: &str) -> Option<Vec<String>>;
    /// Where it says why `context.event` does not load, if it is there and does not.
    fn broken(&self, context: &str, event: &str) -> Option<String> {
        let _ = (context, event);
        None
    }
    /// What the context's events come on, side by side with those of all others; for `every`, all that events come on.
    fn topic(&self, context: &str) -> String {
        context.to_owned()
    }
    /// Why a relation lacks a column that it might have, as far as there is a reason.
    fn why_absent(&self, context: &str, event: &str, column: &str) -> Option<String> {
        let _ = (context, event, column);
        None
    }
    /// All names as `context.event`, for suggestions; `context.tombstone` is one of each context, `every.event` one of all.
    fn names(&self) -> Vec<String>;
}

/// What Postgres keeps of every row, and no two runs have alike.
const SYSTEM_COLUMNS: [&str; 6] = ["ctid", "xmin", "xmax", "cmin", "cmax", "tableoid"];

/// A mention of an event relation.
#[derive(Debug, Clone)]
pub(crate) struct EventName {
    pub(crate) context: String,
    pub(crate) event: String,
    pub(crate) named: NamedRelation,
}

pub(crate) struct Scope<'a> {
    pub(crate) relations: &'a dyn Relations,
    pub(crate) tables: &'a BTreeMap<String, Table>,
    /// Keys that unique indexes add to those of the tables.
    pub(crate) unique: &'a BTreeMap<String, Vec<Vec<String>>>,
    /// Names of tables and views, also of those whose statement could not be read.
    pub(crate) declared: BTreeSet<String>,
    /// The views, and whether they read the clock.
    pub(crate) views: BTreeMap<String, bool>,
}

/// What a statement's names turned out to be.
#[derive(Default)]
pub(crate) struct Resolved {
    pub(crate) events: Vec<EventName>,
    /// Tables and views that are read.
    pub(crate) reads: BTreeSet<String>,
}

impl Scope<'_> {
    /// Looks every relation of `survey` up and reports those that do not exist.
    pub(crate) fn resolve(&self, survey: &Survey, report: &mut Report) -> Resolved {
        let mut resolved = Resolved::default();
        for named in &survey.relations {
            match &named.name[..] {
                [table] => {
                    let name = fold(table);
                    if self.declared.contains(&name) {
                        resolved.reads.insert(name);
                    } else if !survey.ctes.contains(&name) {
                        self.unknown_table(table, report);
                    }
                }
                [context, event] => {
                    if let Some((context, event)) =
                        self.event(&fold(context), &fold(event), named.place(), report)
                    {
                        resolved.events.push(EventName { context, event, named: named.clone() });
                    }
                }
                _ => report.error(
                    named.place(),
                    "a relation's name has at most two parts",
                    "write context.event for an event relation, or a table's name alone",
                ),
            }
        }
        self.check_dotted(survey, &resolved.events, report);
        self.check_bare(survey, report);
        resolved
    }

    /// The first of these tables and views whose rows depend on the clock.
    pub(crate) fn clock_view<'n>(&self, names: &'n BTreeSet<String>) -> Option<&'n String> {
        names.iter().find(|name| self.views.get(*name).is_some_and(|reads_clock| *reads_clock))
    }

    pub(crate) fn unknown_table(&self, name: &Ident, report: &mut Report) {
        let folded = fold(name);
        let (what, help) = if folded == "only" && name.quote_style.is_none() {
            (
                "ONLY is not supported".to_owned(),
                "take it out: a model's tables have no children".to_owned(),
            )
        } else {
            let near = did_you_mean(&folded, self.declared.iter().map(String::as_str));
            let help = format!(
                "{near}create it in this file, or write context.event for an event relation"
            );
            (format!("this model has no table or view `{folded}`"), help)
        };
        report.error(Place::from(name.span.start), what, help);
    }

    fn event(
        &self,
        context: &str,
        event: &str,
        at: Place,
        report: &mut Report,
    ) -> Option<(String, String)> {
        if self.relations.columns(context, event).is_some() {
            return Some((context.to_owned(), event.to_owned()));
        }
        match self.relations.broken(context, event) {
            Some(place) => report.follows(
                at,
                format!("the contract of `{context}.{event}` does not load"),
                format!("mend it at {place}"),
            ),
            None => {
                let (what, help) = self.unknown_event(context, event);
                report.error(at, what, help);
            }
        }
        None
    }

    /// What there is not, and what there is instead.
    fn unknown_event(&self, context: &str, event: &str) -> (String, String) {
        let name = format!("{context}.{event}");
        let names = self.relations.names();
        match (context, event) {
            (EVERY, "event") => (
                "there is no context whose events `every.event` would hold".to_owned(),
                "write the context.toml of one".to_owned(),
            ),
            (_, "tombstone") => {
                let contexts = names.iter().filter_map(|name| Some(name.split_once('.')?.0));
                let contexts: BTreeSet<&str> =
                    contexts.filter(|context| *context != EVERY).collect();
                let near = did_you_mean(context, contexts.iter().copied());
                let known = contexts.into_iter().collect::<Vec<_>>().join(", ");
                let help = match known.as_str() {
                    "" => "there is no context at all: write the context.toml of one".to_owned(),
                    known => format!("{near}the contexts are {known}"),
                };
                (
                    format!("there is no context `{context}`, whose tombstones `{name}` would be"),
                    help,
                )
            }
            _ => {
                let help = format!(
                    "{}a qualified name is an event relation; other models' tables and the catalogue cannot be read \
                     (keep a helper table, whose name begins with `_`)",
                    did_you_mean(&name, names.iter().map(String::as_str))
                );
                (format!("there is no event relation `{name}`"), help)
            }
        }
    }

    /// Dotted column names: no three-part ones, no system columns, no columns that the event relation lacks.
    fn check_dotted(&self, survey: &Survey, events: &[EventName], report: &mut Report) {
        for name in &survey.bare {
            self.check_system_column(name, events, report);
        }
        for name in &survey.dotted {
            let place = name.first().map_or(Place::START, |ident| Place::from(ident.span.start));
            let [relation, column] = &name[..] else {
                let shown: Vec<_> = name.iter().map(|ident| ident.value.as_str()).collect();
                let help = "give the relation an alias and write alias.column";
                report.error(place, format!("`{}` has too many parts", shown.join(".")), help);
                continue;
            };
            self.check_system_column(column, events, report);
            let called = fold(relation);
            let events_so: Vec<_> =
                events.iter().filter(|event| event.named.called() == called).collect();
            let all_so = survey
                .relations
                .iter()
                .chain(&survey.target)
                .filter(|named| named.called() == called)
                .count()
                + survey
                    .others
                    .iter()
                    .chain(&survey.ctes)
                    .filter(|other| **other == called)
                    .count();
            let system = SYSTEM_COLUMNS.contains(&fold(column).as_str());
            if let Some(table) = self.own_table(survey, &called).filter(|_| !system) {
                table.check_column(column, report);
            }
            if events_so.len() < all_so {
                continue;
            }
            let Some(event) = events_so.first() else { continue };
            let Some(columns) = self.relations.columns(&event.context, &event.event) else {
                continue;
            };
            let column = fold(column);
            if !columns.contains(&column) {
                let near = did_you_mean(&column, columns.iter().map(String::as_str));
                let why = self.relations.why_absent(&event.context, &event.event, &column);
                let why = why.map_or_else(String::new, |why| format!(": {why}"));
                report.error(
                    place,
                    format!("`{}.{}` has no column `{column}`{why}", event.context, event.event),
                    format!("{near}its columns are {}", columns.join(", ")),
                );
            }
        }
    }

    /// Names that stand alone, where the columns of everything in the statement are known.
    fn check_bare(&self, survey: &Survey, report: &mut Report) {
        if !survey.others.is_empty() || !survey.ctes.is_empty() {
            return;
        }
        let relations = || survey.relations.iter().chain(&survey.target);
        let columns = |named: &NamedRelation| match &named.name[..] {
            _ if named.renames_columns => None,
            [table] => {
                let columns = &self.tables.get(&fold(table))?.columns;
                Some(columns.iter().map(|column| column.name.clone()).collect())
            }
            [context, event] => self.relations.columns(&fold(context), &fold(event)),
            _ => None,
        };
        let Some(columns) = relations().map(columns).collect::<Option<Vec<Vec<String>>>>() else {
            return;
        };
        let known: BTreeSet<String> = columns.into_iter().flatten().collect();
        let rows: BTreeSet<String> = relations().map(NamedRelation::called).collect();
        for name in &survey.bare {
            let folded = fold(name);
            let word = name.quote_style.is_none()
                && (folded == "default" || functions::refused_word(&folded).is_some());
            let meant = [&known, &rows, &survey.items].iter().any(|names| names.contains(&folded))
                || folded == "excluded"
                || SYSTEM_COLUMNS.contains(&folded.as_str());
            if !word && !meant {
                let near = did_you_mean(&folded, known.iter().map(String::as_str));
                let of: Vec<&str> = rows.iter().map(String::as_str).collect();
                let of = of.join(", ");
                let help = format!("{near}write a column of {of}; a text stands in single quotes");
                let what = format!("nothing in this statement has a column `{folded}`");
                report.error(Place::from(name.span.start), what, help);
            }
        }
    }

    /// The table of this file that is meant wherever the statement says this name.
    fn own_table(&self, survey: &Survey, called: &str) -> Option<&Table> {
        if survey.others.iter().chain(&survey.ctes).any(|other| other == called) {
            return None;
        }
        let table = |named: &NamedRelation| {
            let [name] = &named.name[..] else { return None };
            let name = fold(name);
            let hidden = named.renames_columns || survey.ctes.contains(&name);
            self.tables.get(&name).filter(|_| !hidden)
        };
        let read = survey.relations.iter().filter(|named| named.called() == called);
        let written = survey.target.iter();
        let written = written.filter(|named| named.called() == called || called == "excluded");
        let mut tables = read.chain(written).map(table);
        let first = tables.next()??;
        tables.all(|other| other.is_some_and(|other| other.name == first.name)).then_some(first)
    }

    fn check_system_column(&self, column: &Ident, events: &[EventName], report: &mut Report) {
        let name = fold(column);
        let columns = |event: &EventName| {
            self.relations.columns(&event.context, &event.event).unwrap_or_default()
        };
        if SYSTEM_COLUMNS.contains(&name.as_str())
            && !events.iter().any(|event| columns(event).contains(&name))
        {
            let what = format!("`{name}` is a system column, which differs between runs");
            report.error(Place::from(column.span.start), what, "use the table's own columns");
        }
    }
}
