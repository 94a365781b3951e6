//! The words of a test file: which keys there are, and what may stand under them.

use toml::de::{DeTable, DeValue};
use vitrina_sql::nearest;

use super::{Reading, Span};
use crate::testing::json::json;

/// A table of the file.
pub(super) type Table<'t> = DeTable<'t>;

impl Reading<'_> {
    /// Finds the keys that are not known.
    pub(super) fn know(&mut self, table: &Table<'_>, of: &str, known: &[&str]) {
        let unknown: Vec<(String, Span)> = table
            .keys()
            .filter(|key| !known.contains(&&**key.get_ref()))
            .map(|key| (key.get_ref().to_string(), key.span()))
            .collect();
        for (key, span) in unknown {
            let help = match nearest(&key, known.iter().copied()) {
                Some(nearest) => format!("did you mean `{nearest}`?"),
                None => format!("the keys are {}", known.join(", ")),
            };
            self.find(span, format!("unknown key `{key}` in {of}"), help);
        }
    }

    /// The text under a key, and where it is; a finding where it is something else.
    pub(super) fn text_of(&mut self, table: &Table<'_>, key: &str) -> Option<(String, Span)> {
        let value = table.get(key)?;
        match value.get_ref() {
            DeValue::String(text) => Some((text.to_string(), value.span())),
            other => {
                let what = format!("`{key}` is a text, not {}", described(other));
                self.find(value.span(), what, "write it between quotes");
                None
            }
        }
    }

    /// The same of a key that must be there, else it is said what is missing, and the way out.
    pub(super) fn needed(
        &mut self,
        table: &Table<'_>,
        key: &str,
        span: &Span,
        (missing, help): (&str, &str),
    ) -> Option<(String, Span)> {
        if !table.contains_key(key) {
            self.find(span.clone(), missing, help);
        }
        self.text_of(table, key)
    }

    /// The whole number under a key, none below 0.
    pub(super) fn whole(&mut self, table: &Table<'_>, key: &str) -> Option<i32> {
        let value = table.get(key)?;
        let number = json(value.get_ref()).as_i64().and_then(|number| i32::try_from(number).ok());
        let number = number.filter(|number| *number >= 0);
        if number.is_none() {
            let what = format!("`{key}` is a whole number");
            self.find(value.span(), what, "write digits alone");
        }
        number
    }

    /// The tables under a key, each with where it begins.
    pub(super) fn tables<'t, 'v>(
        &mut self,
        table: &'t Table<'v>,
        key: &str,
    ) -> Vec<(&'t Table<'v>, Span)> {
        let Some(list) = table.get(key) else { return Vec::new() };
        let items = match list.get_ref() {
            DeValue::Array(items) => items.iter().collect(),
            _ => Vec::new(),
        };
        let mut tables = Vec::new();
        for item in &items {
            if let DeValue::Table(table) = item.get_ref() {
                tables.push((table, item.span()));
            }
        }
        if tables.is_empty() || tables.len() < items.len() {
            let what = format!("`{key}` is a list of tables");
            self.find(list.span(), what, format!("begin each with [[…{key}]]"));
        }
        tables
    }
}

pub(super) fn described(value: &DeValue<'_>) -> String {
    let kind = value.type_str();
    let article = if kind.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
    format!("{article} {kind}")
}
