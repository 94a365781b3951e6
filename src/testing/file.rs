//! A test file, as it is read: what is given, what is expected then, and where each of it stands.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::PathBuf;

use serde_json::{Map, Value};
use vitrina_api::Reader;
use vitrina_projectors::rehearsal::LogRecord;

/// A file of tests.
pub(super) struct TestFile {
    /// As it is told.
    pub(super) name: String,
    pub(super) path: PathBuf,
    pub(super) text: String,
    pub(super) tests: Vec<Test>,
}

pub(super) struct Test {
    pub(super) name: String,
    pub(super) line: usize,
    /// Whether the records may come in any order that Kafka allows.
    pub(super) any_order: bool,
    pub(super) given: Vec<Given>,
    pub(super) then: Vec<Then>,
    /// What it is about.
    pub(super) models: BTreeSet<String>,
}

/// One record.
pub(super) struct Given {
    pub(super) line: usize,
    /// `context.event`, and that with its version.
    pub(super) relation: String,
    pub(super) written: String,
    pub(super) record: LogRecord,
}

/// What is expected.
pub(super) enum Then {
    Answer(Answer),
    Parked(Parked),
}

/// The answer to one request.
pub(super) struct Answer {
    pub(super) line: usize,
    pub(super) address: String,
    /// None: everything may be read.
    pub(super) reader: Option<Reader>,
    pub(super) status: Option<u16>,
    pub(super) rows: Option<Rows>,
    /// Where `rows` would be written: behind the address.
    pub(super) behind: usize,
}

pub(super) struct Rows {
    pub(super) rows: Vec<Map<String, Value>>,
    /// The columns that any of them names, in the order in which they are named first.
    pub(super) columns: Vec<String>,
    /// Bytes of them in the file.
    pub(super) span: Range<usize>,
}

/// The records that are parked.
pub(super) struct Parked {
    pub(super) line: usize,
    pub(super) records: Vec<ParkedRecord>,
    /// Bytes of the list in the file.
    pub(super) span: Range<usize>,
}

#[derive(Debug)]
pub(super) struct ParkedRecord {
    /// `context.event`, perhaps with its version.
    pub(super) event: String,
    /// A part of the reason.
    pub(super) reason: Option<String>,
}

impl Answer {
    /// The columns that are compared; none: all.
    pub(super) fn columns(&self) -> &[String] {
        self.rows.as_ref().map_or(&[], |rows| &rows.columns)
    }

    /// Whether the order of the rows is asked for.
    pub(super) fn is_ordered(&self) -> bool {
        let query = self.address.split_once('?').map_or("", |(_, query)| query);
        query.split('&').any(|parameter| parameter.starts_with("order="))
    }
}

impl ParkedRecord {
    pub(super) fn is(&self, given: &Given) -> bool {
        self.event == given.relation || self.event == given.written
    }
}
