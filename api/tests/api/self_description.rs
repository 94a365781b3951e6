//! What the API says of itself, to tools and to people.

use serde_json::Value;

use crate::stage::{Stage, golden};

/// Names that no specification likes, and that Postgres has nothing against.
const ODD: &str = r#"
CREATE TABLE odd ("or" int, "a b" text, "a_b" text, "select" int, "ü,""}{" int, PRIMARY KEY ("a b", "a_b"));
CREATE TABLE "t/{x} ü" (id bigint PRIMARY KEY);
CREATE TABLE "t__x_" (id bigint PRIMARY KEY);
CREATE TABLE "t._x_" (id bigint PRIMARY KEY);
COMMENT ON TABLE odd IS '<script>alert(1)</script> & "quotes"';
"#;

#[tokio::test]
async fn the_document_says_all_of_the_views_that_exist() {
    let stage = Stage::flight().await;
    let answer = stage.get("/openapi.json").await;
    assert_eq!(answer.header("content-type"), "application/json");
    golden("openapi", &answer.json());
    stage.problem("/openapi.json?a=b", 400, "unknown-parameter").await;
}

#[tokio::test]
async fn the_document_of_no_view_is_a_document() {
    let stage = Stage::empty().await;
    let document = stage.get("/openapi.json").await.json();
    let paths: Vec<_> = document["paths"].as_object().unwrap().keys().cloned().collect();
    assert_eq!(paths, ["/v1/views"]);
    assert!(stage.get("/docs").await.text.contains("There is no view yet"));
}

/// Whatever a reference names is there.
fn followed(document: &Value, part: &Value) {
    match part {
        Value::Object(map) => {
            if let Some(Value::String(reference)) = map.get("$ref") {
                let pointer = reference.strip_prefix('#').unwrap();
                assert!(document.pointer(pointer).is_some(), "{reference}");
            }
            map.values().for_each(|part| followed(document, part));
        }
        Value::Array(parts) => parts.iter().for_each(|part| followed(document, part)),
        _ => {}
    }
}

#[tokio::test]
async fn odd_names_have_addresses_that_answer_and_names_of_their_own() {
    let mut stage = Stage::flight().await;
    stage.generation("odd", 1, ODD).await;
    let document = stage.get("/openapi.json").await.json();
    followed(&document, &document);
    let paths = document["paths"].as_object().unwrap();
    let mut operations = Vec::new();
    for (path, methods) in paths {
        operations.push(methods["get"]["operationId"].as_str().unwrap());
        if !path.contains('{') {
            assert_eq!(stage.get(path).await.status, 200, "{path}");
        }
    }
    let all = operations.len();
    operations.sort_unstable();
    operations.dedup();
    assert_eq!(operations.len(), all);
    for name in document["components"]["schemas"].as_object().unwrap().keys() {
        assert!(name.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c)), "{name}");
    }
    assert!(paths.contains_key("/v1/views/odd.t%2F%7Bx%7D%20%C3%BC/{id}"), "{:?}", paths.keys());
    assert!(paths.contains_key("/v1/views/odd/{a_b}/{a_b_2}"), "{:?}", paths.keys());
    let parameters = paths["/v1/views/odd"]["get"]["parameters"].as_array().unwrap();
    let names: Vec<_> = parameters.iter().filter_map(|each| each["name"].as_str()).collect();
    for name in ["\"select\"", "a b", "ü,\"}{", "select", "order"] {
        assert!(names.contains(&name), "{name} is not in {names:?}");
    }
}

#[tokio::test]
async fn whoever_follows_an_example_is_answered() {
    let mut stage = Stage::flight().await;
    stage.generation("odd", 1, ODD).await;
    let page = stage.get("/docs").await;
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    let addresses: Vec<String> = page
        .text
        .split("href=\"")
        .skip(1)
        .map(|rest| rest.split('"').next().unwrap().replace("&#38;", "&").replace("&#34;", "\""))
        .collect();
    for address in addresses.iter().filter(|address| !address.starts_with('#')) {
        let answer = stage.get(address).await;
        assert_eq!(answer.status, 200, "{address}: {}", answer.text);
    }
    assert!(addresses.len() > 40, "{}", addresses.len());
}

#[tokio::test]
async fn the_page_asks_nobody_else_and_runs_nothing() {
    let mut stage = Stage::flight().await;
    stage.generation("odd", 1, ODD).await;
    let page = stage.get("/docs").await;
    assert_eq!(
        page.header("content-security-policy"),
        "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    assert_eq!(page.header("x-content-type-options"), "nosniff");
    for foreign in ["<script", "://", "style=", "onclick", "<iframe"] {
        assert!(!page.text.contains(foreign), "{foreign}");
    }
    for told in ["Flights of today", "In euros", "flight_id", "order-needs-index"] {
        assert!(page.text.contains(told), "{told}");
    }
    let style = stage.get("/docs/style.css").await;
    assert_eq!(style.header("content-type"), "text/css; charset=utf-8");
    assert!(!style.text.contains("url(") && !style.text.contains("@import"));
}

#[tokio::test]
async fn a_problems_type_leads_to_what_it_means() {
    let stage = Stage::flight().await;
    let problem = stage.problem("/v1/views/flight?order=fare", 400, "order-needs-index").await;
    let answer = stage.get(problem["type"].as_str().unwrap()).await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("location")),
        (303, "/docs#order-needs-index")
    );
    assert!(stage.get("/docs").await.text.contains("id=\"order-needs-index\""));
    for unknown in ["/problems/nothing", "/problems/%ff"] {
        stage.problem(unknown, 404, "unknown-route").await;
    }
}
