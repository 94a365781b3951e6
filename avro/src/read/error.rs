//! What can be wrong with one record. Every error names the place in the record and what was found there; none of them
//! goes away by trying again.

use crate::walk::fault::PayloadFault;

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
    /// The record's key does not hold the key field of its context.
    #[error("the key does not give `{column}`: {what}")]
    Key { column: String, what: String },
    /// The record's schema was not added before the record was decoded.
    #[error("the schema {0} of this record has not been fetched")]
    SchemaNotFetched(String),
}

fn place(field: &str) -> String {
    if field.is_empty() { String::new() } else { format!("field {field}, ") }
}

impl From<Box<PayloadFault>> for RecordError {
    fn from(fault: Box<PayloadFault>) -> Self {
        Self::Payload { field: fault.path, at: fault.at, what: fault.what }
    }
}
