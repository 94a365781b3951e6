//! Which version did a writer use? A table of writers against one contract, and what promotes to what.

use crate::common::{
    Bench, CONTEXT, Envelope, borrowed, contracts, long, placed, record, string, versions,
};

const V1: &str = r#"{"name":"total","type":"int"},{"name":"lines","type":{"type":"array","items":{"type":"record","name":"Line","fields":[{"name":"sku","type":"string"}]}}}"#;
const V2: &str = r#"{"name":"amount","type":"long","aliases":["sum"]},{"name":"lines","type":{"type":"array","items":{"type":"record","name":"Line","fields":[{"name":"sku","type":"string"},{"name":"unit","type":"string","default":"kg"}]}}},{"name":"note","type":["null","string"],"default":null}"#;

fn bench() -> Bench {
    Bench::of(&[&placed(V1), &placed(V2)], &["SELECT total AS amount FROM v1"])
}

/// The version that a writer's empty-handed event is, or why it is none.
fn version(writer: &str, datum: &[u8]) -> Result<usize, String> {
    let mut bench = bench();
    bench.writer(writer);
    match bench.decode(datum) {
        Ok(Some(row)) => Ok(row.version + 1),
        Ok(None) => Err("ignored".into()),
        Err(error) => Err(error.to_string()),
    }
}

#[test]
fn the_version_that_the_writers_schema_is() {
    let id = string("a");
    let v1 = [&id[..], &long(5), &[0]].concat();
    let v2 = [&id[..], &long(5), &[0], &[0]].concat();
    assert_eq!(version(&placed(V1), &v1), Ok(1));
    assert_eq!(version(&placed(V2), &v2), Ok(2));
    let undocumented =
        placed(V2).replace(r#","default":null"#, "").replace(r#","aliases":["sum"]"#, "");
    assert_eq!(version(&undocumented, &v2), Ok(2), "defaults and aliases are not what was written");
}

#[test]
fn the_newest_that_the_writer_holds_wholly() {
    let id = string("a");
    let line = |fields: &str| {
        format!(
            r#"{{"name":"lines","type":{{"type":"array","items":{{"type":"record","name":"Line","fields":[{fields}]}}}}}}"#
        )
    };
    let sku = r#"{"name":"sku","type":"string"}"#;
    let unit = r#"{"name":"unit","type":"string"}"#;
    let note = r#"{"name":"note","type":"string"}"#;
    let both = format!("{sku},{unit}");
    for (fields, datum, expected) in [
        (
            format!(r#"{{"name":"amount","type":"int"}},{},{note}"#, line(&both)),
            [long(5), vec![0], string("n")].concat(),
            Ok(2),
        ),
        (
            format!(r#"{},{{"name":"sum","type":"int"}},{note}"#, line(&both)),
            [vec![0], long(5), string("n")].concat(),
            Ok(2),
        ),
        (
            format!(
                r#"{{"name":"more","type":"string"}},{{"name":"amount","type":"int"}},{},{note}"#,
                line(&format!("{both},{{\"name\":\"x\",\"type\":\"int\"}}"))
            ),
            [string("m"), long(5), vec![0], string("n")].concat(),
            Ok(2),
        ),
        (
            format!(
                r#"{{"name":"total","type":"int"}},{},{{"name":"more","type":"int"}}"#,
                line(sku)
            ),
            [long(5), vec![0], long(1)].concat(),
            Ok(1),
        ),
        (
            format!(r#"{{"name":"total","type":"int"}},{},{note}"#, line(sku)),
            vec![],
            Err("v2: the field amount is missing; v1: the writer's field note belongs to v2"),
        ),
        (
            format!(r#"{{"name":"total","type":"int"}},{}"#, line(&both)),
            vec![],
            Err("v2: the field amount is missing; v1: the writer's field lines.unit belongs to v2"),
        ),
        (
            format!(
                r#"{{"name":"total","type":"int"}},{},{{"name":"sum","type":"int"}}"#,
                line(sku)
            ),
            [long(5), vec![0], long(7)].concat(),
            Ok(2),
        ),
        (
            format!(r#"{{"name":"total","type":"long"}},{}"#, line(sku)),
            vec![],
            Err(
                "v2: the field amount is missing; v1: the field total is written as long, which does not promote to int",
            ),
        ),
        (
            format!(
                r#"{{"name":"amount","type":"long"}},{},{{"name":"note","type":["null","int"]}}"#,
                line(&both)
            ),
            vec![],
            Err(
                "v2: the field note is written as int, which does not promote to null or string; v1: the field total is missing",
            ),
        ),
    ] {
        let expected = expected.map_err(|why| {
            format!("no version of shop.placed fits the writer's schema of shop.Placed: {why}")
        });
        assert_eq!(version(&placed(&fields), &[id.clone(), datum].concat()), expected, "{fields}");
    }
}

#[test]
fn names_decide_what_an_event_is() {
    assert_eq!(version(&placed(V1).replace("Placed", "Shipped"), &[]), Err("ignored".into()));
    assert_eq!(version(&placed(V1).replace("\"shop\"", "\"other\""), &[]), Err("ignored".into()));
    assert_eq!(version("\"string\"", &string("x")), Err("ignored".into()));
    let aliased = placed("")
        .replace("\"Placed\"", "\"OrderPlaced\"")
        .replace("\"fields\"", "\"aliases\":[\"Placed\"],\"fields\"");
    let mut bench = Bench::of(&[&aliased], &[]);
    bench.writer(&placed(""));
    assert!(bench.decode(&string("a")).unwrap().is_some(), "an alias of the record counts");
}

/// A name that no contract of the topic knows is told from one that no rule wants, with the name that was probably meant.
#[test]
fn unknown_names_are_told_with_the_nearest_known_one() {
    let other = record("OrderShipped", r#"{"name":"id","type":"string"}"#);
    let contracts = contracts(&[
        ("shop/context.toml", CONTEXT),
        ("shop/placed/v1.avsc", &placed("")),
        ("shop/shipped/v1.avsc", &other),
    ]);
    let layout = vitrina_avro::Layout::new(contracts.contract("shop", "placed").unwrap(), None);
    let mut bench = Bench::with(&contracts, vec![layout]);
    let mut unknown = |schema: &str| {
        bench.writer(schema);
        bench.decode(&string("a")).unwrap();
        bench.unknown.take()
    };
    let named = |name: &str| {
        other.replace("\"OrderShipped\",\"namespace\":\"shop\"", &format!("\"{name}\""))
    };
    assert_eq!(unknown(&other), None, "no rule wants it, and that is all");
    assert_eq!(unknown(&placed("")), None);
    for (schema, name, nearest) in [
        (
            named("com.acme.prod.OrderShipped"),
            "com.acme.prod.OrderShipped",
            Some("shop.OrderShipped"),
        ),
        (named("OrderShipped"), "OrderShipped", Some("shop.OrderShipped")),
        (named("shop.OrderShiped"), "shop.OrderShiped", Some("shop.OrderShipped")),
        (named("com.acme.PLACED"), "com.acme.PLACED", Some("shop.Placed")),
        (named("com.acme.Plased"), "com.acme.Plased", Some("shop.Placed")),
        (named("payments.RefundIssued"), "payments.RefundIssued", None),
        ("\"string\"".into(), "string", None),
    ] {
        let told = unknown(&schema).unwrap();
        assert_eq!((told.topic.as_str(), told.name.as_str()), ("shop.events", name));
        assert_eq!(told.nearest.as_deref(), nearest, "{name}");
    }
    assert_eq!(bench.tombstone(&Envelope::default()), Ok(None));
    assert_eq!(bench.unknown, None, "a record without a value has no name");
}

#[test]
fn each_branch_of_a_union_at_the_top_is_its_own_event() {
    let union = format!("[\"null\",{},{}]", placed("").replace("Placed", "Other"), placed(V1));
    let mut bench = bench();
    bench.writer(&union);
    assert_eq!(bench.decode(&[0]), Ok(None));
    assert_eq!(bench.decode(&[&long(1)[..], &string("a")].concat()), Ok(None));
    let row =
        bench.decode(&[&long(2)[..], &string("a"), &long(7), &[0]].concat()).unwrap().unwrap();
    assert_eq!((row.version, row.text("id")), (0, Some("a".into())));
    assert!(bench.decode(&long(3)).is_err());
}

/// The value that `written` becomes in a contract's column: `Ok` is NULL or its bytes.
fn promoted(written: &str, wanted: &str, datum: &[u8]) -> Result<Option<Vec<u8>>, String> {
    let field = |ty: &str| placed(&format!(r#"{{"name":"x","type":{ty}}}"#));
    let mut bench = Bench::of(&[&field(wanted)], &[]);
    bench.writer(&field(written));
    let row = bench.decode(&[&string("a"), datum].concat()).map_err(|error| error.to_string())?;
    Ok(row.unwrap().columns["x"].clone())
}

#[test]
fn promotions_keep_their_meaning_in_sql() {
    let decimal = |precision: u32, scale: u32| {
        format!(
            r#"{{"type":"bytes","logicalType":"decimal","precision":{precision},"scale":{scale}}}"#
        )
    };
    let logical =
        |ty: &str, logical: &str| format!(r#"{{"type":"{ty}","logicalType":"{logical}"}}"#);
    let uuid = logical("string", "uuid");
    let text = "0F4F2A3C-0000-4000-8000-00000000000a";
    let epoch = (-946_684_800_000_000i64).to_be_bytes().to_vec();
    let numeric =
        |groups: &[u16]| groups.iter().flat_map(|group| group.to_be_bytes()).collect::<Vec<u8>>();
    for (written, wanted, datum, value) in [
        ("\"int\"", "\"long\"", long(-7), Some((-7i64).to_be_bytes().to_vec())),
        ("\"int\"", "\"float\"", long(3), Some(3f32.to_be_bytes().to_vec())),
        ("\"long\"", "\"double\"", long(3), Some(3f64.to_be_bytes().to_vec())),
        (
            "\"float\"",
            "\"double\"",
            0.5f32.to_le_bytes().to_vec(),
            Some(0.5f64.to_be_bytes().to_vec()),
        ),
        ("\"string\"", "\"bytes\"", string("hi"), Some(b"hi".to_vec())),
        ("\"bytes\"", "\"string\"", string("hi"), Some(b"hi".to_vec())),
        (
            "\"string\"",
            &uuid,
            string(text),
            Some(vec![15, 79, 42, 60, 0, 0, 64, 0, 128, 0, 0, 0, 0, 0, 0, 10]),
        ),
        (&uuid, "\"string\"", string(text), Some(text.to_lowercase().into_bytes())),
        (
            &logical("long", "timestamp-millis"),
            &logical("long", "timestamp-micros"),
            long(0),
            Some(epoch.clone()),
        ),
        (
            &logical("long", "timestamp-nanos"),
            &logical("long", "timestamp-millis"),
            long(999),
            Some(epoch),
        ),
        (
            &logical("int", "time-millis"),
            &logical("long", "time-micros"),
            long(1),
            Some(1000i64.to_be_bytes().to_vec()),
        ),
        (
            &decimal(10, 1),
            &decimal(12, 2),
            string("\u{7d}"),
            Some(numeric(&[2, 0, 0, 2, 12, 5000])),
        ),
        ("\"int\"", "[\"null\",\"int\"]", long(1), Some(vec![0, 0, 0, 1])),
        ("[\"int\"]", "\"int\"", [long(0), long(1)].concat(), Some(vec![0, 0, 0, 1])),
        (
            "[\"int\",\"long\"]",
            "\"long\"",
            [long(1), long(1)].concat(),
            Some(1i64.to_be_bytes().to_vec()),
        ),
        ("[\"string\",\"null\"]", "[\"null\",\"string\"]", long(1), None),
        (
            "[\"null\",\"int\"]",
            "[\"int\",\"null\",\"string\"]",
            [long(1), long(5)].concat(),
            Some(b"\x015".to_vec()),
        ),
        ("\"int\"", "[\"double\",\"int\"]", long(5), Some(b"\x015".to_vec())),
        ("[\"null\",\"int\"]", "[\"int\",\"null\",\"string\"]", long(0), None),
    ] {
        assert_eq!(promoted(written, wanted, &datum), Ok(value), "{written} to {wanted}");
    }
    for (written, wanted) in [
        ("\"long\"", "\"int\""),
        ("\"double\"", "\"float\""),
        ("[\"null\",\"int\"]", "\"int\""),
        ("\"long\"", &logical("long", "timestamp-micros")[..]),
        ("\"int\"", &logical("int", "date")),
        (&logical("long", "timestamp-micros"), &logical("long", "local-timestamp-micros")),
        (&decimal(12, 2), &decimal(12, 1)),
        (&decimal(12, 2), &decimal(12, 4)),
        ("\"string\"", "\"int\""),
        ("{\"type\":\"array\",\"items\":\"long\"}", "{\"type\":\"array\",\"items\":\"int\"}"),
        (
            "{\"type\":\"fixed\",\"name\":\"F\",\"size\":4}",
            "{\"type\":\"fixed\",\"name\":\"F\",\"size\":5}",
        ),
        (
            "{\"type\":\"fixed\",\"name\":\"F\",\"size\":4}",
            "{\"type\":\"fixed\",\"name\":\"G\",\"size\":4}",
        ),
    ] {
        let error = promoted(written, wanted, &[]).unwrap_err();
        assert!(error.contains("the field x is written as "), "{written} to {wanted}: {error}");
    }
}

#[test]
fn symbols_that_the_contract_lacks_become_its_default() {
    let symbols = |symbols: &str, default: &str| {
        format!(r#"{{"type":"enum","name":"E","symbols":[{symbols}]{default}}}"#)
    };
    let written = symbols(r#""NEW","A""#, "");
    assert_eq!(
        promoted(&written, &symbols(r#""A","U""#, r#","default":"U""#), &long(0)),
        Ok(Some(b"U".to_vec()))
    );
    assert_eq!(promoted(&written, &symbols(r#""A""#, ""), &long(1)), Ok(Some(b"A".to_vec())));
    assert_eq!(
        promoted(&written, &symbols(r#""A""#, ""), &long(0)),
        Err("field x, byte 3 of the payload: the symbol NEW is not one of the contract's, and its enum has no default"
            .into())
    );
}

#[test]
fn nested_json_bears_the_contracts_names() {
    let nested = |fields: &str| format!(r#"{{"type":"record","name":"R","fields":[{fields}]}}"#);
    let written = nested(r#"{"name":"old","type":"int"},{"name":"extra","type":"string"}"#);
    let wanted = nested(r#"{"name":"new","type":"long","aliases":["old"]}"#);
    let value = promoted(&written, &wanted, &[long(5), string("skipped")].concat());
    assert_eq!(value, Ok(Some(b"\x01{\"new\":5}".to_vec())));
    assert!(promoted(&wanted, &written, &[]).unwrap_err().contains("the field x.old is missing"));
}

#[test]
fn types_that_hold_themselves_are_paired() {
    let list = r#"{"type":"record","name":"L","fields":[{"name":"v","type":"int"},{"name":"next","type":["null","L"]}]}"#;
    let datum = [long(1), long(1), long(2), long(0)].concat();
    let wanted = list.replace("\"int\"", "\"long\"");
    assert_eq!(
        promoted(list, &wanted, &datum),
        Ok(Some(b"\x01{\"v\":1,\"next\":{\"v\":2,\"next\":null}}".to_vec()))
    );
    assert!(promoted(&wanted, list, &datum).is_err());
}

/// A contract whose third version has fields with defaults, and one without.
fn defaults() -> Bench {
    let v1 = r#"{"name":"total","type":"int"}"#;
    let v2 = format!(r#"{v1},{{"name":"note","type":"string"}}"#);
    let decimal = r#"{"type":"bytes","logicalType":"decimal","precision":9,"scale":2}"#;
    let place = r#"{"type":"record","name":"Place","fields":[{"name":"town","type":"string"},{"name":"zip","type":["null","string"],"default":null},{"name":"floor","type":"int","default":1}]}"#;
    let v3 = format!(
        r#"{v2},{{"name":"branch","type":"string","default":"main"}},{{"name":"rate","type":{decimal},"default":"\u0001\u0000"}},{{"name":"tags","type":{{"type":"array","items":"string"}},"default":[]}},{{"name":"at","type":["null",{place}],"default":null}},{{"name":"eid","type":"string","default":"none"}}"#
    );
    let v3 = placed(&v3);
    let upcasts = ["SELECT '' AS note FROM v1", "SELECT 0.00 AS rate FROM v2"];
    let mut texts = versions(&[&placed(v1), &placed(&v2), &v3], &upcasts);
    texts[0].1.push_str("event_id = \"eid\"\n");
    Bench::new(&contracts(&borrowed(&texts)))
}

#[test]
fn a_default_is_the_last_resort() {
    let mut bench = defaults();
    let (total, note) = (r#"{"name":"total","type":"int"}"#, r#"{"name":"note","type":"string"}"#);
    let town = |zip: &str| {
        format!(
            r#"{{"name":"at","type":{{"type":"record","name":"Place","fields":[{{"name":"town","type":"string"}}{zip}]}}}}"#
        )
    };
    let head = [string("a"), long(5)].concat();
    // Held wholly, so no default is needed.
    assert_eq!(bench.writer(&placed(&format!("{total},{note}"))), []);
    assert_eq!(bench.decode(&[head.clone(), string("n")].concat()).unwrap().unwrap().version, 1);
    // What only version 3 knows is there, and what it lacks has defaults.
    let writer = placed(&format!("{total},{note},{}", town(r#",{"name":"floor","type":"int"}"#)));
    let told = bench.writer(&writer);
    assert_eq!(told.len(), 1);
    assert_eq!((told[0].relation.as_str(), told[0].version), ("shop.placed", 3));
    assert_eq!(told[0].record, "shop.Placed");
    assert_eq!(told[0].fields, ["branch", "rate", "tags", "at.zip", "eid"]);
    let datum = [&head[..], &string("n"), &string("X"), &long(4)].concat();
    let row = bench.decode(&datum).unwrap().unwrap();
    assert_eq!(row.version, 2);
    assert_eq!(row.text("branch").as_deref(), Some("main"));
    // 2.56: two groups of four digits, weight 0, sign +, scale 2.
    let rate: Vec<u8> = [2u16, 0, 0, 2, 2, 5600].into_iter().flat_map(u16::to_be_bytes).collect();
    assert_eq!(row.columns["rate"], Some(rate));
    assert_eq!(row.json("tags").as_deref(), Some("[]"));
    assert_eq!(row.json("at").as_deref(), Some(r#"{"town":"X","floor":4,"zip":null}"#));
    assert_eq!(row.identity, None, "a default is nobody's id");
    // Nothing is guessed: a field without a default is missed, and a half-way writer is told so.
    for (writer, why) in [
        (placed(&format!("{note},{}", town(""))), "v3: the field total is missing"),
        (placed(&format!("{total},{}", town(""))), "v3: the field note is missing"),
        (
            placed(&format!("{total},{note},{{\"name\":\"branch\",\"type\":\"int\"}}")),
            "v3: the field branch is written as int",
        ),
    ] {
        assert_eq!(bench.writer(&writer), []);
        let error = bench.decode(&datum).unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
    }
}
