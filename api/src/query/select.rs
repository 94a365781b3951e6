//! What an answer's rows hold. Invariant: each value has a name of its own.

use crate::catalogue::{Column, View};
use crate::database::Binds;
use crate::problem::{Kind, Problem};

use super::name;
use super::operand::Operand;

/// What ends a name in `select`.
const ENDS: [char; 3] = [',', '.', ':'];
/// Bytes of a name, as Postgres has it.
const MAX_NAME: usize = 63;
const CAST: &str = "::";
/// Types of which `row_to_json` makes the same text by itself as `to_jsonb` does on its way.
const PLAIN: [&str; 16] = [
    "boolean",
    "smallint",
    "integer",
    "bigint",
    "numeric",
    "text",
    "character varying",
    "bpchar",
    "uuid",
    "bytea",
    "date",
    "time without time zone",
    "timestamp without time zone",
    "timestamp with time zone",
    "interval",
    "jsonb",
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

    fn value(&self, binds: &mut Binds) -> String {
        let value = self.operand.sql(binds);
        if self.as_text { format!("{value}::text") } else { value }
    }

    fn is_plain(&self) -> bool {
        self.as_text || PLAIN.contains(&self.operand.cast())
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

/// An expression that makes the JSON text of a row of `t`: an object of the values, each as `to_jsonb` writes it.
pub(crate) fn row_json(values: &[Selected<'_>], binds: &mut Binds) -> String {
    let value = |value: &Selected<'_>| {
        let (sql, name) = (value.value(binds), name::quoted(&value.name));
        if value.is_plain() {
            format!("{sql} AS {name}")
        } else {
            format!("to_jsonb({sql}) AS {name}")
        }
    };
    let values: Vec<_> = values.iter().map(value).collect();
    // `d.*`, not `d`: a column may be named d.
    format!("(SELECT row_to_json(d.*)::text FROM (SELECT {}) d)", values.join(", "))
}

/// An expression that makes the JSON text of a row of `t`: an array of the values' texts as JSON would have them, a text
/// itself without its quotes.
pub(crate) fn row_texts(values: &[Selected<'_>], binds: &mut Binds) -> String {
    let text = |value: &Selected<'_>| format!("to_jsonb({}) #>> '{{}}'", value.value(binds));
    let texts: Vec<_> = values.iter().map(text).collect();
    format!("to_json(ARRAY[{}]::text[])::text", texts.join(", "))
}
