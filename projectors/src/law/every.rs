//! Rules over every event: made as any other, of the same fields, which are then taken from what is shown of the event, or
//! from what is said of it.

use super::dice::Dice;
use super::events::{EVERY, RELATIONS};
use super::models::Rule;

/// What such rules are counted as.
const TAG: &str = "every.event: a rule";
const BESIDE: &str = "every.event: beside other relations";

/// Makes some rules of some models ones over `every.event`.
pub(super) fn show(dice: &mut Dice, rules: &mut [Rule]) {
    if dice.chance(75) {
        return;
    }
    for rule in rules.iter_mut() {
        if dice.chance(50) {
            rule.sql = shown(dice, &rule.sql);
            rule.tags.push(TAG);
        }
    }
    let shown = rules.iter().filter(|rule| rule.tags.contains(&TAG)).count();
    if shown > 0 && shown < rules.len() {
        rules[0].tags.push(BESIDE);
    }
}

fn shown(dice: &mut Dice, rule: &str) -> String {
    // What is said of the event, in some rules, and everywhere alike.
    let said = dice.chance(60).then(|| dice.below(6));
    let name = |(context, event, _): &(&str, &str, usize)| format!("{context}.{event}");
    let names = RELATIONS.iter().map(name);
    let rule = names.fold(rule.to_owned(), |rule, name| rule.replace(&name, EVERY));
    let (mut sql, mut rest) = (String::new(), rule.as_str());
    while let Some(at) = rest.find("e.") {
        let (before, field) = (&rest[..at], &rest[at + 2..]);
        let length = field.find(|letter: char| !is_of_name(letter)).unwrap_or(field.len());
        sql.push_str(before);
        let named = (!before.ends_with(is_of_name)).then(|| value(said, &field[..length]));
        match named.flatten() {
            Some(value) => sql.push_str(&value),
            None => sql.push_str(&rest[at..at + 2 + length]),
        }
        rest = &field[length..];
    }
    sql.push_str(rest);
    sql
}

fn is_of_name(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

/// A field by its name, of its type.
fn value(said: Option<usize>, field: &str) -> Option<String> {
    let known: &[&str] = match field {
        "n" => &["e._version", "e._partition"],
        "tag" => &["e._key", "e._type", "e._topic"],
        "word" => &["e._kind"],
        "big" => &["e._offset"],
        _ => &[],
    };
    if let Some(said) = said.filter(|_| !known.is_empty()) {
        return Some(known[said % known.len()].to_owned());
    }
    let ty = match field {
        "k" | "g" | "big" => "int8",
        "n" => "int4",
        "amount" => "numeric(12,2)",
        "f" => "float8",
        "ok" => "boolean",
        "word" | "tag" => "text",
        "items" => return Some("(e._payload -> 'items')".to_owned()),
        _ => return None,
    };
    Some(format!("(e._payload ->> '{field}')::{ty}"))
}
