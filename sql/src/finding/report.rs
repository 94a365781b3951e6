//! Findings of one file as they are made. Reading goes on after each of them, so a user sees all at once.

use crate::Finding;
use crate::text::Unreadable;

pub(crate) struct Report {
    file: String,
    pub(crate) findings: Vec<Finding>,
}

impl Report {
    pub(crate) fn new(file: &str) -> Self {
        Self { file: file.to_owned(), findings: Vec::new() }
    }

    pub(crate) fn error(&mut self, line: usize, what: impl Into<String>, help: impl Into<String>) {
        self.findings.push(Finding::error(&self.file, line, what, help));
    }

    pub(crate) fn warning(
        &mut self,
        line: usize,
        what: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.findings.push(Finding::warning(&self.file, line, what, help));
    }

    /// A parse error cannot tell a slip from syntax that the parser lacks, so the text leaves both open. `lacking` is
    /// what the statement's words hint at.
    pub(crate) fn unreadable(&mut self, error: Unreadable, lacking: Option<&str>) {
        let hint = lacking.map(|lacking| format!(" ({lacking})")).unwrap_or_default();
        let help = format!(
            "correct it if it is a slip; if Postgres takes it, it is not supported yet: write it another way{hint}"
        );
        self.error(error.line, format!("Vitrina cannot read this: {}", error.what), help);
    }

    /// The findings by line, and whether nothing is refused.
    pub(crate) fn finish(mut self) -> (bool, Vec<Finding>) {
        self.findings.sort_by_key(|finding| finding.line);
        self.findings.dedup();
        (!self.findings.iter().any(Finding::is_error), self.findings)
    }
}
