//! The record or the world? One table from an error of Postgres or the registry to what is to be done. What is not known
//! stops the model: it is never taken for the record's fault.

use std::fmt;
use std::time::Duration;

use sqlx::postgres::PgDatabaseError;
use vitrina_avro::{RecordError, RegistryError};
use vitrina_ingest::TopicPartition;

use crate::error_type::ErrorType;
use crate::settings::{Retries, Strategy};

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

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    World(Trouble),
    TimedOut,
    Record(ErrorType),
    Stop,
}

/// SQLSTATE prefixes, the first match counts (PostgreSQL documentation, appendix A).
const SQLSTATES: &[(&str, Class)] = &[
    ("57014", Class::TimedOut),
    ("25006", Class::World(Trouble::Resource)), // a read-only standby answered
    ("40001", Class::World(Trouble::Transient)),
    ("40003", Class::World(Trouble::Transient)),
    ("40P01", Class::World(Trouble::Transient)),
    ("55P03", Class::World(Trouble::Resource)), // lock time-out
    ("57P", Class::World(Trouble::Transient)),  // shut down, starting, idle too long
    ("25P03", Class::World(Trouble::Transient)), // idle in transaction too long: this process was frozen
    ("25P04", Class::World(Trouble::Transient)),
    ("08", Class::World(Trouble::Transient)),
    ("53", Class::World(Trouble::Resource)), // disk, memory, connections
    ("58", Class::World(Trouble::Resource)), // the server's own I/O
    ("23514", Class::Record(ErrorType::BusinessRule)),
    ("21000", Class::Record(ErrorType::Validation)),
    ("22", Class::Record(ErrorType::Validation)),
    ("23", Class::Record(ErrorType::Validation)),
    ("54", Class::Record(ErrorType::Validation)),
];

fn class(sqlstate: &str) -> Class {
    SQLSTATES
        .iter()
        .find(|(prefix, _)| sqlstate.starts_with(prefix))
        .map_or(Class::Stop, |(_, class)| *class)
}

impl Fault {
    pub(crate) fn world(reason: impl Into<String>) -> Self {
        Self::World { trouble: Trouble::Transient, reason: reason.into() }
    }

    /// Judges an error; `rule` (`file:line`) is under way, if any, over the one event that is named, or over several.
    pub(crate) fn of(error: &sqlx::Error, rule: Option<&str>, event: Option<usize>) -> Self {
        let sqlx::Error::Database(database) = error else {
            return match error {
                sqlx::Error::Encode(_) | sqlx::Error::Configuration(_) => {
                    Self::Stop(format!("Postgres: {error}"))
                }
                _ => Self::world(format!("Postgres (postgres.url): {error}")),
            };
        };
        let sqlstate = database.code().unwrap_or_default().into_owned();
        let message = database.message();
        match (class(&sqlstate), rule) {
            (Class::World(trouble), _) => Self::World {
                trouble,
                reason: format!("Postgres (postgres.url): {message} [{sqlstate}]"),
            },
            (Class::TimedOut, Some(rule)) => Self::TimedOut {
                event,
                reason: format!("Postgres, in the rule at {rule}: {message} [{sqlstate}]"),
            },
            (Class::TimedOut, None) => {
                let reason = format!("Postgres (postgres.url): {message} [{sqlstate}]");
                Self::World { trouble: Trouble::Timeout, reason }
            }
            (Class::Record(error_type), Some(rule)) => {
                let (reason, rule) = (message.to_owned(), Some(rule.to_owned()));
                let postgres = database.try_downcast_ref::<PgDatabaseError>();
                let row = postgres.and_then(PgDatabaseError::detail).map(str::to_owned);
                Self::Record {
                    event,
                    blame: Blame { error_type, reason, sqlstate: Some(sqlstate), rule },
                    row,
                }
            }
            (_, Some(rule)) => {
                Self::Stop(format!("Postgres refuses the rule at {rule}: {message} [{sqlstate}]"))
            }
            _ => Self::Stop(format!("Postgres refuses: {message} [{sqlstate}]")),
        }
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

    #[test]
    fn unknown_states_stop() {
        for state in ["42P01", "42501", "42703", "P0001", "XX000", ""] {
            assert_eq!(class(state), Class::Stop, "{state}");
        }
    }

    #[test]
    fn known_states() {
        for state in ["08006", "40P01", "57P01", "57P05"] {
            assert_eq!(class(state), Class::World(Trouble::Transient), "{state}");
        }
        for state in ["53100", "53300", "25006", "55P03"] {
            assert_eq!(class(state), Class::World(Trouble::Resource), "{state}");
        }
        for state in ["22003", "22P02", "21000", "23505", "54000"] {
            assert_eq!(class(state), Class::Record(ErrorType::Validation), "{state}");
        }
        assert_eq!(class("23514"), Class::Record(ErrorType::BusinessRule));
        assert_eq!(class("57014"), Class::TimedOut);
    }
}
