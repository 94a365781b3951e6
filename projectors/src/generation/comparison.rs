//! What a swap would change: each table of both generations, row by row, at equal positions. Nobody is stopped for it: a
//! snapshot of both is one moment, and where they were not equally far then, a row differs only if it did so again, unmoved
//! on both sides, when each had come to where the other one was before. What goes on moving is not judged.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::types::Json;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _};

use crate::fault::Fault;
use crate::names::{GenerationId, quote};
use crate::session;

/// How long one statement of it may take: a snapshot that is open for long slows the writers.
const STATEMENT: Duration = Duration::from_secs(60);
/// How long one generation may take to come to where the other one was.
const MEETING: Duration = Duration::from_secs(10);
/// How often it is looked again at rows that move.
const ROUNDS: usize = 5;
/// Rows that differ of which each is looked at again; of more, the number alone tells enough.
const CANDIDATES: i64 = 1000;
const SAMPLE: usize = 5;

/// One table, in the live generation and in the one that is built.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct TableComparison {
    pub table: String,
    /// Of the live generation, and of the one that is built; null where it has no such table.
    pub rows: [Option<i64>; 2],
    /// Whether all rows have the same values in the columns that both have.
    pub equal: bool,
    /// Rows that differ, or are on one side only.
    pub differing: i64,
    pub columns_added: Vec<String>,
    pub columns_gone: Vec<String>,
    pub sample: Vec<Difference>,
    /// Why it could not be compared.
    pub failed: Option<String>,
}

/// A row that differs: its key, and the columns that do; null where there is no such row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    pub key: Value,
    pub old: Value,
    pub new: Value,
}

/// A column: its table, its name, its place in the primary key, and whether its type can be hashed.
type Column = (String, String, Option<i32>, bool);

/// Hashes and rows of both sides.
type Joined = (Option<i64>, Option<i64>, Json<Value>, Json<Value>);

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
struct Pair {
    name: String,
    /// The columns of its primary key, quoted; none where the two have not the same.
    key: Vec<String>,
    /// For each column of both, an expression that can be hashed.
    values: Vec<String>,
    columns_added: Vec<String>,
    columns_gone: Vec<String>,
    rows: [i64; 2],
    differing: i64,
    /// Rows that seem to differ, and are to be looked at again.
    candidates: Vec<Candidate>,
    /// Rows that do.
    differ: Vec<Candidate>,
}

#[derive(Clone)]
struct Candidate {
    key: Value,
    hashes: [Option<i64>; 2],
}

/// Positions of both generations in each partition that both are to read; -1 where the new one has not begun.
type Positions = BTreeMap<(String, i32), [i64; 2]>;

/// What came of an attempt to compare.
pub(crate) enum Compared {
    Tables(Vec<TableComparison>),
    /// Not now, and why.
    NotYet(String),
}

/// Compares all tables; `topics` are those that the new generation reads.
///
/// # Errors
/// Postgres's.
pub(crate) async fn compare(
    postgres: &PgConnectOptions,
    old: &GenerationId,
    new: &GenerationId,
    topics: Vec<String>,
) -> Result<Compared, Fault> {
    let mut connection = session::writer(postgres, &new.schema(), 0, STATEMENT).await?;
    let key = xxhash_rust::xxh3::xxh3_64(format!("vitrina comparison of {new}").as_bytes()) as i64;
    let mine: bool = sqlx::query_scalar("SELECT pg_try_advisory_lock($1)")
        .bind(key)
        .fetch_one(&mut connection)
        .await?;
    if !mine {
        return Ok(Compared::NotYet("another instance compares it".to_owned()));
    }
    // The planner's settings of a writer fit arrays, and would make a full join slow.
    connection
        .execute(
            "SET enable_seqscan = on; SET enable_hashjoin = on; SET enable_mergejoin = on;
             SET idle_in_transaction_session_timeout = 0",
        )
        .await?;
    let schemas = [quote(&old.schema()), quote(&new.schema())];
    let compared = Comparing { schemas, topics }.all(&mut connection, old, new).await?;
    let _ = connection.close().await;
    let far = || Compared::NotYet(format!("it and {old} do not come to the same positions"));
    Ok(compared.map_or_else(far, Compared::Tables))
}

/// What stands where nothing could be compared.
pub(crate) fn failed(tables: impl Iterator<Item = String>, why: &str) -> Vec<TableComparison> {
    let failed =
        |table| TableComparison { table, failed: Some(why.to_owned()), ..Default::default() };
    tables.map(failed).collect()
}

struct Comparing {
    schemas: [String; 2],
    topics: Vec<String>,
}

impl Comparing {
    /// `None` where one generation does not come to where the other one is.
    async fn all(
        &self,
        connection: &mut PgConnection,
        old: &GenerationId,
        new: &GenerationId,
    ) -> sqlx::Result<Option<Vec<TableComparison>>> {
        let columns = [
            sqlx::query_as(COLUMNS).bind(old.schema()).fetch_all(&mut *connection).await?,
            sqlx::query_as(COLUMNS).bind(new.schema()).fetch_all(&mut *connection).await?,
        ];
        let (mut pairs, mut alone) = pair(columns);
        let now = self.positions(connection).await?;
        if !self.meet(connection, &now).await? {
            return Ok(None);
        }
        let mut before = self.snapshot(connection).await?;
        for table in &mut alone {
            let side = usize::from(table.rows[1].is_some());
            table.rows[side] = Some(self.count(connection, &table.table, side).await?);
        }
        for pair in &mut pairs {
            self.look(connection, pair).await?;
        }
        connection.execute("COMMIT").await?;
        for _ in 0..ROUNDS {
            let unsettled = pairs.iter().any(|pair| !pair.candidates.is_empty());
            if before.values().all(|[old, new]| old == new) || !unsettled {
                break;
            }
            if !self.meet(connection, &before).await? {
                return Ok(None);
            }
            before = self.snapshot(connection).await?;
            for pair in pairs.iter_mut().filter(|pair| !pair.has_many()) {
                self.look_again(connection, pair).await?;
            }
            connection.execute("COMMIT").await?;
        }
        let equally_far = before.values().all(|[old, new]| old == new);
        let mut tables = alone;
        for mut pair in pairs {
            if equally_far || pair.has_many() {
                pair.differ.append(&mut pair.candidates);
            }
            let sample = self.sample(connection, &pair).await?;
            tables.push(pair.told(sample));
        }
        tables.sort_by(|one, other| one.table.cmp(&other.table));
        Ok(Some(tables))
    }

    /// Begins a transaction that sees one moment; the positions of that moment.
    async fn snapshot(&self, connection: &mut PgConnection) -> sqlx::Result<Positions> {
        connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
        self.positions(connection).await
    }

    async fn positions(&self, connection: &mut PgConnection) -> sqlx::Result<Positions> {
        let [old, new] = &self.schemas;
        let positions = format!(
            r#"SELECT topic, partition, l.next_offset, coalesce(b.next_offset, -1)
               FROM {old}."@position" l LEFT JOIN {new}."@position" b USING (topic, partition) WHERE topic = ANY($1)"#
        );
        let rows: Vec<(String, i32, i64, i64)> = sqlx::query_as(AssertSqlSafe(positions))
            .bind(&self.topics)
            .fetch_all(connection)
            .await?;
        Ok(rows
            .into_iter()
            .map(|(topic, partition, old, new)| ((topic, partition), [old, new]))
            .collect())
    }

    /// Waits until each generation has come to where the other one was; whether they have.
    async fn meet(&self, connection: &mut PgConnection, before: &Positions) -> sqlx::Result<bool> {
        let meeting = async {
            loop {
                let now = self.positions(connection).await?;
                let met = before.iter().all(|(partition, [old, new])| {
                    now.get(partition).is_some_and(|now| now[0] >= *new && now[1] >= *old)
                });
                if met {
                    return Ok(true);
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(MEETING, meeting).await.unwrap_or(Ok(false))
    }

    async fn count(
        &self,
        connection: &mut PgConnection,
        table: &str,
        side: usize,
    ) -> sqlx::Result<i64> {
        let count = format!("SELECT count(*) FROM {}.{}", self.schemas[side], quote(table));
        sqlx::query_scalar(AssertSqlSafe(count)).fetch_one(connection).await
    }

    /// Both tables of a pair, joined by the key, as of one snapshot.
    fn joined(&self, pair: &Pair) -> String {
        let side = |side: usize| {
            let (key, values) = (pair.key.join(", "), pair.values.join(", "));
            let (schema, table) = (&self.schemas[side], quote(&pair.name));
            format!(
                "(SELECT {key}, hash_record_extended(ROW({values}), 0) AS h FROM {schema}.{table} t)"
            )
        };
        format!("{} l FULL JOIN {} b USING ({})", side(0), side(1), pair.key.join(", "))
    }

    async fn look(&self, connection: &mut PgConnection, pair: &mut Pair) -> sqlx::Result<()> {
        if pair.key.is_empty() {
            for side in [0, 1] {
                pair.rows[side] = self.count(connection, &pair.name, side).await?;
            }
            return Ok(());
        }
        let joined = self.joined(pair);
        let counts = format!(
            "SELECT count(l.h), count(b.h), count(*) FILTER (WHERE l.h IS DISTINCT FROM b.h) FROM {joined}"
        );
        let (old, new, differing): (i64, i64, i64) =
            sqlx::query_as(AssertSqlSafe(counts)).fetch_one(&mut *connection).await?;
        (pair.rows, pair.differing) = ([old, new], differing);
        if differing == 0 {
            return Ok(());
        }
        let members: Vec<String> =
            pair.key.iter().map(|column| format!("{}, {column}", literal(column))).collect();
        let candidates = format!(
            "SELECT jsonb_build_object({}), l.h, b.h FROM {joined} WHERE l.h IS DISTINCT FROM b.h LIMIT {CANDIDATES}",
            members.join(", ")
        );
        let found: Vec<(Json<Value>, Option<i64>, Option<i64>)> =
            sqlx::query_as(AssertSqlSafe(candidates)).fetch_all(connection).await?;
        pair.candidates = found
            .into_iter()
            .map(|(Json(key), old, new)| Candidate { key, hashes: [old, new] })
            .collect();
        Ok(())
    }

    /// One side's row of a candidate `k.key`.
    fn row(&self, pair: &Pair, side: usize) -> String {
        let table = format!("{}.{}", self.schemas[side], quote(&pair.name));
        let same: Vec<String> =
            pair.key.iter().map(|column| format!("t.{column} = p.{column}")).collect();
        format!(
            "(SELECT hash_record_extended(ROW({}), 0) AS h, to_jsonb(t) AS j
              FROM {table} t, jsonb_populate_record(NULL::{table}, k.key) p WHERE {})",
            pair.values.join(", "),
            same.join(" AND ")
        )
    }

    /// Both sides of the candidates, in their order.
    async fn rows(
        &self,
        connection: &mut PgConnection,
        pair: &Pair,
        candidates: &[Candidate],
    ) -> sqlx::Result<Vec<([Option<i64>; 2], [Value; 2])>> {
        let rows = format!(
            "SELECT l.h, b.h, coalesce(l.j, 'null'), coalesce(b.j, 'null')
             FROM jsonb_array_elements($1) WITH ORDINALITY k(key, n)
             LEFT JOIN LATERAL {} l ON true LEFT JOIN LATERAL {} b ON true ORDER BY k.n",
            self.row(pair, 0),
            self.row(pair, 1)
        );
        let keys: Vec<&Value> = candidates.iter().map(|candidate| &candidate.key).collect();
        let rows: Vec<Joined> =
            sqlx::query_as(AssertSqlSafe(rows)).bind(Json(keys)).fetch_all(connection).await?;
        let both = |(old, new, Json(before), Json(after))| ([old, new], [before, after]);
        Ok(rows.into_iter().map(both).collect())
    }

    async fn look_again(&self, connection: &mut PgConnection, pair: &mut Pair) -> sqlx::Result<()> {
        let candidates = std::mem::take(&mut pair.candidates);
        let now = self.rows(connection, pair, &candidates).await?;
        for (candidate, (hashes, _)) in candidates.into_iter().zip(now) {
            if hashes[0] == hashes[1] {
                continue;
            }
            let still = hashes == candidate.hashes;
            let seen = Candidate { hashes, ..candidate };
            if still { pair.differ.push(seen) } else { pair.candidates.push(seen) }
        }
        Ok(())
    }

    /// A few of the rows that differ, with the columns that do.
    async fn sample(
        &self,
        connection: &mut PgConnection,
        pair: &Pair,
    ) -> sqlx::Result<Vec<Difference>> {
        let some = &pair.differ[..pair.differ.len().min(SAMPLE)];
        if some.is_empty() {
            return Ok(Vec::new());
        }
        let rows = self.rows(connection, pair, some).await?;
        let differ = some.iter().zip(rows).filter(|(_, (hashes, _))| hashes[0] != hashes[1]);
        Ok(differ
            .map(|(candidate, (_, [old, new]))| difference(candidate.key.clone(), old, new))
            .collect())
    }
}

impl Pair {
    fn has_many(&self) -> bool {
        self.differing > CANDIDATES
    }

    /// The rows of the new one are counted from the old one's, so that both numbers are of one moment.
    fn told(self, sample: Vec<Difference>) -> TableComparison {
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

/// Whether readers lose nothing by the swap, and see nothing else where they see the same.
pub(crate) fn is_equal(tables: &[TableComparison]) -> bool {
    tables.iter().all(|table| {
        let added = table.rows[0].is_none() && table.failed.is_none();
        added || table.equal && table.columns_gone.is_empty()
    })
}

/// What is said where it is not equal.
pub(crate) fn in_words(tables: &[TableComparison]) -> String {
    let unequal = tables.iter().filter(|table| !is_equal(std::slice::from_ref(table)));
    let words =
        unequal.map(|table| match (&table.failed, table.rows, table.columns_gone.as_slice()) {
            (Some(why), ..) => format!("{} was not compared: {why}", table.table),
            (None, [_, None], _) => format!("{} is gone", table.table),
            (None, _, []) => format!("{} rows of {} differ", table.differing, table.table),
            (None, _, gone) => {
                format!(
                    "{} has no {} any more, and {} rows differ",
                    table.table,
                    gone.join(", "),
                    table.differing
                )
            }
        });
    words.collect::<Vec<_>>().join("; ")
}

fn difference(key: Value, old: Value, new: Value) -> Difference {
    let (Value::Object(mut before), Value::Object(mut after)) = (old.clone(), new.clone()) else {
        return Difference { key, old, new };
    };
    let same: Vec<String> = before
        .iter()
        .filter(|(name, value)| after.get(*name).is_none_or(|other| other == *value))
        .map(|(name, _)| name.clone())
        .collect();
    after.retain(|name, _| before.contains_key(name));
    for name in same {
        before.remove(&name);
        after.remove(&name);
    }
    Difference { key, old: before.into(), new: after.into() }
}

fn literal(quoted: &str) -> String {
    let name = quoted.trim_matches('"').replace("\"\"", "\"").replace('\'', "''");
    format!("'{name}'")
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
