//! What is worth a message. Of each trouble one is made when it begins and one when the model goes on, however long it
//! lasts and however its reason changes meanwhile.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime};

use serde::Serialize;
use vitrina_projectors::{ErrorType, Severity, Standing, State};

/// The world's trouble passes most of the time.
const PATIENCE: Duration = Duration::from_secs(30);
/// After a message about a parked record, the next ones make none for so long.
const QUIET: Duration = Duration::from_secs(60);

/// The body of a webhook's request.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(super) struct Message {
    /// `stopped`, `breaker_open`, `waiting`, `parked` or `goes_on`.
    pub(super) event: &'static str,
    pub(super) model: String,
    /// The model's state, as `vitrina status` tells it.
    pub(super) state: &'static str,
    /// `low`, `medium`, `high` or `critical`.
    pub(super) severity: &'static str,
    pub(super) error_type: Option<&'static str>,
    pub(super) reason: Option<String>,
    /// RFC 3339.
    pub(super) at: String,
    pub(super) instance: String,
}

/// What has been told of each model.
pub(super) struct Watch {
    instance: String,
    models: BTreeMap<String, Told>,
}

struct Told {
    state: State,
    since: Instant,
    /// The trouble that a message told of, and none said is over.
    trouble: Option<State>,
    parked: u64,
    parked_at: Option<Instant>,
}

/// A trouble as a message names it; how bad it is at least, and of which kind unless the board knows better.
fn trouble(state: State, lasts: Duration) -> Option<(Severity, ErrorType)> {
    match state {
        State::Stopped => Some((Severity::Critical, ErrorType::System)),
        State::BreakerOpen => Some((Severity::High, ErrorType::Validation)),
        State::Waiting if lasts >= PATIENCE => Some((Severity::Medium, ErrorType::Transient)),
        _ => None,
    }
}

impl Watch {
    pub(super) fn new(instance: String) -> Self {
        Self { instance, models: BTreeMap::new() }
    }

    /// What is new since the last look.
    pub(super) fn look(
        &mut self,
        standings: &[Standing],
        now: Instant,
        clock: SystemTime,
    ) -> Vec<Message> {
        let at = humantime::format_rfc3339_millis(clock).to_string();
        let mut messages = Vec::new();
        for standing in standings {
            let Standing { model, state, reason, .. } = standing;
            let told = self.models.entry(model.clone()).or_insert_with(|| Told::new(*state, now));
            let message = |event,
                           severity: Severity,
                           error: Option<ErrorType>,
                           reason: Option<&String>| Message {
                event,
                model: model.clone(),
                state: state.name(),
                severity: severity.name(),
                error_type: error.map(ErrorType::name),
                reason: reason.cloned(),
                at: at.clone(),
                instance: self.instance.clone(),
            };
            messages.extend(
                told.state(standing, now).map(|(event, severity, error)| {
                    message(event, severity, error, reason.as_ref())
                }),
            );
            messages.extend(told.parking(standing, now).map(|(error, reason)| {
                message("parked", error.severity(), Some(error), Some(reason))
            }));
        }
        messages
    }
}

impl Told {
    fn new(state: State, since: Instant) -> Self {
        Self { state, since, trouble: None, parked: 0, parked_at: None }
    }

    fn state(
        &mut self,
        standing: &Standing,
        now: Instant,
    ) -> Option<(&'static str, Severity, Option<ErrorType>)> {
        let state = standing.state;
        if self.state != state {
            (self.state, self.since) = (state, now);
        }
        match trouble(state, now - self.since) {
            Some((severity, error)) if self.trouble != Some(state) => {
                self.trouble = Some(state);
                let error = standing.error.unwrap_or(error);
                Some((state.name(), severity.max(error.severity()), Some(error)))
            }
            None if self.trouble.is_some() && matches!(state, State::CatchingUp | State::Live) => {
                self.trouble = None;
                Some(("goes_on", Severity::Low, None))
            }
            _ => None,
        }
    }

    /// The newest parked record, unless others were told of just before.
    fn parking<'s>(
        &mut self,
        standing: &'s Standing,
        now: Instant,
    ) -> Option<(ErrorType, &'s String)> {
        let (records, error, reason) = standing.parked.as_ref()?;
        let new = *records > self.parked;
        self.parked = *records;
        if !new || self.parked_at.is_some_and(|before| now - before < QUIET) {
            return None;
        }
        self.parked_at = Some(now);
        Some((*error, reason))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Looks at second `0`, `1`, … with these states, and gives what was told at which second.
    fn told(states: impl IntoIterator<Item = Standing>) -> Vec<(u64, String)> {
        let (mut watch, start) = (Watch::new("i".to_owned()), Instant::now());
        let mut told = Vec::new();
        for (second, standing) in (0..).zip(states) {
            let now = start + Duration::from_secs(second);
            for Message { event, state, severity, error_type, reason, .. } in
                watch.look(&[standing], now, SystemTime::UNIX_EPOCH)
            {
                let (error, reason) = (error_type.unwrap_or("-"), reason.unwrap_or_default());
                told.push((second, format!("{event} {state} {severity} {error} {reason}")));
            }
        }
        told
    }

    fn standing(state: State) -> Standing {
        let reason = Some(state.name().to_uppercase());
        Standing { model: "m".to_owned(), state, reason, error: None, parked: None }
    }

    fn expect<const N: usize>(told: &[(u64, String)], expected: [(u64, &str); N]) {
        let told: Vec<(u64, &str)> =
            told.iter().map(|(second, text)| (*second, text.as_str())).collect();
        assert_eq!(told, expected);
    }

    #[test]
    fn a_stop_is_told_once_and_so_is_its_end() {
        let of_security = Standing { error: Some(ErrorType::Security), ..standing(State::Stopped) };
        let live = Standing { reason: None, ..standing(State::Live) };
        let states = [
            live.clone(),
            of_security.clone(),
            of_security,
            standing(State::Starting),
            live.clone(),
            live,
        ];
        let expected =
            [(1, "stopped stopped critical security STOPPED"), (4, "goes_on live low - ")];
        expect(&told(states), expected);
    }

    #[test]
    fn a_model_that_starts_in_trouble_is_told_of() {
        expect(&told([standing(State::Stopped)]), [(0, "stopped stopped critical system STOPPED")]);
        expect(
            &told([standing(State::BreakerOpen)]),
            [(0, "breaker_open breaker_open high validation BREAKER_OPEN")],
        );
    }

    #[test]
    fn waiting_is_told_of_when_it_lasts() {
        let waiting = |seconds| std::iter::repeat_n(standing(State::Waiting), seconds);
        let live = || std::iter::once(Standing { reason: None, ..standing(State::Live) });
        expect(&told(waiting(30).chain(live()).chain(waiting(30)).chain(live())), []);
        let expected =
            [(30, "waiting waiting medium transient WAITING"), (40, "goes_on live low - ")];
        expect(&told(waiting(40).chain(live()).chain(live())), expected);
    }

    #[test]
    fn parked_records_make_one_message_a_minute() {
        let states = (0..200).map(|second| Standing {
            reason: None,
            parked: Some((second / 2, ErrorType::Corruption, second.to_string())),
            ..standing(State::Live)
        });
        let expected = [(2, "2"), (62, "62"), (122, "122"), (182, "182")]
            .map(|(second, reason)| (second, format!("parked live high corruption {reason}")));
        assert_eq!(told(states), expected);
    }
}
