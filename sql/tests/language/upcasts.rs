//! Upcasts: a select list over the version before, and nothing else.

use vitrina_sql::{Upcast, UpcastItem};

fn columns() -> Vec<String> {
    "total_amount email items orderid _time".split(' ').map(str::to_owned).collect()
}

fn items(text: &str) -> Vec<UpcastItem> {
    let (upcast, findings) = Upcast::parse("v2.sql", text, "v1", &columns());
    upcast.unwrap_or_else(|| panic!("{text}: {findings:#?}")).items
}

#[test]
fn items_keep_the_users_text() {
    let items = items(
        "-- v2\nSELECT 'U,SD' AS currency, -- the only one\n  total_amount amount, email, V1.orderId,\n  \
         (email IS DISTINCT FROM /* ö */ 'é') AS \"Known\", CASE WHEN _time IS NULL THEN 0 ELSE 1 END n, \
         (SELECT jsonb_agg(i || '{}') FROM jsonb_array_elements(items) i) AS items FROM v1;\n",
    );
    let read: Vec<_> =
        items.iter().map(|item| (item.name.as_str(), item.expr.as_str(), item.at.line)).collect();
    assert_eq!(
        read,
        [
            ("currency", "'U,SD'", 2),
            ("amount", "total_amount", 3),
            ("email", "email", 3),
            ("orderid", "V1.orderId", 3),
            ("Known", "(email IS DISTINCT FROM /* ö */ 'é')", 4),
            ("n", "CASE WHEN _time IS NULL THEN 0 ELSE 1 END", 4),
            ("items", "(SELECT jsonb_agg(i || '{}') FROM jsonb_array_elements(items) i)", 4),
        ]
    );
    assert_eq!(items[3].columns, ["orderid".to_owned()].into());
    assert_eq!(items[0].columns, [].into());
    assert_eq!(crate::upcasts::items("SELECT to_jsonb(v1) AS x FROM v1")[0].columns.len(), 5);
    assert_eq!(
        crate::upcasts::items("SELECT email IS DISTINCT FROM 'x' AS x FROM v1")[0].columns.len(),
        1
    );
    assert!(crate::upcasts::items("SELECT FROM v1").is_empty());
    assert_eq!(
        crate::upcasts::items("SELECT coalesce(_time, 'today') AS x FROM v1")[0].literals[0].span,
        16..23
    );
}

#[test]
fn anything_else_is_refused() {
    for (text, named) in [
        ("SELECT ? AS total FROM v1", "here stands a question mark"),
        ("SELECT email, ? AS total FROM v1", "here stands a question mark"),
        ("", "holds 0 statements"),
        ("SELECT 1 AS a FROM v1; SELECT 2 AS b FROM v1", "holds 2 statements"),
        ("SELECT email FROM v2", "nothing else"),
        ("SELECT email FROM v1 x", "nothing else"),
        ("SELECT email FROM v1, v1", "nothing else"),
        ("SELECT email FROM v1 WHERE true", "nothing else"),
        ("SELECT email FROM v1 WHERE email IS DISTINCT FROM v1", "nothing else"),
        ("SELECT DISTINCT email FROM v1", "nothing else"),
        ("SELECT ALL email FROM v1", "nothing else"),
        ("SELECT email FROM v1 LIMIT 1", "nothing else"),
        ("SELECT email FROM v1 UNION SELECT email FROM v1", "nothing else"),
        ("WITH w AS (SELECT 1) SELECT email FROM v1", "nothing else"),
        ("INSERT INTO a SELECT email FROM v1", "nothing else"),
        ("SELECT * FROM v1", "carry over by themselves"),
        ("SELECT v1.* FROM v1", "carry over by themselves"),
        ("SELECT email || 'x' FROM v1", "has no name"),
        ("SELECT email, total_amount AS email FROM v1", "written twice"),
        ("SELECT emial AS x FROM v1", "did you mean `email`?"),
        ("SELECT v1.emial AS x FROM v1", "did you mean `email`?"),
        ("SELECT now() AS x FROM v1", "_time"),
        ("SELECT CURRENT_DATE AS x FROM v1", "clock"),
        ("SELECT max(email) AS x FROM v1", "one value for each row"),
        ("SELECT jsonb_array_elements(items) AS x FROM v1", "one value for each row"),
        ("SELECT (SELECT name FROM _customer) AS x FROM v1", "reads no relation"),
        ("SELECT (SELECT email FROM orders.order_placed) AS x FROM v1", "reads no relation"),
        ("SELECT $1 AS x FROM v1", "parameter"),
        ("SELECT email AS FROM v1", "v"),
    ] {
        let (upcast, findings) = Upcast::parse("v2.sql", text, "v1", &columns());
        assert!(upcast.is_none(), "accepted: {text}");
        let texts: String = findings.iter().map(ToString::to_string).collect();
        assert!(texts.contains(named), "{text}: {texts}");
    }
}
