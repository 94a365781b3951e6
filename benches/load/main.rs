//! What the whole service is measured with: `produce` writes orders to a topic, `floor` writes the same orders to Postgres
//! with nothing between, `receive` reads them off the topic, `read` asks over HTTP, and `static` answers what costs nothing.
#![allow(unreachable_pub, reason = "the modules are shared with the benchmarks")]

use std::collections::HashMap;
use std::time::{Duration, Instant};

use clap::{Parser, Subcommand};
use sqlx::Connection as _;
use sqlx::postgres::PgConnection;

mod floor;
mod order;
mod produce;
mod read;
mod receive;
mod sequence;

use order::Order;

#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Writes orders to a topic.
    Produce(produce::Arguments),
    /// Writes orders to table `orders`, a thousand a statement; prints how many seconds it took.
    Floor(Floor),
    /// Reads a topic, and prints how late its records came.
    Receive(receive::Arguments),
    /// Asks over HTTP, again and again.
    Read(read::Arguments),
    /// Answers the same text to whoever asks.
    Static,
}

#[derive(clap::Args, Clone)]
struct Floor {
    #[arg(long, env = "DATABASE_URL")]
    postgres: String,
    #[arg(long)]
    events: u64,
    /// Events of one order.
    #[arg(long, default_value_t = 1)]
    states: usize,
    #[arg(long, default_value_t = 1)]
    connections: u64,
    /// Events a statement.
    #[arg(long, default_value_t = 1000)]
    batch: usize,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    match Cli::parse().command {
        Command::Produce(arguments) => produce::run(arguments).await,
        Command::Floor(arguments) => write(arguments).await,
        Command::Receive(arguments) => {
            tokio::task::spawn_blocking(move || receive::run(&arguments)).await?
        }
        Command::Read(arguments) => read::run(arguments).await,
        Command::Static => read::serve_static().await,
    }
}

async fn write(arguments: Floor) -> anyhow::Result<()> {
    let started = Instant::now();
    let shares =
        (0..arguments.connections).map(|share| tokio::spawn(write_share(arguments.clone(), share)));
    for share in shares.collect::<Vec<_>>() {
        share.await??;
    }
    println!("{:.2}", started.elapsed().as_secs_f64());
    Ok(())
}

/// The orders of one connection. A statement may touch a row once, so of the events of one order in it the last is
/// written.
async fn write_share(arguments: Floor, share: u64) -> anyhow::Result<()> {
    let mut connection = PgConnection::connect(&arguments.postgres).await?;
    let now = std::time::UNIX_EPOCH.elapsed().unwrap_or(Duration::ZERO).as_millis() as i64;
    let own = sequence::changes(arguments.events / arguments.states as u64, arguments.states)
        .filter(|(number, _)| number % arguments.connections == share);
    let (mut orders, mut places, mut taken) = (Vec::new(), HashMap::new(), 0);
    for (number, status) in own {
        let place = *places.entry(number).or_insert(orders.len());
        match orders.get_mut(place) {
            Some(order) => *order = Order::new(number, status, now),
            None => orders.push(Order::new(number, status, now)),
        }
        taken += 1;
        if taken == arguments.batch {
            floor::unnest(&mut connection, &orders).await?;
            orders.clear();
            places.clear();
            taken = 0;
        }
    }
    if !orders.is_empty() {
        floor::unnest(&mut connection, &orders).await?;
    }
    Ok(())
}
