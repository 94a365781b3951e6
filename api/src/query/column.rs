//! Names of columns that a caller writes. Invariant: only a column of the catalogue comes back.

use crate::catalogue::{Column, View};
use crate::problem::{Kind, Problem, suggestion};

use super::name;

/// The columns that `select` names, in that order; all where it is not given.
pub(crate) fn selected<'v>(
    view: &'v View,
    select: Option<&str>,
) -> Result<Vec<&'v Column>, Problem> {
    let Some(list) = select else { return Ok(view.columns.iter().collect()) };
    let mut columns: Vec<&Column> = Vec::new();
    for (name, rest) in name::list("select", list)? {
        if !rest.is_empty() {
            let detail = format!(
                "`{name}` in `select` is followed by `{rest}`: `select` takes column names, as `select=a,b`."
            );
            return Err(Problem::of(Kind::BadValue, "select", detail, view.column_names()));
        }
        if name == "*" && view.column("*").is_none() {
            let detail = "`select` takes column names: leave `select` out for all columns.";
            return Err(Problem::of(Kind::BadValue, "select", detail, view.column_names()));
        }
        let column = column(view, "select", &name)?;
        if columns.iter().any(|chosen| chosen.name == column.name) {
            let detail = format!("`select` names `{name}` twice: name each column once.");
            return Err(Problem::of(Kind::BadValue, "select", detail, view.column_names()));
        }
        columns.push(column);
    }
    Ok(columns)
}

/// The column of that name, wanted by `parameter`.
pub(crate) fn column<'v>(
    view: &'v View,
    parameter: &str,
    name: &str,
) -> Result<&'v Column, Problem> {
    view.column(name).ok_or_else(|| {
        let near = suggestion(name, view.column_names());
        let detail =
            format!("`{parameter}` names `{name}`, which is no column of `{}`.{near}", view.name);
        Problem::of(Kind::BadValue, parameter, detail, view.column_names())
    })
}
