//! Where one is in a row of attempts: counts them, and waits as the policy says.

use std::time::Duration;

use crate::settings::Policy;

#[derive(Debug)]
pub struct Backoff {
    policy: Policy,
    failed: u32,
}

impl Backoff {
    /// Twice as long each time, up to a cap, with jitter.
    pub fn new(first: Duration, cap: Duration) -> Self {
        Self::following(Policy::exponential(first, cap))
    }

    /// Waits as `policy` says.
    pub fn following(policy: Policy) -> Self {
        Self { policy, failed: 0 }
    }

    /// The pause after one more failed attempt.
    pub async fn wait(&mut self) {
        self.failed = self.failed.saturating_add(1);
        tokio::time::sleep(self.policy.pause(self.failed, rand::random())).await;
    }

    /// Begins anew after a success.
    pub fn reset(&mut self) {
        self.failed = 0;
    }
}
