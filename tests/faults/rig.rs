//! One model under load, with a network in the way of its services that breaks at will. Whatever happens, at every moment
//! its rows are what the ledger comes to at its positions: looked at in one statement, so in one snapshot.

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::faults::load::Load;
use crate::support::{
    Applied, Database, Folder, Ledger, PATIENCE, Proxy, Row, Stack, Vitrina, Writer, create_topic, eventually, unique,
};

const NOTED: &str = r#"{"type":"record","name":"Noted","namespace":"probe","fields":[
  {"name":"account","type":"string"},{"name":"number","type":"long"},{"name":"amount","type":"long"},
  {"name":"ballast","type":"string","default":""}]}"#;
const MODEL: &str = include_str!("witness.sql");

/// Every look reads it whole, in one snapshot.
const SNAPSHOT: &str = r#"SELECT
    (SELECT coalesce(jsonb_agg(jsonb_build_object('partition', partition, 'epoch', epoch, 'next', next_offset)), '[]')
     FROM vitrina.position) AS positions,
    (SELECT coalesce(jsonb_agg(to_jsonb(w) ORDER BY account COLLATE "C"), '[]') FROM witness.witness w) AS rows,
    (SELECT coalesce(jsonb_agg(to_jsonb(a) ORDER BY partition), '[]')
     FROM (SELECT log_partition AS partition, count(*) AS records, sum(log_offset)::int8 AS offsets,
                  max(log_offset) AS last
           FROM witness.applied GROUP BY 1) a) AS applied"#;

/// How long after a trouble's end everything must be in order again.
pub(crate) const RECOVERY: Duration = Duration::from_secs(30);

#[derive(Debug, Deserialize)]
struct Position {
    partition: i32,
    epoch: i64,
    next: i64,
}

#[derive(Debug, Deserialize)]
struct Snapshot {
    positions: Vec<Position>,
    rows: Vec<Row>,
    applied: Vec<Applied>,
}

/// Epoch and position of each partition.
type Seen = BTreeMap<i32, (i64, i64)>;

#[derive(Clone)]
pub(crate) struct Rig {
    /// Without the network.
    pub(crate) database: Arc<Database>,
    pub(crate) postgres: Proxy,
    pub(crate) registry: Proxy,
    pub(crate) folder: Arc<Folder>,
    pub(crate) topic: String,
    pub(crate) ledger: Arc<Ledger>,
    /// What the last look saw. Looks come one after another, so none is older than the one before.
    seen: Arc<Mutex<Seen>>,
}

impl Rig {
    pub(crate) async fn new(partitions: i32, toml: &str) -> Self {
        Self::on(Database::create().await, &Stack::get().kafka, partitions, toml).await
    }

    /// The same on another database, and by another way to the broker.
    pub(crate) async fn on(database: Database, kafka: &str, partitions: i32, toml: &str) -> Self {
        let topic = unique("probe");
        create_topic(&topic, partitions).await;
        let (user, place) = database.url.split_once('@').unwrap();
        let (server, name) = place.split_once('/').unwrap();
        let postgres = Proxy::to(server).await;
        let url = format!("{user}@{}/{name}", postgres.address);
        let (_, place) = Stack::get().registry.split_once("://").unwrap();
        let (server, path) = place.split_once('/').unwrap();
        let registry = Proxy::to(server).await;
        let folder = Folder::at(kafka, &format!("http://{}/{path}", registry.address), &url)
            .write("contracts/probe/context.toml", &format!("topic = \"{topic}\"\nkey = \"account\"\n"))
            .write("contracts/probe/noted/v1.avsc", NOTED)
            .write("models/witness.sql", MODEL)
            .configure(toml);
        let (database, folder) = (Arc::new(database), Arc::new(folder));
        Self { database, postgres, registry, folder, topic, ledger: Arc::default(), seen: Arc::default() }
    }

    /// Lets the instances to come be another role in Postgres.
    pub(crate) fn serve_as(&self, role: &str) {
        let path = self.folder.path().join("vitrina.toml");
        let settings = std::fs::read_to_string(&path).unwrap();
        std::fs::write(path, settings.replace("postgres://postgres@", &format!("postgres://{role}@"))).unwrap();
    }

    /// One more instance, which only projects.
    pub(crate) fn another(&self) -> Vitrina {
        let mut command = self.folder.command(&["serve", "--only", "project"]);
        command.env("VITRINA_HTTP__ADMIN_LISTEN", "127.0.0.1:0");
        Vitrina::start(command, self.folder.listen, self.folder.admin_listen)
    }

    /// One more, whose network is whole.
    pub(crate) fn another_without_trouble(&self) -> Vitrina {
        let mut command = self.without_trouble(&["serve", "--only", "project"]);
        command.env("VITRINA_HTTP__ADMIN_LISTEN", "127.0.0.1:0");
        Vitrina::start(command, self.folder.listen, self.folder.admin_listen)
    }

    fn without_trouble(&self, arguments: &[&str]) -> Command {
        let Stack { kafka, registry, .. } = Stack::get();
        let mut command = self.folder.command(arguments);
        command.env("VITRINA_POSTGRES__URL", &self.database.url).env("VITRINA_KAFKA__BROKERS", kafka);
        command.env("VITRINA_REGISTRY__URL", registry);
        command
    }

    /// Of the topic's only type of event.
    pub(crate) async fn writer(&self) -> Writer {
        Writer::register(&self.topic, NOTED).await
    }

    /// Compares the rows with the ledger, at the positions of the same moment; how far these are.
    ///
    /// # Errors
    /// Postgres does not answer, or the model has no tables yet.
    pub(crate) async fn check(&self) -> Result<i64, sqlx::Error> {
        let mut seen = self.seen.lock().await;
        let mut found = self.database.try_rows(SNAPSHOT).await?;
        let Snapshot { positions, rows, applied } = serde_json::from_value(found[0].take()).unwrap();
        for Position { partition, epoch, next } in &positions {
            let before = seen.insert(*partition, (*epoch, *next));
            assert!(before <= Some((*epoch, *next)), "partition {partition} fell from {before:?} to {epoch}, {next}");
            assert!(before.is_none_or(|(_, before)| before <= *next), "partition {partition} fell behind {before:?}");
        }
        drop(seen);
        let at: BTreeMap<i32, i64> = positions.iter().map(|position| (position.partition, position.next)).collect();
        // The broker shows records to consumers before it has told their producer.
        let far =
            |ends: &BTreeMap<i32, i64>| at.iter().all(|(partition, next)| ends.get(partition).unwrap_or(&0) >= next);
        eventually(PATIENCE, async || {
            let ends = self.ledger.ends();
            if far(&ends) { Ok(()) } else { Err(format!("applied up to {at:?}, produced up to {ends:?}")) }
        })
        .await;
        let expected = self.ledger.fold(&at);
        assert_eq!(applied, expected.1, "what was applied, and what should be, at {at:?}");
        assert_eq!(rows, expected.0, "the rows, and what they should be, at {at:?}");
        Ok(at.values().sum())
    }

    /// Waits until so many more records have been applied, which says that the model goes on.
    pub(crate) async fn goes_on(&self, records: i64) {
        self.goes_on_within(RECOVERY, records).await;
    }

    pub(crate) async fn goes_on_within(&self, deadline: Duration, records: i64) {
        let start = eventually(deadline, async || self.check().await).await;
        self.applied(deadline, start + records).await;
    }

    /// Ends the load, and waits until all of it is applied, and rightly.
    pub(crate) async fn settle(&self, load: Load) {
        load.end().await;
        self.applied(RECOVERY, self.ledger.len() as i64).await;
        assert_eq!(self.check().await.unwrap(), self.ledger.len() as i64);
    }

    /// Waits until so many records of the topic are applied, and rightly.
    pub(crate) async fn applied(&self, deadline: Duration, records: i64) {
        eventually(deadline, async || match self.check().await {
            Ok(applied) if applied >= records => Ok(()),
            Ok(applied) => Err(format!("{applied} records are applied, not {records}; {}", self.status())),
            Err(error) => Err(error.to_string()),
        })
        .await;
    }

    /// Waits until the broker has so many records.
    pub(crate) async fn produced(&self, records: usize) {
        eventually(RECOVERY, async || match self.ledger.len() {
            produced if produced >= records => Ok(()),
            produced => Err(format!("{produced} records are produced")),
        })
        .await;
    }

    /// What `vitrina status --json` says of the model to somebody whose network is whole.
    pub(crate) fn status(&self) -> Value {
        let output = self.without_trouble(&["status", "--json"]).output().unwrap();
        let answer: Option<Value> = serde_json::from_slice(&output.stdout).ok();
        let failed = || json!({"failed": String::from_utf8_lossy(&output.stderr)});
        answer.map_or_else(failed, |mut answer| answer["models"][0].take())
    }

    /// Waits until the status is `state`, for a reason in which all of `words` stand.
    pub(crate) async fn says(&self, state: &str, words: &[&str]) {
        eventually(RECOVERY, async || {
            let status = self.status();
            let reason = status["reason"].as_str().unwrap_or_default();
            let told = status["state"] == state && words.iter().all(|word| reason.contains(word));
            if told { Ok(()) } else { Err(format!("not {state} for {words:?}: {status}")) }
        })
        .await;
    }

    /// Transactions of this database's sessions that were left open and idle.
    pub(crate) async fn idle_in_transaction(&self) -> i64 {
        let open = "SELECT count(*) AS n FROM pg_stat_activity
                    WHERE datname = current_database() AND state LIKE 'idle in transaction%'";
        self.database.rows(open).await[0]["n"].as_i64().unwrap()
    }
}
