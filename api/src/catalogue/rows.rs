//! Which rows of a view may be read, as a condition on a relation named `t`. Invariant: claims are bound, like all values;
//! the text beside them is a policy's, compiled when its model was loaded.

use serde_json::Value;
use vitrina_sql::{Piece, Predicate};

use crate::database::Binds;

/// All of these hold of a row that may be read; of each, one alternative.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rows(Vec<Vec<Vec<Part>>>);

/// A part of a condition's text.
#[derive(Debug, Clone)]
enum Part {
    Sql(String),
    Text(Option<String>),
    /// As Postgres writes an array.
    Texts(Option<String>),
}

impl Rows {
    pub(crate) fn is_all(&self) -> bool {
        self.0.is_empty()
    }

    /// Of these rows, those that meet one of `policies`, for whom `claim` gives the claims.
    pub(crate) fn only<'c>(
        &mut self,
        policies: &[&Predicate],
        claim: impl Fn(&str) -> Option<&'c Value>,
    ) {
        let part = |piece: &Piece| match piece {
            Piece::Sql(sql) => Part::Sql(sql.clone()),
            Piece::Claim(name) => Part::Text(claim(name).and_then(text)),
            Piece::Claims(name) => Part::Texts(claim(name).and_then(texts)),
        };
        let condition = |policy: &&Predicate| policy.pieces.iter().map(part).collect();
        self.0.push(policies.iter().map(condition).collect());
    }

    /// The condition.
    pub(crate) fn sql(&self, binds: &mut Binds) -> String {
        let all = self.0.iter().map(|alternatives| {
            let any: Vec<String> = alternatives.iter().map(|parts| joined(parts, binds)).collect();
            if any.is_empty() { "false".to_owned() } else { format!("({})", any.join(" OR ")) }
        });
        all.collect::<Vec<_>>().join(" AND ")
    }
}

fn joined(parts: &[Part], binds: &mut Binds) -> String {
    let mut value = |value: &Option<String>, cast: &str| match value {
        Some(value) => binds.add(value, cast),
        None => format!("NULL::{cast}"),
    };
    let parts = parts.iter().map(|part| match part {
        Part::Sql(sql) => sql.clone(),
        Part::Text(text) => value(text, "text"),
        Part::Texts(texts) => value(texts, "text[]"),
    });
    parts.collect()
}

/// A claim as a text, what is no text as its JSON; none where it is null, or holds what no text of Postgres does.
fn text(claim: &Value) -> Option<String> {
    let text = match claim {
        Value::Null => return None,
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    (!text.contains('\0')).then_some(text)
}

/// A claim as an array of texts; one that is no list is a list of one.
fn texts(claim: &Value) -> Option<String> {
    let items = match claim {
        Value::Null => return None,
        Value::Array(items) => &items[..],
        one => std::slice::from_ref(one),
    };
    let quoted = |text: String| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
    let items: Vec<String> =
        items.iter().map(|item| text(item).map_or_else(|| "NULL".to_owned(), quoted)).collect();
    Some(format!("{{{}}}", items.join(",")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn claims_are_texts() {
        for (claim, expected) in [
            (json!("a\"b"), Some("a\"b")),
            (json!(5), Some("5")),
            (json!(true), Some("true")),
            (json!({"a": [1]}), Some(r#"{"a":[1]}"#)),
            (json!(null), None),
            (json!("a\0b"), None),
        ] {
            assert_eq!(text(&claim).as_deref(), expected, "{claim}");
        }
        for (claim, expected) in [
            (json!(["a", 1, null, "b\\\"c,{}", "x\0"]), Some(r#"{"a","1",NULL,"b\\\"c,{}",NULL}"#)),
            (json!([]), Some("{}")),
            (json!("one two"), Some(r#"{"one two"}"#)),
            (json!(null), None),
        ] {
            assert_eq!(texts(&claim).as_deref(), expected, "{claim}");
        }
    }
}
