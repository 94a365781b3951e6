//! The watchdog: a consumer whose broker answers, and which yet brings nothing of what there is, is made anew. It has been
//! seen of librdkafka (rust-rdkafka #638, librdkafka #4425), and tells nobody.

use std::time::{Duration, Instant};

use super::end::End;
use super::ownership::Ownership;

/// How long nothing may come while there is something.
const STALL: Duration = Duration::from_secs(30);

pub(super) struct Watchdog {
    moved: Instant,
}

impl Watchdog {
    pub(super) fn new() -> Self {
        Self { moved: Instant::now() }
    }

    /// Something came from the broker, went to a taker, or waits for one.
    pub(super) fn moved(&mut self) {
        self.moved = Instant::now();
    }

    /// # Errors
    /// [`End::World`], where a new consumer is needed.
    pub(super) fn judge(&self, ownership: &Ownership) -> Result<(), End> {
        if self.moved.elapsed() < STALL || ownership.trouble().is_some() || !ownership.is_behind() {
            return Ok(());
        }
        Err(End::World(format!(
            "Kafka: nothing came for {} s, though the log goes on; joining anew",
            STALL.as_secs()
        )))
    }
}
