//! The views that exist, as Postgres knows them. Invariant: every identifier and type that reaches a statement was
//! read from here, already quoted by Postgres.

mod directory;
mod failure;
mod fingerprint;
mod freshness;
mod gauge;
mod listing;
mod log;
mod position;
mod reached;
mod rows;
mod seal;
mod sights;
mod sought;
mod view;

pub(crate) use directory::Directory;
pub(crate) use failure::Failure;
pub(crate) use fingerprint::fingerprint;
pub(crate) use freshness::{Below, Freshness, Lag};
pub(crate) use listing::Catalogue;
pub(crate) use reached::Reached;
pub(crate) use seal::{Seal, Secret};
pub(crate) use sought::Sought;
pub(crate) use view::{Column, Found, Index, Indexed, View};
