//! Health, metrics, and the answers that no handler makes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use metrics_exporter_prometheus::PrometheusBuilder;
use vitrina_api::admin::Access;
use vitrina_api::{Api, ApiSettings, DURATION_SECONDS, REQUESTS_TOTAL, describe_metrics};

use crate::postgres;
use crate::stage::{Answer, Stage, operators};

async fn ask(router: &axum::Router, uri: &str) -> Answer {
    Answer::to(router.clone(), Request::get(uri).body(Body::empty()).unwrap()).await
}

#[tokio::test]
async fn ready_needs_definitions_and_control_tables_live_needs_nothing() {
    let stage = Stage::empty().await;
    let loaded = Arc::new(AtomicBool::new(false));
    let router = Api::new(ApiSettings {
        definitions_loaded: loaded.clone(),
        ..ApiSettings::new(&stage.url)
    })
    .unwrap()
    .router();
    ask(&router, "/readyz").await.problem("readyz", 503, "not-ready");
    loaded.store(true, Ordering::Relaxed);
    assert_eq!(ask(&router, "/readyz").await.status, 200);

    let bare = Api::new(ApiSettings::new(postgres::database().await)).unwrap().router();
    ask(&bare, "/readyz").await.problem("readyz", 503, "not-ready");
    ask(&bare, "/v1/views").await.problem("views", 503, "unavailable");

    let away = Api::new(ApiSettings::new("postgres://postgres@127.0.0.1:1/none")).unwrap().router();
    assert_eq!(ask(&away, "/livez").await.status, 200);
    ask(&away, "/readyz").await.problem("readyz", 503, "not-ready");
    let list = ask(&away, "/v1/views/flight").await;
    list.problem("list", 503, "unavailable");
    assert_eq!(list.header("retry-after"), "1");
    assert!(Api::new(ApiSettings::new("nonsense")).is_err());
}

#[tokio::test]
async fn what_is_not_ours_is_a_problem_too() {
    let stage = Stage::flight().await;
    for uri in ["/", "/v1", "/v1/views/", "/v2/views", "/metrics"] {
        stage.problem(uri, 404, "unknown-route").await;
    }
    let problem = stage.problem("/v1/changes/flight", 404, "unknown-route").await;
    assert!(problem["detail"].as_str().unwrap().contains("not built yet"), "{problem}");
    let admin = stage.admin(Access::Off);
    let problem = ask(&admin, "/v1/views").await.problem("/v1/views", 404, "unknown-route");
    assert!(!problem["detail"].as_str().unwrap().contains("GET /v1/views"), "{problem}");
    stage
        .problem(
            &format!("/v1/views/flight?carrier=eq.{}", "a".repeat(40_000)),
            414,
            "uri-too-long",
        )
        .await;
    let large = Request::get("/v1/views")
        .header("x-large", "a".repeat(40_000))
        .body(Body::empty())
        .unwrap();
    stage.send(large).await.problem("headers", 431, "headers-too-large");
}

#[tokio::test]
async fn methods_that_are_not_possible_name_those_that_are() {
    let stage = Stage::flight().await;
    let admin = stage.admin(Access::Local);
    let ask = async |method: &str, uri: &str| {
        let request = Request::builder().method(method).uri(uri).body(Body::empty()).unwrap();
        let router = if uri.starts_with("/admin") { &admin } else { &stage.router };
        Answer::to(router.clone(), request).await
    };
    for (uri, allow) in [
        ("/v1/views", "GET, HEAD, OPTIONS"),
        ("/v1/views/flight", "GET, HEAD, OPTIONS"),
        ("/v1/views/flight/F1", "GET, HEAD, OPTIONS"),
        ("/v1/schemas/flight", "GET, HEAD, OPTIONS"),
        ("/livez", "GET, HEAD, OPTIONS"),
        ("/admin/v1/models/flight/pause", "POST, OPTIONS"),
        ("/admin/v1/parked/1", "GET, HEAD, OPTIONS"),
    ] {
        for method in ["DELETE", "PUT", "PATCH", "TRACE"] {
            let answer = ask(method, uri).await;
            let problem = answer.problem(uri, 405, "method-not-allowed");
            assert_eq!(answer.header("allow"), allow, "{method} {uri}");
            assert!(problem["detail"].as_str().unwrap().contains(allow), "{problem}");
        }
        let answer = ask("OPTIONS", uri).await;
        assert_eq!((answer.status.as_u16(), answer.header("allow")), (204, allow), "{uri}");
        for method in ["BREW", "get", "PROPFIND", "G"] {
            ask(method, uri).await.problem(uri, 501, "not-implemented");
        }
    }
    ask("DELETE", "/nowhere").await.problem("/nowhere", 404, "unknown-route");
    let head = ask("HEAD", "/v1/views/flight").await;
    assert_eq!((head.status.as_u16(), head.text.as_str()), (200, ""));
}

#[tokio::test]
async fn overload_is_said_at_once_and_does_not_reach_the_probes() {
    let mut stage = Stage::flight().await;
    let settings = ApiSettings {
        max_concurrent: 1,
        pool: 1,
        statement_timeout: Duration::from_secs(30),
        ..ApiSettings::new(&stage.url)
    };
    let router = Api::new(settings).unwrap().router();
    assert_eq!(ask(&router, "/v1/views/flight").await.status, 200);
    stage.run(r#"BEGIN; LOCK "flight@1".flight"#).await;
    let waiting = tokio::spawn({
        let router = router.clone();
        async move {
            loop {
                match ask(&router, "/v1/views/flight").await.status.as_u16() {
                    503 => tokio::task::yield_now().await,
                    status => return status,
                }
            }
        }
    });
    // Until the other one is in, and waits for the lock.
    while ask(&router, "/v1/views").await.status == 200 {
        tokio::task::yield_now().await;
    }
    ask(&router, "/v1/views").await.problem("views", 503, "overloaded");
    assert_eq!(ask(&router, "/readyz").await.status, 200);
    stage.run("COMMIT").await;
    assert_eq!(waiting.await.unwrap(), 200);
}

#[tokio::test]
async fn a_request_that_its_caller_left_spoils_no_connection() {
    let mut stage = Stage::flight().await;
    let router =
        Api::new(ApiSettings { pool: 1, ..ApiSettings::new(&stage.url) }).unwrap().router();
    assert_eq!(ask(&router, "/v1/views/flight").await.status, 200);
    for patience in 0..20 {
        stage.run(r#"BEGIN; LOCK "flight@1".flight"#).await;
        let left =
            tokio::time::timeout(Duration::from_millis(patience), ask(&router, "/v1/views/flight"))
                .await;
        assert!(left.is_err());
        stage.run("COMMIT").await;
        assert_eq!(ask(&router, "/v1/views/flight/F1").await.json()["data"]["flight_id"], "F1");
    }
}

#[test]
fn metrics_count_routes_not_addresses() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let text = metrics::with_local_recorder(&recorder, || {
        runtime.block_on(async {
            describe_metrics();
            let stage = Stage::flight().await;
            let router = Api::new(ApiSettings::new(&stage.url))
                .unwrap()
                .joint_router(handle, operators(&stage.url, Access::Off));
            ask(&router, "/v1/views/flight/F1").await;
            ask(&router, "/v1/views/flight/F9").await;
            ask(&router, "/elsewhere").await;
            ask(&router, "/metrics").await.text
        })
    });
    for line in [
        format!("# TYPE {REQUESTS_TOTAL} counter"),
        format!(
            r#"{REQUESTS_TOTAL}{{route="/v1/views/{{view}}/{{*key}}",method="GET",status="200"}} 1"#
        ),
        format!(
            r#"{REQUESTS_TOTAL}{{route="/v1/views/{{view}}/{{*key}}",method="GET",status="404"}} 1"#
        ),
        format!(r#"{REQUESTS_TOTAL}{{route="unmatched",method="GET",status="404"}} 1"#),
        format!(
            r#"{DURATION_SECONDS}_count{{route="/v1/views/{{view}}/{{*key}}",method="GET"}} 2"#
        ),
    ] {
        assert!(text.contains(&line), "{line} is not in\n{text}");
    }
}
