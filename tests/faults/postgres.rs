//! Postgres behind a bad network, and busy with others: one instance and one load, trouble after trouble.

use std::time::Duration;

use futures_util::future::join_all;
use sqlx::{AssertSqlSafe, Executor};

use crate::faults::load::Load;
use crate::faults::rig::{RECOVERY, Rig};
use crate::support::{Vitrina, Weather, eventually};

/// A member that does not poll for six seconds is thrown out of its group.
const SHORT_PATIENCE: &str = "[kafka.properties]\n\"session.timeout.ms\" = \"6000\"\n\"max.poll.interval.ms\" = \"6000\"\n[model]\nmax_events = 200";

#[tokio::test(flavor = "multi_thread")]
async fn postgres_slow_silent_cut_off_and_locked_by_others() {
    let rig = Rig::new(3, SHORT_PATIENCE).await;
    let vitrina = rig.folder.serve();
    let load = Load::start(&rig, 7).await;
    rig.goes_on(100).await;
    requests_are_abandoned(&rig, &vitrina).await;
    silence_outlasts_the_poll_interval(&rig, &vitrina).await;
    cut_off(&rig, &vitrina).await;
    deadlocks(&rig).await;
    refusals_of_the_world(&rig).await;
    rig.settle(load).await;
    rig.says("live", &[]).await;
    assert_eq!(rig.idle_in_transaction().await, 0);
    assert!(vitrina.terminate().await.success());
}

/// Abandoned request: requests that nobody waits for leave no transaction open, and no connection poisoned.
async fn requests_are_abandoned(rig: &Rig, vitrina: &Vitrina) {
    rig.postgres.set(Weather::Slow(Duration::from_millis(5)));
    let mut abandoned = 0;
    for round in 0..60 {
        let patience = Duration::from_millis(1 + round);
        let asked = (0..20)
            .map(|_| tokio::time::timeout(patience, vitrina.get("/v1/views/witness?limit=5")));
        abandoned += join_all(asked).await.iter().filter(|answer| answer.is_err()).count();
    }
    rig.postgres.set(Weather::Fair);
    assert!(abandoned > 300, "{abandoned}");
    eventually(RECOVERY, async || match vitrina.get("/v1/views/witness?limit=5").await {
        answer if answer.status == 200 => Ok(()),
        answer => Err(answer.to_string()),
    })
    .await;
    rig.goes_on(200).await;
}

/// Long silence: the consumer goes on polling while Postgres says nothing for longer than a member may be silent, so its
/// partitions stay its own: their epochs do not change.
async fn silence_outlasts_the_poll_interval(rig: &Rig, vitrina: &Vitrina) {
    let epochs = r#"SELECT partition, epoch FROM "keyed@1"."@position" UNION ALL SELECT partition, epoch FROM "witness@1"."@position" ORDER BY 1, 2"#;
    let before = rig.database.rows(epochs).await;
    rig.postgres.set(Weather::Frozen);
    // Nothing tells from outside that time has passed but time.
    tokio::time::sleep(Duration::from_secs(9)).await;
    rig.postgres.set(Weather::Fair);
    rig.goes_on(200).await;
    assert_eq!(rig.database.rows(epochs).await, before, "{}", vitrina.stderr());
}

/// The connections break, and nobody answers for a while: who asks over the same network is told where, who asks the
/// instance is told that it waits.
async fn cut_off(rig: &Rig, vitrina: &Vitrina) {
    rig.postgres.set(Weather::Cut);
    let asked = rig.folder.run(&["status", "--json"]);
    assert_eq!(asked.status, Some(1), "{asked:?}");
    assert!(asked.stderr.contains("postgres.url"), "{asked:?}");
    let waiting = "vitrina_model_state{model=\"witness\",state=\"waiting\"} 1";
    eventually(RECOVERY, async || {
        match vitrina.get_admin("/metrics").await.body.to_string().replace('\\', "") {
            metrics if metrics.contains(waiting) => Ok(()),
            metrics => Err(metrics),
        }
    })
    .await;
    assert_eq!(vitrina.get("/livez").await.status, 200);
    assert_eq!(vitrina.get("/readyz").await.status, 503);
    rig.postgres.set(Weather::Fair);
    rig.goes_on(200).await;
    assert_eq!(vitrina.get("/readyz").await.status, 200);
}

/// Clash: others lock the model's rows in another order until Postgres has had to break a circle.
async fn deadlocks(rig: &Rig) {
    let deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()";
    let mut round = 0;
    eventually(RECOVERY, async || {
        let others = (0..3).map(|other| lock_rows(rig, round + other));
        join_all(others).await;
        round += 3;
        let seen = rig.database.rows(deadlocks).await[0]["deadlocks"].as_i64().unwrap();
        if seen >= 1 { Ok(()) } else { Err(format!("{seen} deadlocks in {round} rounds")) }
    })
    .await;
    rig.goes_on(200).await;
}

/// One foreign transaction: it locks a few rows one after another, backwards, and is patient, so that not it is the one to
/// be broken off.
async fn lock_rows(rig: &Rig, round: i64) {
    let mut transaction = rig.database.pool.begin().await.unwrap();
    transaction
        .execute("SET LOCAL deadlock_timeout = '1min'; SET LOCAL lock_timeout = '4s'")
        .await
        .unwrap();
    for step in (0..60).rev() {
        let account = (step + round) % 60;
        let lock =
            format!("SELECT 1 FROM witness.witness WHERE account = 'a{account:02}' FOR UPDATE");
        // A lock that does not come in time ends this one.
        if transaction.execute(AssertSqlSafe(lock)).await.is_err() {
            break;
        }
    }
    let _ = transaction.rollback().await;
}

/// Clash, exhausted server: what Postgres says when it is short of something, or in a hurry, is nobody's fault.
async fn refusals_of_the_world(rig: &Rig) {
    let answer = async |body: &str| {
        let function = format!(
            "CREATE OR REPLACE FUNCTION trouble() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} RETURN NEW; END $$"
        );
        rig.database.execute(&function).await;
    };
    answer("").await;
    let trigger = "CREATE TRIGGER trouble BEFORE INSERT ON \"witness@1\".witness
                   FOR EACH ROW EXECUTE FUNCTION trouble()";
    rig.database.execute(trigger).await;
    for code in ["53100", "55P03", "40001"] {
        answer(&format!("RAISE EXCEPTION 'the world is in trouble' USING ERRCODE = '{code}';"))
            .await;
        rig.says_of("witness", "waiting", &["Postgres", code]).await;
        answer("").await;
        rig.goes_on(100).await;
    }
}
