//! What rules touch, as `check` says it: one case for each line of `docs/contract.md` §5 to §7.

use crate::shop::{ORDER_SUMMARY, Shop, model};
use vitrina_sql::Relations;
use vitrina_sql::waves::{KeyValue, Runs, StoredType, Types, Waves};

/// The types of the shop's events; tables are as declared.
pub(crate) struct Declared;

impl Types for Declared {
    fn event(&self, context: &str, event: &str, column: &str) -> Option<String> {
        let known = Shop.columns(context, event)?.contains(&column.to_owned());
        let ty = match column {
            "amount" | "price" => "numeric(12,2)",
            "_offset" => "int8",
            "_partition" => "int4",
            "_time" | "placed_at" | "shipped_at" => "timestamptz",
            "items" | "_headers" => "jsonb",
            _ => "text",
        };
        known.then(|| ty.to_owned())
    }

    fn table(&self, _: &str, _: &str) -> Option<StoredType> {
        None
    }
}

/// As declared, but no collation tells all texts apart.
struct CaseBlind;

impl Types for CaseBlind {
    fn event(&self, context: &str, event: &str, column: &str) -> Option<String> {
        Declared.event(context, event, column)
    }

    fn table(&self, _: &str, _: &str) -> Option<StoredType> {
        Some(StoredType { sql: "text".into(), deterministic: false })
    }
}

const TABLES: &str = "
CREATE TABLE o (id text PRIMARY KEY, cust text, n int NOT NULL DEFAULT 0, total numeric(12,2), at timestamptz, f float8, big int8, st text);
CREATE TABLE c (id text PRIMARY KEY, name text NOT NULL);
CREATE TABLE l (id text, line int, sku text, PRIMARY KEY (id, line));
CREATE TABLE k (id text PRIMARY KEY, a int NOT NULL, b int, g int GENERATED ALWAYS AS (a + 1) STORED, u text, CHECK (a < b));
CREATE UNIQUE INDEX ON k (u) WHERE b > 0;
CREATE VIEW named AS SELECT o.id, c.name FROM o JOIN c ON c.id = o.cust;
";

pub(crate) fn waves(rules: &str) -> Waves {
    model(&format!("{TABLES}{rules}")).waves(&Declared)
}

fn touches(rules: &str) -> Vec<String> {
    waves(rules).rules.iter().flat_map(|rule| rule.touches.clone()).collect()
}

/// What an UPDATE of `o` with these conditions touches of it.
fn found_by(conditions: &str) -> String {
    let touched =
        touches(&format!("UPDATE o SET st = 'x' FROM orders.order_placed e WHERE {conditions}"));
    let rows = touched[0].strip_prefix("o: ").unwrap();
    let end =
        if rows.starts_with("all rows") { "all rows".len() } else { rows.find("): ").unwrap() + 1 };
    rows[..end].to_owned()
}

/// Why the last rule runs event by event.
fn because(rules: &str) -> String {
    match &waves(rules).rules.last().unwrap().runs {
        Runs::EventByEvent(obstacle) => obstacle.because.clone(),
        Runs::Waves { merge } => format!("waves, merge {}", merge.is_some()),
    }
}

#[test]
fn rows_are_told_by_equalities_with_the_event_alone() {
    for (conditions, rows) in [
        ("o.id = e.order_id", "row (id = e.order_id)"),
        ("e.order_id = id AND amount > 0", "row (id = e.order_id)"),
        (
            "(o.id, cust) = (e.order_id, e.customer_id)",
            "row (id = e.order_id, cust = e.customer_id)",
        ),
        (
            "(o.cust = (e.customer_id)) AND (o.n > 0 OR e.amount > 0)",
            "rows (cust = (e.customer_id))",
        ),
        ("o.cust = lower(e.customer_id)", "rows (cust = lower(e.customer_id))"),
        ("o.cust = 'x' AND o.n = 3", "rows (cust = 'x', n = 3)"),
        ("o.total = e.amount", "rows (total = e.amount)"),
        ("o.big = e.amount", "rows (big = e.amount)"),
        ("o.f = e.amount", "rows (f = e.amount)"),
        ("o.id = e.order_id OR o.cust = e.customer_id", "all rows"),
        ("NOT o.id = e.order_id", "all rows"),
        ("o.id >= e.order_id", "all rows"),
        ("lower(o.id) = e.order_id", "all rows"),
        ("o.id = o.cust || e.order_id", "all rows"),
        ("o.id IS NOT DISTINCT FROM e.order_id", "all rows"),
        ("o.id = (SELECT max(name) FROM c WHERE c.id = e.customer_id)", "all rows"),
        ("o.id = e.order_id COLLATE \"de\"", "all rows"),
        ("o.id = upper(e.order_id COLLATE \"de\")", "all rows"),
        // A float would convert the column: two numbers may then be one.
        ("o.big = e.amount::float8", "all rows"),
        ("o.big = my.parsed(e.order_id)", "all rows"),
        ("o.st = e.currency", "all rows"),
        ("o.st = e.currency AND o.cust = e.customer_id", "rows (cust = e.customer_id)"),
        ("true", "all rows"),
    ] {
        assert_eq!(found_by(conditions), rows, "{conditions}");
    }
}

#[test]
fn equality_through_another_table_is_no_key_but_a_lookup_is_one() {
    let rule = "UPDATE o SET st = c.name FROM orders.order_placed e JOIN c ON c.id = e.customer_id WHERE o.cust = c.id";
    let touched = touches(rule);
    assert!(touched[0].starts_with("o: all rows (no column of `o`"), "{touched:?}");
    assert_eq!(touched[1], "c: row (id = e.customer_id): reads the whole row");
    for left in [
        "LEFT JOIN c ON c.id = e.customer_id",
        "LEFT JOIN c ON c.id = e.customer_id AND c.name > 'x'",
        ", LATERAL (SELECT name FROM c WHERE c.id = e.customer_id) c",
    ] {
        let rule =
            format!("INSERT INTO l SELECT e.order_id, 1, c.name FROM orders.order_placed e {left}");
        assert_eq!(touches(&rule)[2], "c: row (id = e.customer_id): reads the whole row", "{left}");
    }
    // What the ON of a LEFT JOIN says holds for the joined row only.
    let rule = "INSERT INTO l SELECT e.order_id, 1, c.name FROM orders.order_placed e CROSS JOIN c
                LEFT JOIN o ON o.id = e.order_id AND c.id = e.customer_id";
    assert!(touches(rule)[2].starts_with("c: all rows"));
    assert_eq!(touches(rule)[3], "o: row (id = e.order_id): reads exists, id");
    let using = "INSERT INTO o (id, st) SELECT e.order_id, 'x' FROM orders.order_placed e LEFT JOIN k ON true JOIN c ON true JOIN _h USING (customer_id)";
    let touched = touches(&format!("CREATE TABLE _h (customer_id text PRIMARY KEY); {using}"));
    assert_eq!(
        touched.last().unwrap(),
        "_h: row (customer_id = \"e\".\"customer_id\"): reads the whole row"
    );
}

#[test]
fn sub_selects_read_tables_by_what_they_say_of_the_event() {
    let update = |value: &str| {
        touches(&format!(
            "UPDATE o SET st = {value} FROM orders.order_placed e WHERE o.id = e.order_id"
        ))
    };
    assert_eq!(
        update("(SELECT name FROM c WHERE c.id = e.customer_id)")[1],
        "c: row (id = e.customer_id): reads the whole row"
    );
    assert_eq!(
        update("(SELECT name FROM c WHERE id = e.customer_id AND name = 'x')")[1],
        "c: row (id = e.customer_id, name = 'x'): reads the whole row"
    );
    assert!(update("(SELECT max(name) FROM c WHERE c.id = o.cust)")[1].starts_with("c: all rows"));
    assert!(update("(SELECT max(c.name) FROM c)")[1].ends_with("reads exists, name"));
    // The inner `e` is another table.
    assert!(
        update("(SELECT max(c.name) FROM c, k AS e WHERE c.id = e.u)")[1]
            .starts_with("c: all rows")
    );
    // So may be the `e` around it.
    let hidden =
        "(SELECT max(d.name) FROM l AS e, LATERAL (SELECT c.name FROM c WHERE c.id = e.sku) d)";
    assert!(update(hidden)[2].starts_with("c: all rows"), "{:?}", update(hidden));
    // A name alone could be a column of anything around.
    assert!(
        update("(SELECT max(c.name) FROM c WHERE c.id = customer_id)")[1]
            .starts_with("c: all rows")
    );
    let counted = update("(SELECT count(*) FROM l WHERE l.id = e.order_id)");
    assert_eq!(counted[1], "l: rows (id = e.order_id): reads exists, id");
}

#[test]
fn an_insert_is_a_new_row_and_a_row_for_each_unique_index() {
    let touched = touches(
        "INSERT INTO k (id, a, b, u) SELECT e.order_id, 1, 2, e.customer_id FROM orders.order_placed e ON CONFLICT DO NOTHING;
         DELETE FROM k USING orders.order_cancelled e WHERE k.id = e.order_id",
    );
    assert_eq!(
        touched[0],
        "k: new row (id = e.order_id, u = e.customer_id): reads exists, writes the whole row"
    );
    assert_eq!(touched[1], "k: row (id = e.order_id): reads exists");
    assert_eq!(touched[2], "k: rows (u = e.customer_id): reads exists");
    assert_eq!(touched[3], "k: row (id = e.order_id): reads exists, id, writes exists");
    let update = "INSERT INTO o AS t (id, n, cust) SELECT e.order_id, 1, e.customer_id FROM orders.order_placed e
                  ON CONFLICT (id) DO UPDATE SET st = 'x' WHERE t.total > 0 AND EXCLUDED.n > 0";
    assert_eq!(touches(update)[1], "o: row (id = e.order_id): reads exists, total, writes st");
    // A key that depends on a table, and one that the table makes, are not told.
    let looked_up = "INSERT INTO o (id) SELECT c.name FROM orders.order_placed e JOIN c ON c.id = e.customer_id";
    assert!(
        touches(looked_up)[1]
            .starts_with("o: all rows (the event alone does not say which row of `o`")
    );
    let unnested = "INSERT INTO l SELECT e.order_id, i.n, e.currency FROM orders.order_placed e,
                    jsonb_array_elements(e.items) WITH ORDINALITY i(item, n) ON CONFLICT (id, line) DO UPDATE SET sku = 'x'";
    assert_eq!(touches(unnested)[1], "l: rows (id = e.order_id): reads exists, writes sku");
    let equal_nulls =
        "CREATE TABLE nn (id text PRIMARY KEY, u text, UNIQUE NULLS NOT DISTINCT (u));
                       INSERT INTO nn SELECT e.order_id, e.currency FROM orders.order_placed e";
    assert!(touches(equal_nulls).iter().any(|line| line.starts_with("nn: all rows")));
}

#[test]
fn values_that_are_not_named_are_defaults_or_null() {
    let rules = "INSERT INTO o (id) SELECT e.order_id FROM orders.order_placed e;
                 UPDATE o SET st = 'x' FROM orders.order_shipped e WHERE o.cust = e.tracking_number AND o.n = 4";
    let waves = waves(rules);
    let row =
        "o: new row (id = e.order_id, cust = NULL, n = 0): reads exists, writes the whole row";
    assert_eq!(waves.rules[0].touches[0], row);
    let keys = &waves.relations[0].keys;
    assert!(
        keys.contains(&KeyValue::Null)
            && keys.contains(&KeyValue::Constant(0i32.to_be_bytes().to_vec())),
        "{keys:?}"
    );
}

#[test]
fn columns_that_a_rule_moves_tell_no_rows() {
    let by_customer = "UPDATE o SET st = 'x' FROM users.user_registered e WHERE o.cust = e.user_id";
    assert_eq!(because(by_customer), "waves, merge true");
    let moves = "UPDATE o SET cust = 'x' FROM orders.order_shipped e WHERE o.id = e.order_id;\n";
    let touched = touches(&format!("{moves}{by_customer}"));
    assert!(
        touched[1].starts_with(
            "o: all rows (rows of `o` are told apart by `cust`, which the rule in line 8 changes)"
        ),
        "{touched:?}"
    );
    let on_conflict = "INSERT INTO o (id) SELECT e.order_id FROM orders.order_placed e ON CONFLICT (id) DO UPDATE SET cust = 'x';\n";
    assert!(touches(&format!("{on_conflict}{by_customer}"))[2].starts_with("o: all rows"));
    // A generated column moves with those that it is made of.
    let generated = "UPDATE k SET a = 1 FROM orders.order_shipped e WHERE k.id = e.order_id;
                     UPDATE k SET b = 2 FROM orders.order_placed e WHERE k.g = 3";
    assert!(touches(generated)[1].starts_with("k: all rows"));
}

#[test]
fn constraints_and_generated_columns_are_read_and_written_along() {
    let update = |set: &str| {
        touches(&format!("UPDATE k SET {set} FROM orders.order_shipped e WHERE k.id = e.order_id"))
            [0]
        .clone()
    };
    assert_eq!(update("a = 1"), "k: row (id = e.order_id): reads exists, id, a, b, writes a, g");
    assert!(update("u = 'x'").starts_with("k: all rows (it sets `u`, which a unique index holds"));
    // The predicate of the unique index names it.
    assert!(update("b = 1").starts_with("k: all rows (it sets `b`"));
    let upsert = "INSERT INTO k (id, a) SELECT e.order_id, 1 FROM orders.order_placed e ON CONFLICT (id) DO UPDATE SET a = 2";
    assert_eq!(touches(upsert)[1], "k: row (id = e.order_id): reads exists, a, b, writes a, g");
}

#[test]
fn views_and_whole_rows_read_all_that_is_there() {
    let touched = touches(
        "UPDATE k SET a = (SELECT count(*) FROM named) FROM orders.order_shipped e WHERE k.id = e.order_id",
    );
    assert_eq!(
        touched[1],
        "c: all rows (the view `named` reads all rows of `c`): reads the whole row"
    );
    assert_eq!(
        touched[2],
        "o: all rows (the view `named` reads all rows of `o`): reads the whole row"
    );
    for whole in ["to_jsonb(c)", "(c).name", "(SELECT c FROM l)", "row_to_json(c.*)"] {
        let rule = format!(
            "INSERT INTO o (id, st) SELECT e.order_id, ({whole})::text FROM orders.order_placed e JOIN c ON c.id = e.customer_id"
        );
        let touched = touches(&rule);
        assert!(
            touched.contains(&"c: row (id = e.customer_id): reads the whole row".to_owned()),
            "{whole}: {touched:?}"
        );
    }
}

#[test]
fn keys_are_compared_as_postgres_compares_them() {
    let key = |column: &str, value: &str| {
        let rule =
            format!("UPDATE o SET st = 'x' FROM orders.order_placed e WHERE o.{column} = {value}");
        waves(&rule).relations[0].keys.first().cloned()
    };
    assert_eq!(key("id", "e.order_id"), Some(KeyValue::Field("order_id".into())));
    assert_eq!(key("at", "e.placed_at"), Some(KeyValue::Field("placed_at".into())));
    assert_eq!(key("big", "e._offset"), Some(KeyValue::Field("_offset".into())));
    let asked = |column: &str, value: &str| match key(column, value) {
        Some(KeyValue::Asked { sql, .. }) => sql,
        other => panic!("{other:?}"),
    };
    let over = "FROM (SELECT _vitrina_batch.*) AS \"e\")";
    assert_eq!(asked("big", "e._partition"), format!("(SELECT (e._partition)::int8 {over}"));
    assert_eq!(
        asked("id", "'é' /* ö */||E.ORDER_ID"),
        format!("(SELECT ('é' /* ö */||E.ORDER_ID)::text {over}")
    );
    // The parser prints another operator than the user wrote, so this is not asked at all.
    assert_eq!(key("id", "(@ -5) || e.order_id"), None);
    assert_eq!(
        asked("total", "e.amount"),
        format!("(SELECT hash_numeric_extended((e.amount)::numeric(12,2), 0) {over}")
    );
    assert_eq!(
        asked("f", "e.amount"),
        format!("(SELECT hashfloat8extended((e.amount)::float8, 0) {over}")
    );
    let asks =
        waves("UPDATE o SET st = 'x' FROM orders.order_placed e WHERE o.id = lower(e.order_id)");
    assert_eq!(
        asks.relations[0].asked("B").unwrap(),
        format!(
            "SELECT _vitrina_batch.\"_ordinal\", (SELECT (lower(e.order_id))::text {over} FROM B AS _vitrina_batch"
        )
    );
    assert_eq!(asks.relations[0].asked_columns(), ["order_id".to_owned()].into());
    let blind = model(&format!(
        "{TABLES}UPDATE o SET st = 'x' FROM orders.order_placed e WHERE o.id = e.order_id"
    ))
    .waves(&CaseBlind);
    assert!(
        blind.rules[0].touches[0].starts_with("o: all rows") && blind.relations[0].keys.is_empty()
    );
}

#[test]
fn an_outer_joined_event_gives_its_fields_and_nothing_made_of_them() {
    let insert = |value: &str| {
        let rule = format!(
            "INSERT INTO o (id) SELECT {value} FROM c LEFT JOIN orders.order_placed e ON true"
        );
        touches(&rule)[1].clone()
    };
    assert_eq!(insert("e.order_id"), "o: row (id = e.order_id): reads exists");
    assert!(insert("coalesce(e.order_id, 'none')").starts_with("o: all rows"));
    let sets = "INSERT INTO o (id) SELECT coalesce(e.order_id, 'all') FROM orders.order_placed e GROUP BY ROLLUP (e.order_id)";
    assert!(touches(sets)[1].starts_with("o: all rows"));
    let grouped = "INSERT INTO o (id) SELECT upper(e.order_id) FROM orders.order_placed e GROUP BY e.order_id";
    assert_eq!(touches(grouped)[1], "o: row (id = upper(e.order_id)): reads exists");
    assert!(
        touches("INSERT INTO o (id) SELECT max(e.order_id) FROM orders.order_placed e")[1]
            .starts_with("o: all rows")
    );
}

#[test]
fn the_reason_for_running_event_by_event_is_told() {
    for (rules, reason) in [
        (
            "UPDATE o SET st = o.st || 'x' FROM orders.order_shipped e WHERE o.st > e.order_id",
            "no column of `o` is compared",
        ),
        (
            "INSERT INTO o (id, n) SELECT 'all', 1 FROM orders.order_placed e ON CONFLICT (id) DO UPDATE SET n = o.n * 2",
            "every event touches the same row of `o`",
        ),
        (
            "UPDATE o SET n = 2 * n FROM orders.order_placed e WHERE o.id = e.order_id;
          UPDATE o SET st = n FROM orders.order_placed e WHERE o.cust = e.customer_id",
            "find rows of `o` by different columns",
        ),
        (
            "UPDATE o SET st = o.st || 'x' FROM orders.order_shipped e WHERE o.st > e.order_id;
          UPDATE c SET name = 'x' FROM orders.order_shipped e WHERE c.id = e.order_id",
            "its events also run the rule in line 8: no column of `o`",
        ),
    ] {
        assert!(because(rules).contains(reason), "{}", because(rules));
    }
    assert_eq!(
        because("UPDATE o SET n = o.n * 2 FROM orders.order_placed e WHERE o.id = e.order_id"),
        "waves, merge false"
    );
}

#[test]
fn the_shops_model_forms_waves() {
    let waves = model(ORDER_SUMMARY).waves(&Declared);
    assert!(waves.rules.iter().all(|rule| matches!(rule.runs, Runs::Waves { .. })));
    assert_eq!(
        waves.rules[1].touches,
        [
            "order_summary: row (order_id = e.order_id): reads exists, order_id, writes status, shipped_at"
        ]
    );
    assert_eq!(
        waves.rules[3].touches,
        [
            "order_summary: rows (customer_id = e.user_id): reads exists, customer_id, writes customer_name"
        ]
    );
    let names: Vec<_> = waves
        .relations
        .iter()
        .map(|keys| format!("{}.{} {:?}", keys.context, keys.event, keys.rules))
        .collect();
    assert_eq!(
        names,
        ["orders.order_placed [0]", "orders.order_shipped [1]", "users.user_registered [2, 3]"]
    );
}

/// The indexes that rules look for rows by, of those on `o` and `c`.
fn looked_by(rules: &str) -> Vec<bool> {
    let indexes =
        "CREATE INDEX ON o (cust, at); CREATE INDEX ON o (at); CREATE INDEX ON o (lower(st));
                   CREATE INDEX ON c (name); CREATE UNIQUE INDEX ON c (name);";
    let model = model(&format!("{TABLES}{indexes}{rules}"));
    let waves = model.waves(&Declared);
    let own = model.indexes.iter().filter(|index| index.table != "k");
    own.map(|index| waves.look_by(&model, index)).collect()
}

#[test]
fn an_index_is_looked_by_where_no_unique_key_finds_the_rows() {
    let by_key = "UPDATE o SET st = 'S' FROM orders.order_shipped e WHERE o.id = e.order_id;
                  INSERT INTO o (id) SELECT e.order_id FROM orders.order_placed e ON CONFLICT (id) DO NOTHING;";
    assert_eq!(looked_by(by_key), [false, false, false, false, true]);
    let fan_out = "UPDATE o SET st = 'S' FROM users.user_registered e WHERE o.cust = e.user_id;";
    assert_eq!(looked_by(fan_out), [true, false, true, false, true]);
    // Whatever cannot be told is looked for by every index.
    let by_range = "UPDATE o SET st = 'S' FROM orders.order_shipped e WHERE o.at < e.shipped_at;";
    assert_eq!(looked_by(by_range), [true, true, true, false, true]);
    let elsewhere = "UPDATE o SET st = c.name FROM orders.order_shipped e JOIN c ON c.id = e.order_id WHERE o.cust = c.id;";
    assert_eq!(looked_by(elsewhere), [true, true, true, false, true]);
}
