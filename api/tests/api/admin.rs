//! The operators' routes: who is let in, and what they answer.

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};
use vitrina_api::admin::Access;

use crate::stage::{Answer, Stage};

/// A model with a queue of two records, and one without a key.
const PARKED: &str = r#"
INSERT INTO "flight@1"."@position" (topic, partition, topic_id, epoch, next_offset, first_offset)
VALUES ('flights.events', 0, 'id', 1, 9, 0);
INSERT INTO "flight@1"."@parked" (topic, partition, "offset", queue, key, value, headers, duplicate,
                                  reason, error_type, sqlstate, rule)
VALUES ('flights.events', 0, 3, '\x01', 'IB1', '\x6e6f', '[]', false,
        'value out of range', 'validation', '22003', 'flight.sql:9'),
       ('flights.events', 0, 5, '\x01', 'IB1', '\x6e6f', '[]', false, NULL, NULL, NULL, NULL),
       ('flights.events', 0, 7, NULL, '\xff00', '\x6e6f', '[]', false, 'no frame', 'corruption', NULL, NULL);
"#;

async fn ask(router: &Router, request: axum::http::request::Builder) -> Answer {
    Answer::to(router.clone(), request.body(Body::empty()).unwrap()).await
}

async fn post(router: &Router, uri: &str, body: &str) -> Answer {
    Answer::to(router.clone(), Request::post(uri).body(body.to_owned().into()).unwrap()).await
}

fn access(address: &str, token: Option<&str>) -> Access {
    Access::new(address.parse().unwrap(), token)
}

#[tokio::test]
async fn without_a_token_only_this_machine_is_let_in() {
    let stage = Stage::flight().await;
    let public = stage.admin(access("0.0.0.0:8082", None));
    for uri in ["/admin/v1/models", "/admin/v1/parked", "/admin/v1/parked/1"] {
        let problem = ask(&public, Request::get(uri)).await.problem(uri, 404, "admin-off");
        assert!(problem["detail"].as_str().unwrap().contains("http.admin_token"), "{problem}");
    }
    post(&public, "/admin/v1/models/flight/pause", "").await.problem("pause", 404, "admin-off");
    for open in ["/metrics", "/livez", "/readyz", "/healthz"] {
        let answer = ask(&public, Request::get(open)).await;
        assert_ne!(answer.json_or_null()["type"], "/problems/admin-off", "{open}");
    }
    let local = stage.admin(access("127.0.0.1:8082", None));
    let answer =
        ask(&local, Request::get("/admin/v1/models").header("host", "127.0.0.1:8082")).await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("cache-control")),
        (200, "no-store"),
        "{}",
        answer.text
    );
    let page =
        Request::post("/admin/v1/models/flight/pause").header("origin", "http://evil.example");
    ask(&local, page).await.problem("page", 403, "foreign");
}

#[tokio::test]
async fn with_a_token_everybody_needs_it() {
    let stage = Stage::flight().await;
    for address in ["0.0.0.0:8082", "127.0.0.1:8082"] {
        let router = stage.admin(access(address, Some("secret")));
        let without = ask(&router, Request::get("/admin/v1/models")).await;
        without.problem("without", 401, "unauthorized");
        assert_eq!(without.header("www-authenticate"), "Bearer");
        let wrong = Request::get("/admin/v1/models").header("authorization", "Bearer secre");
        ask(&router, wrong).await.problem("wrong", 401, "unauthorized");
        let right = Request::get("/admin/v1/models").header("authorization", "Bearer secret");
        assert_eq!(ask(&router, right).await.status, 200);
        assert_eq!(ask(&router, Request::get("/livez")).await.status, 200);
    }
}

#[tokio::test]
async fn models_and_parked_records_are_listed() {
    let mut stage = Stage::flight().await;
    stage.run(PARKED).await;
    stage.worker("flight", "live", "now()").await;
    let router = stage.admin(access("127.0.0.1:1", None));
    let models = ask(&router, Request::get("/admin/v1/models")).await.json();
    let model = &models["models"][0];
    assert_eq!(
        (&model["model"], &model["state"], &model["parked"]),
        (&json!("flight"), &json!("live"), &json!(3))
    );

    let all = ask(&router, Request::get("/admin/v1/parked")).await.json();
    let told = |field: &str| {
        all["parked"].as_array().unwrap().iter().map(|line| line[field].clone()).collect::<Value>()
    };
    assert_eq!(told("offset"), json!([3, 5, 7]));
    assert_eq!(told("key"), json!(["IB1", "IB1", "\\xff00"]));
    assert_eq!(told("sqlstate"), json!(["22003", null, null]));
    assert_eq!(told("rule"), json!(["flight.sql:9", null, null]));
    assert_eq!(told("behind"), json!([null, all["parked"][0]["id"], null]));
    assert!(!all.to_string().contains("value\":"), "{all}");

    let page =
        ask(&router, Request::get("/admin/v1/parked?model=flight&after=1&limit=1")).await.json();
    assert_eq!(page["parked"].as_array().unwrap().len(), 1, "{page}");
    assert_eq!(page["parked"][0]["offset"], 5);
    for (uri, status, slug) in [
        ("/admin/v1/parked?model=nobody", 404, "unknown-name"),
        ("/admin/v1/parked?limit=many", 400, "bad-value"),
        ("/admin/v1/parked?modle=flight", 400, "unknown-parameter"),
        ("/admin/v1/parked/99", 404, "unknown-name"),
        ("/admin/v1/parked/first", 404, "unknown-name"),
        ("/admin/v1/models/flight/pause", 405, "method-not-allowed"),
    ] {
        ask(&router, Request::get(uri)).await.problem(uri, status, slug);
    }
}

#[tokio::test]
async fn decisions_are_carried_out_or_say_why_not() {
    let mut stage = Stage::flight().await;
    stage.run(PARKED).await;
    let router = stage.admin(access("127.0.0.1:1", None));
    post(&router, "/admin/v1/parked/99/discard", r#"{"reason": "x"}"#).await.problem(
        "id",
        404,
        "unknown-name",
    );
    for body in ["", "{}", r#"{"reason": " "}"#, r#"{"reason": "x", "rason": "y"}"#] {
        post(&router, "/admin/v1/parked/1/discard", body).await.problem(body, 400, "refused");
    }
    let discarded = post(&router, "/admin/v1/parked/1/discard", r#"{"reason": "a test's"}"#).await;
    assert_eq!(discarded.json(), json!({ "discarded": 1 }));
    let left = ask(&router, Request::get("/admin/v1/parked")).await.json();
    assert_eq!(left["parked"].as_array().unwrap().len(), 2, "{left}");
    post(&router, "/admin/v1/parked/1/retry", "").await.problem("gone", 404, "unknown-name");

    post(&router, "/admin/v1/models/nobody/pause", "").await.problem("pause", 404, "unknown-name");
    assert_eq!(post(&router, "/admin/v1/models/flight/pause", "").await.json()["paused"], true);
    assert_eq!(post(&router, "/admin/v1/models/flight/resume", "").await.json()["paused"], false);
}

#[tokio::test]
async fn health_is_the_judgement_over_all_models() {
    let mut stage = Stage::flight().await;
    let reasons = |problem: Value| problem["errors"].to_string();
    let unwell = reasons(stage.problem("/healthz", 503, "unwell").await);
    assert!(unwell.contains("no running instance"), "{unwell}");

    stage.worker("flight", "waiting", "now()").await;
    let well = stage.get("/healthz").await;
    assert_eq!(
        (well.status.as_u16(), &well.json()["status"]),
        (200, &json!("ok")),
        "{}",
        well.text
    );
    stage.worker("other", "live", "now() - interval '1 minute'").await;
    assert!(reasons(stage.problem("/healthz", 503, "unwell").await).contains("other"));
    stage.run("DELETE FROM vitrina.worker WHERE model = 'other'").await;

    for state in ["stopped", "breaker_open"] {
        stage.worker("flight", state, "now()").await;
        let unwell = reasons(stage.problem("/healthz", 503, "unwell").await);
        assert!(unwell.contains(&state[..7]) && !unwell.contains("secret"), "{unwell}");
    }
    stage.worker("flight", "live", "now()").await;
    stage
        .run("UPDATE vitrina.worker SET lag_ms = 31000, recent_events = 10, recent_errors = 1")
        .await;
    let unwell = reasons(stage.problem("/healthz", 503, "unwell").await);
    assert!(
        unwell.contains("31.0 s behind") && unwell.contains("1 errors in 10 events"),
        "{unwell}"
    );
    stage.run("UPDATE vitrina.worker SET lag_ms = 0, recent_errors = 0").await;
    assert_eq!(stage.get("/healthz").await.status, 200);
    stage
        .run(
            r#"INSERT INTO "flight@1"."@parked" (topic, partition, "offset", headers, duplicate)
               SELECT 't', 0, number, '[]', false FROM generate_series(1, 11) number"#,
        )
        .await;
    assert!(
        reasons(stage.problem("/healthz", 503, "unwell").await)
            .contains("more than 10 of its records are parked")
    );
}

#[tokio::test]
async fn who_is_shown_a_payload_is_written_down_first() {
    let mut stage = Stage::flight().await;
    stage.run(PARKED).await;
    let router = stage.admin(access("127.0.0.1:1", Some("secret")));
    let bearing = |uri: &str| Request::get(uri).header("authorization", "Bearer secret");
    for refused in ["/admin/v1/parked/1", "/admin/v1/parked/2"] {
        ask(&router, Request::get(refused)).await.problem(refused, 401, "unauthorized");
    }
    assert_eq!(ask(&router, bearing("/admin/v1/parked")).await.status, 200);
    ask(&router, bearing("/admin/v1/parked/99")).await.problem("none", 404, "unknown-name");
    ask(&router, bearing("/admin/v1/parked/2")).await;
    let read =
        r#"SELECT parked || ' at ' || "offset" || ' by ' || read_by FROM vitrina.payload_read"#;
    let reads: Vec<String> = sqlx::query_scalar(read).fetch_all(&mut stage.postgres).await.unwrap();
    assert_eq!(reads, ["2 at 5 by http.admin_token"]);
    // What cannot be written down is not shown.
    stage.run("ALTER TABLE vitrina.payload_read RENAME TO away").await;
    let answer = ask(&router, bearing("/admin/v1/parked/2")).await;
    answer.problem("unwritten", 400, "refused");
    assert!(!answer.text.contains("bm8="), "{}", answer.text);
}
