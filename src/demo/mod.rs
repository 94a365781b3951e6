//! `vitrina demo`: the service as it is, around it a broker, a registry, a Postgres and a producer that live and die with
//! the process.

mod feed;
mod postgres;
mod registry;
mod scenario;
mod views;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;
use vitrina_avro::RegistrySettings;
use vitrina_ingest::{BrokerKind, KafkaSettings, MockBroker};
use vitrina_projectors::Definitions;

use crate::config::Config;
use crate::failure::Failure;
use crate::output::say;
use crate::serve::{Instance, shutdown_on_signals};
use crate::{definitions, telemetry};
use feed::{Fed, Feed};
use views::Views;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Where the API listens.
    #[arg(long, default_value = "127.0.0.1:8080", value_name = "A:P")]
    listen: SocketAddr,
    /// Events a second.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    rate: u32,
    /// How many events to produce; without end where none is given.
    #[arg(long)]
    events: Option<u64>,
    /// Ends when the views hold all events.
    #[arg(long, requires = "events")]
    exit: bool,
}

/// Partitions of each topic.
const PARTITIONS: i32 = 4;

pub(crate) async fn run(arguments: Arguments) -> Result<(), Failure> {
    telemetry::start("warn");
    let definitions = definitions::embedded();
    let shutdown = shutdown_on_signals()?;
    let postgres = postgres::Postgres::start().await?;
    let registry = registry::start(shutdown.clone()).await?;
    let topics: Vec<String> =
        definitions.contracts.contexts.values().map(|context| context.topic.clone()).collect();
    let broker = MockBroker::start(&topics, PARTITIONS).context("the embedded broker")?;
    let kafka = KafkaSettings { brokers: broker.brokers(), properties: BTreeMap::new() };
    let config = Config::embedded(
        kafka,
        RegistrySettings { url: registry, ..RegistrySettings::default() },
        &postgres.url,
        arguments.listen,
    );
    let done = play(&arguments, config, definitions, shutdown.clone()).await;
    shutdown.cancel();
    postgres.stop().await;
    done
}

/// Runs the service and the producer beside it until the one or the other ends.
async fn play(
    arguments: &Arguments,
    config: Config,
    definitions: Definitions,
    shutdown: CancellationToken,
) -> Result<(), Failure> {
    let feed = Feed::new(&config, &definitions, scenario::SCENARIO)?;
    let views = Views::new(&config, &definitions).await?;
    let instance = Instance {
        config: config.clone(),
        broker: BrokerKind::Mock,
        queries: true,
        shutdown: shutdown.clone(),
    };
    let service = async {
        let served = instance.run(Some(definitions)).await;
        shutdown.cancel();
        served
    };
    let feeding = async {
        let fed = match print_welcome(arguments, &config, &views.models) {
            Ok(()) => produce(arguments, feed, &views, &shutdown).await,
            Err(failure) => Err(failure),
        };
        shutdown.cancel();
        fed
    };
    let (served, fed) = tokio::join!(service, feeding);
    served.and(fed)
}

/// Produces; where the demo is to end by itself, until the views hold everything.
async fn produce(
    arguments: &Arguments,
    feed: Feed,
    views: &Views,
    shutdown: &CancellationToken,
) -> Result<(), Failure> {
    let started = Instant::now();
    let fed = feed.run(arguments.rate, arguments.events, views, shutdown).await?;
    if !arguments.exit {
        shutdown.cancelled().await;
    }
    if shutdown.is_cancelled() {
        return Ok(());
    }
    wait_until_applied(views, shutdown).await?;
    if shutdown.is_cancelled() {
        return Err(Failure::No("ended before the views held all events".into()));
    }
    print_summary(views, &fed, started.elapsed()).await
}

impl Config {
    /// The configuration of the demo: everything in this process, API and metrics on one address.
    fn embedded(
        kafka: KafkaSettings,
        registry: RegistrySettings,
        postgres_url: &str,
        listen: SocketAddr,
    ) -> Self {
        let mut config = Self::defaults(PathBuf::new());
        config.kafka = kafka;
        config.registry = registry;
        config.postgres_url = postgres_url.to_owned();
        config.listen = listen;
        config.admin_listen = listen;
        config
    }
}

fn print_welcome(
    arguments: &Arguments,
    config: &Config,
    models: &[(String, Vec<String>)],
) -> Result<(), Failure> {
    let listen = arguments.listen;
    say(&format!(
        "Vitrina's demo: an embedded broker, registry and Postgres; {} events a second.",
        arguments.rate
    ))?;
    say(&format!("  catalogue   http://{listen}/v1/views"))?;
    for (model, _) in models {
        say(&format!("  view        http://{listen}/v1/views/{model}?limit=5"))?;
    }
    say(&format!("  parked      http://{listen}/admin/v1/parked"))?;
    say(&format!("  metrics     http://{listen}/metrics"))?;
    if let Some((model, _)) = models.first() {
        say(&format!("\n  curl -s 'http://{listen}/v1/views/{model}?limit=3'"))?;
        say(&format!(
            "  psql '{}' -c 'SELECT * FROM {model}.{model} LIMIT 3'",
            config.postgres_url
        ))?;
    }
    if !arguments.exit {
        say("\nCtrl-C ends it and leaves nothing behind.")?;
    }
    Ok(())
}

/// Until each model's positions are at the ends of its topics.
async fn wait_until_applied(views: &Views, shutdown: &CancellationToken) -> anyhow::Result<()> {
    let mut pace = tokio::time::interval(Duration::from_millis(100));
    while !shutdown.is_cancelled() && views.behind().await? > 0 {
        stop_if_stopped(&views.pool).await?;
        pace.tick().await;
    }
    Ok(())
}

async fn stop_if_stopped(pool: &PgPool) -> anyhow::Result<()> {
    let stopped: sqlx::Result<Option<(String, Option<String>)>> =
        sqlx::query_as("SELECT model, reason FROM vitrina.worker WHERE state = 'stopped' LIMIT 1")
            .fetch_optional(pool)
            .await;
    if let Some((model, reason)) = views::unless_missing(stopped)?.flatten() {
        anyhow::bail!("{model} has stopped: {}", reason.unwrap_or_default());
    }
    Ok(())
}

async fn print_summary(views: &Views, fed: &Fed, took: Duration) -> Result<(), Failure> {
    say(&format!(
        "\n{} distinct events produced, {} sent twice, and {} poisonous; all applied, ignored by name or parked after {:.1} s",
        fed.distinct,
        fed.duplicates,
        fed.poisonous,
        took.as_secs_f64()
    ))?;
    for (event, count) in &fed.by_event {
        say(&format!("  {count:>8}  {event}"))?;
    }
    for (model, _) in &views.models {
        let tables: Vec<String> = sqlx::query_scalar(
            "SELECT viewname::text FROM pg_views WHERE schemaname = $1 ORDER BY 1",
        )
        .bind(model)
        .fetch_all(&views.pool)
        .await?;
        for table in tables {
            let name = format!(
                "{}.{}",
                vitrina_projectors::quote(model),
                vitrina_projectors::quote(&table)
            );
            let count = sqlx::AssertSqlSafe(format!("SELECT count(*) FROM {name}"));
            let rows: i64 = sqlx::query_scalar(count).fetch_one(&views.pool).await?;
            say(&format!("  {rows:>8}  rows in {model}.{table}"))?;
        }
    }
    for (model, records) in
        vitrina_projectors::parked::count(&mut *views.pool.acquire().await?).await?
    {
        say(&format!("  {records:>8}  parked by {model}"))?;
    }
    Ok(())
}
