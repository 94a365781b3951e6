//! The ways to others and from them, encrypted and guarded, with no more rights than `docs/security.md` says: its statements
//! and commands are what runs here.

mod kafka;
mod listeners;
mod postgres;
mod registry;

use crate::bank::MOVED;
use crate::support::Folder;

const DOCS: &str = include_str!("../../docs/security.md");

/// The lines of the only block of this language that holds these words.
fn documented(language: &str, words: &str) -> &'static str {
    let blocks = DOCS.split("```").skip(1).step_by(2);
    let mut found = blocks
        .filter_map(|block| block.strip_prefix(language)?.strip_prefix('\n'))
        .filter(|block| block.contains(words));
    let block = found.next().unwrap_or_else(|| panic!("no block of {language} has {words}"));
    assert_eq!(found.next(), None, "{words} is in two blocks");
    block
}

/// A folder with moves of the bank's accounts on this topic.
fn bank(topic: &str, kafka: &str, registry: &str, postgres: &str) -> Folder {
    Folder::at(kafka, registry, postgres)
        .write(
            "contracts/bank/context.toml",
            &format!("topic = \"{topic}\"\nkey = \"account_id\"\n"),
        )
        .write("contracts/bank/amount_moved/v1.avsc", MOVED)
        .write("models/balance.sql", MOVES)
}

/// The bank's model without openings.
const MOVES: &str = "\
CREATE TABLE balance (account_id text PRIMARY KEY, events bigint NOT NULL DEFAULT 0);
INSERT INTO balance AS b (account_id, events) SELECT e.account_id, 1 FROM bank.amount_moved e
ON CONFLICT (account_id) DO UPDATE SET events = b.events + 1;
";

/// One move, as `publish` reads it.
const MOVE: &str = r#"{"account_id": "a", "seq": 1, "amount": "1.50"}"#;
