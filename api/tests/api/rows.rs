//! One row by its key.

use axum::body::Body;
use axum::http::{Request, StatusCode};
use serde_json::json;

use crate::stage::{Stage, golden};

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
