//! What sort of event a contract is, in its schema's own words: `kind` and `purpose`, attributes of the record that Avro
//! passes over. Only words of these lists are taken.

use serde_json::Value as Json;
use vitrina_sql::{Finding, Place};

use crate::contract::version::VersionFile;
use crate::hint::hint;
use crate::schema::parse_json;

/// Whom an event is for: its own service, other services, operators, or whoever is to do what it asks.
const KINDS: [&str; 4] = ["domain", "integration", "system", "command"];
/// What an event tells.
const PURPOSES: [&str; 5] =
    ["state_changed", "command_executed", "milestone", "compensation", "notification"];

/// The words of a version; none where its schema does not say.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Sort {
    pub(crate) kind: Option<&'static str>,
    pub(crate) purpose: Option<&'static str>,
}

/// Reads the words; what is not JSON has no words, and is a finding of its own.
pub(crate) fn read(file: &VersionFile<'_>, findings: &mut Vec<Finding>) -> Sort {
    let schema = parse_json(file.text).unwrap_or_default();
    let mut word = |attribute: &str, words: &[&'static str]| {
        let said = schema.get(attribute)?;
        let word = words.iter().find(|word| said == **word).copied();
        if word.is_none() {
            findings.push(refuse(file, (attribute, said), words));
        }
        word
    };
    Sort { kind: word("kind", &KINDS), purpose: word("purpose", &PURPOSES) }
}

fn refuse(
    file: &VersionFile<'_>,
    (attribute, said): (&str, &Json),
    words: &[&'static str],
) -> Finding {
    let said = said.as_str().map_or_else(|| said.to_string(), str::to_owned);
    let near = hint(&said, words.iter().copied());
    let what = format!("`{said}` is no {attribute} of an event{near}");
    let help = format!("write one of {}, or leave `{attribute}` out", words.join(", "));
    Finding::error(file.path, place_of(file.text, attribute), what, help)
}

/// Where the text says the attribute first; its beginning where that cannot be found.
fn place_of(text: &str, attribute: &str) -> Place {
    let quoted = format!("\"{attribute}\"");
    let said = |at: &usize| text[at + quoted.len()..].trim_start().starts_with(':');
    let found = text.match_indices(&quoted).map(|(at, _)| at).find(said);
    found.map_or(Place::START, |at| Place::of(text, at))
}
