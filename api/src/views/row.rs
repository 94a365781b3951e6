//! `GET /v1/views/{view}/{key}…`. Invariant: the key's parts are compared as its columns are, in the primary key's order.

use std::sync::Arc;

use axum::extract::{OriginalUri, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};

use crate::access::Caller;
use crate::answer;
use crate::answer::refusal;
use crate::api::Api;
use crate::catalogue::{Failure, Freshness, View};
use crate::database::{Binds, Statement, get};
use crate::format::Format;
use crate::json::json;
use crate::problem::{Kind, Problem};
use crate::query::path;
use crate::query::{Filter, Parameters, row_json, selected};

pub(crate) async fn row(
    State(api): State<Api>,
    caller: Caller,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let segments = path::segments(&uri)?;
    let parameters = Parameters::parse(uri.query())?;
    let (name, key) =
        segments.split_first().map_or(("", &[][..]), |(name, key)| (name.as_str(), key));
    api.on_view(&caller, name, &headers, |view| read(&api, view, key, &parameters, &headers)).await
}

async fn read(
    api: &Api,
    view: Arc<View>,
    parts: &[String],
    parameters: &Parameters,
    headers: &HeaderMap,
) -> Result<Response, Failure> {
    let key = key(&view, parts)?;
    parameters.only("a row's address", &["select"])?;
    let select = parameters.get("select");
    let columns = selected(&view, select)?;
    let query: Vec<_> =
        ["row"].into_iter().chain(parts.iter().map(String::as_str)).chain(select).collect();
    if let Some(unchanged) = answer::unchanged(api.database(), &view, headers, &query).await? {
        return Ok(unchanged);
    }
    let mut binds = Binds::default();
    let conditions: Vec<_> = key.iter().map(|part| part.condition(&mut binds)).collect();
    let data = format!(
        ", (SELECT {} FROM {}) AS data",
        row_json(&columns, &mut binds),
        view.only(&conditions, &mut binds)
    );
    let text = Freshness::select(&view, &data, "", &mut binds);
    let statement =
        if select.is_none() { Statement::fixed(text, binds) } else { Statement::free(text, binds) };
    let row = match api.database().first(statement).await {
        Ok(row) => row.ok_or(Failure::Stale)?,
        Err(error) => return Err(refusal::of_key(api.database(), &key, error).await),
    };
    let freshness = Freshness::of(Some(&row), &view)?;
    let Some(data) = get::<Option<String>>(&row, "data")? else {
        let detail = format!("`{}` has no row with the key {}.", view.name, parts.join(", "));
        return Ok(answer::located(
            Problem::new(Kind::NotFound, detail).into_response(),
            &freshness.reached,
        ));
    };
    let body = format!(r#"{{"data":{data},"meta":{}}}"#, json(&freshness)?);
    Ok(answer::found(Format::Json, body, &view, &freshness, headers, &query))
}

/// A condition for each part of the key.
fn key<'v>(view: &'v View, parts: &[String]) -> Result<Vec<Filter<'v>>, Problem> {
    let key = view.key();
    if key.is_empty() {
        let detail = format!(
            "`{0}` has no key to find a row by: filter the list, GET /v1/views/{0}.",
            view.name
        );
        return Err(Problem::new(Kind::NotFound, detail));
    }
    if key.len() != parts.len() {
        let columns: Vec<_> = key.iter().map(|column| format!("{{{}}}", column.name)).collect();
        let detail = format!(
            "The key of `{0}` has {1} part(s), the address has {2}: write /v1/views/{0}/{3}, a slash inside a part as %2F.",
            view.name,
            key.len(),
            parts.len(),
            columns.join("/")
        );
        return Err(Problem::new(Kind::NotFound, detail));
    }
    key.into_iter().zip(parts).map(|(column, part)| Filter::equal(column, part)).collect()
}
