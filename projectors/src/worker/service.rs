//! All models of an instance. Each has its own worker, consumer and group, so each fails, waits and stops alone; one that
//! the world holds up is begun again, one that stopped stays so until a restart, or an operator's word.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use sqlx::Connection as _;
use sqlx::postgres::{PgConnectOptions, PgPool};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use vitrina_avro::{Decoder, Registry};
use vitrina_ingest::{BrokerKind, End, KafkaSettings, Subscription};

use crate::backoff::Backoff;
use crate::batch::RecordReader;
use crate::board::{Board, State};
use crate::commit::writer::Writer;
use crate::definition::Definition;
use crate::error_type::ErrorType;
use crate::fault::Fault;
use crate::generation::inspect::inspect;
use crate::generation::open;
use crate::generation::stored::Generation;
use crate::rules::Rules;
use crate::session;
use crate::settings::ModelSettings;
use crate::worker::Shared;
use crate::worker::claims::Claims;
use crate::worker::decoding::Stage;
use crate::worker::lanes;

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

impl Service {
    /// Runs the models until `shutdown`, and returns when each has finished its batch and left its group.
    pub async fn run(
        self: Arc<Self>,
        models: Vec<(Definition, ModelSettings)>,
        shutdown: CancellationToken,
    ) {
        let mut workers = JoinSet::new();
        let mut names = HashMap::new();
        for (definition, settings) in models {
            let (service, shutdown) = (self.clone(), shutdown.clone());
            let name = definition.model.name.clone();
            let task = workers
                .spawn(async move { service.supervise(&definition, &settings, &shutdown).await });
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

    async fn supervise(
        &self,
        definition: &Definition,
        settings: &ModelSettings,
        shutdown: &CancellationToken,
    ) {
        let model = &definition.model.name;
        let mut backoff = Backoff::new(Duration::from_millis(250), Duration::from_secs(5));
        self.board.set(model, State::Starting, None);
        // An open breaker outlives the consumer.
        let mut shared = Shared::new(settings);
        while !shutdown.is_cancelled() {
            let ended = match self.prepare(definition, settings).await {
                Ok(generation) => self.work(&shared, &generation, shutdown).await,
                Err(Fault::World { reason, .. }) => End::World(reason),
                Err(other) => End::Stop(other.to_string()),
            };
            match ended {
                End::World(reason) => self.board.set(model, State::Waiting, Some(reason)),
                End::Stop(reason) => {
                    self.board.failed(model, ErrorType::System);
                    self.board.set(model, State::Stopped, Some(reason));
                    if shutdown.run_until_cancelled(self.asked_to_go_on(model)).await.is_none() {
                        return;
                    }
                    self.board.set(model, State::Starting, None);
                    shared = Shared::new(settings);
                    continue;
                }
                End::Closed if shutdown.is_cancelled() => return,
                End::Closed => {}
            }
            tokio::select! {
                () = backoff.wait() => {}
                () = shutdown.cancelled() => {}
            }
        }
    }

    /// Waits until an operator has mended what stopped the model, and says so.
    async fn asked_to_go_on(&self, model: &str) {
        let mut orders = self.board.orders(model);
        let mut before = orders.borrow_and_update().resumed;
        // The board outlives its models, so this ends by the order only.
        while !orders.borrow_and_update().resumed_since(before) && orders.changed().await.is_ok() {
            before = before.or(orders.borrow().resumed);
        }
    }

    async fn prepare(
        &self,
        definition: &Definition,
        settings: &ModelSettings,
    ) -> Result<Generation, Fault> {
        self.board.follow_orders(&self.pool, &definition.model.name).await?;
        let findings = inspect(&self.postgres, definition).await?;
        let errors: Vec<String> =
            findings.iter().filter(|finding| finding.is_error()).map(ToString::to_string).collect();
        if !errors.is_empty() {
            return Err(Fault::Stop(errors.join("\n")));
        }
        let generation = open::open(&self.pool, definition, settings.duplicate_window).await?;
        // The first one makes the model's row, too, so that its orders can be told from later ones.
        self.board.follow_orders(&self.pool, &definition.model.name).await?;
        Ok(generation)
    }

    /// The rules for each writer: one, or as many as the settings say where the model may be written in parallel.
    async fn rules(
        &self,
        settings: &ModelSettings,
        generation: &Generation,
    ) -> Result<Vec<Rules>, Fault> {
        let schema = generation.id.schema();
        let connected = session::writer(&self.postgres, &schema, 0, settings.timeout).await;
        let mut connection = connected?;
        let rules = Rules::new(&mut connection, &generation.definition, &schema).await?;
        let _ = connection.close().await;
        let writers = if rules.parallel { settings.concurrency } else { 1 };
        Ok(vec![rules; writers])
    }

    async fn work(
        &self,
        shared: &Shared,
        generation: &Generation,
        shutdown: &CancellationToken,
    ) -> End {
        let (settings, definition) = (&*shared.settings, &generation.definition);
        let model = definition.model.name.clone();
        let id = generation.id.clone();
        let window = generation.duplicate_window;
        let rules = match self.rules(settings, generation).await {
            Ok(rules) => rules,
            Err(Fault::World { reason, .. }) => return End::World(reason),
            Err(other) => return End::Stop(other.to_string()),
        };
        let lanes = rules.into_iter().map(|rules| {
            let rules = (rules, definition.layouts.clone());
            let writer =
                Writer::new(self.postgres.clone(), id.clone(), window, settings.timeout, rules);
            let decoder = Decoder::new(&definition.contracts, definition.layouts.clone());
            let reader = RecordReader::new(decoder);
            let retries = settings.retry.clone();
            (writer, Stage::new(&model, reader, self.registry.clone(), self.board.clone(), retries))
        });
        let lanes: Vec<(Writer, Stage)> = lanes.collect();
        let subscription = Subscription {
            kafka: self.kafka.clone(),
            group: format!("{}.{model}", self.group_prefix),
            broker: self.broker,
            client_id: format!("vitrina-{model}-{}", self.instance),
            topics: definition.topics(),
            tag: format!("vitrina;1;model={model};generation={}", generation.id.number),
            max_events: settings.max_events,
            max_bytes: settings.max_bytes,
            linger: settings.linger,
            lanes: lanes.len(),
        };
        let claims = Claims::new(
            self.pool.clone(),
            id,
            window,
            self.group_prefix.clone(),
            self.board.clone(),
        );
        shared.begin();
        lanes::consume(
            subscription,
            Arc::new(claims),
            self.board.clone(),
            shared.clone(),
            lanes,
            shutdown,
        )
        .await
    }
}
