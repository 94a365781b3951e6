//! Backlog: a slow Postgres and a long log: what is read ahead is bounded.

use std::time::{Duration, Instant};

use crate::faults::load::message;
use crate::faults::rig::Rig;
use crate::support::{Event, Message, PATIENCE, Producer, Weather};

const MEBIBYTE: usize = 1024 * 1024;
/// More than twice what may be held of it; each of the two models reads it for itself.
const BACKLOG: usize = 400 * MEBIBYTE;
const BALLAST: usize = 8 * 1024;
const BOUND: usize = 350 * MEBIBYTE;

#[tokio::test(flavor = "multi_thread")]
async fn memory_is_bounded_while_postgres_is_slow() {
    let rig = Rig::new(4, "").await;
    let writer = rig.writer().await;
    let (producer, ballast) = (Producer::new(), "x".repeat(BALLAST));
    let events: Vec<i64> = (1..=(BACKLOG / BALLAST) as i64).collect();
    for part in events.chunks(1000) {
        let events = part.iter().map(|number| Event {
            account: format!("a{}", number % 50),
            number: *number,
            amount: 1,
        });
        let events: Vec<Event> = events.collect();
        let messages: Vec<Message> =
            events.iter().map(|event| message(&writer, event, &ballast)).collect();
        for (place, event) in producer.send_all(&messages).await.into_iter().zip(events) {
            rig.ledger.note(place, event);
        }
    }
    let vitrina = rig.folder.serve();
    rig.goes_on(1).await;
    rig.postgres.set(Weather::Slow(Duration::from_millis(20)));
    let (start, mut most) = (Instant::now(), 0);
    while start.elapsed() < Duration::from_secs(10) {
        most = most.max(vitrina.resident());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(most < BOUND, "{} MiB", most / MEBIBYTE);
    rig.postgres.set(Weather::Fair);
    rig.applied(PATIENCE, rig.ledger.len() as i64).await;
    assert!(vitrina.resident() < BOUND, "{} MiB", vitrina.resident() / MEBIBYTE);
    assert!(vitrina.terminate().await.success());
}
