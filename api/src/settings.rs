//! What the read side is told when it is made.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use vitrina_projectors::Board;

use crate::access::AuthSettings;
use crate::edge::origin::Origin;
use crate::edge::rate::Rate;

/// What the API needs to know. Not `Debug`: the URL may hold a password.
#[derive(Clone)]
pub struct ApiSettings {
    /// A `postgres://` URL of the database that holds schema `vitrina` and the models' schemas.
    pub postgres_url: String,
    /// Connections for queries; more than about twice the cores only costs.
    pub pool: u32,
    /// How long Postgres may work on one query.
    pub statement_timeout: Duration,
    /// Whole lists (`limit=all`) read at a time, each on a connection of its own; what comes on top gets 503 at once.
    pub whole_lists: usize,
    /// How long a whole list waits for a reader that takes nothing before it is given up.
    pub reader_patience: Duration,
    /// Requests answered at a time; what comes on top gets 503 at once.
    pub max_concurrent: usize,
    /// Set by the process once its definitions are loaded and its models' states are told: `/readyz` says 503 until then.
    pub definitions_loaded: Arc<AtomicBool>,
    /// Of this process's own workers, if it has any: whoever waits for what they commit is woken by it.
    pub board: Option<Board>,
    /// Whose pages may read views.
    pub cors_origins: Vec<Origin>,
    /// How often one caller may read; none: as often as it likes.
    pub rate: Option<Rate>,
    /// When `/healthz` calls a model unwell.
    pub thresholds: Thresholds,
    /// None: whoever reaches the listener may read all.
    pub auth: Option<AuthSettings>,
}

impl ApiSettings {
    /// Settings that fit a small machine: 4 connections, 3 s a statement, 4 whole lists and 256 requests at a time, definitions
    /// loaded, no `[auth]`, no page of another origin, no bound on how often a caller asks.
    pub fn new(postgres_url: impl Into<String>) -> Self {
        Self {
            postgres_url: postgres_url.into(),
            pool: 4,
            statement_timeout: Duration::from_secs(3),
            whole_lists: 4,
            reader_patience: Duration::from_secs(30),
            max_concurrent: 256,
            definitions_loaded: Arc::new(AtomicBool::new(true)),
            board: None,
            cors_origins: Vec::new(),
            rate: None,
            thresholds: Thresholds::default(),
            auth: None,
        }
    }
}

/// Beyond these a model is unwell.
#[derive(Debug, Clone, PartialEq)]
pub struct Thresholds {
    /// How far its views may be behind the log.
    pub lag: Duration,
    /// How many of its records may be parked.
    pub parked: u32,
    /// Which share of its events of the last five minutes may have gone wrong, between 0 and 1.
    pub error_share: f64,
}

impl Default for Thresholds {
    /// 30 seconds, 10 records, one event in twenty.
    fn default() -> Self {
        Self { lag: Duration::from_secs(30), parked: 10, error_share: 0.05 }
    }
}
