//! Applying batches of a thousand orders to Postgres, by the engine and by hand. The ways take turns, round by round, and
//! what is printed at the end are ratios within a round: the machine's speed and the disk's drop out of them.
#![allow(clippy::unwrap_used)]
#![allow(unreachable_pub, reason = "the modules of the load are shared with a program")]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, Connection, Executor};
use tokio::runtime::Runtime;
use vitrina_projectors::bench::Applying;
use vitrina_projectors::{Definition, Definitions, Roots, session};
use vitrina_sql::Files;

#[path = "load/floor.rs"]
mod floor;
#[path = "load/order.rs"]
mod order;

use order::Order;

const TABLE: &str = include_str!("load/table.sql");
const RULE: &str = include_str!("load/rule.sql");
const COUNTERS: &str = include_str!("load/counters.sql");

const ROUNDS: usize = 9;
/// Of each batch.
const EVENTS: u64 = 1000;
/// Of each sample, which begins with an empty table.
const BATCHES: u64 = 20;

/// A way to write, with its name.
enum Way {
    Unnest,
    OneByOne,
    Engine(Box<Applying>),
}

/// A table `orders` of its own, and how it is written.
struct Side {
    name: &'static str,
    tables: &'static str,
    connection: PgConnection,
    way: Way,
    /// Seconds a batch, round by round.
    rounds: Vec<f64>,
}

impl Side {
    async fn by_hand(options: &PgConnectOptions, name: &'static str, way: Way) -> Self {
        let mut connection = PgConnection::connect_with(options).await.unwrap();
        let schema = name.replace(' ', "_");
        let prepare = format!("CREATE SCHEMA {schema}; SET search_path = {schema}; {TABLE}");
        connection.execute(AssertSqlSafe(prepare)).await.unwrap();
        Self { name, tables: "orders", connection, way, rounds: Vec::new() }
    }

    async fn engine(
        options: &PgConnectOptions,
        name: &'static str,
        model: &str,
        tables: &'static str,
    ) -> Self {
        let definition = definition(
            model,
            &format!("{TABLE}{RULE}{}", if tables == "orders" { "" } else { COUNTERS }),
        );
        let way = Way::Engine(Box::new(Applying::open(options, &definition).await.unwrap()));
        let mut connection = PgConnection::connect_with(options).await.unwrap();
        connection
            .execute(AssertSqlSafe(format!("SET search_path = \"{model}@1\"")))
            .await
            .unwrap();
        Self { name, tables, connection, way, rounds: Vec::new() }
    }

    /// Writes one sample's batches; how long one took.
    async fn sample(&mut self) -> Duration {
        self.connection.execute(AssertSqlSafe(format!("TRUNCATE {}", self.tables))).await.unwrap();
        let batches = (0..BATCHES)
            .map(|batch| (batch * EVENTS..(batch + 1) * EVENTS).map(|n| Order::new(n, 0, 0)));
        let batches: Vec<Vec<Order>> = batches.map(Iterator::collect).collect();
        let took = match &mut self.way {
            Way::Engine(applying) => {
                let decoded: Vec<_> = batches
                    .iter()
                    .map(|orders| applying.decode(&datums(orders)).unwrap())
                    .collect();
                let started = Instant::now();
                for batch in &decoded {
                    applying.write(batch).await.unwrap();
                }
                started.elapsed()
            }
            Way::Unnest => {
                let started = Instant::now();
                for orders in &batches {
                    floor::unnest(&mut self.connection, orders).await.unwrap();
                }
                started.elapsed()
            }
            Way::OneByOne => {
                let started = Instant::now();
                for orders in &batches {
                    let mut transaction = self.connection.begin().await.unwrap();
                    floor::one_by_one(&mut transaction, orders).await.unwrap();
                    transaction.commit().await.unwrap();
                }
                started.elapsed()
            }
        };
        took / BATCHES as u32
    }
}

fn datums(orders: &[Order]) -> Vec<Vec<u8>> {
    let datum = |order: &Order| {
        let mut datum = Vec::new();
        order.encode(&mut datum);
        datum
    };
    orders.iter().map(datum).collect()
}

fn definition(model: &str, text: &str) -> Definition {
    let files = [
        ("c/shop/context.toml", "topic = \"shop\"\nkey = \"order_id\"\n"),
        ("c/shop/order_changed/v1.avsc", include_str!("load/order.avsc")),
        (&format!("m/{model}.sql"), text),
    ];
    let files = files.into_iter().map(|(path, text)| (path.to_owned(), text.to_owned()));
    let loaded = Definitions::load(
        &Files(files.collect()),
        &Roots { contracts: "c".into(), models: "m".into() },
    );
    loaded.models.into_iter().next().unwrap_or_else(|| panic!("{:?}", loaded.findings))
}

fn median(samples: &mut [f64]) -> f64 {
    samples.sort_by(f64::total_cmp);
    samples[samples.len() / 2]
}

/// How many times as fast as `other` a side is, round by round.
fn print_ratio(sides: &BTreeMap<&str, &Side>, side: &str, other: &str) {
    let rounds = sides[side].rounds.iter().zip(&sides[other].rounds);
    let mut ratios: Vec<f64> = rounds.map(|(own, other)| other / own).collect();
    let shown: Vec<String> = ratios.iter().map(|ratio| format!("{ratio:.2}")).collect();
    println!("{side} / {other}: {:.2} ({})", median(&mut ratios), shown.join(", "));
}

async fn sides(options: &PgConnectOptions) -> Vec<Side> {
    vec![
        Side::by_hand(options, "unnest", Way::Unnest).await,
        Side::engine(options, "engine", "plain", "orders").await,
        Side::engine(options, "engine with counters", "counting", "orders, city").await,
        Side::by_hand(options, "one by one", Way::OneByOne).await,
    ]
}

fn main() {
    let Ok(url) = std::env::var("VITRINA_TEST_POSTGRES_URL") else {
        return eprintln!("apply: needs VITRINA_TEST_POSTGRES_URL; `make bench` starts a Postgres");
    };
    let runtime = Runtime::new().unwrap();
    let name = format!("bench_apply_{}", std::process::id());
    let mut server = runtime.block_on(PgConnection::connect(&url)).unwrap();
    runtime.block_on(server.execute(AssertSqlSafe(format!("CREATE DATABASE {name}")))).unwrap();
    let options = session::options(&url).unwrap().database(&name);
    let mut sides = runtime.block_on(sides(&options));
    // The first round finds caches cold and statements unprepared, and does not count.
    for round in 0..=ROUNDS {
        for side in &mut sides {
            let took = runtime.block_on(side.sample()).as_secs_f64();
            if round > 0 {
                side.rounds.push(took);
            }
        }
    }
    let by_name: BTreeMap<&str, &Side> = sides.iter().map(|side| (side.name, side)).collect();
    print_ratio(&by_name, "engine", "unnest");
    print_ratio(&by_name, "engine", "one by one");
    print_ratio(&by_name, "engine with counters", "engine");
    runtime
        .block_on(server.execute(AssertSqlSafe(format!("DROP DATABASE {name} WITH (FORCE)"))))
        .unwrap();
}
