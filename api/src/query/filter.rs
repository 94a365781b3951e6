//! `column=op.value`. Invariant: a filter means what the SQL comparison of that name means, NULLs included.

use std::iter;

use crate::catalogue::Column;
use crate::database::{Binds, Statement};
use crate::problem::{Kind, Problem};

use super::operand::Operand;
use super::value::Value;

const COMPARISONS: [(&str, &str); 6] =
    [("eq", "="), ("neq", "<>"), ("gt", ">"), ("gte", ">="), ("lt", "<"), ("lte", "<=")];
const OPERATORS: [&str; 10] = ["eq", "neq", "gt", "gte", "lt", "lte", "in", "is", "like", "ilike"];
const LITERALS: [&str; 3] = ["null", "true", "false"];
/// A list as an example; in an address, `"` is written %22.
const LIST: &str = "in.(a,%22b,c%22)";
/// Characters of a list that a problem repeats.
const MAX_SHOWN: usize = 100;
/// Each value of a list is bound by itself.
const MAX_LIST: usize = 1000;
/// Characters of a pattern. Postgres compares one with a text in time that is the product of their lengths, and nothing, not
/// even a time-out, ends that within a row.
const MAX_PATTERN: usize = 1000;

const MALFORMED: &str = "is not a list: write `in.(a,b)`, and `\"`, which an address writes as %22, around a value that holds `,` or `)`.";
const NO_OPERATOR: &str = "does not begin with an operator: write `eq.` before the value, or another of them, `not.` before any.";
/// Nobody means the text, and nothing is equal to NULL.
const NULL: &str = "compares with the text `null`, which a missing value is not: write `is.null` or `not.is.null`, and `in.(%22null%22)` for the text.";

/// Words that Postgres takes for a time by its clock.
const CLOCK: [&str; 4] = ["now", "today", "tomorrow", "yesterday"];

/// The operators that fit a column's type.
pub(crate) fn operators(column: &Column) -> impl Iterator<Item = &'static str> {
    let fits = |operator: &&str| column.textual || !operator.ends_with("like");
    OPERATORS.into_iter().filter(fits)
}

/// Where a condition stands, which says where its value ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// It is a parameter of its own.
    Parameter,
    /// It stands among others.
    Group,
}

/// A condition on one column, or on a place inside of it.
#[derive(Debug)]
pub(crate) struct Filter<'v> {
    /// The parameter's name as the caller wrote it.
    pub(crate) parameter: String,
    pub(crate) operand: Operand<'v>,
    negated: bool,
    test: Test,
}

#[derive(Debug)]
enum Test {
    Compare(&'static str, String),
    Like(&'static str, String),
    In(Vec<String>),
    Is(&'static str),
}

impl<'v> Filter<'v> {
    /// The test at the beginning of `text`, and what follows it.
    pub(crate) fn parse<'t>(
        parameter: &str,
        operand: Operand<'v>,
        text: &'t str,
        place: Place,
    ) -> Result<(Self, &'t str), Problem> {
        let (negated, test) = match text.strip_prefix("not.") {
            Some(test) => (true, test),
            None => (false, text),
        };
        let shown = match place {
            Place::Parameter => format!("{parameter}={}", shortened(text)),
            Place::Group => format!("{operand}.{}", shortened(text)),
        };
        let refuse = |why: String, allowed: &[&str]| {
            let detail = format!("`{shown}` {why}");
            Problem::of(Kind::BadValue, parameter, detail, allowed.iter().copied())
        };
        let (operator, value) =
            test.split_once('.').ok_or_else(|| refuse(NO_OPERATOR.to_owned(), &OPERATORS))?;
        let (test, rest) = if operator == "in" {
            let (values, rest) = list(&operand, value).map_err(|why| refuse(why, &[LIST]))?;
            if place == Place::Parameter && !rest.is_empty() {
                return Err(refuse(MALFORMED.to_owned(), &[LIST]));
            }
            (Test::In(values), rest)
        } else {
            let value = match place {
                Place::Parameter => Value::whole(value),
                Place::Group => Value::parse(value)
                    .ok_or_else(|| refuse("has a quote that is not closed.".to_owned(), &[]))?,
            };
            let rest = value.rest;
            (
                single(&operand, operator, value).map_err(|(why, allowed)| refuse(why, allowed))?,
                rest,
            )
        };
        Ok((Self { parameter: parameter.to_owned(), operand, negated, test }.timeless()?, rest))
    }

    /// The column equal to a value, as a row's address says it.
    pub(crate) fn equal(column: &'v Column, value: &str) -> Result<Self, Problem> {
        let (operand, test) = (Operand::of(column), Test::Compare("=", value.to_owned()));
        Self { parameter: column.name.clone(), operand, negated: false, test }.timeless()
    }

    /// The filter, if it means the same tomorrow: a tag says that an answer is still the same, whatever the clock says.
    fn timeless(self) -> Result<Self, Problem> {
        let values = match &self.test {
            Test::Compare(_, value) => std::slice::from_ref(value),
            Test::In(values) => values,
            Test::Like(..) | Test::Is(_) => &[],
        };
        let clock =
            |value: &String| value.split(|c: char| !c.is_ascii_alphabetic()).find_map(clock_word);
        let is_temporal = self.operand.is_column() && self.operand.column.temporal;
        let Some(word) = values.iter().find_map(clock).filter(|_| is_temporal) else {
            return Ok(self);
        };
        let detail = format!(
            "`{}` is compared with `{word}`, which is the clock's: write the time itself.",
            self.operand
        );
        Err(Problem::of(
            Kind::BadValue,
            &self.parameter,
            detail,
            ["2026-03-01", "2026-03-01T12:00:00Z"],
        ))
    }

    /// Whether all rows that pass have one value here.
    pub(crate) fn is_constant(&self) -> bool {
        !self.negated && matches!(self.test, Test::Compare("=", _))
    }

    /// Whether the rows that pass have values here on one side of another.
    pub(crate) fn is_bound(&self) -> bool {
        let Test::Compare(operator, _) = &self.test else { return false };
        !self.negated && matches!(*operator, "<" | "<=" | ">" | ">=")
    }

    /// Whether the rows that pass are found by an index on what it compares.
    pub(crate) fn is_indexable(&self) -> bool {
        match &self.test {
            Test::Compare(operator, _) => !self.negated && *operator != "<>",
            Test::In(_) => !self.negated,
            Test::Is(literal) => !self.negated && *literal == "null",
            Test::Like(..) => false,
        }
    }

    /// Whether it may go through a long text again and again.
    pub(crate) fn is_pattern(&self) -> bool {
        matches!(self.test, Test::Like(..))
    }

    /// The condition on a relation named `t`.
    pub(crate) fn condition(&self, binds: &mut Binds) -> String {
        let (value, cast) = (self.operand.sql(binds), self.operand.cast());
        let condition = match &self.test {
            Test::Compare(operator, other) => {
                format!("{value} {operator} {}", binds.add(other, cast))
            }
            Test::Like(operator, pattern) => {
                format!("{value} {operator} {}", binds.add(pattern, "text"))
            }
            Test::In(values) if values.is_empty() => "false".to_owned(),
            Test::In(values) => {
                let values: Vec<_> = values.iter().map(|value| binds.add(value, cast)).collect();
                format!("{value} IN ({})", values.join(", "))
            }
            Test::Is(literal) => format!("{value} IS {literal}"),
        };
        if self.negated { format!("NOT ({condition})") } else { condition }
    }

    /// A statement that fails exactly when Postgres refuses this filter, whatever the table holds.
    pub(crate) fn probe(&self) -> Statement {
        let mut binds = Binds::default();
        let condition = self.condition(&mut binds);
        let Column { quoted, cast, .. } = self.operand.column;
        // OFFSET 0 keeps the planner from seeing the NULL, or it would not look at the values at all.
        Statement::free(
            format!("SELECT {condition} FROM (SELECT NULL::{cast} AS {quoted} OFFSET 0) t"),
            binds,
        )
    }

    /// What the filter says, for fingerprints.
    pub(crate) fn canonical(&self) -> String {
        format!("{:?}{:?}{:?}", self.operand.canonical(), self.negated, self.test)
    }
}

/// The test of one value; or why there is none, and what is allowed.
fn single(
    operand: &Operand<'_>,
    operator: &str,
    value: Value<'_>,
) -> Result<Test, (String, &'static [&'static str])> {
    match operator {
        "is" => literal(operand, &value.text).map(Test::Is).map_err(|why| (why, &LITERALS[..])),
        "like" | "ilike" => pattern(operand, &value.text)
            .map(|pattern| Test::Like(if operator == "like" { "LIKE" } else { "ILIKE" }, pattern))
            .map_err(|why| (why, &[][..])),
        _ => match COMPARISONS.iter().find(|(name, _)| *name == operator) {
            Some(_) if is_null(operand, &value) => Err((NULL.to_owned(), &[])),
            Some((_, sql)) => Ok(Test::Compare(sql, value.text)),
            None => Err((NO_OPERATOR.to_owned(), &OPERATORS)),
        },
    }
}

/// Whether a value is written that looks like NULL, of a type that has no such value of its own.
fn is_null(operand: &Operand<'_>, value: &Value<'_>) -> bool {
    let has_null = matches!(operand.cast(), "json" | "jsonb");
    value.text.eq_ignore_ascii_case("null") && !value.is_quoted && !has_null
}

fn clock_word(word: &str) -> Option<&'static str> {
    CLOCK.into_iter().find(|known| known.eq_ignore_ascii_case(word))
}

fn literal(operand: &Operand<'_>, value: &str) -> Result<&'static str, String> {
    match LITERALS.into_iter().find(|literal| *literal == value) {
        Some(literal @ ("true" | "false")) if operand.cast() != "boolean" => Err(format!(
            "asks a value of type {} for {literal}: only a boolean is true or false, `is.null` goes for all.",
            operand.display()
        )),
        Some(literal) => Ok(literal),
        None => {
            Err("asks for something that nothing is: write `is.null`, `is.true` or `is.false`."
                .into())
        }
    }
}

/// The beginning of a long list: problems are for reading.
fn shortened(list: &str) -> String {
    match list.char_indices().nth(MAX_SHOWN) {
        Some((end, _)) => format!("{}…", &list[..end]),
        None => list.to_owned(),
    }
}

fn pattern(operand: &Operand<'_>, value: &str) -> Result<String, String> {
    if !operand.is_textual() {
        return Err(format!(
            "matches a value of type {}: patterns match only text.",
            operand.display()
        ));
    }
    if value.chars().nth(MAX_PATTERN).is_some() {
        return Err(format!("is a pattern of more than {MAX_PATTERN} characters: ask for a part."));
    }
    let backslashes = value.len() - value.trim_end_matches('\\').len();
    if backslashes % 2 == 1 {
        return Err(
            "ends in a backslash that escapes nothing: write `\\\\` for a backslash.".into()
        );
    }
    let mut pattern = String::with_capacity(value.len());
    let mut characters = value.chars();
    while let Some(character) = characters.next() {
        match character {
            '*' => pattern.push('%'),
            // What it escapes, a star among it, is itself.
            '\\' => pattern.extend(iter::once('\\').chain(characters.next())),
            other => pattern.push(other),
        }
    }
    Ok(pattern)
}

/// The items of the `(a,"b,c")` at the beginning of `text`, and what follows it. An empty text is written `""`.
fn list<'t>(operand: &Operand<'_>, text: &'t str) -> Result<(Vec<String>, &'t str), String> {
    let malformed = || MALFORMED.to_owned();
    let mut rest = text.strip_prefix('(').ok_or_else(malformed)?;
    let mut values = Vec::new();
    if let Some(rest) = rest.strip_prefix(')') {
        return Ok((values, rest));
    }
    loop {
        let value = Value::parse(rest).ok_or_else(malformed)?;
        if value.text.is_empty() && !value.is_quoted {
            return Err(malformed());
        }
        if is_null(operand, &value) {
            return Err(NULL.to_owned());
        }
        values.push(value.text);
        if values.len() > MAX_LIST {
            return Err(format!("lists more than {MAX_LIST} values: ask in several requests."));
        }
        if let Some(next) = value.rest.strip_prefix(',') {
            rest = next;
        } else {
            let rest = value.rest.strip_prefix(')').ok_or_else(malformed)?;
            return Ok((values, rest));
        }
    }
}
