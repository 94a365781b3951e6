//! The operators' desk of this configuration, for verbs and for the admin API.

use std::sync::Arc;

use vitrina_avro::Registry;
use vitrina_projectors::parked::{Desk, Refusal};
use vitrina_projectors::session;

use crate::Failure;
use crate::config::Config;

/// Connections for decisions; those of a retry's own come on top.
const CONNECTIONS: u32 = 2;

/// Connects when it is asked; must be called within a Tokio runtime.
///
/// # Errors
/// An address that cannot be any.
pub(crate) fn open(config: &Config) -> Result<Desk, Failure> {
    let postgres = session::options(&config.postgres_url)
        .map_err(|error| Failure::Usage(format!("postgres.url is not a Postgres URL: {error}")))?;
    let registry = Registry::new(&config.registry).map_err(|error| Failure::Usage(format!("registry.url: {error}")))?;
    let pool = session::control_pool(&postgres, CONNECTIONS);
    Ok(Desk { pool, postgres, registry: Arc::new(registry) })
}

/// Who decides at this terminal, as it is written down beside the decision.
pub(crate) fn operator() -> String {
    std::env::var("USER").unwrap_or_else(|_| "the command line".to_owned())
}

/// A refusal is an answer, and the answer is no.
pub(crate) fn refused(refusal: Refusal) -> Failure {
    Failure::No(refusal.to_string())
}
