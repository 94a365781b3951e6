//! COMMIT was sent, and its answer never comes: whether it arrived is read, never guessed.

use crate::faults::load::Load;
use crate::faults::rig::{RECOVERY, Rig};
use crate::support::{Trap, eventually};

/// Lost answer, both outcomes.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_to_commit_is_read_from_the_position() {
    let outcomes = [true, false, true, true, false, false];
    let of = |writer| outcomes.map(|arrives| commit(writer, arrives));
    survives(&[of(WITNESS), of(KEYED)].concat()).await;
}

/// Lost answer, and the connection is lost, too, that asks for the outcome.
#[tokio::test(flavor = "multi_thread")]
async fn the_connection_that_asks_for_the_outcome_is_lost_too() {
    let question = Trap { known_by: "", at: "FOR UPDATE", arrives: false };
    let of = |writer| [commit(writer, true), question, commit(writer, false), question];
    survives(&[of(WITNESS), of(KEYED)].concat()).await;
}

/// The connections that run either model's rules; others commit as well.
const WITNESS: &str = "INSERT INTO witness AS";
const KEYED: &str = "INSERT INTO keyed AS";

fn commit(known_by: &'static str, arrives: bool) -> Trap {
    Trap { known_by, at: "COMMIT", arrives }
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
