//! `GET /v1/views`. Invariant: what stands in the catalogue can be asked for, and nothing else can.

use axum::Json;
use axum::extract::{OriginalUri, State};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::access::Caller;
use crate::api::Api;
use crate::catalogue::{Column, Lag, View};
use crate::database::DatabaseError;
use crate::problem::Problem;
use crate::query::{Parameters, spelled};
use crate::sight;

#[derive(Serialize)]
struct Body<'a> {
    data: Vec<Entry<'a>>,
}

#[derive(Serialize)]
struct Entry<'a> {
    view: &'a str,
    kind: &'static str,
    model: &'a str,
    generation: i32,
    comment: Option<&'a str>,
    columns: Vec<Described<'a>>,
    key: Vec<&'a str>,
    /// Each as `order` would spell it, the primary key's left out.
    indexes: Vec<Vec<String>>,
    lag: Lag,
}

#[derive(Serialize)]
struct Described<'a> {
    name: &'a str,
    r#type: &'a str,
    nullable: bool,
    comment: Option<&'a str>,
}

impl<'a> Entry<'a> {
    fn new(view: &'a View, lag: Lag) -> Self {
        Self {
            view: &view.name,
            kind: if view.is_view { "view" } else { "table" },
            model: &view.model,
            generation: view.generation,
            comment: view.comment.as_deref(),
            columns: view.columns.iter().map(Described::new).collect(),
            key: view.key().into_iter().map(|column| column.name.as_str()).collect(),
            indexes: view.indexes.iter().filter(|index| !index.primary).map(spelled).collect(),
            lag,
        }
    }
}

impl<'a> Described<'a> {
    fn new(column: &'a Column) -> Self {
        let Column { name, display, nullable, comment, .. } = column;
        Self { name, r#type: display, nullable: *nullable, comment: comment.as_deref() }
    }
}

pub(crate) async fn index(
    State(api): State<Api>,
    caller: Caller,
    OriginalUri(uri): OriginalUri,
) -> Result<Response, Problem> {
    Parameters::parse(uri.query())?.only("the catalogue", &[])?;
    let mut catalogue = api.directory().current(api.database()).await?;
    let mut seen = sight::all(&catalogue, &caller);
    let lags = match Lag::read(api.database(), &seen).await {
        // A swap or a drop overtook the catalogue.
        Err(DatabaseError::Stale(_)) => {
            catalogue = api.directory().newer(api.database(), Some(&catalogue)).await?;
            seen = sight::all(&catalogue, &caller);
            Lag::read(api.database(), &seen).await?
        }
        read => read?,
    };
    let entry = |view| Entry::new(view, lags.get(&view.model).cloned().unwrap_or_default());
    let data = seen.views.values().map(|view| entry(view.as_ref())).collect();
    let no_cache = (header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    Ok(([no_cache], Json(Body { data })).into_response())
}
