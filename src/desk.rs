//! The operators' desk of this configuration, for verbs and for the admin API.

use std::sync::Arc;
use std::time::Duration;

use sqlx::{ConnectOptions as _, Connection as _};
use vitrina_avro::Registry;
use vitrina_projectors::session;
use vitrina_projectors::{Desk, Files, Refusal};

use crate::config::Config;
use crate::definitions;
use crate::failure::Failure;
use crate::postgres_words;

/// How long Postgres may take to answer a verb.
const PATIENCE: Duration = Duration::from_secs(10);
/// Connections for decisions; those of a retry's own come on top.
const CONNECTIONS: u32 = 2;

/// Connects when it is asked; must be called within a Tokio runtime.
///
/// # Errors
/// An address that cannot be any.
pub(crate) fn open(config: &Config) -> Result<Desk, Failure> {
    let postgres = session::options(&config.postgres_url)
        .map_err(|error| Failure::Usage(format!("postgres.url is not a Postgres URL: {error}")))?;
    let registry = Registry::new(&config.registry)
        .map_err(|error| Failure::Usage(format!("registry.url: {error}")))?;
    let pool = session::control_pool(&postgres, CONNECTIONS);
    let models = config.models.clone();
    let file = Arc::new(move |model: &str| {
        let file = models.join(format!("{model}.sql"));
        file.exists().then(|| file.display().to_string())
    });
    let (files, kafka) = (files(config), config.kafka.clone());
    Ok(Desk { pool, postgres, registry: Arc::new(registry), files, file, kafka })
}

/// What the folders of the configuration say of a model at the moment when somebody asks.
fn files(config: &Config) -> Files {
    let config = config.clone();
    Arc::new(move |model| {
        let loaded = definitions::from_folders(&config)
            .map_err(|(Failure::No(why) | Failure::Usage(why))| Refusal::Wrong(why))?;
        if let Some(findings) = loaded.broken.get(model) {
            let findings: Vec<String> = findings.iter().map(ToString::to_string).collect();
            return Err(Refusal::Wrong(findings.join("\n")));
        }
        let found = loaded.models.into_iter().find(|definition| definition.model.name == model);
        let missing = || {
            let file = config.models.join(format!("{model}.sql"));
            Refusal::Wrong(format!(
                "{} does not exist here: --as-live builds from the live generation's definition",
                file.display()
            ))
        };
        let window = config.model(model).unwrap_or_default().duplicate_window;
        Ok((found.ok_or_else(missing)?, window))
    })
}

/// The same for a verb: says at once what is in the way, and where no Vitrina has run there is nothing to decide.
///
/// # Errors
/// Postgres does not answer, or holds no control tables.
pub(crate) async fn meet(config: &Config) -> Result<Desk, Failure> {
    let desk = open(config)?;
    let place = postgres_words::place(&config.postgres_url);
    let asked = tokio::time::timeout(PATIENCE, async {
        let mut connection = desk.postgres.connect().await?;
        let found = sqlx::query_scalar("SELECT to_regclass('vitrina.generation') IS NOT NULL")
            .fetch_one(&mut connection)
            .await;
        // The answer is here: how the connection ends changes nothing.
        let _ = connection.close().await;
        found
    });
    match asked.await {
        Ok(Ok(true)) => Ok(desk),
        Ok(Ok(false)) => Err(Failure::No(format!(
            "no Vitrina has run on {place} yet; `vitrina serve` starts one"
        ))),
        Ok(Err(error)) => Err(Failure::No(postgres_words::describe(&error, &config.postgres_url))),
        Err(_) => {
            let seconds = PATIENCE.as_secs();
            Err(Failure::No(format!("{place} did not answer within {seconds} s; see that it runs")))
        }
    }
}

/// Who decides at this terminal, as it is written down beside the decision.
pub(crate) fn operator() -> String {
    let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    let user = variable("USER").or_else(|| variable("LOGNAME"));
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname");
    let host = host.map(|host| host.trim().to_owned()).ok().or_else(|| variable("HOSTNAME"));
    format!("{}@{}", user.as_deref().unwrap_or("unknown"), host.as_deref().unwrap_or("unknown"))
}

/// A refusal is an answer, and the answer is no.
pub(crate) fn refused(refusal: Refusal) -> Failure {
    Failure::No(refusal.to_string())
}
