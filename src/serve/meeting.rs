//! Meeting Postgres and Kafka: what is not there yet is waited for, with a sentence; what can never work ends the start.

use std::time::Duration;

use vitrina_ingest::Cluster;
use vitrina_projectors::control::{self, ControlError};
use vitrina_projectors::metrics::{self, Neighbour};
use vitrina_projectors::{Backoff, Board, Proposal, Sqlstate, State};

use super::Instance;
use crate::failure::Failure;
use crate::postgres_words;

impl Instance {
    /// Asks again and again until the answer is yes; false: the shutdown came first. What is waited for is every model's
    /// state meanwhile.
    pub(super) async fn meet(
        &self,
        models: &[Proposal],
        board: &Board,
        ask: impl AsyncFn() -> Result<(), Meeting>,
    ) -> Result<bool, Failure> {
        let mut backoff = Backoff::new(Duration::from_millis(250), Duration::from_secs(5));
        loop {
            let waiting = match ask().await {
                Ok(()) => return Ok(true),
                Err(Meeting::Never(reason)) => {
                    self.shutdown.cancel();
                    return Err(Failure::Usage(reason));
                }
                Err(Meeting::NotYet(reason)) => reason,
            };
            for proposal in models {
                board.set(&proposal.model, State::Waiting, Some(waiting.clone()));
            }
            tokio::select! {
                () = backoff.wait() => {}
                () = self.shutdown.cancelled() => return Ok(false),
            }
        }
    }

    pub(super) async fn meet_postgres(&self, pool: &sqlx::PgPool) -> Result<(), Meeting> {
        let migrated = control::migrate(pool).await;
        metrics::connected(Neighbour::Postgres, migrated.is_ok());
        migrated.map_err(|error| self.judge(error))
    }

    pub(super) async fn meet_kafka(&self, pool: &sqlx::PgPool) -> Result<(), Meeting> {
        let kafka = self.config.kafka.clone();
        let id = tokio::task::spawn_blocking(move || {
            Cluster::new(&kafka).map(|cluster| cluster.id(Duration::from_secs(5)))
        });
        let id = id.await.map_err(|error| Meeting::NotYet(error.to_string()))?;
        let id = id.map_err(|error| Meeting::Never(format!("kafka.properties: {error}")))?;
        metrics::connected(Neighbour::Kafka, id.is_ok());
        let id = id.map_err(Meeting::NotYet)?;
        control::belong(pool, &id, &self.config.group_prefix)
            .await
            .map_err(|error| self.judge(error))
    }

    fn judge(&self, error: ControlError) -> Meeting {
        match error {
            ControlError::Postgres(error) => {
                let described = postgres_words::describe(&error, &self.config.postgres_url);
                match Sqlstate::of(&error).is_none_or(Sqlstate::passes) {
                    true => Meeting::NotYet(described),
                    false => Meeting::Never(described),
                }
            }
            other => Meeting::Never(other.to_string()),
        }
    }
}

pub(super) enum Meeting {
    NotYet(String),
    Never(String),
}
