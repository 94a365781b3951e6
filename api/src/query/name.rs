//! Column names in lists. Invariant: a name that holds what would end it can be written between double quotes, a quote in
//! it doubled, as in SQL.

use crate::problem::{Kind, Problem};

/// What ends a name in `order`.
const ENDS: [char; 2] = [',', '.'];
/// What leads on from a column into its value.
pub(crate) const ARROW: &str = "->";

/// The items of `a,"b,c".desc`: each a name and what stands between it and the next comma.
pub(crate) fn list<'t>(parameter: &str, text: &'t str) -> Result<Vec<(String, &'t str)>, Problem> {
    let mut items = Vec::new();
    let mut rest = text;
    loop {
        let (name, after) = first(rest, &ENDS).ok_or_else(|| missing(parameter, rest))?;
        match after.split_once(',') {
            Some((suffix, next)) => {
                items.push((name, suffix));
                rest = next;
            }
            None => {
                items.push((name, after));
                return Ok(items);
            }
        }
    }
}

/// The name at the beginning of `text`, up to one of `ends` or an arrow, and what follows it; `None` where there is no name
/// or its quote is not closed.
pub(crate) fn first<'t>(text: &'t str, ends: &[char]) -> Option<(String, &'t str)> {
    let Some(mut rest) = text.strip_prefix('"') else {
        let end = text.find(ends).unwrap_or(text.len());
        let end = text.find(ARROW).map_or(end, |arrow| arrow.min(end));
        return (end > 0).then(|| (text[..end].to_owned(), &text[end..]));
    };
    let mut name = String::new();
    loop {
        let (part, after) = rest.split_once('"')?;
        name.push_str(part);
        match after.strip_prefix('"') {
            Some(more) => {
                name.push('"');
                rest = more;
            }
            None => return Some((name, after)),
        }
    }
}

/// The name as [`first`] reads it, whatever it holds.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// The answer to what should be a name and is none.
pub(crate) fn missing(parameter: &str, rest: &str) -> Problem {
    let detail =
        format!("`{parameter}` expects a column name at `{rest}`: write it as `{parameter}=a,b`.");
    Problem::of(Kind::BadValue, parameter, detail, None::<String>)
}
