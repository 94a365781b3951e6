//! The law of pages: following `next` to its end gives every row once, in the order of one unpaged `ORDER BY`.

use proptest::prelude::*;
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;

use crate::stage::Stage;

/// Each order with the index that allows it, and as SQL writes it, tiebreak and all.
const ORDERS: [(&str, &str, &str); 8] = [
    ("", "", "id"),
    ("", "order=id.desc", "id DESC"),
    ("(a, b DESC)", "order=a,b.desc", "a, b DESC, id DESC"),
    ("(a, b DESC)", "order=a.desc,b", "a DESC, b, id"),
    (
        "(b DESC NULLS LAST, c, a NULLS FIRST)",
        "order=b.desc.nullslast,c",
        "b DESC NULLS LAST, c, id",
    ),
    (
        "(b DESC NULLS LAST, c, a NULLS FIRST)",
        "order=b.asc.nullsfirst,c.desc,a.desc.nullslast",
        "b NULLS FIRST, c DESC, a DESC NULLS LAST, id DESC",
    ),
    ("(c, d DESC)", "c=eq.1&order=d.desc", "d DESC, id DESC"),
    ("(d NULLS FIRST, c DESC)", "order=d.nullsfirst&b=not.is.null", "d NULLS FIRST, id"),
];

/// Rows of a table.
const MOST: usize = 40;

type Row = (Option<u8>, Option<u8>, u8, Option<u8>);

fn rows() -> impl Strategy<Value = Vec<Row>> {
    let few = || prop::option::weighted(0.7, 0u8..3);
    prop::collection::vec((few(), few(), 0u8..3, few()), 0..MOST)
}

fn literal(value: Option<u8>, make: impl Fn(u8) -> String) -> String {
    value.map_or_else(|| "NULL".to_owned(), make)
}

fn insert(rows: &[Row]) -> String {
    let row = |(id, (a, b, c, d)): (usize, &Row)| {
        let text = literal(*a, |a| ["'a,\"'", "''", "'é'"][usize::from(a)].to_owned());
        let time = literal(*d, |d| format!("timestamptz '2026-01-01' + interval '{d}.000001 s'"));
        format!(
            "INSERT INTO item VALUES ({id}, {text}, {}, {c}, {time});",
            literal(*b, |b| format!("{b}::float8 / 3"))
        )
    };
    rows.iter().enumerate().map(row).collect()
}

async fn follow(stage: &Stage, query: &str, limit: u32) -> Vec<Value> {
    let mut found = Vec::new();
    let mut next = json!(format!("/v1/views/item?limit={limit}&select=id&{query}"));
    while let Some(uri) = next.as_str() {
        let answer = stage.get(uri).await;
        assert_eq!(answer.status, 200, "{uri}: {}", answer.text);
        let page = answer.json();
        let rows = page["data"].as_array().unwrap();
        assert!(
            rows.len() <= limit as usize && (found.is_empty() || !rows.is_empty()),
            "{uri}: {page}"
        );
        assert!(found.len() <= MOST, "{uri} goes round in circles");
        found.extend(rows.iter().map(|row| row["id"].clone()));
        next = page["page"]["next"].clone();
    }
    found
}

#[test]
fn pages_make_up_the_whole_list() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let stage = runtime.block_on(async {
        let mut stage = Stage::empty().await;
        let indexes: String = ORDERS
            .iter()
            .filter(|order| !order.0.is_empty())
            .map(|order| format!("CREATE INDEX ON item {};", order.0))
            .collect();
        let table =
            "CREATE TABLE item (id int PRIMARY KEY, a text COLLATE \"C\", b float8, c int NOT NULL, d timestamptz);";
        stage.generation("item", 1, &format!("{table}{indexes}")).await;
        stage
    });
    let stage = tokio::sync::Mutex::new(stage);
    proptest!(ProptestConfig { cases: 24, failure_persistence: None, ..Default::default() }, |(rows in rows(), limit in 1u32..9)| {
        runtime.block_on(async {
            let mut stage = stage.lock().await;
            stage.run(&format!(r#"SET search_path = "item@1"; TRUNCATE item; {}"#, insert(&rows))).await;
            for (_, query, order) in ORDERS {
                let filter = if query.contains("c=eq.1") { "c = 1" } else if query.contains("b=not") { "b IS NOT NULL" } else { "true" };
                let whole: Vec<i32> = sqlx::query_scalar(AssertSqlSafe(format!("SELECT id FROM item WHERE {filter} ORDER BY {order}")))
                    .fetch_all(&mut stage.postgres)
                    .await
                    .unwrap();
                let whole: Vec<_> = whole.into_iter().map(|id| json!(id)).collect();
                assert_eq!(follow(&stage, query, limit).await, whole, "{query}, limit {limit}");
            }
        });
    });
}

#[tokio::test]
async fn a_cursor_goes_on_only_with_its_own_query() {
    let mut stage = Stage::flight().await;
    let next = |answer: Value| answer["page"]["next"].as_str().unwrap().to_owned();
    let uri =
        next(stage.get("/v1/views/flight?carrier=eq.KL&order=departs_at&limit=1").await.json());
    assert_eq!(stage.column(&uri, "flight_id").await, ["F2"]);
    let (_, cursor) = uri.split_once("cursor=").unwrap();
    // The size of the page and its columns may change on the way.
    let same =
        format!("/v1/views/flight?order=departs_at&carrier=eq.KL&select=flight_id&cursor={cursor}");
    assert_eq!(stage.column(&same, "flight_id").await, ["F2"]);
    for other in [
        "carrier=eq.BA&order=departs_at",
        "carrier=eq.KL&order=departs_at.desc",
        "carrier=eq.KL",
        "carrier=eq.KL&order=departs_at&delay=gt.1",
    ] {
        stage
            .problem(&format!("/v1/views/flight?{other}&cursor={cursor}"), 400, "cursor-mismatch")
            .await;
    }
    stage.problem(&format!("/v1/views/flight.leg?cursor={cursor}"), 400, "cursor-mismatch").await;
    // The rows of two generations do not mix, be their columns the same.
    let key = next(stage.get("/v1/views/flight?limit=1&select=flight_id").await.json());
    stage.generation("flight", 2, r#"CREATE TABLE flight (LIKE "flight@1".flight INCLUDING ALL); INSERT INTO flight SELECT * FROM "flight@1".flight"#).await;
    stage.problem(&key, 410, "generation-changed").await;
    let key = next(stage.get("/v1/views/flight?limit=1&select=flight_id").await.json());
    assert_eq!(stage.get(&key).await.json()["data"], json!([{ "flight_id": "F2" }]));
}
