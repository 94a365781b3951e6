//! Decoding one event of 15 fields, about 330 bytes, 6 of them wanted, against the two ways of the `apache-avro` crate.
//! Interleaved by criterion in one process, so the ratios hold when the machine's speed does not.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::hint::black_box;

use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::types::Value;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use serde::Deserialize;
use vitrina_avro::{Contracts, Decoder, Framed, Headers, Layout, Record, SchemaRef, encode_json};
use vitrina_sql::Files;

const V1: &str = include_str!("order/v1.avsc");
const V2: &str = include_str!("order/v2.avsc");
const V3: &str = include_str!("order/v3.avsc");
const EVENT: &str = include_str!("order/v1.json");

#[derive(Deserialize)]
#[serde(rename = "Order")]
#[allow(dead_code)]
struct Order {
    order_id: String,
    customer_id: String,
    total_amount: apache_avro::Decimal,
    status: String,
    channel: String,
    placed_at: i64,
    updated_at: i64,
    note: Option<String>,
    coupon: Option<String>,
    priority: i32,
    gift: bool,
    weight: f64,
    items: Vec<Item>,
    address: Address,
    tags: Vec<String>,
}

#[derive(Deserialize)]
#[allow(dead_code)]
struct Item {
    product_id: String,
    quantity: i32,
    unit_price: apache_avro::Decimal,
}

#[derive(Deserialize)]
#[allow(dead_code)]
struct Address {
    street: String,
    city: String,
    country: String,
}

fn contracts() -> Contracts {
    let files = [
        ("c/bench/context.toml", "topic = \"bench\"\nkey = \"order_id\"\n"),
        ("c/bench/order/v1.avsc", V1),
        ("c/bench/order/v2.avsc", V2),
        ("c/bench/order/v2.sql", "SELECT 'USD' AS currency FROM v1"),
        ("c/bench/order/v3.avsc", V3),
        ("c/bench/order/v3.sql", "SELECT total_amount AS amount FROM v2"),
    ];
    let files = files.into_iter().map(|(path, text)| (path.to_owned(), text.to_owned()));
    let (contracts, findings) = Contracts::load(&Files(files.collect()), "c");
    assert!(findings.is_empty(), "{findings:?}");
    contracts
}

fn decode(criterion: &mut Criterion) {
    let contracts = contracts();
    let contract = contracts.contract("bench", "order").unwrap();
    let datum = encode_json(&contract.versions[0], &serde_json::from_str(EVENT).unwrap()).unwrap();
    let mut group = criterion.benchmark_group("decode");
    group.throughput(Throughput::Bytes(datum.len() as u64));

    let wanted = ["order_id", "customer_id", "amount", "currency", "items", "placed_at"].map(str::to_owned);
    let wanted = BTreeSet::from(wanted);
    let mut decoder = Decoder::new(&contracts, vec![Layout::new(contract, Some(&wanted))]);
    let schema = SchemaRef::Id(1);
    decoder.add_schema(schema, &contract.versions[0].schema);
    let record = Record {
        topic: "bench",
        partition: 0,
        offset: 7,
        timestamp_ms: Some(0),
        key: None,
        value: Some(&datum),
        headers: Headers::default(),
    };
    let framed = Framed { schema, payload: &datum };
    let mut rows = decoder.rows();
    group.bench_function("vitrina, 6 of 15 fields", |bencher| {
        bencher.iter(|| {
            if rows[0][0].len() == 1000 {
                rows[0][0].clear();
            }
            black_box(decoder.decode(&record, &framed, &mut rows).unwrap());
        });
    });

    let avro = apache_avro::Schema::parse_str(V1).unwrap();
    let reader = GenericDatumReader::builder(&avro).build().unwrap();
    group.bench_function("apache-avro, Value", |bencher| {
        bencher.iter(|| -> Value { reader.read_value(&mut black_box(&datum[..])).unwrap() });
    });
    group.bench_function("apache-avro, serde", |bencher| {
        bencher.iter(|| -> Order { reader.read_deser(&mut black_box(&datum[..])).unwrap() });
    });
    group.finish();
}

criterion_group!(benches, decode);
criterion_main!(benches);
