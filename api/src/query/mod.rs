//! What a caller asks, parsed and checked against the catalogue. Invariant: no I/O here, and any bytes give either a
//! query or a problem.

mod advice;
mod column;
mod count;
mod cursor;
mod filter;
mod group;
mod name;
mod operand;
mod order;
mod page;
mod parameter;
pub(crate) mod path;
mod select;
mod value;

pub(crate) use advice::too_expensive;
pub(crate) use count::Count;
pub(crate) use cursor::{Cursor, mismatch};
pub(crate) use filter::{Filter, operators};
pub(crate) use group::GROUPS;
pub(crate) use name::quoted;
pub(crate) use order::spelled;
pub(crate) use page::Page;
pub(crate) use parameter::{Parameters, as_parameter};
pub(crate) use select::{Selected, row_texts, selected, shape};
