//! A Postgres that goes and comes back: one instance and one load, trouble after trouble.

use serde_json::json;

use crate::faults::load::Load;
use crate::faults::rig::{RECOVERY, Rig};
use crate::support::{Database, Server, Stack, Vitrina, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn postgres_stopped_killed_full_and_read_only() {
    let mut server = Server::start().await;
    let database = owned_by_service(Database::create_on(&server.url()).await).await;
    let rig = Rig::on(database, &Stack::get().kafka, 2, "[model]\nmax_events = 200").await;
    rig.serve_as("service");
    let vitrina = rig.folder.serve();
    let load = Load::start(&rig, 21).await;
    rig.goes_on(100).await;
    read_only(&rig, &vitrina).await;
    no_connection_left(&rig).await;
    for mode in ["fast", "immediate"] {
        server.stop(mode);
        away(&rig, &mut server).await;
    }
    server.kill();
    away(&rig, &mut server).await;
    rig.settle(load).await;
    rig.says("live", &[]).await;
    assert_eq!(rig.idle_in_transaction().await, 0);
    assert!(vitrina.terminate().await.success());
}

/// A role that may do no more than it must, and can be kept out: superusers cannot.
async fn owned_by_service(database: Database) -> Database {
    let name = database.url.rsplit_once('/').unwrap().1.to_owned();
    database
        .execute(&format!("CREATE ROLE service LOGIN; ALTER DATABASE {name} OWNER TO service"))
        .await;
    database
}

/// Read-only server: after a failover the old leader answers on, and writes nothing.
async fn read_only(rig: &Rig, vitrina: &Vitrina) {
    only_reads(rig, true).await;
    eventually(RECOVERY, async || match vitrina.stderr() {
        told if told.contains("25006") => Ok(()),
        told => Err(told),
    })
    .await;
    assert_eq!(vitrina.get("/v1/views/witness?limit=1").await.status, 200);
    only_reads(rig, false).await;
    rig.goes_on(200).await;
}

async fn only_reads(rig: &Rig, on: bool) {
    rig.database.execute(&format!("ALTER SYSTEM SET default_transaction_read_only = {on}")).await;
    rig.database.execute("SELECT pg_reload_conf()").await;
}

/// Read-only server: nobody may take the service for gone because it cannot write that it waits.
#[tokio::test(flavor = "multi_thread")]
async fn the_status_tells_that_postgres_only_reads() {
    let server = Server::start().await;
    let rig = Rig::on(Database::create_on(&server.url()).await, &Stack::get().kafka, 1, "").await;
    let vitrina = rig.folder.serve();
    let load = Load::start(&rig, 22).await;
    rig.goes_on(100).await;
    rig.database.eventually("SELECT count(*) AS n FROM vitrina.worker", &json!([{"n": 2}])).await;
    only_reads(&rig, true).await;
    rig.says("waiting", &["Postgres", "read"]).await;
    // What instances wrote before is forgotten after ten seconds.
    let old = "SELECT max(updated_at) < now() - interval '10 s' AS old FROM vitrina.worker";
    rig.database.eventually(old, &json!([{"old": true}])).await;
    rig.says("waiting", &["Postgres", "read"]).await;
    only_reads(&rig, false).await;
    rig.settle(load).await;
    assert!(vitrina.terminate().await.success());
}

/// Exhausted server: all connections are taken.
async fn no_connection_left(rig: &Rig) {
    rig.database.execute("ALTER ROLE service CONNECTION LIMIT 0").await;
    let thrown_out =
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'service'";
    rig.database.execute(thrown_out).await;
    let asked = rig.folder.run(&["status", "--json"]);
    assert_eq!(asked.status, Some(1), "{asked:?}");
    assert!(asked.stderr.contains("too many connections"), "{asked:?}");
    rig.database.execute("ALTER ROLE service CONNECTION LIMIT -1").await;
    rig.goes_on(200).await;
}

async fn away(rig: &Rig, server: &mut Server) {
    let asked = rig.folder.run(&["status", "--json"]);
    assert_eq!(asked.status, Some(1), "{asked:?}");
    assert!(asked.stderr.contains("postgres.url"), "{asked:?}");
    server.begin().await;
    rig.goes_on(200).await;
}
