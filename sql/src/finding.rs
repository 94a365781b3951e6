//! A finding names a place, what is wrong there, and the way out. Nothing is refused without one.

pub(crate) mod files;
pub(crate) mod place;
pub(crate) mod report;

use std::fmt;

use serde::Serialize;

use place::Place;

/// How much a finding weighs: an error refuses the definition, a warning never changes an exit status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    Error,
    Warning,
}

/// One thing wrong with a definition, as `vitrina check` prints it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Path as in [`crate::Files`].
    pub file: String,
    /// From 1; where the whole file is meant, its beginning.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    pub severity: Severity,
    pub what: String,
    /// The way out.
    pub help: String,
    /// It only follows from another finding, which alone needs mending.
    #[serde(skip)]
    pub follows: bool,
}

impl Finding {
    pub fn error(
        file: impl Into<String>,
        at: Place,
        what: impl Into<String>,
        help: impl Into<String>,
    ) -> Self {
        Self {
            file: file.into(),
            line: at.line,
            column: at.column,
            severity: Severity::Error,
            what: what.into(),
            help: help.into(),
            follows: false,
        }
    }

    pub fn warning(
        file: impl Into<String>,
        at: Place,
        what: impl Into<String>,
        help: impl Into<String>,
    ) -> Self {
        Self { severity: Severity::Warning, ..Self::error(file, at, what, help) }
    }

    pub fn place(&self) -> Place {
        Place { line: self.line, column: self.column }
    }

    /// `file:line:column`.
    pub fn address(&self) -> String {
        format!("{}:{}:{}", self.file, self.line, self.column)
    }

    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let warning = if self.is_error() { "" } else { "warning: " };
        write!(f, "{}: {warning}{}: {}", self.address(), self.what, self.help)
    }
}
