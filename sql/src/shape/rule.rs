//! A rule names one event relation. Its text is the user's; only the mentions of that relation are ever replaced, so
//! Postgres runs what the user wrote.

use std::collections::BTreeSet;
use std::ops::Range;

use sqlparser::ast::Statement;

use crate::finding::place::Place;
use crate::names::name::quoted;
use crate::text::literal::Literal;
use crate::text::{splice, unspliced};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RuleKind {
    Insert,
    Update,
    Delete,
}

/// How a rule runs over many events in one statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// The relation simply holds all the events: each of them makes its rows alone.
    Inlined,
    /// The `SELECT` of an `INSERT` is computed for each event by itself.
    PerEvent,
}

/// A place where the event relation is mentioned.
#[derive(Debug, Clone)]
pub(crate) struct Mention {
    /// Bytes of the name in the rule's text.
    pub(crate) span: Range<usize>,
    /// The name it must go by, where the user gave no alias.
    pub(crate) name: Option<String>,
}

#[derive(Debug, Clone)]
pub struct Rule {
    pub at: Place,
    /// The user's text without semicolon.
    pub sql: String,
    pub context: String,
    pub event: String,
    /// The table that it writes.
    pub target: String,
    pub kind: RuleKind,
    pub shape: Shape,
    /// Columns of the event relation that it may use; `None`: all of them, in their order and no others (a star, a
    /// whole row, a natural join).
    pub columns: Option<BTreeSet<String>>,
    /// Tables and views that it reads.
    pub reads: BTreeSet<String>,
    /// Tables and views whose rows must exist already, or its event has no effect: those joined inwardly.
    pub(crate) needs: BTreeSet<String>,
    pub(crate) mentions: Vec<Mention>,
    /// Bytes of an INSERT's query.
    pub(crate) query: Range<usize>,
    /// Bytes of literals that only a place in the INSERT's own list gives a type, and what says it elsewhere.
    pub(crate) typed: Vec<(Range<usize>, String)>,
    pub(crate) literals: Vec<Literal>,
    pub(crate) ast: Statement,
}

/// The context of `every.event`, whose events are those of all contexts.
pub(crate) const EVERY: &str = "every";

/// The name of the batch in a per-event statement; user's names do not begin so.
pub(crate) const BATCH: &str = "_vitrina_batch";

impl Rule {
    /// The statement as parsed, its locations those of the file.
    pub fn statement(&self) -> &Statement {
        &self.ast
    }

    pub(crate) fn same_event(&self, other: &Self) -> bool {
        (&self.context, &self.event) == (&other.context, &other.event)
    }

    /// Whether the rule runs for events of all types.
    pub(crate) fn is_of_every(&self) -> bool {
        self.context == EVERY
    }

    /// The statement with every mention of the event relation replaced by `derived_table`, which is a text like
    /// `(SELECT …)` without alias.
    pub fn with_relation(&self, derived_table: &str) -> String {
        self.replaced(derived_table, None)
    }

    /// The statement over a batch of events: `derived_table` as in [`Self::with_relation`], holding any number of them.
    pub fn with_batch(&self, derived_table: &str) -> String {
        match self.shape {
            Shape::Inlined => self.with_relation(derived_table),
            Shape::PerEvent => {
                let one = format!("(SELECT {BATCH}.*)");
                let opening = format!(
                    "SELECT _vitrina_rows.* FROM {derived_table} AS {BATCH} CROSS JOIN LATERAL ("
                );
                let (start, end) = (self.query.start, self.query.end);
                let around = [(start..start, opening), (end..end, ") AS _vitrina_rows".to_owned())];
                splice(
                    &self.sql,
                    around.into_iter().chain(self.typed.iter().cloned()).chain(self.edits(&one)),
                )
            }
        }
    }

    /// Where a byte of [`Self::with_relation`] stands in the file; what the user did not write stands at the mention.
    pub fn place(&self, derived_table: &str, byte: usize) -> Place {
        let byte = unspliced(self.edits(derived_table), byte);
        self.at.after(self.sql.get(..byte).unwrap_or_default())
    }

    pub(crate) fn replaced(
        &self,
        derived_table: &str,
        literal: Option<(&Literal, &str)>,
    ) -> String {
        let literal = literal.map(|(literal, text)| (literal.span.clone(), text.to_owned()));
        splice(&self.sql, self.edits(derived_table).chain(literal))
    }

    pub(crate) fn edits(
        &self,
        derived_table: &str,
    ) -> impl Iterator<Item = (Range<usize>, String)> {
        self.mentions.iter().map(move |mention| {
            let name = mention
                .name
                .as_ref()
                .map(|name| format!(" AS {}", quoted(name)))
                .unwrap_or_default();
            (mention.span.clone(), format!("{derived_table}{name}"))
        })
    }
}
