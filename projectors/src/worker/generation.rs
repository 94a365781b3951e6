//! One generation on this instance: a consumer and its workers, begun again while the world is in the way; what has stopped
//! stays so until a restart, or an operator's word.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use sqlx::Connection as _;
use tokio_util::sync::CancellationToken;
use vitrina_avro::Decoder;
use vitrina_ingest::{Bounds, End, LogLoss, Subscription};

use crate::backoff::Backoff;
use crate::batch::RecordReader;
use crate::board::{Board, State};
use crate::commit::writer::Writer;
use crate::error_type::ErrorType;
use crate::fault::Fault;
use crate::generation::control;
use crate::generation::role::Role;
use crate::generation::stored::Generation;
use crate::names::GenerationId;
use crate::proof::{self, Proof};
use crate::rules::Rules;
use crate::session;
use crate::settings::ModelSettings;
use crate::worker::Shared;
use crate::worker::bounds;
use crate::worker::claims::Claims;
use crate::worker::decoding::Stage;
use crate::worker::lanes;
use crate::worker::pace::Pace;
use crate::worker::service::Service;

/// What a generation is fed with.
pub(super) struct Feeding<'a> {
    pub id: GenerationId,
    pub role: Role,
    pub settings: &'a ModelSettings,
    /// Where it is said how it goes.
    pub board: Board,
    pub stop: CancellationToken,
    pub pace: Pace,
    /// How far it may read.
    pub bounds: Bounds,
}

/// What was lost of the log, and what an operator can do about it.
fn way_on(loss: &LogLoss, id: &GenerationId, role: Role) -> String {
    let rebuild = format!("`vitrina rebuild {} --allow-shorter-history`", id.model);
    match role {
        Role::Live => format!("{loss}; {rebuild} builds from what the log holds, and goes live"),
        Role::Building => {
            format!(
                "{loss}; give it up with `vitrina cancel {}`, then {rebuild} builds from what the log holds",
                id.model
            )
        }
    }
}

impl Service {
    /// Feeds a generation until it is told to stop, or the generation is not what it was any more.
    pub(super) async fn feed(&self, feeding: &Feeding<'_>) {
        let Feeding { id, role, settings, board, stop, pace, .. } = feeding;
        let label = role.label(id);
        board.begin(&label);
        let mut backoff = Backoff::new(Duration::from_millis(250), Duration::from_secs(5));
        // An open breaker outlives the consumer.
        let mut shared = Shared::new(settings, pace.clone());
        while !stop.is_cancelled() {
            let ended = match Generation::load(&self.pool, id).await {
                Ok(generation) => match self.work_on(feeding, &shared, &generation).await {
                    Some(ended) => ended,
                    None => continue,
                },
                Err(Fault::World { reason, .. }) => End::World(reason),
                Err(other) => End::Stop(other.to_string()),
            };
            let stops = match ended {
                End::World(reason) => {
                    board.set(&label, State::Waiting, Some(reason));
                    None
                }
                End::Stop(reason) => Some(reason),
                End::Lost(loss) => Some(way_on(&loss, id, *role)),
                End::Closed => return,
            };
            if let Some(reason) = stops {
                board.failed(&label, ErrorType::System);
                board.set(&label, State::Stopped, Some(reason));
                if stop.run_until_cancelled(board.asked_to_go_on(&label)).await.is_none() {
                    return;
                }
                board.set(&label, State::Starting, None);
                shared = Shared::new(settings, pace.clone());
                continue;
            }
            tokio::select! {
                () = backoff.wait() => {}
                () = stop.cancelled() => {}
            }
        }
    }

    /// The rules for each writer: one, or as many as the settings say where the model may be written in parallel, as far
    /// as its records have proven by now.
    async fn rules(
        &self,
        settings: &ModelSettings,
        generation: &Generation,
    ) -> Result<Vec<Rules>, Fault> {
        let schema = generation.id.schema();
        let connected = session::writer(&self.postgres, &schema, 0, settings.timeout).await;
        let mut connection = connected?;
        let rules = Rules::new(&mut connection, &generation.definition, &schema).await?;
        let kept = proof::store::read(&mut connection).await?;
        let _ = connection.close().await;
        let several = rules.told.is_some() && kept != Some(Proof::Failed);
        let writers = if several { settings.concurrency } else { 1 };
        Ok(vec![rules; writers])
    }

    /// Works until there is a reason not to; none: its definition has another text now.
    async fn work_on(
        &self,
        feeding: &Feeding<'_>,
        shared: &Shared,
        generation: &Generation,
    ) -> Option<End> {
        let turn = feeding.stop.child_token();
        let mut orders = feeding.board.orders(&feeding.role.label(&feeding.id));
        let renewed = async {
            let number = feeding.id.number;
            let newer = |texts: &BTreeMap<i32, i32>| {
                texts.get(&number).is_some_and(|texts| *texts > generation.texts)
            };
            let renewed = orders.wait_for(|orders| newer(&orders.texts));
            let renewed = turn.run_until_cancelled(renewed).await.is_some();
            turn.cancel();
            renewed
        };
        let working = async {
            let ended = self.work(feeding, shared, generation, &turn).await;
            turn.cancel();
            ended
        };
        let (renewed, ended) = tokio::join!(renewed, working);
        if renewed && ended == End::Closed && !feeding.stop.is_cancelled() {
            tracing::info!(model = %feeding.id.model, "generation {} goes on with its new text", feeding.id.number);
            return None;
        }
        Some(ended)
    }

    async fn work(
        &self,
        feeding: &Feeding<'_>,
        shared: &Shared,
        generation: &Generation,
        stop: &CancellationToken,
    ) -> End {
        let (settings, definition) = (&*shared.settings, &generation.definition);
        let Feeding { id, role, board, bounds, .. } = feeding;
        let (label, model) = (role.label(id), &id.model);
        let window = generation.duplicate_window;
        let rules = match self.rules(settings, generation).await {
            Ok(rules) => rules,
            Err(Fault::World { reason, .. }) => return End::World(reason),
            Err(other) => return End::Stop(other.to_string()),
        };
        if *role == Role::Building
            && let Err(error) = bounds::read(&self.pool, id, bounds).await
        {
            return End::World(format!("Postgres (postgres.url): {error}"));
        }
        let proves = rules.iter().any(|rules| rules.told.is_some());
        let lanes = rules.into_iter().map(|rules| {
            let rules = (rules, definition.layouts.clone());
            let writer = Writer::new(
                self.postgres.clone(),
                (id.clone(), *role),
                window,
                settings.timeout,
                rules,
            );
            let decoder = Decoder::new(&definition.contracts, definition.layouts.clone());
            let reader = RecordReader::new(decoder);
            let retries = settings.retry.clone();
            (writer, Stage::new(&label, reader, self.registry.clone(), board.clone(), retries))
        });
        let lanes: Vec<(Writer, Stage)> = lanes.collect();
        let kept_in = match control::place(&self.pool).await {
            Ok(place) => place.map(|place| format!("database={place}")),
            Err(error) => return End::World(format!("Postgres (postgres.url): {error}")),
        };
        let at = kept_in.as_ref().map(|part| format!(";{part}")).unwrap_or_default();
        let subscription = Subscription {
            kafka: self.kafka.clone(),
            group: role.group(&self.group_prefix, model),
            broker: self.broker,
            client_id: format!("vitrina-{label}-{}", self.instance),
            topics: definition.topics(),
            tag: format!("vitrina;1;model={model};generation={}{at}", id.number),
            kept_in,
            max_events: settings.max_events,
            max_bytes: settings.max_bytes,
            linger: settings.linger,
            in_time_order: *role == Role::Building,
            bounds: bounds.clone(),
            lanes: lanes.len(),
        };
        let claims = Claims::new(
            self.pool.clone(),
            (id.clone(), *role),
            window,
            self.group_prefix.clone(),
            board.clone(),
            proves,
            (settings.reset, self.log().cloned()),
        );
        shared.begin();
        lanes::consume(subscription, Arc::new(claims), board.clone(), shared.clone(), lanes, stop)
            .await
    }
}
