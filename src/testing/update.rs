//! What came out, written into the file in place of what was expected. Only those lists are touched: comments, and whatever
//! else a person wrote, stay to the letter.

use std::ops::Range;

use serde_json::{Map, Value};

use super::file::{Answer, Parked, Test, Then};
use super::json::{table, toml};
use super::judge::{check_answer, check_parked};
use super::stage::{Outcome, is_no_row, rows_of};

/// A text in place of these bytes of the file.
pub(super) struct Edit {
    /// Of the expectation that is mended.
    pub(super) line: usize,
    span: Range<usize>,
    text: String,
}

/// What is to be written, so that a test expects an outcome: only what is not as it came out, or was not said; nothing where an
/// answer has another status than it should.
pub(super) fn edits(test: &Test, outcome: &Outcome) -> Vec<Edit> {
    let (mut edits, mut answers) = (Vec::new(), outcome.answers.iter());
    for then in &test.then {
        match then {
            Then::Answer(answer) => {
                let Some((status, body)) = answers.next() else { continue };
                if answer.rows.is_none() || check_answer(answer, *status, body).is_some() {
                    edits.extend(answer_edit(answer, *status, body));
                }
            }
            Then::Parked(_) if check_parked(test, outcome).is_empty() => {}
            Then::Parked(parked) => {
                let (line, span) = (parked.line, parked.span.clone());
                edits.push(Edit { line, span, text: parked_list(test, parked, outcome) });
            }
        }
    }
    edits
}

fn answer_edit(answer: &Answer, status: u16, body: &Value) -> Option<Edit> {
    let no_row = is_no_row(status, body);
    if answer.status.is_some() || status != 200 && !no_row {
        return None;
    }
    let rows = if no_row { Vec::new() } else { rows_of(body) };
    let columns = answer.columns();
    let lines: Vec<String> = rows.iter().map(|row| line(row, columns)).collect();
    let list = match lines.as_slice() {
        [] => "[]".to_owned(),
        [one] => format!("[{one}]"),
        several => format!("[\n  {},\n]", several.join(",\n  ")),
    };
    let (span, text) = match &answer.rows {
        Some(rows) => (rows.span.clone(), list),
        None => (answer.behind..answer.behind, format!("\nrows = {list}")),
    };
    Some(Edit { line: answer.line, span, text })
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

/// The text with all edits made.
pub(super) fn apply(text: &str, mut edits: Vec<&Edit>) -> String {
    edits.sort_by_key(|edit| std::cmp::Reverse(edit.span.start));
    let mut text = text.to_owned();
    for edit in edits {
        text.replace_range(edit.span.clone(), &edit.text);
    }
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn only_what_is_replaced_changes() {
        let text = "a = 1 # one\nb = [2]\n";
        let edit = |span, text: &str| Edit { line: 1, span, text: text.to_owned() };
        let (one, other) = (edit(4..5, "7"), edit(16..19, "[]"));
        assert_eq!(apply(text, vec![&one, &other]), "a = 7 # one\nb = []\n");
    }

    #[test]
    fn a_row_has_the_columns_that_the_test_names() {
        // As an answer has it: its digits are kept.
        let row: Value = serde_json::from_str(r#"{"a": 1.50, "b": null, "c d": "} x"}"#).unwrap();
        let row = row.as_object().unwrap();
        assert_eq!(
            line(row, &["b".to_owned(), "a".to_owned()]),
            "{ b = { is = \"null\" }, a = 1.50 }"
        );
        assert_eq!(line(row, &[]), "{ a = 1.50, \"c d\" = \"} x\" }");
    }
}
