//! What integration tests share: the services of `make test`, and the real binary. Every test takes a database, topics
//! and groups of its own, so tests never meet and run side by side.
// Each file of tests uses a part of this, and nothing of it leaves that file's crate.
#![allow(dead_code, unused_imports, unreachable_pub, clippy::unwrap_used, clippy::expect_used)]

mod certificates;
mod database;
mod datum;
mod folder;
mod ledger;
mod producer;
mod proxy;
mod server;
mod stack;
mod topics;
mod vitrina;
mod waiting;

pub use certificates::{Authority, Issued};
pub use database::Database;
pub use datum::datum;
pub use folder::{Finished, Folder, free_address};
pub use ledger::{Applied, Event, Ledger, Row};
pub use producer::{Message, Producer, Writer};
pub use proxy::{Proxy, Trap, Weather};
pub use server::Server;
pub use stack::{Stack, unique};
pub use topics::{admin, create_topic, delete_topic, grow_topic, kafka_tool};
pub use vitrina::{Answer, Vitrina};
pub use waiting::{PATIENCE, eventually};
