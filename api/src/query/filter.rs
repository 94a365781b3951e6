//! `column=op.value`. Invariant: a filter means what the SQL comparison of that name means, NULLs included.

use std::iter;

use crate::catalogue::Column;
use crate::database::{Binds, Statement};
use crate::problem::{Kind, Problem};

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

/// Nobody means the text, and nothing is equal to NULL.
const NULL: &str = "compares with the text `null`, which a missing value is not: write `is.null` or `not.is.null`, and `in.(%22null%22)` for the text.";

/// Words that Postgres takes for a time by its clock.
const CLOCK: [&str; 4] = ["now", "today", "tomorrow", "yesterday"];

/// A condition on one column.
#[derive(Debug)]
pub(crate) struct Filter<'v> {
    /// The parameter's name as the caller wrote it.
    pub(crate) parameter: String,
    pub(crate) column: &'v Column,
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
    pub(crate) fn parse(parameter: &str, column: &'v Column, text: &str) -> Result<Self, Problem> {
        let (negated, test) = match text.strip_prefix("not.") {
            Some(test) => (true, test),
            None => (false, text),
        };
        let (operator, value) = test.split_once('.').unwrap_or((test, ""));
        let refuse = |detail: String, allowed: &[&str]| {
            Problem::of(Kind::BadValue, parameter, detail, allowed.iter().copied())
        };
        let test = match operator {
            "in" => Test::In(list(column, value).map_err(|why| {
                refuse(format!("`{parameter}=in.{}` {why}", shortened(value)), &[LIST])
            })?),
            "is" => Test::Is(
                literal(column, value)
                    .map_err(|why| refuse(format!("`{parameter}=is.{value}` {why}"), &LITERALS))?,
            ),
            "like" | "ilike" => {
                let pattern = pattern(column, value)
                    .map_err(|why| refuse(format!("`{parameter}={test}` {why}"), &[]))?;
                Test::Like(if operator == "like" { "LIKE" } else { "ILIKE" }, pattern)
            }
            _ => match COMPARISONS.iter().find(|(name, _)| *name == operator && test.contains('.'))
            {
                Some(_) if is_null(column, value) => {
                    return Err(refuse(format!("`{parameter}={text}` {NULL}"), &[]));
                }
                Some((_, sql)) => Test::Compare(sql, value.to_owned()),
                None => {
                    let detail = format!(
                        "`{parameter}={text}` does not begin with an operator: write `{parameter}=eq.{text}`, or another of the operators, `not.` before any."
                    );
                    return Err(refuse(detail, &OPERATORS));
                }
            },
        };
        Self { parameter: parameter.to_owned(), column, negated, test }.timeless()
    }

    /// The column equal to a value, as a row's address says it.
    pub(crate) fn equal(column: &'v Column, value: &str) -> Result<Self, Problem> {
        let test = Test::Compare("=", value.to_owned());
        Self { parameter: column.name.clone(), column, negated: false, test }.timeless()
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
        let Some(word) = values.iter().find_map(clock).filter(|_| self.column.temporal) else {
            return Ok(self);
        };
        let detail = format!(
            "`{}` is compared with `{word}`, which is the clock's: write the time itself.",
            self.column.name
        );
        Err(Problem::of(
            Kind::BadValue,
            &self.parameter,
            detail,
            ["2026-03-01", "2026-03-01T12:00:00Z"],
        ))
    }

    /// Whether all rows that pass have one value in the column.
    pub(crate) fn is_constant(&self) -> bool {
        !self.negated && matches!(self.test, Test::Compare("=", _))
    }

    /// The condition on a relation named `t`.
    pub(crate) fn condition(&self, binds: &mut Binds) -> String {
        let Column { quoted, cast, .. } = self.column;
        let condition = match &self.test {
            Test::Compare(operator, value) => {
                format!("t.{quoted} {operator} {}", binds.add(value, cast))
            }
            Test::Like(operator, pattern) => {
                format!("t.{quoted} {operator} {}", binds.add(pattern, "text"))
            }
            Test::In(values) if values.is_empty() => "false".to_owned(),
            Test::In(values) => {
                let values: Vec<_> = values.iter().map(|value| binds.add(value, cast)).collect();
                format!("t.{quoted} IN ({})", values.join(", "))
            }
            Test::Is(literal) => format!("t.{quoted} IS {literal}"),
        };
        if self.negated { format!("NOT ({condition})") } else { condition }
    }

    /// A statement that fails exactly when Postgres refuses this filter, whatever the table holds.
    pub(crate) fn probe(&self) -> Statement {
        let mut binds = Binds::default();
        let condition = self.condition(&mut binds);
        let Column { quoted, cast, .. } = self.column;
        // OFFSET 0 keeps the planner from seeing the NULL, or it would not look at the values at all.
        Statement::free(
            format!("SELECT {condition} FROM (SELECT NULL::{cast} AS {quoted} OFFSET 0) t"),
            binds,
        )
    }

    /// What the filter says, for fingerprints.
    pub(crate) fn canonical(&self) -> String {
        format!("{:?}{:?}{:?}", self.column.name, self.negated, self.test)
    }
}

/// Whether a value is written that looks like NULL, of a type that has no such value of its own.
fn is_null(column: &Column, value: &str) -> bool {
    value.eq_ignore_ascii_case("null") && !matches!(column.cast.as_str(), "json" | "jsonb")
}

fn clock_word(word: &str) -> Option<&'static str> {
    CLOCK.into_iter().find(|known| known.eq_ignore_ascii_case(word))
}

fn literal(column: &Column, value: &str) -> Result<&'static str, String> {
    match LITERALS.into_iter().find(|literal| *literal == value) {
        Some(literal @ ("true" | "false")) if column.cast != "boolean" => Err(format!(
            "asks a column of type {} for {literal}: only a boolean is true or false, `is.null` goes for all.",
            column.display
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

fn pattern(column: &Column, value: &str) -> Result<String, String> {
    if !column.textual {
        return Err(format!(
            "matches a column of type {}: patterns match only text.",
            column.display
        ));
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

/// The items of `(a,"b,c")`; `\` in quotes takes the next character as it is.
fn list(column: &Column, text: &str) -> Result<Vec<String>, String> {
    let malformed = || {
        "is not a list: write `in.(a,b)`, and `\"`, which an address writes as %22, around a value that holds a comma."
            .to_owned()
    };
    let mut rest =
        text.strip_prefix('(').and_then(|text| text.strip_suffix(')')).ok_or_else(malformed)?;
    let mut values = Vec::new();
    if rest.is_empty() {
        return Ok(values);
    }
    loop {
        let (value, after) = item(rest).ok_or_else(malformed)?;
        if !rest.starts_with('"') && is_null(column, &value) {
            return Err(NULL.to_owned());
        }
        values.push(value);
        if values.len() > MAX_LIST {
            return Err(format!("lists more than {MAX_LIST} values: ask in several requests."));
        }
        match after.strip_prefix(',') {
            Some(next) => rest = next,
            None if after.is_empty() => return Ok(values),
            None => return Err(malformed()),
        }
    }
}

/// The first value of a list's inside and what follows it. An empty text is written `""`.
fn item(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(',').unwrap_or(text.len());
        return (end > 0).then(|| (text[..end].to_owned(), &text[end..]));
    };
    let mut value = String::new();
    let mut characters = quoted.chars();
    loop {
        match characters.next()? {
            '"' => return Some((value, characters.as_str())),
            '\\' => value.push(characters.next()?),
            other => value.push(other),
        }
    }
}
