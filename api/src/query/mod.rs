//! What a caller asks, parsed and checked against the catalogue. Invariant: no I/O here, and any bytes give either a
//! query or a problem.

mod column;
mod cursor;
mod filter;
mod name;
mod order;
mod page;
mod parameter;
pub(crate) mod path;

pub(crate) use column::selected;
pub(crate) use cursor::mismatch;
pub(crate) use filter::Filter;
pub(crate) use order::{create_index, spelled};
pub(crate) use page::{Page, row_json};
pub(crate) use parameter::Parameters;
