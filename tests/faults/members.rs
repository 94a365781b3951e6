//! Instances come and go, freeze and are killed: whoever writes has the newest claim.

use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use crate::faults::kafka::Door;
use crate::faults::load::Load;
use crate::faults::nightly;
use crate::faults::rig::{RECOVERY, Rig};
use crate::support::{Database, Stack, Vitrina, Weather, eventually};

/// Frozen ones are missed after six seconds.
const SHORT_SESSIONS: &str =
    "[kafka.properties]\n\"session.timeout.ms\" = \"6000\"\n[model]\nmax_events = 200";
/// The session's end, then the end of the transaction that the frozen one has left open, then a claim that waited for it
/// in vain and comes again.
const TAKEN_OVER: Duration = Duration::from_secs(60);
/// After which orchestrators kill, less a margin.
const SHUTDOWN: Duration = Duration::from_secs(25);

/// Frozen transaction, zombie: frozen in the middle of a transaction for longer than its session; another takes over, and
/// what the first one still holds when it thaws is worth nothing.
#[tokio::test(flavor = "multi_thread")]
async fn frozen_in_a_transaction_and_thawed_after_another_took_over() {
    let rig = Rig::new(2, SHORT_SESSIONS).await;
    let frozen = rig.folder.serve();
    let load = Load::start(&rig, 3).await;
    rig.goes_on(100).await;
    freeze_in_a_transaction(&rig, &frozen).await;
    let other = rig.another();
    rig.goes_on_within(TAKEN_OVER, 500).await;
    frozen.thaw();
    rig.goes_on(500).await;
    rig.settle(load).await;
    rig.says("live", &[]).await;
    for vitrina in [frozen, other] {
        assert!(vitrina.terminate_within(SHUTDOWN).await.success());
    }
}

/// With a slow network a batch is nearly always under way, and then its transaction waits for the next statement.
async fn freeze_in_a_transaction(rig: &Rig, vitrina: &Vitrina) {
    rig.postgres.set(Weather::Slow(Duration::from_millis(20)));
    eventually(RECOVERY, async || {
        vitrina.freeze();
        // A statement that was on its way has come to its end by then.
        tokio::time::sleep(Duration::from_millis(300)).await;
        if rig.idle_in_transaction().await > 0 {
            return Ok(());
        }
        vitrina.thaw();
        Err("no transaction was open")
    })
    .await;
    rig.postgres.set(Weather::Fair);
}

/// Zombie: Kafka has given the first one up, which cannot hear of it, and still holds batches when it reaches Postgres
/// again.
#[tokio::test(flavor = "multi_thread")]
async fn a_zombie_with_batches_under_way_writes_none_of_them() {
    let door = Door::open().await;
    let rig = Rig::on(Database::create().await, &Stack::get().kafka_door, 2, SHORT_SESSIONS).await;
    let zombie = rig.folder.serve();
    let load = Load::start(&rig, 4).await;
    rig.goes_on(100).await;
    // It may hear that its session is over just in time, and then there is nothing to be fenced off.
    let mut rounds = 0..;
    while rounds.next() < Some(if nightly() { 5 } else { 1 }) || fences(&zombie).await == 0.0 {
        rig.postgres.set(Weather::Frozen);
        // What it reads ahead meanwhile is what it will try to write.
        rig.produced(rig.ledger.len() + 500).await;
        door.network.set(Weather::Frozen);
        let heir = rig.another_without_trouble();
        rig.goes_on_within(TAKEN_OVER, 1000).await;
        rig.postgres.set(Weather::Fair);
        rig.goes_on(500).await;
        door.network.set(Weather::Fair);
        rig.goes_on(500).await;
        assert!(heir.terminate_within(SHUTDOWN).await.success());
        rig.goes_on(500).await;
        assert!(rounds.start < 10, "never fenced: {}", zombie.stderr());
    }
    rig.settle(load).await;
    rig.says("live", &[]).await;
    assert!(zombie.terminate_within(SHUTDOWN).await.success());
}

/// How often it has found that somebody else had claimed.
async fn fences(vitrina: &Vitrina) -> f64 {
    let metrics = vitrina.get_admin("/metrics").await.body;
    let counts = metrics
        .as_str()
        .unwrap()
        .lines()
        .filter(|line| line.starts_with("vitrina_fenced_partitions_total{"));
    counts.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum()
}

/// Rebalance storm, sudden death: up to four instances under load; at random one joins, or leaves, by a signal or by a
/// crash. One that is asked to leave does so in time, and well.
#[tokio::test(flavor = "multi_thread")]
async fn a_storm_of_joins_leaves_and_kills() {
    let rig = Rig::new(6, SHORT_SESSIONS).await;
    let seed = rand::random();
    let mut random = SmallRng::seed_from_u64(seed);
    let mut running = vec![rig.another(), rig.another()];
    let load = Load::start(&rig, seed).await;
    rig.goes_on(100).await;
    let rounds = if nightly() { 60 } else { 10 };
    for round in 0..rounds {
        if running.len() < 2 || (running.len() < 4 && random.random_bool(0.5)) {
            running.push(rig.another());
        } else {
            let leaving = running.swap_remove(random.random_range(0..running.len()));
            match random.random_range(0..3) {
                0 => leaving.kill(),
                _ => assert!(leaving.terminate_within(SHUTDOWN).await.success(), "round {round}"),
            }
        }
        rig.goes_on(random.random_range(1..300)).await;
    }
    rig.settle(load).await;
    for vitrina in running {
        assert!(vitrina.terminate_within(SHUTDOWN).await.success());
    }
    assert_eq!(rig.idle_in_transaction().await, 0);
}

/// Hanging end: nothing answers, neither Kafka nor Postgres, and it ends all the same.
#[tokio::test(flavor = "multi_thread")]
async fn asked_to_end_while_nothing_answers() {
    let door = Door::open().await;
    let rig = Rig::on(Database::create().await, &Stack::get().kafka_door, 2, SHORT_SESSIONS).await;
    let load = Load::start(&rig, 28).await;
    for (kafka, postgres) in [(Weather::Frozen, Weather::Frozen), (Weather::Cut, Weather::Cut)] {
        let vitrina = rig.folder.serve();
        rig.goes_on(300).await;
        door.network.set(kafka);
        rig.postgres.set(postgres);
        rig.produced(rig.ledger.len() + 300).await;
        // How it ends is not asked: with a transaction that it knows nothing of it may have to give up.
        vitrina.terminate_within(SHUTDOWN + Duration::from_secs(3)).await;
        door.network.set(Weather::Fair);
        rig.postgres.set(Weather::Fair);
    }
    let vitrina = rig.folder.serve();
    rig.settle(load).await;
    assert!(vitrina.terminate_within(SHUTDOWN).await.success());
}
