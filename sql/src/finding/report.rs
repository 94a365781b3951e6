//! Findings of one file as they are made. Reading goes on after each of them, so a user sees all at once.

use crate::Finding;
use crate::finding::place::Place;
use crate::text::Unreadable;

pub(crate) struct Report {
    file: String,
    pub(crate) findings: Vec<Finding>,
}

impl Report {
    pub(crate) fn new(file: &str) -> Self {
        Self { file: file.to_owned(), findings: Vec::new() }
    }

    pub(crate) fn error(&mut self, at: Place, what: impl Into<String>, help: impl Into<String>) {
        self.findings.push(Finding::error(&self.file, at, what, help));
    }

    pub(crate) fn warning(&mut self, at: Place, what: impl Into<String>, help: impl Into<String>) {
        self.findings.push(Finding::warning(&self.file, at, what, help));
    }

    /// An error that is another one's doing.
    pub(crate) fn follows(&mut self, at: Place, what: impl Into<String>, help: impl Into<String>) {
        let finding = Finding::error(&self.file, at, what, help);
        self.findings.push(Finding { follows: true, ..finding });
    }

    /// A parse error cannot tell a slip from syntax that the parser lacks, so the text leaves both open. `lacking` is
    /// what the statement's words hint at.
    pub(crate) fn unreadable(&mut self, error: Unreadable, lacking: Option<&str>) {
        let hint = lacking.map(|lacking| format!(" ({lacking})")).unwrap_or_default();
        let help = format!(
            "correct it if it is a slip; if Postgres takes it, it is not supported yet: write it another way{hint}"
        );
        self.error(error.at, format!("Vitrina cannot read this: {}", error.what), help);
    }

    /// The findings by line, and whether nothing is refused.
    pub(crate) fn finish(mut self) -> (bool, Vec<Finding>) {
        self.findings.sort_by_key(|finding| finding.place());
        self.findings.dedup();
        (!self.findings.iter().any(Finding::is_error), self.findings)
    }
}
