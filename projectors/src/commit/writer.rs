//! The one transaction: lock, positions first, every event's rules in order, what is parked, the window of identities,
//! commit. Either all of a part is in Postgres and its positions have moved, or nothing is.

use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, Connection, Executor};
use vitrina_avro::{EventRows, Layout, Rows};
use vitrina_sql::quote_literal;

use crate::batch::{EventBatch, Part};
use crate::commit::ignored;
use crate::commit::positions;
use crate::commit::window;
use crate::fault::{Blame, Fault, Otherwise};
use crate::generation::role::Role;
use crate::metrics;
use crate::names::GenerationId;
use crate::parked::{self, Change, Queues, Versions};
use crate::proof::{self, Proof, Step};
use crate::rules::Rules;
use crate::rules::run::{Bounded, Written};
use crate::rules::sift::Sifted;
use crate::session::{self, patience, within};

/// How long a connection may take to roll back, or to close, before it is given up.
const ROLLBACK: Duration = Duration::from_secs(2);

/// What a transaction that is open changes of what is known, once it is committed.
#[derive(Debug)]
pub(crate) struct Open {
    step: Option<Step>,
    raised: Versions,
}

/// Writes the batches of one generation, one part at a time.
pub(crate) struct Writer {
    options: PgConnectOptions,
    id: GenerationId,
    role: Role,
    duplicate_window: u32,
    timeout: Duration,
    rules: Rules,
    layouts: Vec<Layout>,
    /// Which keys are parked, as of the last transaction.
    pub queues: Queues,
    /// Where keys live, as of the same; none where it is not known, or the rules do not ask.
    proof: Option<Proof>,
    /// It has written an event, so the generation is known to have some.
    has_events: bool,
    connection: Option<PgConnection>,
    /// A COMMIT was sent and its answer never came.
    doubtful: bool,
}

impl Writer {
    /// `timeout`: of one statement.
    pub(crate) fn new(
        options: PgConnectOptions,
        (id, role): (GenerationId, Role),
        duplicate_window: u32,
        timeout: Duration,
        (rules, layouts): (Rules, Vec<Layout>),
    ) -> Self {
        let queues = Queues::default();
        Self {
            options,
            id,
            role,
            duplicate_window,
            timeout,
            rules,
            layouts,
            queues,
            proof: None,
            has_events: false,
            connection: None,
            doubtful: false,
        }
    }

    /// These are the rules from now on.
    pub(crate) fn take_rules(&mut self, rules: Rules) {
        self.rules = rules;
    }

    /// What it has written is gone. Not to be asked where [`Self::is_doubtful`].
    pub(crate) fn begin_anew(&mut self) {
        self.has_events = false;
        self.forget();
    }

    /// Writes a part of `batch`, or nothing.
    ///
    /// # Errors
    /// [`Fault`]; the transaction is rolled back, and the same part may be given again.
    pub(crate) async fn write(
        &mut self,
        batch: &EventBatch,
        part: &Part,
    ) -> Result<Written, Fault> {
        if self.doubtful && self.resolve(part).await? {
            return Ok(Written::default());
        }
        let waves = self.rules.cutting.is_some() && part.apply.len() > 1;
        let written = match self.attempt(batch, part, waves).await {
            // A wave's form is ours: where Postgres does not take it, the meaning decides.
            Err(Fault::Doubt { blame, otherwise: Otherwise::Stop, .. }) if waves => {
                tracing::debug!(model = %self.id.model, %blame, "a wave was refused; the part runs event by event");
                self.roll_back().await;
                self.attempt(batch, part, false).await
            }
            written => written,
        };
        match self.after(written).await {
            Err(Fault::Record { event: Some(event), blame, row }) => {
                let blame = self.locate(batch, event, blame).await;
                Err(Fault::Record { event: Some(event), blame, row })
            }
            written => written,
        }
    }

    /// The blame with the place where the event failed. Nothing is written or locked for it, and where it cannot be asked,
    /// the rule is named.
    async fn locate(&mut self, batch: &EventBatch, event: usize, blame: Blame) -> Blame {
        let (timeout, Some(rows)) = (self.timeout, batch.events[event].rows()) else {
            return blame;
        };
        let Self { rules, layouts, connection: Some(connection), .. } = self else { return blame };
        let mut running = Bounded { connection, timeout };
        running.locate(rules, layouts, &batch.rows, rows, blame).await
    }

    /// Runs the rules over one event, or only the one at `place` where it is among them, and takes it back, whatever came
    /// of it.
    ///
    /// # Errors
    /// What it failed with.
    pub(crate) async fn try_out(
        &mut self,
        place: Option<&str>,
        rows: &[Vec<Rows>],
        event: EventRows,
    ) -> Result<(), Fault> {
        let timeout = self.timeout;
        self.connect().await?;
        let Self { id, rules, connection, .. } = self;
        let connection = connected(connection)?;
        // Alone: the event may be one that proves nothing.
        let begin = session::begin(id, false, timeout);
        let tried = async {
            within(patience(timeout), connection.execute(AssertSqlSafe(begin))).await?;
            let mut running = Bounded { connection, timeout };
            running.run_rules(&rules.of_event(event, place), rows, 0, event).await?;
            running.check_deferred(0).await
        };
        let tried = tried.await;
        self.roll_back().await;
        tried
    }

    async fn attempt(
        &mut self,
        batch: &EventBatch,
        part: &Part,
        waves: bool,
    ) -> Result<Written, Fault> {
        let open = self.begin(batch, part, !part.park.is_empty()).await?;
        let (mut running, rules, _) = self.running()?;
        let written = match waves {
            true => running.run_waves(rules, batch, &part.apply).await?,
            false => running.run_events(rules, batch, &part.apply).await?,
        };
        self.end(batch, part, open).await?;
        Ok(written)
    }

    /// Runs a part's events, but for those that are refused and those that wait behind them: `waits` says whether the second
    /// event may not pass the first. The transaction stays open, for [`Self::finish`] or [`Self::roll_back`].
    ///
    /// # Errors
    /// [`Fault`], though not [`Fault::Record`]; the transaction is rolled back. Not to be asked where [`Self::is_doubtful`].
    pub(crate) async fn sift(
        &mut self,
        batch: &EventBatch,
        part: &Part,
        waits: &(dyn Fn(usize, usize) -> bool + Sync),
    ) -> Result<(Open, Sifted), Fault> {
        let sifted = async {
            let open = self.begin(batch, part, true).await?;
            let (mut running, rules, layouts) = self.running()?;
            let sifted = running.sift(rules, layouts, (batch, part), waits).await?;
            Ok((open, sifted))
        };
        let sifted = sifted.await;
        self.after(sifted).await
    }

    /// Ends the transaction of a part that was sifted: it parks what was left out.
    ///
    /// # Errors
    /// [`Fault`]; the transaction is rolled back.
    pub(crate) async fn finish(
        &mut self,
        batch: &EventBatch,
        part: &Part,
        open: Open,
    ) -> Result<(), Fault> {
        let ended = self.end(batch, part, open).await;
        self.after(ended).await
    }

    /// Whether nobody knows what became of the last part, so that the same one must be given to [`Self::write`] again.
    pub(crate) fn is_doubtful(&self) -> bool {
        self.doubtful
    }

    /// Rolls back what has failed.
    async fn after<T>(&mut self, done: Result<T, Fault>) -> Result<T, Fault> {
        if done.is_err() && !self.doubtful {
            self.roll_back().await;
        }
        if matches!(done, Err(Fault::Fenced(_))) {
            self.forget();
        }
        done
    }

    fn running(&mut self) -> Result<(Bounded<'_>, &mut Rules, &[Layout]), Fault> {
        let connection = connected(&mut self.connection)?;
        let running = Bounded { connection, timeout: self.timeout };
        Ok((running, &mut self.rules, &self.layouts))
    }

    /// Begins a part's transaction: its positions have moved, and nothing else. `parks`: records may be parked in it.
    async fn begin(&mut self, batch: &EventBatch, part: &Part, parks: bool) -> Result<Open, Fault> {
        let (timeout, patience) = (self.timeout, patience(self.timeout));
        self.connect().await?;
        let step = self.step(batch, part);
        let Self { id, role, rules, queues, proof, connection, .. } = self;
        let connection = connected(connection)?;
        // Whoever changes what all know is alone; writers whose events are proven never to meet need not be.
        let proven = matches!(proof, Some(Proof::Holds { .. })) && step.is_none();
        let mut begin = session::begin(id, proven && !parks, timeout);
        if *role == Role::Building {
            begin += &hurried(id);
        }
        within(patience, connection.execute(AssertSqlSafe(begin))).await?;
        let versions = bounded(patience, positions::advance(connection, &part.spans)).await?;
        // Also how a writer begins: its queues know no version, so its first transaction reads what is parked and ends.
        // A read of its own before it would be a second way to the same state, and could be stale when this lock is had.
        if !queues.knows(&versions) {
            within(patience, queues.follow(connection, versions)).await?;
            if rules.told.is_some() {
                *proof = within(patience, proof::store::read(connection)).await?;
                metrics::one_writer(&role.label(id), *proof == Some(Proof::Failed));
            }
            return Err(Fault::Stale);
        }
        let raised = match &step {
            Some(step) => within(patience, proof::store::keep(connection, step)).await?,
            None => Vec::new(),
        };
        Ok(Open { step, raised })
    }

    /// What goes with a part's rows, and the end of its transaction.
    async fn end(&mut self, batch: &EventBatch, part: &Part, open: Open) -> Result<(), Fault> {
        let patience = patience(self.timeout);
        let Self { layouts, has_events, connection, .. } = self;
        let connection = connected(connection)?;
        let change = match part.park.is_empty() {
            true => None,
            false => Some(within(patience, parked::park(connection, layouts, batch, part)).await?),
        };
        let stored = window::store(connection, self.duplicate_window, batch, part);
        within(patience, stored).await?;
        let first = !*has_events && !part.range.is_empty() && !part.spans.is_empty();
        within(patience, ignored::count(connection, batch, part, first)).await?;
        self.commit(part, open.raised, change).await?;
        self.has_events |= first;
        if let Some(step) = open.step {
            self.take(step);
        }
        Ok(())
    }

    /// What the part's records change of what is known of where keys live.
    fn step(&self, batch: &EventBatch, part: &Part) -> Option<Step> {
        let (told, proof) = self.rules.told.as_ref().zip(self.proof.as_ref())?;
        proof.step(told, batch, part)
    }

    /// The step is committed.
    fn take(&mut self, step: Step) {
        let model = self.role.label(&self.id);
        match &step {
            Step::Narrows(left) => {
                tracing::debug!(model, ?left, "keys are placed by fewer partitioners")
            }
            Step::Fails(doubt) => {
                metrics::one_writer(&model, true);
                let (topic, partition) = (&*doubt.topic, doubt.partition);
                let offset = doubt.offset.map(|offset| offset.0);
                tracing::warn!(
                    model,
                    topic,
                    partition,
                    offset,
                    "one writer at a time from now on, for its records do not prove that a key lives in one partition: {}",
                    doubt.why
                );
            }
        }
        if let Some(proof) = &mut self.proof {
            proof.take(step);
        }
    }

    /// What is known may have been rolled back in Postgres, and other things written under the same version: it is read
    /// again.
    fn forget(&mut self) {
        self.queues.start_over();
        self.proof = None;
    }

    async fn connect(&mut self) -> Result<&mut PgConnection, Fault> {
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => {
                self.forget();
                let schema = self.id.schema();
                let statements = 3 * self.rules.rules.len() + 20;
                session::writer(&self.options, &schema, statements, self.timeout).await?
            }
        };
        Ok(self.connection.insert(connection))
    }

    async fn commit(
        &mut self,
        part: &Part,
        raised: Versions,
        change: Option<Change>,
    ) -> Result<(), Fault> {
        let patience = patience(self.timeout);
        let commit = self.connect().await?.execute("COMMIT");
        let Err(error) = within(patience, commit).await else {
            self.queues.raised(raised);
            if let Some(change) = change {
                self.queues.parked(change);
            }
            return Ok(());
        };
        if matches!(error, sqlx::Error::Database(_)) {
            return Err(match *part.apply {
                [] => error.into(),
                [event] => Fault::in_rule(&error, None, Some(event as usize)),
                _ => Fault::in_rule(&error, None, None),
            });
        }
        self.connection = None;
        self.doubtful = true;
        self.queues.doubt();
        tracing::warn!(model = %self.id.model, %error, "the answer to COMMIT was lost; the positions will tell");
        if self.resolve(part).await? { Ok(()) } else { Err(error.into()) }
    }

    /// Whether the doubtful transaction was committed.
    async fn resolve(&mut self, part: &Part) -> Result<bool, Fault> {
        let patience = patience(self.timeout);
        self.connect().await?;
        let connection = connected(&mut self.connection)?;
        let committed = bounded(patience, positions::committed(connection, &part.spans)).await;
        self.doubtful = matches!(committed, Err(Fault::World { .. }));
        if self.doubtful {
            // It may be dead, too; the question is asked again on another one.
            self.connection = None;
        }
        committed
    }

    /// Rolls back what is open; a connection that cannot even do that is given up, and the server rolls back.
    pub(crate) async fn roll_back(&mut self) {
        if let Some(mut connection) = self.connection.take()
            && within(ROLLBACK, connection.execute("ROLLBACK")).await.is_ok()
        {
            self.connection = Some(connection);
        }
    }

    pub(crate) async fn close(self) {
        if let Some(connection) = self.connection {
            let _ = within(ROLLBACK, connection.close()).await;
        }
    }
}

/// What a transaction of a generation that is built begins with, too, under its lock: it does not wait for the disk, for its
/// positions roll back with its rows, and what a crash takes is read again. Once readers see it, nothing of it may go.
fn hurried(id: &GenerationId) -> String {
    format!(
        "; SELECT pg_catalog.set_config('synchronous_commit', 'off', true) FROM vitrina.model WHERE model = {} AND live <> {}",
        quote_literal(&id.model),
        id.number
    )
}

fn connected(connection: &mut Option<PgConnection>) -> Result<&mut PgConnection, Fault> {
    connection.as_mut().ok_or_else(|| Fault::world("Postgres: no connection"))
}

async fn bounded<T>(
    patience: Duration,
    work: impl Future<Output = Result<T, Fault>>,
) -> Result<T, Fault> {
    within(patience, async { Ok(work.await) }).await?
}
