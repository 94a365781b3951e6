//! The page that people read before they ask. Invariant: it needs no script and nothing from anywhere else, and it is made of
//! the views that it is given and of nothing else.

use askama::Template;

use crate::catalogue::{Column, View};
use crate::openapi::{example, quoted};
use crate::problem::Kind;
use crate::query::path::encode;
use crate::query::{as_parameter, operators, spelled};

/// How the page looks; its own file, for the page's policy allows no style within.
pub(crate) const STYLE: &str = include_str!("style.css");

/// Rows of an example.
const FEW: u32 = 5;

/// The page over these views.
#[derive(Template)]
#[template(path = "docs.html")]
pub(crate) struct Page<'v> {
    version: &'static str,
    views: Vec<Shown<'v>>,
    problems: &'static [Kind],
}

struct Shown<'v> {
    view: &'v View,
    /// Where it stands in the page.
    anchor: String,
    address: String,
    row: Option<String>,
    columns: Vec<Described<'v>>,
    key: Vec<&'v str>,
    orders: Vec<String>,
    examples: Vec<String>,
}

struct Described<'v> {
    column: &'v Column,
    parameter: String,
    operators: String,
}

impl<'v> Page<'v> {
    pub(crate) fn new(views: &[&'v View]) -> Self {
        let views = views.iter().map(|view| Shown::new(view)).collect();
        Self { version: env!("CARGO_PKG_VERSION"), views, problems: &Kind::OF_READING }
    }
}

impl<'v> Shown<'v> {
    fn new(view: &'v View) -> Self {
        let name = encode(&view.name);
        let address = format!("/v1/views/{name}");
        let parts: Vec<_> =
            view.key().iter().map(|column| format!("{{{}}}", column.name)).collect();
        let orders: Vec<String> =
            view.indexes.iter().map(|index| spelled(index).join(",")).collect();
        Self {
            examples: queries(view).iter().map(|query| format!("{address}?{query}")).collect(),
            row: (!parts.is_empty()).then(|| format!("{address}/{}", parts.join("/"))),
            columns: view.columns.iter().map(Described::new).collect(),
            key: view.key().into_iter().map(|column| column.name.as_str()).collect(),
            anchor: format!("view-{name}"),
            address,
            orders,
            view,
        }
    }
}

impl<'v> Described<'v> {
    fn new(column: &'v Column) -> Self {
        let operators: Vec<_> = operators(column).collect();
        let parameter = as_parameter(&column.name);
        Self { column, parameter, operators: operators.join(" ") }
    }
}

/// Queries that can be followed as they are.
pub(crate) fn queries(view: &View) -> Vec<String> {
    let few = format!("limit={FEW}");
    let columns: Vec<_> = view.column_names().take(3).map(quoted).collect();
    let select = format!("{few}&select={}", encode(&columns.join(",")));
    let filter = view.columns.first().map(|column| {
        let (name, value) = (encode(&as_parameter(&column.name)), encode(&example(column)));
        format!("{few}&{name}=gte.{value}")
    });
    let orders: Vec<String> = view.indexes.iter().map(|index| spelled(index).join(",")).collect();
    let order = orders.last().map(|order| format!("{few}&order={}", encode(order)));
    [Some(few.clone()), Some(select), filter, order].into_iter().flatten().collect()
}
