//! One row by its key.

use axum::body::Body;
use axum::http::{Request, StatusCode};
use serde_json::json;

use crate::stage::{Answer, Stage, golden};

#[tokio::test]
async fn a_row_is_found_by_the_parts_of_its_key() {
    let stage = Stage::flight().await;
    golden("row", &stage.get("/v1/views/flight/F1").await.json());
    assert_eq!(
        stage.get("/v1/views/flight.leg/F1/2?select=airport").await.json()["data"],
        json!({ "airport": "LIS" })
    );
    assert_eq!(stage.get("/v1/views/flight.leg/a%2Fb/1").await.json()["data"]["airport"], "OPO");
    stage.problem("/v1/views/flight/F9", 404, "not-found").await;
    stage.problem("/v1/views/flight/", 404, "not-found").await;
    let wrong = stage.problem("/v1/views/flight.leg/F1", 404, "not-found").await;
    assert!(wrong["detail"].as_str().unwrap().contains("{flight_id}/{number}"), "{wrong}");
    stage.problem("/v1/views/flight.leg/F1/2/3", 404, "not-found").await;
    let cast = stage.problem("/v1/views/flight.leg/F1/two", 400, "bad-value").await;
    assert_eq!(cast["errors"][0]["parameter"], "number");
    stage.problem("/v1/views/flight/F1?limit=1", 400, "unknown-parameter").await;
    stage.problem("/v1/views/flight/F1?select=colour", 400, "bad-value").await;
    stage.problem("/v1/views/flight/%ff", 400, "bad-encoding").await;
    stage.problem("/v1/views/flight/a%00", 400, "bad-encoding").await;
}

#[tokio::test]
async fn head_answers_as_get_without_the_body() {
    let stage = Stage::flight().await;
    let get = stage.get("/v1/views/flight/F1").await;
    let head = stage.send(Request::head("/v1/views/flight/F1").body(Body::empty()).unwrap()).await;
    assert_eq!((head.status, head.text.as_str()), (StatusCode::OK, ""));
    assert_eq!(head.header("etag"), get.header("etag"));
}

/// Look-ups that come together share statements, and none of them shares an answer.
#[tokio::test(flavor = "multi_thread")]
async fn who_looks_for_rows_at_once_finds_its_own() {
    let mut stage = Stage::flight().await;
    stage
        .run(
            r#"INSERT INTO "flight@1".leg SELECT 'N' || n, n, 'P' || n FROM generate_series(0, 99) n;
               ALTER TABLE "flight@1"._carrier RENAME TO note;
               ALTER TABLE "flight@1".note ALTER carrier TYPE uuid USING NULL::uuid, ADD airport text;
               INSERT INTO "flight@1".note
               SELECT ('00000000-0000-0000-0000-' || lpad(n::text, 12, '0'))::uuid, 'P' || n FROM generate_series(0, 99) n"#,
        )
        .await;
    let mut asked = tokio::task::JoinSet::new();
    for n in 0..30 {
        for (uri, status, airport) in [
            (format!("/v1/views/flight.leg/N{n}/{n}"), 200, format!("P{n}")),
            (format!("/v1/views/flight.leg/N{n}/{n}?select=airport"), 200, format!("P{n}")),
            (format!("/v1/views/flight.leg/N{n}/{}", n + 1), 404, String::new()),
            (format!("/v1/views/flight.leg/N{n}/x{n}"), 400, String::new()),
            (format!("/v1/views/flight.leg/N{n}/99999999999{n}"), 400, String::new()),
            (
                format!("/v1/views/flight.note/00000000-0000-0000-0000-{n:012}"),
                200,
                format!("P{n}"),
            ),
            // As Postgres takes it, too.
            (
                format!("/v1/views/flight.note/%7B00000000-0000-0000-0000-{n:012}%7D"),
                200,
                format!("P{n}"),
            ),
            (format!("/v1/views/flight.note/00000000-0000-0000-0000-{n}"), 400, String::new()),
        ] {
            let request = Request::get(&uri).body(Body::empty()).unwrap();
            let answer = Answer::to(stage.router.clone(), request);
            asked.spawn(async move { (uri, status, airport, answer.await) });
        }
    }
    while let Some(answered) = asked.join_next().await {
        let (uri, status, airport, answer) = answered.unwrap();
        assert_eq!(answer.status.as_u16(), status, "{uri}: {}", answer.text);
        let found = answer.json()["data"]["airport"].clone();
        assert_eq!(found.as_str().unwrap_or_default(), airport, "{uri}");
    }
}
