//! Shapes, columns, warnings and meaning of what is accepted.

use crate::shop::{ORDER_SUMMARY, TABLES, model, refused_rule, rule, warnings};
use vitrina_sql::{RuleKind, Shape};

fn columns(text: &str) -> Option<Vec<String>> {
    rule(text).columns.map(|columns| columns.into_iter().collect())
}

#[test]
fn inserts_whose_events_make_their_rows_alone_are_inlined() {
    for select in [
        "SELECT e.order_id FROM orders.order_placed e",
        "SELECT e.order_id FROM _c, orders.order_placed e",
        "SELECT e.order_id FROM _c JOIN orders.order_placed e USING (customer_id)",
        "SELECT e.order_id FROM _c RIGHT JOIN t ON true CROSS JOIN orders.order_placed e",
        "SELECT e.order_id FROM orders.order_placed e LEFT JOIN _c c ON c.customer_id = e.customer_id WHERE e.amount > 0",
        "SELECT i ->> 'sku' FROM orders.order_placed e, jsonb_array_elements(e.items) i",
        "SELECT e.order_id, l.n FROM orders.order_placed e, LATERAL (SELECT count(*) n FROM _l WHERE order_id = e.order_id) l",
    ] {
        assert_eq!(rule(&format!("INSERT INTO t {select}")).shape, Shape::Inlined, "{select}");
    }
}

#[test]
fn all_other_inserts_run_event_by_event() {
    for select in [
        "SELECT max(e.order_id) FROM orders.order_placed e",
        "SELECT e.order_id FROM orders.order_placed e GROUP BY e.order_id",
        "SELECT DISTINCT e.order_id FROM orders.order_placed e",
        "SELECT e.order_id FROM orders.order_placed e ORDER BY 1",
        "SELECT e.order_id FROM orders.order_placed e LIMIT 1",
        "SELECT e.order_id FROM orders.order_placed e HAVING true",
        "SELECT row_number() OVER () FROM orders.order_placed e",
        "SELECT my.total(e.amount) FROM orders.order_placed e",
        "SELECT (SELECT sum(e.amount)) FROM orders.order_placed e",
        "SELECT jsonb_array_elements(e.items) FROM orders.order_placed e",
        "SELECT e.order_id FROM _c LEFT JOIN orders.order_placed e ON true",
        "SELECT e.order_id FROM orders.order_placed e RIGHT JOIN _c ON true",
        "SELECT e.order_id FROM orders.order_placed e FULL JOIN _c ON true",
        "SELECT e.order_id FROM (orders.order_placed e CROSS JOIN _c)",
        "SELECT e.order_id FROM (SELECT * FROM orders.order_placed) e",
        "SELECT e.order_id FROM orders.order_placed e, orders.order_placed f",
        "SELECT e.order_id FROM orders.order_placed e UNION SELECT 'x'",
        "(SELECT e.order_id FROM orders.order_placed e)",
        "WITH w AS (SELECT * FROM orders.order_placed) SELECT order_id FROM w",
    ] {
        assert_eq!(rule(&format!("INSERT INTO t {select}")).shape, Shape::PerEvent, "{select}");
    }
}

#[test]
fn an_update_finds_at_most_one_source_row() {
    for pinned in [
        "FROM orders.order_placed e WHERE t.id = e.order_id",
        "FROM orders.order_placed e JOIN _c c ON c.customer_id = e.customer_id WHERE t.id = e.order_id",
        "FROM orders.order_placed e JOIN _c USING (customer_id) WHERE t.id = e.order_id",
        "FROM orders.order_placed e LEFT JOIN _c c ON c.customer_id = e.customer_id WHERE t.id = e.order_id",
        "FROM _c c, orders.order_placed e WHERE t.id = e.order_id AND lower(t.x) = c.customer_id",
        "FROM _c c, orders.order_placed e WHERE (c.part, c.name) = ('x', e.currency) AND t.id = e.order_id",
        "FROM orders.order_placed e, _l l, _c c WHERE l.order_id = e.order_id AND l.line = 1 AND (c.customer_id = l.product_id)",
        "FROM orders.order_placed e, _l WHERE line = 1 AND _l.order_id = e.order_id AND id = e.order_id",
    ] {
        assert_eq!(
            rule(&format!("UPDATE t SET n = 1 {pinned}")).kind,
            RuleKind::Update,
            "{pinned}"
        );
    }
    let by_index = "CREATE UNIQUE INDEX ON _c (name); UPDATE t SET n = 1 FROM orders.order_placed e, _c c WHERE c.name = e.currency";
    rule(by_index);
}

#[test]
fn an_update_that_may_find_several_is_refused() {
    for loose in [
        "FROM orders.order_placed e, _c c WHERE t.id = e.order_id",
        "FROM orders.order_placed e, _c c WHERE c.name = e.currency",
        "FROM orders.order_placed e, _c c WHERE c.customer_id = e.customer_id OR t.n = 1",
        "FROM orders.order_placed e, _c c WHERE c.customer_id > e.customer_id",
        "FROM orders.order_placed e, _c c WHERE c.customer_id = c.name",
        "FROM orders.order_placed e, _c c WHERE c.customer_id = (SELECT max(order_id) FROM _l WHERE product_id = c.name)",
        "FROM orders.order_placed e, _l l WHERE l.order_id = e.order_id",
        "FROM orders.order_placed e, _l l, _c c WHERE l.order_id = e.order_id AND c.customer_id = l.product_id",
        "FROM orders.order_placed e, _c c LEFT JOIN _l l ON c.customer_id = e.customer_id",
        "FROM orders.order_placed e, jsonb_array_elements(e.items) i WHERE t.id = i ->> 'id'",
        "FROM orders.order_placed e, (SELECT * FROM _c) c WHERE c.customer_id = e.customer_id",
        "FROM orders.order_placed e, v WHERE v.id = e.order_id",
        "FROM orders.order_placed e, _c AS c (name, customer_id) WHERE c.customer_id = e.customer_id",
    ] {
        let findings = refused_rule(&format!("UPDATE t SET n = 1 {loose}"));
        assert!(findings.contains("several rows of"), "{loose}: {findings}");
    }
    let partial = "CREATE UNIQUE INDEX ON _c (name) WHERE part IS NULL; \
                   UPDATE t SET n = 1 FROM orders.order_placed e, _c c WHERE c.name = e.currency";
    assert!(refused_rule(partial).contains("several rows of `c`"));
    rule(
        "DELETE FROM t USING orders.order_placed e, jsonb_array_elements(e.items) i WHERE t.id = i ->> 'id'",
    );
}

#[test]
fn columns_are_never_missed() {
    let some =
        |names: &[&str]| Some(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
    assert_eq!(
        columns("INSERT INTO t SELECT E.Order_Id, count(*) FROM orders.order_placed e"),
        some(&["order_id"])
    );
    assert_eq!(
        columns("INSERT INTO t SELECT order_id FROM orders.order_placed WHERE \"amount\" > 0"),
        some(&["amount", "order_id"])
    );
    assert_eq!(
        columns(
            "UPDATE t SET n = 1 FROM orders.order_placed e JOIN _c USING (customer_id) WHERE t.id = 'x'"
        ),
        some(&["customer_id"])
    );
    for all in [
        "SELECT e.* FROM orders.order_placed e",
        "SELECT * FROM orders.order_placed",
        "SELECT to_jsonb(e) FROM orders.order_placed e",
        "SELECT to_jsonb(order_placed) FROM orders.order_placed",
        "SELECT (e).order_id FROM orders.order_placed e",
        "SELECT e.order_id FROM orders.order_placed e NATURAL JOIN _c",
        "SELECT to_jsonb(j) FROM (orders.order_placed e CROSS JOIN _c) AS j",
        "SELECT row(e.*)::text FROM orders.order_placed e",
        "SELECT s.order_id FROM (SELECT * FROM orders.order_placed) s",
    ] {
        assert_eq!(columns(&format!("INSERT INTO t {all}")), None, "{all}");
    }
}

#[test]
fn rules_that_wait_for_another_topic_are_warned_of() {
    let with = |text: &str| warnings(&format!("{TABLES}{text}"));
    let placed =
        "INSERT INTO t SELECT e.order_id FROM orders.order_placed e ON CONFLICT DO NOTHING;";
    let registered = "INSERT INTO _c SELECT e.user_id, e.email FROM users.user_registered e ON CONFLICT DO NOTHING;";
    let update = "UPDATE t SET x = e.email FROM users.user_registered e WHERE t.x = e.user_id;";
    assert_eq!(with(placed), [""; 0]);
    assert_eq!(with(&format!("{placed}{update}")).len(), 1);
    assert_eq!(
        with(&format!("{placed}DELETE FROM t USING users.user_registered e WHERE t.x = e.user_id"))
            .len(),
        1
    );
    assert_eq!(
        with(&format!(
            "{placed}UPDATE t SET n = 1 FROM orders.order_shipped e WHERE t.id = e.order_id"
        )),
        [""; 0]
    );
    let joined = |join: &str| {
        format!(
            "{registered}INSERT INTO t SELECT e.order_id, 1, c.name FROM orders.order_placed e {join} _c c ON c.customer_id = e.customer_id;"
        )
    };
    assert!(with(&joined("JOIN"))[0].contains("`_c`"));
    // The insert looks up what the update brings, so whichever comes first, the row is complete.
    assert_eq!(with(&format!("{}{update}", joined("LEFT JOIN"))), [""; 0]);
}

#[test]
fn half_of_a_pair_is_warned_of_with_the_rule_to_write() {
    let with = |text: &str| warnings(&format!("{TABLES}{text}"));
    let helper = "INSERT INTO _c (customer_id, name) SELECT u.user_id, u.email FROM users.user_registered u ON CONFLICT DO NOTHING;";
    let lookup = "INSERT INTO t (id, n, x, part) SELECT e.order_id, 1, c.name, e.customer_id FROM orders.order_placed e LEFT JOIN _c c ON c.customer_id = e.customer_id;";
    let tables = |rules: &str| {
        warnings(&format!(
            "{}{rules}",
            TABLES.replace("x text, UNIQUE", "x text, part text, UNIQUE")
        ))
    };
    let told = tables(&format!("{helper}{lookup}"));
    assert_eq!(told.len(), 1, "{told:#?}");
    let rule = "UPDATE t SET x = c.name FROM users.user_registered u JOIN _c c ON c.customer_id = u.user_id WHERE t.part = u.user_id";
    assert!(told[0].ends_with(&format!("add the other half: {rule}")), "{told:#?}");
    assert_eq!(tables(&format!("{helper}{lookup}{rule}")), [""; 0], "with it, all is well");
    // In whatever form it is read.
    for read in [
        "INSERT INTO t SELECT e.order_id, 1, (SELECT name FROM _c c WHERE c.customer_id = e.customer_id) FROM orders.order_placed e",
        "INSERT INTO t SELECT e.order_id FROM orders.order_placed e WHERE EXISTS (SELECT 1 FROM _c c WHERE c.customer_id = e.customer_id)",
        "INSERT INTO t SELECT e.order_id FROM orders.order_placed e WHERE e.customer_id IN (SELECT customer_id FROM _c)",
        "CREATE VIEW w AS SELECT * FROM _c; INSERT INTO t SELECT e.order_id, 1, w.name FROM orders.order_placed e LEFT JOIN w ON w.customer_id = e.customer_id",
        "INSERT INTO t SELECT e.order_id FROM orders.order_placed e ON CONFLICT (id) DO UPDATE SET x = (SELECT max(name) FROM _c)",
    ] {
        let told = with(&format!("{helper}{read};"));
        assert_eq!(told.len(), 1, "{read}: {told:#?}");
        assert!(
            told[0].contains("looks `_c` up, which `users.user_registered` changes"),
            "{told:#?}"
        );
        let half = "UPDATE t SET x = u.email FROM users.user_registered u WHERE t.x = u.user_id;";
        assert_eq!(with(&format!("{helper}{read};{half}")), [""; 0], "{read}");
    }
    // A part is not the whole, and what is not looked at does not count.
    let two = lookup.replace("1, c.name", "length(c.part), c.name");
    let told = tables(&format!(
        "{}{two}{rule}",
        helper.replace("name)", "name, part)").replace("u.email", "u.email, u.email")
    ));
    assert!(told.len() == 1 && told[0].contains("get only a part of it"), "{told:#?}");
    let bare =
        "INSERT INTO _l (order_id, line) SELECT e.product_id, 1 FROM catalog.product_listed e;";
    let other = "INSERT INTO t (id, x) SELECT e.order_id, l.product_id FROM orders.order_placed e LEFT JOIN _l l ON l.order_id = e.order_id AND l.line = 1;";
    assert_eq!(with(&format!("{bare}{other}")), [""; 0]);
    assert_eq!(
        with(&format!(
            "{}{other}",
            bare.replace("catalog.product_listed", "orders.order_shipped")
                .replace("e.product_id", "e.order_id")
        )),
        [""; 0]
    );
}

#[test]
fn an_order_that_is_left_open_is_warned_of() {
    let with = |query: &str| {
        warnings(&format!("{TABLES}INSERT INTO t (id, x) {query};"))
            .into_iter()
            .filter(|told| !told.contains("looks `"))
            .collect::<Vec<_>>()
    };
    let from = "FROM orders.order_placed e, jsonb_array_elements(e.items) WITH ORDINALITY i (v, n)";
    for open in [
        format!("SELECT e.order_id, string_agg(i.v ->> 'a', ',') {from} GROUP BY 1"),
        format!("SELECT e.order_id, (array_agg(i.v ->> 'a'))[1] {from} GROUP BY 1"),
        format!("SELECT e.order_id, jsonb_agg(i.v)::text {from} GROUP BY 1"),
        format!("SELECT e.order_id, i.v ->> 'a' {from} LIMIT 1"),
        format!("SELECT e.order_id, i.v ->> 'a' {from} ORDER BY i.v FETCH FIRST 1 ROW ONLY"),
        format!("SELECT DISTINCT ON (e.order_id) e.order_id, i.v ->> 'a' {from}"),
        "SELECT e.order_id, (SELECT c.name FROM _c c WHERE c.part = e.currency LIMIT 1) FROM orders.order_placed e".into(),
        "SELECT e.order_id, (SELECT c.name FROM _c c WHERE c.part = e.currency ORDER BY c.part LIMIT 1) FROM orders.order_placed e".into(),
    ] {
        assert_eq!(with(&open).len(), 1, "{open}: {:#?}", with(&open));
    }
    for told in [
        format!("SELECT e.order_id, string_agg(i.v ->> 'a', ',' ORDER BY i.n) {from} GROUP BY 1"),
        format!("SELECT e.order_id, i.v ->> 'a' {from} ORDER BY i.n LIMIT 1"),
        format!("SELECT e.order_id, i.v ->> 'a' {from} ORDER BY 1, 2 LIMIT 1"),
        format!("SELECT DISTINCT ON (e.order_id) e.order_id, i.v ->> 'a' {from} ORDER BY e.order_id, i.n DESC"),
        "SELECT e.order_id, (SELECT c.name FROM _c c WHERE c.part = e.currency ORDER BY c.name LIMIT 1) FROM orders.order_placed e".into(),
        "SELECT e.order_id, (SELECT c.name FROM _c c WHERE c.customer_id = e.customer_id LIMIT 1) FROM orders.order_placed e".into(),
        "SELECT e.order_id, (SELECT max(c.name) FROM _c c LIMIT 1) FROM orders.order_placed e".into(),
        "SELECT e.order_id, e.currency FROM orders.order_placed e LIMIT 1".into(),
    ] {
        assert_eq!(with(&told), [""; 0], "{told}");
    }
    let view = "CREATE VIEW w AS SELECT string_agg(name, ',') AS names FROM _c;";
    let read =
        "INSERT INTO t SELECT e.order_id, 1, (SELECT names FROM w) FROM orders.order_placed e;";
    assert_eq!(
        warnings(&format!("{TABLES}{view}")),
        [""; 0],
        "who only looks sees one order or another"
    );
    assert_eq!(warnings(&format!("{TABLES}{view}{read}")).len(), 1);
}

#[test]
fn unnesting_without_grouping_is_warned_of() {
    let insert = |rest: &str, conflict: &str| {
        warnings(&format!(
            "{TABLES}INSERT INTO t SELECT i ->> 'id', 1, 'x' FROM orders.order_placed e, {rest} ON CONFLICT (id) {conflict}"
        ))
    };
    let update = "DO UPDATE SET n = 1";
    assert_eq!(insert("jsonb_array_elements(e.items) i", update).len(), 1);
    assert_eq!(insert("LATERAL jsonb_array_elements(e.items) i", update).len(), 1);
    assert_eq!(insert("jsonb_array_elements(e.items) i GROUP BY 1", update), [""; 0]);
    assert_eq!(insert("jsonb_array_elements(e.items) WITH ORDINALITY i", update), [""; 0]);
    assert_eq!(insert("jsonb_array_elements(e.items) i", "DO NOTHING"), [""; 0]);
    assert_eq!(
        insert("LATERAL (SELECT * FROM jsonb_array_elements(e.items) j) i", update).len(),
        1
    );
}

#[test]
fn meaning_is_what_rows_depend_on() {
    let meaning = |text: &str| -> Vec<String> {
        model(text).meaning().into_iter().map(|part| part.text).collect()
    };
    let original = meaning(ORDER_SUMMARY);
    let formatted = ORDER_SUMMARY
        .replace('\n', " \n /* ö; */ ")
        .replace("SELECT", "select")
        .replace("e.items", "e . items");
    assert_eq!(meaning(&formatted), original);
    let around = "CREATE INDEX i ON order_summary (status); COMMENT ON TABLE order_summary IS 'Orders'; CREATE VIEW open AS SELECT 1;";
    assert_eq!(meaning(&format!("{ORDER_SUMMARY}{around}")), original);
    assert_ne!(meaning(&ORDER_SUMMARY.replace("'SHIPPED'", "'Shipped'")), original);
    assert_ne!(meaning(&ORDER_SUMMARY.replace("int NOT", "bigint NOT")), original);
    assert_ne!(
        meaning(&format!("{ORDER_SUMMARY}CREATE UNIQUE INDEX ON order_summary (placed_at)")),
        original
    );
    // A view that a rule reads, directly or through another view, decides about rows.
    let read = |inner: &str| {
        format!(
            "{TABLES}CREATE VIEW a AS SELECT {inner} AS n FROM t; CREATE VIEW b AS SELECT n FROM a;
            INSERT INTO t SELECT e.order_id, (SELECT max(n) FROM b) FROM orders.order_placed e;"
        )
    };
    assert_ne!(meaning(&read("n")), meaning(&read("n + 1")));
}
