//! Decoding orders of 15 fields and about 330 bytes, written as v1 where v3 is the newest, against the two ways of the
//! `apache-avro` crate. All take turns over slices far shorter than a turn of the scheduler: else a busy machine would
//! interrupt the slowest most often, and the ratios would flatter. What v3 changes is SQL, run by Postgres: no line here
//! pays for it.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::types::Value;
use serde::Deserialize;
use serde_json::json;
use vitrina_avro::{Contract, Contracts, Decoder, Headers, Layout, Record, SchemaRef, encode_json};
use vitrina_sql::Files;

const V1: &str = include_str!("order/v1.avsc");
const V2: &str = include_str!("order/v2.avsc");
const V3: &str = include_str!("order/v3.avsc");

/// Events of a batch, all different: a branch predictor must not learn one event by heart.
const EVENTS: usize = 1000;
/// Events between two looks at the clock.
const SLICE: usize = 50;
/// How often each line decodes all events.
const ROUNDS: usize = 201;
/// What the scalars' lines want, in the newest version's names.
const SCALARS: [&str; 6] = ["order_id", "customer_id", "amount", "status", "placed_at", "priority"];

/// All fields: the serde path of `apache-avro` 0.22 refuses a struct that leaves some out.
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

/// Orders of two to four items, some with a note or a coupon.
fn order(place: usize) -> serde_json::Value {
    let pick = |of: &[&'static str]| of[place * 7 % of.len()];
    let id =
        |salt: u64| format!("{:016x}", (place as u64 + salt).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let item = |line: usize| {
        let cents = (place * 37 + line * 1009) % 20_000;
        json!({
            "product_id": format!("{}-{}", id(line as u64 + 5), pick(&["blue", "large", "red-xl"])),
            "quantity": 1 + (place + line) % 12,
            "unit_price": format!("{}.{:02}", cents / 100, cents % 100),
        })
    };
    json!({
        "order_id": format!("7d9f2c1e-5b1a-4f0e-{}-{}", &id(0)[..4], &id(1)[..12]),
        "customer_id": format!("c-{}-5b1a-4f0e-{}-{}", &id(2)[..8], &id(3)[..4], &id(4)[..12]),
        "total_amount": format!("{}.{:02}", 5 + place * 13 % 900, place % 100),
        "status": pick(&["PLACED", "PAID", "AWAITING_PAYMENT"]),
        "channel": pick(&["web", "store", "marketplace"]),
        "placed_at": format!("2026-01-02T03:{:02}:05.678901Z", place % 60),
        "updated_at": format!("2026-01-02T04:{:02}:05.678901Z", place % 60),
        "note": (!place.is_multiple_of(3)).then_some("third floor; if nobody is in, please leave it with the neighbour at number 3"),
        "coupon": place.is_multiple_of(4).then_some("WELCOME-10"),
        "priority": place % 5,
        "gift": place.is_multiple_of(9),
        "weight": 0.25 * (place % 40) as f64,
        "items": (0..2 + place % 3).map(item).collect::<Vec<_>>(),
        "address": {
            "street": format!("{} {}, escalera 2, 3 izq", pick(&["Calle Mayor", "Avenida de la Constitución", "Gran Vía"]), place % 90),
            "city": pick(&["Madrid", "Sevilla", "A Coruña"]),
            "country": "ES",
        },
        "tags": &["spring-sale-2026", "vip", "app"][..place % 3],
    })
}

/// Decodes events into rows that were cleared, not dropped.
fn vitrina(
    contracts: &Contracts,
    contract: &Arc<Contract>,
    wanted: &[&str],
) -> impl FnMut(&[Vec<u8>]) + use<> {
    let wanted: BTreeSet<String> = wanted.iter().map(|&name| name.to_owned()).collect();
    let mut decoder = Decoder::new(contracts, vec![Layout::new(contract, Some(&wanted))]);
    decoder.add_schema(SchemaRef::Id(1), &contract.versions[0].schema);
    let mut rows = decoder.rows();
    move |values| {
        rows[0][0].clear();
        for value in values {
            let record = Record {
                topic: "bench",
                partition: 0,
                offset: 7,
                timestamp_ms: Some(0),
                key: None,
                value: Some(value),
                headers: Headers::default(),
            };
            let framed = Decoder::frame(&record).unwrap();
            black_box(decoder.decode(&record, &framed, &mut rows).unwrap());
        }
    }
}

fn main() {
    let contracts = contracts();
    let contract = contracts.contract("bench", "order").unwrap();
    let datum = |place| encode_json(&contract.versions[0], &order(place)).unwrap();
    let values: Vec<Vec<u8>> =
        (0..EVENTS).map(|place| [vec![0, 0, 0, 0, 1], datum(place)].concat()).collect();
    let avro = apache_avro::Schema::parse_str(V1).unwrap();
    let reader = GenericDatumReader::builder(&avro).build().unwrap();
    let each = |values: &[Vec<u8>], read: &dyn Fn(&mut &[u8])| {
        values.iter().for_each(|value| read(&mut &value[5..]))
    };

    let mut scalars = vitrina(&contracts, contract, &SCALARS);
    let mut nested = vitrina(&contracts, contract, &[&SCALARS[..5], &["items"]].concat());
    let mut all = |values: &[Vec<u8>]| {
        each(values, &|datum| drop(black_box(reader.read_value(datum).unwrap() as Value)))
    };
    let mut serde = |values: &[Vec<u8>]| {
        each(values, &|datum| drop(black_box(reader.read_deser::<Order>(datum).unwrap())))
    };
    let mut lines: [Line<'_>; 4] = [
        ("vitrina, 6 scalars", &mut scalars),
        ("vitrina, 5 scalars and items as jsonb", &mut nested),
        ("apache-avro, Value", &mut all),
        ("apache-avro, serde", &mut serde),
    ];
    // `cargo test --benches` only asks whether it runs.
    let rounds = if std::env::args().any(|argument| argument == "--bench") { ROUNDS } else { 1 };
    let nanos = measure(&mut lines, &values, rounds);
    let bytes = values.iter().map(|value| value.len() - 5).sum::<usize>() / EVENTS;
    println!(
        "decode: {EVENTS} events of {bytes} bytes on average, {rounds} rounds, medians of slices"
    );
    println!("{:<40} {:>9} {:>12} {:>12}", "", "ns/event", "x scalars", "x items");
    for (place, (name, _)) in lines.iter().enumerate() {
        let times = |other: usize| {
            median(nanos[place].iter().zip(&nanos[other]).map(|(this, base)| this / base).collect())
        };
        println!(
            "{name:<40} {:>9.0} {:>12.2} {:>12.2}",
            median(nanos[place].clone()),
            times(0),
            times(1)
        );
    }
}

type Line<'a> = (&'a str, &'a mut dyn FnMut(&[Vec<u8>]));

/// Nanoseconds an event, by line and slice.
fn measure(lines: &mut [Line<'_>], values: &[Vec<u8>], rounds: usize) -> Vec<Vec<f64>> {
    let mut nanos = vec![Vec::new(); lines.len()];
    for slice in (0..rounds).flat_map(|_| values.chunks(SLICE)) {
        for ((_, run), nanos) in lines.iter_mut().zip(&mut nanos) {
            let start = Instant::now();
            run(black_box(slice));
            nanos.push(start.elapsed().as_nanos() as f64 / slice.len() as f64);
        }
    }
    nanos
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
