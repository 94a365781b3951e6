//! A list as JSON, JSON lines and CSV, and how many rows it has: headers, bytes, and what is refused.

use axum::body::Body;
use axum::http::Request;
use serde_json::json;

use crate::stage::{Answer, Stage};

async fn ask(stage: &Stage, uri: &str, headers: &[(&str, &str)]) -> Answer {
    let request = headers
        .iter()
        .fold(Request::get(uri), |request, (name, value)| request.header(*name, *value));
    stage.send(request.body(Body::empty()).unwrap()).await
}

#[tokio::test]
async fn each_form_is_written_as_its_standard_says() {
    let mut stage = Stage::flight().await;
    stage.run(r#"UPDATE "flight@1".flight SET gate = '' WHERE flight_id = 'F1'; UPDATE "flight@1".flight SET gate = E'a\r\n"b"' WHERE flight_id = 'F3'"#).await;
    let columns =
        "flight_id,gate,delay,fare,boarding,departs_at,stops,tags,seal,score,%22order%22:carrier";
    let uri = format!("/v1/views/flight?select={columns},%22x,y%22:code&limit=2");
    let csv = ask(&stage, &uri, &[("accept", "text/csv")]).await;
    assert_eq!(csv.header("content-type"), "text/csv; charset=utf-8");
    let first = "flight_id,gate,delay,fare,boarding,departs_at,stops,tags,seal,score,order,\"x,y\"\r\n\
        F1,\"\",5,99.50,true,2026-03-01T10:00:00.25+00:00,\"[{\"\"at\"\": \"\"AMS\"\"}]\",\"[\"\"a\"\", \"\"b c\"\"]\",\\x00ff,1.5,KL,ab \r\n\
        F2,,,10.00,,,[],,,NaN,KL,\r\n";
    assert_eq!(csv.text, first);
    let next = csv
        .header("link")
        .strip_prefix('<')
        .unwrap()
        .strip_suffix(">; rel=\"next\"")
        .unwrap()
        .to_owned();
    let rest = ask(&stage, &next, &[("accept", "text/csv")]).await;
    let (head, rest_text) = rest.text.split_once("\r\n").unwrap();
    assert_eq!(head, first.split_once("\r\n").unwrap().0);
    assert!(rest_text.starts_with("F3,\"a\r\n\"\"b\"\"\",90,250.10,false,"), "{rest_text}");
    assert_eq!(rest.header("link"), "");
    let all = ask(&stage, &uri.replace("limit=2", "limit=all"), &[("accept", "text/csv")]).await;
    assert_eq!((&*all.text, all.header("link")), (&*format!("{first}{rest_text}"), ""));

    let lines = ask(
        &stage,
        "/v1/views/flight?select=flight_id,delay&limit=2",
        &[("accept", "application/x-ndjson")],
    )
    .await;
    assert_eq!(lines.header("content-type"), "application/x-ndjson");
    assert_eq!(
        lines.text,
        "{\"flight_id\":\"F1\",\"delay\":5}\n{\"flight_id\":\"F2\",\"delay\":null}\n"
    );
    assert!(lines.header("link").ends_with("; rel=\"next\""));
    // An address may hold what a header may not.
    let uri = "/v1/views/flight?select=flight_id&carrier=neq.é&limit=2";
    let link = ask(&stage, uri, &[("accept", "text/csv")]).await.header("link").to_owned();
    let next =
        link.strip_prefix('<').and_then(|link| link.strip_suffix(">; rel=\"next\"")).unwrap();
    assert!(next.contains("neq.%C3%A9") && next.is_ascii(), "{next}");
    assert_eq!(ask(&stage, next, &[("accept", "text/csv")]).await.text, "flight_id\r\nF3\r\n");
    // Nothing is nothing, but for the names.
    for (accept, text) in [("application/x-ndjson", ""), ("text/csv", "fare\r\n")] {
        for limit in ["5", "all"] {
            let uri = format!("/v1/views/flight?select=fare&flight_id=eq.F9&limit={limit}");
            assert_eq!(ask(&stage, &uri, &[("accept", accept)]).await.text, text);
        }
    }
}

#[tokio::test]
async fn each_form_has_a_tag_of_its_own() {
    let stage = Stage::flight().await;
    let mut tags = Vec::new();
    for (accept, limit) in [
        ("*/*", "5"),
        ("application/x-ndjson", "5"),
        ("text/csv", "5"),
        ("text/csv", "all"),
        ("application/x-ndjson", "all"),
    ] {
        let uri = format!("/v1/views/flight?limit={limit}");
        let answer = ask(&stage, &uri, &[("accept", accept)]).await;
        assert_eq!(answer.header("vary"), "Accept, Accept-Encoding, Origin");
        let tag = answer.header("etag").to_owned();
        let again = ask(&stage, &uri, &[("accept", accept), ("if-none-match", &tag)]).await;
        assert_eq!((again.status.as_u16(), again.text.as_str()), (304, ""));
        assert_eq!((again.header("vary"), again.header("etag")), (answer.header("vary"), &*tag));
        let counted = ask(
            &stage,
            &uri,
            &[("accept", accept), ("if-none-match", &tag), ("prefer", "count=exact")],
        )
        .await;
        assert_eq!(counted.status, 200);
        tags.push(tag);
    }
    tags.sort_unstable();
    tags.dedup();
    assert_eq!(tags.len(), 5);
    let view = ask(&stage, "/v1/views/flight.late?limit=all", &[("accept", "text/csv")]).await;
    assert_eq!((view.status.as_u16(), view.header("etag")), (200, ""));
}

#[tokio::test]
async fn what_is_not_offered_is_refused() {
    let stage = Stage::flight().await;
    let refused = ask(&stage, "/v1/views/flight", &[("accept", "text/html, text/csv;q=0")]).await;
    let problem = refused.problem("html", 406, "not-acceptable");
    assert_eq!(
        problem["errors"][0]["allowed"],
        json!(["application/json", "application/x-ndjson", "text/csv"])
    );
    let whole = stage.problem("/v1/views/flight?limit=all", 400, "bad-value").await;
    assert!(whole["detail"].as_str().unwrap().contains("application/x-ndjson"), "{whole}");
    for limit in ["ALL", "all.", "0"] {
        let uri = format!("/v1/views/flight?limit={limit}");
        ask(&stage, &uri, &[("accept", "text/csv")]).await.problem(&uri, 400, "bad-value");
    }
    // A problem is a problem in every form.
    ask(&stage, "/v1/views/flight?delay=eq.soon&limit=all", &[("accept", "text/csv")])
        .await
        .problem("value", 400, "bad-value");
    ask(&stage, "/v1/views/train", &[("accept", "text/csv")]).await.problem(
        "view",
        404,
        "unknown-view",
    );
}

#[tokio::test]
async fn rows_are_counted_for_who_asks() {
    let mut stage = Stage::flight().await;
    stage.run(r#"INSERT INTO "flight@1".leg SELECT 'F' || n, 1, 'MAD' FROM generate_series(10, 1009) n; ANALYZE "flight@1".leg"#).await;
    let count = async |uri: &str, prefer: &str| {
        let answer = ask(&stage, uri, &[("prefer", prefer)]).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        (
            answer.json()["page"].get("count").cloned(),
            answer.header("preference-applied").to_owned(),
        )
    };
    let legs = "/v1/views/flight.leg?limit=2";
    assert_eq!(count(legs, "count=exact").await, (Some(json!(1003)), "count=exact".into()));
    assert_eq!(
        count(&format!("{legs}&or=(airport.eq.AMS,number.eq.2)"), "count=exact").await.0,
        Some(json!(2))
    );
    assert_eq!(
        count(&format!("{legs}&airport=eq.AMS"), "count=exact, count=none").await.0,
        Some(json!(1))
    );
    let (estimated, applied) = count(legs, "respond-async, count=\"estimated\"").await;
    assert!(
        (900..1100).contains(&estimated.unwrap().as_i64().unwrap()) && applied == "count=estimated"
    );
    let (few, _) = count(&format!("{legs}&airport=eq.AMS"), "count=estimated").await;
    assert_eq!(few, Some(json!(1)));
    assert_eq!(
        count("/v1/views/flight.leg?airport=eq.XXX", "count=estimated").await.0,
        Some(json!(0))
    );
    assert_eq!(count(legs, "count=none").await, (None, "count=none".into()));
    for unknown in ["count", "count=planned", "count=EXACT", "x=y", "", "count=exact2,"] {
        assert_eq!(count(legs, unknown).await, (None, String::new()), "{unknown}");
    }
    // All pages of a list say the same.
    let first = ask(&stage, legs, &[("prefer", "count=exact")]).await.json();
    assert_eq!(
        count(first["page"]["next"].as_str().unwrap(), "count=exact").await.0,
        Some(json!(1003))
    );
    for limit in ["2", "all"] {
        for (prefer, expected) in [("count=exact", 1003..1004), ("count=estimated", 900..1100)] {
            let headers = [("accept", "application/x-ndjson"), ("prefer", prefer)];
            let answer =
                ask(&stage, &format!("/v1/views/flight.leg?limit={limit}"), &headers).await;
            assert!(expected.contains(&answer.header("total-count").parse().unwrap()));
            assert_eq!(answer.header("preference-applied"), prefer);
        }
    }
    ask(&stage, "/v1/views/flight?delay=eq.soon", &[("prefer", "count=estimated")]).await.problem(
        "value",
        400,
        "bad-value",
    );
}
