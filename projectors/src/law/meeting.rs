//! What happens where connections meet, which chance would hardly bring: a row that somebody holds, and a Postgres that
//! has rolled back what an instance remembers.

use std::time::{Duration, Instant};

use sqlx::postgres::{PgConnectOptions, PgPool};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};
use vitrina_ingest::{Epoch, Offset};

use super::database;
use super::dice::Dice;
use super::events::Event;
use super::lanes::Lanes;
use super::models;
use super::world::World;
use crate::fault::Fault;

/// An event of `a.up` of a version, from 0.
fn up(dice: &mut Dice, version: usize, key: i64, offset: i64) -> Event {
    loop {
        let mut event = Event::draw(dice, offset, &[0]);
        if event.version == version {
            event.key = key;
            event.value["k"] = key.into();
            return event;
        }
    }
}

/// Waits until a connection to the database waits for a lock. It looks from outside: a transaction sees one state of them.
async fn blocked(options: &PgConnectOptions) {
    let mut connection = PgConnection::connect_with(options).await.unwrap();
    let waiting = "SELECT count(*) FROM pg_stat_activity
                   WHERE datname = current_database() AND wait_event_type = 'Lock'";
    let start = Instant::now();
    while sqlx::query_scalar::<_, i64>(waiting).fetch_one(&mut connection).await.unwrap() == 0 {
        assert!(start.elapsed() < Duration::from_secs(20), "nobody waits for the row");
        tokio::task::yield_now().await;
    }
}

/// Writes a wave of two versions while somebody holds the row of its last event; the rows.
async fn write_held(options: &PgConnectOptions, rule: &str, number: i32) -> Vec<String> {
    const ROWS: i64 = 6;
    let text = format!("CREATE TABLE m (k int8 PRIMARY KEY, n int8 NOT NULL);\n{rule};");
    let definition = models::load(&text).unwrap();
    let mut world = World::open(options, &definition, number, true).await.unwrap();
    let mut other = PgConnection::connect_with(options).await.unwrap();
    let table = format!("\"law@{number}\".m");
    let rows =
        format!("INSERT INTO {table} SELECT k, 0 FROM generate_series(0, {}) AS k", ROWS - 1);
    other.execute(AssertSqlSafe(rows)).await.unwrap();
    let mut dice = Dice::new(1);
    let version = |key: i64| usize::from(key >= ROWS / 2);
    let events: Vec<Event> = (0..ROWS).map(|key| up(&mut dice, version(key), key, key)).collect();
    let hold = format!("BEGIN; UPDATE {table} SET n = 0 WHERE k = {}", ROWS - 1);
    other.execute(AssertSqlSafe(hold)).await.unwrap();
    let mut written = Vec::new();
    let (refused, ()) = tokio::join!(world.write(&definition, &events, &mut written), async {
        blocked(options).await;
        other.execute("COMMIT").await.unwrap();
    });
    assert_eq!(refused, []);
    assert_eq!(written, [(ROWS as usize, 1)], "it was to be one wave");
    let rows = world.rows(&definition).await;
    world.close().await;
    rows
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_row_drops_no_event_of_a_wave() {
    let Some(options) = database().await else { return };
    let update = "UPDATE m SET n = m.n * 2 + 1 FROM a.up e WHERE m.k = e.k";
    let rows = write_held(&options, update, 1).await;
    assert_eq!(rows, (0..6).map(|key| format!("m: ({key},1)")).collect::<Vec<_>>());
    let delete = "DELETE FROM m USING a.up e WHERE m.k = e.k";
    assert_eq!(write_held(&options, delete, 2).await, Vec::<String>::new());
}

/// Version 1 in memory, 0 after a failover, 1 again by another writer: the key that this one parked must be known.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_rolled_back_is_forgotten() {
    let Some(options) = database().await else { return };
    let pool = PgPool::connect_with(options.clone()).await.unwrap();
    let text = "CREATE TABLE m (k int8 PRIMARY KEY, n int8);
                INSERT INTO m SELECT e.k, 1 FROM a.up e ON CONFLICT DO NOTHING;";
    let definition = models::load(text).unwrap();
    // A new connection, or a claim that is not the newest any more.
    for (number, ends) in [(1, true), (2, false)] {
        let mut dice = Dice::new(1);
        let mut lanes = Lanes::open(&options, &definition, number).await.unwrap();
        let Lanes { lanes: [one, other], schema, .. } = &mut lanes;
        let mine = up(&mut dice, 0, 1, 0);
        one.park(&definition, 0, &mine).await;
        assert_eq!((one.parked("a", "1"), one.parked("a", "2")), (1, 0));
        let back = format!(
            r#"DELETE FROM {schema}."@parked";
               UPDATE {schema}."@position" SET parked_version = 0, epoch = 2, next_offset = 0"#
        );
        pool.execute(AssertSqlSafe(back)).await.unwrap();
        if ends {
            let sessions = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                            WHERE datname = current_database() AND pid <> pg_backend_pid() AND query = 'COMMIT'";
            pool.execute(sessions).await.unwrap();
        } else {
            let fenced = one.write_one(&definition, 0, &mine).await;
            assert!(matches!(fenced, Err(Fault::Fenced(_))), "{fenced:?}");
        }
        for lane in [&mut *one, &mut *other] {
            (lane.epoch, lane.next_offset) = (Epoch(2), Offset(0));
        }
        other.park(&definition, 1, &up(&mut dice, 0, 2, 0)).await;
        let late = up(&mut dice, 0, 2, 1);
        let written = loop {
            match one.write_one(&definition, 0, &late).await {
                Err(Fault::World { .. }) => one.next_offset = Offset(0),
                written => break written,
            }
        };
        assert!(matches!(written, Err(Fault::Stale)), "the event ran past its queue: {written:?}");
        assert_eq!((one.parked("a", "1"), one.parked("a", "2")), (0, 1));
    }
}
