#![doc = include_str!("../README.md")]

mod contract;
mod hint;
mod read;
mod registry;
mod schema;
mod value;
mod walk;
mod write;

pub use contract::draft::{Draft, draft_upcast};
pub use contract::publish::{encode_json, key_text};
pub use contract::upcast::lossy_cast;
pub use contract::version::field_place;
pub use contract::{Context, Contract, Contracts, METADATA, Origin, Version};
pub use read::decoder::{DecodedRecord, Decoder, Defaulted, EventId, KeySchema, UnknownName};
pub use read::error::RecordError;
pub use read::frame::{Framed, HeaderPlace, Headers, Record, SchemaRef};
pub use read::layout::{Layout, ORDINAL, VersionLayout};
pub use read::matching::{Obstacle, Unfit};
pub use read::outlook::Outlook;
pub use read::rows::{EventRows, Row, Rows};
pub use registry::subject::Registered;
pub use registry::{Registry, RegistryError, RegistrySettings};
pub use schema::{Schema, SchemaError, parse_json};
pub use value::column::{Column, ColumnType, Values};
pub use write::error::EncodeError;
