//! How a verb fails, and the exit status that says so. 0: done · 1: the answer is no · 2: wrong use or configuration.

use std::io::Write as _;
use std::process::ExitCode;

/// Why a verb does not end with status 0.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Status 1, with a sentence on standard error, if any.
    No(String),
    /// Status 2.
    Usage(String),
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::No(format!("{:#}", error.into()))
    }
}

impl Failure {
    /// Says why on standard error; the status to end with.
    pub(crate) fn report(self) -> ExitCode {
        let (text, status) = match self {
            Self::No(text) => (text, 1),
            Self::Usage(text) => (text, 2),
        };
        if !text.is_empty() {
            // Nobody is left to be told that standard error is closed.
            let _ = writeln!(std::io::stderr(), "{text}");
        }
        ExitCode::from(status)
    }
}
