//! What a caller would rather have, as RFC 7240 writes it. Invariant: a preference is never in the way: what is not
//! understood is as if it were not said, and of two of one name the first counts.

use axum::http::{HeaderMap, HeaderName, HeaderValue};

const PREFER: HeaderName = HeaderName::from_static("prefer");
const APPLIED: HeaderName = HeaderName::from_static("preference-applied");

/// The preferences of a request, by name.
#[derive(Debug, Default)]
pub(crate) struct Preferences(Vec<(String, String)>);

impl Preferences {
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let lines = headers.get_all(PREFER).iter().filter_map(|line| line.to_str().ok());
        let preferences = lines.flat_map(|line| parts(line, ',')).filter_map(preference);
        Self(preferences.collect())
    }

    /// The value of a preference, empty where it has none.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let of_name = |(known, _): &&(String, String)| known.eq_ignore_ascii_case(name);
        self.0.iter().find(of_name).map(|(_, value)| value.as_str())
    }
}

/// Says that a preference was followed; `preference` as the caller may write it, `count=exact`.
pub(crate) fn applied(headers: &mut HeaderMap, preference: &str) {
    if let Ok(preference) = HeaderValue::from_str(preference) {
        headers.append(APPLIED, preference);
    }
}

/// Name and value; the parameters that may follow mean nothing to us.
fn preference(text: &str) -> Option<(String, String)> {
    let said = parts(text, ';').next()?;
    let (name, value) = said.split_once('=').unwrap_or((said, ""));
    let (name, value) = (name.trim(), unquoted(value.trim()));
    (!name.is_empty()).then(|| (name.to_owned(), value))
}

/// The parts of a text between separators that do not stand in quotes.
fn parts(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    text.split(move |character| {
        let separates = character == separator && !quoted;
        quoted ^= character == '"' && !escaped;
        escaped = quoted && character == '\\' && !escaped;
        separates
    })
}

fn unquoted(value: &str) -> String {
    let inside = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
    let Some(inside) = inside else { return value.to_owned() };
    let mut characters = inside.chars();
    let mut text = String::new();
    while let Some(character) = characters.next() {
        text.extend(if character == '\\' { characters.next() } else { Some(character) });
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn preferences(lines: &[&'static str]) -> Preferences {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(PREFER, HeaderValue::from_static(line));
        }
        Preferences::of(&headers)
    }

    #[test]
    fn preferences_are_found_however_they_are_written() {
        for lines in [
            &["count=exact, wait=2"][..],
            &["Count = \"exact\";x=y , , WAIT=2;"],
            &["handling=lenient, respond-async", "count=exact", "wait=2", "count=none, wait=9"],
            &[r#"foo="a,count=none\",wait=3;", count="ex\act", wait=2"#],
        ] {
            let found = preferences(lines);
            assert_eq!(
                (found.get("count"), found.get("wait")),
                (Some("exact"), Some("2")),
                "{lines:?}"
            );
        }
        let without = preferences(&["respond-async;wait=1", "=x", ""]);
        assert_eq!((without.get("respond-async"), without.get("wait")), (Some(""), None));
        assert_eq!(preferences(&["wait=\"2"]).get("wait"), Some("\"2"));
    }
}
