//! The world's troubles, one after another, on real services: nothing is lost, nothing doubled, the order is kept, the
//! model says what it waits for, and goes on by itself when the trouble is over. `docs/testing.md` names them;
//! comments here begin with those names.

mod commit;
mod half_open;
mod kafka;
mod load;
mod members;
mod memory;
mod postgres;
mod registry;
mod rig;
mod server;

/// Whether there is time for what takes minutes.
fn nightly() -> bool {
    std::env::var_os("VITRINA_NIGHTLY").is_some()
}
