//! `vitrina serve`: consumers and API. What is not there yet is waited for, with a sentence; what can never work ends it.

mod listeners;
mod meeting;
mod proposals;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use vitrina_api::admin::{Access, Lookout, Operators, Queries};
use vitrina_api::{Api, ApiError, ApiSettings, Tls};
use vitrina_ingest::BrokerKind;
use vitrina_projectors::control;
use vitrina_projectors::{Board, Definitions, Desk, Proposal, Proposed, Service, State, session};

use crate::changes::Changes;
use crate::config::Config;
use crate::failure::Failure;
use crate::{certificate, definitions, desk, telemetry, webhook};

pub(crate) use listeners::Listeners;

/// How long a shutdown may take, short of the 30 seconds after which orchestrators kill.
const SHUTDOWN: Duration = Duration::from_secs(25);

/// The connections of two listeners, and as many files as anything else may need.
const DESCRIPTORS: u64 = 10_000;

const NONE_LOADS: &str = "no model loads; `vitrina check` lists why";

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Only the consumers, or only the API.
    #[arg(long)]
    only: Option<Role>,
    /// Takes changed definitions up by itself; without it, SIGHUP does.
    #[arg(long)]
    watch: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Role {
    Project,
    Query,
}

pub(crate) async fn run(
    arguments: Arguments,
    config: Config,
    format: Option<telemetry::Format>,
) -> Result<(), Failure> {
    telemetry::start("info", format);
    enough_descriptors();
    let definitions = match arguments.only {
        Some(Role::Query) => None,
        _ => Some(load(&config)?),
    };
    let tls = certificate::load(&config)?;
    let shutdown = shutdown_on_signals()?;
    let listeners = Listeners::bind(&config, arguments.only != Some(Role::Project)).await?;
    let (broker, watch) = (BrokerKind::Kafka, arguments.watch);
    Instance { config, broker, watch, tls, shutdown }.run(definitions, listeners).await
}

/// Takes as many file descriptors as the system allows: callers' connections must leave some for Postgres and Kafka.
fn enough_descriptors() {
    match rlimit::increase_nofile_limit(DESCRIPTORS) {
        Ok(limit) if limit >= DESCRIPTORS => {}
        Ok(limit) => tracing::warn!(
            "the system allows {limit} open files, and all connections that are accepted may take {DESCRIPTORS}: raise `ulimit -n`"
        ),
        Err(error) => tracing::warn!(%error, "the number of open files cannot be raised"),
    }
}

/// Reads the definitions; each finding is logged, and nothing that could run is an error.
fn load(config: &Config) -> Result<Definitions, Failure> {
    let loaded = definitions::from_folders(config)?;
    log(&loaded);
    for name in config.named_models() {
        if !loaded.models.iter().any(|model| model.model.name == name)
            && !loaded.broken.contains_key(name)
        {
            tracing::warn!(
                "[models.{name}]: there is no model of this name in {}",
                config.models.display()
            );
        }
    }
    if loaded.models.is_empty() && loaded.broken.is_empty() {
        let folder = config.models.display();
        return Err(Failure::No(match loaded.findings.len() {
            0 => format!("{folder} (definitions.models) holds no model: write one, NAME.sql"),
            _ => NONE_LOADS.to_owned(),
        }));
    }
    Ok(loaded)
}

fn log(loaded: &Definitions) {
    for finding in &loaded.findings {
        match finding.is_error() {
            true => tracing::error!("{finding}"),
            false => tracing::warn!("{finding}"),
        }
    }
}

fn shutdown_on_signals() -> anyhow::Result<CancellationToken> {
    let shutdown = CancellationToken::new();
    // What it asks for is read where it is kept. Once listened to it ends no process, whatever there is to be read.
    drop(signal(SignalKind::hangup())?);
    let (mut terminate, mut interrupt) =
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let token = shutdown.clone();
    tokio::spawn(async move {
        for _ in 0..2 {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if token.is_cancelled() {
                // The second signal: somebody is in a hurry.
                std::process::exit(1);
            }
            tracing::info!("shutting down: what is under way is finished");
            token.cancel();
            tokio::spawn(async {
                tokio::time::sleep(SHUTDOWN).await;
                tracing::warn!(
                    "the shutdown took too long; what is not committed is read again by whoever comes next"
                );
                std::process::exit(1);
            });
        }
    });
    Ok(shutdown)
}
/// One process of the service.
pub(crate) struct Instance {
    pub(crate) config: Config,
    pub(crate) broker: BrokerKind,
    /// Whether changed definitions are taken up without being asked.
    pub(crate) watch: bool,
    /// What the listeners show; none where they speak plain HTTP.
    pub(crate) tls: Option<Arc<Tls>>,
    pub(crate) shutdown: CancellationToken,
}

impl Instance {
    /// Serves until the shutdown.
    pub(crate) async fn run(
        self,
        definitions: Option<Definitions>,
        listeners: Listeners,
    ) -> Result<(), Failure> {
        let ready = Arc::new(AtomicBool::new(false));
        let desk = desk::open(&self.config)?;
        let instance = uuid::Uuid::new_v4().simple().to_string();
        let board = Board::new(&instance);
        let api = tokio::spawn(self.serve_api(ready.clone(), &desk, &board, listeners)?);
        let projected = match definitions {
            Some(definitions) => self.project(definitions, &ready, desk, (instance, board)).await,
            None => {
                ready.store(true, Ordering::Relaxed);
                self.shutdown.cancelled().await;
                Ok(())
            }
        };
        self.shutdown.cancel();
        let _ = api.await;
        projected
    }

    /// The task that serves what is asked at the listeners.
    fn serve_api(
        &self,
        ready: Arc<AtomicBool>,
        desk: &Desk,
        board: &Board,
        listeners: Listeners,
    ) -> Result<impl Future<Output = ()> + use<>, Failure> {
        let asks = !matches!(listeners, Listeners::Apart { queries: None, .. });
        let thresholds = self.config.health.clone();
        let settings = ApiSettings {
            definitions_loaded: ready,
            board: Some(board.clone()),
            thresholds,
            auth: self.config.auth.clone().filter(|_| asks),
            cors_origins: self.config.cors_origins.clone(),
            rate: self.config.rate,
            ..ApiSettings::new(&self.config.postgres_url)
        };
        let api = Api::new(settings).map_err(|error| self.unusable(&error))?;
        let metrics = telemetry::metrics()?;
        let admin = self.config.admin_listen;
        let operators = Operators {
            access: Access::new(admin, self.config.admin_token.as_deref()),
            desk: desk.clone(),
            lookout: Lookout::default(),
            queries: match listeners {
                Listeners::Joint(_) => Queries::Here,
                Listeners::Apart { queries: Some(_), .. } => Queries::At(self.config.listen),
                Listeners::Apart { queries: None, .. } => Queries::Nowhere,
            },
            is_encrypted: self.tls.is_some(),
        };
        match operators.access {
            Access::Off => tracing::info!(
                "the admin routes are off: {admin} (http.admin_listen) is no loopback address and \
                            http.admin_token is not set"
            ),
            _ => {
                let lookout = operators.lookout.clone();
                tokio::spawn(lookout.follow(desk.clone(), self.shutdown.clone()));
            }
        }
        let servers = match listeners {
            Listeners::Joint(listener) => vec![(listener, api.joint_router(metrics, operators))],
            Listeners::Apart { queries, admin } => {
                let queries = queries.map(|listener| (listener, api.router()));
                let admin = (admin, api.admin_router(metrics, operators));
                queries.into_iter().chain([admin]).collect()
            }
        };
        let listen = self.config.listen;
        if self.config.auth.is_none() && !listen.ip().is_loopback() && asks {
            tracing::warn!(
                "WHOEVER REACHES {listen} (http.listen) MAY READ ALL VIEWS: there is no [auth] in the configuration; write \
                 one, or let http.listen be 127.0.0.1:PORT"
            );
        }
        let (tls, shutdown) = (self.tls.clone(), self.shutdown.clone());
        let scheme = if tls.is_some() { "https" } else { "http" };
        for (listener, _) in &servers {
            if let Ok(address) = listener.local_addr() {
                tracing::info!("listening on {scheme}://{address}");
            }
        }
        if let Some(tls) = &tls {
            tokio::spawn(certificate::follow(tls.clone(), shutdown.clone())?);
        }
        Ok(async move {
            let servers = servers.into_iter().map(|(listener, router)| {
                let (tls, shutdown) = (tls.clone(), shutdown.clone());
                tokio::spawn(async move {
                    if let Err(error) = vitrina_api::serve(listener, router, tls, shutdown).await {
                        tracing::error!(%error, "a listener ended");
                    }
                })
            });
            for server in servers.collect::<Vec<_>>() {
                let _ = server.await;
            }
        })
    }

    /// A setting of the API that can never work.
    fn unusable(&self, error: &ApiError) -> Failure {
        let setting = match error {
            ApiError::PostgresUrl(_) => "postgres.url".to_owned(),
            ApiError::Auth(unreadable) => format!("auth.{}", unreadable.setting),
        };
        let place = self.config.place(&setting).map(|place| format!("{place}: "));
        Failure::Usage(format!("{}{setting}: {error}", place.unwrap_or_default()))
    }

    async fn project(
        &self,
        definitions: Definitions,
        ready: &AtomicBool,
        desk: Desk,
        (instance, board): (String, Board),
    ) -> Result<(), Failure> {
        let changes = Changes::new(&self.config, self.watch)?;
        let models = self.enabled(&definitions);
        let none_loads = definitions.models.is_empty();
        let pool = session::control_pool(&desk.postgres, models.len() as u32 + 4);
        if let Some(settings) = self.config.webhook.clone() {
            webhook::start(settings, board.clone(), instance.clone(), self.shutdown.clone())?;
        }
        for proposal in &models {
            board.set(&proposal.model, State::Starting, None);
        }
        if !self.meet(&models, &board, async || self.meet_postgres(&pool).await).await? {
            return Ok(());
        }
        let live = match pool.acquire().await {
            Ok(mut connection) => control::live_models(&mut connection).await.unwrap_or_default(),
            Err(_) => Vec::new(),
        };
        if none_loads && !models.iter().any(|proposal| live.contains(&proposal.model)) {
            self.shutdown.cancel();
            return Err(Failure::No(NONE_LOADS.to_owned()));
        }
        let known = live.iter().cloned().collect();
        for Proposal { model, proposed, .. } in self.without_a_file(&known, &definitions) {
            if let Proposed::Gone(reason) = proposed {
                board.leave(&model, reason);
            }
        }
        board.announce(&pool).await;
        ready.store(true, Ordering::Relaxed);
        let publishing = tokio::spawn(board.clone().publish(pool.clone(), self.shutdown.clone()));
        if self.meet(&models, &board, async || self.meet_kafka(&pool).await).await? {
            let service = Arc::new(Service {
                kafka: self.config.kafka.clone(),
                broker: self.broker,
                group_prefix: self.config.group_prefix.clone(),
                postgres: desk.postgres,
                pool,
                registry: desk.registry,
                board,
                instance,
            });
            let (sender, proposals) = mpsc::channel(1);
            let following = self.follow(changes, live, definitions, sender);
            tokio::join!(service.run(proposals, self.shutdown.clone()), following);
        }
        let _ = publishing.await;
        Ok(())
    }
}
