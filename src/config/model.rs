//! What `[model]` says of all models, and `[models.NAME]` of one: the same keys, the second over the first.

use std::time::Duration;

use vitrina_projectors::{BreakerSettings, ModelSettings, ParkedLimits, Policy, Retries};

use super::source::Source;
use super::value;

/// The settings in `section`; `defaults` where it is silent.
pub(super) fn read(source: &mut Source, section: &str, defaults: &ModelSettings) -> ModelSettings {
    let Retries { transient, timeout, rate_limit, resource } = &defaults.retry;
    let key = |key: &str| format!("{section}.{key}");
    ModelSettings {
        max_events: source.get(&key("max_events"), value::positive).unwrap_or(defaults.max_events),
        max_bytes: source.get(&key("max_bytes"), value::size).unwrap_or(defaults.max_bytes),
        linger: source.get(&key("linger"), value::duration).unwrap_or(defaults.linger),
        duplicate_window: source
            .get(&key("duplicate_window"), value::count)
            .unwrap_or(defaults.duplicate_window),
        timeout: pause(source, &key("timeout"), defaults.timeout),
        concurrency: source
            .get(&key("concurrency"), value::positive)
            .unwrap_or(defaults.concurrency),
        reset: source.get(&key("reset"), value::rewind).unwrap_or(defaults.reset),
        retry: Retries {
            transient: policy(source, &key("retry.transient"), transient),
            timeout: policy(source, &key("retry.timeout"), timeout),
            rate_limit: policy(source, &key("retry.rate_limit"), rate_limit),
            resource: policy(source, &key("retry.resource"), resource),
        },
        breaker: breaker(source, &key("breaker"), &defaults.breaker),
        parked: ParkedLimits {
            max_per_key: source
                .get(&key("parked.max_per_key"), value::positive)
                .unwrap_or(defaults.parked.max_per_key),
            max: source.get(&key("parked.max"), value::positive).unwrap_or(defaults.parked.max),
        },
        swap: source.get(&key("swap"), value::swap).unwrap_or(defaults.swap),
        keep_retired: source
            .get(&key("keep_retired"), value::duration)
            .unwrap_or(defaults.keep_retired),
    }
}

fn policy(source: &mut Source, section: &str, defaults: &Policy) -> Policy {
    let key = |key: &str| format!("{section}.{key}");
    Policy {
        strategy: source.get(&key("strategy"), value::strategy).unwrap_or(defaults.strategy),
        first: pause(source, &key("first"), defaults.first),
        max: pause(source, &key("max"), defaults.max),
        factor: source.get(&key("factor"), value::factor).unwrap_or(defaults.factor),
        jitter: source.get(&key("jitter"), value::boolean).unwrap_or(defaults.jitter),
    }
}

fn breaker(source: &mut Source, section: &str, defaults: &BreakerSettings) -> BreakerSettings {
    let key = |key: &str| format!("{section}.{key}");
    BreakerSettings {
        in_a_row: source.get(&key("in_a_row"), value::positive).unwrap_or(defaults.in_a_row),
        same_reason: source
            .get(&key("same_reason"), value::positive)
            .unwrap_or(defaults.same_reason),
        share: source.get(&key("share"), value::share).unwrap_or(defaults.share),
        of_last: source.get(&key("of_last"), value::positive).unwrap_or(defaults.of_last),
        half_open_after: pause(source, &key("half_open_after"), defaults.half_open_after),
    }
}

fn pause(source: &mut Source, key: &str, default: Duration) -> Duration {
    source.get(key, value::pause).unwrap_or(default)
}
