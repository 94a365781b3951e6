//! One model on this instance: first what its file asks for; then each generation that is live or being built is fed here, as
//! `vitrina.generation` says once a second. Nothing that runs comes from the file.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{Id, JoinError, JoinSet};
use tokio_util::sync::CancellationToken;
use vitrina_ingest::{Bounds, BrokerKind, delete_groups};

use crate::backoff::Backoff;
use crate::board::{Orders, State};
use crate::error_type::ErrorType;
use crate::fault::Fault;
use crate::generation::retired::sweep::sweep;
use crate::generation::role::Role;
use crate::generation::schema::inspect::inspect;
use crate::generation::start::open;
use crate::metrics;
use crate::names::GenerationId;
use crate::worker::bounds;
use crate::worker::generation::Feeding;
use crate::worker::pace::Pace;
use crate::worker::service::{Proposal, Proposed, Service};

/// How long the consumers that built a generation go on after the swap: until those of the model's own group have claimed.
const HANDOVER: Duration = Duration::from_secs(10);
/// How soon what could not be swept is tried again.
const SWEEP: Duration = Duration::from_secs(5);
/// How often it is looked for what was kept long enough.
const EXPIRY: Duration = Duration::from_secs(20);

/// The generations of one model that are fed here.
#[derive(Default)]
struct Fed {
    tasks: JoinSet<()>,
    keys: HashMap<Id, (i32, Role)>,
    /// How each is told to stop.
    tokens: HashMap<(i32, Role), CancellationToken>,
}

impl Service {
    pub(super) async fn supervise(
        self: Arc<Self>,
        mut proposals: watch::Receiver<Proposal>,
        shutdown: CancellationToken,
    ) {
        while !shutdown.is_cancelled() {
            let proposal = Arc::new(proposals.borrow_and_update().clone());
            if let Proposed::Gone(reason) = &proposal.proposed {
                self.board.leave(&proposal.model, reason.clone());
            } else {
                self.board.take_up(&proposal.model);
                let present = shutdown.child_token();
                tokio::join!(
                    self.clone().run_model(proposal.clone(), proposals.clone(), present.clone()),
                    until_gone(proposals.clone(), present)
                );
            }
            let gone = |proposal: &Proposal| matches!(proposal.proposed, Proposed::Gone(_));
            let other = gone(&proposal);
            let changed = proposals.wait_for(|now| gone(now) != other);
            // The service outlives its models, so the channel stays open until the shutdown.
            let _ = shutdown.run_until_cancelled(changed).await;
        }
    }

    /// One model whose file is there, until `shutdown`.
    async fn run_model(
        self: Arc<Self>,
        proposal: Arc<Proposal>,
        mut proposals: watch::Receiver<Proposal>,
        shutdown: CancellationToken,
    ) {
        let model = &proposal.model;
        let mut orders = self.board.orders(model);
        let mut fed = Fed::default();
        // Whether there is no group of a generation that was built.
        let mut tidy = false;
        let mut backoff = Backoff::new(Duration::from_millis(250), Duration::from_secs(5));
        let mut changed = true;
        while !shutdown.is_cancelled() {
            if std::mem::take(&mut changed) {
                if orders.borrow().live.is_none() {
                    self.board.set(model, State::Starting, None);
                }
                let now = proposals.borrow_and_update().clone();
                tokio::select! {
                    () = self.open(&now) => {}
                    () = shutdown.cancelled() => break,
                    _ = proposals.changed() => {
                        changed = true;
                        continue;
                    }
                }
            }
            let now = orders.borrow_and_update().clone();
            fed.follow(
                &now,
                |id, role, stop| self.clone().feed_as(proposal.clone(), id, role, stop),
                model,
                &shutdown,
            );
            let builds = now.building.is_some() || fed.builds();
            let swept = self.sweep(model, proposal.settings.keep_retired).await;
            tidy = !builds && (tidy || self.forget_group(model, &shutdown).await);
            tokio::select! {
                () = shutdown.cancelled() => {}
                // What is in the way of the file may be gone.
                _ = orders.changed() => changed = self.board.has_note(model),
                _ = proposals.changed() => changed = true,
                Some(ended) = fed.tasks.join_next_with_id() => {
                    if let Some(panicked) = fed.ended(ended) {
                        let reason = format!("the worker failed: {panicked}; please report it");
                        self.board.set(model, State::Stopped, Some(reason));
                    }
                    backoff.wait().await;
                    let _ = self.board.follow_orders(&self.pool, model).await;
                }
                () = tokio::time::sleep(if swept && (tidy || builds) { EXPIRY } else { SWEEP }) => {}
            }
        }
        while fed.tasks.join_next().await.is_some() {}
    }

    async fn feed_as(
        self: Arc<Self>,
        proposal: Arc<Proposal>,
        id: GenerationId,
        role: Role,
        stop: CancellationToken,
    ) {
        let board = match role {
            Role::Live => self.board.clone(),
            Role::Building => self.board.beside(&id.model, &role.label(&id)),
        };
        let settings = match role {
            Role::Live => proposal.settings.clone(),
            Role::Building => proposal.settings.building(),
        };
        let (pace, bounds) = (Pace::default(), Bounds::default());
        let feeding = Feeding { id, role, settings: &settings, board, stop, pace, bounds };
        match role {
            Role::Live => self.feed(&feeding).await,
            Role::Building => {
                let _told = metrics::BuiltHere::new(&role.label(&feeding.id));
                let building =
                    async { tokio::join!(self.feed(&feeding), self.accompany(&feeding)) };
                tokio::select! {
                    _ = building => {}
                    () = bounds::keep(&self.pool, &feeding.id, &feeding.bounds) => {}
                }
            }
        }
    }

    /// Does what the file asks for, as soon as the world lets it.
    async fn open(&self, proposal: &Proposal) {
        let model = &proposal.model;
        let mut backoff = Backoff::new(Duration::from_millis(250), Duration::from_secs(5));
        let mut waits = false;
        loop {
            match self.try_open(proposal).await {
                Ok(note) => {
                    // A live generation may have gone on all the time, with nothing to commit.
                    if waits {
                        self.board.waited(model);
                    }
                    return self.board.note(model, note);
                }
                Err(Fault::World { reason, .. }) => {
                    waits = true;
                    self.board.set(model, State::Waiting, Some(reason));
                    backoff.wait().await;
                }
                Err(other) => {
                    self.board.failed(model, ErrorType::System);
                    self.board.set(model, State::Stopped, Some(other.to_string()));
                    self.board.asked_to_go_on(model).await;
                    self.board.set(model, State::Starting, None);
                }
            }
        }
    }

    /// What is in the way of the file stops the model only where no generation of it is live.
    async fn try_open(&self, proposal: &Proposal) -> Result<Option<String>, Fault> {
        let opened = self.propose(proposal).await;
        // The first generation makes the model's row, too, so that its orders can be told from later ones.
        self.board.follow_orders(&self.pool, &proposal.model).await?;
        let lives = self.board.orders(&proposal.model).borrow().live.is_some();
        match opened {
            Err(Fault::World { trouble, reason }) => Err(Fault::World { trouble, reason }),
            Err(other) if lives => Ok(Some(other.to_string())),
            opened => opened,
        }
    }

    async fn propose(&self, proposal: &Proposal) -> Result<Option<String>, Fault> {
        let definition = match &proposal.proposed {
            Proposed::Broken(findings) | Proposed::Gone(findings) => {
                return Err(Fault::Stop(findings.clone()));
            }
            Proposed::File(definition) => definition,
        };
        let findings = inspect(&self.postgres, definition).await?;
        let errors: Vec<String> =
            findings.iter().filter(|finding| finding.is_error()).map(ToString::to_string).collect();
        if !errors.is_empty() {
            return Err(Fault::Stop(errors.join("\n")));
        }
        let window = proposal.settings.duplicate_window;
        open::open(&self.pool, definition, window, self.log()).await
    }

    /// Deletes the consumer group of generations that are built, as nothing is; whether it is gone. It never decides anything,
    /// so one that stays does no harm.
    async fn forget_group(&self, model: &str, shutdown: &CancellationToken) -> bool {
        if self.broker == BrokerKind::Mock {
            return true;
        }
        let group = Role::Building.group(&self.group_prefix, model);
        let groups = [group];
        let stays = shutdown.run_until_cancelled(delete_groups(&self.kafka, &groups)).await;
        let stays = stays.unwrap_or_default();
        stays.iter().for_each(|why| tracing::debug!(model, "{why}"));
        stays.is_empty()
    }

    /// Whether nothing of the model is left that nobody needs.
    async fn sweep(&self, model: &str, keep_retired: Duration) -> bool {
        match sweep(&self.pool, model, keep_retired).await {
            Ok(stays) => {
                stays.iter().for_each(|why| tracing::debug!(model, "{why}"));
                stays.is_empty()
            }
            Err(fault) => {
                tracing::debug!(model, %fault, "what generations left behind stays for now");
                false
            }
        }
    }
}

/// Cancels when the model's file is gone.
async fn until_gone(mut proposals: watch::Receiver<Proposal>, present: CancellationToken) {
    let gone = proposals.wait_for(|now| matches!(now.proposed, Proposed::Gone(_)));
    let _ = present.run_until_cancelled(gone).await;
    present.cancel();
}

impl Fed {
    /// Whether this instance consumes what is built.
    fn builds(&self) -> bool {
        self.tokens.keys().any(|(_, role)| *role == Role::Building)
    }

    /// Feeds what is live or being built, and nothing else. Whoever built the generation that has become live goes on until
    /// the model's own group has taken over.
    fn follow<F>(
        &mut self,
        orders: &Orders,
        feed: impl Fn(GenerationId, Role, CancellationToken) -> F,
        model: &str,
        shutdown: &CancellationToken,
    ) where
        F: Future<Output = ()> + Send + 'static,
    {
        let wanted = [(orders.live, Role::Live), (orders.building, Role::Building)];
        let wanted: Vec<(i32, Role)> =
            wanted.into_iter().filter_map(|(number, role)| Some((number?, role))).collect();
        for (key, token) in self.tokens.iter().filter(|(key, _)| !wanted.contains(key)) {
            if *key == (orders.live.unwrap_or_default(), Role::Building) {
                let token = token.clone();
                tokio::spawn(async move {
                    tokio::time::sleep(HANDOVER).await;
                    token.cancel();
                });
            } else {
                token.cancel();
            }
        }
        for key @ (number, role) in wanted {
            self.tokens.entry(key).or_insert_with(|| {
                let stop = shutdown.child_token();
                let task = feed(GenerationId::new(model, number), role, stop.clone());
                self.keys.insert(self.tasks.spawn(task).id(), key);
                stop
            });
        }
    }

    /// One has ended; why it failed, where it did: then it is not fed again.
    fn ended(&mut self, ended: Result<(Id, ()), JoinError>) -> Option<JoinError> {
        let id = ended.as_ref().map_or_else(JoinError::id, |(id, ())| *id);
        let key = self.keys.remove(&id);
        match ended {
            Ok(_) => {
                key.and_then(|key| self.tokens.remove(&key));
                None
            }
            Err(error) => Some(error),
        }
    }
}
