//! `GET /v1/views/{view}/{key}…`. Invariant: the key's parts are compared as its columns are, in the primary key's order.

use std::sync::Arc;

use axum::extract::{OriginalUri, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use sqlx::Row as _;

use crate::access::Caller;
use crate::answer;
use crate::answer::refusal;
use crate::api::Api;
use crate::catalogue::{Below, Failure, Found, Freshness, View};
use crate::database::{Binds, Database, DatabaseError, Statement, texts};
use crate::format::Format;
use crate::json::json;
use crate::problem::{Kind, Problem};
use crate::query::path;
use crate::query::{Filter, Parameters, Selected, row_texts, selected, shape};

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
    let found = match select {
        // Whose columns are the same may share a statement, unless Postgres might refuse one of their values.
        None if are_sure(&key, parts) => {
            let (database, asked) = (api.database().clone(), view.clone());
            let put = move |keys| look_up_each(database.clone(), asked.clone(), keys);
            view.lookups.ask(parts.to_vec(), put).await.unwrap_or_else(|| {
                Err(DatabaseError::Other("a look-up has died; the log says of what".to_owned()))
            })
        }
        _ => look_up(api.database(), &view, &columns, &[parts.to_vec()]).await.map(one),
    };
    let Found { freshness, row } = match found {
        Ok(found) => found,
        Err(error) => return Err(refusal::of_key(api.database(), &key, error).await),
    };
    let Some(data) = row else {
        let detail = format!("`{}` has no row with the key {}.", view.name, parts.join(", "));
        return Ok(answer::located(
            Problem::new(Kind::NotFound, detail).into_response(),
            &freshness.reached,
        ));
    };
    let body = format!(r#"{{"data":{data},"meta":{}}}"#, json(&*freshness)?);
    Ok(answer::found(Format::Json, body, &view, &freshness, headers, &query))
}

/// Whether Postgres takes the parts as values of the key's types, whatever they are.
fn are_sure(key: &[Filter<'_>], parts: &[String]) -> bool {
    key.iter().zip(parts).all(|(filter, part)| match &*filter.operand.column.cast {
        "text" | "character varying" => true,
        "smallint" => part.parse::<i16>().is_ok(),
        "integer" => part.parse::<i32>().is_ok(),
        "bigint" => part.parse::<i64>().is_ok(),
        "uuid" => is_uuid(part),
        _ => false,
    })
}

/// As it is usually written.
fn is_uuid(text: &str) -> bool {
    let place = |(index, byte): (usize, u8)| match index {
        8 | 13 | 18 | 23 => byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    };
    text.len() == 36 && text.bytes().enumerate().all(place)
}

/// What is under each of the keys, all of it in one snapshot; one by one where Postgres refuses a value.
async fn look_up_each(
    database: Database,
    view: Arc<View>,
    keys: Vec<Vec<String>>,
) -> Vec<Result<Found, DatabaseError>> {
    let columns = match selected(&view, None) {
        Ok(columns) => columns,
        Err(_) => return Vec::new(),
    };
    match look_up(&database, &view, &columns, &keys).await {
        Ok((freshness, rows)) => {
            let found = |row| Ok(Found { freshness: freshness.clone(), row });
            rows.into_iter().map(found).collect()
        }
        Err(DatabaseError::Value(_)) if keys.len() > 1 => {
            let mut found = Vec::with_capacity(keys.len());
            for key in keys {
                found.push(look_up(&database, &view, &columns, &[key]).await.map(one));
            }
            found
        }
        Err(error) => keys.iter().map(|_| Err(error.clone())).collect(),
    }
}

fn one((freshness, rows): (Arc<Freshness>, Vec<Option<String>>)) -> Found {
    Found { freshness, row: rows.into_iter().next().flatten() }
}

/// The row under each of the keys, by one statement.
async fn look_up(
    database: &Database,
    view: &View,
    columns: &[Selected<'_>],
    keys: &[Vec<String>],
) -> Result<(Arc<Freshness>, Vec<Option<String>>), DatabaseError> {
    let mut binds = Binds::default();
    let (mut values, mut names, mut conditions) = (Vec::new(), Vec::new(), Vec::new());
    for (index, column) in view.key().into_iter().enumerate() {
        let parts = keys.iter().filter_map(|key| key.get(index)).cloned().collect();
        values.push(binds.add_all(parts, &format!("{}[]", column.cast)));
        names.push(format!("k{index}"));
        conditions.push(format!("t.{} = k.k{index}", column.quoted));
    }
    // LIMIT keeps the planner from joining in any other way than key by key.
    let may_fail = view.key().iter().any(|column| column.fallible);
    let texts_of = row_texts(columns, Format::Json, &mut binds).into_iter();
    let below = Below {
        values: [("k.n".to_owned(), "int8")]
            .into_iter()
            .chain(texts_of.map(|text| (text, "text")))
            .collect(),
        from: format!(
            "unnest({}) WITH ORDINALITY AS k({}, n) CROSS JOIN LATERAL (SELECT {} FROM {} LIMIT 1) t",
            values.join(", "),
            names.join(", "),
            view.all_columns(),
            view.only(&conditions, may_fail, &mut binds),
        ),
    };
    let text = Freshness::above(view, None, &below, &mut binds);
    let statement = match view.rows.is_all() {
        true => Statement::walk(text, binds),
        false => Statement::free(text, binds),
    };
    let found = database.all(statement).await?;
    let freshness = Freshness::of(found.first(), view)?;
    let shape = shape(columns).map_err(|_| DatabaseError::Other("a nameless column".into()))?;
    let mut rows = vec![None; keys.len()];
    for row in found.iter().skip(1) {
        let first = row.len().saturating_sub(columns.len());
        let place: i64 = row.try_get(first - 1)?;
        let place = usize::try_from(place - 1).ok();
        if let Some(found) = place.and_then(|place| rows.get_mut(place)) {
            shape.object(&texts(row, first..row.len())?, found.insert(String::new()));
        }
    }
    Ok((Arc::new(freshness), rows))
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
