//! The document of OpenAPI. Invariant: each view has its own path, and what a list holds is its view's row.

use serde_json::{Map, Value, json};

use super::answer::{self, Route, headers};
use super::name::{Named, named, of_key};
use super::{parameter, row};
use crate::catalogue::View;
use crate::query::path::encode;

/// What stands at the top of it.
const ABOUT: &str = include_str!("about.md");

/// All that can be asked about these views; `secured` where credentials are judged.
pub(crate) fn document(views: &[&View], secured: bool) -> Value {
    let views = named(views);
    let mut models: Vec<_> = views.iter().map(|named| named.view.model.as_str()).collect();
    models.dedup();
    let mut document = json!({
        "openapi": "3.1.0",
        "info": { "title": "Vitrina", "version": env!("CARGO_PKG_VERSION"), "description": ABOUT },
        "servers": [{ "url": "/" }],
        "tags": models.iter().map(|model| json!({ "name": model })).collect::<Vec<_>>(),
        "paths": paths(&views, secured),
        "components": {
            "schemas": schemas(&views),
            "parameters": parameter::commons(),
            "headers": answer::all_headers(),
            "responses": answer::problems(secured),
        },
    });
    if secured {
        // Without a credential one reads what everyone may.
        document["security"] = json!([{}, { "bearer": [] }, { "key": [] }]);
        document["components"]["securitySchemes"] = json!({
            "bearer": { "type": "http", "scheme": "bearer", "description": "A token of the issuer, or an API key." },
            "key": { "type": "apiKey", "in": "header", "name": "X-Api-Key" },
        });
    }
    document
}

fn paths(views: &[Named<'_>], secured: bool) -> Map<String, Value> {
    let mut paths = Map::new();
    paths.insert("/v1/views".to_owned(), json!({ "get": catalogue(secured) }));
    if !views.is_empty() {
        paths.insert("/v1/schemas/{view}".to_owned(), json!({ "get": schema(views, secured) }));
    }
    for named in views {
        let path = format!("/v1/views/{}", encode(&named.view.name));
        let key = of_key(named.view);
        if !key.is_empty() {
            let parts: Vec<_> = key.iter().map(|part| format!("{{{part}}}")).collect();
            paths.insert(
                format!("{path}/{}", parts.join("/")),
                json!({ "get": row(named, secured) }),
            );
        }
        paths.insert(path, json!({ "get": list(named, secured) }));
    }
    paths
}

fn list(Named { view, component, operation }: &Named<'_>, secured: bool) -> Value {
    let row = reference(component);
    let shape = json!({
        "type": "object",
        "required": ["data", "page", "meta"],
        "properties": {
            "data": { "type": "array", "items": row },
            "page": reference("Page"),
            "meta": reference("Meta"),
        },
    });
    let content = json!({
        "application/json": { "schema": shape },
        "application/x-ndjson": { "schema": { "type": "string", "description": "One row a line." } },
        "text/csv": { "schema": { "type": "string", "description": "A line of names, then one row a line, as RFC 4180 has it." } },
    });
    let tail = &["Link", "Preference-Applied", "Total-Count"];
    operation_of(
        view,
        format!("list_{operation}"),
        "Rows",
        parameter::of_list(view),
        (Route::List, secured),
        content,
        tail,
    )
}

fn row(Named { view, component, operation }: &Named<'_>, secured: bool) -> Value {
    let shape = json!({
        "type": "object",
        "required": ["data", "meta"],
        "properties": { "data": reference(component), "meta": reference("Meta") },
    });
    let content = json!({ "application/json": { "schema": shape } });
    operation_of(
        view,
        format!("get_{operation}"),
        "One row",
        parameter::of_row(view),
        (Route::Row, secured),
        content,
        &[],
    )
}

fn operation_of(
    view: &View,
    id: String,
    what: &str,
    parameters: Vec<Value>,
    (route, secured): (Route, bool),
    content: Value,
    tail: &[&str],
) -> Value {
    let held: &[&str] = if view.is_view { &[] } else { &["ETag"] };
    let head = [&["Projection-Position"], held].concat();
    let mut found = json!({
        "200": { "description": format!("{what} of `{}`.", view.name), "headers": headers(&[&head, tail].concat()), "content": content },
    });
    if !view.is_view {
        found["304"] =
            json!({ "description": "What is held still holds.", "headers": headers(&head) });
    }
    let mut operation = json!({
        "operationId": id,
        "summary": format!("{what} of {}", view.name),
        "tags": [view.model],
        "parameters": parameters,
        "responses": route.answers(secured, found),
    });
    if let Some(comment) = &view.comment {
        operation["description"] = comment.as_str().into();
    }
    operation
}

fn catalogue(secured: bool) -> Value {
    let found = json!({ "200": { "description": "All views.", "content": { "application/json": { "schema": reference("Catalogue") } } } });
    json!({
        "operationId": "views",
        "summary": "The views that exist",
        "responses": Route::Catalogue.answers(secured, found),
    })
}

fn schema(views: &[Named<'_>], secured: bool) -> Value {
    let names: Vec<_> = views.iter().map(|named| &named.view.name).collect();
    let found = json!({ "200": {
        "description": "JSON Schema of a row.",
        "content": { "application/schema+json": { "schema": { "type": "object" } } },
    } });
    json!({
        "operationId": "schema",
        "summary": "JSON Schema of a view's row",
        "parameters": [{ "name": "view", "in": "path", "required": true, "schema": { "enum": names } }],
        "responses": Route::Schema.answers(secured, found),
    })
}

fn schemas(views: &[Named<'_>]) -> Map<String, Value> {
    let nullable = |kind: &str| json!({ "type": [kind, "null"] });
    let texts = json!({ "type": "array", "items": { "type": "string" } });
    let own = json!({
        "Problem": answer::problem_schema(),
        "Page": {
            "type": "object",
            "required": ["limit", "next"],
            "properties": {
                "limit": { "type": "integer" },
                "next": { "type": ["string", "null"], "description": "The address of the next page; null where this is the last." },
                "count": { "type": "integer", "description": "The list's rows, where `Prefer: count=…` asked for them." },
                "note": { "type": "string", "description": "What was not done as it was asked." },
            },
        },
        "Meta": {
            "type": "object",
            "required": ["view", "generation", "as_of", "lag_ms", "position"],
            "properties": {
                "view": { "type": "string" },
                "generation": { "type": "integer", "description": "Counts how often the model has been built." },
                "as_of": { "type": ["string", "null"], "format": "date-time", "description": "The log is reflected up to here." },
                "lag_ms": { "type": ["integer", "null"], "description": "How far that is behind; null where nobody knows." },
                "position": {
                    "type": "object",
                    "description": "Of each topic, partition by partition from 0, the last offset that is reflected.",
                    "additionalProperties": { "type": "array", "items": nullable("integer") },
                },
            },
        },
        "Catalogue": {
            "type": "object",
            "required": ["data"],
            "properties": { "data": { "type": "array", "items": {
                "type": "object",
                "required": ["view", "kind", "model", "generation", "comment", "columns", "key", "indexes", "lag"],
                "properties": {
                    "view": { "type": "string" },
                    "kind": { "enum": ["table", "view"] },
                    "model": { "type": "string" },
                    "generation": { "type": "integer" },
                    "comment": nullable("string"),
                    "columns": { "type": "array", "items": {
                        "type": "object",
                        "required": ["name", "type", "nullable", "comment"],
                        "properties": {
                            "name": { "type": "string" },
                            "type": { "type": "string" },
                            "nullable": { "type": "boolean" },
                            "comment": nullable("string"),
                        },
                    } },
                    "key": texts,
                    "indexes": { "type": "array", "items": texts, "description": "Each as `order` has it." },
                    "lag": {
                        "type": "object",
                        "required": ["events", "ms"],
                        "properties": { "events": nullable("integer"), "ms": nullable("integer") },
                    },
                },
            } } },
        },
    });
    let rows = views.iter().map(|named| (named.component.clone(), row::component(named.view)));
    let own = if let Value::Object(own) = own { own } else { Map::new() };
    own.into_iter().chain(rows).collect()
}

fn reference(component: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{component}") })
}
