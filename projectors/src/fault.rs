//! The record or the world? From an error of Postgres (`sqlstate.rs`) or the registry to what is to be done. What a rule
//! fails with for one event alone, while others pass it, is that record's; where that cannot be told from the code, others
//! are tried.

use std::fmt;
use std::time::Duration;

use sqlx::postgres::{PgDatabaseError, PgErrorPosition};
use vitrina_avro::{RecordError, RegistryError};
use vitrina_ingest::TopicPartition;

use crate::error_type::ErrorType;
use crate::settings::{Retries, Strategy};
use crate::sqlstate::Sqlstate;

/// What went wrong with a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Somebody else has claimed these partitions since; nothing was written.
    Fenced(Vec<TopicPartition>),
    /// What is parked, or where keys live, had changed since the batch was planned; nothing was written, and the change is
    /// known now.
    Stale,
    /// The world's trouble: the same batch again, later.
    World { trouble: Trouble, reason: String },
    /// The event's own, or everybody's: what comes of other events tells.
    Doubt { event: Option<usize>, blame: Blame, otherwise: Otherwise },
    /// Some event's values are refused; which one is known only where it ran alone. `row`: Postgres's words on the row that
    /// a constraint refused, which point at it; they hold its values, so they go no further.
    Record { event: Option<usize>, blame: Blame, row: Option<String> },
    /// Going on would be wrong until somebody looks.
    Stop(String),
}

/// What follows where other events fare no better.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Otherwise {
    /// It is waited out, as the world's trouble.
    Wait(Trouble),
    /// The model stops: the catalogue, or rights.
    Stop,
}

/// What an error of Postgres that a rule ran into says of its event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Judgement {
    World,
    Doubt(ErrorType, Otherwise),
    Record(ErrorType),
}

/// Why a record is not applied, as whoever looks after it needs to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blame {
    pub error_type: ErrorType,
    pub reason: String,
    pub sqlstate: Option<String>,
    /// `file:line`.
    pub rule: Option<String>,
}

/// How the world's trouble is waited out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    Transient,
    Timeout,
    RateLimit,
    Resource,
}

impl Trouble {
    /// How long to wait after the failed attempt number `attempt`, from 1 on; none where the settings know no second one.
    pub(crate) fn pause(self, retries: &Retries, attempt: u32) -> Option<Duration> {
        let policy = match self {
            Self::Transient => retries.transient,
            Self::Timeout => retries.timeout,
            Self::RateLimit => retries.rate_limit,
            Self::Resource => retries.resource,
        };
        (policy.strategy != Strategy::None).then(|| policy.pause(attempt, rand::random()))
    }

    pub(crate) fn error_type(self) -> ErrorType {
        match self {
            Self::Transient => ErrorType::Transient,
            Self::Timeout => ErrorType::Timeout,
            Self::RateLimit => ErrorType::RateLimit,
            Self::Resource => ErrorType::ResourceUnavailable,
        }
    }

    /// As settings and metrics name it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Transient => "transient",
            Self::Timeout => "timeout",
            Self::RateLimit => "rate_limit",
            Self::Resource => "resource",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fenced(partitions) => write!(f, "another instance has claimed {partitions:?}"),
            Self::Stale => f.write_str("what is parked, or where keys live, has changed"),
            Self::World { reason, .. } | Self::Stop(reason) => f.write_str(reason),
            Self::Record { blame, .. } | Self::Doubt { blame, .. } => blame.fmt(f),
        }
    }
}

impl fmt::Display for Blame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(rule) = &self.rule {
            write!(f, "{rule}: ")?;
        }
        f.write_str(&self.reason)?;
        match &self.sqlstate {
            Some(sqlstate) => write!(f, " [{sqlstate}]"),
            None => Ok(()),
        }
    }
}

impl Fault {
    pub(crate) fn world(reason: impl Into<String>) -> Self {
        Self::World { trouble: Trouble::Transient, reason: reason.into() }
    }

    /// An error of the rule at `place` (`file:line`), or of the transaction's end, over the one event that is named, or
    /// over several.
    pub(crate) fn in_rule(error: &sqlx::Error, place: Option<&str>, event: Option<usize>) -> Self {
        let sqlx::Error::Database(database) = error else { return Self::of(error) };
        let said = database.try_downcast_ref::<PgDatabaseError>();
        let of_text =
            matches!(said.and_then(PgDatabaseError::position), Some(PgErrorPosition::Original(_)));
        let sqlstate = database.code().unwrap_or_default().into_owned();
        let blame = |error_type| Blame {
            error_type,
            reason: database.message().to_owned(),
            sqlstate: Some(sqlstate.clone()),
            rule: place.map(str::to_owned),
        };
        match judge(Sqlstate::of_code(&sqlstate), of_text) {
            Judgement::World => Self::of(error),
            Judgement::Doubt(error_type, otherwise) => {
                Self::Doubt { event, blame: blame(error_type), otherwise }
            }
            Judgement::Record(error_type) => {
                let row = said.and_then(PgDatabaseError::detail).map(str::to_owned);
                Self::Record { event, blame: blame(error_type), row }
            }
        }
    }

    /// Somebody has cancelled the statement, before its time was over.
    pub(crate) fn cancelled(error: &sqlx::Error, place: &str) -> Self {
        Self::world(format!("Postgres, in the rule at {place}: {error}"))
    }

    /// An error outside of any rule, which no record is to blame for.
    fn of(error: &sqlx::Error) -> Self {
        let sqlx::Error::Database(database) = error else {
            return match error {
                sqlx::Error::Encode(_) | sqlx::Error::Configuration(_) => {
                    Self::Stop(format!("Postgres: {error}"))
                }
                _ => Self::world(format!("Postgres (postgres.url): {error}")),
            };
        };
        let code = database.code().unwrap_or_default();
        let said = format!("{} [{code}]", database.message());
        let trouble = match Sqlstate::of_code(&code) {
            Sqlstate::Transient | Sqlstate::Deadlock => Trouble::Transient,
            Sqlstate::Resource | Sqlstate::Internal => Trouble::Resource,
            Sqlstate::TimedOut => Trouble::Timeout,
            _ => return Self::Stop(format!("Postgres refuses: {said}")),
        };
        Self::World { trouble, reason: format!("Postgres (postgres.url): {said}") }
    }

    /// Judges the registry's answer. That it does not give one schema is the record's fault in the end, but not at once: a
    /// follower may be behind its leader. What it says to everything is never a record's.
    pub(crate) fn of_registry(error: &RegistryError) -> Self {
        let reason = error.to_string();
        let refused = |error_type, reason| {
            let blame = Blame { error_type, reason, sqlstate: None, rule: None };
            Self::Record { event: None, blame, row: None }
        };
        match error {
            RegistryError::Unknown(_) | RegistryError::Unserved(_) => {
                refused(ErrorType::NotFound, reason)
            }
            RegistryError::Unusable(_) => refused(ErrorType::Validation, reason),
            RegistryError::Away(_) => Self::World { trouble: Trouble::Transient, reason },
            RegistryError::RateLimited(_) => Self::World { trouble: Trouble::RateLimit, reason },
            RegistryError::Useless(_) | RegistryError::Refused(_) => Self::World {
                trouble: Trouble::Transient,
                reason: format!(
                    "{reason}; see registry.url, registry.username, registry.password and registry.token"
                ),
            },
        }
    }
}

/// `of_text`: Postgres shows a place in the statement's own text, so what it refuses is the text, whatever the event holds.
fn judge(state: Sqlstate, of_text: bool) -> Judgement {
    match state {
        state if state.passes() => Judgement::World,
        Sqlstate::TimedOut => {
            Judgement::Doubt(ErrorType::Timeout, Otherwise::Wait(Trouble::Timeout))
        }
        // What is damaged, or a value that nobody has thought of.
        Sqlstate::Internal => {
            Judgement::Doubt(ErrorType::Validation, Otherwise::Wait(Trouble::Resource))
        }
        Sqlstate::NotAllowed
        | Sqlstate::NotLetIn
        | Sqlstate::NoTable
        | Sqlstate::NoColumn
        | Sqlstate::NoDatabase
        | Sqlstate::Untyped
        | Sqlstate::Misfit
        | Sqlstate::Session => Judgement::Doubt(ErrorType::Validation, Otherwise::Stop),
        _ if of_text => Judgement::Doubt(ErrorType::Validation, Otherwise::Stop),
        Sqlstate::Check | Sqlstate::Raised => Judgement::Record(ErrorType::BusinessRule),
        _ => Judgement::Record(ErrorType::Validation),
    }
}

impl From<sqlx::Error> for Fault {
    fn from(error: sqlx::Error) -> Self {
        Self::of(&error)
    }
}

impl From<&RecordError> for Blame {
    fn from(error: &RecordError) -> Self {
        let error_type = match error {
            RecordError::Framing(_) | RecordError::Payload { .. } => ErrorType::Corruption,
            _ => ErrorType::Validation,
        };
        Self { error_type, reason: error.to_string(), sqlstate: None, rule: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(code: &str) -> Judgement {
        judge(Sqlstate::of_code(code), false)
    }

    #[test]
    fn what_a_value_can_be_refused_with_is_the_records_whatever_its_code() {
        for code in [
            "22003", "22007", "22P02", "21000", "23505", "54000", "0A000", "42601", "42704",
            "2F003", "38000", "39004", "20000", "ABCDE", "",
        ] {
            assert_eq!(judged(code), Judgement::Record(ErrorType::Validation), "{code}");
        }
        for code in ["23514", "P0001", "P0004"] {
            assert_eq!(judged(code), Judgement::Record(ErrorType::BusinessRule), "{code}");
        }
    }

    #[test]
    fn what_hangs_on_the_catalogue_or_on_rights_stops_unless_others_pass() {
        let stops = Judgement::Doubt(ErrorType::Validation, Otherwise::Stop);
        for code in [
            "42501", "42P01", "42703", "3F000", "42883", "42P10", "42804", "26000", "25P02",
            "55000",
        ] {
            assert_eq!(judged(code), stops, "{code}");
        }
        assert_eq!(judge(Sqlstate::Text, true), stops);
        assert_eq!(judge(Sqlstate::Value, true), stops);
    }

    #[test]
    fn a_registry_that_asks_for_fewer_requests_is_asked_less_often() {
        let Fault::World { trouble, .. } =
            Fault::of_registry(&RegistryError::RateLimited("too many requests".to_owned()))
        else {
            panic!("it is not waited for")
        };
        assert_eq!(trouble, Trouble::RateLimit);
        assert_eq!(trouble.error_type(), ErrorType::RateLimit);
        assert_eq!(
            trouble.pause(&Retries::default(), 1).map(|pause| pause.as_secs() >= 30),
            Some(true)
        );
    }

    #[test]
    fn the_world_is_never_the_records() {
        for code in
            ["08006", "25006", "40001", "40P01", "53100", "55P03", "57P01", "58030", "XX001"]
        {
            assert_eq!(judged(code), Judgement::World, "{code}");
            assert_eq!(judge(Sqlstate::of_code(code), true), Judgement::World, "{code}");
        }
        for code in ["57014", "XX000"] {
            let waits = matches!(judged(code), Judgement::Doubt(_, Otherwise::Wait(_)));
            assert!(waits, "{code}");
        }
    }
}
