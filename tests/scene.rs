//! How tests of generations begin: the bank, its model changed, moves of its accounts, and what runs over them.

use serde_json::{Value, json};

use crate::bank::{Bank, MODEL, MOVED, Oracle, WITNESS, moved};
use crate::support::{Database, Folder, Message, PATIENCE, Producer, Vitrina, Writer, eventually};

pub(crate) const ACCOUNTS: u64 = 20;

/// The model with a column more.
pub(crate) fn changed() -> String {
    MODEL
        .replace("  chain ", "  largest    numeric NOT NULL DEFAULT 0,\n  chain ")
        .replace(
            "events, chain)\nSELECT e.account_id, e.amount, 1, e.seq",
            "events, chain, largest)\nSELECT e.account_id, e.amount, 1, e.seq, e.amount",
        )
        .replace(
            "events = b.events + 1,",
            "events = b.events + 1, largest = GREATEST(b.largest, EXCLUDED.largest),",
        )
}

/// `count` moves from the sequence number `from` on, round and round the accounts.
pub(crate) fn moves(writer: &Writer, oracle: &mut Oracle, from: u64, count: u64) -> Vec<Message> {
    let message = |number: u64| {
        let (account, seq) = (format!("a{:02}", number % ACCOUNTS), number / ACCOUNTS + 1);
        let cents = (number * 7919 % 10_000) as i64 - 5_000;
        oracle.moved(&account, seq, cents);
        moved(writer, &account, seq, cents)
    };
    (from..from + count).map(message).collect()
}

/// Another instance of the folder, on other ports.
pub(crate) fn beside(bank: &Bank) -> Vitrina {
    let mut command = bank.folder.command(&["serve", "--only", "project"]);
    command.env("VITRINA_HTTP__ADMIN_LISTEN", "127.0.0.1:0");
    Vitrina::start(command, bank.folder.listen, bank.folder.admin_listen)
}

/// The states of the model's generations, by number.
pub(crate) async fn states(database: &Database) -> Value {
    database
        .rows("SELECT generation AS g, state FROM vitrina.generation ORDER BY generation, model")
        .await
}

/// Waits until readers see this generation of the bank's model.
pub(crate) async fn until_live(database: &Database, generation: i32) {
    until_model_lives(database, "balance", generation).await;
}

pub(crate) async fn until_model_lives(database: &Database, model: &str, generation: i32) {
    let live = format!("SELECT live FROM vitrina.model WHERE model = '{model}'");
    database.eventually(&live, &json!([{ "live": generation }])).await;
}

pub(crate) fn write_model(bank: &Bank, text: &str) {
    std::fs::write(bank.folder.path().join("models/balance.sql"), text).unwrap();
}

/// A bank whose model has `moved` so many events, and runs.
pub(crate) struct Scene {
    pub(crate) database: Database,
    pub(crate) bank: Bank,
    pub(crate) writer: Writer,
    pub(crate) oracle: Oracle,
    pub(crate) vitrina: Vitrina,
}

impl Scene {
    pub(crate) async fn of(settings: &str, partitions: i32, events: u64) -> Self {
        let database = Database::create().await;
        let bank = Bank::new(&database, partitions).await;
        let bank = Bank { folder: bank.folder.configure(settings), ..bank };
        let writer = bank.writer(MOVED).await;
        let mut oracle = Oracle::default();
        Producer::new().send_all(&moves(&writer, &mut oracle, 0, events)).await;
        let vitrina = bank.folder.serve();
        database.eventually(WITNESS, &oracle.rows()).await;
        Self { database, bank, writer, oracle, vitrina }
    }

    pub(crate) fn folder(&self) -> &Folder {
        &self.bank.folder
    }

    pub(crate) async fn more(&mut self, from: u64, count: u64) {
        Producer::new().send_all(&moves(&self.writer, &mut self.oracle, from, count)).await;
        self.database.eventually(WITNESS, &self.oracle.rows()).await;
    }

    pub(crate) fn yes(&self, arguments: &[&str]) -> String {
        let finished = self.folder().run(arguments);
        assert_eq!(finished.status, Some(0), "{arguments:?}: {finished:?}");
        finished.stdout
    }

    pub(crate) fn no(&self, arguments: &[&str], words: &str) {
        let finished = self.folder().run(arguments);
        assert_eq!(finished.status, Some(1), "{arguments:?}: {finished:?}");
        assert!(finished.stderr.contains(words), "{arguments:?}: {finished:?}");
    }

    /// What `status` says of a generation.
    pub(crate) fn generation(&self, number: i64) -> Value {
        let status = self.folder().run(&["status", "--json"]).json();
        let all = status["models"][0]["generations"].as_array().unwrap().clone();
        all.into_iter().find(|found| found["generation"] == number).unwrap_or_default()
    }

    /// Waits until `status` gives a reason with these words for a generation that is built.
    pub(crate) async fn until_waits(&self, number: i64, words: &str) -> Value {
        eventually(PATIENCE, async || {
            let found = self.generation(number);
            let reason = found["reason"].as_str().unwrap_or_default();
            if reason.contains(words) { Ok(found.clone()) } else { Err(found.to_string()) }
        })
        .await
    }

    /// Waits until `status` gives a reason with these words for the model, which goes on; none where they are none.
    pub(crate) async fn until_says(&self, words: &str) -> String {
        eventually(PATIENCE, async || {
            let status = self.folder().run(&["status", "--json"]).json();
            let model = &status["models"][0];
            let reason = model["reason"].as_str().unwrap_or_default();
            let said = reason.contains(words) && reason.is_empty() == words.is_empty();
            if model["state"] == "live" && said {
                Ok(reason.to_owned())
            } else {
                Err(status.to_string())
            }
        })
        .await
    }

    pub(crate) async fn end(self) {
        assert!(self.vitrina.terminate().await.success());
    }
}
