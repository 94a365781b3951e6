//! What Postgres says against a text of the user's, before any record comes: its own words, the place that it means in
//! the user's file, and a way out that fits the kind of refusal.

use sqlx::error::DatabaseError;
use sqlx::postgres::{PgDatabaseError, PgErrorPosition};
use vitrina_sql::{Finding, Place, Rule, UpcastItem};

/// A statement that is sent, and the user's text that it was made of.
pub(crate) struct Text<'a> {
    pub file: &'a str,
    pub sql: String,
    pub origin: Origin<'a>,
}

/// What of the statement is the user's.
pub(crate) enum Origin<'a> {
    /// All of it, and where it begins.
    Declaration(Place),
    /// All but the derived table.
    Rule(&'a Rule, String),
    /// The item's expression, behind [`Text::ITEM`].
    Item(&'a UpcastItem),
}

impl Text<'_> {
    pub(crate) const ITEM: &'static str = "SELECT (";

    /// Where the user's text begins.
    pub(crate) fn begin(&self) -> Place {
        match &self.origin {
            Origin::Declaration(at) => *at,
            Origin::Rule(rule, _) => rule.at,
            Origin::Item(item) => item.at,
        }
    }

    /// Where a byte of the statement stands in the user's file.
    fn place(&self, byte: usize) -> Place {
        match &self.origin {
            Origin::Declaration(at) => at.after(self.sql.get(..byte).unwrap_or_default()),
            Origin::Rule(rule, relation) => rule.place(relation, byte),
            Origin::Item(item) => {
                let byte = byte.saturating_sub(Self::ITEM.len());
                item.at.after(item.expr.get(..byte).unwrap_or(&item.expr))
            }
        }
    }

    /// The finding; `before` is what was sent before the statement.
    pub(crate) fn refused(&self, error: &dyn DatabaseError, before: &str) -> Finding {
        let postgres = error.try_downcast_ref::<PgDatabaseError>();
        let at = match postgres.and_then(PgDatabaseError::position) {
            Some(PgErrorPosition::Original(position)) => {
                let character = position.saturating_sub(1 + before.chars().count());
                let byte = self.sql.char_indices().nth(character).map_or(0, |(byte, _)| byte);
                self.place(byte)
            }
            _ => self.begin(),
        };
        let code = error.code().unwrap_or_default();
        let hint = postgres.and_then(PgDatabaseError::hint);
        let what = format!("Postgres refuses this: {}", error.message());
        Finding::error(self.file, at, what, way_out(&code, error.message(), hint))
    }
}

fn way_out(code: &str, message: &str, hint: Option<&str>) -> String {
    let known = match code {
        "42883" if message.starts_with("operator") => {
            "bring both sides to one type, as in e.field::text"
        }
        "42883" => "correct the name, or cast the arguments to the types that the function takes",
        "42804" | "42846" => "cast the value to the type that is wanted, as in (e.field)::integer",
        "42P18" => "cast it to the type that is meant, as in 'x'::text",
        "42703" => "name a column that is there; a text stands in single quotes",
        "42702" => "say whose it is, as in e.column",
        "42803" => "put it into GROUP BY, or into an aggregate such as max",
        "42P10" if message.contains("ON CONFLICT") => {
            "name in ON CONFLICT the columns of the primary key, of a UNIQUE constraint or of a unique index"
        }
        "42704" => "name what this database has; see that no letter is missing",
        "428C9" => "leave the column out: Postgres computes it",
        "42601" => "correct what stands there",
        "42501" => "let the user in postgres.url do that, or name another user",
        code if code.starts_with("22") => "write the value as its type is written",
        _ => "",
    };
    match (known, hint) {
        ("", Some(hint)) => hint.trim_end_matches('.').to_owned(),
        ("", None) => format!("Postgres's manual has more on it, under SQLSTATE {code}"),
        (known, _) => known.to_owned(),
    }
}
