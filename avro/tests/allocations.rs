//! Decoding allocates nothing once its rows are warm. Counted, not timed: a binary of its own, because the allocator
//! that counts is the whole process's.
// Only an allocator can count allocations, and implementing one is unsafe by its signature.
#![allow(unsafe_code, clippy::unwrap_used)]

use std::alloc::{GlobalAlloc, Layout as Block, System};
use std::cell::Cell;

use serde_json::{Value, json};
use vitrina_avro::{
    Contracts, DecodedRecord, Decoder, HeaderPlace, Headers, Layout, Record, Rows, SchemaRef,
    encode_json,
};
use vitrina_sql::Files;

const EVENTS: usize = 1000;
const V1: &str = r#"{"type":"record","name":"Placed","fields":[
    {"name":"id","type":"string"},
    {"name":"total","type":{"type":"bytes","logicalType":"decimal","precision":30,"scale":2}},
    {"name":"status","type":{"type":"enum","name":"Status","symbols":["NEW","PAID"]}},
    {"name":"note","type":["null","string"]},
    {"name":"token","type":{"type":"string","logicalType":"uuid"}},
    {"name":"day","type":{"type":"int","logicalType":"date"}},
    {"name":"at","type":{"type":"long","logicalType":"timestamp-millis"}},
    {"name":"weight","type":"double"},
    {"name":"gift","type":"boolean"},
    {"name":"digest","type":"bytes"},
    {"name":"lines","type":{"type":"array","items":{"type":"record","name":"Line","fields":[
        {"name":"sku","type":"string"},{"name":"count","type":"int"},
        {"name":"at","type":["null",{"type":"long","logicalType":"timestamp-micros"}]},
        {"name":"price","type":{"type":"bytes","logicalType":"decimal","precision":12,"scale":2}},
        {"name":"share","type":"double"},{"name":"parts","type":{"type":"array","items":"Line"}}]}}},
    {"name":"labels","type":{"type":"map","values":"string"}}]}"#;

/// The system's allocator, and how often this thread asked it for memory.
struct Counting;

thread_local! {
    static COUNT: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: every call goes to the system's allocator as it came; the counter is of this thread and allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, block: Block) -> *mut u8 {
        COUNT.with(|count| count.set(count.get() + 1));
        unsafe { System.alloc(block) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, block: Block) {
        unsafe { System.dealloc(memory, block) }
    }

    unsafe fn realloc(&self, memory: *mut u8, block: Block, size: usize) -> *mut u8 {
        COUNT.with(|count| count.set(count.get() + 1));
        unsafe { System.realloc(memory, block, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn event(place: usize) -> Value {
    let cents = format!("{}.{:02}", place * 7 % 900, place % 100);
    let part = json!({"sku": "a \"part\"\n", "count": 1, "at": null, "price": "0.05", "share": -1e-7, "parts": []});
    let line = |line: usize| {
        json!({
            "sku": format!("sku-{}", place * line), "count": line, "at": "2026-01-02T03:04:05.678901Z",
            "price": cents, "share": 0.25 * line as f64, "parts": vec![&part; line % 2],
        })
    };
    json!({
        "id": format!("order-{place}"),
        "total": if place.is_multiple_of(3) { "-1234567890123456789012345678.90" } else { &cents },
        "status": if place.is_multiple_of(2) { "NEW" } else { "PAID" },
        "note": (!place.is_multiple_of(4)).then_some("mañana, «a las tres»"),
        "token": "7d9f2c1e-5b1a-4f0e-9a3b-0c2d4e6f8a1b",
        "day": "2026-01-02",
        "at": "2026-01-02T03:04:05.678Z",
        "weight": 1.25,
        "gift": true,
        "digest": "aGk=",
        "lines": (0..place % 5).map(line).collect::<Vec<_>>(),
        "labels": {"channel": "web", "campaña": "tab\t"},
    })
}

/// Decodes all values, each with headers that every piece of metadata comes from.
fn decode(decoder: &Decoder, values: &[Vec<u8>], rows: &mut [Vec<Rows>]) {
    let headers = b"ce_id7ce_time2026-01-02T03:04:05Ztrace";
    let places = [
        HeaderPlace { name: 0..5, value: Some(5..6) },
        HeaderPlace { name: 6..13, value: Some(13..33) },
        HeaderPlace { name: 33..38, value: None },
    ];
    for value in values {
        let record = Record {
            topic: "shop",
            partition: 3,
            offset: 42,
            timestamp_ms: Some(1),
            key: Some(b"order"),
            value: Some(value),
            headers: Headers::new(headers, &places),
        };
        let framed = Decoder::frame(&record).unwrap();
        assert!(matches!(decoder.decode(&record, &framed, rows), Ok(DecodedRecord::Event { .. })));
    }
}

/// How often decoding asks for memory, into rows that held the same events before and were cleared.
fn allocations(wanted: Option<&[&str]>) -> usize {
    let files = [
        ("c/shop/context.toml", "topic = \"shop\"\nkey = \"id\"\n"),
        ("c/shop/placed/v1.avsc", V1),
    ];
    let files = files.into_iter().map(|(path, text)| (path.to_owned(), text.to_owned()));
    let (contracts, findings) = Contracts::load(&Files(files.collect()), "c");
    assert!(findings.is_empty(), "{findings:?}");
    let contract = contracts.contract("shop", "placed").unwrap();
    let wanted = wanted.map(|names| names.iter().map(|&name| name.to_owned()).collect());
    let mut decoder = Decoder::new(&contracts, vec![Layout::new(contract, wanted.as_ref())]);
    decoder.add_schema(SchemaRef::Id(1), &contract.versions[0].schema);
    let datum = |place| encode_json(&contract.versions[0], &event(place)).unwrap();
    let values: Vec<Vec<u8>> =
        (0..EVENTS).map(|place| [vec![0, 0, 0, 0, 1], datum(place)].concat()).collect();

    let mut rows = decoder.rows();
    decode(&decoder, &values, &mut rows);
    assert_eq!(rows[0][0].len(), EVENTS);
    rows.iter_mut().flatten().for_each(Rows::clear);
    assert!(rows[0][0].is_empty());
    let before = COUNT.get();
    decode(&decoder, &values, &mut rows);
    let after = COUNT.get();
    assert_eq!(rows[0][0].len(), EVENTS);
    after - before
}

#[test]
fn warm_rows_take_a_thousand_events_without_one_allocation() {
    assert_eq!(allocations(None), 0, "all columns and all metadata");
    assert_eq!(
        allocations(Some(&["id", "total", "lines"])),
        0,
        "some columns, the rest passed over"
    );
}

#[test]
fn what_is_counted_is_there() {
    let before = COUNT.get();
    let mut text = String::with_capacity(1);
    text.push_str("more than one byte");
    assert_eq!(COUNT.get() - before, 2);
}
