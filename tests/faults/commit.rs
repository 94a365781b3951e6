//! COMMIT was sent, and its answer never comes: whether it arrived is read, never guessed.

use crate::faults::load::Load;
use crate::faults::rig::{RECOVERY, Rig};
use crate::support::{Trap, eventually};

/// F2, both outcomes.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_to_commit_is_read_from_the_position() {
    let outcomes = [true, false, true, true, false, false].map(commit);
    survives(&outcomes).await;
}

/// F2, and the connection is lost, too, that asks for the outcome.
#[tokio::test(flavor = "multi_thread")]
async fn the_connection_that_asks_for_the_outcome_is_lost_too() {
    let question = Trap { known_by: "", at: "FOR UPDATE", arrives: false };
    survives(&[commit(true), question, commit(false), question]).await;
}

/// Of the connection that runs the model's rules; others commit as well.
fn commit(arrives: bool) -> Trap {
    Trap { known_by: "witness", at: "COMMIT", arrives }
}

async fn survives(traps: &[Trap]) {
    let rig = Rig::new(2, "[model]\nmax_events = 100").await;
    let vitrina = rig.folder.serve();
    let load = Load::start(&rig, 2).await;
    rig.goes_on(100).await;
    rig.postgres.lay(traps);
    eventually(RECOVERY, async || match rig.postgres.open_traps() {
        0 => Ok(()),
        open => Err(format!("{open} traps are open; {}", rig.status())),
    })
    .await;
    rig.goes_on(200).await;
    rig.settle(load).await;
    rig.says("live", &[]).await;
    assert_eq!(rig.idle_in_transaction().await, 0);
    assert!(vitrina.terminate().await.success());
}
