//! Two models under load, with a network in the way of their services that breaks at will. Whatever happens, at every
//! moment their rows are what the ledger comes to at their positions: looked at in one statement, so in one snapshot.

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::faults::load::Load;
use crate::support::{
    Applied, Database, Folder, Ledger, PATIENCE, Proxy, Row, Stack, Vitrina, Writer, create_topic,
    eventually, unique,
};

const NOTED: &str = r#"{"type":"record","name":"Noted","namespace":"probe","fields":[
  {"name":"account","type":"string"},{"name":"number","type":"long"},{"name":"amount","type":"long"},
  {"name":"ballast","type":"string","default":""}]}"#;

/// What a look reads of the models, whole, in one snapshot.
const SNAPSHOT: &str = r#"SELECT
    (SELECT jsonb_agg(jsonb_build_object('model', model, 'partition', partition, 'epoch', epoch, 'next', next_offset))
     FROM (SELECT 'keyed' AS model, * FROM "keyed@1"."@position"
           UNION ALL SELECT 'witness', * FROM "witness@1"."@position") p) AS positions,
    (SELECT coalesce(jsonb_agg(to_jsonb(w) ORDER BY account COLLATE "C"), '[]') FROM witness.witness w) AS witness,
    (SELECT coalesce(jsonb_agg(to_jsonb(k) ORDER BY account COLLATE "C"), '[]') FROM keyed.keyed k) AS keyed,
    (SELECT coalesce(jsonb_agg(to_jsonb(a) ORDER BY partition), '[]')
     FROM (SELECT log_partition AS partition, count(*) AS records, sum(log_offset)::int8 AS offsets,
                  max(log_offset) AS last
           FROM witness.applied GROUP BY 1) a) AS applied"#;

/// How long after a trouble's end everything must be in order again.
pub(crate) const RECOVERY: Duration = Duration::from_secs(30);

#[derive(Debug, Deserialize)]
struct Position {
    model: String,
    partition: i32,
    epoch: i64,
    next: i64,
}

#[derive(Debug, Deserialize)]
struct Snapshot {
    positions: Option<Vec<Position>>,
    witness: Vec<Row>,
    keyed: Vec<Row>,
    applied: Vec<Applied>,
}

/// Epoch and position of each model's partitions.
type Seen = BTreeMap<(String, i32), (i64, i64)>;

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
            .write(
                "contracts/probe/context.toml",
                &format!("topic = \"{topic}\"\nkey = \"account\"\n"),
            )
            .write("contracts/probe/noted/v1.avsc", NOTED)
            .write("models/witness.sql", include_str!("witness.sql"))
            .write("models/keyed.sql", include_str!("keyed.sql"))
            .configure(&format!("{toml}\n[models.keyed]\nconcurrency = 3"));
        let (database, folder) = (Arc::new(database), Arc::new(folder));
        Self {
            database,
            postgres,
            registry,
            folder,
            topic,
            ledger: Arc::default(),
            seen: Arc::default(),
        }
    }

    /// Lets the instances to come be another role in Postgres.
    pub(crate) fn serve_as(&self, role: &str) {
        let path = self.folder.path().join("vitrina.toml");
        let settings = std::fs::read_to_string(&path).unwrap();
        std::fs::write(
            path,
            settings.replace("postgres://postgres@", &format!("postgres://{role}@")),
        )
        .unwrap();
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
        command
            .env("VITRINA_POSTGRES__URL", &self.database.url)
            .env("VITRINA_KAFKA__BROKERS", kafka);
        command.env("VITRINA_REGISTRY__URL", registry);
        command
    }

    /// Of the topic's only type of event.
    pub(crate) async fn writer(&self) -> Writer {
        Writer::register(&self.topic, NOTED).await
    }

    /// Compares the rows with the ledger, at the positions of the same moment; how many records are applied to either
    /// model.
    ///
    /// # Errors
    /// Postgres does not answer, or a model has no tables yet.
    pub(crate) async fn check(&self) -> Result<i64, sqlx::Error> {
        let mut seen = self.seen.lock().await;
        let mut found = self.database.try_rows(SNAPSHOT).await?;
        let Snapshot { positions, witness, keyed, applied } =
            serde_json::from_value(found[0].take()).unwrap();
        let positions = positions.unwrap_or_default();
        for Position { model, partition, epoch, next } in &positions {
            let before = seen.insert((model.clone(), *partition), (*epoch, *next));
            let fell = before.is_some_and(|before| before.0 > *epoch || before.1 > *next);
            assert!(!fell, "{model} {partition} fell from {before:?} to {epoch}, {next}");
        }
        drop(seen);
        let of = |name: &str| {
            positions.iter().filter(|position| position.model == name).collect::<Vec<_>>()
        };
        let (first, offsets) = self.expected(&of("witness")).await;
        assert_eq!(applied, offsets, "what was applied, and what should be, at {positions:?}");
        assert_eq!(witness, first, "the rows, and what they should be, at {positions:?}");
        let (second, _) = self.expected(&of("keyed")).await;
        assert_eq!(
            keyed, second,
            "the rows written in parallel, and what they should be, at {positions:?}"
        );
        let far = |model| of(model).iter().map(|position| position.next).sum::<i64>();
        Ok(far("witness").min(far("keyed")))
    }

    /// What a model comes to at these positions.
    async fn expected(&self, positions: &[&Position]) -> (Vec<Row>, Vec<Applied>) {
        let at: BTreeMap<i32, i64> =
            positions.iter().map(|position| (position.partition, position.next)).collect();
        // The broker shows records to consumers before it has told their producer.
        let known = |ends: &BTreeMap<i32, i64>| {
            at.iter().all(|(partition, next)| ends.get(partition).unwrap_or(&0) >= next)
        };
        eventually(PATIENCE, async || {
            let ends = self.ledger.ends();
            if known(&ends) {
                Ok(())
            } else {
                Err(format!("applied up to {at:?}, produced up to {ends:?}"))
            }
        })
        .await;
        self.ledger.fold(&at)
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
        load.looked_at().await;
        load.end().await;
        self.applied(RECOVERY, self.ledger.len() as i64).await;
        assert_eq!(self.check().await.unwrap(), self.ledger.len() as i64);
    }

    /// Waits until so many records of the topic are applied, and rightly.
    pub(crate) async fn applied(&self, deadline: Duration, records: i64) {
        eventually(deadline, async || match self.check().await {
            Ok(applied) if applied >= records => Ok(()),
            Ok(applied) => {
                Err(format!("{applied} records are applied, not {records}; {}", self.status()))
            }
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

    /// What `vitrina status --json` says of the models to somebody whose network is whole.
    pub(crate) fn status(&self) -> Value {
        let output = self.without_trouble(&["status", "--json"]).output().unwrap();
        let answer: Option<Value> = serde_json::from_slice(&output.stdout).ok();
        let failed = || json!({"failed": String::from_utf8_lossy(&output.stderr)});
        answer.map_or_else(failed, |mut answer| answer["models"].take())
    }

    /// Waits until the status of both models is `state`, for a reason in which all of `words` stand.
    pub(crate) async fn says(&self, state: &str, words: &[&str]) {
        for model in ["witness", "keyed"] {
            self.says_of(model, state, words).await;
        }
    }

    pub(crate) async fn says_of(&self, model: &str, state: &str, words: &[&str]) {
        eventually(RECOVERY, async || {
            let status = self.status();
            let models = status.as_array().into_iter().flatten();
            let told = models.filter(|found| found["model"] == model).any(|found| {
                let reason = found["reason"].as_str().unwrap_or_default();
                found["state"] == state && words.iter().all(|word| reason.contains(word))
            });
            if told {
                Ok(())
            } else {
                Err(format!("{model} is not {state} for {words:?}: {status}"))
            }
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
