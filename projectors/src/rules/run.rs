//! Running rules over events, within a transaction that is open. Event by event is the meaning of a model
//! (`docs/contract.md` §1.1), and the reference for waves; only this path ever says which event is to blame.

use std::ops::AddAssign;
use std::time::{Duration, Instant};

use sqlx::Executor as _;
use sqlx::postgres::PgConnection;
use vitrina_avro::{EventRows, Rows};

use crate::batch::EventBatch;
use crate::fault::Fault;
use crate::rules::statement::Statement;
use crate::rules::{Rules, RunnableRule};
use crate::session::{patience, within};
use crate::sqlstate::Sqlstate;

/// What a part did.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Written {
    /// Runs of a rule that touched no row.
    pub untouched: u64,
    pub waves: u64,
}

impl AddAssign for Written {
    fn add_assign(&mut self, other: Self) {
        self.untouched += other.untouched;
        self.waves += other.waves;
    }
}

/// A connection whose every round trip must come back in time.
pub(crate) struct Bounded<'c> {
    pub connection: &'c mut PgConnection,
    /// How long Postgres may work on one statement.
    pub timeout: Duration,
}

impl Bounded<'_> {
    /// Runs a statement of the rule at `place` over the picked rows; how many rows it touched.
    pub(crate) async fn run<P: AsRef<[u32]>>(
        &mut self,
        statement: &Statement,
        rows: &[Rows],
        picked: &[P],
        place: &str,
        event: Option<usize>,
    ) -> Result<u64, Fault> {
        let arguments = statement.arguments(rows, picked).map_err(sqlx::Error::Encode)?;
        let run = sqlx::query_with(statement.sql(), arguments).execute(&mut *self.connection);
        let started = Instant::now();
        match within(patience(self.timeout), run).await {
            Ok(done) => Ok(done.rows_affected()),
            // Postgres has one code for its own limit and for whoever calls pg_cancel_backend.
            Err(error)
                if Sqlstate::of(&error) == Some(Sqlstate::TimedOut)
                    && started.elapsed() < self.timeout =>
            {
                Err(Fault::cancelled(&error, place))
            }
            Err(error) => Err(Fault::in_rule(&error, Some(place), event)),
        }
    }

    /// One event: each of its rules once, in file order. `index` is its place in the batch.
    ///
    /// # Errors
    /// [`Fault`], with the event where it is to blame.
    pub(crate) async fn run_event(
        &mut self,
        rules: &Rules,
        rows: &[Vec<Rows>],
        index: usize,
        event: EventRows,
    ) -> Result<Written, Fault> {
        self.run_rules(&rules.of_event(event, None), rows, index, event).await
    }

    /// Some of an event's rules.
    ///
    /// # Errors
    /// [`Fault`], with the event where it is to blame.
    pub(crate) async fn run_rules(
        &mut self,
        rules: &[&RunnableRule],
        rows: &[Vec<Rows>],
        index: usize,
        event: EventRows,
    ) -> Result<Written, Fault> {
        let mut written = Written { untouched: 0, waves: 1 };
        for rule in rules {
            let Some(event) = event.of(rule.layout) else { continue };
            let (row, rows) = ([event.row], &rows[event.layout]);
            let mut picked: Vec<&[u32]> = vec![&[]; rows.len()];
            picked[event.version] = &row;
            let touched = self.run(&rule.single, rows, &picked, &rule.place, Some(index)).await?;
            written.untouched += u64::from(touched == 0);
        }
        Ok(written)
    }

    /// Does now what COMMIT would do last: a model declares nothing of the kind, but who looks after its tables may.
    ///
    /// # Errors
    /// [`Fault`] of the one event that the transaction holds.
    pub(crate) async fn check_deferred(&mut self, event: usize) -> Result<(), Fault> {
        let check = self.connection.execute("SET CONSTRAINTS ALL IMMEDIATE");
        let checked = within(patience(self.timeout), check).await;
        checked.map(drop).map_err(|error| Fault::in_rule(&error, None, Some(event)))
    }

    /// The meaning: each event alone.
    ///
    /// # Errors
    /// [`Fault`], with the event where one is to blame.
    pub(crate) async fn run_events(
        &mut self,
        rules: &Rules,
        batch: &EventBatch,
        events: &[u32],
    ) -> Result<Written, Fault> {
        let mut written = Written::default();
        for &index in events {
            let index = index as usize;
            let Some(event) = batch.events[index].rows() else { continue };
            written += self.run_event(rules, &batch.rows, index, event).await?;
        }
        Ok(written)
    }

    /// Wave after wave; within one, each rule once over all its events, in file order.
    ///
    /// # Errors
    /// [`Fault`], which never names an event.
    pub(crate) async fn run_waves(
        &mut self,
        rules: &mut Rules,
        batch: &EventBatch,
        events: &[u32],
    ) -> Result<Written, Fault> {
        let Some(cutting) = &mut rules.cutting else { return Ok(Written::default()) };
        let cut = cutting.cut(self.connection, batch, events);
        let cut = within(patience(self.timeout), cut).await;
        let cut = cut.map_err(|error| Fault::in_rule(&error, None, None))?;
        let mut picked: Vec<Picked> =
            batch.rows.iter().map(|versions| vec![Vec::new(); versions.len()]).collect();
        let mut written = Written::default();
        for wave in cut.waves() {
            for rule in &rules.rules {
                let of_rule = |event: &&u32| batch.row(**event, rule.layout).is_some();
                let mut events: Vec<u32> = wave.iter().filter(of_rule).copied().collect();
                let picked = &mut picked[rule.layout];
                // What meets nothing of its kind need not be merged.
                let alone = rule.plain.as_ref().map_or(0, |plain| {
                    cut.alone_first(batch, &mut events, rule.layout, &plain.keys)
                });
                let (alone, others) = events.split_at(alone);
                let plain = rule.plain.as_ref().map(|plain| (&plain.statement, alone));
                for (statement, events) in plain.into_iter().chain([(&rule.wave, others)]) {
                    if events.is_empty() {
                        continue;
                    }
                    pick(batch, rule.layout, events, picked);
                    let rows = &batch.rows[rule.layout];
                    let touched = self.run(statement, rows, picked, &rule.place, None).await?;
                    written.untouched += u64::from(touched == 0);
                }
            }
            written.waves += 1;
        }
        Ok(written)
    }
}

/// Rows of one layout, by version.
type Picked = Vec<Vec<u32>>;

fn pick(batch: &EventBatch, layout: usize, events: &[u32], picked: &mut Picked) {
    picked.iter_mut().for_each(Vec::clear);
    for row in events.iter().filter_map(|event| batch.row(*event, layout)) {
        picked[row.version].push(row.row);
    }
}
