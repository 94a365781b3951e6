//! A producer at a steady pace, and somebody who looks at the rows all the while.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use serde_json::json;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use crate::faults::rig::Rig;
use crate::support::{Event, Ledger, Message, PATIENCE, Producer, Writer, eventually};

const ACCOUNTS: u32 = 60;
const TICK: Duration = Duration::from_millis(50);
/// Events a tick: enough that every trouble meets batches under way.
const EVENTS: usize = 25;
const BETWEEN_LOOKS: Duration = Duration::from_millis(500);

pub(crate) struct Load {
    ended: Arc<AtomicBool>,
    looks: Arc<AtomicUsize>,
    producing: JoinHandle<()>,
    looking: std::thread::JoinHandle<()>,
}

impl Load {
    /// Begins to produce, steadily, and to look.
    pub(crate) async fn start(rig: &Rig, seed: u64) -> Self {
        println!("seed {seed}");
        let ended = Arc::new(AtomicBool::new(false));
        let looks = Arc::new(AtomicUsize::new(0));
        let producing =
            tokio::spawn(produce(rig.ledger.clone(), rig.writer().await, ended.clone(), seed));
        let (rig, runtime, seen, over) =
            (rig.clone(), Handle::current(), looks.clone(), ended.clone());
        // On a thread of its own, because what it waits for in `check` cannot change threads.
        let looking = std::thread::spawn(move || runtime.block_on(look(rig, seen, over)));
        Self { ended, looks, producing, looking }
    }

    /// Waits until somebody has looked while it runs.
    pub(crate) async fn looked_at(&self) {
        eventually(PATIENCE, async || match self.looks.load(Ordering::SeqCst) {
            0 => Err("nobody has looked yet"),
            _ => Ok(()),
        })
        .await;
    }

    /// Stops; everything that was sent is in the ledger then.
    pub(crate) async fn end(self) {
        self.ended.store(true, Ordering::SeqCst);
        self.producing.await.unwrap();
        self.looking.join().unwrap();
    }
}

/// Sends events at a steady pace, one in fifty again soon after; the ledger knows them once the broker has them.
async fn produce(ledger: Arc<Ledger>, writer: Writer, ended: Arc<AtomicBool>, seed: u64) {
    let producer = Producer::new();
    let mut random = SmallRng::seed_from_u64(seed);
    let mut pace = tokio::time::interval(TICK);
    let mut sent: Vec<Event> = Vec::new();
    // More than any earlier load's.
    let first = ledger.len() as i64 + 1;
    while !ended.load(Ordering::SeqCst) {
        pace.tick().await;
        let mut events = Vec::with_capacity(EVENTS);
        for _ in 0..EVENTS {
            if !sent.is_empty() && random.random_range(0..50) == 0 {
                let again = sent.len() - 1 - random.random_range(0..sent.len().min(500));
                events.push(sent[again].clone());
            }
            let account = format!("a{:02}", random.random_range(0..ACCOUNTS));
            let event = Event {
                account,
                number: first + sent.len() as i64,
                amount: random.random_range(-500..500),
            };
            sent.push(event.clone());
            events.push(event);
        }
        let messages: Vec<Message> =
            events.iter().map(|event| message(&writer, event, "")).collect();
        for (place, event) in producer.send_all(&messages).await.into_iter().zip(events) {
            ledger.note(place, event);
        }
    }
}

/// The event as a record; `ballast` makes it as heavy as one likes.
pub(crate) fn message(writer: &Writer, event: &Event, ballast: &str) -> Message {
    let Event { account, number, amount } = event;
    let value = json!({"account": account, "number": number, "amount": amount, "ballast": ballast});
    writer.event(account, &value).header("ce_id", &format!("event-{number}"))
}

async fn look(rig: Rig, looks: Arc<AtomicUsize>, ended: Arc<AtomicBool>) {
    let mut pace = tokio::time::interval(BETWEEN_LOOKS);
    while !ended.load(Ordering::SeqCst) {
        pace.tick().await;
        // Before the model's first start, and while a test's own Postgres is away, there is nothing to see.
        looks.fetch_add(usize::from(rig.check().await.is_ok()), Ordering::SeqCst);
    }
}
