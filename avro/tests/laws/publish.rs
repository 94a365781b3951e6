//! Plain JSON in, Avro out: read back through the decoder, and refused with the field's path.

use serde_json::{Value as Json, json};
use vitrina_avro::{Contracts, encode_json, key_text};

use crate::common::{Bench, CONTEXT, borrowed, contracts, placed, versions};

const FIELDS: &str = r#"
    {"name":"amount","type":{"type":"bytes","logicalType":"decimal","precision":12,"scale":2}},
    {"name":"qty","type":{"type":"fixed","name":"Q","size":8,"logicalType":"decimal","precision":18,"scale":3},"default":"\u0000\u0000\u0000\u0000\u0000\u0000\u0003\u00e8"},
    {"name":"at","type":{"type":"long","logicalType":"timestamp-millis"}},
    {"name":"day","type":["null",{"type":"int","logicalType":"date"}],"default":null},
    {"name":"blob","type":"bytes","default":"\u00ff"},
    {"name":"any","type":["null","boolean","long","double","string"],"default":null},
    {"name":"status","type":{"type":"enum","name":"S","symbols":["OPEN","CLOSED"]},"default":"OPEN"},
    {"name":"items","type":{"type":"array","items":{"type":"record","name":"Item","fields":[
        {"name":"sku","type":"string"},{"name":"price","type":"double","default":1.5}]}},"default":[]},
    {"name":"ref","type":["null",{"type":"string","logicalType":"uuid"}],"default":null},
    {"name":"took","type":["null",{"type":"fixed","name":"D","size":12,"logicalType":"duration"}],"default":null}"#;

fn shop() -> Contracts {
    contracts(&borrowed(&versions(&[&placed(FIELDS)], &[])))
}

fn minimal(extra: Json) -> Json {
    let mut json = json!({"id": "o-1", "amount": "12.50", "at": "2026-11-22T05:44:09.123+01:00"});
    json.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    json
}

/// Encodes, decodes, and shows the columns as Postgres would.
fn decoded(json: &Json) -> crate::common::Row {
    let contracts = shop();
    let version = contracts.contract("shop", "placed").unwrap().newest();
    let datum = encode_json(version, json).unwrap();
    let mut bench = Bench::new(&contracts);
    bench.writer(&version.json);
    bench.decode(&datum).unwrap().unwrap()
}

#[test]
fn what_is_left_out_is_the_default() {
    let row = decoded(&minimal(json!({})));
    assert_eq!(row.text("status").as_deref(), Some("OPEN"));
    assert_eq!(row.columns["blob"], Some(vec![0xff]));
    assert_eq!(row.columns["day"], None);
    assert_eq!(row.json("items").as_deref(), Some("[]"));
    assert_eq!(
        row.columns["qty"],
        Some([1u16, 0, 0, 3, 1].iter().flat_map(|part| part.to_be_bytes()).collect())
    );
}

#[test]
fn values_are_written_as_people_write_them() {
    let row = decoded(&minimal(json!({
        "amount": 12.5, "qty": "-0.001", "day": "2000-01-02", "blob": "aGk=", "any": 1.5, "status": "CLOSED",
        "items": [{"sku": "a"}, {"sku": "b", "price": 2}],
        "ref": "0F4F2A3C-0000-4000-8000-00000000000A", "took": {"months": 14, "milliseconds": 1},
    })));
    assert_eq!(
        row.columns["amount"],
        Some([2u16, 0, 0, 2, 12, 5000].iter().flat_map(|part| part.to_be_bytes()).collect())
    );
    assert_eq!(row.columns["day"], Some(vec![0, 0, 0, 1]));
    assert_eq!(row.columns["blob"], Some(b"hi".to_vec()));
    assert_eq!(row.json("any").as_deref(), Some("1.5"));
    assert_eq!(
        row.json("items").as_deref(),
        Some(r#"[{"sku":"a","price":1.5},{"sku":"b","price":2}]"#)
    );
    assert_eq!(row.columns["ref"].as_ref().unwrap()[..4], [0x0f, 0x4f, 0x2a, 0x3c]);
    assert_eq!(row.columns["took"].as_ref().unwrap()[8..], [0, 0, 0, 0, 0, 0, 0, 14]);
    let at = i64::from_be_bytes(row.columns["at"].as_ref().unwrap()[..].try_into().unwrap());
    assert_eq!(at, 848_637_849_123_000, "2026-11-22 04:44:09.123 UTC");
    for (any, text) in [
        (json!(true), "true"),
        (json!(7), "7"),
        (json!("7"), "\"7\""),
        (json!(1e300), &format!("1{}", "0".repeat(300))),
    ] {
        assert_eq!(decoded(&minimal(json!({"any": any}))).json("any").as_deref(), Some(text));
    }
}

#[test]
fn errors_name_the_field_and_what_is_due() {
    let contracts = shop();
    let version = contracts.contract("shop", "placed").unwrap().newest();
    for (extra, expected) in [
        (
            json!({"amuont": 1}),
            "field amuont: shop.Placed has no such field, did you mean `amount`?",
        ),
        (json!({"amount": "1.005"}), "field amount: 1.005 has more than 2 digits after the point"),
        (
            json!({"amount": "12345678901"}),
            "field amount: 12345678901 has more than 12 digits, 2 of them after the point",
        ),
        (json!({"amount": "ten"}), "field amount: \"ten\" is not a decimal"),
        (
            json!({"qty": "9e15"}),
            "field qty: 9e15 has more than 18 digits, 3 of them after the point",
        ),
        (
            json!({"at": "noon"}),
            "field at: \"noon\" is not a timestamp in millis as \"2026-11-22T04:44:09.5Z\"",
        ),
        (json!({"day": "2026-02-30"}), "field day: \"2026-02-30\" is not a date as \"2026-11-22\""),
        (json!({"blob": "hi"}), "field blob: \"hi\" is not bytes in base64"),
        (json!({"any": []}), "field any: an array is none of null, boolean, long, double, string"),
        (
            json!({"status": "CLOSE"}),
            "field status: \"CLOSE\" is not a symbol of shop.S, did you mean `CLOSED`?",
        ),
        (json!({"items": [{"sku": "a"}, {"sku": 5}]}), "field items[1].sku: 5 is not string"),
        (json!({"items": [{}]}), "field items[0].sku: is missing and has no default"),
        (json!({"id": null}), "field id: null is not string"),
    ] {
        assert_eq!(encode_json(version, &minimal(extra)).unwrap_err().to_string(), expected);
    }
    assert_eq!(
        encode_json(version, &json!({"id": "a"})).unwrap_err().to_string(),
        "field amount: is missing and has no default"
    );
    assert_eq!(
        encode_json(version, &json!([])).unwrap_err().to_string(),
        "an array is not record shop.Placed"
    );
}

#[test]
fn the_key_is_the_text_that_postgres_writes() {
    let key = |ty: &str, value: Json| {
        let schema =
            format!(r#"{{"type":"record","name":"P","fields":[{{"name":"id","type":{ty}}}]}}"#);
        let contracts =
            contracts(&[("shop/context.toml", CONTEXT), ("shop/placed/v1.avsc", &schema)]);
        let contract = contracts.contract("shop", "placed").unwrap();
        key_text(&contracts.contexts["shop"], contract.newest(), &json!({"id": value}))
            .map_err(|error| error.to_string())
    };
    assert_eq!(key("\"string\"", json!("ö")), Ok("ö".into()));
    assert_eq!(key("[\"null\",\"long\"]", json!(-5)), Ok("-5".into()));
    assert_eq!(
        key(r#"{"type":"bytes","logicalType":"decimal","precision":5,"scale":2}"#, json!(5)),
        Ok("5.00".into())
    );
    assert_eq!(
        key(r#"{"type":"string","logicalType":"uuid"}"#, json!("0F4F2A3C00004000800000000000000A")),
        Ok("0f4f2a3c-0000-4000-8000-00000000000a".into())
    );
    assert_eq!(
        key(r#"{"type":"long","logicalType":"timestamp-micros"}"#, json!("2026-11-22T04:44:09.5Z")),
        Ok("2026-11-22 04:44:09.5+00".into())
    );
    assert_eq!(key("[\"null\",\"long\"]", Json::Null), Err("field id: the key is null".into()));
    assert_eq!(key("\"long\"", json!("x")), Err("field id: \"x\" is not long".into()));
}
