//! Reading what was just written: `Read-After`, and how old a 304 may be.

use std::time::Instant;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use serde_json::json;
use vitrina_projectors::stored_id;

use crate::stage::{Answer, Stage};

const CONTRACTS: &str = r#"{"files": {
    "c/air/context.toml": "topic = \"air.events\"\nkey = \"flight_id\"\n",
    "c/air/landed/v1.avsc": "{\"type\":\"record\",\"name\":\"Landed\",\"namespace\":\"air\",\"fields\":[{\"name\":\"flight_id\",\"type\":\"string\"}]}",
    "c/sea/context.toml": "topic = \"sea.events\"\nkey = \"flight_id\"\n",
    "c/sea/left/v1.avsc": "{\"type\":\"record\",\"name\":\"Left\",\"namespace\":\"sea\",\"fields\":[{\"name\":\"flight_id\",\"type\":\"string\"}]}",
    "m/flight.sql": "CREATE TABLE flight (flight_id text PRIMARY KEY); INSERT INTO flight SELECT e.flight_id FROM air.landed e ON CONFLICT (flight_id) DO NOTHING; INSERT INTO flight SELECT e.flight_id FROM sea.left e ON CONFLICT (flight_id) DO NOTHING;"
}, "indexes": []}"#;

/// Three partitions of `air.events`, read up to 4, nothing, and 9; of `sea.events` none yet.
async fn stage() -> Stage {
    let mut stage = Stage::flight().await;
    stage.run(&format!("UPDATE vitrina.generation SET definition = '{CONTRACTS}'")).await;
    stage
        .run(
            r#"INSERT INTO "flight@1"."@position" (topic, partition, topic_id, epoch, next_offset, first_offset)
               VALUES ('air.events', 0, '', 1, 5, 0), ('air.events', 1, '', 1, 0, 0), ('air.events', 2, '', 1, 10, 0);
               UPDATE "flight@1"."@generation" SET duplicate_window = 100"#,
        )
        .await;
    stage
}

fn asking(uri: &str, after: &str, wait: &str) -> Request<Body> {
    let request = Request::get(uri).header("read-after", after).header("prefer", wait);
    request.body(Body::empty()).unwrap()
}

async fn after(stage: &Stage, after: &str) -> Answer {
    stage.send(asking("/v1/views/flight/F1", after, "wait=0")).await
}

#[tokio::test]
async fn what_is_reached_is_answered_at_once_and_what_is_not_is_said_to_be_behind() {
    let stage = stage().await;
    let position = stage.get("/v1/views/flight").await.header("projection-position").to_owned();
    assert_eq!(position, "air.events=4.-.9");
    for reached in [
        &*position,
        "",
        "air.events=4",
        "air.events=-.-.-",
        "air.events=-.-.-.-.-",
        "air.events/2=9",
        "air.events/0=0, air.events/2=1",
    ] {
        let answer = after(&stage, reached).await;
        assert_eq!(answer.status, StatusCode::OK, "{reached}: {}", answer.text);
    }
    for behind in [
        "air.events=5",
        "air.events=4.0.9",
        "air.events/1=0",
        "air.events/0=1,air.events/2=10",
        // Nobody has begun to read it, so it is behind.
        "sea.events=0",
        "sea.events/7=3",
        r#"event="E1""#,
    ] {
        let answer = after(&stage, behind).await;
        answer.problem(behind, 503, "projection-behind");
        assert_eq!(answer.header("retry-after"), "1", "{behind}");
        assert_eq!(answer.header("projection-position"), position, "{behind}");
    }
}

#[tokio::test]
async fn what_the_model_does_not_read_is_refused_at_once() {
    let mut stage = stage().await;
    for (wrong, allowed) in [
        ("rail.events=1", json!(["air.events", "sea.events"])),
        ("rail.events=-", json!(["air.events", "sea.events"])),
        ("air.events=1,rail.events/0=1", json!(["air.events", "sea.events"])),
        ("air.events/3=1", json!([])),
        ("air.events=4.-.9.0", json!([])),
    ] {
        let request = asking("/v1/views/flight", wrong, "wait=30");
        let problem = stage.send(request).await.problem(wrong, 400, "bad-value");
        assert_eq!(problem["errors"][0]["parameter"], "Read-After", "{wrong}");
        assert_eq!(problem["errors"][0]["allowed"], allowed, "{wrong}");
    }
    after(&stage, "nonsense").await.problem("nonsense", 400, "bad-value");
    let many = vec![r#"event="E""#; 17].join(",");
    after(&stage, &many).await.problem("many", 400, "bad-value");
    let bytes = Request::get("/v1/views/flight").header("read-after", &b"event=\"\xff\""[..]);
    stage.send(bytes.body(Body::empty()).unwrap()).await.problem("bytes", 400, "bad-value");
    // A view that is not there is that first.
    let unknown = stage.send(asking("/v1/views/train", "air.events=5", "wait=0")).await;
    unknown.problem("train", 404, "unknown-view");
    stage.run(r#"UPDATE "flight@1"."@generation" SET duplicate_window = 0"#).await;
    after(&stage, r#"event="E1""#).await.problem("no window", 400, "bad-value");
}

/// The bytes of one event of the window, of which only the id is known.
fn seen(id: &str) -> String {
    let id: String = stored_id(id).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("'\\x{}{id}'", "00".repeat(32))
}

async fn wake(stage: &mut Stage, after: &str, moves: &str) -> Answer {
    let router = stage.router.clone();
    let waiting = asking("/v1/views/flight/F9", after, "handling=lenient, wait=30");
    let waiting = tokio::spawn(Answer::to(router, waiting));
    // It may ask before or after this; either way it is not answered before the commit.
    let insert = "INSERT INTO flight@1.flight (flight_id, carrier, fare) VALUES ('F9', 'KL', 1)";
    let insert = insert.replace("flight@1", "\"flight@1\"");
    stage.run(&format!("BEGIN; {insert}; {moves}; COMMIT")).await;
    waiting.await.unwrap()
}

#[tokio::test]
async fn who_waits_is_answered_with_the_rows_of_what_was_waited_for() {
    for (after, moves) in [
        ("air.events/1=0", r#"UPDATE "flight@1"."@position" SET next_offset = 1 WHERE partition = 1"#.to_owned()),
        (
            "air.events=6,sea.events/0=2",
            r#"UPDATE "flight@1"."@position" SET next_offset = 7 WHERE partition = 0;
               INSERT INTO "flight@1"."@position" (topic, partition, topic_id, epoch, next_offset, first_offset)
               VALUES ('sea.events', 0, '', 1, 3, 0)"#
                .to_owned(),
        ),
        (
            r#"event="E1", event="é\"2", air.events=4"#,
            format!(
                r#"UPDATE "flight@1"."@position" SET next_offset = next_offset + 2;
                   INSERT INTO "flight@1"."@seen" VALUES ('air.events', 0, 6, {}), ('air.events', 1, 1, {})"#,
                seen("E1"),
                seen("é\"2")
            ),
        ),
        (
            // A record that is retried is put in its own place: no position moves.
            r#"event="E1""#,
            format!(
                r#"UPDATE "flight@1"."@position" SET parked_version = 1;
                   INSERT INTO "flight@1"."@seen" VALUES ('air.events', 0, 2, {})"#,
                seen("E1")
            ),
        ),
    ] {
        let mut stage = stage().await;
        let answer = wake(&mut stage, after, &moves).await;
        assert_eq!(answer.status, StatusCode::OK, "{after}: {}", answer.text);
        assert_eq!(answer.json()["data"]["flight_id"], "F9", "{after}");
    }
}

#[tokio::test]
async fn a_position_outlives_its_generation() {
    let mut stage = stage().await;
    let router = stage.router.clone();
    let waiting = asking("/v1/views/flight", "air.events=5", "wait=30");
    let waiting = tokio::spawn(Answer::to(router, waiting));
    stage.generation("flight", 2, "CREATE TABLE flight (flight_id text PRIMARY KEY)").await;
    stage
        .run(
            r#"INSERT INTO "flight@2"."@position" SELECT * FROM "flight@1"."@position";
               UPDATE "flight@2"."@position" SET next_offset = 6 WHERE partition = 0"#,
        )
        .await;
    let answer = waiting.await.unwrap();
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    assert_eq!(answer.json()["meta"]["generation"], 2);
}

#[tokio::test]
async fn waiting_is_bounded_as_it_is_asked() {
    let stage = stage().await;
    for (wait, least, applied) in [
        ("wait=1", 1.0, "wait=1"),
        ("count=exact; x=y, Wait=\"1\"", 1.0, "wait=1"),
        ("wait=x", 2.0, ""),
        ("", 2.0, ""),
    ] {
        let begun = Instant::now();
        let answer = stage.send(asking("/v1/views/flight", "air.events=5", wait)).await;
        answer.problem(wait, 503, "projection-behind");
        let waited = begun.elapsed().as_secs_f64();
        assert!(waited >= least && waited < 20.0, "{wait}: {waited}");
        assert_eq!(answer.header("preference-applied"), applied, "{wait}");
    }
    // It is said of an answer that needed no waiting, too, of the longest wait that there is, and where nothing is waited for
    // not at all.
    let found = stage.send(asking("/v1/views/flight", "air.events=4", "wait=900")).await;
    assert_eq!((found.status.as_u16(), found.header("preference-applied")), (200, "wait=30"));
    let request = Request::get("/v1/views/flight").header("prefer", "wait=1");
    let found = stage.send(request.body(Body::empty()).unwrap()).await;
    assert_eq!((found.status.as_u16(), found.header("preference-applied")), (200, ""));
}

fn conditional(uri: &str, tag: &str, after: Option<&str>) -> Request<Body> {
    let request = Request::get(uri).header("if-none-match", tag).header("prefer", "wait=0");
    let request = match after {
        Some(after) => request.header("read-after", after),
        None => request,
    };
    request.body(Body::empty()).unwrap()
}

/// Who has just said 304 says it again without asking anybody, and forgets it where it must not be old.
#[tokio::test]
async fn not_modified_may_be_a_second_old_but_not_for_who_reads_after() {
    let mut stage = stage().await;
    let uri = "/v1/views/flight/F1";
    let tag = stage.get(uri).await.header("etag").to_owned();
    let begun = Instant::now();
    assert_eq!(stage.send(conditional(uri, &tag, None)).await.status, StatusCode::NOT_MODIFIED);
    stage.run(r#"UPDATE "flight@1"."@position" SET next_offset = 6 WHERE partition = 0"#).await;
    let again = stage.send(conditional(uri, &tag, None)).await;
    if begun.elapsed().as_millis() < 900 {
        assert_eq!(again.status, StatusCode::NOT_MODIFIED);
    }
    let after = stage.send(conditional(uri, &tag, Some("air.events/2=9"))).await;
    assert_eq!(after.status, StatusCode::OK, "{}", after.text);
    // By then it is known that the position has moved.
    assert_eq!(stage.send(conditional(uri, &tag, None)).await.status, StatusCode::OK);
}

#[tokio::test]
async fn no_304_is_of_an_older_generation_than_was_answered() {
    let mut stage = stage().await;
    let uri = "/v1/views/flight";
    let tag = stage.get(uri).await.header("etag").to_owned();
    assert_eq!(stage.send(conditional(uri, &tag, None)).await.status, StatusCode::NOT_MODIFIED);
    stage.generation("flight", 2, "CREATE TABLE flight (flight_id text PRIMARY KEY)").await;
    assert_eq!(stage.get(uri).await.json()["meta"]["generation"], 2);
    let swapped = stage.send(conditional(uri, &tag, None)).await;
    assert_eq!(
        (swapped.status, &swapped.json()["meta"]["generation"]),
        (StatusCode::OK, &json!(2))
    );
}
