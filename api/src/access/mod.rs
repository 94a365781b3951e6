//! Who asks. Invariant: a query route is answered to a caller whom this room has named, or not at all.

mod caller;
mod reader;

pub(crate) use caller::{Caller, name_caller};
pub use reader::Reader;
