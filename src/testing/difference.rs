//! What is expected and what came out, side by side, for people: rows are paired as well as they can be, and only columns
//! that differ are told.

use serde_json::{Map, Value};

use super::json::same;

type Row = Map<String, Value>;

/// Where the rows differ, a line each; none where they are the expected ones. `ordered`: their order is meant, too.
pub(super) fn rows(expected: &[Row], actual: &[Row], ordered: bool) -> Vec<String> {
    let mut lines = Vec::new();
    let pairs = if ordered { in_order(expected, actual) } else { best(expected, actual) };
    for (number, (row, found)) in expected.iter().zip(&pairs).enumerate() {
        match found.and_then(|found| actual.get(found)) {
            None => lines.push(format!("row {} is missing: {}", number + 1, shown(row))),
            Some(found) => lines.extend(
                differing(row, found).map(|column| format!("row {}: {column}", number + 1)),
            ),
        }
    }
    let extra = (0..actual.len()).filter(|place| !pairs.contains(&Some(*place)));
    lines.extend(extra.map(|place| format!("a row too many: {}", shown(&actual[place]))));
    lines
}

fn in_order(expected: &[Row], actual: &[Row]) -> Vec<Option<usize>> {
    (0..expected.len()).map(|place| (place < actual.len()).then_some(place)).collect()
}

/// For each expected row the one that came out and is most like it; those that are the same come first.
fn best(expected: &[Row], actual: &[Row]) -> Vec<Option<usize>> {
    let mut pairs = vec![None; expected.len()];
    let mut left: Vec<usize> = (0..actual.len()).collect();
    let most = expected.iter().map(Row::len).max().unwrap_or_default();
    for likeness in (0..=most).rev() {
        for (row, pair) in expected.iter().zip(&mut pairs).filter(|(_, pair)| pair.is_none()) {
            let alike = |place: &usize| {
                let columns = row.iter();
                columns.filter(|(name, value)| holds(&actual[*place], name, value)).count()
            };
            let wanted = likeness.min(row.len());
            if let Some(at) = left.iter().position(|place| alike(place) >= wanted) {
                *pair = Some(left.remove(at));
            }
        }
    }
    pairs
}

fn holds(row: &Row, name: &str, expected: &Value) -> bool {
    row.get(name).is_some_and(|actual| same(expected, actual))
}

fn differing<'r>(expected: &'r Row, actual: &'r Row) -> impl Iterator<Item = String> + 'r {
    expected.iter().filter(|(name, value)| !holds(actual, name, value)).map(|(name, value)| {
        match actual.get(name) {
            Some(actual) => format!("{name} is expected to be {value}, and came out as {actual}"),
            None => format!("{name} is expected to be {value}, and the answer has no such column"),
        }
    })
}

fn shown(row: &Row) -> String {
    Value::Object(row.clone()).to_string()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    fn table(value: Value) -> Vec<Row> {
        value.as_array().unwrap().iter().map(|row| row.as_object().unwrap().clone()).collect()
    }

    #[test]
    fn rows_are_paired_by_likeness_and_columns_left_out_are_not_compared() {
        let actual = table(json!([{"id": 1, "n": 2, "x": 9}, {"id": 2, "n": 5.0, "x": 9}]));
        let told = |expected: Value, ordered| rows(&table(expected), &actual, ordered);
        assert!(told(json!([{"id": 2, "n": 5}, {"id": 1}]), false).is_empty());
        assert_eq!(
            told(json!([{"id": 2, "n": 6}, {"id": 1, "n": 2}]), false),
            ["row 1: n is expected to be 6, and came out as 5.0"]
        );
        assert_eq!(told(json!([{"id": 2}, {"id": 1}]), true).len(), 2);
        let missing = told(json!([{"id": 1}, {"id": 2}, {"id": 3, "y": null}]), false);
        assert_eq!(missing, ["row 3 is missing: {\"id\":3,\"y\":null}"]);
        assert_eq!(
            told(json!([{"id": 1, "y": null}]), false),
            [
                "row 1: y is expected to be null, and the answer has no such column",
                "a row too many: {\"id\":2,\"n\":5.0,\"x\":9}"
            ]
        );
        assert_eq!(told(json!([]), false).len(), 2);
    }
}
