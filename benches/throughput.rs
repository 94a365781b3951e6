//! Throughput by criterion: decoding a batch of a thousand orders, and writing one in a transaction. These are figures of
//! this machine; what is compared with others is in `decode.rs`, `apply.rs` and `whole/`, where the sides take turns.
#![allow(clippy::unwrap_used)]

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use tokio::runtime::Runtime;
use vitrina_projectors::bench::Applying;
use vitrina_projectors::{Definitions, Roots, session};
use vitrina_sql::Files;

#[allow(dead_code, reason = "what the other benchmarks do with an order")]
#[path = "load/order.rs"]
mod order;

use order::Order;

const EVENTS: u64 = 1000;

fn datums(first: u64) -> Vec<Vec<u8>> {
    let datum = |number| {
        let mut datum = Vec::new();
        Order::new(number, 0, 0).encode(&mut datum);
        datum
    };
    (first..first + EVENTS).map(datum).collect()
}

/// The engine over a database of its own.
async fn applying(url: &str) -> Applying {
    let name = format!("bench_throughput_{}", std::process::id());
    let mut server = PgConnection::connect(url).await.unwrap();
    server.execute(AssertSqlSafe(format!("CREATE DATABASE {name}"))).await.unwrap();
    let model = concat!(include_str!("load/table.sql"), include_str!("load/rule.sql"));
    let files = [
        ("c/shop/context.toml", "topic = \"shop\"\nkey = \"order_id\"\n"),
        ("c/shop/order_changed/v1.avsc", include_str!("load/order.avsc")),
        ("m/orders.sql", model),
    ];
    let files =
        Files(files.into_iter().map(|(path, text)| (path.to_owned(), text.to_owned())).collect());
    let loaded = Definitions::load(&files, &Roots { contracts: "c".into(), models: "m".into() });
    let options = session::options(url).unwrap().database(&name);
    Applying::open(&options, &loaded.models[0]).await.unwrap()
}

fn throughput(criterion: &mut Criterion) {
    let Ok(url) = std::env::var("VITRINA_TEST_POSTGRES_URL") else {
        return eprintln!(
            "throughput: needs VITRINA_TEST_POSTGRES_URL; `make bench` starts a Postgres"
        );
    };
    let runtime = Runtime::new().unwrap();
    let engine = std::cell::RefCell::new(runtime.block_on(applying(&url)));
    let mut first = 0;
    let mut next = || {
        first += EVENTS;
        datums(first)
    };
    let mut group = criterion.benchmark_group("orders");
    group.throughput(Throughput::Elements(EVENTS));
    group.bench_function("apply", |bencher| {
        let decode = || engine.borrow_mut().decode(&next()).unwrap();
        let write = |batch| runtime.block_on(engine.borrow_mut().write(&batch)).unwrap();
        bencher.iter_batched(decode, write, BatchSize::PerIteration);
    });
    // Last, because these batches are never written.
    let records = next();
    group.bench_function("decode", |bencher| {
        bencher.iter(|| engine.borrow_mut().decode(&records).unwrap())
    });
    group.finish();
}

criterion_group!(benches, throughput);
criterion_main!(benches);
