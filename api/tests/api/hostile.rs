//! Whatever a caller sends: never a panic, never our fault, and never anybody else's rows.

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
    let names = prop::sample::select(vec!["flight_id", "carrier", "delay", "fare", "departs_at", "stops", "tags", "seal", "score", "code", "boarding", "%22order%22", "select", "order", "limit", "cursor"]);
    let operators = prop::sample::select(vec!["eq.", "not.neq.", "gt.", "lte.", "in.(", "in.", "is.", "like.", "not.ilike.", "not.", ""]);
    let value = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..12).prop_map(|bytes| percent(&bytes)),
        any::<String>().prop_map(|text| percent(text.as_bytes())),
        "[a-z0-9_.,(){}\\[\\]%+*:-]{0,12}",
        any::<i64>().prop_map(|number| number.to_string()),
        any::<f64>().prop_map(|number| number.to_string()),
    ];
    let parameter = (names, operators, value, prop::sample::select(vec!["", ")", "%22)", ".desc"]));
    let parameter = parameter.prop_map(|(name, operator, value, end)| format!("{name}={operator}{value}{end}"));
    prop::collection::vec(parameter, 1..4).prop_map(|parameters| parameters.join("&"))
}

#[test]
fn any_query_is_answered_or_refused() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let stage = runtime.block_on(Stage::flight());
    let mut answered = 0;
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(1500));
    let answered_ref = std::cell::RefCell::new(&mut answered);
    runner
        .run(&(query(), prop::sample::select(vec!["flight", "flight.late", "flight/F1", "flight.leg/"])), |(query, view)| {
            let Ok(uri) = format!("/v1/views/{view}?{query}").parse::<Uri>() else { return Ok(()) };
            let answer = runtime.block_on(stage.send(Request::get(uri.clone()).body(Body::empty()).unwrap()));
            prop_assert!(answer.status.as_u16() < 500, "{uri}: {}", answer.text);
            **answered_ref.borrow_mut() += u32::from(answer.status == 200);
            Ok(())
        })
        .unwrap();
    assert!(answered > 50, "only {answered} queries were right: the generator tests nothing");
}

#[tokio::test]
async fn a_cursor_made_by_hand_is_refused() {
    let stage = Stage::flight().await;
    let next = stage.get("/v1/views/flight.leg?limit=1").await.json()["page"]["next"].as_str().unwrap().to_owned();
    let (uri, cursor) = next.split_once("cursor=").unwrap();
    let cursor: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(cursor).unwrap()).unwrap();
    for last in [json!([]), json!(["F1"]), json!(["F1", "1", "2"]), json!(["F1", "one"]), json!(["a\0", "1"]), json!([1, 2]), json!("F1"), json!(["F1", "99999999999"])] {
        let mut forged = cursor.clone();
        forged["last"] = last;
        let forged = URL_SAFE_NO_PAD.encode(forged.to_string());
        stage.problem(&format!("{uri}cursor={forged}"), 400, "cursor-mismatch").await;
    }
    // NULL in a key is nowhere: nothing comes after it, and nothing breaks.
    let mut forged = cursor.clone();
    forged["last"] = json!([null, null]);
    let forged = URL_SAFE_NO_PAD.encode(forged.to_string());
    assert_eq!(stage.get(&format!("{uri}cursor={forged}")).await.status, 200);
}
