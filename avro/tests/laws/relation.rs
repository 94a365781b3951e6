//! The SQL of event relations, word for word, and what is bound for it.

use std::collections::BTreeSet;

use crate::common::{borrowed, contracts, placed, versions};
use vitrina_avro::Layout;

fn layout(schemas: &[&str], upcasts: &[&str], columns: &[&str]) -> Layout {
    let contracts = contracts(&borrowed(&versions(schemas, upcasts)));
    let columns: BTreeSet<String> = columns.iter().map(|name| (*name).to_owned()).collect();
    Layout::new(contracts.contract("shop", "placed").unwrap(), Some(&columns))
}

fn bound(layout: &Layout) -> Vec<Vec<String>> {
    let names = |columns: &[vitrina_avro::Column]| {
        columns.iter().map(|column| column.name.clone()).collect()
    };
    layout.versions().iter().map(|version| names(&version.columns)).collect()
}

const MONEY: &str = r#"{"type":"bytes","logicalType":"decimal","precision":12,"scale":2}"#;

#[test]
fn one_version() {
    let schema =
        placed(&format!(r#"{{"name":"amount","type":{MONEY}}},{{"name":"note","type":"string"}}"#));
    let layout = layout(&[&schema], &[], &["amount", "_time"]);
    assert_eq!(
        layout.relation_sql(1),
        r#"(SELECT "amount", "_time", "_ordinal" FROM unnest($1::numeric[], $2::timestamptz[], $3::int8[]) AS "v1"("amount", "_time", "_ordinal"))"#
    );
    assert_eq!(layout.parameters(), 3);
}

#[test]
fn columns_are_worked_out_backwards_through_upcasts() {
    let v1 = placed(&format!(
        r#"{{"name":"total_amount","type":{MONEY}}},{{"name":"note","type":"string"}}"#
    ));
    let v2 = placed(&format!(
        r#"{{"name":"total_amount","type":{MONEY}}},{{"name":"currency","type":"string"}},{{"name":"seen","type":["null","string"]}}"#
    ));
    let v3 = placed(&format!(
        r#"{{"name":"amount","type":{}}},{{"name":"currency","type":"string","default":"EUR"}},{{"name":"seen","type":["null","string"]}},{{"name":"lines","type":"long","default":1}}"#,
        MONEY.replace("12", "14")
    ));
    let upcasts = [
        "SELECT 'USD' AS currency, v1._topic AS seen FROM v1;",
        "SELECT total_amount AS amount FROM v2;",
    ];
    let layout = layout(&[&v1, &v2, &v3], &upcasts, &["amount", "currency", "seen", "lines"]);
    assert_eq!(
        bound(&layout),
        [
            vec!["total_amount", "_topic", "_ordinal"],
            vec!["total_amount", "currency", "seen", "_topic", "_ordinal"],
            vec!["amount", "currency", "seen", "lines", "_topic", "_ordinal"],
        ]
    );
    assert_eq!(layout.parameters(), 14);
    let v2_to_v3 = r#"COALESCE((total_amount)::numeric(14,2), vitrina.refuse_null(NULL::numeric(14,2), 'shop.placed v3.amount')) AS "amount", "currency" AS "currency", "seen" AS "seen", '1'::int8 AS "lines", "v2"."_topic", "v2"."_ordinal""#;
    let selected = r#""amount", "currency", "seen", "lines", "_ordinal""#;
    assert_eq!(
        layout.relation_sql(5),
        [
            &format!("(SELECT {selected} FROM (SELECT {v2_to_v3} FROM (SELECT \"total_amount\" AS \"total_amount\", "),
            "COALESCE(('USD')::text, vitrina.refuse_null(NULL::text, 'shop.placed v2.currency')) AS \"currency\", ",
            "(v1._topic)::text AS \"seen\", \"v1\".\"_topic\", \"v1\".\"_ordinal\" ",
            "FROM unnest($5::numeric[], $6::text[], $7::int8[]) AS \"v1\"(\"total_amount\", \"_topic\", \"_ordinal\")) AS \"v2\") AS \"v3\"",
            &format!(" UNION ALL SELECT {selected} FROM (SELECT {v2_to_v3} FROM "),
            "unnest($8::numeric[], $9::text[], $10::text[], $11::text[], $12::int8[]) AS \"v2\"(\"total_amount\", \"currency\", \"seen\", \"_topic\", \"_ordinal\")) AS \"v3\"",
            &format!(" UNION ALL SELECT {selected} FROM "),
            "unnest($13::numeric[], $14::text[], $15::text[], $16::int8[], $17::text[], $18::int8[]) AS \"v3\"(\"amount\", \"currency\", \"seen\", \"lines\", \"_topic\", \"_ordinal\") OFFSET 0)",
        ]
        .concat()
    );
}

#[test]
fn nothing_wanted_is_still_a_relation() {
    let layout = layout(&[&placed("")], &[], &[]);
    assert_eq!(
        layout.relation_sql(1),
        r#"(SELECT "_ordinal" FROM unnest($1::int8[]) AS "v1"("_ordinal"))"#
    );
}

/// What an unwritten field of v2 becomes.
fn carried(old: &str, new: &str) -> String {
    let [v1, v2] = [old, new].map(placed);
    let sql = layout(&[&v1, &v2], &["SELECT id FROM v1"], &["x"]).relation_sql(1);
    let (_, rest) = sql.split_once("FROM (SELECT ").unwrap();
    rest.split_once(" AS \"x\"").unwrap().0.to_owned()
}

#[test]
fn scalars_carry_over_by_promotion() {
    let field = |ty: &str| format!(r#"{{"name":"x","type":{ty}}}"#);
    for (old, new, sql) in [
        (r#""string""#, r#""string""#, r#""x""#),
        (r#""string""#, r#"["null","string"]"#, r#""x""#),
        (r#""int""#, r#"["null","double"]"#, r#"("x")::float8"#),
        (r#""string""#, r#""bytes""#, r#"(convert_to("x", 'UTF8'))::bytea"#),
        (r#""bytes""#, r#""string""#, r#"(convert_from("x", 'UTF8'))::text"#),
        (r#""string""#, r#"{"type":"string","logicalType":"uuid"}"#, r#"("x")::uuid"#),
        (
            r#"{"type":"enum","name":"E","symbols":["A","B"]}"#,
            r#"{"type":"enum","name":"E","symbols":["A","U"],"default":"U"}"#,
            r#"(CASE WHEN "x" IS NULL OR "x" IN ('A', 'U') THEN "x" ELSE 'U' END)::text"#,
        ),
    ] {
        assert_eq!(carried(&field(old), &field(new)), sql, "{old} {new}");
    }
}

#[test]
fn defaults_are_literals_of_the_columns_type() {
    for (ty, default, sql) in [
        (r#""string""#, r#""it's""#, "'it''s'::text"),
        (r#"["null","long"]"#, "null", "NULL::int8"),
        (r#""bytes""#, r#""hi\u00ff""#, r"'\x6869ff'::bytea"),
        (MONEY, r#""\u0004\u00e2""#, "'12.50'::numeric(12,2)"),
        (r#"{"type":"int","logicalType":"date"}"#, "0", "'1970-01-01'::date"),
        (
            r#"{"type":"long","logicalType":"timestamp-millis"}"#,
            "1500",
            "'1970-01-01 00:00:01.5+00'::timestamptz",
        ),
        (r#"{"type":"enum","name":"E","symbols":["A"]}"#, r#""A""#, "'A'::text"),
        (r#"{"type":"map","values":"int"}"#, "{}", "'{}'::jsonb"),
        (
            r#"{"type":"record","name":"R","fields":[{"name":"a","type":"int"},{"name":"b","type":["null","string"],"default":null}]}"#,
            r#"{"a":1}"#,
            r#"'{"a":1,"b":null}'::jsonb"#,
        ),
    ] {
        assert_eq!(
            carried("", &format!(r#"{{"name":"x","type":{ty},"default":{default}}}"#)),
            sql,
            "{ty}"
        );
    }
}

#[test]
fn nested_records_gain_their_defaults() {
    let lines = |fields: &str| {
        format!(
            r#"{{"name":"x","type":["null",{{"type":"array","items":{{"type":"record","name":"Line","fields":[{fields}]}}}}]}}"#
        )
    };
    let old = lines(r#"{"name":"sku","type":"string"},{"name":"old","type":"int"}"#);
    let new =
        lines(r#"{"name":"sku","type":"string"},{"name":"unit","type":"string","default":"kg"}"#);
    let array = r#"(SELECT coalesce(jsonb_agg(((i0.x - ARRAY['old']) || jsonb_build_object('unit', '"kg"'::jsonb)) ORDER BY i0.n), '[]') FROM jsonb_array_elements("x") WITH ORDINALITY AS i0(x, n))"#;
    assert_eq!(
        carried(&old, &new),
        format!(
            r#"(CASE WHEN "x" IS NULL OR jsonb_typeof("x") = 'null' THEN "x" ELSE {array} END)::jsonb"#
        )
    );
    assert_eq!(carried(&old, &old), r#""x""#);
}
