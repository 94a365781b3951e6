//! Which tables and columns of two generations can be compared: those that both have, by name.

use std::collections::BTreeSet;

use serde_json::Value;
use sqlx::postgres::PgConnection;

use super::{Difference, TableComparison};
use crate::names::{GenerationId, quote};

/// Rows that differ of which each is looked at again; of more, the number alone tells enough.
pub(super) const CANDIDATES: i64 = 1000;

/// A column: its table, its name, its place in the primary key, and whether its type can be hashed.
type Column = (String, String, Option<i32>, bool);

/// The columns of a schema's tables.
const COLUMNS: &str = "
    SELECT c.relname::text, a.attname::text, array_position(k.conkey, a.attnum),
        EXISTS (SELECT FROM pg_type t LEFT JOIN pg_type e ON e.oid = t.typelem AND t.typcategory = 'A'
                WHERE t.oid = a.atttypid AND (
                    coalesce(e.typtype, t.typtype) IN ('e', 'r')
                    OR EXISTS (SELECT FROM pg_opclass o JOIN pg_am m ON m.oid = o.opcmethod AND m.amname = 'hash'
                               JOIN pg_type i ON i.oid = o.opcintype
                               WHERE o.opcdefault AND (o.opcintype = coalesce(e.oid, nullif(t.typbasetype, 0), t.oid)
                                    OR i.typname = 'text' AND coalesce(e.typname, t.typname) = 'varchar'))))
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    LEFT JOIN pg_constraint k ON k.conrelid = c.oid AND k.contype = 'p'
    WHERE n.nspname = $1 AND c.relkind = 'r' AND NOT starts_with(c.relname, '@')
    ORDER BY 1, a.attnum";

/// A table that both generations have.
pub(super) struct Pair {
    pub(super) name: String,
    /// The columns of its primary key, quoted; none where the two have not the same.
    pub(super) key: Vec<String>,
    /// For each column of both, an expression that can be hashed.
    pub(super) values: Vec<String>,
    pub(super) columns_added: Vec<String>,
    pub(super) columns_gone: Vec<String>,
    pub(super) rows: [i64; 2],
    pub(super) differing: i64,
    /// Rows that seem to differ, and are to be looked at again.
    pub(super) candidates: Vec<Candidate>,
    /// Rows that do.
    pub(super) differ: Vec<Candidate>,
}

#[derive(Clone)]
pub(super) struct Candidate {
    pub(super) key: Value,
    pub(super) hashes: [Option<i64>; 2],
}

impl Pair {
    pub(super) fn has_many(&self) -> bool {
        self.differing > CANDIDATES
    }

    /// It is not compared, and why.
    pub(super) fn untold(self, why: &str) -> TableComparison {
        TableComparison {
            table: self.name,
            rows: [Some(0), Some(0)],
            columns_added: self.columns_added,
            columns_gone: self.columns_gone,
            failed: Some(why.to_owned()),
            ..Default::default()
        }
    }

    /// The rows of the new one are counted from the old one's, so that both numbers are of one moment.
    pub(super) fn told(self, sample: Vec<Difference>) -> TableComparison {
        let [old, mut new] = self.rows;
        let mut differing = self.differing;
        if !self.key.is_empty() && !self.has_many() {
            let alone = |side: usize| {
                self.differ.iter().filter(|one| one.hashes[1 - side].is_none()).count() as i64
            };
            (differing, new) = (self.differ.len() as i64, old + alone(1) - alone(0));
        }
        let failed = self
            .key
            .is_empty()
            .then(|| "its primary key is another one, so only its rows were counted".to_owned());
        TableComparison {
            table: self.name,
            rows: [Some(old), Some(new)],
            equal: differing == 0 && failed.is_none(),
            differing,
            columns_added: self.columns_added,
            columns_gone: self.columns_gone,
            sample,
            failed,
        }
    }
}

pub(super) fn literal(quoted: &str) -> String {
    vitrina_sql::quote_literal(&quoted.trim_matches('"').replace("\"\"", "\""))
}

/// The tables of two generations: those that both have, and those that one side has alone.
///
/// # Errors
/// Postgres's.
pub(super) async fn pairs(
    connection: &mut PgConnection,
    old: &GenerationId,
    new: &GenerationId,
) -> sqlx::Result<(Vec<Pair>, Vec<TableComparison>)> {
    let columns = [
        sqlx::query_as(COLUMNS).bind(old.schema()).fetch_all(&mut *connection).await?,
        sqlx::query_as(COLUMNS).bind(new.schema()).fetch_all(connection).await?,
    ];
    Ok(pair(columns))
}

/// The tables that both have, and those that one side has alone: those bear a number on their side.
fn pair([old, new]: [Vec<Column>; 2]) -> (Vec<Pair>, Vec<TableComparison>) {
    let names = |columns: &[Column]| -> BTreeSet<String> {
        columns.iter().map(|(table, ..)| table.clone()).collect()
    };
    let (before, after) = (names(&old), names(&new));
    let alone = before.symmetric_difference(&after).map(|table| {
        let is_old = before.contains(table);
        let all = of_table(if is_old { &old } else { &new }, table);
        let all = all.map(|(_, name, ..)| name.clone()).collect();
        let done = TableComparison { table: table.clone(), ..Default::default() };
        match is_old {
            true => TableComparison { rows: [Some(0), None], columns_gone: all, ..done },
            false => TableComparison { rows: [None, Some(0)], columns_added: all, ..done },
        }
    });
    let pairs = before.intersection(&after).map(|table| pair_of(table, &old, &new)).collect();
    (pairs, alone.collect())
}

fn of_table<'a>(columns: &'a [Column], table: &'a str) -> impl Iterator<Item = &'a Column> {
    columns.iter().filter(move |(of, ..)| of == table)
}

fn pair_of(table: &str, old: &[Column], new: &[Column]) -> Pair {
    let key = |columns: &[Column]| -> Vec<String> {
        let mut key: Vec<(i32, String)> = of_table(columns, table)
            .filter_map(|(_, name, place, _)| Some(((*place)?, quote(name))))
            .collect();
        key.sort();
        key.into_iter().map(|(_, name)| name).collect()
    };
    let other = |columns: &[Column], name: &str| {
        of_table(columns, table).find(|(_, other, ..)| other == name).map(|(.., hashes)| *hashes)
    };
    let only = |columns: &[Column], others: &[Column]| -> Vec<String> {
        of_table(columns, table)
            .filter(|(_, name, ..)| other(others, name).is_none())
            .map(|(_, name, ..)| name.clone())
            .collect()
    };
    let value = |(_, name, _, hashes): &Column| {
        let hashes = *hashes && other(new, name)?;
        Some(if hashes { format!("t.{}", quote(name)) } else { format!("t.{}::text", quote(name)) })
    };
    let same_key = key(old) == key(new);
    Pair {
        name: table.to_owned(),
        key: if same_key { key(old) } else { Vec::new() },
        values: of_table(old, table).filter_map(value).collect(),
        columns_added: only(new, old),
        columns_gone: only(old, new),
        rows: [0, 0],
        differing: 0,
        candidates: Vec::new(),
        differ: Vec::new(),
    }
}
