//! Whether a worker may read on: not while the operator pauses the model, nor while its breaker is open. What was read
//! before such a halt is read and decoded anew behind it.

use std::time::{Duration, Instant};

use super::Worker;
use crate::board::State;
use crate::metrics;

/// How often an open breaker is looked at.
const LOOK: Duration = Duration::from_millis(200);

impl Worker {
    /// A generation that is built makes room for those that readers see.
    pub(super) async fn make_room(&mut self) {
        self.shared.pace.rest(std::mem::take(&mut self.worked)).await;
    }

    /// Waits while the operator pauses the model, or its breaker is open.
    pub(super) async fn wait_for_permission(&mut self) {
        loop {
            let orders = self.orders.borrow_and_update().clone();
            let opened = self.breaker().opened().cloned();
            let breaker = opened.as_ref().map(|opened| (State::BreakerOpen, opened.why.clone()));
            let paused = orders.paused.clone().map(|paused| (State::Paused, paused));
            self.board.halt(&self.model, paused.clone().or(breaker));
            let look = match opened {
                _ if paused.is_some() => None,
                None => {
                    self.probing = false;
                    return;
                }
                // The operator knows better than the timer.
                Some(opened) if orders.resumed_since(opened.under) => {
                    self.close_breaker();
                    return self.read_again();
                }
                Some(_) if self.probing => return,
                Some(_) if self.breaker().half_open(Instant::now()) => {
                    metrics::breaker(&self.model, metrics::BreakerState::HalfOpen);
                    self.probing = true;
                    return self.read_again();
                }
                // Another worker of the model may close it meanwhile.
                Some(_) => Some(Instant::now() + LOOK),
            };
            let changed = self.orders.changed();
            match look {
                Some(look) => drop(tokio::time::timeout_at(look.into(), changed).await),
                None => drop(changed.await),
            }
        }
    }

    /// Records are read and decoded anew, from the positions on: what was wrong with them may be mended by now.
    fn read_again(&mut self) {
        let claims = self.consumer.ownership.claims().into_iter();
        self.give_up(claims.map(|(key, claim)| (key, claim.epoch)).collect());
    }

    pub(super) fn open_breaker(&mut self, why: &str) {
        let wait = self.settings().breaker.half_open_after;
        let reason = format!(
            "{why}; reading stops, one record is tried in {} s: see `vitrina parked`, mend the cause, then \
             `vitrina resume {}`",
            wait.as_secs(),
            self.model
        );
        metrics::breaker(&self.model, metrics::BreakerState::Open);
        if !self.probing {
            metrics::breaker_tripped(&self.model);
        }
        self.board.halt(&self.model, Some((State::BreakerOpen, reason.clone())));
        let under = self.orders.borrow().resumed;
        self.breaker().open(reason, Instant::now(), under);
        self.probing = false;
    }

    pub(super) fn close_breaker(&mut self) {
        metrics::breaker(&self.model, metrics::BreakerState::Closed);
        self.board.halt(&self.model, None);
        self.breaker().close();
        self.probing = false;
    }
}
