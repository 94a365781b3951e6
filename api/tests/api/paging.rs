//! Pages of what has no key, and cursors: following `next` to its end gives every row once.

use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use proptest::prelude::*;
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
use vitrina_api::{Api, ApiSettings};

use crate::stage::{Answer, Stage};

/// Rows of a table.
const MOST: usize = 40;

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
    // Of groups, everything counts.
    let groups = [
        "or=(delay.gt.1,fare.gt.1)",
        "and=(delay.gt.1,fare.gt.1)",
        "not.or=(delay.gt.1,fare.gt.1)",
        "or=(delay.not.gt.1,fare.gt.1)",
        "or=(delay.gt.1,or(fare.gt.2,fare.lt.1))",
        "stops-%3Eat=is.null",
        "stops-%3E%3Eat=is.null",
        "",
    ];
    for group in groups {
        let page = stage.get(&format!("/v1/views/flight?limit=1&{group}")).await.json();
        let first = page["page"]["next"].as_str();
        let Some((_, cursor)) = first.and_then(|next| next.split_once("cursor=")) else { continue };
        for other in groups.iter().filter(|other| **other != group) {
            let uri = format!("/v1/views/flight?{other}&cursor={cursor}");
            stage.problem(&uri, 400, "cursor-mismatch").await;
        }
    }
    stage.problem(&format!("/v1/views/flight.leg?cursor={cursor}"), 400, "cursor-mismatch").await;
    // The rows of two generations do not mix, be their columns the same.
    let key = next(stage.get("/v1/views/flight?limit=1&select=flight_id").await.json());
    stage.generation("flight", 2, r#"CREATE TABLE flight (LIKE "flight@1".flight INCLUDING ALL); INSERT INTO flight SELECT * FROM "flight@1".flight"#).await;
    stage.problem(&key, 410, "generation-changed").await;
    let key = next(stage.get("/v1/views/flight?limit=1&select=flight_id").await.json());
    assert_eq!(stage.get(&key).await.json()["data"], json!([{ "flight_id": "F2" }]));
}

/// Rows of a view that has no key: columns of types whose order takes different values for equal, or that have none.
const MIXED: &str = r#"
CREATE TABLE mixed (n int, v numeric, f float8, j json, b jsonb, t text, i interval);
CREATE VIEW twice AS SELECT n, v, f, j, b, t, i FROM mixed UNION ALL SELECT n, v, f, j, b, t, i FROM mixed WHERE n > 0;
CREATE VIEW rows AS SELECT n FROM mixed;
"#;

/// Every row of the list that begins at `uri`, as JSON texts.
async fn rows_of(stage: &Stage, uri: &str, limit: usize) -> Vec<String> {
    let mut found = Vec::new();
    let mut next = json!(uri);
    while let Some(uri) = next.as_str() {
        let answer = stage.get(uri).await;
        assert_eq!(answer.status, 200, "{uri}: {}", answer.text);
        let page = answer.json();
        let rows = page["data"].as_array().unwrap();
        let full = rows.len() == limit;
        assert!(full || (rows.len() < limit && page["page"]["next"].is_null()), "{uri}: {page}");
        assert!(found.len() <= 10 * MOST, "{uri} goes round in circles");
        found.extend(rows.iter().map(Value::to_string));
        next = page["page"]["next"].clone();
    }
    found
}

fn mixed_row() -> impl Strategy<Value = String> {
    let value = |texts: &'static [&'static str]| prop::sample::select(texts);
    let (numeric, float) =
        (value(&["NULL", "1", "1.0", "1.00", "-2", "'NaN'"]), value(&["NULL", "0", "'-0'", "0.1"]));
    let json = value(&["NULL", "'1'", "'{\"a\": 1}'", "'{\"a\":  1}'", "'null'"]);
    let jsonb = value(&["NULL", "'1'", "'1.0'", "'[]'"]);
    let (text, interval) =
        (value(&["NULL", "''", "'a'", "'A'", "'é'"]), value(&["NULL", "'30 days'", "'1 month'"]));
    let row = (-1i32..2, numeric, float, json, jsonb, text, interval);
    row.prop_map(|(n, v, f, j, b, t, i)| format!("({n}, {v}, {f}, {j}, {b}, {t}, {i})"))
}

#[test]
fn pages_of_a_view_without_a_key_make_up_the_whole_list() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let stage = runtime.block_on(async {
        let mut stage = Stage::empty().await;
        stage.generation("mixed", 1, MIXED).await;
        tokio::sync::Mutex::new(stage)
    });
    let rows = prop::collection::vec(mixed_row(), 1..MOST);
    proptest!(ProptestConfig { cases: 32, failure_persistence: None, ..Default::default() }, |(rows in rows, limit in 1usize..9)| {
        runtime.block_on(async {
            let mut stage = stage.lock().await;
            let values = rows.join(", ");
            stage.run(&format!(r#"SET search_path = "mixed@1"; TRUNCATE mixed; INSERT INTO mixed VALUES {values}"#)).await;
            for (view, query) in [
                ("twice", ""), ("twice", "order=v.desc&"), ("twice", "order=f,b.desc.nullslast&"), ("twice", "order=i.nullsfirst,t&"),
                ("twice", "n=gte.0&order=n.desc&"), ("twice", "v=eq.1&order=v&"), ("rows", ""), ("rows", "order=n.desc&"), ("twice", "select=n&"),
            ] {
                let whole = rows_of(&stage, &format!("/v1/views/mixed.{view}?{query}limit=500"), 500).await;
                let paged = rows_of(&stage, &format!("/v1/views/mixed.{view}?{query}limit={limit}"), limit).await;
                assert_eq!(paged, whole, "{view}?{query}, limit {limit}, {values}");
                let all = Request::get(format!("/v1/views/mixed.{view}?{query}limit=all")).header("accept", "application/x-ndjson");
                let lines = stage.send(all.body(Body::empty()).unwrap()).await.text;
                let lines: Vec<_> = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap().to_string()).collect();
                assert_eq!(lines, whole, "{view}?{query}, {values}");
                if query.contains('=') { continue; }
                let all: i64 = sqlx::query_scalar(AssertSqlSafe(format!(r#"SELECT count(*) FROM "mixed@1".{view}"#)))
                    .fetch_one(&mut stage.postgres).await.unwrap();
                assert_eq!(whole.len() as i64, all);
            }
        });
    });
}

#[tokio::test]
async fn a_view_is_paged_whatever_its_columns_are_and_whatever_changes_meanwhile() {
    let mut stage = Stage::empty().await;
    let names: Vec<String> = (0..600).map(|n| format!("{n} AS \"Column {n}\"")).collect();
    let wide = format!(
        "CREATE TABLE wide (a int); CREATE VIEW broad AS SELECT {} FROM wide; CREATE VIEW none AS SELECT FROM wide",
        names.join(", ")
    );
    stage
        .generation("wide", 1, &format!("{wide}; INSERT INTO wide SELECT generate_series(1, 7)"))
        .await;
    let bag = "CREATE TABLE bag (a int); CREATE VIEW item AS SELECT a FROM bag; INSERT INTO bag VALUES (1), (1), (1), (2), (3)";
    stage.generation("bag", 1, bag).await;
    for view in ["broad", "none"] {
        let rows = rows_of(&stage, &format!("/v1/views/wide.{view}?limit=2"), 2).await;
        assert_eq!(rows.len(), 7, "{view}");
    }
    // A row that is gone takes nothing of what comes after it along; others that are the same are passed over.
    let first = stage.get("/v1/views/bag.item?limit=2").await.json();
    stage.run(r#"DELETE FROM "bag@1".bag WHERE ctid IN (SELECT ctid FROM "bag@1".bag WHERE a = 1 LIMIT 2)"#).await;
    let rest = rows_of(&stage, first["page"]["next"].as_str().unwrap(), 2).await;
    assert_eq!(rest, [r#"{"a":2}"#, r#"{"a":3}"#]);
}

/// Rows of the table that its readers have fetched; known once they are gone.
async fn fetched(stage: &mut Stage) -> i64 {
    let gone = "SELECT count(*) = 0 FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'vitrina query'";
    let wait = async {
        while !sqlx::query_scalar::<_, bool>(gone).fetch_one(&mut stage.postgres).await.unwrap() {}
    };
    tokio::time::timeout(Duration::from_secs(20), wait).await.expect("connections end");
    let fetched = "SELECT coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0) FROM pg_stat_user_tables WHERE relname = 'long'";
    sqlx::query_scalar(fetched).fetch_one(&mut stage.postgres).await.unwrap()
}

#[tokio::test]
async fn a_deep_page_reads_as_little_as_the_first() {
    let mut stage = Stage::empty().await;
    let table = "CREATE TABLE long (id int PRIMARY KEY, a int, b int); CREATE INDEX ON long (a, b DESC);
        INSERT INTO long SELECT n, nullif(n % 7, 0), nullif(n % 1000, 0) FROM generate_series(1, 20000) n; ANALYZE long";
    stage.generation("long", 1, table).await;
    for order in ["", "order=id.desc&", "order=a,b.desc&", "order=a.desc,b&"] {
        let mut deep = format!("/v1/views/long?{order}select=id&limit=500");
        let read = |uri: String, url: String| async move {
            let router = Api::new(ApiSettings::new(&url)).unwrap().router();
            let request = Request::get(&uri).body(Body::empty()).unwrap();
            Answer::to(router, request).await.json()["page"]["next"].as_str().unwrap().to_owned()
        };
        for _ in 0..38 {
            deep = stage.get(&deep).await.json()["page"]["next"].as_str().unwrap().to_owned();
        }
        stage.router = Api::new(ApiSettings::new(&stage.url)).unwrap().router();
        let before = fetched(&mut stage).await;
        read(deep, stage.url.clone()).await;
        let read = fetched(&mut stage).await - before;
        assert!((501..3500).contains(&read), "{order}: {read}");
    }
}
