//! All models of an instance. Each has its own workers, consumers and groups, so each fails, waits and stops alone.

use std::collections::HashMap;
use std::sync::Arc;

use sqlx::postgres::{PgConnectOptions, PgPool};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use vitrina_avro::Registry;
use vitrina_ingest::{BrokerKind, KafkaSettings};

use crate::board::{Board, State};
use crate::definition::Definition;
use crate::generation::queue;
use crate::settings::ModelSettings;

/// What all models of an instance share.
pub struct Service {
    pub kafka: KafkaSettings,
    pub broker: BrokerKind,
    pub group_prefix: String,
    pub postgres: PgConnectOptions,
    pub pool: PgPool,
    pub registry: Arc<Registry>,
    pub board: Board,
    /// Unique among the instances of this moment.
    pub instance: String,
}

/// What this instance has of a model.
pub struct Proposal {
    pub model: String,
    pub proposed: Proposed,
    pub settings: ModelSettings,
}

/// What the model's file says. What runs comes from Postgres; a file only proposes.
pub enum Proposed {
    File(Box<Definition>),
    /// It does not load: the findings, which name it.
    Broken(String),
}

impl Service {
    /// Runs the models until `shutdown`, and returns when each has finished its batch and left its group.
    pub async fn run(self: Arc<Self>, models: Vec<Proposal>, shutdown: CancellationToken) {
        let mut workers = JoinSet::new();
        let mut names = HashMap::new();
        workers.spawn(queue::keep(self.pool.clone(), shutdown.clone()));
        for proposal in models {
            let name = proposal.model.clone();
            let task = workers.spawn(self.clone().supervise(proposal, shutdown.clone()));
            names.insert(task.id(), name);
        }
        while let Some(ended) = workers.join_next_with_id().await {
            if let Err(error) = ended
                && let Some(model) = names.get(&error.id())
            {
                self.board.set(
                    model,
                    State::Stopped,
                    Some(format!("the worker failed: {error}; please report it")),
                );
            }
        }
    }
}
