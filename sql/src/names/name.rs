//! Names compare as Postgres compares them: folded to lower case unless they were quoted.

use sqlparser::ast::{Ident, ObjectName, ObjectNamePart};

/// Postgres cuts longer names off in silence, and two of them may then be one.
pub(crate) const LONGEST: usize = 63;

/// Longest name of a model: its generations live in schemas called `name@1`, `name@2` …, which must fit as well.
const LONGEST_MODEL: usize = 52;

pub(crate) fn fold(name: &Ident) -> String {
    if name.quote_style.is_some() { name.value.clone() } else { name.value.to_ascii_lowercase() }
}

/// The identifiers of a dotted name; a part that is a call is left out.
pub(crate) fn parts(name: &ObjectName) -> Vec<&Ident> {
    name.0.iter().filter_map(ObjectNamePart::as_ident).collect()
}

/// A name without dots, folded.
pub(crate) fn single(name: &ObjectName) -> Option<String> {
    match parts(name)[..] {
        [one] if name.0.len() == 1 => Some(fold(one)),
        _ => None,
    }
}

/// A text as a literal, safe in any statement of a session with `standard_conforming_strings`.
pub fn quote_literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// A name quoted, so that it may stand wherever a name may.
pub fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A name as a person would write it: quoted only where SQL asks for that.
pub fn written(name: &str) -> String {
    let mut letters = name.chars();
    let plain = letters.next().is_some_and(|first| first.is_ascii_lowercase() || first == '_')
        && letters
            .all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_');
    if plain && !RESERVED.split_whitespace().any(|word| word == name) {
        name.to_owned()
    } else {
        quoted(name)
    }
}

/// What Postgres 18 takes for no column's name without quotes.
const RESERVED: &str = "all analyse analyze and any array as asc asymmetric authorization binary both case cast check \
    collate collation column concurrently constraint create cross current_catalog current_date current_role \
    current_schema current_time current_timestamp current_user default deferrable desc distinct do else end except false \
    fetch for foreign freeze from full grant group having ilike in initially inner intersect into is isnull join lateral \
    leading left like limit localtime localtimestamp natural not notnull null offset on only or order outer overlaps \
    placing primary references returning right select session_user similar some symmetric system_user table tablesample \
    then to trailing true union unique user using variadic verbose when where window with";

/// Why a model may not bear this name.
pub(crate) fn refused_model(name: &str) -> Option<String> {
    let mut letters = name.chars();
    let plain = letters.next().is_some_and(|first| first.is_ascii_lowercase() || first == '_')
        && letters
            .all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_');
    if !plain {
        return Some(
            "it is not made of lower-case letters, digits and `_`, beginning with a letter".into(),
        );
    }
    if matches!(name, "vitrina" | "public" | "information_schema" | "every")
        || name.starts_with("pg_")
    {
        return Some("the name is reserved".into());
    }
    (name.len() > LONGEST_MODEL).then(|| format!("it is longer than {LONGEST_MODEL} bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_names_are_schemas() {
        for good in ["order_summary", "a", "_x2", "o".repeat(52).as_str()] {
            assert_eq!(refused_model(good), None, "{good}");
        }
        for bad in
            ["", "Orders", "2024", "a-b", "ä", "vitrina", "public", "pg_x", "o".repeat(53).as_str()]
        {
            assert!(refused_model(bad).is_some(), "{bad}");
        }
    }
}
