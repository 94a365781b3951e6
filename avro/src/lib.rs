#![doc = include_str!("../README.md")]

mod contract;
mod nearest;
mod read;
mod registry;
mod schema;
mod value;
mod walk;
mod write;

pub use contract::{Context, Contract, Contracts, METADATA, Origin, Version};
pub use read::decoder::{Decoded, Decoder, Identity};
pub use read::frame::{Framed, HeaderPlace, Headers, Record, SchemaRef};
pub use read::layout::{Layout, ORDINAL, VersionLayout};
pub use read::rows::Rows;
pub use registry::{Registry, RegistryError, RegistrySettings};
pub use schema::{Schema, SchemaError};
pub use value::column::{Column, ColumnType, Values};
pub use walk::fault::RecordError;
pub use write::encode::{EncodeError, encode_json, key_text};
