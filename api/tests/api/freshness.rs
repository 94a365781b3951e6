//! What an answer says of its age, and that a tag means what it says.

use axum::body::Body;
use axum::http::{Request, StatusCode};
use serde_json::{Value, json};
use vitrina_api::{Api, ApiSettings};

use crate::stage::{Answer, Stage};

async fn conditional(stage: &Stage, uri: &str, tag: &str) -> Answer {
    stage.send(Request::get(uri).header("if-none-match", tag).body(Body::empty()).unwrap()).await
}

async fn position(stage: &mut Stage, partition: i32, first: i64, next: i64) {
    stage.run(&format!(
        r#"INSERT INTO "flight@1"."@position" (topic, partition, topic_id, epoch, next_offset, first_offset, updated_at)
         VALUES ('air.events', {partition}, '', 1, {next}, {first}, '2026-01-01T00:00:{partition}Z')
         ON CONFLICT (topic, partition) DO UPDATE SET next_offset = {next}"#
    ))
    .await;
}

async fn worker(stage: &mut Stage, instance: &str, ends: Value, lag: &str, age: u32) {
    stage.run(&format!(
        "INSERT INTO vitrina.worker (model, generation, instance, state, partitions, lag_ms, updated_at)
         VALUES ('flight', 1, '{instance}', 'live', '{ends}', {lag}, now() - interval '{age} seconds')
         ON CONFLICT (model, instance) DO UPDATE SET partitions = EXCLUDED.partitions, lag_ms = EXCLUDED.lag_ms, updated_at = EXCLUDED.updated_at"
    ))
    .await;
}

fn end(partition: i32, end: i64) -> Value {
    json!({ "topic": "air.events", "partition": partition, "end": end })
}

/// The answer of an instance that has just begun: what workers say is heard once a second, and a 304 may be as old.
async fn anew(stage: &Stage, uri: &str, tag: &str) -> Answer {
    let router = Api::new(ApiSettings::new(&stage.url)).unwrap().router();
    let request = Request::get(uri).header("if-none-match", tag);
    Answer::to(router, request.body(Body::empty()).unwrap()).await
}

async fn meta(stage: &Stage) -> Value {
    anew(stage, "/v1/views/flight", "").await.json()["meta"].clone()
}

async fn lag(stage: &Stage) -> Value {
    anew(stage, "/v1/views", "").await.json()["data"][0]["lag"].clone()
}

#[tokio::test]
async fn positions_and_lag_are_told() {
    let mut stage = Stage::flight().await;
    assert_eq!(
        meta(&stage).await,
        json!({ "view": "flight", "generation": 1, "as_of": null, "lag_ms": null, "position": {} })
    );
    position(&mut stage, 10, 0, 5).await;
    position(&mut stage, 2, 100, 1843).await;
    // Of partition 3 nothing is left that was ever read, and yet all before 7 is reflected.
    position(&mut stage, 3, 7, 7).await;
    position(&mut stage, 4, 0, 0).await;
    let list = stage.get("/v1/views/flight").await;
    assert_eq!(list.header("projection-position"), "air.events=-.-.1842.6.-.-.-.-.-.-.4");
    assert_eq!(
        list.json()["meta"]["position"],
        json!({ "air.events": [null, null, 1842, 6, null, null, null, null, null, null, 4] })
    );
    assert_eq!(
        stage.get("/v1/views/flight/F9").await.header("projection-position"),
        list.header("projection-position")
    );
    assert_eq!(lag(&stage).await, json!({ "events": null, "ms": null }));

    // One worker says nothing of partition 3, so nobody knows how far behind the model is.
    worker(&mut stage, "a", json!([end(10, 5), end(2, 1850)]), "40", 1).await;
    assert_eq!(lag(&stage).await, json!({ "events": null, "ms": 40 }));
    worker(&mut stage, "b", json!([end(3, 9), end(4, 0)]), "70", 2).await;
    assert_eq!(lag(&stage).await, json!({ "events": 9, "ms": 70 }));
    assert_eq!(meta(&stage).await["as_of"], "2026-01-01T00:00:10.000Z");
}

#[tokio::test]
async fn caught_up_is_as_fresh_as_the_oldest_word_of_a_partition() {
    let mut stage = Stage::flight().await;
    position(&mut stage, 1, 0, 5).await;
    position(&mut stage, 2, 0, 5).await;
    worker(&mut stage, "a", json!([end(1, 5)]), "0", 1).await;
    worker(&mut stage, "b", json!([end(2, 5)]), "0", 4).await;
    let oldest: String = sqlx::query_scalar(
        r#"SELECT to_char(min(updated_at) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') FROM vitrina.worker"#,
    )
    .fetch_one(&mut stage.postgres)
    .await
    .unwrap();
    assert_eq!(meta(&stage).await["as_of"], oldest);
    assert_eq!(lag(&stage).await, json!({ "events": 0, "ms": 0 }));
    // A worker that was last heard of long ago knows nothing of now.
    worker(&mut stage, "b", json!([end(2, 5)]), "0", 11).await;
    assert_eq!(meta(&stage).await["as_of"], "2026-01-01T00:00:02.000Z");
    // A partition that nobody began to read is behind.
    worker(&mut stage, "b", json!([end(2, 5), end(3, 1)]), "null", 1).await;
    assert_eq!(lag(&stage).await, json!({ "events": null, "ms": null }));
}

#[tokio::test]
async fn a_tag_holds_until_a_position_moves() {
    let mut stage = Stage::flight().await;
    position(&mut stage, 1, 0, 5).await;
    for uri in [
        "/v1/views/flight",
        "/v1/views/flight?carrier=eq.KL&limit=1",
        "/v1/views/flight/F1",
        "/v1/views/flight/F1?select=fare",
    ] {
        let first = stage.get(uri).await;
        let tag = first.header("etag");
        assert!(tag.starts_with("W/\""), "{uri}: {tag}");
        assert_eq!(first.header("cache-control"), "private, no-cache");
        for given in
            [tag.to_owned(), format!("\"other\", {tag}"), tag.trim_start_matches("W/").to_owned()]
        {
            let again = conditional(&stage, uri, &given).await;
            assert_eq!(
                (again.status, again.text.as_str()),
                (StatusCode::NOT_MODIFIED, ""),
                "{uri}"
            );
            assert_eq!(again.header("etag"), tag);
            assert_eq!(again.header("projection-position"), "air.events=-.4");
        }
        assert_eq!(conditional(&stage, uri, "\"other\"").await.status, StatusCode::OK);
    }
    let same = stage.get("/v1/views/flight?limit=1&carrier=eq.KL").await;
    let tag = same.header("etag");
    assert_eq!(
        conditional(&stage, "/v1/views/flight?carrier=eq.KL&limit=1", tag).await.status,
        StatusCode::NOT_MODIFIED
    );
    assert_eq!(
        conditional(&stage, "/v1/views/flight?carrier=eq.BA&limit=1", tag).await.status,
        StatusCode::OK
    );
    // A worker's word changes the meta, not the data.
    worker(&mut stage, "a", json!([end(1, 9)]), "5", 0).await;
    assert_eq!(
        conditional(&stage, "/v1/views/flight?limit=1&carrier=eq.KL", tag).await.status,
        StatusCode::NOT_MODIFIED
    );
    // A retry changes rows and moves no position.
    stage.run(r#"UPDATE "flight@1"."@position" SET parked_version = 1"#).await;
    let retried = stage.get("/v1/views/flight?limit=1&carrier=eq.KL").await;
    assert_ne!(retried.header("etag"), tag);
    let tag = retried.header("etag");
    position(&mut stage, 1, 0, 6).await;
    assert_eq!(
        anew(&stage, "/v1/views/flight?limit=1&carrier=eq.KL", tag).await.status,
        StatusCode::OK
    );
}

#[tokio::test]
async fn any_tag_stands_for_whatever_exists() {
    let stage = Stage::flight().await;
    for (uri, status) in [
        ("/v1/views/flight", StatusCode::NOT_MODIFIED),
        ("/v1/views/flight.late", StatusCode::NOT_MODIFIED),
        ("/v1/views/flight/F1", StatusCode::NOT_MODIFIED),
        ("/v1/views/flight/F9", StatusCode::NOT_FOUND),
        ("/v1/views/train", StatusCode::NOT_FOUND),
    ] {
        assert_eq!(conditional(&stage, uri, "*").await.status, status, "{uri}");
    }
}

#[tokio::test]
async fn not_modified_is_said_without_reading_the_table() {
    let mut stage = Stage::flight().await;
    let tag = stage.get("/v1/views/flight").await.header("etag").to_owned();
    stage.run(r#"BEGIN; LOCK "flight@1".flight"#).await;
    assert_eq!(
        conditional(&stage, "/v1/views/flight", &tag).await.status,
        StatusCode::NOT_MODIFIED
    );
}

/// Equal positions, the same query, and other rows.
#[tokio::test]
async fn no_tag_outlives_its_generation() {
    let mut stage = Stage::flight().await;
    position(&mut stage, 1, 0, 5).await;
    let tag = stage.get("/v1/views/flight").await.header("etag").to_owned();
    stage.generation("flight", 2, "CREATE TABLE flight (flight_id text PRIMARY KEY)").await;
    stage.run(r#"INSERT INTO "flight@2"."@position" SELECT * FROM "flight@1"."@position""#).await;
    let swapped = conditional(&stage, "/v1/views/flight", &tag).await;
    assert_eq!(swapped.status, StatusCode::OK);
    assert_eq!(swapped.json()["meta"]["position"], json!({ "air.events": [null, 4] }));
}
