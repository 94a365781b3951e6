//! `vitrina demo`: the service as it is, around it a broker, a registry, a Postgres and a producer that live and die with
//! the process. It runs from a folder like anybody's, and says in another one where it is.

mod feed;
mod place;
pub(crate) mod postgres;
mod progress;
mod registry;
mod running;
mod screen;
mod story;
mod views;

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use anyhow::Context as _;
use sqlx::PgPool;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use vitrina_avro::RegistrySettings;
use vitrina_ingest::{BrokerKind, KafkaSettings, MockBroker};
use vitrina_projectors::Definitions;

use crate::config::Config;
use crate::failure::Failure;
use crate::output::say;
use crate::serve::{Instance, Listeners};
use crate::{definitions, telemetry};
use feed::{Fed, Feed};
use place::Place;
use progress::saying;
use running::Notice;
pub(crate) use running::running;
use screen::Live;
use story::Stories;
use views::Views;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Where the API listens; else at port 8080, or the next one that is free.
    #[arg(long, value_name = "A:P")]
    listen: Option<SocketAddr>,
    /// Events a second; else 50, or with --exit as many as it can.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_RATE)))]
    rate: Option<u32>,
    /// How many events to produce; without end where none is given.
    #[arg(long)]
    events: Option<u64>,
    /// Ends when the views hold all events.
    #[arg(long, requires = "events")]
    exit: bool,
    /// Writes the reference set there and runs from it: a model that is edited and saved is built anew.
    #[arg(long, value_name = "DIR")]
    into: Option<PathBuf>,
}

impl Arguments {
    fn rate(&self) -> u32 {
        self.rate.unwrap_or(if self.exit { MAX_RATE } else { RATE })
    }

    fn rate_in_words(&self) -> String {
        match self.rate() {
            MAX_RATE => "as many a second as it can".to_owned(),
            rate => format!("{rate} a second"),
        }
    }
}

/// Partitions of each topic.
const PARTITIONS: i32 = 4;

/// Not that records are parked: one is on purpose, and the line of what happens counts them.
const LOGGED: &str = "warn,vitrina_projectors::worker=error";

/// Of the stories: two runs tell the same.
const SEED: u64 = 1;
const RATE: u32 = 50;
const MAX_RATE: u32 = 100_000;
/// The port that is tried first, and how many after it.
const PORT: u16 = 8080;
const PORTS: u16 = 100;
/// How long the service may take to end before it is left alone, well within what a person waits.
const FAREWELL: Duration = Duration::from_secs(8);

pub(crate) async fn run(
    arguments: Arguments,
    format: Option<telemetry::Format>,
) -> Result<(), Failure> {
    telemetry::start(LOGGED, format);
    let shutdown = CancellationToken::new();
    let signalled = end_on_signals(shutdown.clone())?;
    let listener = listen(arguments.listen).await?;
    let place = Place::prepare(arguments.into.as_deref(), &story::models()?)?;
    let postgres = saying("A Postgres is made", postgres::Postgres::start()).await?;
    let done = tokio::select! {
        done = perform(&arguments, listener, &place, &postgres.url, &shutdown) => done,
        () = overdue(&shutdown) => Ok(()),
    };
    shutdown.cancel();
    postgres.stop().await;
    if signalled.is_cancelled() {
        say(&goodbye(&arguments))?;
    }
    done
}

fn goodbye(arguments: &Arguments) -> String {
    match &arguments.into {
        None => "\nGoodbye. Nothing is left behind.".to_owned(),
        Some(folder) => format!(
            "\nGoodbye. Nothing is left behind but {0}; `vitrina demo --into {0}` goes on from there.",
            folder.display()
        ),
    }
}

/// The first signal ends a verb that has things to put away, and no other one keeps it from that. The answer is cancelled
/// once one has come.
pub(crate) fn end_on_signals(shutdown: CancellationToken) -> std::io::Result<CancellationToken> {
    let signalled = CancellationToken::new();
    let kinds = [
        SignalKind::interrupt(),
        SignalKind::terminate(),
        SignalKind::hangup(),
        SignalKind::quit(),
    ];
    for kind in kinds {
        let mut signals = signal(kind)?;
        let (shutdown, signalled) = (shutdown.clone(), signalled.clone());
        tokio::spawn(async move {
            while signals.recv().await.is_some() {
                signalled.cancel();
                shutdown.cancel();
            }
        });
    }
    Ok(signalled)
}

async fn overdue(shutdown: &CancellationToken) {
    shutdown.cancelled().await;
    tokio::time::sleep(FAREWELL).await;
}

/// Listens where it is asked for, else wherever there is room.
async fn listen(asked: Option<SocketAddr>) -> Result<TcpListener, Failure> {
    if let Some(address) = asked {
        return TcpListener::bind(address).await.map_err(|error| {
            Failure::Usage(format!(
                "--listen {address} cannot be listened on: {error}; give another address, 127.0.0.1:0 takes any free port"
            ))
        });
    }
    for port in PORT..PORT + PORTS {
        match TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await {
            Err(error) if error.kind() == ErrorKind::AddrInUse => {}
            bound => return Ok(bound?),
        }
    }
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?)
}

/// Everything but Postgres, from its beginning to its end.
async fn perform(
    arguments: &Arguments,
    listener: TcpListener,
    place: &Place,
    postgres_url: &str,
    shutdown: &CancellationToken,
) -> Result<(), Failure> {
    let mut config = Config::defaults(PathBuf::new());
    (config.contracts, config.models) = (place.contracts(), place.models());
    config.postgres_url = postgres_url.to_owned();
    // API and metrics on one address.
    config.listen = listener.local_addr()?;
    config.admin_listen = config.listen;
    let definitions = load(&config)?;
    let url = registry::start(shutdown.clone()).await?;
    config.registry = RegistrySettings { url, ..RegistrySettings::default() };
    let topics: Vec<String> =
        definitions.contracts.contexts.values().map(|context| context.topic.clone()).collect();
    let broker = MockBroker::start(&topics, PARTITIONS).context("the embedded broker")?;
    config.kafka = KafkaSettings { brokers: broker.brokers(), properties: BTreeMap::new() };
    let _notice = notice(&place.tell(&config)?);
    let step = Duration::from_secs(1) / arguments.rate();
    let stories = Stories::new(SEED, SystemTime::now(), step)?;
    let feed = Feed::new(&config, &definitions, stories)?;
    play(arguments, config, listener, (definitions, feed), shutdown.clone()).await
}

/// What the folder holds; a person may have edited it.
fn load(config: &Config) -> Result<Definitions, Failure> {
    let loaded = definitions::from_folders(config)?;
    let errors: Vec<String> = loaded
        .findings
        .iter()
        .filter(|finding| finding.is_error())
        .map(ToString::to_string)
        .collect();
    if loaded.models.is_empty() {
        let none = format!("{} holds no model that loads", config.models.display());
        return Err(Failure::No([errors, vec![none]].concat().join("\n")));
    }
    errors.iter().for_each(|error| tracing::error!("{error}"));
    Ok(loaded)
}

/// Without it, verbs find the demo only from its own folder.
fn notice(settings: &str) -> Option<Notice> {
    Notice::put(settings)
        .inspect_err(|error| tracing::warn!(%error, "verbs will not find the demo by themselves"))
        .ok()
}

/// Runs the service and the producer beside it until the one or the other ends.
async fn play(
    arguments: &Arguments,
    config: Config,
    listener: TcpListener,
    (definitions, feed): (Definitions, Feed),
    shutdown: CancellationToken,
) -> Result<(), Failure> {
    let views = Views::new(&config, &definitions).await?;
    let instance = Instance {
        config: config.clone(),
        broker: BrokerKind::Mock,
        tls: None,
        watch: true,
        shutdown: shutdown.clone(),
    };
    let service = async {
        let served = instance.run(Some(definitions), Listeners::Joint(listener)).await;
        shutdown.cancel();
        served
    };
    let feeding = async {
        let fed = welcome_and_produce(arguments, &config, feed, &views, &shutdown).await;
        shutdown.cancel();
        fed
    };
    let (served, fed) = tokio::join!(service, feeding);
    served.and(fed)
}

/// Produces once there is something to look at, and it has been said where.
async fn welcome_and_produce(
    arguments: &Arguments,
    config: &Config,
    feed: Feed,
    views: &Views,
    shutdown: &CancellationToken,
) -> Result<(), Failure> {
    let tables = format!("The tables of {} are made", names(views));
    if !saying(&tables, until_there(views, shutdown)).await? {
        return Ok(());
    }
    if let Some((model, _)) = views.models.first() {
        screen::first(config, model, &arguments.rate_in_words(), arguments.into.is_some())?;
    }
    let (ended, live) =
        (shutdown.child_token(), Live { views, listen: config.listen, sent: feed.sent() });
    let producing = async {
        let produced = produce(arguments, feed, views, shutdown, &ended).await;
        ended.cancel();
        produced
    };
    let (produced, told) = tokio::join!(producing, live.run(&ended));
    produced.and(told)
}

fn names(views: &Views) -> String {
    views.models.iter().map(|(model, _)| model.as_str()).collect::<Vec<_>>().join(", ")
}

/// Until there is something to look at; false: the shutdown came first.
async fn until_there(views: &Views, shutdown: &CancellationToken) -> Result<bool, Failure> {
    let mut pace = tokio::time::interval(Duration::from_millis(50));
    while !views.are_there().await? {
        stop_if_stopped(&views.pool).await?;
        if shutdown.run_until_cancelled(pace.tick()).await.is_none() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Produces; where the demo is to end by itself, until the views hold everything, which ends `applied`.
async fn produce(
    arguments: &Arguments,
    feed: Feed,
    views: &Views,
    shutdown: &CancellationToken,
    applied: &CancellationToken,
) -> Result<(), Failure> {
    let started = Instant::now();
    let fed = feed.run(arguments.rate(), arguments.events, views, shutdown).await?;
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
    applied.cancel();
    print_summary(views, &fed, started.elapsed()).await
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
