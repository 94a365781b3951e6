//! `vitrina test`: the reference set keeps what its tests say, and a test that fails says why. No broker and no registry is
//! asked.

use std::collections::BTreeSet;
use std::fs;

use serde_json::json;

use crate::support::{Database, Folder};

const PLACED: &str = r#"{"type": "record", "name": "Placed", "namespace": "shop", "fields": [
    {"name": "order_id", "type": "string"}, {"name": "customer", "type": "string"}]}"#;
const REGISTERED: &str = r#"{"type": "record", "name": "Registered", "namespace": "people", "fields": [
    {"name": "customer", "type": "string"}, {"name": "name", "type": "string"}]}"#;

/// A name is looked up when the order comes, and not brought to the orders that are there.
const MODEL: &str =
    "CREATE TABLE greeting (order_id text PRIMARY KEY, customer text NOT NULL, name text);
CREATE TABLE _name (customer text PRIMARY KEY, name text NOT NULL CHECK (name <> 'x'));
INSERT INTO greeting SELECT e.order_id, e.customer, n.name
FROM shop.placed e LEFT JOIN _name n ON n.customer = e.customer ON CONFLICT (order_id) DO NOTHING;
INSERT INTO _name SELECT e.customer, e.name FROM people.registered e
ON CONFLICT (customer) DO UPDATE SET name = EXCLUDED.name;
GRANT SELECT (order_id) ON greeting TO guest;
";
const COUNTERPART: &str =
    "UPDATE greeting g SET name = e.name FROM people.registered e WHERE g.customer = e.customer;\n";

const TEST: &str = r#"
[[test]]
name = "orders greet their customers"
[[test.given]]
event = "people.registered"
value = { customer = "ada", name = "Ada" }
[[test.given]]
event = "shop.placed@v1"
value = { order_id = "o-1", customer = "ada" }
[[test.given]]
event = "shop.placed"
value = '{"order_id": "o-2", "customer": "bo"}'
[[test.then]]
get = "/v1/views/greeting"
rows = [{ order_id = "o-1", name = "Ada" }, { order_id = "o-2", name = { is = "null" } }]
"#;

async fn shop(model: &str, test: &str) -> Folder {
    Folder::new(&Database::create().await)
        .write("contracts/shop/context.toml", "topic = \"shop\"\nkey = \"order_id\"\n")
        .write("contracts/shop/placed/v1.avsc", PLACED)
        .write("contracts/people/context.toml", "topic = \"people\"\nkey = \"customer\"\n")
        .write("contracts/people/registered/v1.avsc", REGISTERED)
        .write("models/greeting.sql", model)
        .write("models/tests/greeting.toml", test)
}

/// Every model has a file of tests, and all of them hold.
#[tokio::test(flavor = "multi_thread")]
async fn the_reference_set_keeps_what_its_tests_say() {
    let folder = Folder::new(&Database::create().await)
        .copy("avro/contracts", "contracts")
        .copy("projectors/models", "models");
    let tested = folder.run(&["test", "--json"]);
    assert_eq!(tested.status, Some(0), "{}{}", tested.stdout, tested.stderr);
    let answer = tested.json();
    let tests = answer["tests"].as_array().unwrap();
    let files: BTreeSet<&str> = tests.iter().map(|test| test["file"].as_str().unwrap()).collect();
    for entry in fs::read_dir("projectors/models").unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if let Some(model) = name.strip_suffix(".sql") {
            assert!(files.contains(format!("models/tests/{model}.toml").as_str()), "{model}");
        }
    }
    // Other orders were tried where there are any.
    assert!(tests.iter().any(|test| test["runs"].as_u64() > Some(10)), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_that_depends_on_the_order_names_the_rule_and_the_smallest_orders() {
    let folder = shop(MODEL, TEST).await;
    let tested = folder.run(&["test"]);
    assert_eq!(tested.status, Some(1), "{tested:?}");
    for part in [
        "models/tests/greeting.toml:2: orders greet their customers",
        "models/greeting.sql:3: without this rule both end the same",
        "1. people.registered@v1 (line 4), shop.placed@v1 (line 7)",
        "2. shop.placed@v1 (line 7), people.registered@v1 (line 4)",
        r#"[{"name":"Ada","order_id":"o-1"}]"#,
        r#"[{"name":null,"order_id":"o-1"}]"#,
        "seed 1",
    ] {
        assert!(tested.stdout.contains(part), "{part}: {}", tested.stdout);
    }
    assert_eq!(folder.run(&["test"]).stdout.lines().count(), tested.stdout.lines().count());

    let given = TEST.replace("[[test]]", "[[test]]\norder = \"given\"");
    let folder = folder.write("models/tests/greeting.toml", &given);
    let tested = folder.run(&["test", "models/tests"]);
    assert_eq!(tested.status, Some(0), "{tested:?}");

    let folder = folder
        .write("models/greeting.sql", &format!("{MODEL}{COUNTERPART}"))
        .write("models/tests/greeting.toml", TEST);
    let tested = folder.run(&["test", "models/tests/greeting.toml"]);
    assert_eq!(tested.status, Some(0), "{tested:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_is_told_to_people_and_pipelines_and_is_written_when_asked() {
    let test = r#"# Kept.
[[test]]
name = "what <came> out"
[[test.given]]
event = "shop.placed"
value = { order_id = "o-1", customer = "ada" }
[[test.given]]
event = "people.registered"
value = { customer = "ada", name = "x" } # refused
[[test.then]]
get = "/v1/views/greeting"
rows = [{ order_id = "o-7", customer = "ada" }] # and this
[[test.then]]
role = "guest"
get = "/v1/views/greeting?select=name"
status = 400
[[test.then]]
role = "PUBLIC"
get = "/v1/views/greeting"
status = 401
[[test.then]]
parked = []
"#;
    let folder = shop(MODEL, test).await;
    let tested = folder.run(&["test", "--json", "--junit", "junit.xml"]);
    assert_eq!(tested.status, Some(1), "{tested:?}");
    let failures = &tested.json()["tests"][0]["failures"];
    let told = failures.to_string();
    assert!(
        told.contains(r#"order_id is expected to be \"o-7\", and came out as \"o-1\""#),
        "{told}"
    );
    assert!(told.contains("people.registered@v1 of line 7 is parked: "), "{told}");
    assert_eq!(failures.as_array().unwrap().len(), 2, "{told}");
    let xml = fs::read_to_string(folder.path().join("junit.xml")).unwrap();
    assert!(xml.contains("tests=\"1\" failures=\"1\""), "{xml}");
    assert!(
        xml.contains("name=\"what &lt;came> out\"")
            || xml.contains("name=\"what &lt;came&gt; out\"")
    );

    let updated = folder.run(&["test", "--update"]);
    assert_eq!(updated.status, Some(0), "{updated:?}");
    let text = fs::read_to_string(folder.path().join("models/tests/greeting.toml")).unwrap();
    assert!(
        text.contains("rows = [{ order_id = \"o-1\", customer = \"ada\" }] # and this"),
        "{text}"
    );
    assert!(text.starts_with("# Kept.\n") && text.contains("} # refused"), "{text}");
    assert!(text.contains("parked = [{ event = \"people.registered@v1\", reason = "), "{text}");
    let again = folder.run(&["test", "--json"]);
    assert_eq!((again.status, &again.json()["failed"]), (Some(0), &json!(0)), "{again:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_file_is_told_with_line_and_caret_and_nothing_is_played() {
    let test = r#"[[test]]
name = "broken"
ordr = "any"
[[test.given]]
event = "shop.plcaed"
[[test.given]]
event = "shop.placed"
value = { order_id = "o-1", customer = 5 }
time = "today"
[[test.then]]
gt = "/v1/views/greeting"
"#;
    let folder = shop(MODEL, test).await;
    let tested = folder.run(&["test"]);
    assert_eq!((tested.status, tested.stdout.as_str()), (Some(2), ""), "{tested:?}");
    for part in [
        "models/tests/greeting.toml:3:1: unknown key `ordr` in [[test]]: did you mean `order`?\n  |\n3 | ordr = \"any\"\n  | ^^^^\n",
        "models/tests/greeting.toml:5:9: there is no event \"shop.plcaed\": did you mean shop.placed?",
        "models/tests/greeting.toml:8:29: this is no shop.placed@v1: field customer: ",
        "models/tests/greeting.toml:11:1: unknown key `gt` in [[test.then]]: did you mean `get`?",
    ] {
        assert!(tested.stderr.contains(part), "{part}: {}", tested.stderr);
    }
    let folder = folder.write("models/tests/greeting.toml", "[[test]]\nname = \n");
    let tested = folder.run(&["test"]);
    assert_eq!(tested.status, Some(2), "{tested:?}");
    assert!(tested.stderr.starts_with("models/tests/greeting.toml:2:"), "{tested:?}");
}

/// Where the configured server does not answer, one of the test's own is started, and nothing is left of it.
#[tokio::test(flavor = "multi_thread")]
async fn no_service_need_run() {
    let given = TEST.replace("[[test]]", "[[test]]\norder = \"given\"");
    let folder = shop(MODEL, &given).await;
    let settings = folder.settings();
    let url = settings.lines().find(|line| line.starts_with("url = \"postgres")).unwrap();
    let settings = settings.replace(url, "url = \"postgres://nobody@127.0.0.1:1/none\"");
    let folder = folder.write("vitrina.toml", &settings);
    let tested = folder.run(&["test"]);
    assert_eq!(tested.status, Some(0), "{tested:?}");
    assert!(tested.stdout.contains("a Postgres of their own"), "{tested:?}");
}
