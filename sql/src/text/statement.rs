//! What may stand in a model file, told by a statement's first words. All else is refused by name before it is parsed,
//! so that the refusal does not depend on what the parser happens to know.

use crate::text::{Fragment, Lexeme};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StatementKind {
    Table,
    Index,
    UniqueIndex,
    View,
    Comment,
    Grant,
    Policy,
    Insert,
    Update,
    Delete,
}

use StatementKind::{
    Comment, Delete, Grant, Index, Insert, Policy, Table, UniqueIndex, Update, View,
};

const ALLOWED: [(&str, StatementKind); 10] = [
    ("CREATE TABLE", Table),
    ("CREATE INDEX", Index),
    ("CREATE UNIQUE INDEX", UniqueIndex),
    ("CREATE VIEW", View),
    ("COMMENT ON", Comment),
    ("GRANT", Grant),
    ("CREATE POLICY", Policy),
    ("INSERT INTO", Insert),
    ("UPDATE", Update),
    ("DELETE FROM", Delete),
];

/// First words, what they are, and the way out; none of them is the beginning of another.
const REFUSED: [(&str, &str, &str); 36] = [
    (
        "CREATE TEMP",
        "a temporary table",
        "write CREATE TABLE; a helper table's name begins with `_`",
    ),
    (
        "CREATE TEMPORARY",
        "a temporary table",
        "write CREATE TABLE; a helper table's name begins with `_`",
    ),
    (
        "CREATE GLOBAL",
        "a temporary table",
        "write CREATE TABLE; a helper table's name begins with `_`",
    ),
    (
        "CREATE LOCAL",
        "a temporary table",
        "write CREATE TABLE; a helper table's name begins with `_`",
    ),
    (
        "CREATE UNLOGGED",
        "an unlogged table (a crash empties it, the positions stay)",
        "write CREATE TABLE",
    ),
    ("CREATE FOREIGN", "a foreign table", "bring its rows in as events"),
    ("CREATE MATERIALIZED", "a materialised view", "write CREATE VIEW, or a table with rules"),
    (
        "CREATE OR REPLACE VIEW",
        "CREATE OR REPLACE",
        "write CREATE VIEW: each generation starts empty",
    ),
    ("CREATE RECURSIVE VIEW", "a recursive view", "write CREATE VIEW … AS WITH RECURSIVE …"),
    (
        "CREATE RULE",
        "a Postgres rule",
        "write what it does as INSERT, UPDATE or DELETE over an event relation",
    ),
    (
        "CREATE OR REPLACE RULE",
        "a Postgres rule",
        "write what it does as INSERT, UPDATE or DELETE over an event relation",
    ),
    ("CREATE TRIGGER", "a trigger", "write what it does as a rule over an event relation"),
    (
        "CREATE CONSTRAINT TRIGGER",
        "a trigger",
        "write what it does as a rule over an event relation",
    ),
    (
        "CREATE OR REPLACE TRIGGER",
        "a trigger",
        "write what it does as a rule over an event relation",
    ),
    (
        "CREATE SEQUENCE",
        "a sequence",
        "use what identifies the event: `_event_id`, or a field of it",
    ),
    (
        "CREATE FUNCTION",
        "a function",
        "create it in a schema of its own, outside of the model, and call it by that schema's name",
    ),
    (
        "CREATE OR REPLACE FUNCTION",
        "a function",
        "create it in a schema of its own, outside of the model, and call it by that schema's name",
    ),
    ("CREATE PROCEDURE", "a procedure", "a model is declared; procedures have no place in it"),
    ("CREATE TYPE", "a type", "use Postgres's own types"),
    ("CREATE DOMAIN", "a domain", "use a CHECK of the table"),
    ("CREATE SCHEMA", "a schema", "Vitrina keeps the model's schema"),
    ("CREATE EXTENSION", "an extension", "create it in Postgres, outside of the model"),
    ("CREATE STATISTICS", "extended statistics", "leave them out"),
    (
        "CREATE ROLE",
        "a role",
        "roles are those of the readers' tokens: GRANT and CREATE POLICY only name them",
    ),
    ("REVOKE", "REVOKE", "take the GRANT out: nobody reads what was not granted"),
    (
        "ALTER",
        "ALTER",
        "change the CREATE statement: a changed model is rebuilt beside the live one",
    ),
    (
        "DROP",
        "DROP",
        "take the CREATE statement out: a changed model is rebuilt beside the live one",
    ),
    ("TRUNCATE", "TRUNCATE", "write DELETE FROM … USING an event relation"),
    ("MERGE", "MERGE", "write INSERT … ON CONFLICT, UPDATE … FROM or DELETE … USING"),
    (
        "WITH",
        "WITH before a statement",
        "put the WITH inside: INSERT INTO … WITH … SELECT …, or use sub-selects",
    ),
    ("SELECT", "a bare SELECT", "write INSERT INTO … SELECT, or CREATE VIEW … AS SELECT"),
    ("VALUES", "a bare VALUES", "write INSERT INTO … SELECT from an event relation"),
    ("COPY", "COPY", "rows come from events only"),
    ("DO", "a DO block", "write rules: INSERT, UPDATE or DELETE over an event relation"),
    ("SET", "SET", "Vitrina fixes the session's settings, so that all runs agree"),
    ("BEGIN", "a transaction", "leave it out: a batch of events is one transaction"),
];

pub(crate) const CONTENTS: &str = "a model holds CREATE TABLE, CREATE INDEX, CREATE VIEW, COMMENT ON, \
    GRANT SELECT, CREATE POLICY, and rules: INSERT … SELECT, UPDATE … FROM, DELETE … USING";

impl StatementKind {
    /// What kind of statement this is, or what is refused and the way out.
    pub(crate) fn of(statement: &Fragment<'_>) -> Result<Self, (String, &'static str)> {
        let words: Vec<_> = statement.significant().take(4).map(Lexeme::keyword).collect();
        let line = format!("{} ", words.join(" "));
        let begins = |first: &str| line.starts_with(&format!("{first} "));
        if let Some((_, kind)) = ALLOWED.iter().find(|(first, _)| begins(first)) {
            return Ok(*kind);
        }
        if let Some((_, what, help)) = REFUSED.iter().find(|(first, _, _)| begins(first)) {
            return Err((format!("{what} is not part of a model"), help));
        }
        let shown = statement.text().split_whitespace().take(2).collect::<Vec<_>>().join(" ");
        Err((format!("`{shown}` is not part of a model"), CONTENTS))
    }
}

/// Syntax of Postgres that the parser is known to lack: what it looks like, and what to write instead.
const LACKING: [(&str, &str); 8] = [
    (
        "ROWS FROM",
        "name the function itself in FROM instead of ROWS FROM, with WITH ORDINALITY if you need numbers",
    ),
    (
        "ON CONFLICT",
        "ON CONFLICT takes columns or ON CONSTRAINT; for an expression make a generated column with a UNIQUE constraint",
    ),
    ("OVERRIDING", "leave OVERRIDING out, a model has no identity columns"),
    ("LIKE", "in CREATE TABLE, write the columns out instead of LIKE"),
    ("ONLY", "leave ONLY out, a model's tables have no children"),
    ("CURRENT OF", "write a condition instead of CURRENT OF"),
    ("TABLE", "write SELECT * FROM name instead of TABLE name"),
    ("COLLATE", "put a cast before COLLATE in parentheses"),
];

/// The way out of an unreadable statement, where its words show what the parser lacks.
pub(crate) fn lacking(kind: StatementKind, statement: &Fragment<'_>) -> Option<&'static str> {
    let words = statement.keywords();
    let holds = |wanted: &str| {
        words[1..].windows(wanted.split(' ').count()).any(|found| found.join(" ") == wanted)
    };
    let fits = |wanted: &str| match wanted {
        "LIKE" => kind == Table,
        "TABLE" => kind != Table,
        _ => true,
    };
    LACKING.iter().find(|(wanted, _)| fits(wanted) && holds(wanted)).map(|(_, help)| *help)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::text::Text;

    #[test]
    fn first_words_decide() {
        let kind = |sql: &str| StatementKind::of(&Text::new(sql).unwrap().statements()[0]);
        assert_eq!(kind("create /* x */ Unique\nINDEX ON t (a)"), Ok(UniqueIndex));
        assert_eq!(kind("update t SET a = 1"), Ok(Update));
        assert!(kind("CREATE TEMP TABLE t (a int)").unwrap_err().0.contains("temporary"));
        assert!(kind("CREATE OR REPLACE TRIGGER x").unwrap_err().0.contains("trigger"));
        assert!(kind("VACUUM full t").unwrap_err().0.contains("`VACUUM full`"));
        assert!(kind("COMMIT").is_err() && kind("\"update\" t").is_err());
    }
}
