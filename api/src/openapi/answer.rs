//! What routes answer. Invariant: each status that a route can answer stands beside it, with the problems and the headers that
//! it comes with.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::problem::Kind;

/// What any route that reads may answer.
const ANY: [Kind; 8] = [
    Kind::BadEncoding,
    Kind::UnknownParameter,
    Kind::UriTooLong,
    Kind::TooManyRequests,
    Kind::HeadersTooLarge,
    Kind::Internal,
    Kind::Unavailable,
    Kind::Overloaded,
];
/// Where credentials are judged.
const SECURED: [Kind; 3] = [Kind::Unauthorized, Kind::InvalidCredential, Kind::Unjudged];
const VIEW: [Kind; 1] = [Kind::UnknownView];
const ROW: [Kind; 5] = [
    Kind::UnknownView,
    Kind::NotFound,
    Kind::RepeatedParameter,
    Kind::BadValue,
    Kind::ProjectionBehind,
];
const LIST: [Kind; 9] = [
    Kind::UnknownView,
    Kind::RepeatedParameter,
    Kind::BadValue,
    Kind::OrderNeedsIndex,
    Kind::CursorMismatch,
    Kind::TooExpensive,
    Kind::NotAcceptable,
    Kind::GenerationChanged,
    Kind::ProjectionBehind,
];

/// What kinds of problem a route has.
#[derive(Clone, Copy)]
pub(super) enum Route {
    Catalogue,
    Schema,
    List,
    Row,
}

impl Route {
    const ALL: [(Self, &str); 4] = [
        (Self::Catalogue, "catalogue"),
        (Self::Schema, "schema"),
        (Self::List, "list"),
        (Self::Row, "row"),
    ];

    fn kinds(self, secured: bool) -> BTreeMap<u16, Vec<Kind>> {
        let own = match self {
            Self::Catalogue => &[][..],
            Self::Schema => &VIEW,
            Self::List => &LIST,
            Self::Row => &ROW,
        };
        let mut kinds: BTreeMap<u16, Vec<Kind>> = BTreeMap::new();
        let judged = if secured { &SECURED[..] } else { &[] };
        for kind in ANY.iter().chain(judged).chain(own) {
            kinds.entry(kind.status().as_u16()).or_default().push(*kind);
        }
        kinds
    }

    /// Its answers: what it finds, and its problems as components.
    pub(super) fn answers(self, secured: bool, found: Value) -> Value {
        let name = Self::ALL
            .iter()
            .find(|(route, _)| *route as u8 == self as u8)
            .map_or("", |(_, name)| name);
        let problem = |status: u16| {
            (
                status.to_string(),
                json!({ "$ref": format!("#/components/responses/{name}.{status}") }),
            )
        };
        let mut answers: Map<_, _> = self.kinds(secured).into_keys().map(problem).collect();
        if let Value::Object(found) = found {
            answers.extend(found);
        }
        answers.into()
    }
}

/// The problems of every route, as components.
pub(super) fn problems(secured: bool) -> Value {
    let of_route = |(route, name): &(Route, &str)| {
        let name = (*name).to_owned();
        let kinds = route.kinds(secured).into_iter();
        kinds.map(move |(status, kinds)| (format!("{name}.{status}"), problem(status, &kinds)))
    };
    Route::ALL.iter().flat_map(of_route).collect::<Map<_, _>>().into()
}

fn problem(status: u16, kinds: &[Kind]) -> Value {
    let listed: Vec<_> =
        kinds.iter().map(|kind| format!("`/problems/{}`: {}", kind.slug(), kind.title())).collect();
    let example = |kind: &Kind| {
        let value = json!({
            "type": format!("/problems/{}", kind.slug()), "title": kind.title(), "status": status,
            "detail": "What was found, and the way out.", "errors": [],
        });
        (kind.slug().to_owned(), json!({ "value": value }))
    };
    let content = json!({
        "schema": { "$ref": "#/components/schemas/Problem" },
        "examples": kinds.iter().map(example).collect::<Map<_, _>>(),
    });
    let mut answer = json!({
        "description": format!("{}.", listed.join("; ")),
        "content": { "application/problem+json": content },
    });
    let named = match status {
        404 if kinds.contains(&Kind::NotFound) => &["Projection-Position"][..],
        503 if kinds.contains(&Kind::ProjectionBehind) => &["Retry-After", "Projection-Position"],
        429 | 503 => &["Retry-After"],
        401 => &["WWW-Authenticate"],
        _ => &[],
    };
    if !named.is_empty() {
        answer["headers"] = headers(named);
    }
    answer
}

/// References to headers.
pub(super) fn headers(names: &[&str]) -> Value {
    let reference = |name: &&str| {
        ((*name).to_owned(), json!({ "$ref": format!("#/components/headers/{name}") }))
    };
    names.iter().map(reference).collect::<Map<_, _>>().into()
}

/// The headers of all answers, as components.
pub(super) fn all_headers() -> Value {
    let text =
        |description: &str| json!({ "description": description, "schema": { "type": "string" } });
    json!({
        "ETag": text("Weak; send it as `If-None-Match`."),
        "Link": text("The next page, `rel=\"next\"`, of a form that has no place for it."),
        "Preference-Applied": text("What of `Prefer` was followed."),
        "Projection-Position": text(
            "How far the view had come in its log when this was read; sent back as `Read-After`, no less is read. Of each topic, partition by partition, the last offset that is reflected."
        ),
        "Total-Count": {
            "description": "How many rows the list has, where `Prefer: count=…` asked and the form has no place for it.",
            "schema": { "type": "integer" },
        },
        "WWW-Authenticate": text("`Bearer`."),
        "Retry-After": { "description": "Seconds.", "schema": { "type": "integer", "minimum": 1 } },
    })
}

/// The shape of each problem.
pub(super) fn problem_schema() -> Value {
    let mut types: Vec<_> = ANY
        .iter()
        .chain(&SECURED)
        .chain(&VIEW)
        .chain(&ROW)
        .chain(&LIST)
        .map(|kind| kind.slug())
        .collect();
    types.sort_unstable();
    types.dedup();
    let types: Vec<_> = types.into_iter().map(|slug| format!("/problems/{slug}")).collect();
    json!({
        "type": "object",
        "description": "What went wrong, as RFC 9457 tells it.",
        "required": ["type", "title", "status", "detail", "errors"],
        "properties": {
            "type": { "type": "string", "format": "uri-reference", "enum": types },
            "title": { "type": "string" },
            "status": { "type": "integer" },
            "detail": { "type": "string", "description": "What was found, and the way out." },
            "errors": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["parameter", "detail", "allowed"],
                    "properties": {
                        "parameter": { "type": "string" },
                        "detail": { "type": "string" },
                        "allowed": { "type": "array", "items": { "type": "string" } },
                    },
                },
            },
        },
    })
}
