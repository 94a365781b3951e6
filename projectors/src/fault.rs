//! The record or the world? From an error of Postgres (`sqlstate.rs`) or the registry to what is to be done. What is not
//! known stops the model: it is never taken for the record's fault.

use std::fmt;
use std::time::Duration;

use sqlx::postgres::PgDatabaseError;
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
    /// The set of parked keys had changed since the batch was planned; nothing was written, and the change is known now.
    Stale,
    /// The world's trouble: the same batch again, later.
    World { trouble: Trouble, reason: String },
    /// A statement took too long: fewer events at once; one alone is tried again a few times.
    TimedOut { event: Option<usize>, reason: String },
    /// Some event's values are refused; which one is known only where it ran alone. `row`: Postgres's words on the row that
    /// a constraint refused, which point at it; they hold its values, so they go no further.
    Record { event: Option<usize>, blame: Blame, row: Option<String> },
    /// Going on would be wrong until somebody looks.
    Stop(String),
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
            Self::Stale => f.write_str("the parked keys have changed"),
            Self::World { reason, .. } | Self::TimedOut { reason, .. } | Self::Stop(reason) => {
                f.write_str(reason)
            }
            Self::Record { blame, .. } => blame.fmt(f),
        }
    }
}

impl fmt::Display for Blame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(rule) = &self.rule {
            write!(f, "rule {rule}: ")?;
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

    /// An error of the rule at `place` (`file:line`), over the one event that is named, or over several.
    pub(crate) fn in_rule(error: &sqlx::Error, place: &str, event: Option<usize>) -> Self {
        let (sqlx::Error::Database(database), Some(state)) = (error, Sqlstate::of(error)) else {
            return Self::of(error);
        };
        let sqlstate = database.code().unwrap_or_default().into_owned();
        let message = database.message();
        let Some(error_type) = refused_values(state) else {
            return match state {
                Sqlstate::TimedOut => Self::TimedOut {
                    event,
                    reason: format!("Postgres, in the rule at {place}: {message} [{sqlstate}]"),
                },
                state if state.passes() => Self::of(error),
                _ => Self::Stop(format!(
                    "Postgres refuses the rule at {place}: {message} [{sqlstate}]"
                )),
            };
        };
        let row = database.try_downcast_ref::<PgDatabaseError>().and_then(PgDatabaseError::detail);
        let blame = Blame {
            error_type,
            reason: message.to_owned(),
            sqlstate: Some(sqlstate),
            rule: Some(place.to_owned()),
        };
        Self::Record { event, blame, row: row.map(str::to_owned) }
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
            Sqlstate::Resource => Trouble::Resource,
            Sqlstate::TimedOut => Trouble::Timeout,
            _ => return Self::Stop(format!("Postgres refuses: {said}")),
        };
        Self::World { trouble, reason: format!("Postgres (postgres.url): {said}") }
    }

    /// Judges the registry's answer. That it knows no such schema is the record's fault in the end, but not at once: a
    /// follower may be behind its leader.
    pub(crate) fn of_registry(error: &RegistryError) -> Self {
        let reason = error.to_string();
        let blame = |error_type, reason| Blame { error_type, reason, sqlstate: None, rule: None };
        match error {
            RegistryError::Unknown(_) => {
                Self::Record { event: None, blame: blame(ErrorType::NotFound, reason), row: None }
            }
            RegistryError::Unusable(_) => {
                Self::Record { event: None, blame: blame(ErrorType::Validation, reason), row: None }
            }
            RegistryError::Away(_) => Self::World { trouble: Trouble::Transient, reason },
            RegistryError::RateLimited(_) => Self::World { trouble: Trouble::RateLimit, reason },
            RegistryError::Refused(_) => {
                Self::Stop(format!("{reason} (registry.url, username, password, token)"))
            }
        }
    }
}

/// The kind of error, where what Postgres refuses are an event's values.
fn refused_values(state: Sqlstate) -> Option<ErrorType> {
    match state {
        Sqlstate::Check => Some(ErrorType::BusinessRule),
        Sqlstate::Value
        | Sqlstate::Time
        | Sqlstate::Constraint
        | Sqlstate::Cardinality
        | Sqlstate::Limit => Some(ErrorType::Validation),
        _ => None,
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

    fn refused(code: &str) -> Option<ErrorType> {
        refused_values(Sqlstate::of_code(code))
    }

    #[test]
    fn what_is_not_known_to_be_the_records_fault_never_is() {
        for state in ["42P01", "42501", "42703", "57014", "40P01", "53100", "P0001", "XX000", ""] {
            assert_eq!(refused(state), None, "{state}");
        }
    }

    #[test]
    fn refused_values_are_the_records_fault() {
        for state in ["22003", "22007", "22P02", "21000", "23505", "54000"] {
            assert_eq!(refused(state), Some(ErrorType::Validation), "{state}");
        }
        assert_eq!(refused("23514"), Some(ErrorType::BusinessRule));
    }
}
