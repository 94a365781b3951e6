//! What is compared and selected: a column, or a place inside of a `jsonb` column. Invariant: the column is the catalogue's,
//! and the keys of a path are only ever bound.

use std::fmt::{self, Display, Write as _};

use vitrina_sql::quote_literal;

use crate::catalogue::{Column, View};
use crate::database::Binds;
use crate::problem::{Kind, Problem};

use super::column::column;
use super::name::{self, ARROW};

/// Steps of one path: what Postgres reads without effort, and far more than anybody nests.
const MAX_STEPS: usize = 20;

/// A column, and the path from its value to the one that is meant.
#[derive(Debug, Clone)]
pub(crate) struct Operand<'v> {
    pub(crate) column: &'v Column,
    steps: Vec<Step>,
    /// Whether the path ends in `->>`.
    as_text: bool,
}

/// A step into an array or an object.
#[derive(Debug, Clone)]
enum Step {
    Index(i32),
    Key(String),
}

impl<'v> Operand<'v> {
    /// The column itself.
    pub(crate) fn of(column: &'v Column) -> Self {
        Self { column, steps: Vec::new(), as_text: false }
    }

    /// The column `name`, wanted by `parameter`, with the path at the beginning of `rest`, whose keys end at one of `ends`;
    /// and what follows.
    pub(crate) fn parse<'t>(
        view: &'v View,
        parameter: &str,
        name: &str,
        rest: &'t str,
        ends: &[char],
    ) -> Result<(Self, &'t str), Problem> {
        Self::of(column(view, parameter, name)?).at(parameter, rest, ends)
    }

    /// The operand with the path at the beginning of `rest`.
    pub(crate) fn at<'t>(
        mut self,
        parameter: &str,
        mut rest: &'t str,
        ends: &[char],
    ) -> Result<(Self, &'t str), Problem> {
        let Column { name, cast, display, .. } = self.column;
        let refuse = |why: String| Problem::of(Kind::BadValue, parameter, why, None::<String>);
        if rest.starts_with(ARROW) && !matches!(cast.as_str(), "jsonb" | "json") {
            return Err(refuse(format!(
                "`{name}` is of type {display}, which has no inside: only a `jsonb` column is followed by `{ARROW}`."
            )));
        }
        while let Some(step) = rest.strip_prefix(ARROW) {
            if self.as_text {
                return Err(refuse(format!("`{self}` is a text already: `->>` ends a path.")));
            }
            if self.steps.len() == MAX_STEPS {
                return Err(refuse(format!("A path has at most {MAX_STEPS} steps.")));
            }
            let text = step.strip_prefix('>');
            self.as_text = text.is_some();
            let step = text.unwrap_or(step);
            let (key, after) = name::first(step, ends).ok_or_else(|| {
                refuse(format!("`{self}->` expects a key or a number, as in `{name}->0->>key`."))
            })?;
            let index = if step.starts_with('"') { None } else { index(&key) };
            self.steps.push(index.map_or(Step::Key(key), Step::Index));
            rest = after;
        }
        Ok((self, rest))
    }

    pub(crate) fn is_column(&self) -> bool {
        self.steps.is_empty()
    }

    /// Whether it is this column itself.
    pub(crate) fn is(&self, column: &Column) -> bool {
        self.is_column() && self.column.name == column.name
    }

    /// What it is called where nobody gives it a name: the column, or the path's last key.
    pub(crate) fn name(&self) -> &str {
        let key = |step: &'_ Step| matches!(step, Step::Key(_));
        match self.steps.iter().rev().find(|step| key(step)) {
            Some(Step::Key(key)) => key,
            _ => &self.column.name,
        }
    }

    /// The type that values are cast to that are compared with it.
    pub(crate) fn cast(&self) -> &'v str {
        if self.as_text { "text" } else { &self.column.cast }
    }

    /// The type, for people.
    pub(crate) fn display(&self) -> &'v str {
        match (self.as_text, self.is_column()) {
            (true, _) => "text",
            (false, true) => &self.column.display,
            (false, false) => &self.column.cast,
        }
    }

    /// Whether `like` makes sense.
    pub(crate) fn is_textual(&self) -> bool {
        self.as_text || self.is_column() && self.column.textual
    }

    /// Its value in a relation named `t`.
    pub(crate) fn sql(&self, binds: &mut Binds) -> String {
        self.of_relation("t.", |key| binds.add(key, "text"))
    }

    /// As `CREATE INDEX` writes it.
    pub(crate) fn indexed(&self) -> String {
        self.of_relation("", quote_literal)
    }

    /// What it is, for fingerprints.
    pub(crate) fn canonical(&self) -> String {
        format!("{:?}{:?}{:?}", self.column.name, self.steps, self.as_text)
    }

    fn of_relation(&self, relation: &str, mut key: impl FnMut(&str) -> String) -> String {
        let mut sql = format!("{relation}{}", self.column.quoted);
        for (number, step) in self.steps.iter().enumerate() {
            let is_last = number + 1 == self.steps.len();
            let arrow = if is_last && self.as_text { "->>" } else { ARROW };
            let step = match step {
                Step::Index(index) => index.to_string(),
                Step::Key(text) => key(text),
            };
            // Writing to a text does not fail.
            let _ = write!(sql, " {arrow} {step}");
        }
        if self.is_column() { sql } else { format!("({sql})") }
    }
}

/// As a caller may write it.
impl Display for Operand<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.column.name)?;
        for (number, step) in self.steps.iter().enumerate() {
            let is_last = number + 1 == self.steps.len();
            f.write_str(if is_last && self.as_text { "->>" } else { ARROW })?;
            match step {
                Step::Index(index) => write!(f, "{index}")?,
                Step::Key(key) if index(key).is_some() => f.write_str(&name::quoted(key))?,
                Step::Key(key) => f.write_str(key)?,
            }
        }
        Ok(())
    }
}

/// A step that is a number is one into an array, from its end where it is negative; in quotes it is a key.
fn index(key: &str) -> Option<i32> {
    let digits = key.strip_prefix('-').unwrap_or(key);
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| key.parse().ok()).flatten()
}
