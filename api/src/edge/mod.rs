//! Where HTTP begins. Invariant: nothing here knows what a view is; it bounds, counts and carries requests.

pub(crate) mod coding;
mod connection;
pub(crate) mod guard;
pub(crate) mod measure;
pub(crate) mod origin;
pub(crate) mod passage;
mod pulse;
pub(crate) mod rate;
pub(crate) mod server;
pub(crate) mod tls;
