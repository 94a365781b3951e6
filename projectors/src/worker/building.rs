//! Beside the consumer of a generation that is built: once a second what this instance says of it goes into its schema, and
//! when it has come to where the live generation is, readers are given it.

use std::time::{Duration, Instant};

use crate::board::State;
use crate::fault::Fault;
use crate::generation::build::progress::{Progress, Rate};
use crate::generation::stored::Generation;
use crate::generation::swap::attempt::{Attempt, attempt};
use crate::generation::swap::readiness::{Readiness, readiness, tell};
use crate::metrics;
use crate::names::GenerationId;
use crate::worker::generation::Feeding;
use crate::worker::service::Service;

const PACE: Duration = Duration::from_secs(1);

impl Service {
    pub(super) async fn accompany(&self, feeding: &Feeding<'_>) {
        let id = &feeding.id;
        let mut ticks = tokio::time::interval(PACE);
        let (mut generation, mut told, mut rate) = (None, None, Rate::default());
        while feeding.stop.run_until_cancelled(ticks.tick()).await.is_some() {
            let step = async {
                let building = match &generation {
                    Some(building) => building,
                    None => generation.insert(Generation::load(&self.pool, id).await?),
                };
                self.report(feeding, &mut rate).await?;
                self.step(feeding, building).await
            };
            let in_the_way = match step.await {
                Ok(Attempt::Swapped | Attempt::Over) => break,
                Ok(Attempt::NotYet(why)) => why,
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

    async fn step(&self, feeding: &Feeding<'_>, building: &Generation) -> Result<Attempt, Fault> {
        let orders = feeding.board.orders(&feeding.role.label(&feeding.id));
        let (live, now) = (orders.borrow().live, orders.borrow().building);
        let Some(live) = live.filter(|_| now == Some(feeding.id.number)) else {
            return Ok(Attempt::Over);
        };
        let live = GenerationId::new(&feeding.id.model, live);
        let world = (&self.pool, &self.postgres);
        match readiness(world, &live, building, feeding.settings.swap).await? {
            Readiness::NotYet(why) => {
                let standing = feeding.board.standings().into_iter().next();
                let waits = standing.filter(|standing| standing.state == State::Waiting);
                let because = waits.and_then(|standing| standing.reason);
                Ok(Attempt::NotYet(
                    because.map_or(why.clone(), |because| format!("{why}: {because}")),
                ))
            }
            Readiness::Ready(leave) => attempt(&self.pool, building, &leave).await,
        }
    }
}
