//! Whatever a caller sends: never a panic, never our fault, and never anybody else's rows.

use std::sync::atomic::{AtomicU32, Ordering};

use axum::body::Body;
use axum::http::{Request, Uri};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::stage::Stage;

fn percent(text: &[u8]) -> String {
    text.iter().map(|byte| format!("%{byte:02x}")).collect()
}

/// Queries that are nearly right, and some that are anything.
fn query() -> impl Strategy<Value = String> {
    let columns =
        "flight_id carrier delay fare departs_at stops tags seal score code boarding %22order%22";
    let operators = "eq. neq. gt. lte. like. ilike. not.eq. not.like.";
    let values = "5 5 1.5 KL* 2026-01-01 true %5B%5D %7B%7D %5Cx00 KL";
    let others = "delay=in.(5,6) delay=not.in.() gate=is.null boarding=not.is.true select=flight_id,fare order=flight_id.desc \
        order=delay.desc.nullslast limit=2 limit=900 limit=all cursor=e30 stops-%3E0-%3E%3Eat=eq.AMS stops-%3Eat=gt.1 \
        select=a:fare::text,stops-%3E0-%3E%3Eat";
    let members = "delay.gt.5 delay.in.(5,6) carrier.eq.%22KL%22 gate.is.null not.or(delay.eq.5,fare.gt.1) stops-%3E0.eq.%5B%5D \
        departs_at.lt.now and(delay.eq.5 delay.eq.x ) stops-%3E%3Eat.like.*";
    let one_of =
        |words: &'static str| prop::sample::select(words.split_whitespace().collect::<Vec<_>>());
    let value = prop_oneof![
        4 => one_of(values).prop_map(str::to_owned),
        1 => prop::collection::vec(any::<u8>(), 0..12).prop_map(|bytes| percent(&bytes)),
        1 => any::<String>().prop_map(|text| percent(text.as_bytes())),
        1 => "[a-z0-9_.,()\\[\\]%+*:-]{0,12}",
        1 => any::<i64>().prop_map(|number| number.to_string()),
        1 => any::<f64>().prop_map(|number| number.to_string()),
    ];
    let parameter = prop_oneof![
        6 => (one_of(columns), one_of(operators), value.clone()).prop_map(|(column, operator, value)| format!("{column}={operator}{value}")),
        3 => one_of(others).prop_map(str::to_owned),
        2 => (one_of("or and not.or not.and"), prop::collection::vec(one_of(members), 1..4)).prop_map(|(name, members)| format!("{name}=({})", members.join(","))),
        1 => (one_of("select order limit cursor delay or not.and stops-%3Eat stops"), value).prop_map(|(name, value)| format!("{name}={value}")),
    ];
    prop::collection::vec(parameter, 1..4).prop_map(|parameters| parameters.join("&"))
}

#[test]
fn any_query_is_answered_or_refused() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let stage = runtime.block_on(Stage::flight());
    let answered = AtomicU32::new(0);
    let views = prop::sample::select(vec!["flight", "flight", "flight.late", "flight/F1"]);
    let accepts =
        prop::sample::select(vec!["*/*", "*/*", "text/csv", "application/x-ndjson;q=0.5"]);
    proptest!(ProptestConfig { cases: 1500, failure_persistence: None, ..Default::default() }, |(query in query(), view in views, accept in accepts)| {
        let Ok(uri) = format!("/v1/views/{view}?{query}").parse::<Uri>() else { return Ok(()) };
        let answer = runtime.block_on(stage.send(Request::get(uri.clone()).header("accept", accept).header("prefer", "count=estimated").body(Body::empty()).unwrap()));
        prop_assert!(answer.status.as_u16() < 500, "{uri}: {}", answer.text);
        answered.fetch_add(u32::from(answer.status == 200), Ordering::Relaxed);
    });
    // Or the generator would test nothing but the first look at a query.
    assert!(answered.into_inner() > 150);
}

#[tokio::test]
async fn a_cursor_made_by_hand_is_refused() {
    let stage = Stage::flight().await;
    let next = stage.get("/v1/views/flight.leg?limit=1").await.json()["page"]["next"]
        .as_str()
        .unwrap()
        .to_owned();
    let (uri, cursor) = next.split_once("cursor=").unwrap();
    let cursor: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(cursor).unwrap()).unwrap();
    for last in [
        json!([]),
        json!(["F1"]),
        json!(["F1", "1", "2"]),
        json!(["F1", "one"]),
        json!(["a\0", "1"]),
        json!([1, 2]),
        json!("F1"),
        json!(["F1", "99999999999"]),
    ] {
        let mut forged = cursor.clone();
        forged["last"] = last;
        let forged = URL_SAFE_NO_PAD.encode(forged.to_string());
        stage.problem(&format!("{uri}cursor={forged}"), 400, "cursor-mismatch").await;
    }
    let garbage = stage.problem(&format!("{uri}cursor=e30"), 400, "cursor-mismatch").await;
    assert!(garbage["detail"].as_str().unwrap().contains("no cursor of this API"), "{garbage}");
    // NULL in a key is nowhere: nothing comes after it, and nothing breaks.
    let mut forged = cursor.clone();
    forged["last"] = json!([null, null]);
    let forged = URL_SAFE_NO_PAD.encode(forged.to_string());
    assert_eq!(stage.get(&format!("{uri}cursor={forged}")).await.status, 200);
}

#[tokio::test]
async fn whatever_if_none_match_says_is_answered() {
    let stage = Stage::flight().await;
    let uri = "/v1/views/flight?limit=1";
    let tag = stage.get(uri).await.header("etag").to_owned();
    let strong = tag.strip_prefix("W/").unwrap();
    let bare = strong.trim_matches('"');
    let ask = async |lines: &[&str]| {
        let request = lines.iter().fold(Request::get(uri), |request, line| {
            request.header("if-none-match", line.as_bytes())
        });
        stage.send(request.body(Body::empty()).unwrap()).await.status.as_u16()
    };
    let (among, spaced, empty) =
        (format!("\"a\",{tag}"), format!("\"a b\", {tag}"), format!(", ,{tag},"));
    for held in [&tag, strong, &among, &spaced, &empty, "*"] {
        assert_eq!(ask(&[held]).await, 304, "{held}");
    }
    assert_eq!(ask(&["\"x\"", &tag]).await, 304);
    let (lower, unquoted) = (format!("w/{strong}"), format!("W/{bare}"));
    for other in ["", "W/", "\"", "\"*\"", ", ,", "\"a b\"", "é", bare, &lower, &unquoted] {
        assert_eq!(ask(&[other]).await, 200, "{other}");
    }
}
