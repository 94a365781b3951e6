//! Where scratch databases are: on the configured Postgres, where that answers and lets us make some, else on one of our own
//! that lives as long as the tests do. Invariant: nothing is written to a database that was there before, and what was made
//! is taken away however the tests end.

use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, Executor as _};
use vitrina_projectors::{quote, rehearsal, session};

use crate::config::Config;
use crate::demo::postgres::Postgres;
use crate::failure::Failure;
use crate::postgres_words;

/// How long the configured server may take to answer before an own one is started.
const PATIENCE: Duration = Duration::from_secs(2);

/// A server with the databases that were made on it.
pub(super) struct Scratch {
    url: String,
    server: PgConnection,
    databases: Vec<String>,
    /// None: the server is the configured one.
    own: Option<Postgres>,
}

/// One database.
#[derive(Clone)]
pub(super) struct Place {
    pub(super) options: PgConnectOptions,
    pub(super) url: String,
}

impl Scratch {
    /// # Errors
    /// Neither server is to be had.
    pub(super) async fn open(config: &Config) -> Result<Self, Failure> {
        let why = match reach(&config.postgres_url).await {
            Ok(server) => {
                let url = config.postgres_url.clone();
                return Ok(Self { url, server, databases: Vec::new(), own: None });
            }
            Err(why) => why,
        };
        let neither = |(Failure::No(own) | Failure::Usage(own))| {
            Failure::Usage(format!("tests need a Postgres: {why}; and {own}"))
        };
        let own = Postgres::start().await.map_err(neither)?;
        match reach(&own.url).await {
            Ok(server) => {
                Ok(Self { url: own.url.clone(), server, databases: Vec::new(), own: Some(own) })
            }
            Err(why) => {
                own.stop().await;
                Err(Failure::No(why))
            }
        }
    }

    /// Where it is, for people.
    pub(super) fn place(&self) -> String {
        match self.own {
            Some(_) => "a Postgres of their own".to_owned(),
            None => format!("scratch databases of {}", postgres_words::place(&self.url)),
        }
    }

    /// Makes a database with the control tables.
    ///
    /// # Errors
    /// Postgres refuses.
    pub(super) async fn database(&mut self) -> Result<Place, Failure> {
        let name = format!("vitrina_test_{:016x}", rand::random::<u64>());
        let create = format!("CREATE DATABASE {} TEMPLATE template0 ENCODING 'UTF8'", quote(&name));
        let created = self.server.execute(AssertSqlSafe(create)).await;
        created.map_err(|error| Failure::No(postgres_words::describe(&error, &self.url)))?;
        let mut url = reqwest::Url::parse(&self.url)?;
        url.query_pairs_mut().append_pair("dbname", &name);
        self.databases.push(name);
        let options = session::options(url.as_str())?;
        let prepared = rehearsal::prepare(&options).await;
        prepared.map_err(|fault| Failure::No(fault.to_string()))?;
        Ok(Place { options, url: url.to_string() })
    }

    /// Takes away what was made.
    pub(super) async fn clear(mut self) {
        for name in &self.databases {
            let drop = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", quote(name));
            if let Err(error) = self.server.execute(AssertSqlSafe(drop)).await {
                tracing::warn!(%error, name, "a scratch database is left behind");
            }
        }
        let _ = self.server.close().await;
        if let Some(own) = self.own {
            own.stop().await;
        }
    }
}

/// A connection of somebody who may make databases; else why there is none.
async fn reach(url: &str) -> Result<PgConnection, String> {
    let options =
        session::options(url).map_err(|error| format!("postgres.url is no URL: {error}"))?;
    let asked = tokio::time::timeout(PATIENCE, async {
        let mut server = options.connect().await?;
        let may: bool = sqlx::query_scalar(
            "SELECT rolcreatedb OR rolsuper FROM pg_roles WHERE rolname = current_user",
        )
        .fetch_one(&mut server)
        .await?;
        Ok((server, may))
    });
    let place = postgres_words::place(url);
    match asked.await {
        Ok(Ok((server, true))) => Ok(server),
        Ok(Ok((_, false))) => Err(format!("the user of {place} may not create databases")),
        Ok(Err(error)) => Err(postgres_words::describe(&error, url)),
        Err(_) => Err(format!("{place} did not answer within {} s", PATIENCE.as_secs())),
    }
}
