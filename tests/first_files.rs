//! `vitrina new` and `init` on a real broker and registry: what they write is taken by `check`, and what only a person knows
//! is where `check` points. And `check` on what the registry has: how each writer would be read, before a record comes.

use serde_json::{Value, json};

use crate::support::{Database, Folder, Stack, Writer, create_topic, unique};

fn record(name: &str, fields: Value) -> String {
    json!({"type": "record", "name": name, "namespace": "toys", "fields": fields}).to_string()
}

fn versions() -> [String; 3] {
    let id = json!({"name": "toy_id", "type": "string"});
    [
        record(
            "ToyMade",
            json!([id, {"name": "price", "type": "int"}, {"name": "hue", "type": "string"}]),
        ),
        record(
            "ToyMade",
            json!([id, {"name": "price", "type": "long"}, {"name": "colour", "type": "string", "aliases": ["hue"]},
                   {"name": "maker", "type": ["null", "string"]}]),
        ),
        record(
            "ToyMade",
            json!([id, {"name": "price", "type": "long"}, {"name": "colour", "type": "string"},
                   {"name": "maker", "type": "string"}, {"name": "stock", "type": "int", "default": 0}]),
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn contracts_are_taken_from_the_registry_with_what_can_be_derived() {
    let database = Database::create().await;
    let topic = unique("toys");
    create_topic(&topic, 1).await;
    let subject = format!("{topic}-toys.ToyMade");
    for version in versions() {
        Writer::register_at(&subject, &version).await;
    }
    let broken = record("ToyBroken", json!([{"name": "toy_id", "type": "string"}]));
    Writer::register_at(&format!("{topic}-toys.ToyBroken"), &broken).await;

    let folder = Folder::new(&database);
    let made = folder.run(&["new", "context", "toys", "--topic", &topic, "--key", "toy_id"]);
    assert_eq!(made.status, Some(0), "{made:?}");
    for name in ["toys.ToyMade", "toys.../toy", "toys.toy/made", "toys", "games.toy_made"] {
        let refused = folder.run(&["new", "event", name, "--from-registry", &subject]);
        assert_ne!(refused.status, Some(0), "{name}: {refused:?}");
        assert!(!refused.stderr.is_empty(), "{name}");
    }
    assert_eq!(std::fs::read_dir(folder.path().join("contracts")).unwrap().count(), 1);
    let made = folder.run(&["new", "event", "toys.toy_made", "--from-registry", &subject]);
    assert_eq!(made.status, Some(0), "{made:?}");
    let read = |path: &str| std::fs::read_to_string(folder.path().join(path)).unwrap();
    assert_eq!(read("contracts/toys/toy_made/v1.avsc").trim_end(), versions()[0]);
    assert_eq!(
        read("contracts/toys/toy_made/v2.sql"),
        "SELECT\n  hue AS colour,\n  NULL AS maker\nFROM v1;\n"
    );
    // Somebody must say what a toy without a maker gets, and `check` points there.
    let pointed = "contracts/toys/toy_made/v3.sql:2:3: here stands a question mark, for what this field is made of";
    assert!(made.stdout.contains(pointed), "{made:?}");
    let checked = folder.run(&["check", "--offline"]);
    assert_eq!(checked.status, Some(1), "{checked:?}");
    assert!(checked.stdout.starts_with(pointed), "{checked:?}");

    // Nothing is written over, and nothing is written in part.
    let again = folder.run(&["new", "event", "toys.toy_made", "--from-registry", &subject]);
    assert_eq!(again.status, Some(1), "{again:?}");
    assert!(again.stderr.contains("contracts/toys/toy_made/v1.avsc is there already"), "{again:?}");

    let folder = folder.write(
        "contracts/toys/toy_made/v3.sql",
        "SELECT coalesce(maker, 'nobody') AS maker FROM v2;\n",
    );
    for arguments in [
        &["new", "event", "toys.toy_sold"][..],
        &["new", "model", "toy", "--event", "toys.toy_made"],
        &["new", "model", "sale", "--event", "toys.toy_sold"],
    ] {
        let made = folder.run(arguments);
        assert_eq!(made.status, Some(0), "{made:?}");
    }
    let checked = folder.run(&["check", "--json"]);
    assert_eq!(checked.status, Some(0), "{checked:?}");
    let answer = checked.json();
    assert_eq!(answer["findings"], json!([]), "{answer}");
    let writers: Vec<Value> = answer["writers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| {
            json!([
                one["record"],
                one["version"],
                one["event"],
                one["read_as"],
                one["upcasts"],
                one["parked"]
            ])
        })
        .collect();
    let file = |number: u32| format!("contracts/toys/toy_made/v{number}.sql");
    assert_eq!(
        Value::Array(writers),
        json!([
            ["toys.ToyBroken", 1, null, null, [], null],
            ["toys.ToyMade", 1, "toys.toy_made", 1, [file(2), file(3)], null],
            ["toys.ToyMade", 2, "toys.toy_made", 2, [file(3)], null],
            ["toys.ToyMade", 3, "toys.toy_made", 3, [], null],
        ])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_that_would_be_parked_is_told_before_it_writes() {
    let database = Database::create().await;
    let topic = unique("toys");
    create_topic(&topic, 1).await;
    let [first, second, _] = versions();
    // By two of the strategies; the second has another type of price.
    Writer::register_at(&format!("{topic}-value"), &second).await;
    Writer::register_at(&format!("{topic}-toys.ToyMade"), &first).await;
    let folder = Folder::new(&database)
        .write("contracts/toys/context.toml", &format!("topic = \"{topic}\"\nkey = \"toy_id\"\n"))
        .write("contracts/toys/toy_made/v1.avsc", &first.replace("{\"name\"", "\n{\"name\""));
    let made = folder.run(&["new", "model", "toy"]);
    assert_eq!(made.status, Some(0), "{made:?}");
    let checked = folder.run(&["check"]);
    assert_eq!(checked.status, Some(0), "{checked:?}");
    let warning = format!(
        "contracts/toys/toy_made/v1.avsc:3:9: warning: what toys.ToyMade writes by version 1 of subject {topic}-value (id "
    );
    assert!(checked.stdout.contains(&warning), "{warning}\n{checked:?}");
    let why = "v1: the field price is written as long, which does not promote to int";
    let parked = format!("would be parked by toy: {why}: write the version that the writer means");
    assert!(checked.stdout.contains(&parked), "{checked:?}");
    assert!(checked.stdout.contains("OK: 1 contract, 1 model, 1 warning\n"), "{checked:?}");
    let explained = folder.run(&["check", "--explain"]).stdout;
    assert!(
        explained.contains(&format!("on {topic} is read as toys.toy_made v1\n"))
            && explained.contains(&format!("on {topic} would be parked: {why}\n")),
        "{explained}"
    );

    // The same of what is only planned, without any service; here the answer is no.
    let folder = folder
        .write("plan.avsc", &second)
        .write("good.avsc", &first)
        .write("stranger.avsc", &record("ToyMode", json!([{"name": "toy_id", "type": "string"}])));
    let asked = |file: &str| folder.run(&["check", "--offline", "--json", "--writer", file]);
    let no = asked("plan.avsc");
    assert_eq!(no.status, Some(1), "{no:?}");
    let (finding, writer) = (&no.json()["findings"][0], &no.json()["writers"][0]);
    assert_eq!((&finding["file"], &finding["severity"]), (&json!("plan.avsc"), &json!("error")));
    assert_eq!(writer["parked"], why);
    let yes = asked("good.avsc");
    assert_eq!(yes.status, Some(0), "{yes:?}");
    assert_eq!(
        (&yes.json()["writers"][0]["read_as"], &yes.json()["writers"][0]["topic"]),
        (&json!(1), &json!(topic))
    );
    let ignored = asked("stranger.avsc");
    assert_eq!(ignored.status, Some(0), "{ignored:?}");
    let what = ignored.json()["findings"][0]["what"].to_string();
    assert!(
        what.contains("no contract knows the record toys.ToyMode, did you mean `toys.ToyMade`?"),
        "{what}"
    );
    assert_eq!(asked("nowhere.avsc").status, Some(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn init_writes_what_check_takes_and_asks_nobody() {
    let database = Database::create().await;
    let topic = unique("toys.events");
    create_topic(&topic, 1).await;
    let [first, ..] = versions();
    Writer::register_at(&format!("{topic}-value"), &first).await;
    let Stack { kafka, registry, .. } = Stack::get();
    let folder = Folder::new(&database);
    for there in ["vitrina.toml", "contracts", "models"] {
        let path = folder.path().join(there);
        if path.is_dir() {
            std::fs::remove_dir(path).unwrap()
        } else {
            std::fs::remove_file(path).unwrap()
        }
    }
    let services = ["--brokers", kafka, "--registry", registry, "--postgres", &database.url];
    let init = |more: &[&str]| folder.run(&[&["init"], &services[..], more].concat());
    let listed = init(&[]);
    assert_eq!(listed.status, Some(0), "{listed:?}");
    assert!(listed.stdout.contains(&format!("{topic}: {topic}-value\n")), "{listed:?}");
    assert!(listed.stdout.contains("choose: vitrina init --topic TOPIC"), "{listed:?}");
    assert!(!folder.path().join("vitrina.toml").exists());
    let unknown = init(&["--topic", "nowhere"]);
    assert_eq!(unknown.status, Some(1), "{unknown:?}");

    let made = init(&["--topic", &topic]);
    assert_eq!(made.status, Some(0), "{made:?}");
    for file in ["vitrina.toml", "contracts/toys/context.toml", "contracts/toys/toy_made/v1.avsc"] {
        assert!(made.stdout.contains(&format!("wrote {file}\n")), "{made:?}");
    }
    let context =
        std::fs::read_to_string(folder.path().join("contracts/toys/context.toml")).unwrap();
    assert!(context.contains("key = \"toy_id\"\n"), "{context}");
    let again = init(&["--topic", &topic]);
    assert_eq!(again.status, Some(1), "{again:?}");
    assert!(again.stderr.contains("vitrina.toml is there already"), "{again:?}");
    assert_eq!(folder.run(&["new", "model", "toy"]).status, Some(0));
    let checked = folder.run(&["check"]);
    assert!(checked.stdout.starts_with("OK: 1 contract, 1 model, 0 warnings"), "{checked:?}");
}
