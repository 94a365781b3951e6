//! What is refused when contracts load: every case with its file, line, and words.

use crate::common::{CONTEXT, borrowed, load, placed, record, versions};
use vitrina_avro::{ColumnType, Origin};
use vitrina_sql::Relations;

/// The findings as `check` prints them, without the way out.
fn findings(texts: &[(&str, &str)]) -> Vec<String> {
    let (_, findings) = load(texts);
    for finding in &findings {
        assert!(!finding.help.is_empty() && !finding.help.ends_with('.'), "{finding}");
    }
    findings
        .iter()
        .map(|finding| format!("{}:{}: {}", finding.file, finding.line, finding.what))
        .collect()
}

fn upcast(schemas: &[&str], upcasts: &[&str]) -> Vec<String> {
    findings(&borrowed(&versions(schemas, upcasts)))
}

#[test]
fn a_context_loads_with_its_types() {
    let fields = r#"{"name":"id","type":["null","long"]},{"name":"Amount","type":{"type":"bytes","logicalType":"decimal","precision":12,"scale":2}},
        {"name":"at","type":{"type":"long","logicalType":"timestamp-millis"}},{"name":"items","type":{"type":"array","items":"string"}},
        {"name":"one","type":["string"]},{"name":"any","type":["null","long","string"]},{"name":"none","type":"null"}"#;
    let toml = "# the shop\ntopic = \"shop.events\"\nkey = \"id\"\nevent_id = \"header:x-id\"\ntime = \"at\"\n";
    let texts =
        [("shop/context.toml", toml), ("shop/placed/v1.avsc", &record("Placed", fields)[..])];
    let (contracts, findings) = load(&texts);
    assert_eq!(findings, []);
    let context = &contracts.contexts["shop"];
    assert_eq!(
        (&context.event_id, &context.time),
        (&Origin::Header("x-id".into()), &Origin::Field("at".into()))
    );
    assert_eq!(context.correlation_id, Origin::Default);
    let contract = contracts.contract("shop", "placed").unwrap();
    assert_eq!(contract.full_names, ["shop.Placed"]);
    let columns: Vec<_> = contract
        .newest()
        .columns
        .iter()
        .map(|column| (&column.name[..], column.ty, column.nullable))
        .collect();
    assert_eq!(
        columns,
        [
            ("id", ColumnType::Int8, true),
            ("amount", ColumnType::Numeric(12, 2), false),
            ("at", ColumnType::Timestamptz, false),
            ("items", ColumnType::Jsonb, false),
            ("one", ColumnType::Text, false),
            ("any", ColumnType::Jsonb, true),
            ("none", ColumnType::Jsonb, true),
        ]
    );
    assert_eq!(contracts.names(), ["shop.placed", "shop.tombstone", "every.event"]);
    let columns = contracts.columns("shop", "placed").unwrap();
    assert_eq!((&columns[1][..], &columns[7][..], columns.len()), ("amount", "_event_id", 17));
    assert_eq!(contracts.columns("shop", "shipped"), None);
}

#[test]
fn context_files() {
    let event = (
        "shop/placed/v1.avsc",
        &placed(r#"{"name":"list","type":{"type":"array","items":"int"}}"#)[..],
    );
    for (toml, expected) in [
        (
            "topic = \"t\"\n\nkeys = \"id\"\nkey = \"id\"",
            "c/shop/context.toml:3: unknown key `keys`, did you mean `key`?",
        ),
        ("key = \"id\"", "c/shop/context.toml:1: `topic` is missing"),
        ("topic = \"t\"", "c/shop/context.toml:1: `key` is missing"),
        ("topic = \"t\"\nkey = 3", "c/shop/context.toml:2: `key` names nothing"),
        ("topic = \"a b\"\nkey = \"id\"", "c/shop/context.toml:1: `a b` is no topic of Kafka"),
        (
            "topic = \"t\"\nkey = \"di\"",
            "c/shop/context.toml:2: the key `di` is not a field of shop.placed v1, did you mean `id`?",
        ),
        (
            "topic = \"t\"\nkey = \"list\"",
            "c/shop/context.toml:2: the key `list` is not a scalar in shop.placed v1",
        ),
        (
            "topic = \"t\"\nkey = \"id\"\nevent_id = \"evnt\"",
            "c/shop/context.toml:3: no event of the context has the field `evnt`",
        ),
        (
            "topic = \"t\"\nkey = \"id\"\ntime = \"header:\"",
            "c/shop/context.toml:3: `time` names nothing",
        ),
        (
            "topic = \"t\"\nkey = \"id\"\ntime = \"list\"",
            "c/shop/context.toml:3: the field `list` is jsonb, which is no time",
        ),
    ] {
        assert_eq!(findings(&[("shop/context.toml", toml), event]), [expected]);
    }
    assert_eq!(findings(&[event]), ["c/shop/context.toml:1: the context shop has no context.toml"]);
    let broken = findings(&[("shop/context.toml", "topic = \"t\"\nkey = \"id"), event]);
    assert!(broken[0].starts_with("c/shop/context.toml:2: not TOML: "), "{broken:?}");
}

#[test]
fn the_sort_of_an_event_is_one_of_a_list() {
    let sorted = |words: &str| placed("").replacen('{', &format!("{{\n{words}"), 1);
    for (words, expected) in [
        (
            "\"kind\": \"integation\",",
            "c/shop/placed/v1.avsc:2: `integation` is no kind of an event, did you mean `integration`?",
        ),
        (
            "\"kind\": \"domain\",\n\"purpose\" : \"Milestone\",",
            "c/shop/placed/v1.avsc:3: `Milestone` is no purpose of an event, did you mean `milestone`?",
        ),
        ("\"purpose\": 3,", "c/shop/placed/v1.avsc:2: `3` is no purpose of an event"),
        ("\"kind\": null,", "c/shop/placed/v1.avsc:2: `null` is no kind of an event"),
    ] {
        assert_eq!(upcast(&[&sorted(words)], &[]), [expected]);
    }
    let older = sorted("\"kind\": \"domain\", \"purpose\": \"milestone\",");
    let newer = sorted("\"doc\": \"no more than a \\\"kind\\\"\", \"kind\": \"command\",");
    let (contracts, findings) =
        load(&borrowed(&versions(&[&older, &newer], &["SELECT id FROM v1;"])));
    assert_eq!(findings, []);
    let contract = contracts.contract("shop", "placed").unwrap();
    assert_eq!((contract.kind, contract.purpose), (Some("command"), None));
}

#[test]
fn names_and_files() {
    let event = placed("");
    for (path, expected) in [
        (
            "every/placed/v1.avsc",
            "c/every/context.toml:1: `every` cannot be a context: it is reserved",
        ),
        (
            "pg_x/placed/v1.avsc",
            "c/pg_x/context.toml:1: `pg_x` cannot be a context: it is reserved",
        ),
        (
            "Shop/placed/v1.avsc",
            "c/Shop/context.toml:1: `Shop` cannot be a context: a name has lower-case letters, digits and underscores, and begins with a letter",
        ),
        (
            "shop/tombstone/v1.avsc",
            "c/shop/tombstone/v1.avsc:1: `tombstone` cannot be an event: it stands for records without a value",
        ),
        (
            "shop/order-placed/v1.avsc",
            "c/shop/order-placed/v1.avsc:1: `order-placed` cannot be an event: a name has lower-case letters, digits and underscores, and begins with a letter",
        ),
        ("shop/placed/v01.avsc", "c/shop/placed/v01.avsc:1: this file is no part of a contract"),
        ("shop/v1.avsc", "c/shop/v1.avsc:1: this file is no part of a contract"),
        (
            "shop/placed/v2.avsc",
            "c/shop/placed/v1.avsc:1: v1.avsc is missing, though there is a v2.avsc",
        ),
    ] {
        let toml = format!("{}/context.toml", path.split('/').next().unwrap());
        let found = findings(&[(&toml, CONTEXT), (path, &event)]);
        assert_eq!(found.first().map(String::as_str), Some(expected), "{found:?}");
    }
    let extra = |path| {
        findings(&[
            ("shop/context.toml", CONTEXT),
            ("shop/placed/v1.avsc", &event),
            (path, "SELECT FROM v1"),
        ])
    };
    assert_eq!(
        extra("shop/placed/v1.sql"),
        ["c/shop/placed/v1.sql:1: there is no version before the first"]
    );
    assert_eq!(extra("shop/placed/v2.sql"), ["c/shop/placed/v2.sql:1: there is no v2.avsc"]);
    assert_eq!(
        upcast(&[&event, &event], &[]),
        ["c/shop/placed/v2.sql:1: nothing says how a v1 becomes a v2"]
    );
}

#[test]
fn schemas() {
    let one =
        |schema: &str| findings(&[("shop/context.toml", CONTEXT), ("shop/placed/v1.avsc", schema)]);
    let starts = |schema: &str, expected: &str| {
        let found = one(schema);
        assert!(found.len() == 1 && found[0].starts_with(expected), "{found:?}");
    };
    starts("{\n\"type\": \"record\",\n}", "c/shop/placed/v1.avsc:3: not JSON: ");
    starts(
        r#"{"type":"record","name":"A","fields":[{"name":"id","type":"strin"}]}"#,
        "c/shop/placed/v1.avsc:1: not Avro: ",
    );
    starts(r#""string""#, "c/shop/placed/v1.avsc:1: the schema is string, not a record");
    let fields = |fields: &str| placed(fields).replace("},{", "},\n{");
    starts(
        &fields(r#"{"name":"a","type":"int"},{"name":"_b","type":"int"}"#),
        "c/shop/placed/v1.avsc:3: the field `_b` begins with `_`",
    );
    starts(
        &fields(r#"{"name":"orderId","type":"int"},{"name":"orderid","type":"int"}"#),
        "c/shop/placed/v1.avsc:3: the fields `orderId` and `orderid` are both the column orderid in SQL",
    );
    let long = "x".repeat(64);
    starts(
        &fields(&format!(r#"{{"name":"{long}","type":"int"}}"#)),
        &format!("c/shop/placed/v1.avsc:2: the field `{long}` has more than 63 bytes"),
    );
    starts(
        &fields(
            r#"{"name":"d","type":{"type":"bytes","logicalType":"decimal","precision":1001,"scale":2}}"#,
        ),
        "c/shop/placed/v1.avsc:1: decimal(1001,2) has more than 1000 digits",
    );
}

#[test]
fn one_topic_one_meaning_of_a_name() {
    let event = placed("");
    let texts = [
        ("a/context.toml", CONTEXT),
        ("a/placed/v1.avsc", &event),
        ("b/context.toml", CONTEXT),
        ("b/sold/v1.avsc", &event),
        ("c/context.toml", "topic = \"other\"\nkey = \"id\""),
        ("c/sold/v1.avsc", &event),
    ];
    assert_eq!(
        findings(&texts),
        ["c/b/sold/v1.avsc:1: the record shop.Placed on topic shop.events is a.placed already"]
    );
    let (contracts, _) = load(&texts);
    assert_eq!(contracts.names().len(), 5, "the second of the twins is gone, and nothing else");
    assert_eq!(contracts.broken("b", "sold").as_deref(), Some("c/b/sold/v1.avsc:1:1"));
}

#[test]
fn what_is_broken_takes_nothing_along() {
    let (good, bare) = (placed(""), record("Bare", r#"{"name":"n","type":"int"}"#));
    let texts = |toml: &'static str, bad: &'static str| {
        load(&[
            ("a/context.toml", toml),
            ("a/placed/v1.avsc", &good),
            ("a/bad/v1.avsc", bad),
            ("a/bare/v1.avsc", &bare),
            ("b/context.toml", "topic = \"b\"\nkey = \"id\""),
            ("b/sold/v1.avsc", &good),
        ])
    };
    let (contracts, findings) = texts(CONTEXT, "{\n  \"type\": é");
    let told: Vec<String> = findings.iter().map(|finding| finding.address()).collect();
    assert_eq!(told, ["c/a/bad/v1.avsc:2:11", "c/a/context.toml:2:1"], "{findings:#?}");
    assert_eq!(contracts.names(), ["a.placed", "a.tombstone", "b.sold", "b.tombstone"]);
    assert_eq!(contracts.broken("a", "bad").as_deref(), Some(&told[0][..]));
    assert_eq!(contracts.broken("a", "bare").as_deref(), Some(&told[1][..]));
    assert_eq!(contracts.broken("a", "placed"), None);
    // Without its file a context is nothing, and its events are not unknown, either.
    let (contracts, findings) = texts("topic = 3", "{");
    assert_eq!(contracts.names(), ["b.sold", "b.tombstone"]);
    let told = contracts.broken("a", "placed");
    assert_eq!(told.as_deref(), Some("c/a/context.toml:1:1"), "{findings:#?}");
}

#[test]
fn all_findings_come_at_once() {
    let texts = [("a/context.toml", "topic = \"t\""), ("b/placed/v1.avsc", "{"), ("x.toml", "")];
    assert_eq!(findings(&texts).len(), 4, "{:?}", findings(&texts));
}

const OLD: &str =
    r#"{"name":"total","type":"int"},{"name":"note","type":["null","string"],"default":null}"#;

#[test]
fn every_field_of_an_upcast_has_a_source() {
    let to = |fields: &str, sql: &str| upcast(&[&placed(OLD), &placed(fields)], &[sql]);
    let none: [&str; 0] = [];
    assert_eq!(
        to(
            r#"{"name":"total","type":"long"},{"name":"note","type":["string","null"]}"#,
            "SELECT id FROM v1"
        ),
        none
    );
    assert_eq!(to(r#"{"name":"amount","type":"int"}"#, "SELECT total AS amount FROM v1;"), none);
    assert_eq!(to(r#"{"name":"amount","type":"int","default":0}"#, "SELECT id FROM v1"), none);
    assert_eq!(
        to(r#"{"name":"at","type":["null","string"]}"#, "SELECT _topic AS at FROM v1"),
        none
    );
    for (fields, sql, expected) in [
        (
            r#"{"name":"amount","type":"int"}"#,
            "SELECT id FROM v1",
            "c/shop/placed/v2.sql:1: v2's field `amount` has no source: it is not in v1, and it has no default",
        ),
        (
            r#"{"name":"total","type":"string"}"#,
            "SELECT id FROM v1",
            "c/shop/placed/v2.sql:1: v2's field `total` has no source: it was int and is string, which is no promotion",
        ),
        (
            r#"{"name":"note","type":"string","default":""}"#,
            "SELECT id FROM v1",
            "c/shop/placed/v2.sql:1: v2's field `note` has no source: it may be null in the version before, and may not be null here",
        ),
        (
            r#"{"name":"total","type":"int"}"#,
            "SELECT id,\n total AS totl FROM v1",
            "c/shop/placed/v2.sql:2: v2 has no field `totl`, did you mean `total`?",
        ),
    ] {
        assert_eq!(to(fields, sql), [expected]);
    }
    let (_, help) = load(&borrowed(&versions(
        &[&placed(""), &placed(r#"{"name":"b","type":"int"}"#)],
        &["SELECT id FROM v1"],
    )));
    assert_eq!(
        help[0].help,
        "write `… AS b` into c/shop/placed/v2.sql, or give the field a default in v2.avsc if v1 has no such field, \
         or give it a type that v1's promotes to"
    );
}

#[test]
fn meaning_is_what_models_can_see() {
    let meaning = |schemas: &[&str], upcasts: &[&str]| -> Vec<String> {
        let (contracts, findings) = load(&borrowed(&versions(schemas, upcasts)));
        assert_eq!(findings, []);
        let contract = contracts.contract("shop", "placed").unwrap();
        let parts = vitrina_avro::Layout::new(contract, None).meaning();
        parts.into_iter().map(|part| part.text).collect()
    };
    let field = r#"{"name":"n","type":"int","default":1}"#;
    let base = meaning(&[&placed(field)], &[]);
    let documented = placed(r#"{"name":"n", "doc":"how many", "type":"int","default":1}"#);
    assert_eq!(meaning(&[&documented], &[]), base);
    for other in [
        r#"{"name":"n","type":"int","default":2}"#,
        r#"{"name":"n","type":"int","default":1,"aliases":["m"]}"#,
        r#"{"name":"n","type":"long","default":1}"#,
        r#"{"name":"n","type":{"type":"int","logicalType":"date"},"default":1}"#,
    ] {
        assert_ne!(meaning(&[&placed(other)], &[]), base, "{other}");
    }
    let two = |sql: &str| meaning(&[&placed(""), &placed(field)], &[sql]);
    assert_eq!(two("SELECT 1 + 1 AS n FROM v1"), two("SELECT 1 + 1 AS n -- two\nFROM   v1;"));
    assert_ne!(two("SELECT 1 + 1 AS n FROM v1"), two("SELECT 1 + 2 AS n FROM v1"));
    assert_ne!(two("SELECT length('a b') AS n FROM v1"), two("SELECT length('a  b') AS n FROM v1"));
}
