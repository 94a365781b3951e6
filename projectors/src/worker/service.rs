//! All models of an instance. Each has its own workers, consumers and groups, so each fails, waits and stops alone.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use sqlx::postgres::{PgConnectOptions, PgPool};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use vitrina_avro::Registry;
use vitrina_ingest::{BrokerKind, KafkaSettings};

use crate::board::{Board, State};
use crate::definition::Definition;
use crate::generation::build::queue;
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
#[derive(Clone)]
pub struct Proposal {
    pub model: String,
    pub proposed: Proposed,
    pub settings: ModelSettings,
}

/// What the model's file says. What runs comes from Postgres; a file only proposes.
#[derive(Clone)]
pub enum Proposed {
    File(Arc<Definition>),
    /// It does not load: the findings, which name it.
    Broken(String),
    /// The file is gone, as the sentence says: the model stays as it is, readable, and is not fed.
    Gone(String),
}

impl PartialEq for Proposed {
    /// Whether they say the same, which texts alone decide.
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::File(one), Self::File(other)) => one.files == other.files,
            (Self::Broken(one), Self::Broken(other)) | (Self::Gone(one), Self::Gone(other)) => {
                one == other
            }
            _ => false,
        }
    }
}

impl Service {
    /// Whose log may have lost what a live generation was made of; a mock's holds all that ever came.
    pub(super) fn log(&self) -> Option<&KafkaSettings> {
        (self.broker == BrokerKind::Kafka).then_some(&self.kafka)
    }

    /// Runs the models until `shutdown`, and returns when each has finished its batch and left its group. `proposals` are
    /// what the files say of all models, from now on and whenever they have changed.
    pub async fn run(
        self: Arc<Self>,
        mut proposals: mpsc::Receiver<Vec<Proposal>>,
        shutdown: CancellationToken,
    ) {
        let mut workers = JoinSet::new();
        workers.spawn(queue::keep(self.pool.clone(), shutdown.clone()));
        let (mut names, mut senders) = (HashMap::new(), HashMap::new());
        loop {
            tokio::select! {
                Some(proposals) = proposals.recv() => for proposal in proposals {
                    let sender = match senders.entry(proposal.model.clone()) {
                        Entry::Vacant(new) => {
                            let (sender, receiver) = watch::channel(proposal);
                            let task = self.clone().supervise(receiver, shutdown.clone());
                            names.insert(workers.spawn(task).id(), new.key().clone());
                            new.insert(sender);
                            continue;
                        }
                        Entry::Occupied(known) => known.into_mut(),
                    };
                    sender.send_if_modified(|known| {
                        let changed = known.proposed != proposal.proposed;
                        if changed {
                            *known = proposal;
                        }
                        changed
                    });
                },
                Some(ended) = workers.join_next_with_id() => {
                    if let Err(error) = ended
                        && let Some(model) = names.get(&error.id())
                    {
                        let reason = format!("the worker failed: {error}; please report it");
                        self.board.set(model, State::Stopped, Some(reason));
                    }
                }
                () = shutdown.cancelled(), if workers.is_empty() => return,
            }
        }
    }
}
