//! What Postgres's error codes say. Whoever judges an error of Postgres judges by this table, so that no two of them read
//! the same code in two ways; what follows from it is each one's own.

/// What an error of Postgres says, as far as anybody here tells errors apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sqlstate {
    /// The connection broke, or the server is starting, stopping or tired of this session.
    Transient,
    /// Two transactions waited for each other, and this one was ended.
    Deadlock,
    /// Disk, memory, connections, locks, the server's own I/O; or it only reads.
    Resource,
    /// The statement took longer than it may.
    TimedOut,
    /// A text is no date or time.
    Time,
    /// A value is out of its type's range, or not of its form.
    Value,
    /// A text is no query, path or name.
    Text,
    /// A check refuses the row.
    Check,
    /// A function says no.
    Raised,
    /// Another constraint refuses it.
    Constraint,
    /// More rows came than one.
    Cardinality,
    /// Something is bigger than Postgres can hold.
    Limit,
    /// There is no such operator, function or cast for these types.
    Untyped,
    /// What a statement says does not fit the tables or objects that it names.
    Misfit,
    /// What Postgres does not do.
    Unsupported,
    /// The session is in no state for it: a failed transaction, a statement that is not prepared.
    Session,
    /// Postgres has come where its authors thought that it cannot.
    Internal,
    /// There is no such table, nor perhaps the schema it would be in.
    NoTable,
    NoColumn,
    NoDatabase,
    /// User or password.
    NotLetIn,
    /// The user may not do this.
    NotAllowed,
    /// All others.
    Other,
}

/// By prefix, the first match counts (PostgreSQL documentation, appendix A).
const SQLSTATES: &[(&str, Sqlstate)] = &[
    ("08", Sqlstate::Transient),
    ("0A000", Sqlstate::Unsupported),
    ("21000", Sqlstate::Cardinality),
    ("22007", Sqlstate::Time),
    ("22", Sqlstate::Value),
    ("23514", Sqlstate::Check),
    ("23", Sqlstate::Constraint),
    ("25006", Sqlstate::Resource),  // a read-only standby answered
    ("25P03", Sqlstate::Transient), // idle in transaction too long: this process was frozen
    ("25P04", Sqlstate::Transient), // a transaction too long
    ("25", Sqlstate::Session),
    ("26", Sqlstate::Session),
    ("28", Sqlstate::NotLetIn),
    ("3D000", Sqlstate::NoDatabase),
    ("3F000", Sqlstate::NoTable),
    ("40P01", Sqlstate::Deadlock),
    ("40", Sqlstate::Transient),
    ("42501", Sqlstate::NotAllowed),
    ("42601", Sqlstate::Text), // to_tsquery, jsonpath
    ("42602", Sqlstate::Text),
    ("42622", Sqlstate::Text),
    ("42703", Sqlstate::NoColumn),
    ("42704", Sqlstate::Text), // a text that is cast to regconfig
    ("42725", Sqlstate::Untyped),
    ("42846", Sqlstate::Untyped),
    ("42883", Sqlstate::Untyped),
    ("42P01", Sqlstate::NoTable),
    ("42P05", Sqlstate::Session),
    ("42", Sqlstate::Misfit),
    ("53400", Sqlstate::Limit), // more temporary files than one session may have
    ("53", Sqlstate::Resource), // disk, memory, connections
    ("54", Sqlstate::Limit),
    ("55P03", Sqlstate::Resource), // lock time-out
    ("55", Sqlstate::Session),
    ("57014", Sqlstate::TimedOut),
    ("57", Sqlstate::Transient), // shut down, starting, idle too long
    ("58", Sqlstate::Resource),  // the server's own I/O
    ("P0", Sqlstate::Raised),
    ("XX001", Sqlstate::Resource), // what is stored is damaged
    ("XX002", Sqlstate::Resource),
    ("XX", Sqlstate::Internal),
];

impl Sqlstate {
    /// What the code says.
    pub fn of_code(code: &str) -> Self {
        SQLSTATES
            .iter()
            .find(|(prefix, _)| code.starts_with(prefix))
            .map_or(Self::Other, |(_, state)| *state)
    }

    /// What the server said; none where the error is not its answer.
    pub fn of(error: &sqlx::Error) -> Option<Self> {
        let refused = error.as_database_error()?;
        Some(Self::of_code(&refused.code().unwrap_or_default()))
    }

    /// Whether the same may succeed later, with nobody mending anything in it.
    pub fn passes(self) -> bool {
        matches!(self, Self::Transient | Self::Deadlock | Self::Resource)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_line_hides_a_later_one() {
        for (place, (prefix, _)) in SQLSTATES.iter().enumerate() {
            let hidden = SQLSTATES[place + 1..].iter().find(|(later, _)| later.starts_with(prefix));
            assert_eq!(hidden, None, "behind {prefix}");
        }
    }

    #[test]
    fn what_passes_is_waited_for() {
        for code in
            ["08006", "25006", "25P03", "40001", "40P01", "53100", "53300", "55P03", "57P01"]
        {
            assert!(Sqlstate::of_code(code).passes(), "{code}");
        }
        for code in ["22003", "23505", "28P01", "3D000", "42P01", "42501", "57014", "XX000", ""] {
            assert!(!Sqlstate::of_code(code).passes(), "{code}");
        }
    }
}
