//! Where HTTP begins. Invariant: nothing here knows what a view is; it bounds, counts and carries requests.

mod connection;
pub(crate) mod guard;
pub(crate) mod measure;
mod pulse;
pub(crate) mod server;
pub(crate) mod tls;
