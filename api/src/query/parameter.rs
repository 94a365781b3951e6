//! The query string, taken apart strictly. Invariant: what is not proper percent-encoded UTF-8 without NUL is refused,
//! never repaired.

use crate::catalogue::View;
use crate::problem::{Kind, Problem, suggestion};

use super::filter::{Filter, Place};
use super::group::{Condition, GROUPS};
use super::name::{self, ARROW};
use super::operand::Operand;

/// The parameters that are not columns; a column of such a name is written `"order"=eq.x`.
const RESERVED: [&str; 4] = ["select", "order", "limit", "cursor"];
/// Conditions of one query, in groups and by themselves.
const MAX_CONDITIONS: usize = 100;

#[derive(Debug)]
struct Parameter {
    name: String,
    value: String,
    /// As the caller wrote it, for the address of the next page.
    raw: String,
}

/// A query string.
#[derive(Debug)]
pub(crate) struct Parameters(Vec<Parameter>);

impl Parameters {
    pub(crate) fn parse(query: Option<&str>) -> Result<Self, Problem> {
        let parts = query.unwrap_or_default().split('&').filter(|part| !part.is_empty());
        let parameter = |raw: &str| {
            let (name, value) = raw.split_once('=').unwrap_or((raw, ""));
            let name = decode(&name.replace('+', " "), "a parameter's name")?;
            let value = decode(&value.replace('+', " "), &format!("the value of `{name}`"))?;
            Ok(Parameter { name, value, raw: raw.to_owned() })
        };
        let parameters = Self(parts.map(parameter).collect::<Result<_, Problem>>()?);
        match RESERVED.into_iter().find(|name| parameters.is_repeated(name)) {
            Some(name) => Err(repeated(name)),
            None => Ok(parameters),
        }
    }

    fn is_repeated(&self, name: &str) -> bool {
        self.0.iter().filter(|parameter| parameter.name == name).count() > 1
    }

    /// The value of a reserved parameter.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|parameter| parameter.name == name)
            .map(|parameter| parameter.value.as_str())
    }

    /// All parameters that are columns of `view` or groups, as the conditions that hold together.
    pub(crate) fn conditions<'v>(&self, view: &'v View) -> Result<Vec<Condition<'v>>, Problem> {
        let others = self.0.iter().filter(|parameter| !RESERVED.contains(&parameter.name.as_str()));
        let mut conditions = Vec::new();
        let mut number = 0;
        for Parameter { name, value, .. } in others {
            let condition = match GROUPS.contains(&name.as_str()) {
                true => Condition::group(view, name, value)?,
                false => {
                    let operand = operand(view, name)?;
                    Condition::One(Filter::parse(name, operand, value, Place::Parameter)?.0)
                }
            };
            number += condition.filters().len();
            if number > MAX_CONDITIONS {
                let detail = format!(
                    "A query has at most {MAX_CONDITIONS} conditions: `in.(a,b)` is one, however long its list is."
                );
                return Err(Problem::of(Kind::BadValue, name, detail, None::<String>));
            }
            conditions.extend(condition.conjuncts());
        }
        Ok(conditions)
    }

    /// Refuses whatever is not among `allowed`, on a route that takes no filters.
    pub(crate) fn only(&self, place: &str, allowed: &[&str]) -> Result<(), Problem> {
        if let Some(name) = allowed.iter().find(|name| self.is_repeated(name)) {
            return Err(repeated(name));
        }
        match self.0.iter().find(|parameter| !allowed.contains(&parameter.name.as_str())) {
            Some(parameter) => Err(unknown(
                &parameter.name,
                place,
                allowed.iter().map(|&name| name.to_owned()).collect(),
            )),
            None => Ok(()),
        }
    }

    /// The same query in any order of its parameters is the same list.
    pub(crate) fn canonical(&self) -> Vec<&str> {
        let mut pairs: Vec<_> =
            self.0.iter().map(|parameter| [parameter.name.as_str(), &parameter.value]).collect();
        pairs.sort_unstable();
        pairs.into_iter().flatten().collect()
    }

    /// The caller's own query string, with another cursor.
    pub(crate) fn with_cursor(&self, cursor: &str) -> String {
        let cursor = format!("cursor={cursor}");
        let others = self
            .0
            .iter()
            .filter(|parameter| parameter.name != "cursor")
            .map(|parameter| parameter.raw.as_str());
        others.chain([cursor.as_str()]).collect::<Vec<_>>().join("&")
    }
}

/// What a parameter's name stands for: a column, in quotes or not, and a path into it.
fn operand<'v>(view: &'v View, parameter: &str) -> Result<Operand<'v>, Problem> {
    if let Some(column) = view.column(parameter) {
        return Ok(Operand::of(column));
    }
    let (name, rest) = name::first(parameter, &[]).unwrap_or_default();
    let column = view.column(&name).filter(|_| rest.is_empty() || rest.starts_with(ARROW));
    let unknown = || {
        let columns = view.column_names().map(as_parameter);
        let others = RESERVED.into_iter().chain(GROUPS).map(str::to_owned);
        unknown(parameter, &format!("`{}`", view.name), others.chain(columns).collect())
    };
    let (operand, rest) = Operand::of(column.ok_or_else(unknown)?).at(parameter, rest, &[])?;
    if rest.is_empty() { Ok(operand) } else { Err(unknown()) }
}

fn repeated(name: &str) -> Problem {
    let detail = format!("`{name}` is given more than once: give it once.");
    Problem::of(Kind::RepeatedParameter, name, detail, None::<String>)
}

/// The name under which a column is filtered.
pub(crate) fn as_parameter(column: &str) -> String {
    if RESERVED.contains(&column) || GROUPS.contains(&column) || column.starts_with('"') {
        name::quoted(column)
    } else {
        column.to_owned()
    }
}

fn unknown(name: &str, place: &str, allowed: Vec<String>) -> Problem {
    let near = suggestion(name, allowed.iter().map(String::as_str));
    let detail = match allowed.is_empty() {
        true => format!("`{name}` is not a parameter of {place}, which takes none."),
        false => format!("`{name}` is not a parameter of {place}.{near}"),
    };
    Problem::of(Kind::UnknownParameter, name, detail, allowed)
}

/// Percent-decodes a text of the address; `what` names it where it is malformed.
pub(crate) fn decode(text: &str, what: &str) -> Result<String, Problem> {
    let refuse =
        |why: &str| Problem::new(Kind::BadEncoding, format!("In the address, {what} {why}"));
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let digits = rest
            .split_at_checked(2)
            .map(|(digits, after)| (digit(digits[0]), digit(digits[1]), after));
        let Some((Some(high), Some(low), after)) = digits else {
            return Err(refuse(
                "has a `%` without two hexadecimal digits: write `%25` for a percent sign.",
            ));
        };
        bytes.push(high << 4 | low);
        rest = after;
    }
    let decoded = String::from_utf8(bytes)
        .map_err(|_| refuse("is not UTF-8: encode it as UTF-8, then percent-encode."))?;
    if decoded.contains('\0') {
        return Err(refuse("holds a NUL character, which no value in Postgres has: leave it out."));
    }
    Ok(decoded)
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}
