//! The record or the world? One table from a Postgres error to what is to be done. What is not known stops the model:
//! it is never taken for the record's fault.

use vitrina_ingest::TopicPartition;

/// What went wrong with a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Somebody else has claimed these partitions since; nothing was written.
    Fenced(Vec<TopicPartition>),
    /// The world's trouble: the same batch again, later.
    World(String),
    /// One event's values are refused.
    Record { event: usize, rule: String, reason: String, sqlstate: String },
    /// Going on would be wrong until somebody looks.
    Stop(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    World,
    Record,
    Stop,
}

/// SQLSTATE prefixes, longest match first (PostgreSQL documentation, appendix A).
const CLASSES: &[(&str, Class)] = &[
    ("25006", Class::World), // a read-only standby answered
    ("40001", Class::World),
    ("40P01", Class::World),
    ("55P03", Class::World), // lock time-out
    ("40003", Class::World),
    ("57P", Class::World),   // shut down, starting, idle too long
    ("57014", Class::World), // statement time-out
    ("25P03", Class::World), // idle in transaction too long: this process was frozen
    ("25P04", Class::World),
    ("08", Class::World),
    ("53", Class::World), // disk, memory, connections
    ("58", Class::World), // the server's own I/O
    ("21000", Class::Record),
    ("22", Class::Record),
    ("23", Class::Record),
    ("54", Class::Record),
];

fn class(sqlstate: &str) -> Class {
    CLASSES.iter().find(|(prefix, _)| sqlstate.starts_with(prefix)).map_or(Class::Stop, |(_, class)| *class)
}

impl Fault {
    /// Judges an error; `running` is the event and the rule (`file:line`) under way, if any.
    pub(crate) fn of(error: &sqlx::Error, running: Option<(usize, &str)>) -> Self {
        let sqlx::Error::Database(database) = error else {
            return match error {
                sqlx::Error::Encode(_) | sqlx::Error::Configuration(_) => Self::Stop(format!("Postgres: {error}")),
                _ => Self::World(format!("Postgres (postgres.url): {error}")),
            };
        };
        let sqlstate = database.code().unwrap_or_default().into_owned();
        match (class(&sqlstate), running) {
            (Class::World, _) => Self::World(format!("Postgres (postgres.url): {} [{sqlstate}]", database.message())),
            (Class::Record, Some((event, rule))) => {
                Self::Record { event, rule: rule.to_owned(), reason: database.message().to_owned(), sqlstate }
            }
            (_, Some((_, rule))) => {
                Self::Stop(format!("Postgres refuses the rule at {rule}: {} [{sqlstate}]", database.message()))
            }
            _ => Self::Stop(format!("Postgres refuses: {} [{sqlstate}]", database.message())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_states_stop() {
        assert_eq!(class("42P01"), Class::Stop);
        assert_eq!(class("42501"), Class::Stop);
        assert_eq!(class("P0001"), Class::Stop);
        assert_eq!(class("XX000"), Class::Stop);
        assert_eq!(class(""), Class::Stop);
    }

    #[test]
    fn known_states() {
        for state in ["08006", "40P01", "53100", "53300", "57P01", "57P05", "25006", "55P03", "57014"] {
            assert_eq!(class(state), Class::World, "{state}");
        }
        for state in ["22003", "22P02", "21000", "23505", "23514", "54000"] {
            assert_eq!(class(state), Class::Record, "{state}");
        }
    }
}
