//! Ids, times, keys and headers: where each comes from, and what a missing or broken one means.

use std::collections::BTreeSet;

use crate::common::{Bench, CONTEXT, Envelope, contracts, long, placed, string};

const TS: &str = r#"{"type":"long","logicalType":"timestamp-millis"}"#;

fn bench(settings: &str) -> Bench {
    let schema = placed(&format!(
        r#"{{"name":"eid","type":["null","string"]}},{{"name":"n","type":"long"}},{{"name":"at","type":["null",{TS}]}},{{"name":"iso","type":"string"}}"#
    ));
    let toml = format!("{CONTEXT}{settings}");
    let mut bench =
        Bench::new(&contracts(&[("shop/context.toml", &toml), ("shop/placed/v1.avsc", &schema)]));
    bench.writer(&schema);
    bench
}

fn datum(eid: Option<&str>, at: Option<i64>, iso: &str) -> Vec<u8> {
    let eid = eid.map_or(long(0), |eid| [long(1), string(eid)].concat());
    let at = at.map_or(long(0), |at| [long(1), long(at)].concat());
    [string("o-1"), eid, long(42), at, string(iso)].concat()
}

fn run(
    settings: &str,
    datum: &[u8],
    envelope: &Envelope<'_>,
) -> Result<crate::common::Row, String> {
    bench(settings)
        .decode_with(datum, envelope)
        .map(Option::unwrap)
        .map_err(|error| error.to_string())
}

#[test]
fn an_id_comes_from_its_field_or_header_and_nowhere_else() {
    let plain = datum(Some("e-7"), None, "");
    let headers: &[(&str, Option<&[u8]>)] =
        &[("ce_id", Some(b"h-1")), ("x", Some(b"h-2")), ("ce_id", Some(b"h-3")), ("gone", None)];
    let envelope = Envelope { headers, ..Envelope::default() };
    let with = |settings: &str, datum: &[u8]| {
        let row = run(settings, datum, &envelope).unwrap();
        (
            row.identity
                .clone()
                .map(|(record, id)| format!("{record}/{}", String::from_utf8(id).unwrap())),
            row.text("_event_id").unwrap(),
        )
    };
    let some = |id: &str| Some(format!("shop.Placed/{id}"));
    let coordinates = "shop.events/3/1842".to_owned();
    assert_eq!(with("", &plain), (some("h-3"), "h-3".into()), "the last of equal headers");
    assert_eq!(with("event_id = \"header:x\"", &plain), (some("h-2"), "h-2".into()));
    assert_eq!(with("event_id = \"eid\"", &plain), (some("e-7"), "e-7".into()));
    assert_eq!(with("event_id = \"n\"", &plain), (some("42"), "42".into()));
    for (settings, datum) in [
        ("event_id = \"eid\"", datum(None, None, "")),
        ("event_id = \"eid\"", datum(Some(""), None, "")),
        ("event_id = \"header:gone\"", plain.clone()),
        ("event_id = \"header:none\"", plain.clone()),
    ] {
        assert_eq!(with(settings, &datum), (None, coordinates.clone()), "{settings}");
    }
    let row = run("", &plain, &Envelope::default()).unwrap();
    assert_eq!((row.identity.clone(), row.text("_event_id")), (None, Some(coordinates)));
}

#[test]
fn a_time_comes_from_the_first_source_that_has_one() {
    let headers: &[(&str, Option<&[u8]>)] = &[
        ("ce_time", Some(b"1970-01-01T00:00:02Z")),
        ("x", Some(b"1970-01-01T01:00:03+01:00")),
        ("bad", Some(b"noon")),
    ];
    let time = |settings: &str, datum: &[u8], headers, timestamp_ms| {
        run(settings, datum, &Envelope { headers, timestamp_ms, key: None })
            .map(|row| row.time_micros())
    };
    let seconds = |seconds: i64| Ok(Some(seconds * 1_000_000));
    let full = datum(None, Some(1000), "1970-01-01T00:00:04.000Z");
    let empty = datum(None, None, "");
    assert_eq!(time("time = \"at\"", &full, headers, Some(9)), seconds(1));
    assert_eq!(time("time = \"iso\"", &full, headers, Some(9)), seconds(4));
    assert_eq!(time("time = \"header:x\"", &full, headers, Some(9)), seconds(3));
    assert_eq!(time("", &full, headers, Some(9)), seconds(2));
    assert_eq!(
        time("time = \"at\"", &empty, headers, Some(9)),
        seconds(2),
        "null: the next source"
    );
    assert_eq!(time("time = \"header:none\"", &empty, &[], Some(9000)), seconds(9));
    assert_eq!(time("", &empty, &[], None), Ok(None));
    let german: &[(&str, Option<&[u8]>)] = &[("ce_time", Some(b"1.1.1970"))];
    for (settings, datum, headers, what) in [
        (
            "time = \"iso\"",
            datum(None, None, "soon"),
            headers,
            "field iso should be the event's time, and \"soon\" is no RFC 3339",
        ),
        ("time = \"header:bad\"", full.clone(), headers, "header bad should be"),
        ("", full, german, "header ce_time should be"),
    ] {
        let error = time(settings, &datum, headers, Some(9)).unwrap_err();
        assert!(error.starts_with(what), "{error}");
    }
    let error = time("", &empty, &[], Some(i64::MAX)).unwrap_err();
    assert!(error.contains("beyond what Postgres can hold"), "{error}");
}

#[test]
fn the_record_itself() {
    let headers: &[(&str, Option<&[u8]>)] = &[
        ("a\"", Some(b"x\xff\x00")),
        ("b", None),
        ("ce_correlationid", Some(b"c-1")),
        ("ce_causationid", Some(b"")),
    ];
    let envelope = Envelope { key: Some(b"o-1"), timestamp_ms: Some(0), headers };
    let row = run("", &datum(None, None, ""), &envelope).unwrap();
    assert_eq!(row.text("_key").as_deref(), Some("o-1"));
    assert_eq!(row.text("_topic").as_deref(), Some("shop.events"));
    assert_eq!(row.columns["_partition"], Some(3i32.to_be_bytes().to_vec()));
    assert_eq!(row.columns["_offset"], Some(1842i64.to_be_bytes().to_vec()));
    assert_eq!(row.columns["_time"], Some((-946_684_800_000_000i64).to_be_bytes().to_vec()));
    assert_eq!(row.columns["_ordinal"], Some(1i64.to_be_bytes().to_vec()));
    assert_eq!(row.text("_correlation_id").as_deref(), Some("c-1"));
    assert_eq!(row.text("_causation_id"), None);
    assert_eq!(
        row.json("_headers").as_deref(),
        Some(
            "{\"a\\\"\":\"x\u{fffd}\u{fffd}\",\"b\":null,\"ce_correlationid\":\"c-1\",\"ce_causationid\":\"\"}"
        )
    );
    let bare = run(
        "correlation_id = \"id\"\ncausation_id = \"n\"",
        &datum(None, None, ""),
        &Envelope::default(),
    )
    .unwrap();
    assert_eq!((bare.text("_key"), bare.json("_headers").as_deref()), (None, Some("{}")));
    assert_eq!(
        (bare.text("_correlation_id").as_deref(), bare.text("_causation_id").as_deref()),
        (Some("o-1"), Some("42"))
    );
    assert_eq!(row.columns["_key_bytes"].as_deref(), Some(&b"o-1"[..]));
    assert_eq!(bare.columns["_key_bytes"], None);
}

/// An id is its bytes: no two of them are one, and what is made of them for reading is a text that Postgres can hold.
#[test]
fn ids_of_other_bytes_are_other_ids() {
    let ids: Vec<Vec<u8>> = (0..300u64)
        .map(|id| id.to_be_bytes().to_vec())
        .chain((0..=255).map(|byte| vec![b'a', byte]))
        .chain((128..=255).map(|byte| vec![byte, 0xff, byte]))
        .chain([
            b"\xed\xa0\x80".to_vec(),
            b"\xc0\x80".to_vec(),
            "\u{fffd}".into(),
            "\u{feff}".into(),
        ])
        .collect();
    for settings in ["", "event_id = \"header:ce_id\""] {
        let (mut seen, mut read) = (BTreeSet::new(), BTreeSet::new());
        for id in &ids {
            let header: [(&str, Option<&[u8]>); 2] =
                [("ce_id", Some(id)), ("ce_correlationid", Some(id))];
            let envelope = Envelope { headers: &header, ..Envelope::default() };
            let row = run(settings, &datum(None, None, ""), &envelope).unwrap();
            assert_eq!(row.identity, Some(("shop.Placed".into(), id.clone())));
            assert!(seen.insert(row.identity.clone()), "{id:?}");
            let text = row.text("_event_id").unwrap();
            assert_eq!(row.text("_correlation_id").as_ref(), Some(&text));
            assert!(!text.contains('\0') && read.insert(text.clone()), "{id:?}: {text}");
        }
    }
    let long: [(&str, Option<&[u8]>); 1] = [("ce_id", Some(&[0, 0, 0, 0, 0, 0, 0, 128]))];
    let envelope = Envelope { headers: &long, ..Envelope::default() };
    let row = run("", &datum(None, None, ""), &envelope).unwrap();
    assert_eq!(row.text("_event_id").as_deref(), Some("\\x0000000000000080"));
    let field = run("event_id = \"eid\"", &datum(Some("a\0"), None, ""), &envelope).unwrap();
    assert_eq!(field.identity, Some(("shop.Placed".into(), b"a\0".to_vec())));
    assert_eq!(field.text("_event_id").as_deref(), Some("\\x6100"));
}

/// A time that nobody can read, or that Postgres cannot hold, is none of a model's business that does not ask for it.
#[test]
fn a_time_matters_to_who_uses_it() {
    let settings = ["", "time = \"at\"", "time = \"iso\"", "time = \"header:ce_time\""];
    let noon: &[(&str, Option<&[u8]>)] = &[("ce_time", Some(b"noon"))];
    let far: &[(&str, Option<&[u8]>)] = &[("ce_time", Some(b"999999-01-01T00:00:00Z"))];
    for (settings, headers, timestamp_ms) in settings
        .into_iter()
        .flat_map(|settings| [(settings, noon, Some(0)), (settings, far, None)])
        .chain([("", &[][..], Some(i64::MAX)), ("", &[][..], Some(i64::MIN))])
    {
        let toml = format!("{CONTEXT}{settings}");
        let fields = format!(
            r#"{{"name":"eid","type":["null","string"]}},{{"name":"n","type":"long"}},{{"name":"at","type":["null",{TS}]}},{{"name":"iso","type":"string"}}"#
        );
        let schema = placed(&fields);
        let contracts =
            contracts(&[("shop/context.toml", &toml), ("shop/placed/v1.avsc", &schema)]);
        let contract = contracts.contract("shop", "placed").unwrap();
        let decoded = |columns: &[&str]| {
            let columns = columns.iter().map(|column| (*column).to_owned()).collect();
            let layout = vitrina_avro::Layout::new(contract, Some(&columns));
            let mut bench = Bench::with(&contracts, vec![layout]);
            bench.writer(&schema);
            let envelope = Envelope { headers, timestamp_ms, key: None };
            bench.decode_with(&datum(Some("e"), Some(i64::MAX), "soon"), &envelope)
        };
        assert!(decoded(&["id", "_key", "_event_id"]).is_ok(), "{settings} {headers:?}");
        assert!(decoded(&["id", "_time"]).is_err(), "{settings} {headers:?}");
    }
}

#[test]
fn ordinals_count_over_all_versions() {
    let (v1, v2) = (placed(""), placed(r#"{"name":"b","type":"int"}"#));
    let mut bench = Bench::of(&[&v1, &v2], &["SELECT 1 AS b FROM v1"]);
    let mut ordinals = Vec::new();
    for (writer, datum) in
        [(&v1, string("a")), (&v2, [string("b"), long(1)].concat()), (&v1, string("c"))]
    {
        bench.writer(writer);
        ordinals.push(bench.decode(&datum).unwrap().unwrap().columns["_ordinal"].clone().unwrap());
    }
    assert_eq!(ordinals, [1i64, 2, 3].map(|ordinal| ordinal.to_be_bytes().to_vec()));
}
