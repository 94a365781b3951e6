//! Which effects are merges, and which only look like them.

use crate::waves::waves;
use vitrina_sql::waves::Fold::{
    self, First, FirstNotNull, Greatest, Last, LastNotNull, Least, Sum,
};
use vitrina_sql::waves::{Merge, Waves};

const TABLES: &str = "
CREATE TABLE s (id text PRIMARY KEY, n int NOT NULL DEFAULT 0, m numeric(12,2) NOT NULL DEFAULT 0, x text, y int, v varchar(3), f float8 NOT NULL DEFAULT 0);
CREATE TABLE a (id text PRIMARY KEY, n int NOT NULL DEFAULT 0, m numeric(12,2) NOT NULL DEFAULT 0);
CREATE TABLE ck (id text PRIMARY KEY, n int NOT NULL DEFAULT 0, y int CHECK (y > 0));
CREATE TABLE ge (id text PRIMARY KEY, n int NOT NULL DEFAULT 0, y int, g int GENERATED ALWAYS AS (n) STORED);
CREATE TABLE un (id text PRIMARY KEY, n int NOT NULL DEFAULT 0, y int, UNIQUE (y));
CREATE TABLE by_amount (amount numeric PRIMARY KEY, n int NOT NULL DEFAULT 0);
";

fn analysis(rules: &str) -> Waves {
    waves(&format!("{TABLES}{rules}"))
}

fn merge(rules: &str) -> Option<Merge> {
    analysis(rules).rules[0].merge().cloned()
}

fn folds(rule: &str) -> Option<Vec<(String, Fold)>> {
    merge(rule).map(|merge| merge.folds)
}

fn upsert(columns: &str, values: &str, set: &str) -> String {
    format!(
        "INSERT INTO s AS t (id, {columns}) SELECT e.order_id, {values} FROM orders.order_placed e ON CONFLICT (id) DO UPDATE SET {set}"
    )
}

#[test]
fn every_form_of_the_contract_merges() {
    for (columns, values, set, folded) in [
        ("x", "e.currency", "x = EXCLUDED.x", Last),
        ("n", "e._partition", "n = t.n + EXCLUDED.n", Sum),
        ("n", "e._partition", "n = (EXCLUDED.n + t.n)", Sum),
        ("n", "1", "n = t.n + 1", Sum),
        ("m", "e.amount", "m = t.m + EXCLUDED.m", Sum),
        ("y", "1", "y = GREATEST(t.y, EXCLUDED.y)", Greatest),
        ("y", "1", "y = least(EXCLUDED.y, t.y)", Least),
        ("x", "e.currency", "x = COALESCE(EXCLUDED.x, t.x)", LastNotNull),
        ("x", "e.currency", "x = COALESCE(t.x, EXCLUDED.x)", FirstNotNull),
    ] {
        let column = columns.to_owned();
        assert_eq!(folds(&upsert(columns, values, set)), Some(vec![(column, folded)]), "{set}");
    }
    let first = folds(&upsert("x, y", "e.currency, 1", "y = EXCLUDED.y"));
    assert_eq!(first, Some(vec![("x".into(), First), ("y".into(), Last)]));
    let nothing = "INSERT INTO s (id, x) SELECT e.order_id, e.currency FROM orders.order_placed e ON CONFLICT (id) DO NOTHING";
    assert_eq!(merge(nothing).unwrap().key, ["id"]);
    assert_eq!(folds(nothing), Some(vec![("x".into(), First)]));
    assert_eq!(
        folds("DELETE FROM s USING orders.order_cancelled e WHERE s.id = e.order_id"),
        Some(vec![])
    );
    for (set, folded) in [
        ("x = upper(e.currency)", Last),
        ("n = t.n + e._partition", Sum),
        ("n = n + 1", Sum),
        ("n = t.n - e._partition", Sum),
        ("m = t.m + e.amount", Sum),
        ("y = GREATEST(t.y, e._partition)", Greatest),
        ("y = LEAST(e._partition, y)", Least),
    ] {
        let rule = format!(
            "UPDATE s t SET {set} FROM orders.order_placed e WHERE t.id = e.order_id AND e.amount > 0"
        );
        assert_eq!(folds(&rule), Some(vec![(set[..1].to_owned(), folded)]), "{set}");
    }
}

#[test]
fn what_only_looks_like_a_merge_is_none() {
    for rule in [
        // Effects that are no merges, or of another column.
        upsert("n", "1", "n = t.n * EXCLUDED.n"),
        upsert("n", "1", "n = t.n - EXCLUDED.n"),
        upsert("n", "1", "n = t.n + 2"),
        upsert("n", "e._partition", "n = t.n + t.n"),
        upsert("m", "1.005", "m = t.m + 1.005"),
        upsert("n, y", "1, 2", "n = EXCLUDED.y"),
        upsert("n, y", "1, 2", "n = t.y + EXCLUDED.n"),
        upsert("n", "1", "y = EXCLUDED.y"),
        upsert("n, y", "1, 2", "(n, y) = (EXCLUDED.n, EXCLUDED.y)"),
        // The conflict has a condition.
        format!("{} WHERE t.n < 5", upsert("n", "1", "n = EXCLUDED.n")),
        // Sums of floats, and of what may be NULL; greatest of what has several forms.
        upsert("f", "1", "f = t.f + EXCLUDED.f"),
        upsert("y", "e._partition", "y = t.y + EXCLUDED.y"),
        upsert("x", "e.currency", "x = GREATEST(t.x, EXCLUDED.x)"),
        // A cast would cut what storing refuses.
        upsert("v", "e.currency", "v = EXCLUDED.v"),
        // Ties of the table.
        "INSERT INTO ck (id, n) SELECT e.order_id, 1 FROM orders.order_placed e ON CONFLICT (id) DO NOTHING".into(),
        "INSERT INTO ge (id, n) SELECT e.order_id, 1 FROM orders.order_placed e ON CONFLICT (id) DO NOTHING".into(),
        "INSERT INTO un (id, n) SELECT e.order_id, 1 FROM orders.order_placed e ON CONFLICT (id) DO NOTHING".into(),
        "UPDATE ck SET y = 3 FROM orders.order_placed e WHERE id = e.order_id".into(),
        "UPDATE ge SET n = 3 FROM orders.order_placed e WHERE id = e.order_id".into(),
        "UPDATE un SET y = 3 FROM orders.order_placed e WHERE id = e.order_id".into(),
        // One event makes several rows, whose conflict among themselves is an error.
        "INSERT INTO s (id) SELECT i ->> 'x' FROM orders.order_placed e, jsonb_array_elements(e.items) i ON CONFLICT (id) DO NOTHING".into(),
        "INSERT INTO s (id) SELECT a.id FROM orders.order_placed e JOIN a ON a.n = e._partition ON CONFLICT (id) DO NOTHING".into(),
        "INSERT INTO s (id) SELECT max(e.order_id) FROM orders.order_placed e ON CONFLICT (id) DO NOTHING".into(),
        // The rule reads what it writes.
        "INSERT INTO s (id) SELECT e.order_id FROM orders.order_placed e WHERE NOT EXISTS (SELECT FROM s WHERE s.id = e.customer_id) ON CONFLICT (id) DO NOTHING".into(),
        "DELETE FROM s USING orders.order_placed e WHERE s.id = e.order_id AND (SELECT count(*) FROM s) > 3".into(),
        "UPDATE s SET n = 1 FROM orders.order_placed e WHERE id = e.order_id AND s.n = 0".into(),
        "UPDATE s SET n = 1 FROM orders.order_placed e WHERE id = e.order_id AND id >= e.order_id".into(),
        "UPDATE s SET n = y FROM orders.order_placed e WHERE id = e.order_id".into(),
        "UPDATE s SET n = n + y FROM orders.order_placed e WHERE id = e.order_id".into(),
        // Rounded sums, keys that are not told by their bytes, no key.
        "UPDATE s SET n = n + e.amount FROM orders.order_placed e WHERE id = e.order_id".into(),
        "UPDATE s SET n = 1 FROM orders.order_placed e WHERE id = lower(e.order_id)".into(),
        "UPDATE s SET n = 1 FROM orders.order_placed e WHERE e.amount > 0".into(),
        // 1.0 and 1.00 are one key of two looks.
        "INSERT INTO by_amount SELECT e.amount, 1 FROM orders.order_placed e ON CONFLICT (amount) DO NOTHING".into(),
        // No conflict is expected: the second event is an error.
        "INSERT INTO s (id) SELECT e.order_id FROM orders.order_placed e".into(),
    ] {
        assert_eq!(merge(&rule), None, "{rule}");
    }
    let checked = "UPDATE ck SET n = 3 FROM orders.order_placed e WHERE id = e.order_id";
    assert!(merge(checked).is_some(), "a column that no constraint names may be merged");
}

fn last_lines(rules: &str) -> Vec<String> {
    analysis(rules).rules.iter().flat_map(|rule| rule.touches.clone()).collect()
}

#[test]
fn rules_that_only_add_do_not_disturb_each_other() {
    let adds = "INSERT INTO a AS t (id, n) SELECT e.customer_id, 1 FROM orders.order_placed e ON CONFLICT (id) DO UPDATE SET n = t.n + 1;
                UPDATE a SET m = m + 1 FROM orders.order_cancelled e WHERE id = e.order_id";
    assert_eq!(
        last_lines(adds),
        [
            "a: new row (id = e.customer_id): adds to the whole row",
            "a: row (id = e.customer_id): adds to exists, n",
            "a: row (id = e.order_id): reads exists, id, adds to m",
        ]
    );
    // The row's other columns come from whoever makes it.
    let kept = "INSERT INTO s AS t (id, n) SELECT e.customer_id, 1 FROM orders.order_placed e ON CONFLICT (id) DO UPDATE SET n = t.n + 1";
    assert_eq!(last_lines(kept)[1], "s: row (id = e.customer_id): reads exists, adds to n");
    assert_eq!(
        last_lines(kept)[0],
        "s: new row (id = e.customer_id): reads exists, writes the whole row"
    );
}

#[test]
fn sums_leave_room_for_every_order_of_additions() {
    let one = "UPDATE a SET n = n + 1 FROM orders.order_placed e WHERE id = e.order_id;";
    assert!(
        merge(one).unwrap().statement("B").contains("+ _vitrina_merged.a1) * 1)::int IS NOT NULL")
    );
    let two =
        format!("{one} UPDATE a SET n = n - 1 FROM orders.order_cancelled e WHERE id = e.order_id");
    assert!(merge(&two).unwrap().statement("B").contains("* 3)::int IS NOT NULL"));
}

#[test]
fn the_merged_statement_keeps_the_users_words() {
    let rule = "INSERT INTO s AS t (id, x, n) SELECT e.order_id/*,*/, concat(e.currency, 'é,') AS \"FROM\", CASE WHEN e.amount IS DISTINCT FROM 1 THEN 1 END k
                FROM orders.order_placed e LEFT JOIN a ON a.id = e.customer_id WHERE e.amount > 0 -- all
                ON CONFLICT (id) DO UPDATE SET n = t.n + EXCLUDED.n";
    let text = merge(rule).unwrap().statement("(SELECT 1)");
    for part in [
        "INSERT INTO s AS t (id, x, n) SELECT _vitrina_rows.c0, (array_agg(_vitrina_rows.c1 ORDER BY _vitrina_rows.o))[1], ",
        "FROM (SELECT (e.order_id)::text/*,*/, (concat(e.currency, 'é,'))::text, (CASE WHEN e.amount IS DISTINCT FROM 1 THEN 1 END)::int, \"e\".\"_ordinal\"\n",
        "FROM (SELECT 1) e LEFT JOIN a ON a.id = e.customer_id WHERE e.amount > 0) AS _vitrina_rows(c0, c1, c2, o) GROUP BY _vitrina_rows.c0",
        "ON CONFLICT (\"id\") DO UPDATE SET \"n\" = \"t\".\"n\" + EXCLUDED.\"n\"",
    ] {
        assert!(text.contains(part), "{part}\nis not in\n{text}");
    }
}
