//! The rows of both generations, at equal positions.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::Value;
use sqlx::postgres::PgConnection;
use sqlx::types::Json;
use sqlx::{AssertSqlSafe, Executor as _};

use super::pair::{CANDIDATES, Candidate, Pair, literal, pairs};
use super::{Difference, TableComparison, failed};
use crate::generation::build::goal::apart;
use crate::names::{GenerationId, quote};
use crate::sqlstate::Sqlstate;

/// How long one generation may take to come to where the other one was.
const MEETING: Duration = Duration::from_secs(10);
/// How often it is looked again at rows that move.
const ROUNDS: usize = 5;
const SAMPLE: usize = 5;
/// Columns of a row that is shown, and characters of a value.
const COLUMNS_SHOWN: usize = 10;
const VALUE_SHOWN: usize = 100;

/// Hashes and rows of both sides.
type Joined = (Option<i64>, Option<i64>, Json<Value>, Json<Value>);

/// Positions of both generations in each partition that both are to read; -1 where the new one has not begun.
type Positions = BTreeMap<(String, i32), [i64; 2]>;

pub(super) struct Comparing {
    pub(super) schemas: [String; 2],
    pub(super) topics: Vec<String>,
    /// How long all rows may be looked at.
    pub(super) at_most: Duration,
}

impl Comparing {
    /// `None` where one generation does not come to where the other one is.
    pub(super) async fn all(
        &self,
        connection: &mut PgConnection,
        old: &GenerationId,
        new: &GenerationId,
    ) -> sqlx::Result<Option<Vec<TableComparison>>> {
        let (mut pairs, mut alone) = pairs(connection, old, new).await?;
        if let Some(apart) = apart(connection, old, new, self.topics.clone()).await? {
            let why = format!("it and {old} do not know the same log: {apart}");
            return self.counted(connection, pairs, alone, &why).await.map(Some);
        }
        let now = self.positions(connection).await?;
        if !self.meet(connection, &now).await? {
            return Ok(None);
        }
        let mut before = self.snapshot(connection).await?;
        for table in &mut alone {
            let side = usize::from(table.rows[1].is_some());
            table.rows[side] = Some(self.count(connection, &table.table, side).await?);
        }
        let late = self.look_at_all(connection, &mut pairs).await?;
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
        let why = format!("there was no time for it within {:?}", self.at_most);
        tables.extend(failed(late.into_iter().map(|pair| pair.name), &why));
        tables.sort_by(|one, other| one.table.cmp(&other.table));
        Ok(Some(tables))
    }

    /// Looks at one table after another, and ends the snapshot; those for which there was no time are taken out.
    async fn look_at_all(
        &self,
        connection: &mut PgConnection,
        pairs: &mut Vec<Pair>,
    ) -> sqlx::Result<Vec<Pair>> {
        let until = Instant::now() + self.at_most;
        for place in 0..pairs.len() {
            let left = until.saturating_duration_since(Instant::now()).as_millis().max(1);
            let limit = format!("SET LOCAL statement_timeout = {left}");
            connection.execute(AssertSqlSafe(limit)).await?;
            match self.look(connection, &mut pairs[place]).await {
                Err(error) if Sqlstate::of(&error) == Some(Sqlstate::TimedOut) => {
                    connection.execute("ROLLBACK").await?;
                    return Ok(pairs.split_off(place));
                }
                looked => looked?,
            }
        }
        connection.execute("COMMIT").await?;
        Ok(Vec::new())
    }

    /// All tables, of which only the rows are counted, and why.
    async fn counted(
        &self,
        connection: &mut PgConnection,
        pairs: Vec<Pair>,
        alone: Vec<TableComparison>,
        why: &str,
    ) -> sqlx::Result<Vec<TableComparison>> {
        let mut tables = alone;
        tables.extend(pairs.into_iter().map(|pair| pair.untold(why)));
        for table in &mut tables {
            for side in [0, 1] {
                if table.rows[side].is_some() {
                    table.rows[side] = Some(self.count(connection, &table.table, side).await?);
                }
            }
        }
        tables.sort_by(|one, other| one.table.cmp(&other.table));
        Ok(tables)
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

fn difference(key: Value, old: Value, new: Value) -> Difference {
    let key = shortened(key);
    let (Value::Object(mut before), Value::Object(mut after)) = (old.clone(), new.clone()) else {
        return Difference { key, old: shortened(old), new: shortened(new) };
    };
    before.retain(|name, value| after.get(name).is_some_and(|other| other != value));
    let names: Vec<String> = before.keys().take(COLUMNS_SHOWN).cloned().collect();
    for side in [&mut before, &mut after] {
        side.retain(|name, _| names.contains(name));
        side.values_mut().for_each(shorten);
    }
    Difference { key, old: before.into(), new: after.into() }
}

/// A row or a key with the first of its columns, each cut where it is long.
fn shortened(row: Value) -> Value {
    let Value::Object(row) = row else { return row };
    let first = row.into_iter().take(COLUMNS_SHOWN).map(|(name, mut value)| {
        shorten(&mut value);
        (name, value)
    });
    first.collect::<serde_json::Map<String, Value>>().into()
}

/// Cuts a value that is long as text.
fn shorten(value: &mut Value) {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    if let Some((cut, _)) = text.char_indices().nth(VALUE_SHOWN) {
        *value = format!("{}…", &text[..cut]).into();
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_sample_is_short_whatever_the_rows_hold() {
        let wide = |fill: &str| -> Value {
            let column = |number| (format!("c{number:03}"), json!(fill.repeat(10_000)));
            (0..100).map(column).collect::<serde_json::Map<String, Value>>().into()
        };
        let (old, new) = (wide("é"), wide("è"));
        let told = difference(json!({"k": "a".repeat(10_000)}), old, new);
        assert!(serde_json::to_string(&told).unwrap_or_default().len() < 8_000, "{told:?}");
        assert_eq!(told.old.as_object().map(serde_json::Map::len), Some(COLUMNS_SHOWN));
        let gone = difference(json!({"k": 1}), wide("x"), Value::Null);
        assert_eq!(
            (gone.old.as_object().map(|one| one.len()), gone.new),
            (Some(COLUMNS_SHOWN), Value::Null)
        );
        let told =
            difference(json!({"k": 1}), json!({"a": 1, "b": [2]}), json!({"a": 1, "b": [3]}));
        assert_eq!((told.old, told.new), (json!({"b": [2]}), json!({"b": [3]})));
    }
}
