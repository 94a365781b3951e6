//! How long to wait before trying again: twice as long each time, up to a cap, with jitter so that instances spread.

use std::time::Duration;

#[derive(Debug)]
pub struct Backoff {
    first: Duration,
    cap: Duration,
    next: Duration,
}

impl Backoff {
    pub fn new(first: Duration, cap: Duration) -> Self {
        Self { first, cap, next: first }
    }

    /// Waits between half and the whole of the next step.
    pub async fn wait(&mut self) {
        tokio::time::sleep(self.next.mul_f64(rand::random_range(0.5..=1.0))).await;
        self.next = (self.next * 2).min(self.cap);
    }

    /// Begins anew after a success.
    pub fn reset(&mut self) {
        self.next = self.first;
    }
}
