//! `GET /console/views`: what can be read; `GET /console/views/{view}`: its rows as they move. Invariant: rows come through
//! the route that everybody asks, with the rights of who sends no token: an operator sees no more of them than that.

use askama::Template;
use axum::body::to_bytes;
use axum::extract::{OriginalUri, State};
use axum::http::{HeaderMap, StatusCode, Uri, Version, header};
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::Console;
use super::equivalent::{self, Equivalent};
use super::frame::{Frame, Tab, html};
use super::sorry::Sorry;
use super::words::{lasting, moment};
use crate::access::{Caller, Reader};
use crate::admin::Queries;
use crate::catalogue::{Catalogue, View};
use crate::format::Format;
use crate::problem::{Kind, Problem};
use crate::query::path::{encode, segments};
use crate::query::{Page as Query, Parameters, spelled};
use crate::sight;
use crate::views::list;

/// Rows of a page, unless the query says otherwise.
const LIMIT: &str = "limit=25";
/// Characters of a value that are shown.
const MAX_SHOWN: usize = 240;
/// Bytes of an answer: 500 rows of any size that a page is good for.
const MAX_BODY: usize = 32 * 1024 * 1024;

#[derive(Template)]
#[template(path = "console/views.html")]
struct Index {
    frame: Frame,
    is_guarded: bool,
    is_nowhere: bool,
    views: Vec<Entry>,
}

struct Entry {
    name: String,
    address: String,
    model: String,
    model_address: String,
    comment: Option<String>,
    columns: usize,
}

#[derive(Template)]
#[template(path = "console/view.html")]
struct Page<'a> {
    frame: Frame,
    view: &'a View,
    address: String,
    /// This page with its query, for the next look.
    own: String,
    model_address: String,
    query: String,
    examples: Vec<Example>,
    is_guarded: bool,
    rows: Rows,
    equivalents: Vec<Equivalent>,
}

struct Example {
    query: String,
    address: String,
}

/// What came of the query.
enum Rows {
    Found { names: Vec<String>, rows: Vec<Vec<Cell>>, next: Option<String>, fresh: String },
    Refused(String),
}

enum Cell {
    Null,
    Number(String),
    Text(String),
}

/// The body of a list, as `/v1/views/{view}` answers it.
#[derive(Deserialize)]
struct Body {
    data: Vec<Map<String, Value>>,
    page: Told,
    meta: Meta,
}

#[derive(Deserialize)]
struct Told {
    next: Option<String>,
}

#[derive(Deserialize)]
struct Meta {
    generation: i32,
    as_of: Option<String>,
    lag_ms: Option<i64>,
}

impl Console {
    /// As whom the console reads rows.
    fn reader(&self) -> Caller {
        match self.api.authority() {
            None => Caller::Anyone,
            Some(_) => Caller::Reader(Reader::anonymous().into()),
        }
    }

    fn is_guarded(&self) -> bool {
        self.api.authority().is_some()
    }
}

/// The views that are shown.
pub(super) async fn seen(console: &Console) -> Result<Catalogue, Problem> {
    let current = console.api.directory().current(console.api.database()).await?;
    let mut seen = sight::all(&current, &console.reader());
    if console.operators.queries == Queries::Nowhere {
        seen.views.clear();
    }
    Ok(seen)
}

pub(super) async fn index(
    State(console): State<Console>,
    OriginalUri(uri): OriginalUri,
) -> Result<Response, Sorry> {
    Parameters::parse(uri.query())?.only("the views' page", &[])?;
    let seen = seen(&console).await?;
    let views = seen.views.values().map(|view| Entry {
        name: view.name.clone(),
        address: format!("/console/views/{}", encode(&view.name)),
        model: view.model.clone(),
        model_address: format!("/console/models/{}", encode(&view.model)),
        comment: view.comment.clone(),
        columns: view.columns.len(),
    });
    let page = Index {
        frame: console.frame(Tab::Views),
        is_guarded: console.is_guarded(),
        is_nowhere: console.operators.queries == Queries::Nowhere,
        views: views.collect(),
    };
    Ok(html(StatusCode::OK, &page))
}

pub(super) async fn page(
    State(console): State<Console>,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
) -> Result<Response, Sorry> {
    let parameters = Parameters::parse(uri.query())?;
    parameters.only("a view's page", &["q"])?;
    let name = segments(&uri)?.into_iter().next().unwrap_or_default();
    let seen = seen(&console).await?;
    let view = seen.view(&name)?;
    let typed = parameters.get("q").map_or_else(|| first_query(&view), str::to_owned);
    let query = as_address(&typed);
    let rows = match read(&console, &view, &query).await {
        Ok(rows) => rows,
        Err(problem) => Rows::Refused(problem.detail().to_owned()),
    };
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let asked = format!("{}/v1/views/{}", base(&console, host), encode(&view.name));
    let query_of = |parameters: &Parameters| {
        equivalent::all(&Query::parse(&view, parameters, Format::Json)?, &asked, &query)
    };
    let equivalents = Parameters::parse(Some(&query)).and_then(|asked| query_of(&asked));
    let address = format!("/console/views/{}", encode(&view.name));
    let page = Page {
        frame: console.frame(Tab::Views),
        own: format!("{address}?q={}", encode(&typed)),
        model_address: format!("/console/models/{}", encode(&view.model)),
        examples: examples(&view, &address),
        is_guarded: console.is_guarded(),
        equivalents: equivalents.unwrap_or_default(),
        view: &view,
        query: typed,
        address,
        rows,
    };
    Ok(html(StatusCode::OK, &page))
}

/// Asks as everybody does.
async fn read(console: &Console, view: &View, query: &str) -> Result<Rows, Problem> {
    let address = format!("/v1/views/{}?{query}", encode(&view.name));
    let uri: Uri = address.parse().map_err(|_| {
        let detail = "No address can hold this query: write it as one would behind the `?`.";
        Problem::new(Kind::BadEncoding, detail)
    })?;
    let parameters = Parameters::parse(uri.query())?;
    let names: Vec<String> =
        Query::parse(view, &parameters, Format::Json)?.names().map(str::to_owned).collect();
    // Who looks here takes a reader's place, as everybody does.
    let _permit = console.api.place()?;
    let (state, uri) = (State(console.api.clone()), OriginalUri(uri));
    let answer =
        list::list(state, console.reader(), uri, Version::HTTP_11, HeaderMap::new()).await?;
    let unreadable = |error: String| {
        tracing::error!(error, "the console cannot read a list");
        Problem::new(Kind::Internal, "The rows could not be read; the service's log says why.")
    };
    let body = to_bytes(answer.into_body(), MAX_BODY).await;
    let body = body.map_err(|error| unreadable(error.to_string()))?;
    let body: Body =
        serde_json::from_slice(&body).map_err(|error| unreadable(error.to_string()))?;
    let rows = body.data.iter().map(|row| names.iter().map(|name| cell(row.get(name))).collect());
    let Meta { generation, as_of, lag_ms } = &body.meta;
    let as_of = as_of.as_deref().map(|at| format!(", as of {}", moment(at))).unwrap_or_default();
    let late = lag_ms.map(|ms| format!(", {} behind the log", lasting(ms as f64 / 1000.0)));
    Ok(Rows::Found {
        rows: rows.collect(),
        next: body.page.next.and_then(|next| next_page(&next, view)),
        fresh: format!("Generation {generation}{as_of}{}", late.unwrap_or_default()),
        names,
    })
}

/// The same page, further on.
fn next_page(next: &str, view: &View) -> Option<String> {
    let (_, query) = next.split_once('?')?;
    Some(format!("/console/views/{}?q={}", encode(&view.name), encode(query)))
}

fn cell(value: Option<&Value>) -> Cell {
    match value {
        None | Some(Value::Null) => Cell::Null,
        Some(Value::Number(number)) => Cell::Number(number.to_string()),
        Some(Value::String(text)) => Cell::Text(shortened(text)),
        Some(other) => Cell::Text(shortened(&other.to_string())),
    }
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(MAX_SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// What is asked where nobody has typed anything: the newest first, where an index says which they are.
fn first_query(view: &View) -> String {
    let is_newest = |index: &&crate::catalogue::Index| {
        let first = index.columns.first();
        let column = first.and_then(|first| view.column(&first.column));
        column.is_some_and(|column| column.temporal) && first.is_some_and(|first| first.descending)
    };
    match view.indexes.iter().find(is_newest) {
        Some(index) => format!("order={}&{LIMIT}", spelled(index).join(",")),
        None => LIMIT.to_owned(),
    }
}

/// What was typed, as it may stand in an address; what is encoded already stays.
fn as_address(typed: &str) -> String {
    let typed = typed.trim().trim_start_matches('?');
    let mut query = String::with_capacity(typed.len());
    for byte in typed.bytes() {
        match byte {
            b'"' | b'<' | b'>' | b'`' | b'{' | b'}' | b'#' | b'\\' | b'^' | b'|' | b'\'' | b'['
            | b']' => {
                query.push_str(&format!("%{byte:02X}"));
            }
            0x21..=0x7e => query.push(char::from(byte)),
            _ => query.push_str(&format!("%{byte:02X}")),
        }
    }
    query
}

/// Queries that can be followed as they are.
fn examples(view: &View, address: &str) -> Vec<Example> {
    // As one types them.
    let queries = crate::docs::queries(view).into_iter().map(|query| query.replace("%2C", ","));
    let example =
        |query: String| Example { address: format!("{address}?q={}", encode(&query)), query };
    queries.map(example).collect()
}

/// Where the views are asked that this page shows.
fn base(console: &Console, host: Option<&str>) -> String {
    let scheme = if console.operators.is_encrypted { "https" } else { "http" };
    match (console.operators.queries, host) {
        (Queries::At(address), _) => format!("{scheme}://{address}"),
        (_, Some(host)) => format!("{scheme}://{host}"),
        (_, None) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_typed_stands_in_an_address() {
        for (typed, query) in [
            (" ?a=eq.x y", "a=eq.x%20y"),
            ("a=eq.%20&b=in.(1,2)", "a=eq.%20&b=in.(1,2)"),
            ("name=eq.Zoë'", "name=eq.Zo%C3%AB%27"),
            ("items->0->>sku=eq.\"a\"", "items-%3E0-%3E%3Esku=eq.%22a%22"),
            ("a=eq.1#b", "a=eq.1%23b"),
        ] {
            assert_eq!(as_address(typed), query);
            assert!(format!("/v1/views/v?{query}").parse::<Uri>().is_ok(), "{query}");
        }
    }
}
