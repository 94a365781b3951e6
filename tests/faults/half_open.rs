//! Half-open connection: a firewall has forgotten the connections to Postgres, and tells nobody.

use std::time::Duration;

use crate::faults::load::Load;
use crate::faults::nightly;
use crate::faults::rig::Rig;

/// Longer than the longest time that one answer may take.
const NOTICED: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn silent_connections_to_postgres_are_given_up() {
    let rig = Rig::new(2, "").await;
    let vitrina = rig.folder.serve();
    let load = Load::start(&rig, 27).await;
    rig.goes_on(100).await;
    for _ in 0..if nightly() { 3 } else { 1 } {
        rig.postgres.half_open();
        rig.goes_on_within(NOTICED, 200).await;
    }
    rig.settle(load).await;
    rig.says("live", &[]).await;
    assert!(vitrina.terminate().await.success());
}
