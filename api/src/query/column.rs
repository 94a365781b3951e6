//! Names of columns that a caller writes. Invariant: only a column of the catalogue comes back.

use crate::catalogue::{Column, View};
use crate::problem::{Kind, Problem, suggestion};

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
