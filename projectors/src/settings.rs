//! What an operator may set of one model. Plain values with the documented defaults; nothing here does anything but
//! reckon.

use std::time::Duration;

/// How a model's batches close, what it remembers, and how it bears trouble.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelSettings {
    /// Events of a batch.
    pub max_events: usize,
    /// Bytes of a batch.
    pub max_bytes: usize,
    /// From a batch's first event to its end, while the one before is being written; no batch waits for nothing.
    pub linger: Duration,
    /// In offsets of a partition; 0: no look for duplicates.
    pub duplicate_window: u32,
    /// How long Postgres may work on one statement of a batch.
    pub timeout: Duration,
    /// Batches that may be written at a time, of a model whose events of different record keys never meet; at least 1.
    /// Two wrote 1.45 times as fast as one on two cores (docs/benchmarks.md).
    pub concurrency: usize,
    /// What an operator's reset of the group's offsets backwards asks for.
    pub reset: Rewind,
    pub retry: Retries,
    pub breaker: BreakerSettings,
    pub parked: ParkedLimits,
    pub swap: Swap,
    /// How long a retired generation is kept for a rollback.
    pub keep_retired: Duration,
}

/// When a generation that was built goes live.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Swap {
    /// By itself, unless it refuses what the live one applied.
    #[default]
    Auto,
    /// By itself where its rows are those of the live one, too.
    WhenEqual,
    /// When an operator says so.
    ByHand,
}

impl Swap {
    /// As it stands in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::WhenEqual => "when_equal",
            Self::ByHand => "by_hand",
        }
    }
}

/// How many times as many events a batch of a generation that is built may hold: it waits for nobody, and no one waits for
/// its rows. Bytes are the same, for they are memory.
const BUILDING: usize = 5;

impl ModelSettings {
    /// Of a generation that is built.
    pub(crate) fn building(&self) -> Self {
        Self { max_events: self.max_events.saturating_mul(BUILDING), ..self.clone() }
    }
}

impl Default for ModelSettings {
    fn default() -> Self {
        Self {
            max_events: 1000,
            max_bytes: 8 << 20,
            linger: Duration::from_millis(5),
            duplicate_window: 65_536,
            timeout: Duration::from_secs(30),
            concurrency: 2,
            reset: Rewind::Rebuild,
            retry: Retries::default(),
            breaker: BreakerSettings::default(),
            parked: ParkedLimits::default(),
            swap: Swap::default(),
            keep_retired: Duration::from_secs(24 * 3600),
        }
    }
}

/// What a reset of offsets backwards asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rewind {
    /// A generation that reads the log from its start: a part of it alone would make other rows.
    Rebuild,
    /// A generation that reads from the offsets that were set.
    FromThere,
}

/// How each class of the world's trouble is waited out. There is no limit of attempts: the world's trouble never becomes
/// a record's.
#[derive(Debug, Clone, PartialEq)]
pub struct Retries {
    /// Connections, deadlocks, restarts.
    pub transient: Policy,
    /// A statement or a fetch took too long.
    pub timeout: Policy,
    /// The other side asks for fewer requests.
    pub rate_limit: Policy,
    /// Disk, memory, connections, locks; a server that only reads.
    pub resource: Policy,
}

impl Default for Retries {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        // Capped so that a model goes on within seconds after the trouble ends.
        let transient = Policy::exponential(seconds(1), seconds(5));
        Self {
            transient,
            timeout: Policy {
                strategy: Strategy::Linear,
                first: seconds(2),
                max: seconds(30),
                factor: 1.5,
                jitter: false,
            },
            rate_limit: Policy {
                strategy: Strategy::Fixed,
                first: seconds(60),
                max: seconds(60),
                factor: 1.0,
                jitter: true,
            },
            resource: transient,
        }
    }
}

/// How the pauses between attempts grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strategy {
    /// No second attempt: the first trouble stops the model.
    None,
    /// Always `first`.
    Fixed,
    /// `first`, then `factor` × `first` longer each time.
    Linear,
    /// `first`, then `factor` times as long each time.
    Exponential,
}

/// The pauses between attempts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Policy {
    pub strategy: Strategy,
    pub first: Duration,
    /// No pause is longer.
    pub max: Duration,
    pub factor: f64,
    /// Whether a pause is cut to between half and the whole of it, so that instances spread.
    pub jitter: bool,
}

impl Policy {
    /// Twice as long each time, with jitter.
    pub const fn exponential(first: Duration, max: Duration) -> Self {
        Self { strategy: Strategy::Exponential, first, max, factor: 2.0, jitter: true }
    }

    /// The pause after the failed attempt number `attempt`, from 1 on; zero where the strategy knows no second attempt.
    /// `random` is between 0 and 1 and says where in the jitter's range the pause lies.
    pub fn pause(&self, attempt: u32, random: f64) -> Duration {
        let first = self.first.as_secs_f64();
        let before = f64::from(attempt.saturating_sub(1));
        let step = match self.strategy {
            Strategy::None => return Duration::ZERO,
            Strategy::Fixed => first,
            Strategy::Linear => first * (1.0 + self.factor * before),
            Strategy::Exponential => first * self.factor.powf(before),
        };
        let spread = if self.jitter { 0.5 + random.clamp(0.0, 1.0) / 2.0 } else { 1.0 };
        // `min` takes the cap where the step has grown beyond all numbers.
        Duration::try_from_secs_f64(step.min(self.max.as_secs_f64()) * spread).unwrap_or(self.max)
    }
}

/// When too much is refused for it to be the records' fault.
#[derive(Debug, Clone, PartialEq)]
pub struct BreakerSettings {
    /// It opens after so many refused records in a row …
    pub in_a_row: u32,
    /// … or when on so many keys one and the same reason …
    pub same_reason: u32,
    /// … refused such a share, between 0 and 1, …
    pub share: f64,
    /// … of so many last records.
    pub of_last: u32,
    /// How long it stays open before one record is tried.
    pub half_open_after: Duration,
}

impl Default for BreakerSettings {
    fn default() -> Self {
        Self {
            in_a_row: 20,
            same_reason: 10,
            share: 0.5,
            of_last: 100,
            half_open_after: Duration::from_secs(60),
        }
    }
}

/// How many records a model may set aside before it stops instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParkedLimits {
    /// Of one topic and record key.
    pub max_per_key: u32,
    /// In all.
    pub max: u64,
}

impl Default for ParkedLimits {
    fn default() -> Self {
        Self { max_per_key: 10_000, max: 250_000 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn pauses(policy: Policy, attempts: impl IntoIterator<Item = u32>) -> Vec<f64> {
        attempts.into_iter().map(|attempt| policy.pause(attempt, 1.0).as_secs_f64()).collect()
    }

    #[test]
    fn each_strategy_grows_in_its_own_way() {
        let policy = |strategy| Policy {
            strategy,
            first: SECOND * 2,
            max: SECOND * 10,
            factor: 1.5,
            jitter: false,
        };
        assert_eq!(pauses(policy(Strategy::None), 1..=3), [0.0, 0.0, 0.0]);
        assert_eq!(pauses(policy(Strategy::Fixed), 1..=3), [2.0, 2.0, 2.0]);
        assert_eq!(pauses(policy(Strategy::Linear), 1..=4), [2.0, 5.0, 8.0, 10.0]);
        assert_eq!(pauses(policy(Strategy::Exponential), 1..=5), [2.0, 3.0, 4.5, 6.75, 10.0]);
    }

    #[test]
    fn jitter_takes_up_to_half_away() {
        let policy = Policy::exponential(SECOND, SECOND * 5);
        assert_eq!(policy.pause(1, 0.0), SECOND / 2);
        assert_eq!(policy.pause(1, 1.0), SECOND);
        assert_eq!(policy.pause(9, 0.0), SECOND * 5 / 2);
    }

    #[test]
    fn no_number_of_attempts_leaves_the_range() {
        let policy = Policy { jitter: false, ..Policy::exponential(SECOND, SECOND * 5) };
        assert_eq!(pauses(policy, [0, 60, 5000, u32::MAX]), [1.0, 5.0, 5.0, 5.0]);
        let endless = Policy { max: Duration::MAX, ..policy };
        assert_eq!(endless.pause(u32::MAX, 1.0), Duration::MAX);
    }

    #[test]
    fn a_model_goes_on_within_seconds() {
        let retries = Retries::default();
        for policy in [retries.transient, retries.resource] {
            assert!(policy.pause(1000, 1.0) <= SECOND * 5);
        }
    }
}
