//! Nothing lost, nothing doubled, order kept: two instances while one of them is killed again and again.

use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use crate::bank::{Bank, MOVED, Oracle, WITNESS, moved};
use crate::support::{Database, Message, Producer, Vitrina, eventually};

const EVENTS: usize = 20_000;
const ACCOUNTS: u32 = 40;

/// Events over 40 accounts, one in a hundred sent twice, and what they come to.
fn ledger(writer: &crate::support::Writer, seed: u64) -> (Vec<Message>, Oracle) {
    let mut random = SmallRng::seed_from_u64(seed);
    let (mut messages, mut oracle) = (Vec::new(), Oracle::default());
    let mut sequence = vec![0; ACCOUNTS as usize];
    for _ in 0..EVENTS {
        let account = random.random_range(0..ACCOUNTS);
        let (name, cents) = (format!("a{account:02}"), random.random_range(-5000..5000));
        let seq = &mut sequence[account as usize];
        *seq += 1;
        let message = moved(writer, &name, *seq, cents);
        oracle.moved(&name, *seq, cents);
        if random.random_range(0..100) == 0 {
            messages.push(message.clone());
        }
        messages.push(message);
    }
    (messages, oracle)
}

#[tokio::test(flavor = "multi_thread")]
async fn two_instances_under_kills_equal_a_fold_by_hand() {
    let database = Database::create().await;
    let bank = Bank::new(&database, 4).await;
    // Two of one folder: the second has other ports, and a killed one is missed after six seconds.
    let bank = Bank {
        folder: bank
            .folder
            .configure("[kafka.properties]\n\"session.timeout.ms\" = \"6000\"\n[model]\nmax_events = 200"),
        ..bank
    };
    let steady = bank.folder.serve();
    let writer = bank.writer(MOVED).await;
    let (messages, oracle) = ledger(&writer, 7);
    let producing = tokio::spawn(async move { Producer::new().send_all(&messages).await });
    let mut kills = 0;
    while kills < 4 || !producing.is_finished() {
        let mut command = bank.folder.command(&["serve", "--only", "project"]);
        command.env("VITRINA_HTTP__ADMIN_LISTEN", "127.0.0.1:0");
        let victim = Vitrina::start(command, bank.folder.listen, bank.folder.admin_listen);
        let before = position(&database).await;
        eventually(Duration::from_secs(60), async || match position(&database).await {
            now if now > before + 500 || now >= EVENTS as i64 => Ok(()),
            now => Err(format!("positions stand at {now}, {before} before")),
        })
        .await;
        victim.kill();
        kills += 1;
    }
    producing.await.unwrap();
    database.eventually(WITNESS, &oracle.rows()).await;
    assert!(steady.terminate().await.success());
}

async fn position(database: &Database) -> i64 {
    let rows = database.try_rows("SELECT coalesce(sum(next_offset), 0)::bigint AS at FROM vitrina.position").await;
    rows.ok().and_then(|rows| rows[0]["at"].as_i64()).unwrap_or(0)
}
