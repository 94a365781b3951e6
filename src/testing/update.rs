//! What came out, written into the file in place of what was expected. Only those lists are touched: comments, and whatever
//! else a person wrote, stay to the letter.

use std::ops::Range;

use serde_json::{Map, Value};

use super::file::{Answer, Parked, Test, Then};
use super::json::{table, toml};
use super::stage::{Outcome, is_no_row, rows_of};

/// Replacements of bytes by texts.
type Edits = Vec<(Range<usize>, String)>;

/// What is to be written, so that a test expects an outcome; nothing where an answer has another status than it should.
pub(super) fn edits(test: &Test, outcome: &Outcome) -> Edits {
    let (mut edits, mut answers) = (Vec::new(), outcome.answers.iter());
    for then in &test.then {
        match then {
            Then::Answer(answer) => {
                let Some((status, body)) = answers.next() else { continue };
                edits.extend(answer_edit(answer, *status, body));
            }
            Then::Parked(parked) => {
                edits.push((parked.span.clone(), parked_list(test, parked, outcome)))
            }
        }
    }
    edits
}

fn answer_edit(answer: &Answer, status: u16, body: &Value) -> Option<(Range<usize>, String)> {
    let no_row = is_no_row(status, body);
    if answer.status.is_some() || status != 200 && !no_row {
        return None;
    }
    let rows = if no_row { Vec::new() } else { rows_of(body) };
    let columns = answer.columns();
    let lines: Vec<String> = rows.iter().map(|row| format!("  {},", line(row, columns))).collect();
    let list = match lines.is_empty() {
        true => "[]".to_owned(),
        false => format!("[\n{}\n]", lines.join("\n")),
    };
    Some(match &answer.rows {
        Some(rows) => (rows.span.clone(), list),
        None => (answer.behind..answer.behind, format!("\nrows = {list}")),
    })
}

/// A row on one line: the columns that the test names, else all that are not NULL.
fn line(row: &Map<String, Value>, columns: &[String]) -> String {
    let named = columns.iter().filter_map(|name| row.get_key_value(name));
    let all = row.iter().filter(|(_, value)| columns.is_empty() && !value.is_null());
    table(named.chain(all))
}

/// The records that are parked; the parts of reasons that the test has stay where they still hold.
fn parked_list(test: &Test, parked: &Parked, outcome: &Outcome) -> String {
    let records = outcome.parked.iter().map(|(record, reason)| {
        let given = &test.given[*record];
        let reason = reason.clone().unwrap_or_default();
        let held = parked.records.iter().find_map(|expected| {
            let part = expected.reason.as_ref().filter(|part| reason.contains(part.as_str()))?;
            expected.is(given).then(|| part.clone())
        });
        let [event, reason] =
            [given.written.clone(), held.unwrap_or(reason)].map(|text| toml(&Value::String(text)));
        format!("{{ event = {event}, reason = {reason} }}")
    });
    format!("[{}]", records.collect::<Vec<_>>().join(", "))
}

/// The text with all replacements made.
pub(super) fn apply(text: &str, mut edits: Edits) -> String {
    edits.sort_by_key(|(span, _)| std::cmp::Reverse(span.start));
    let mut text = text.to_owned();
    for (span, new) in edits {
        text.replace_range(span, &new);
    }
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_is_replaced_changes() {
        let text = "a = 1 # one\nb = [2]\n";
        let edits = vec![(4..5, "7".to_owned()), (16..19, "[]".to_owned())];
        assert_eq!(apply(text, edits), "a = 7 # one\nb = []\n");
    }

    #[test]
    fn a_row_has_the_columns_that_the_test_names() {
        let row = json!({"a": 1.50, "b": null, "c d": "} x"});
        let row = row.as_object().unwrap();
        assert_eq!(
            line(row, &["b".to_owned(), "a".to_owned()]),
            "{ b = { is = \"null\" }, a = 1.50 }"
        );
        assert_eq!(line(row, &[]), "{ a = 1.50, \"c d\" = \"} x\" }");
    }
}
