//! Beside the consumer of a generation that is built: once a second what this instance says of it goes into its schema, and
//! when it has come to where the live generation is, readers are given it.

use std::time::Duration;

use crate::board::State;
use crate::fault::Fault;
use crate::generation::stored::Generation;
use crate::generation::swap::{self, Attempt};
use crate::names::GenerationId;
use crate::worker::generation::Feeding;
use crate::worker::service::Service;

const PACE: Duration = Duration::from_secs(1);

impl Service {
    pub(super) async fn accompany(&self, feeding: &Feeding<'_>) {
        let mut pace = tokio::time::interval(PACE);
        let (mut generation, mut told) = (None, None);
        while feeding.stop.run_until_cancelled(pace.tick()).await.is_some() {
            let step = async {
                let building = match &generation {
                    Some(building) => building,
                    None => generation.insert(Generation::load(&self.pool, &feeding.id).await?),
                };
                self.step(feeding, building).await
            };
            let in_the_way = match step.await {
                Ok(Attempt::Swapped | Attempt::Over) => return,
                Ok(Attempt::NotYet(why)) => why,
                Err(fault) => fault.to_string(),
            };
            if told.as_ref() != Some(&in_the_way) {
                tracing::info!(model = %feeding.id.model, "generation {} is not live yet: {in_the_way}", feeding.id.number);
            }
            told = Some(in_the_way);
        }
    }

    async fn step(&self, feeding: &Feeding<'_>, building: &Generation) -> Result<Attempt, Fault> {
        feeding.board.write_beside(&self.pool, &feeding.id).await?;
        let mut connection = self.pool.acquire().await?;
        feeding.pace.look(&mut connection).await?;
        let orders = feeding.board.orders(&feeding.role.label(&feeding.id));
        let (live, now) = (orders.borrow().live, orders.borrow().building);
        let Some(live) = live.filter(|_| now == Some(feeding.id.number)) else {
            return Ok(Attempt::Over);
        };
        let live = GenerationId::new(&feeding.id.model, live);
        let missing = swap::missing(&mut connection, &live, building).await?;
        drop(connection);
        match missing {
            Some(why) => {
                let standing = feeding.board.standings().into_iter().next();
                let waits = standing.filter(|standing| standing.state == State::Waiting);
                let because = waits.and_then(|standing| standing.reason);
                Ok(Attempt::NotYet(
                    because.map_or(why.clone(), |because| format!("{why}: {because}")),
                ))
            }
            None => swap::attempt(&self.pool, building, "swap = auto").await,
        }
    }
}
