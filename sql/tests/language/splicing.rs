//! Only mentions of the event relation are replaced; every other byte is the user's.

use crate::shop::{TABLES, model, rule};
use proptest::prelude::*;
use vitrina_sql::{Rule, Shape};

const BATCH: &str = "(SELECT * FROM b)";

fn spliced(text: &str) -> String {
    rule(text).with_relation(BATCH)
}

#[test]
fn the_text_around_mentions_survives() {
    assert_eq!(
        spliced(
            "INSERT INTO t SELECT 'ñ;é', @ -5, $q$ orders.order_placed $q$, E'\\'' -- orders.order_placed\nFROM Orders . /* x */ \"order_placed\"e;"
        ),
        "INSERT INTO t SELECT 'ñ;é', @ -5, $q$ orders.order_placed $q$, E'\\'' -- orders.order_placed\nFROM (SELECT * FROM b)e"
    );
    assert_eq!(
        spliced(
            "INSERT INTO t SELECT order_placed.order_id FROM orders.order_placed WHERE amount > 0"
        ),
        "INSERT INTO t SELECT order_placed.order_id FROM (SELECT * FROM b) AS \"order_placed\" WHERE amount > 0"
    );
    assert_eq!(
        spliced("INSERT INTO t SELECT \"ü\".id FROM \"Größe\".\"Straße\" AS \"ü\""),
        "INSERT INTO t SELECT \"ü\".id FROM (SELECT * FROM b) AS \"ü\""
    );
    assert_eq!(
        spliced("DELETE FROM t USING orders.order_cancelled e WHERE id = e.order_id"),
        "DELETE FROM t USING (SELECT * FROM b) e WHERE id = e.order_id"
    );
}

#[test]
fn a_batch_runs_event_by_event_where_rows_are_not_made_alone() {
    let rule = rule(
        "INSERT INTO t AS o (id, n) SELECT e.order_id, (SELECT count(*) FROM orders.order_placed)
         FROM orders.order_placed e GROUP BY 1 ON CONFLICT (id) DO UPDATE SET n = o.n + EXCLUDED.n",
    );
    assert_eq!(rule.shape, Shape::PerEvent);
    assert_eq!(
        rule.with_batch(BATCH),
        "INSERT INTO t AS o (id, n) SELECT _vitrina_rows.* FROM (SELECT * FROM b) AS _vitrina_batch CROSS JOIN LATERAL \
         (SELECT e.order_id, (SELECT count(*) FROM (SELECT _vitrina_batch.*) AS \"order_placed\")
         FROM (SELECT _vitrina_batch.*) e GROUP BY 1) AS _vitrina_rows ON CONFLICT (id) DO UPDATE SET n = o.n + EXCLUDED.n"
    );
}

#[test]
fn the_query_of_an_insert_is_found_wherever_it_begins() {
    for (before, query, after) in [
        ("INSERT INTO t ", "(SELECT e.order_id FROM orders.order_placed e)", ""),
        (
            "INSERT INTO t o ",
            "WITH w AS (SELECT 1) SELECT e.order_id FROM orders.order_placed e, w",
            " ON CONFLICT DO NOTHING",
        ),
        (
            "INSERT INTO t (id) ",
            "SELECT e.order_id FROM orders.order_placed e, _c c JOIN _l ON true ORDER BY 1",
            " ON CONFLICT (id) DO NOTHING",
        ),
    ] {
        let text = rule(&format!("{before}{query}{after}")).with_batch("B");
        let rows = query.replace("orders.order_placed", "(SELECT _vitrina_batch.*)");
        let wrapped = format!(
            "{before}SELECT _vitrina_rows.* FROM B AS _vitrina_batch CROSS JOIN LATERAL ({rows}) AS _vitrina_rows{after}"
        );
        assert_eq!(text, wrapped);
    }
}

#[test]
fn bare_literals_keep_their_columns_types_in_a_batch() {
    let inside = |head: &str, list: &str| {
        let columns = "CREATE TABLE w (n int8, at timestamptz, t text, v varchar(3), d numeric(4,1), a int[], k text DEFAULT '' PRIMARY KEY);";
        let rest = "FROM orders.order_placed e GROUP BY e.order_id";
        let rules = model(&format!("{TABLES}{columns}INSERT INTO w {head} {list} {rest}")).rules;
        let text = rules[0].with_batch("B");
        let (_, inside) = text.split_once("LATERAL (").unwrap();
        inside.split_once(" FROM (SELECT").unwrap().0.to_owned()
    };
    for (head, list, batch) in [
        (
            "",
            "SELECT NULL, '2026-01-01', NULL",
            "SELECT (NULL)::int8, ('2026-01-01')::timestamptz, NULL",
        ),
        (
            "(at, n)",
            "SELECT/*,*/ NULL AS x, ('5') k",
            "SELECT/*,*/ (NULL)::timestamptz AS x, (('5'))::int8 k",
        ),
        // Storing rounds a number and refuses a text that is too long; a cast would cut it.
        ("(n, d, v)", "SELECT 1, '1.25', 'long'", "SELECT 1, ('1.25')::numeric, 'long'"),
        (
            "(n, a)",
            "WITH q AS (SELECT NULL) SELECT 1, '{1,2}'",
            "WITH q AS (SELECT NULL) SELECT 1, ('{1,2}')::int[]",
        ),
        // What is made of literals has a type of its own, and so have those of a DISTINCT list.
        ("(n, t)", "SELECT 1, NULL || 'x'", "SELECT 1, NULL || 'x'"),
        ("(n, at)", "SELECT DISTINCT 1, NULL", "SELECT DISTINCT 1, NULL"),
    ] {
        assert_eq!(inside(head, list), batch, "{head} {list}");
    }
}

/// What may stand between two tokens.
fn blank() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        Just(" ".to_owned()),
        Just("\n".to_owned()),
        Just("\t".to_owned()),
        "[a-zé;'\"$ßö漢 ]{0,6}".prop_map(|text| format!("/*{text}*/")),
        "[a-zé;'\"$ßö漢 .]{0,6}".prop_map(|text| format!("--{text}\n")),
    ];
    prop::collection::vec(part, 1..4).prop_map(|parts| parts.concat())
}

/// Statements in pieces: `@` is where the event relation stands, and blanks go between all pieces.
const STATEMENTS: [&[&str]; 4] = [
    &["INSERT", "INTO", "t", "SELECT", "e.order_id", ",", "@ -5", ",", "'ñ;''é'", "FROM", "@", "e"],
    &[
        "INSERT",
        "INTO",
        "t",
        "SELECT",
        "a.order_id",
        "FROM",
        "@",
        "AS",
        "a",
        ",",
        "@",
        "b",
        "WHERE",
        "a.order_id",
        "=",
        "'漢'",
    ],
    &[
        "UPDATE",
        "t",
        "SET",
        "x",
        "=",
        "$ü$ orders.order_placed $ü$",
        "FROM",
        "@",
        "\"É\"",
        "WHERE",
        "id",
        "=",
        "\"É\".order_id",
    ],
    &[
        "DELETE",
        "FROM",
        "t",
        "USING",
        "@",
        "e",
        "WHERE",
        "x",
        "=",
        "E'\\'ö'",
        "AND",
        "id",
        "=",
        "e.order_id",
    ],
];

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn only_mentions_change(which in 0..STATEMENTS.len(), blanks in prop::collection::vec(blank(), 20), before in blank()) {
        let written = |relation: &str| {
            let pieces = STATEMENTS[which].iter().map(|piece| if *piece == "@" { relation } else { piece });
            let all: String = pieces.zip(&blanks).map(|(piece, blank)| format!("{piece}{blank}")).collect();
            let last = blanks[STATEMENTS[which].len() - 1].len();
            all[..all.len() - last].to_owned()
        };
        for mention in ["orders.order_placed", "\"orders\" . ORDER_PLACED"] {
            let rules = model(&format!("{TABLES}{before}{};", written(mention))).rules;
            prop_assert_eq!(&rules[0].sql, &written(mention));
            prop_assert_eq!(rules[0].with_relation(BATCH), written(BATCH));
            prop_assert_eq!(rules[0].with_relation("orders.order_placed"), written("orders.order_placed"));
            let again = &model(&format!("{TABLES}{}", rules[0].with_relation("orders.order_placed"))).rules[0];
            prop_assert_eq!(tree(again), tree(&rules[0]));
        }
    }
}

/// The parsed statement, whichever way the relation's name was written.
fn tree(rule: &Rule) -> String {
    rule.statement().to_string().replace("\"orders\".ORDER_PLACED", "orders.order_placed")
}
