//! A domain of the tests' own: accounts that are opened and moved. Its model shows loss, doubling and disorder, because
//! a count, a sum and a chain over the sequence numbers each come out differently.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::support::{Database, Folder, Message, Writer, create_topic, unique};

pub(crate) const OPENED_V1: &str = r#"{"type":"record","name":"AccountOpened","namespace":"bank","fields":[
  {"name":"account_id","type":"string"},{"name":"owner","type":"string"}]}"#;
pub(crate) const OPENED_V2: &str = r#"{"type":"record","name":"AccountOpened","namespace":"bank","fields":[
  {"name":"account_id","type":"string"},{"name":"holder","type":"string"},{"name":"country","type":"string"}]}"#;
pub(crate) const MOVED: &str = r#"{"type":"record","name":"AmountMoved","namespace":"bank","fields":[
  {"name":"account_id","type":"string"},{"name":"seq","type":"long"},
  {"name":"amount","type":{"type":"bytes","logicalType":"decimal","precision":12,"scale":2}}]}"#;

pub(crate) const MODEL: &str = "\
CREATE TABLE balance (
  account_id text PRIMARY KEY,
  holder     text,
  country    text,
  amount     numeric(20,2) NOT NULL DEFAULT 0,
  events     bigint NOT NULL DEFAULT 0,
  chain      bigint NOT NULL DEFAULT 0
);
CREATE INDEX ON balance (country, amount DESC);

INSERT INTO balance (account_id, holder, country)
SELECT e.account_id, e.holder, e.country FROM bank.account_opened e
ON CONFLICT (account_id) DO UPDATE SET holder = EXCLUDED.holder, country = EXCLUDED.country;

INSERT INTO balance AS b (account_id, amount, events, chain)
SELECT e.account_id, e.amount, 1, e.seq FROM bank.amount_moved e
ON CONFLICT (account_id) DO UPDATE
SET amount = b.amount + EXCLUDED.amount, events = b.events + 1, chain = (b.chain * 31 + EXCLUDED.chain) % 1000000007;
";

/// A folder with the bank's definitions on a topic of its own.
pub(crate) struct Bank {
    pub topic: String,
    pub folder: Folder,
}

impl Bank {
    pub(crate) async fn new(database: &Database, partitions: i32) -> Self {
        let topic = unique("bank");
        create_topic(&topic, partitions).await;
        Self::on(database, topic)
    }

    /// The same without creating the topic.
    pub(crate) fn on(database: &Database, topic: String) -> Self {
        let folder = Folder::new(database)
            .write(
                "contracts/bank/context.toml",
                &format!("topic = \"{topic}\"\nkey = \"account_id\"\n"),
            )
            .write("contracts/bank/account_opened/v1.avsc", OPENED_V1)
            .write("contracts/bank/account_opened/v2.avsc", OPENED_V2)
            .write(
                "contracts/bank/account_opened/v2.sql",
                "SELECT owner AS holder, 'ES' AS country FROM v1;\n",
            )
            .write("contracts/bank/amount_moved/v1.avsc", MOVED)
            .write("models/balance.sql", MODEL);
        Self { topic, folder }
    }

    pub(crate) async fn writer(&self, schema: &str) -> Writer {
        Writer::register(&self.topic, schema).await
    }
}

/// One move of `cents`, with an event id.
pub(crate) fn moved(writer: &Writer, account: &str, seq: u64, cents: i64) -> Message {
    let amount = format!(
        "{}{}.{:02}",
        if cents < 0 { "-" } else { "" },
        cents.abs() / 100,
        cents.abs() % 100
    );
    writer
        .event(account, &json!({"account_id": account, "seq": seq, "amount": amount}))
        .header("ce_id", &format!("{account}-{seq}"))
}

/// The opening of an account by version `number` of the contract; each opening tells who holds it from then on.
pub(crate) fn opened(writer: &Writer, number: u32, account: &str, holder: &str) -> Message {
    let value = match number {
        1 => json!({"account_id": account, "owner": holder}),
        _ => json!({"account_id": account, "holder": holder, "country": "FR"}),
    };
    writer.event(account, &value).header("ce_id", holder)
}

#[derive(Default)]
struct Balance {
    cents: i64,
    events: u64,
    chain: u64,
    holder: Option<(String, &'static str)>,
}

/// What the model must hold, folded by hand from the events of each account in order.
#[derive(Default)]
pub(crate) struct Oracle(BTreeMap<String, Balance>);

impl Oracle {
    pub(crate) fn moved(&mut self, account: &str, seq: u64, cents: i64) {
        let row = self.0.entry(account.to_owned()).or_default();
        // A row that an opening has made begins its chain at 0, one that a move makes begins with that move.
        let first = row.events == 0 && row.holder.is_none();
        row.cents += cents;
        row.chain = if first { seq } else { (row.chain * 31 + seq) % 1_000_000_007 };
        row.events += 1;
    }

    pub(crate) fn opened(&mut self, account: &str, number: u32, holder: &str) {
        let country = if number == 1 { "ES" } else { "FR" };
        self.0.entry(account.to_owned()).or_default().holder = Some((holder.to_owned(), country));
    }

    pub(crate) fn rows(&self) -> Value {
        let rows = self.0.iter().map(|(account, row)| {
            let (holder, country) = row.holder.clone().unzip();
            json!({"account_id": account, "cents": row.cents, "events": row.events, "chain": row.chain,
                   "holder": holder, "country": country})
        });
        rows.collect()
    }
}

/// The model's rows in the oracle's form.
pub(crate) const WITNESS: &str = "SELECT account_id, (amount * 100)::bigint AS cents, events, chain, holder, country FROM balance.balance ORDER BY account_id COLLATE \"C\"";
