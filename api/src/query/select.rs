//! What an answer's rows hold. Invariant: each value has a name of its own.

use crate::catalogue::{Column, View};
use crate::database::Binds;
use crate::format::{Form, Format, Shape};
use crate::problem::{Kind, Problem};

use super::name;
use super::operand::Operand;

/// What ends a name in `select`.
const ENDS: [char; 3] = [',', '.', ':'];
/// Bytes of a name, as Postgres has it.
const MAX_NAME: usize = 63;
/// As many as a table of Postgres has columns.
const MOST_VALUES: usize = 1600;
const CAST: &str = "::";
/// Types whose texts in Postgres need no detour by `to_jsonb`, which costs as much as all the rest of reading a row.
const PLAIN: [(&str, Form); 15] = [
    ("boolean", Form::Raw),
    ("smallint", Form::Raw),
    ("integer", Form::Raw),
    ("bigint", Form::Raw),
    ("jsonb", Form::Raw),
    ("numeric", Form::Number),
    ("text", Form::Text),
    ("character varying", Form::Text),
    ("uuid", Form::Text),
    ("bytea", Form::Text),
    ("date", Form::Text),
    ("time without time zone", Form::Text),
    ("interval", Form::Text),
    ("timestamp without time zone", Form::Moment),
    ("timestamp with time zone", Form::Moment),
];

/// A value of each row.
#[derive(Debug)]
pub(crate) struct Selected<'v> {
    pub(crate) name: String,
    operand: Operand<'v>,
    as_text: bool,
}

impl<'v> Selected<'v> {
    fn of(column: &'v Column) -> Self {
        Self { name: column.name.clone(), operand: Operand::of(column), as_text: false }
    }

    /// The one at the beginning of `text`, and what follows it.
    fn parse<'t>(view: &'v View, text: &'t str) -> Result<(Self, &'t str), Problem> {
        let first = |text| name::first(text, &ENDS).ok_or_else(|| name::missing("select", text));
        let (mut name, mut rest) = first(text)?;
        let mut given = None;
        if let Some(renamed) = rest.strip_prefix(':').filter(|_| !rest.starts_with(CAST)) {
            given = Some(name);
            (name, rest) = first(renamed)?;
        }
        if name == "*" && view.column("*").is_none() {
            return Err(refuse(
                view,
                "`select` takes column names: leave `select` out for all columns.".to_owned(),
            ));
        }
        let (operand, mut rest) = Operand::parse(view, "select", &name, rest, &ENDS)?;
        let mut as_text = false;
        if let Some(cast) = rest.strip_prefix(CAST) {
            let end = cast.find(',').unwrap_or(cast.len());
            if &cast[..end] != "text" {
                let detail = format!(
                    "`select` casts `{operand}` to `{}`: write `{operand}::text`, the one cast that there is.",
                    &cast[..end]
                );
                return Err(Problem::of(Kind::BadValue, "select", detail, ["text"]));
            }
            (as_text, rest) = (true, &cast[end..]);
        }
        let name = given.unwrap_or_else(|| operand.name().to_owned());
        if !(1..=MAX_NAME).contains(&name.len()) {
            let detail = format!(
                "`select` calls `{operand}` `{name}`: write a name of 1 to {MAX_NAME} bytes, as `name:{operand}`."
            );
            return Err(refuse(view, detail));
        }
        Ok((Self { name, operand, as_text }, rest))
    }

    /// Its name, the name of its type, and whether it may be null.
    pub(crate) fn typed(&self) -> (&str, &str, bool) {
        let kind = if self.as_text { "text" } else { self.operand.cast() };
        (&self.name, kind, !self.operand.is_column() || self.operand.column.nullable)
    }

    /// As a list of `SELECT` has it, of a relation named `t`.
    pub(crate) fn written(&self, binds: &mut Binds) -> String {
        let cast = if self.as_text { "::text" } else { "" };
        let value = format!("{}{cast}", self.operand.sql(binds));
        let is_its_own = self.operand.is_column() && self.operand.name() == self.name;
        match is_its_own {
            true => value,
            false => format!("{value} AS {}", vitrina_projectors::quote(&self.name)),
        }
    }

    /// How JSON writes its text.
    pub(crate) fn form(&self) -> Form {
        if self.as_text { Form::Text } else { self.plain().unwrap_or(Form::Raw) }
    }

    fn is_jsonb(&self) -> bool {
        !self.as_text && self.operand.cast() == "jsonb"
    }

    fn plain(&self) -> Option<Form> {
        let cast = self.operand.cast();
        PLAIN.iter().find(|(plain, _)| *plain == cast).map(|(_, form)| *form)
    }

    /// Its text: as Postgres writes the value, or where that is not what JSON says, as JSON does, a text without quotes in CSV.
    fn text(&self, format: Format, binds: &mut Binds) -> String {
        let value = self.operand.sql(binds);
        let is_plain = self.as_text || self.plain().is_some();
        match format {
            // A text within jsonb, too, loses its quotes.
            Format::Csv if !is_plain || self.is_jsonb() => format!("to_jsonb({value}) #>> '{{}}'"),
            Format::Json | Format::Lines if !is_plain => format!("to_jsonb({value})::text"),
            _ => format!("{value}::text"),
        }
    }
}

/// What `select` names, in that order; all columns where it is not given.
pub(crate) fn selected<'v>(
    view: &'v View,
    select: Option<&str>,
) -> Result<Vec<Selected<'v>>, Problem> {
    let Some(mut rest) = select else { return Ok(view.columns.iter().map(Selected::of).collect()) };
    let mut values: Vec<Selected<'v>> = Vec::new();
    loop {
        let (value, after) = Selected::parse(view, rest)?;
        let name = &value.name;
        if values.iter().any(|other| other.name == *name) {
            let detail = format!(
                "`select` names `{name}` twice: give one of them another name, as `other:{}`.",
                value.operand
            );
            return Err(refuse(view, detail));
        }
        if values.len() == MOST_VALUES {
            let detail =
                format!("`select` names more than {MOST_VALUES} values: ask for fewer at a time.");
            return Err(refuse(view, detail));
        }
        values.push(value);
        match after.strip_prefix(',') {
            Some(next) => rest = next,
            None if after.is_empty() => return Ok(values),
            None => {
                let detail = format!(
                    "`{after}` in `select` is more than a name: write `select=a,b`, `short:long_name` or `a::text`."
                );
                return Err(refuse(view, detail));
            }
        }
    }
}

fn refuse(view: &View, detail: String) -> Problem {
    Problem::of(Kind::BadValue, "select", detail, view.column_names())
}

/// Expressions for the texts of a row of `t`, from which it is written in the format.
pub(crate) fn row_texts(values: &[Selected<'_>], format: Format, binds: &mut Binds) -> Vec<String> {
    values.iter().map(|value| value.text(format, binds)).collect()
}

/// What those texts are of.
pub(crate) fn shape(values: &[Selected<'_>]) -> Result<Shape, Problem> {
    Shape::new(values.iter().map(|value| (value.name.as_str(), value.form())))
}
