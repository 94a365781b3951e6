//! What all requests share. Invariant: a view is read through [`Api::on_view`], so a swap or a new definition is followed
//! wherever a view is asked for.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::http::HeaderMap;
use axum::response::Response;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit, watch};
use tower_http::cors::CorsLayer;
use vitrina_projectors::Board;

use crate::access::{Authority, Caller, Unreadable};
use crate::answer::After;
use crate::catalogue::{Directory, Failure, View};
use crate::database::Database;
use crate::edge::origin;
use crate::edge::passage::{self, Readers};
use crate::edge::rate::Rates;
use crate::problem::{Kind, Problem};
use crate::settings::{ApiSettings, Thresholds};
use crate::sight;

/// How often a request follows a model that changes under it before it gives up.
const ATTEMPTS: usize = 3;

/// Why an [`Api`] cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    #[error(
        "the Postgres URL cannot be read ({0}): write it as postgres://USER:PASSWORD@HOST:5432/DATABASE, special characters percent-encoded"
    )]
    PostgresUrl(String),
    #[error(transparent)]
    Auth(#[from] Unreadable),
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
    whole_lists: Arc<Semaphore>,
    reader_patience: Duration,
    waiting: Arc<Semaphore>,
    board: Option<Board>,
    /// None: whoever asks may read all.
    authority: Option<Arc<Authority>>,
    definitions_loaded: Arc<AtomicBool>,
    thresholds: Thresholds,
    cors: Option<CorsLayer>,
    rates: Option<Arc<Rates>>,
}

impl Api {
    /// Connects lazily; must be called within a Tokio runtime.
    ///
    /// # Errors
    /// When the URL cannot be parsed, or a file of `[auth]` cannot be used. A Postgres or an issuer that is away is no error
    /// here: requests get 503 until it is back.
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
            whole_lists: Arc::new(Semaphore::new(settings.whole_lists)),
            reader_patience: settings.reader_patience,
            // The others are answered at once.
            waiting: Arc::new(Semaphore::new(settings.max_concurrent / 2)),
            board: settings.board,
            authority: settings.auth.map(Authority::new).transpose()?.map(Arc::new),
            definitions_loaded: settings.definitions_loaded,
            thresholds: settings.thresholds,
            cors: origin::cors(&settings.cors_origins),
            rates: settings.rate.map(|rate| Arc::new(Rates::new(rate))),
        })))
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

    pub(crate) fn readers(&self) -> Readers {
        let State { authority, admission, rates, .. } = &*self.0;
        Readers { authority: authority.clone(), admission: admission.clone(), rates: rates.clone() }
    }

    /// A place among the readers.
    pub(crate) fn place(&self) -> Result<SemaphorePermit<'_>, Problem> {
        passage::place(&self.0.admission)
    }

    pub(crate) fn whole_lists(&self) -> Arc<Semaphore> {
        self.0.whole_lists.clone()
    }

    pub(crate) fn reader_patience(&self) -> Duration {
        self.0.reader_patience
    }

    pub(crate) fn authority(&self) -> Option<Arc<Authority>> {
        self.0.authority.clone()
    }

    pub(crate) fn definitions_loaded(&self) -> bool {
        self.0.definitions_loaded.load(Ordering::Relaxed)
    }

    pub(crate) fn cors(&self) -> Option<CorsLayer> {
        self.0.cors.clone()
    }

    pub(crate) fn thresholds(&self) -> &Thresholds {
        &self.0.thresholds
    }

    /// Wakes whenever this process has committed a batch of the model's; none where it does not feed the model.
    pub(crate) fn moved(&self, model: &str) -> Option<watch::Receiver<()>> {
        self.0.board.as_ref()?.moved(model)
    }

    /// A place among those who wait.
    pub(crate) fn wait(&self) -> Result<OwnedSemaphorePermit, Problem> {
        self.0.waiting.clone().try_acquire_owned().map_err(|_| {
            let detail = "As many requests wait for what they name as this instance lets wait; ask again in a second.";
            Problem::new(Kind::Overloaded, detail)
        })
    }

    /// Runs `read` on the view, as `caller` sees it, once that reflects what the headers ask for; again with a newer catalogue
    /// where a swap or a new definition overtook it.
    pub(crate) async fn on_view<F>(
        &self,
        caller: &Caller,
        name: &str,
        headers: &HeaderMap,
        read: impl Fn(Arc<View>) -> F,
    ) -> Result<Response, Problem>
    where
        F: Future<Output = Result<Response, Failure>>,
    {
        let after = After::parse(headers)?;
        let mut catalogue = self.directory().current(self.database()).await?;
        for _ in 0..ATTEMPTS {
            let view = sight::view(&catalogue, caller, name)?;
            let answer = async {
                if let Some(after) = &after
                    && let Some(too_late) = after.reflected(self, &view).await?
                {
                    return Ok(too_late);
                }
                read(view.clone()).await
            };
            match answer.await {
                Ok(mut answer) => {
                    if let Some(after) = &after {
                        after.say_applied(&mut answer);
                    }
                    return Ok(answer);
                }
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
