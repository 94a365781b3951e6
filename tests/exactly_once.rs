//! Nothing lost, nothing doubled, order kept: two instances while one of them is killed again and again.

use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};

use crate::bank::{Bank, MOVED, OPENED_V1, OPENED_V2, Oracle, WITNESS, moved, opened};
use crate::support::{Database, Message, Producer, Stack, Vitrina, eventually, unique};

const EVENTS: usize = 20_000;
const ACCOUNTS: u32 = 40;

/// Events of all versions over 40 accounts, one in a hundred sent twice, and what they come to.
async fn ledger(bank: &Bank, seed: u64) -> (Vec<Message>, Oracle) {
    let moves = bank.writer(MOVED).await;
    let openings = [bank.writer(OPENED_V1).await, bank.writer(OPENED_V2).await];
    let mut random = SmallRng::seed_from_u64(seed);
    let (mut messages, mut oracle) = (Vec::new(), Oracle::default());
    let mut sequence = vec![0; ACCOUNTS as usize];
    for event in 0..EVENTS {
        let account = random.random_range(0..ACCOUNTS);
        let name = format!("a{account:02}");
        let message = if random.random_range(0..10) == 0 {
            let (number, holder) = (random.random_range(1..=2), format!("h{event}"));
            oracle.opened(&name, number, &holder);
            opened(&openings[number as usize - 1], number, &name, &holder)
        } else {
            let (cents, seq) = (random.random_range(-5000..5000), &mut sequence[account as usize]);
            *seq += 1;
            oracle.moved(&name, *seq, cents);
            moved(&moves, &name, *seq, cents)
        };
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
        folder: bank.folder.configure(
            "[kafka.properties]\n\"session.timeout.ms\" = \"6000\"\n[model]\nmax_events = 200\nconcurrency = 3",
        ),
        ..bank
    };
    let steady = bank.folder.serve();
    let (messages, oracle) = ledger(&bank, 7).await;
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
    let rows = database
        .try_rows(
            r#"SELECT coalesce(sum(next_offset), 0)::bigint AS at FROM "balance@1"."@position""#,
        )
        .await;
    rows.ok().and_then(|rows| rows[0]["at"].as_i64()).unwrap_or(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn fenced_partitions_are_claimed_again_without_a_gap() {
    let database = Database::create().await;
    let bank = Bank::new(&database, 2).await;
    let folder = bank.folder.configure("[model]\nlinger = \"3s\"\nmax_events = 5000");
    let bank = Bank { folder, ..bank };
    let vitrina = bank.folder.serve();
    let (messages, oracle) = ledger(&bank, 11).await;
    let producing = tokio::spawn(async move {
        let producer = Producer::new();
        for part in messages.chunks(10) {
            producer.send_all(part).await;
        }
    });
    // As if another instance had claimed: whoever holds the epoch before is fenced, in the middle of its batches.
    let (mut fences, mut seen) = (0, 0);
    while fences < 3 || !producing.is_finished() {
        let before = seen;
        eventually(Duration::from_secs(60), async || {
            seen = position(&database).await;
            let on = seen > before || producing.is_finished();
            if on { Ok(()) } else { Err(format!("positions stand at {seen}")) }
        })
        .await;
        database
            .execute(r#"UPDATE "balance@1"."@position" SET epoch = epoch + 1 WHERE partition = 0"#)
            .await;
        fences += 1;
    }
    producing.await.unwrap();
    database.eventually(WITNESS, &oracle.rows()).await;
    let metrics = vitrina.get_admin("/metrics").await.body;
    assert!(
        metrics.as_str().unwrap().contains("vitrina_fenced_partitions_total{model=\"balance\"}"),
        "{metrics}"
    );
    assert!(vitrina.terminate().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn aborted_transactions_are_never_applied_and_markers_are_passed() {
    let database = Database::create().await;
    let bank = Bank::new(&database, 1).await;
    let writer = bank.writer(MOVED).await;
    let vitrina = bank.folder.serve();
    let mut oracle = Oracle::default();
    let transactional = TransactionalProducer::new();
    for (first, commit) in [(1, true), (4, false), (7, true), (10, false)] {
        let messages: Vec<Message> =
            (first..first + 3).map(|seq| moved(&writer, "a", seq, 100)).collect();
        if commit {
            (first..first + 3).for_each(|seq| oracle.moved("a", seq, 100));
        }
        let transactional = transactional.clone();
        tokio::task::spawn_blocking(move || transactional.send(&messages, commit)).await.unwrap();
    }
    // Four transactions of three records, each with its marker.
    database
        .eventually(
            r#"SELECT next_offset FROM "balance@1"."@position""#,
            &serde_json::json!([{"next_offset": 16}]),
        )
        .await;
    assert_eq!(database.rows(WITNESS).await, oracle.rows());
    assert!(vitrina.terminate().await.success());
}

#[derive(Clone)]
struct TransactionalProducer(std::sync::Arc<BaseProducer>);

impl TransactionalProducer {
    fn new() -> Self {
        let producer: BaseProducer = ClientConfig::new()
            .set("bootstrap.servers", &Stack::get().kafka)
            .set("transactional.id", unique("transaction"))
            .create()
            .unwrap();
        producer.init_transactions(Duration::from_secs(30)).unwrap();
        Self(std::sync::Arc::new(producer))
    }

    fn send(&self, messages: &[Message], commit: bool) {
        self.0.begin_transaction().unwrap();
        for message in messages {
            let (key, value) = (message.key.as_deref().unwrap(), message.value.as_deref().unwrap());
            self.0
                .send(BaseRecord::to(&message.topic).key(key).payload(value))
                .map_err(|(error, _)| error)
                .unwrap();
        }
        self.0.flush(Duration::from_secs(30)).unwrap();
        match commit {
            true => self.0.commit_transaction(Duration::from_secs(30)).unwrap(),
            false => self.0.abort_transaction(Duration::from_secs(30)).unwrap(),
        }
    }
}
