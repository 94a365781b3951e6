//! What views there are, and that changes of them are followed.

use serde_json::json;

use crate::stage::{Stage, golden};

#[tokio::test]
async fn the_catalogue_and_the_schemas_say_all_of_a_view() {
    let stage = Stage::flight().await;
    golden("views", &stage.get("/v1/views").await.json());
    let schema = stage.get("/v1/schemas/flight").await;
    assert_eq!(schema.header("content-type"), "application/schema+json");
    golden("schema", &schema.json());
    stage.problem("/v1/schemas/fligth", 404, "unknown-view").await;
    stage.problem("/v1/views?a=b", 400, "unknown-parameter").await;
}

#[tokio::test]
async fn helpers_and_models_without_a_live_generation_are_not_served() {
    let mut stage = Stage::flight().await;
    stage.run(r#"INSERT INTO vitrina.model (model) VALUES ('building'); CREATE SCHEMA "building@1"; CREATE TABLE "building@1".building (a int PRIMARY KEY)"#).await;
    for view in ["flight._carrier", "building", "flight@1.flight", "pg_class"] {
        stage.problem(&format!("/v1/views/{view}"), 404, "unknown-view").await;
    }
    let near = stage.problem("/v1/views/fligth", 404, "unknown-view").await;
    assert!(near["detail"].as_str().unwrap().contains("Did you mean `flight`?"), "{near}");
}

#[tokio::test]
async fn a_swap_is_followed_by_the_very_next_request() {
    let mut stage = Stage::flight().await;
    assert_eq!(stage.column("/v1/views/flight?limit=1", "flight_id").await, [json!("F1")]);
    // The old generation stays, as it does for rollback: nothing fails, and yet nobody may see it.
    stage
        .generation(
            "flight",
            2,
            "CREATE TABLE flight (number int PRIMARY KEY); INSERT INTO flight VALUES (7)",
        )
        .await;
    let list = stage.get("/v1/views/flight").await.json();
    assert_eq!(
        (&list["data"], &list["meta"]["generation"]),
        (&json!([{ "number": 7 }]), &json!(2))
    );
    // Gone at once: the statement fails and is made again from a new catalogue.
    stage
        .generation(
            "flight",
            3,
            r#"CREATE TABLE flight (number int PRIMARY KEY); DROP SCHEMA "flight@2" CASCADE"#,
        )
        .await;
    assert_eq!(
        stage.get("/v1/views/flight/7").await.problem("row", 404, "not-found")["status"],
        404
    );
    // The model itself gone.
    stage.run("DELETE FROM vitrina.generation; DELETE FROM vitrina.model").await;
    stage.problem("/v1/views/flight", 404, "unknown-view").await;
}

#[tokio::test]
async fn an_unknown_view_names_the_one_that_is_meant() {
    let mut stage = Stage::flight().await;
    stage.generation("loan", 1, "CREATE TABLE loan_per_day (day date PRIMARY KEY); CREATE TABLE fine (id int PRIMARY KEY)").await;
    for (name, meant) in [
        ("leg", "`flight.leg`"),
        ("late", "`flight.late`"),
        ("loan_per_day", "`loan.loan_per_day`"),
        ("loan_per_dya", "`loan.loan_per_day`"),
        ("LOAN.loan_per_day", "`loan.loan_per_day`"),
        ("Flight", "`flight`"),
        ("flight.flight", "`flight`"),
        ("flihgt", "`flight`"),
        ("flight.lat", "`flight.late`"),
        ("loan", "`loan.fine` or `loan.loan_per_day`"),
    ] {
        for uri in [
            format!("/v1/views/{name}"),
            format!("/v1/schemas/{name}"),
            format!("/v1/views/{name}/1"),
        ] {
            let problem = stage.problem(&uri, 404, "unknown-view").await;
            let detail = problem["detail"].as_str().unwrap();
            assert!(detail.contains(&format!("Did you mean {meant}?")), "{uri}: {detail}");
        }
    }
    for name in ["nothing_like_it", "%20"] {
        let problem = stage.problem(&format!("/v1/views/{name}"), 404, "unknown-view").await;
        assert!(!problem["detail"].as_str().unwrap().contains("Did you mean"), "{problem}");
    }
}
