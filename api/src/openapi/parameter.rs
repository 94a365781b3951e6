//! The parameters of lists and rows. Invariant: what a parameter's schema allows is what the query's grammar knows; what a
//! value of it comes to, Postgres judges.

use serde_json::{Map, Value, json};

use super::{example, name, row};
use crate::catalogue::{Column, View};
use crate::query::{self, GROUPS, as_parameter, spelled};

/// Of a list: a filter for each column, then what is common to all views.
pub(super) fn of_list(view: &View) -> Vec<Value> {
    let own = view.columns.iter().map(filter).chain([select(view), order(view)]);
    let shared = ["limit", "cursor"].into_iter().chain(GROUPS);
    own.chain(shared.map(common)).chain(of_head(view)).collect()
}

/// Of a row: the parts of its key, and which columns are wanted.
pub(super) fn of_row(view: &View) -> Vec<Value> {
    let parts = view.key().into_iter().zip(name::of_key(view)).map(|(column, name)| {
        let mut schema = row::of_type(&column.cast);
        // In an address all is text; of numbers the schema says which.
        if schema.get("type").is_none_or(|kind| kind != "integer" && kind != "boolean") {
            schema = json!({ "type": "string", "minLength": 1 });
        }
        json!({
            "name": name, "in": "path", "required": true, "schema": schema,
            "description": described(column), "example": sample(&schema, column),
        })
    });
    parts.chain([select(view)]).chain(of_head(view)).collect()
}

/// A SQL view has no tag to ask by.
fn of_head(view: &View) -> impl Iterator<Item = Value> {
    let held = (!view.is_view).then_some("If-None-Match");
    ["Read-After", "Prefer"].into_iter().chain(held).map(common)
}

fn common(name: &str) -> Value {
    json!({ "$ref": format!("#/components/parameters/{name}") })
}

/// Those that are the same for every view, as components.
pub(super) fn commons() -> Value {
    let group = |name: &str, means: &str| {
        json!({
            "name": name, "in": "query", "style": "form", "explode": true,
            "description": format!(
                "{means} Conditions are written `column.operator.value`, and `and(…)`, `or(…)` and `not.` stand before any."
            ),
            "schema": { "type": "array", "items": { "type": "string", "pattern": r"^\([\s\S]*\)$" } },
        })
    };
    json!({
        "limit": {
            "name": "limit", "in": "query",
            "description": "Rows of a page: 50 if not said, 500 where more are asked for. `all`, the whole list from one snapshot, as NDJSON and CSV alone.",
            "schema": { "anyOf": [{ "type": "integer", "minimum": 1 }, { "const": "all" }] },
        },
        "cursor": {
            "name": "cursor", "in": "query",
            "description": "Where the page before ended: `page.next` of that page has it.",
            "schema": { "type": "string" },
        },
        "or": group("or", "Rows that meet one of the conditions at least."),
        "and": group("and", "Rows that meet all of the conditions."),
        "not.or": group("not.or", "Rows that meet none of the conditions."),
        "not.and": group("not.and", "Rows that do not meet all of the conditions."),
        "If-None-Match": {
            "name": "If-None-Match", "in": "header",
            "description": "The `ETag` of an answer that is still held; 304 where it still holds.",
            "schema": { "type": "string" },
        },
        "Read-After": {
            "name": "Read-After", "in": "header",
            "description": "Answer with what reflects this: a `Projection-Position`, a record as `orders.events/3=1842`, an event as `event=\"ID\"`, or several with commas.",
            "schema": { "type": "string" },
        },
        "Prefer": {
            "name": "Prefer", "in": "header",
            "description": "`wait=2`: so many seconds may `Read-After` wait, at most 30. Of a list, `count=exact` or `count=estimated`: how many rows the list has, in `page.count`; in `Total-Count` where the form has no place for it.",
            "schema": { "type": "string" },
        },
    })
}

fn filter(column: &Column) -> Value {
    let operators: Vec<_> = query::operators(column).collect();
    let compared: Vec<_> =
        operators.iter().copied().filter(|operator| !["in", "is"].contains(operator)).collect();
    let literals = if column.cast == "boolean" { "null|true|false" } else { "null" };
    let pattern = format!(r"^(not\.)?(({})\.|in\.\(|is\.({literals})$)", compared.join("|"));
    let spelled: Vec<_> = operators.iter().map(|operator| format!("`{operator}.`")).collect();
    json!({
        "name": as_parameter(&column.name), "in": "query", "style": "form", "explode": true,
        "description": format!("{}. Operators: {}; `not.` before any.", described(column), spelled.join(" ")),
        "schema": { "type": "array", "items": { "type": "string", "pattern": pattern } },
        "examples": examples(column, &operators),
    })
}

fn examples(column: &Column, operators: &[&str]) -> Map<String, Value> {
    let value = example(column);
    let of = |operator: &&str| {
        let value = match *operator {
            "in" => format!("in.({})", listed(&value)),
            "is" => "is.null".to_owned(),
            "like" | "ilike" => format!("{operator}.{value}*"),
            operator => format!("{operator}.{value}"),
        };
        ((*operator).to_owned(), json!({ "value": [value] }))
    };
    operators.iter().map(of).collect()
}

/// A value as a list has it.
fn listed(value: &str) -> String {
    match value.contains([',', '(', ')', '"', '\\']) {
        true => format!("\"{}\"", value.replace('\\', r"\\").replace('"', r#"\""#)),
        false => value.to_owned(),
    }
}

fn select(view: &View) -> Value {
    let columns: Vec<_> = view.column_names().take(2).map(quoted).collect();
    json!({
        "name": "select", "in": "query",
        "description": "The columns that are wanted, `a,b`; all if not said. `short:long_name` renames, and `id::text` gives a value as text, which the row's schema does not say then.",
        "schema": { "type": "string", "minLength": 1 },
        "example": columns.join(","),
    })
}

fn order(view: &View) -> Value {
    let allowed: Vec<String> = match view.is_view {
        true => view.column_names().take(1).map(quoted).collect(),
        false => view.indexes.iter().map(|index| spelled(index).join(",")).collect(),
    };
    let numbered =
        |(number, order): (usize, &String)| (format!("order{number}"), json!({ "value": order }));
    let examples: Map<_, _> = (1..).zip(&allowed).map(numbered).collect();
    let description = match view.is_view {
        true => "`a.desc,b`: any columns.".to_owned(),
        false => format!(
            "`a.desc,b`, by an index that begins with the columns compared by `eq` and goes on with these. By the primary key if not said. Without filters: {}.",
            allowed.iter().map(|order| format!("`{order}`")).collect::<Vec<_>>().join(", ")
        ),
    };
    json!({
        "name": "order", "in": "query", "description": description,
        "schema": { "type": "string", "minLength": 1 }, "examples": examples,
    })
}

fn described(column: &Column) -> String {
    let Column { name, display, comment, .. } = column;
    let comment = comment.as_deref().map(|comment| format!(": {}", comment.trim_end_matches('.')));
    format!("`{name}`, {display}{}", comment.unwrap_or_default())
}

/// An example that fits the schema.
fn sample(schema: &Value, column: &Column) -> Value {
    match schema["type"] == "string" {
        true => example(column).into(),
        false => example::of_type(&column.cast),
    }
}

/// A column's name as `select` and `order` write it.
pub(crate) fn quoted(name: &str) -> String {
    match name.chars().all(|c| c.is_alphanumeric() || c == '_') && !name.is_empty() {
        true => name.to_owned(),
        false => query::quoted(name),
    }
}
