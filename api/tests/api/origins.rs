//! Pages of other origins, callers that ask too often, and answers in fewer bytes.

use std::io::Read as _;
use std::num::NonZeroU32;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode};
use metrics_exporter_prometheus::PrometheusBuilder;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use tower::ServiceExt as _;
use vitrina_api::admin::Access;
use vitrina_api::{
    Algorithm, Api, ApiSettings, AuthSettings, KeySource, Origin, Rate, TokenSettings,
};

use crate::issuer::{seconds, with_secret};
use crate::stage::{Answer, Stage, operators};

const SHOP: &str = "https://shop.example.org";

fn router(stage: &Stage, origins: &[&str]) -> Router {
    let cors_origins = origins.iter().map(|origin| origin.parse::<Origin>().unwrap()).collect();
    let settings = ApiSettings { cors_origins, ..ApiSettings::new(&stage.url) };
    let metrics = PrometheusBuilder::new().build_recorder().handle();
    Api::new(settings).unwrap().joint_router(metrics, operators(&stage.url, Access::Local))
}

async fn ask(router: &Router, method: &str, uri: &str, headers: &[(&str, &str)]) -> Answer {
    let request = Request::builder().method(method).uri(uri);
    let request =
        headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    Answer::to(router.clone(), request.body(Body::empty()).unwrap()).await
}

fn names(answer: &Answer, header: &str) -> Vec<String> {
    answer.header(header).split(',').map(|name| name.trim().to_ascii_lowercase()).collect()
}

#[tokio::test]
async fn pages_of_the_origins_named_read_whatever_is_answered_and_no_others_do() {
    let stage = Stage::flight().await;
    let router = router(&stage, &[SHOP, "http://localhost:5173"]);
    let long = format!("/v1/views/flight?carrier=eq.{}", "a".repeat(40_000));
    let answers = [
        ("GET", "/v1/views/flight", 200),
        ("HEAD", "/v1/views/flight", 200),
        ("GET", "/v1/views/flight/F9", 404),
        ("GET", "/v1/views/train", 404),
        ("GET", "/v1/nowhere", 404),
        ("GET", "/v1/views/flight?nothing=1", 400),
        ("GET", "/v1/schemas/flight", 200),
        ("POST", "/v1/views/flight", 405),
        ("BREW", "/v1/views/flight", 501),
        ("GET", &long, 414),
    ];
    for (method, uri, status) in answers {
        for origin in [SHOP, "http://localhost:5173"] {
            let answer = ask(&router, method, uri, &[("origin", origin)]).await;
            assert_eq!(answer.status.as_u16(), status, "{method} {uri}");
            assert_eq!(answer.header("access-control-allow-origin"), origin, "{method} {uri}");
            let seen = names(&answer, "access-control-expose-headers");
            for header in
                ["projection-position", "etag", "link", "retry-after", "preference-applied"]
            {
                assert!(seen.contains(&header.to_owned()), "{header} is not in {seen:?}");
            }
        }
        for origin in ["https://evil.example", "http://shop.example.org", "null"] {
            let answer = ask(&router, method, uri, &[("origin", origin)]).await;
            assert_eq!(answer.header("access-control-allow-origin"), "", "{method} {uri} {origin}");
        }
        // A cache must not give one page's answer to another.
        let vary = names(&ask(&router, method, uri, &[]).await, "vary");
        assert_eq!(vary, ["accept", "accept-encoding", "origin"], "{method} {uri}");
    }
}

#[tokio::test]
async fn a_browsers_question_is_answered_before_anything_is_asked_of_postgres() {
    let stage = Stage::empty().await;
    let router = router(&stage, &[SHOP]);
    let question = [
        ("origin", SHOP),
        ("access-control-request-method", "GET"),
        ("access-control-request-headers", "authorization,read-after"),
    ];
    let answer = ask(&router, "OPTIONS", "/v1/views/flight", &question).await;
    assert!(answer.status.is_success(), "{}", answer.status);
    assert_eq!(answer.header("access-control-allow-origin"), SHOP);
    assert_eq!(names(&answer, "access-control-allow-methods"), ["get", "head"]);
    let sent = names(&answer, "access-control-allow-headers");
    for header in ["authorization", "x-api-key", "if-none-match", "read-after", "prefer", "accept"]
    {
        assert!(sent.contains(&header.to_owned()), "{header} is not in {sent:?}");
    }
    assert_eq!(answer.header("vary"), "Accept, Accept-Encoding, Origin");

    let other = [("origin", "https://evil.example"), ("access-control-request-method", "GET")];
    let answer = ask(&router, "OPTIONS", "/v1/views/flight", &other).await;
    assert_eq!(answer.header("access-control-allow-origin"), "");
    // Nobody's browser: somebody who asks for the methods.
    let answer = ask(&router, "OPTIONS", "/v1/views/flight", &[("origin", SHOP)]).await;
    assert_eq!((answer.status.as_u16(), answer.header("allow")), (204, "GET, HEAD, OPTIONS"));
}

#[tokio::test]
async fn nothing_of_operators_is_open_to_pages_of_other_origins_on_a_shared_listener() {
    let stage = Stage::flight().await;
    for origins in [&["*"][..], &[SHOP]] {
        let router = router(&stage, origins);
        for uri in ["/admin/v1/models", "/admin/v1/parked", "/metrics", "/healthz", "/livez"] {
            for method in ["GET", "POST", "OPTIONS"] {
                let headers = [("origin", SHOP), ("access-control-request-method", "GET")];
                let answer = ask(&router, method, uri, &headers).await;
                let open = answer.headers.keys().any(|name| name.as_str().starts_with("access-"));
                assert!(!open, "{method} {uri}: {:?}", answer.headers);
            }
        }
    }
}

#[tokio::test]
async fn all_origins_may_be_let_in_and_none_are_by_default() {
    let stage = Stage::flight().await;
    let answer = ask(&router(&stage, &["*"]), "GET", "/v1/views/flight", &[("origin", SHOP)]).await;
    assert_eq!(answer.header("access-control-allow-origin"), "*");
    assert_eq!(answer.header("access-control-allow-credentials"), "");
    let closed = router(&stage, &[]);
    let question = [("origin", SHOP), ("access-control-request-method", "GET")];
    for method in ["GET", "OPTIONS"] {
        let answer = ask(&closed, method, "/v1/views/flight", &question).await;
        assert!(answer.status.is_success());
        assert!(!answer.headers.keys().any(|name| name.as_str().starts_with("access-")));
    }
}

/// The body as it goes over the wire.
async fn bytes(
    router: &Router,
    method: &str,
    uri: &str,
    accepted: &str,
) -> (StatusCode, HeaderMap, Vec<u8>) {
    let request = Request::builder().method(method).uri(uri).header("accept-encoding", accepted);
    let response = router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    let (head, body) = response.into_parts();
    (head.status, head.headers, to_bytes(body, usize::MAX).await.unwrap().to_vec())
}

#[tokio::test]
async fn long_answers_come_in_fewer_bytes_and_say_the_same() {
    let mut stage = Stage::flight().await;
    stage
        .run(r#"INSERT INTO "flight@1".leg SELECT 'F1', n, 'LIS' FROM generate_series(10, 300) n"#)
        .await;
    let uri = "/v1/views/flight.leg?limit=300";
    let plain = stage.get(uri).await;
    let text = |coding: &str, body: &[u8]| {
        let mut text = String::new();
        match coding {
            "gzip" => _ = flate2::read::GzDecoder::new(body).read_to_string(&mut text).unwrap(),
            "zstd" => _ = zstd::Decoder::new(body).unwrap().read_to_string(&mut text).unwrap(),
            _ => text = String::from_utf8(body.to_vec()).unwrap(),
        }
        text
    };
    for (accepted, coding) in [
        ("gzip", "gzip"),
        ("gzip, deflate, br, zstd", "zstd"),
        ("zstd;q=0.5, gzip", "gzip"),
        ("br", ""),
        ("identity", ""),
        ("gzip;q=0", ""),
        // Nothing is left then; an answer in the clear is still the better one.
        ("identity;q=0", ""),
        ("*;q=0", ""),
        ("é", ""),
        (";;,q=,", ""),
    ] {
        let (status, headers, body) = bytes(&stage.router, "GET", uri, accepted).await;
        assert_eq!(status, StatusCode::OK, "{accepted}");
        let header = |name: &str| headers.get(name).map_or("", |value| value.to_str().unwrap());
        assert_eq!(header("content-encoding"), coding, "{accepted}");
        assert_eq!(header("etag"), plain.header("etag"), "{accepted}");
        assert_eq!(header("vary"), "Accept, Accept-Encoding, Origin", "{accepted}");
        assert_eq!(text(coding, &body), plain.text, "{accepted}");
        assert!(coding.is_empty() || body.len() < plain.text.len() / 4, "{accepted}");
        // The same head, and no length that is another body's.
        let (status, head, body) = bytes(&stage.router, "HEAD", uri, accepted).await;
        assert_eq!((status, body.len()), (StatusCode::OK, 0), "{accepted}");
        assert_eq!(head.get("content-encoding"), headers.get("content-encoding"), "{accepted}");
        assert_eq!(head.get("content-length").is_some(), coding.is_empty(), "{accepted}");
    }
    let (_, headers, _) = bytes(&stage.router, "GET", "/v1/views/flight.leg?limit=1", "gzip").await;
    assert!(!headers.contains_key("content-encoding"), "a short answer");
    let (status, headers, body) = bytes(&stage.router, "GET", "/v1/views/train", "*;q=0").await;
    assert_eq!(
        (status.as_u16(), headers["content-type"].as_bytes()),
        (404, &b"application/problem+json"[..])
    );
    assert!(text("", &body).contains("\"status\":404"));
}

#[tokio::test]
async fn who_asks_too_often_is_told_when_to_come_back() {
    let stage = Stage::flight().await;
    let number = |number| NonZeroU32::new(number).unwrap();
    let rate = Rate { count: number(1), per: Duration::from_secs(3600), burst: number(3) };
    let cors_origins = vec![SHOP.parse().unwrap()];
    let settings = ApiSettings { rate: Some(rate), cors_origins, ..ApiSettings::new(&stage.url) };
    let router = Api::new(settings).unwrap().router();
    let uri = "/v1/views/flight?limit=1";
    // What anybody may write into a header makes nobody another caller.
    for said in ["10.0.0.1", "10.0.0.2", "10.0.0.3"] {
        let forwarded = [("x-forwarded-for", said), ("x-real-ip", said), ("forwarded", said)];
        assert_eq!(ask(&router, "GET", uri, &forwarded).await.status, 200);
    }
    // One bucket for all that is read, whatever is asked and however.
    for (method, uri) in
        [("GET", uri), ("HEAD", uri), ("GET", "/v1/views/train"), ("GET", "/v1/views")]
    {
        let answer = ask(&router, method, uri, &[("origin", SHOP)]).await;
        assert_eq!(answer.status.as_u16(), 429, "{method} {uri}");
        let wait: u32 = answer.header("retry-after").parse().unwrap();
        assert!((3500..=3600).contains(&wait), "{wait}");
        assert_eq!(answer.header("access-control-allow-origin"), SHOP);
    }
    ask(&router, "GET", uri, &[]).await.problem(uri, 429, "too-many-requests");
    // Not what keeps the instance alive, nor a browser's question.
    assert_eq!(ask(&router, "GET", "/readyz", &[]).await.status, 200);
    let question = [("origin", SHOP), ("access-control-request-method", "GET")];
    assert_eq!(ask(&router, "OPTIONS", uri, &question).await.status, 200);
}

#[tokio::test]
async fn who_guesses_is_bounded_and_locks_nobody_out() {
    let stage = Stage::flight().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keys.toml");
    let digest = Sha256::digest("open sesame");
    std::fs::write(&file, format!("[keys.shop]\nsha256 = \"{digest:x}\"\nroles = []\n")).unwrap();
    let number = |number| NonZeroU32::new(number).unwrap();
    let rate = Rate { count: number(1), per: Duration::from_secs(3600), burst: number(3) };
    let secret = folder.path().join("secret");
    std::fs::write(&secret, [b's'; 32]).unwrap();
    let tokens = TokenSettings {
        keys: KeySource::SecretFile(secret),
        issuer: None,
        audience: "vitrina".to_owned(),
        algorithms: vec![Algorithm::HS256],
        roles_claim: "roles".to_owned(),
    };
    let auth = AuthSettings { tokens: Some(tokens), api_keys_file: Some(file) };
    let settings =
        ApiSettings { rate: Some(rate), auth: Some(auth), ..ApiSettings::new(&stage.url) };
    let router = Api::new(settings).unwrap().router();
    let status = async |headers: &[(&str, &str)]| {
        ask(&router, "GET", "/v1/views", headers).await.status.as_u16()
    };
    for expected in [401, 401, 401, 429, 429] {
        assert_eq!(status(&[("x-api-key", "open barley")]).await, expected);
    }
    for expected in [200, 200, 200, 429] {
        assert_eq!(status(&[("x-api-key", "open sesame")]).await, expected);
    }
    // Of a token's bearer with the name of a key it is another bucket.
    let claims = json!({ "sub": "shop", "aud": "vitrina", "exp": seconds() + 600 });
    let token = with_secret(&[b's'; 32], &json!({ "alg": "HS256" }), &claims);
    assert_eq!(status(&[("authorization", &format!("Bearer {token}"))]).await, 200);
    assert_eq!(status(&[]).await, 200);
    let answer = ask(&router, "GET", "/openapi.json", &[]).await.json();
    assert!(answer["components"]["responses"]["list.401"].is_object());
    assert!(answer["components"]["securitySchemes"]["bearer"].is_object());
}
