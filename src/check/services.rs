//! What only Postgres can say of definitions. A service that is away is asked again for a while; what says no is not.

use std::time::Duration;

use sqlx::{ConnectOptions as _, Connection as _};
use vitrina_avro::{Registry, RegistryError};
use vitrina_projectors::{Definitions, Fault, Sqlstate, inspect, session};
use vitrina_sql::Finding;

use crate::config::Config;
use crate::failure::Failure;
use crate::postgres_words;

/// How long services may take to answer, and how soon they are asked again.
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(500);

/// Why a service has not answered.
enum Trouble {
    /// It may answer soon.
    Passing(String),
    /// It says no.
    Lasting(String),
}

/// What only the services can say. Each question has its own time, so that many models are not taken for a service that is
/// away.
pub(super) async fn ask(config: &Config, loaded: &Definitions) -> Result<Vec<Finding>, Failure> {
    let registry = Registry::new(&config.registry)
        .map_err(|error| Failure::Usage(format!("registry: {error}")))?;
    let options = session::options(&config.postgres_url)
        .map_err(|error| Failure::Usage(format!("postgres.url is not a Postgres URL: {error}")))?;
    let place = config.registry_place();
    patiently(&place, async || {
        registry.ping().await.map_err(|error| match error {
            RegistryError::Away(_) | RegistryError::RateLimited(_) => {
                Trouble::Passing(format!("{place} does not answer: {error}"))
            }
            _ => Trouble::Lasting(format!("{place}: {error}")),
        })
    })
    .await?;
    let place = postgres_words::place(&config.postgres_url);
    patiently(&place, async || {
        let described = |error| trouble(&error, &config.postgres_url);
        options.connect().await.map_err(described)?.close().await.map_err(described)
    })
    .await?;
    let mut findings = Vec::new();
    for definition in &loaded.models {
        let inspected = patiently(&place, async || {
            inspect(&options, definition).await.map_err(|fault| match fault {
                Fault::World { reason, .. } => Trouble::Passing(reason),
                Fault::Stop(reason) => Trouble::Lasting(format!("{place}: {reason}")),
                other => Trouble::Lasting(format!("{place}: {other:?}")),
            })
        });
        findings.extend(inspected.await?);
    }
    Ok(findings)
}

/// A server that is starting, stopping or full is as one that is away.
fn trouble(error: &sqlx::Error, url: &str) -> Trouble {
    let described = postgres_words::describe(error, url);
    match Sqlstate::of(error).is_none_or(Sqlstate::passes) && !postgres_words::is_tls(error) {
        true => Trouble::Passing(described),
        false => Trouble::Lasting(described),
    }
}

/// Asks again until there is an answer, or too long was waited for one.
async fn patiently<T>(
    place: &str,
    ask: impl AsyncFn() -> Result<T, Trouble>,
) -> Result<T, Failure> {
    let mut last = format!("{place} does not answer");
    let asked = tokio::time::timeout(PATIENCE, async {
        loop {
            match ask().await {
                Err(Trouble::Passing(reason)) => last = reason,
                Err(Trouble::Lasting(reason)) => return Err(reason),
                Ok(answer) => return Ok(answer),
            }
            tokio::time::sleep(PAUSE).await;
        }
    });
    let way = "or check with --offline";
    match asked.await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(reason)) => Err(Failure::No(format!("{reason}; {way}"))),
        Err(_) => Err(Failure::No(format!(
            "{last}; {} s were waited; start it, {way}",
            PATIENCE.as_secs()
        ))),
    }
}
