//! Where HTTP begins. Invariant: nothing here knows what a view is; it bounds, counts and carries requests.

pub(crate) mod guard;
pub(crate) mod measure;
pub(crate) mod server;
