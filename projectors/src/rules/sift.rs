//! Sifting: events are run in one transaction, and those that are refused are left out, taken back to a savepoint. What has
//! passed is not run again, so a culprit costs little more than the events that were run together with it.

use sqlx::Executor as _;
use vitrina_avro::Layout;

use crate::batch::{EventBatch, Part};
use crate::fault::{Blame, Fault, Otherwise};
use crate::rules::Rules;
use crate::rules::bisect::Search;
use crate::rules::run::{Bounded, Written};
use crate::session::{patience, within};

/// As many are run together: with a culprit among them, what comes before it runs twice.
const TOGETHER: usize = 128;
/// No more are left out of one transaction: each takes savepoints, of which Postgres remembers 64 cheaply.
const MOST: usize = 30;

/// What became of a part's events.
#[derive(Debug, Default)]
pub(crate) struct Sifted {
    pub written: Written,
    /// Those that passed, in order.
    pub applied: Vec<u32>,
    /// Those that are refused alone, after all before them have passed or been left out.
    pub refused: Vec<(usize, Blame)>,
}

impl Bounded<'_> {
    /// Runs the part's events, but for those that are refused, and those that wait behind them. `waits`: whether the second
    /// event may not pass the first. Where too many are refused, the last events are in neither list.
    ///
    /// # Errors
    /// [`Fault`] of another kind than [`Fault::Record`]; the transaction is to be rolled back.
    pub(crate) async fn sift(
        &mut self,
        rules: &mut Rules,
        layouts: &[Layout],
        (batch, part): (&EventBatch, &Part),
        waits: &(dyn Fn(usize, usize) -> bool + Sync),
    ) -> Result<Sifted, Fault> {
        let (mut sifted, mut search) = (Sifted::default(), Search::default());
        let (mut events, mut done) = (part.apply.clone(), 0);
        let mut waves = rules.cutting.is_some();
        self.savepoint("SAVEPOINT sifted").await?;
        while done < events.len() && sifted.refused.len() < MOST {
            let end = search.end(done, events.len()).min(done + TOGETHER);
            let some = &events[done..end];
            match self.run_some(rules, batch, some, waves).await {
                Ok(written) => {
                    self.savepoint("RELEASE SAVEPOINT sifted; SAVEPOINT sifted").await?;
                    sifted.written += written;
                    sifted.applied.extend(some);
                    done = end;
                    search.committed(end);
                }
                Err(Fault::Record { event, row, .. }) if some.len() > 1 => {
                    self.savepoint("ROLLBACK TO SAVEPOINT sifted").await?;
                    let event = event.or_else(|| batch.suspect(some, &row?));
                    let place = |event| some.iter().position(|other| *other as usize == event);
                    search.refused(end, event.and_then(place).map(|place| done + place));
                }
                Err(Fault::Record { blame, .. }) => {
                    self.savepoint("ROLLBACK TO SAVEPOINT sifted").await?;
                    let culprit = events[done] as usize;
                    sifted
                        .refused
                        .push((culprit, self.blame(rules, layouts, batch, culprit, blame).await?));
                    done += 1;
                    let later = events.split_off(done);
                    events
                        .extend(later.into_iter().filter(|later| !waits(culprit, *later as usize)));
                    search.reset();
                }
                // A wave's form is ours: where Postgres does not take it, the meaning decides.
                Err(Fault::Doubt { otherwise: Otherwise::Stop, .. }) if waves && some.len() > 1 => {
                    self.savepoint("ROLLBACK TO SAVEPOINT sifted").await?;
                    waves = false;
                }
                Err(other) => return Err(other),
            }
        }
        Ok(sifted)
    }

    async fn run_some(
        &mut self,
        rules: &mut Rules,
        batch: &EventBatch,
        events: &[u32],
        waves: bool,
    ) -> Result<Written, Fault> {
        match waves && events.len() > 1 {
            true => self.run_waves(rules, batch, events).await,
            false => self.run_events(rules, batch, events).await,
        }
    }

    /// The blame with its place in the upcast, asked behind the savepoint.
    async fn blame(
        &mut self,
        rules: &Rules,
        layouts: &[Layout],
        batch: &EventBatch,
        event: usize,
        blame: Blame,
    ) -> Result<Blame, Fault> {
        let Some(rows) = batch.events[event].rows() else { return Ok(blame) };
        let blame = self.locate(rules, layouts, &batch.rows, rows, blame).await;
        self.savepoint("ROLLBACK TO SAVEPOINT sifted").await?;
        Ok(blame)
    }

    async fn savepoint(&mut self, statement: &'static str) -> Result<(), Fault> {
        let moved = self.connection.execute(statement);
        Ok(within(patience(self.timeout), moved).await.map(drop)?)
    }
}
