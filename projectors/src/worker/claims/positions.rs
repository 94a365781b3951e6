//! What the poll thread asks of Postgres: it waits for each answer, so each has its time.

use std::sync::PoisonError;
use std::time::Duration;

use vitrina_ingest::{Claim, Found, GroupOffsets, NoClaim, Positions, TopicPartition};

use crate::fault::Fault;
use crate::generation::role::Role;
use crate::generation::start::reset::{self, Decided};
use crate::worker::claims::Claims;

/// How long a revoked partition waits for the transaction that moves it.
const RELEASE: Duration = Duration::from_secs(5);
/// How long a claim may take.
const CLAIM: Duration = Duration::from_secs(20);

impl Claims {
    /// Decides what resets of the group's offsets ask for. Starts never come from the group of a generation that is built.
    async fn decide(&self, offsets: &GroupOffsets) -> Result<Decided, Fault> {
        if self.role == Role::Live {
            let log = self.log.as_ref();
            return reset::decide(&self.pool, &self.id, offsets, self.rewind, log).await;
        }
        for reset in &offsets.resets {
            tracing::warn!(
                model = %self.label,
                topic = &*reset.topic,
                partition = reset.partition,
                offset = %reset.offset,
                "the offset of the group was set by somebody else, which starts nothing: what is built goes on from Postgres's \
                 position"
            );
        }
        Ok(Decided::GoesOn(None))
    }
}

impl Positions for Claims {
    fn claim(&self, cluster_id: Option<&str>, found: &[Found]) -> Result<Vec<Claim>, NoClaim> {
        let claiming =
            async { tokio::time::timeout(CLAIM, self.claim_again(cluster_id, found)).await };
        let claims = self.runtime.block_on(claiming).map_err(|_| {
            NoClaim::World(format!(
                "Postgres (postgres.url) did not answer a claim within {} s",
                CLAIM.as_secs()
            ))
        })??;
        let starts = found.iter().zip(&claims);
        let starts = starts
            .map(|(found, claim)| ((found.topic.clone(), found.partition), claim.next_offset));
        self.board.claimed(&self.label, starts);
        Ok(claims)
    }

    fn judge(&self, offsets: &GroupOffsets) -> Result<(), NoClaim> {
        let deciding = async { tokio::time::timeout(CLAIM, self.decide(offsets)).await };
        match self.runtime.block_on(deciding) {
            Ok(Ok(Decided::GoesOn(None))) => {}
            Ok(Ok(Decided::GoesOn(note))) => self.board.note(&self.label, note),
            Ok(Ok(Decided::Over)) => {
                return Err(NoClaim::Over("the generation is not live".into()));
            }
            Ok(Err(Fault::World { reason, .. })) => return Err(NoClaim::World(reason)),
            Ok(Err(other)) => return Err(NoClaim::Stop(other.to_string())),
            Err(_) => {
                let seconds = CLAIM.as_secs();
                return Err(NoClaim::World(format!(
                    "Postgres (postgres.url) did not answer within {seconds} s what a reset of offsets asks for"
                )));
            }
        }
        Ok(())
    }

    fn mirrored(&self, partitions: &[TopicPartition]) {
        if self.role == Role::Building {
            return;
        }
        let noting = reset::note_tagged(&self.pool, &self.id.model, partitions);
        let noted = self.runtime.block_on(async { tokio::time::timeout(RELEASE, noting).await });
        // Where it is not written, the next look at the group's offsets finds the tag.
        if !matches!(noted, Ok(Ok(()))) {
            tracing::debug!(model = %self.label, ?noted, "it was not noted that the group's offsets are tagged again");
        }
    }

    fn release(&self, partitions: &[TopicPartition]) {
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        partitions.iter().for_each(|partition| drop(windows.remove(partition)));
        drop(windows);
        let waited = self
            .runtime
            .block_on(async { tokio::time::timeout(RELEASE, self.writing.write()).await.is_ok() });
        if !waited {
            tracing::warn!(model = %self.label, "a transaction outlives its partition; the next owner's claim fences it");
        }
    }
}
