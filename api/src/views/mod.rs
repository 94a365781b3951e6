//! What frontends ask of views, one route each. Invariant: rows pass through as the text that Postgres made of them.

pub(crate) mod docs;
pub(crate) mod index;
pub(crate) mod list;
pub(crate) mod row;
pub(crate) mod schema;
mod whole;
