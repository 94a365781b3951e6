//! How reading a view ends when it does not end well. Invariant: what only a newer catalogue can answer is no problem of the
//! caller's yet.

use crate::database::DatabaseError;
use crate::problem::Problem;

/// Why there is no answer.
pub(crate) enum Failure {
    /// The catalogue that the statement was made from is not the database's any more.
    Stale,
    Problem(Problem),
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

impl From<DatabaseError> for Failure {
    fn from(error: DatabaseError) -> Self {
        match error {
            DatabaseError::Stale(_) => Self::Stale,
            other => Self::Problem(other.into()),
        }
    }
}
