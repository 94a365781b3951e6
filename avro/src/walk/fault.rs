//! What can be wrong with one record. Every error names the place in the record and what was found there; none of them
//! goes away by trying again.

/// Why a record cannot be decoded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// The bytes around the payload are not the registry's wire format.
    #[error("{0}")]
    Framing(String),
    /// The payload is not what its writer's schema says.
    #[error("{}byte {at} of the payload: {what}", place(.field))]
    Payload { field: String, at: usize, what: String },
    /// No version of the contract can read what the writer wrote.
    #[error("no version of {contract} fits the writer's schema of {record}: {reasons}")]
    NoVersion { contract: String, record: String, reasons: String },
    /// The record's key, headers or timestamps do not hold what the context says.
    #[error("{0}")]
    Metadata(String),
    /// The record's schema was not added before the record was decoded.
    #[error("the schema {0} of this record has not been fetched")]
    SchemaNotFetched(String),
}

fn place(field: &str) -> String {
    if field.is_empty() { String::new() } else { format!("field {field}, ") }
}

/// An error on the way through the payload; boxed, because it is rare and results are many.
#[derive(Debug)]
pub(crate) struct Fault {
    path: String,
    at: usize,
    what: String,
}

pub(crate) type Parse<T> = Result<T, Box<Fault>>;

impl Fault {
    #[cold]
    pub(crate) fn new(at: usize, what: impl Into<String>) -> Box<Self> {
        Box::new(Self { path: String::new(), at, what: what.into() })
    }

    pub(crate) fn what(&self) -> &str {
        &self.what
    }

    /// Puts the field's name before the path, if it has one.
    #[cold]
    pub(crate) fn in_field(mut self: Box<Self>, name: &str) -> Box<Self> {
        if name.is_empty() {
            return self;
        }
        let dot = if self.path.is_empty() || self.path.starts_with('[') { "" } else { "." };
        self.path = format!("{name}{dot}{}", self.path);
        self
    }

    /// Puts an item's place or a map's key before the path.
    #[cold]
    pub(crate) fn in_item(mut self: Box<Self>, item: impl std::fmt::Display) -> Box<Self> {
        let dot = if self.path.is_empty() || self.path.starts_with('[') { "" } else { "." };
        self.path = format!("[{item}]{dot}{}", self.path);
        self
    }
}

impl From<Box<Fault>> for RecordError {
    fn from(fault: Box<Fault>) -> Self {
        Self::Payload { field: fault.path, at: fault.at, what: fault.what }
    }
}
