//! Beside the consumer of a generation that is built: once a second what this instance says of it goes into its schema, and
//! when it has come to where the live generation is, readers are given it.

use std::time::{Duration, Instant};

use vitrina_ingest::{GroupOffsets, offsets_of_group};

use crate::board::State;
use crate::fault::Fault;
use crate::generation::build::progress::{Progress, Rate};
use crate::generation::role::Role;
use crate::generation::stored::Generation;
use crate::generation::swap::attempt::{Attempt, attempt};
use crate::generation::swap::readiness::{Candidate, Readiness, tell};
use crate::metrics;
use crate::names::GenerationId;
use crate::settings::Rewind;
use crate::worker::generation::Feeding;
use crate::worker::service::Service;

const PACE: Duration = Duration::from_secs(1);

impl Service {
    pub(super) async fn accompany(&self, feeding: &Feeding<'_>) {
        let id = &feeding.id;
        let mut ticks = tokio::time::interval(PACE);
        let (mut candidate, mut told, mut rate) = (None, None, Rate::default());
        while feeding.stop.run_until_cancelled(ticks.tick()).await.is_some() {
            let step = async {
                let candidate = match &mut candidate {
                    Some(candidate) => candidate,
                    none => {
                        let generation = Generation::load(&self.pool, id).await?;
                        let world = (&self.pool, &self.postgres, &self.registry);
                        none.insert(Candidate::new(generation, feeding.settings.swap, world))
                    }
                };
                self.report(feeding, &mut rate).await?;
                self.step(feeding, candidate).await
            };
            let in_the_way = match step.await {
                Ok(Attempt::Swapped | Attempt::Over) => break,
                Ok(Attempt::NotYet(why) | Attempt::NotEqual(why)) => why,
                Err(fault) => fault.to_string(),
            };
            if told.as_ref() != Some(&in_the_way) {
                tracing::info!(model = %id.model, "generation {} is not live yet: {in_the_way}", id.number);
            }
            if let Err(error) = tell(&self.pool, id, &in_the_way).await {
                tracing::debug!(%error, "why a generation is not live yet could not be written");
            }
            told = Some(in_the_way);
        }
        metrics::building(&id.model, &Progress::default());
    }

    async fn report(&self, feeding: &Feeding<'_>, rate: &mut Rate) -> Result<(), Fault> {
        let mut connection = self.pool.acquire().await?;
        let progress = Progress::read(&mut connection, &feeding.id).await?;
        feeding.pace.look(&mut connection).await?;
        drop(connection);
        metrics::building(&feeding.id.model, &progress);
        let per_second = rate.of(Instant::now(), progress.done);
        feeding.board.write_beside(&self.pool, &feeding.id, per_second).await?;
        Ok(())
    }

    /// The offsets of the model's own group, where a rewind of them asks for what is built here.
    ///
    /// # Errors
    /// Kafka does not answer.
    async fn resets(
        &self,
        feeding: &Feeding<'_>,
        building: &Generation,
    ) -> Result<Option<GroupOffsets>, ()> {
        let reads_all = feeding.settings.reset == Rewind::Rebuild;
        let Some(kafka) = self.log().filter(|_| reads_all) else { return Ok(None) };
        let group = Role::Live.group(&self.group_prefix, &feeding.id.model);
        let offsets = offsets_of_group(kafka, &group, building.definition.topics()).await;
        offsets.map(Some).ok_or(())
    }

    async fn step(
        &self,
        feeding: &Feeding<'_>,
        candidate: &mut Candidate,
    ) -> Result<Attempt, Fault> {
        let orders = feeding.board.orders(&feeding.role.label(&feeding.id));
        let (live, now) = (orders.borrow().live, orders.borrow().building);
        let Some(live) = live.filter(|_| now == Some(feeding.id.number)) else {
            return Ok(Attempt::Over);
        };
        let live = GenerationId::new(&feeding.id.model, live);
        match candidate.readiness(&live).await? {
            Readiness::NotYet(why) => {
                let standing = feeding.board.standings().into_iter().next();
                let waits = standing.filter(|standing| standing.state == State::Waiting);
                let because = waits.and_then(|standing| standing.reason);
                Ok(Attempt::NotYet(match because.or_else(|| feeding.pace.told()) {
                    Some(because) => format!("{why}: {because}"),
                    None => why,
                }))
            }
            Readiness::Ready(leave) => {
                let Ok(resets) = self.resets(feeding, &candidate.generation).await else {
                    let why = "Kafka does not say whether somebody has set the group's offsets";
                    return Ok(Attempt::NotYet(why.to_owned()));
                };
                match attempt(&self.pool, &candidate.generation, &leave, resets.as_ref()).await? {
                    Attempt::NotEqual(why) => candidate.put_off(why).await.map(Attempt::NotYet),
                    attempt => Ok(attempt),
                }
            }
        }
    }
}
