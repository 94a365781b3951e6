//! What the crate promises, through its public face.
#![allow(clippy::unwrap_used, unreachable_pub)]

mod common;
mod every;
mod hostile;
mod loading;
mod matching;
mod metadata;
mod oracle;
mod publish;
mod registry;
mod relation;
mod tombstones;
mod writers;
