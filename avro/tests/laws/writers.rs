//! Writers' schemas, which others wrote: what Java takes is taken, what is no schema is refused, and nothing panics.

use proptest::prelude::*;
use vitrina_avro::{Schema, parse_json};

use crate::common::{Bench, contracts, load, long, placed, record, string};

/// A writer of `shop.Placed` with this field `x` besides its id.
fn with(field: &str) -> String {
    placed(&format!(r#"{{"name":"x",{field}}}"#))
}

#[test]
fn a_writers_defaults_are_never_looked_at() {
    for field in [
        r#""type":"int","default":"seven""#,
        r#""type":"int","default":null"#,
        r#""type":["null","int"],"default":"null""#,
        r#""type":["int","null"],"default":null"#,
        r#""type":{"type":"long","logicalType":"timestamp-millis"},"default":"now""#,
        r#""type":{"type":"bytes","logicalType":"decimal","precision":4,"scale":2},"default":0.5"#,
        r#""type":{"type":"enum","name":"E","symbols":["A"],"default":"B"},"default":"C""#,
        r#""type":{"type":"enum","name":"E","symbols":["A"],"default":7}"#,
        r#""type":{"type":"record","name":"R","fields":[{"name":"a","type":"int","default":{}}]},"default":[]"#,
        r#""type":{"type":"array","items":{"type":"record","name":"R","fields":[{"name":"a","type":"int","default":"x"}]}},"default":{}"#,
        r#""type":{"type":"map","values":{"type":"fixed","name":"F","size":2}},"default":[1]"#,
    ] {
        let mut bench = Bench::of(&[&placed("")], &[]);
        assert_eq!(bench.writer(&with(field)), [], "{field}");
    }
    // Of a contract they are.
    let (_, findings) = load(&[
        ("shop/context.toml", "topic = \"t\"\nkey = \"id\"\n"),
        ("shop/placed/v1.avsc", &with(r#""type":"int","default":"seven""#)),
    ]);
    assert!(findings[0].to_string().contains("default"), "{findings:?}");
}

#[test]
fn names_that_java_takes() {
    for name in [
        "my-server.inventory.customers.Envelope",
        "com.acme.Outer$Inner",
        "com.acme.Outer$.Inner",
        "com.acme.Placed-v2",
        "1st.topic.Value",
        "de.größe.Überweisung",
        "$Proxy",
        "a..b.C",
        ".Bare",
    ] {
        let schema = record("Placed", "")
            .replace("\"name\":\"Placed\",\"namespace\":\"shop\"", &format!("\"name\":\"{name}\""));
        let full = name.strip_prefix('.').unwrap_or(name);
        assert_eq!(
            Schema::of_writer(&schema, &[]).unwrap().describe(),
            format!("record {full}{{}}")
        );
        Schema::parse(&schema).unwrap();
    }
    for name in ["", "a b", "a\\\"b", "a'b", "1st", "-a", "a.", "a;b", "a\\u0000", "a\\nb", "a/b"] {
        let schema =
            record("Placed", "").replace("\"name\":\"Placed\"", &format!("\"name\":\"{name}\""));
        assert!(Schema::of_writer(&schema, &[]).is_err(), "{name}");
    }
    let namespace = record("Value", "").replace("\"shop\"", "\"my-server.shop$\"");
    assert_eq!(Schema::parse(&namespace).unwrap().describe(), "record my-server.shop$.Value{}");
}

/// Fields and symbols are columns and values under their own names.
#[test]
fn fields_and_symbols_bear_the_same_names() {
    let fields = r#"{"name":"id","type":"string"},{"name":"order-id","type":"int"},{"name":"größe$","type":"int"},
        {"name":"e","type":{"type":"enum","name":"E-1","symbols":["NOT-YET","ÄÖ$"]}},
        {"name":"r","type":{"type":"record","name":"R$1","fields":[{"name":"a-b","type":"int"}]}}"#;
    let schema = record("Placed-v1", fields);
    let texts = [
        ("shop/context.toml", "topic = \"shop.events\"\nkey = \"order-id\"\n"),
        ("shop/placed/v1.avsc", &schema[..]),
    ];
    let mut bench = Bench::new(&contracts(&texts));
    bench.writer(&schema);
    let datum = [string("a"), long(1), long(2), long(1), long(3)].concat();
    let row = bench.decode(&datum).unwrap().unwrap();
    assert_eq!(row.columns["order-id"], Some(vec![0, 0, 0, 1]));
    assert_eq!(row.columns["größe$"], Some(vec![0, 0, 0, 2]));
    assert_eq!(row.text("e").as_deref(), Some("ÄÖ$"));
    assert_eq!(row.json("r").as_deref(), Some("{\"a-b\":3}"));
}

#[test]
fn a_byte_order_mark_is_no_part_of_a_schema() {
    let marked = format!("\u{feff}{}", placed(""));
    assert!(Schema::of_writer(&marked, &[]).is_ok() && Schema::parse(&marked).is_ok());
    let line = record("Line", "");
    let mentions = with(r#""type":"shop.Line""#);
    assert!(Schema::of_writer(&mentions, &[format!("\u{feff}{line}")]).is_ok());
    assert!(Schema::of_writer(&format!("{{{marked}"), &[]).is_err());
}

#[test]
fn what_a_writer_says_of_logical_types_is_taken_or_passed_over() {
    for (said, means) in [
        (r#"{"type":"int","logicalType":7}"#, "int"),
        (r#"{"type":"int","logicalType":null}"#, "int"),
        (r#"{"type":"int","logicalType":"moon-phase"}"#, "int"),
        (r#"{"type":"string","logicalType":"timestamp-millis"}"#, "string"),
        (r#"{"type":"bytes","logicalType":"decimal","precision":2,"scale":5}"#, "bytes"),
        (r#"{"type":{"type":"int"}}"#, "int"),
    ] {
        let described =
            Schema::of_writer(&with(&format!("\"type\":{said}")), &[]).unwrap().describe();
        assert!(described.contains(&format!("x:{means},")), "{said}: {described}");
    }
}

#[test]
fn a_key_that_is_said_twice_is_refused_and_told_where() {
    for (text, at) in [
        (r#"{"a":1,"a":1}"#, "the key \"a\" is said twice at line 1 column 10"),
        (r#"{"a":{"b":1,"c":[{"d":0,"d":null}]}}"#, "the key \"d\" is said twice"),
        ("{\"a\":1,\n\"\\u0061\":2}", "the key \"a\" is said twice at line 2"),
        (r#"{"":0,"":0}"#, "the key \"\" is said twice"),
        ("\u{feff}{\"a\":1,\"b\":2,\"a\":3}", "the key \"a\" is said twice"),
    ] {
        let error = parse_json(text).unwrap_err().to_string();
        assert!(error.contains(at), "{text}: {error}");
    }
    for text in
        [r#"{"a":{"a":{"a":1.50}},"b":[{"a":1},{"a":1}],"A":12345678901234567890123}"#, "1", "[]"]
    {
        assert_eq!(
            parse_json(text).unwrap().to_string(),
            serde_json::from_str::<serde_json::Value>(text).unwrap().to_string()
        );
    }
    let (_, findings) = load(&[
        ("shop/context.toml", "topic = \"t\"\nkey = \"id\"\n"),
        ("shop/placed/v1.avsc", &with("\"type\":\"int\",\n\"type\":\"long\"")),
    ]);
    assert!(
        findings[0]
            .to_string()
            .starts_with("c/shop/placed/v1.avsc:2:6: not JSON: the key \"type\" is said twice"),
        "{findings:?}"
    );
    // Java takes the last one, and so is a writer's read.
    let twice = with(r#""type":"int","type":"long""#);
    assert!(Schema::of_writer(&twice, &[]).unwrap().describe().contains("x:long,"));
}

#[test]
fn a_schema_that_nests_too_deep_is_told_how_deep_it_may() {
    let deep = format!("{}\"int\"{}", "{\"type\":".repeat(200), "}".repeat(200));
    for error in [Schema::of_writer(&deep, &[]), Schema::parse(&deep)] {
        let error = error.unwrap_err().to_string();
        assert!(error.contains("values nest deeper than 127 levels"), "{error}");
    }
}

/// The parser looks for a reference under its own name, and would not find what is inside of it.
#[test]
fn a_reference_may_be_wrapped() {
    let wrapped = format!(r#"{{"name":"Outer","type":{{"type":{}}}}}"#, record("Line", ""));
    let mentions = with(r#""type":"shop.Line""#);
    assert!(Schema::of_writer(&mentions, &[wrapped]).is_ok());
}

/// JSON that looks like a schema, more or less.
fn almost() -> impl Strategy<Value = serde_json::Value> {
    let word = prop_oneof![
        Just("int"),
        Just("string"),
        Just("bytes"),
        Just("record"),
        Just("enum"),
        Just("fixed"),
        Just("array"),
        Just("map"),
        Just("A"),
        Just("shop.A"),
        Just("B"),
        Just("x"),
        Just("decimal"),
        Just("uuid"),
        Just("duration"),
        Just(""),
        Just("a.b-c"),
    ];
    let leaf = prop_oneof![
        word.prop_map(|word| serde_json::json!(word)),
        Just(serde_json::Value::Null),
        any::<i64>().prop_map(|number| serde_json::json!(number)),
        Just(serde_json::json!(16)),
    ];
    let key = prop_oneof![
        Just("type"),
        Just("name"),
        Just("namespace"),
        Just("fields"),
        Just("items"),
        Just("values"),
        Just("symbols"),
        Just("size"),
        Just("logicalType"),
        Just("precision"),
        Just("scale"),
        Just("default"),
        Just("aliases"),
    ];
    leaf.prop_recursive(5, 60, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(serde_json::Value::from),
            prop::collection::vec((key.clone(), inner), 0..6).prop_map(|members| {
                serde_json::Value::Object(
                    members.into_iter().map(|(key, value)| (key.to_owned(), value)).collect(),
                )
            }),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, ..ProptestConfig::default() })]

    #[test]
    fn no_schema_panics(schema in almost(), others in prop::collection::vec(almost(), 0..3)) {
        let others: Vec<String> = others.iter().map(ToString::to_string).collect();
        if let Ok(schema) = Schema::of_writer(&schema.to_string(), &others) {
            schema.describe();
        }
        let _ = Schema::parse(&schema.to_string());
    }

    /// Sound schemas, some of whose parts are put elsewhere.
    #[test]
    fn no_damaged_schema_panics(cuts in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), 1usize..30), 1..4), swap: bool) {
        let line = record("Line", r#"{"name":"sku","type":"string"},{"name":"more","type":["null","Line"],"default":null}"#);
        let whole = with(r#""type":[{"type":"array","items":"shop.Line"},{"type":"fixed","name":"F","size":16,"logicalType":"uuid"},{"type":"enum","name":"E","symbols":["A","B"],"default":"A"}]"#);
        let mut texts = [line, whole];
        let text = &mut texts[usize::from(swap)];
        for (from, to, length) in cuts {
            let from = from.index(text.len());
            let piece: String = text.chars().skip(from).take(length).collect();
            let to = to.index(text.len());
            text.insert_str(to, &piece);
        }
        let [line, whole] = texts;
        if let Ok(schema) = Schema::of_writer(&whole, &[line]) {
            let mut bench = Bench::of(&[&placed("")], &[]);
            bench.decoder.add_schema(vitrina_avro::SchemaRef::Id(1), &std::sync::Arc::new(schema));
            let _ = bench.decode(&[2, b'a', 0, 0]);
        }
    }
}
