//! The shared state and the routes. Invariant: every answer leaves through the same layers, so each one is measured,
//! bounded, and a problem where it is not a success.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::get;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::sync::Semaphore;
use tower_http::catch_panic::CatchPanicLayer;

use crate::admin::{self, Operators};
use crate::catalogue::View;
use crate::catalogue::directory::Directory;
use crate::database::{Database, DatabaseError};
use crate::edge::{guard, measure};
use crate::health;
use crate::health::judgement::Thresholds;
use crate::problem::{Kind, Problem};
use crate::views::{self, list, row, schema};

/// How often a request follows a model that changes under it before it gives up.
const ATTEMPTS: usize = 3;

/// What the API needs to know. Not `Debug`: the URL may hold a password.
#[derive(Clone)]
pub struct ApiSettings {
    /// A `postgres://` URL of the database that holds schema `vitrina` and the models' schemas.
    pub postgres_url: String,
    /// Connections for queries; more than about twice the cores only costs.
    pub pool: u32,
    /// How long Postgres may work on one query.
    pub statement_timeout: Duration,
    /// Requests answered at a time; what comes on top gets 503 at once.
    pub max_concurrent: usize,
    /// Set by the process once its definitions are loaded: `/readyz` says 503 until then.
    pub definitions_loaded: Arc<AtomicBool>,
    /// When `/healthz` calls a model unwell.
    pub thresholds: Thresholds,
}

impl ApiSettings {
    /// Settings that fit a small machine: 4 connections, 3 s a statement, 256 requests at a time, definitions loaded.
    pub fn new(postgres_url: impl Into<String>) -> Self {
        Self {
            postgres_url: postgres_url.into(),
            pool: 4,
            statement_timeout: Duration::from_secs(3),
            max_concurrent: 256,
            definitions_loaded: Arc::new(AtomicBool::new(true)),
            thresholds: Thresholds::default(),
        }
    }
}

/// Why an [`Api`] cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    #[error(
        "the Postgres URL cannot be read ({0}): write it as postgres://USER:PASSWORD@HOST:5432/DATABASE, special characters percent-encoded"
    )]
    PostgresUrl(String),
}

/// The read side of the service: cheap to clone, shared by all requests.
#[derive(Clone)]
pub struct Api(Arc<State>);

struct State {
    database: Database,
    /// A connection of its own, so that an overloaded instance is not an unready one.
    probe: Database,
    directory: Directory,
    admission: Arc<Semaphore>,
    definitions_loaded: Arc<AtomicBool>,
    thresholds: Thresholds,
}

/// How reading a view ends when it does not end well.
pub(crate) enum Failure {
    /// The catalogue that the statement was made from is not the database's any more.
    Stale,
    Problem(Problem),
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

impl From<DatabaseError> for Failure {
    fn from(error: DatabaseError) -> Self {
        match error {
            DatabaseError::Stale(_) => Self::Stale,
            other => Self::Problem(other.into()),
        }
    }
}

impl Api {
    /// Connects lazily; must be called within a Tokio runtime.
    ///
    /// # Errors
    /// When the URL cannot be parsed. A Postgres that is away is no error here: requests get 503 until it is back.
    pub fn new(settings: ApiSettings) -> Result<Self, ApiError> {
        let connect = |pool| {
            Database::new(&settings.postgres_url, pool, settings.statement_timeout)
                .map_err(|error| ApiError::PostgresUrl(error.to_string()))
        };
        Ok(Self(Arc::new(State {
            database: connect(settings.pool)?,
            probe: connect(1)?,
            directory: Directory::new(),
            admission: Arc::new(Semaphore::new(settings.max_concurrent)),
            definitions_loaded: settings.definitions_loaded,
            thresholds: settings.thresholds,
        })))
    }

    /// What frontends see: `/v1/…`, `/livez`, `/readyz`, `/healthz`.
    pub fn router(&self) -> Router {
        self.furnish(self.queries().merge(health::routes()).fallback(guard::unknown_route))
    }

    /// What operators see: `/admin/v1/…`, `/metrics`, `/livez`, `/readyz`, `/healthz`.
    pub fn admin_router(&self, metrics: PrometheusHandle, operators: Operators) -> Router {
        let routes =
            health::routes().merge(measure::routes(metrics)).merge(admin::routes(operators));
        self.furnish(routes.fallback(guard::unknown_admin_route))
    }

    /// Both on one listener.
    pub fn joint_router(&self, metrics: PrometheusHandle, operators: Operators) -> Router {
        let routes = self.queries().merge(health::routes()).merge(measure::routes(metrics));
        self.furnish(routes.merge(admin::routes(operators)).fallback(guard::unknown_route))
    }

    fn queries(&self) -> Router<Self> {
        Router::new()
            .route("/v1/views", get(views::views))
            .route("/v1/views/{view}", get(list::list))
            .route("/v1/views/{view}/", get(row::row))
            .route("/v1/views/{view}/{*key}", get(row::row))
            .route("/v1/schemas/{view}", get(schema::schema))
            .layer(from_fn_with_state(self.0.admission.clone(), guard::admit))
    }

    fn furnish(&self, routes: Router<Self>) -> Router {
        routes
            .method_not_allowed_fallback(guard::method_not_allowed)
            .layer(from_fn(guard::bounds))
            .layer(CatchPanicLayer::custom(guard::panicked))
            .layer(from_fn(guard::traced))
            .layer(from_fn(measure::measure))
            .with_state(self.clone())
    }

    pub(crate) fn database(&self) -> &Database {
        &self.0.database
    }

    pub(crate) fn probe(&self) -> &Database {
        &self.0.probe
    }

    pub(crate) fn directory(&self) -> &Directory {
        &self.0.directory
    }

    pub(crate) fn definitions_loaded(&self) -> bool {
        self.0.definitions_loaded.load(std::sync::atomic::Ordering::Relaxed)
    }

    pub(crate) fn thresholds(&self) -> &Thresholds {
        &self.0.thresholds
    }

    /// Runs `read` on the view, again with a newer catalogue where a swap or a new definition overtook it.
    pub(crate) async fn on_view<T, F>(
        &self,
        name: &str,
        read: impl Fn(Arc<View>) -> F,
    ) -> Result<T, Problem>
    where
        F: Future<Output = Result<T, Failure>>,
    {
        let mut catalogue = self.directory().current(self.database()).await?;
        for _ in 0..ATTEMPTS {
            match read(catalogue.view(name)?).await {
                Ok(answer) => return Ok(answer),
                Err(Failure::Problem(problem)) => return Err(problem),
                Err(Failure::Stale) => {
                    catalogue = self.directory().newer(self.database(), Some(&catalogue)).await?
                }
            }
        }
        let detail = format!("`{name}` is changing right now; ask again in a second.");
        Err(Problem::new(Kind::Unavailable, detail))
    }
}
