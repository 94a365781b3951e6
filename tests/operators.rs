//! What operators do about records that were set aside, from outside: list, show, retry, discard, pause, resume; and who
//! is told.

use std::sync::{Arc, Mutex};

use axum::Json;
use axum::routing::post;
use serde_json::{Value, json};

use crate::support::{
    Database, Finished, Folder, Message, PATIENCE, Producer, Vitrina, Writer, create_topic,
    eventually, unique,
};

const BID_V1: &str = r#"{"type":"record","name":"BidPlaced","namespace":"auctions","fields":[
  {"name":"auction_id","type":"string"},{"name":"seq","type":"long"},{"name":"currency","type":"string"},
  {"name":"bidder","type":"string"},{"name":"price","type":"string"}]}"#;
const BID_V2: &str = r#"{"type":"record","name":"BidPlaced","namespace":"auctions","fields":[
  {"name":"auction_id","type":"string"},{"name":"seq","type":"long"},{"name":"currency","type":"string"},
  {"name":"bidder","type":"string"},{"name":"cents","type":"long"}]}"#;
const RATE: &str = r#"{"type":"record","name":"RateSet","namespace":"currencies","fields":[
  {"name":"currency","type":"string"},{"name":"rate","type":"int"}]}"#;
/// A rate of 0 lets Postgres refuse each bid in that currency, until a better rate comes: what a retry is for.
const MODEL: &str = "\
CREATE TABLE _rate (currency text PRIMARY KEY, rate int NOT NULL);
CREATE TABLE auction (auction_id text PRIMARY KEY, bids text NOT NULL, cents bigint NOT NULL CHECK (cents <= 1000));

INSERT INTO _rate SELECT e.currency, e.rate FROM currencies.rate_set e
ON CONFLICT (currency) DO UPDATE SET rate = EXCLUDED.rate;

INSERT INTO auction AS a (auction_id, bids, cents)
SELECT e.auction_id, e.seq::text, e.cents / coalesce(r.rate, 1)
FROM auctions.bid_placed e LEFT JOIN _rate r ON r.currency = e.currency
ON CONFLICT (auction_id) DO UPDATE SET bids = a.bids || ' ' || EXCLUDED.bids, cents = EXCLUDED.cents;
";
/// Stands in every payload, and nowhere else.
const BIDDER: &str = "Ann of Green Gables";

struct Auctions {
    database: Database,
    folder: Folder,
    old: Writer,
    new: Writer,
    rates: Writer,
}

impl Auctions {
    async fn new() -> Self {
        let database = Database::create().await;
        let (bids, rates) = (unique("auctions"), unique("currencies"));
        for topic in [&bids, &rates] {
            create_topic(topic, 1).await;
        }
        let folder = Folder::new(&database)
            .write(
                "contracts/auctions/context.toml",
                &format!("topic = \"{bids}\"\nkey = \"auction_id\"\n"),
            )
            .write("contracts/auctions/bid_placed/v1.avsc", BID_V1)
            .write("contracts/auctions/bid_placed/v2.avsc", BID_V2)
            .write(
                "contracts/auctions/bid_placed/v2.sql",
                "SELECT price::bigint AS cents FROM v1;\n",
            )
            .write(
                "contracts/currencies/context.toml",
                &format!("topic = \"{rates}\"\nkey = \"currency\"\n"),
            )
            .write("contracts/currencies/rate_set/v1.avsc", RATE)
            .write("models/auction.sql", MODEL);
        let (old, new) =
            (Writer::register(&bids, BID_V1).await, Writer::register(&bids, BID_V2).await);
        Self { folder, old, new, rates: Writer::register(&rates, RATE).await, database }
    }

    fn bid(&self, auction: &str, seq: u64, currency: &str, cents: i64) -> Message {
        let bid = json!({"auction_id": auction, "seq": seq, "currency": currency, "bidder": BIDDER, "cents": cents});
        self.new.event(auction, &bid)
    }

    async fn set_rate(&self, rate: i32) {
        Producer::new()
            .send(&self.rates.event("EUR", &json!({"currency": "EUR", "rate": rate})))
            .await;
        let rows = json!([{ "rate": rate }]);
        self.database.eventually("SELECT rate FROM \"auction@1\"._rate", &rows).await;
    }

    /// Sends one poisonous bid of each kind, each with a key of its own, among good ones.
    async fn poison(&self) {
        let price = json!({"auction_id": "D", "seq": 1, "currency": "USD", "bidder": BIDDER, "price": "ten"});
        let unframed = Message { value: Some(b"no frame".to_vec()), ..self.bid("E", 1, "USD", 1) };
        let messages = [
            self.bid("A", 1, "USD", 10),
            self.bid("B", 1, "EUR", 10),
            self.bid("B", 2, "USD", 20),
            self.bid("C", 1, "USD", 5000),
            self.old.event("D", &price),
            unframed,
            self.bid("A", 2, "USD", 20),
            self.bid("B", 3, "USD", 30),
        ];
        Producer::new().send_all(&messages).await;
        self.database
            .eventually(r#"SELECT count(*) AS n FROM "auction@1"."@parked""#, &json!([{"n": 6}]))
            .await;
    }

    fn parked(&self) -> Vec<Value> {
        self.folder.run(&["parked", "--json"]).json()["parked"].as_array().unwrap().clone()
    }

    async fn rows(&self) -> Value {
        self.database.rows("SELECT auction_id AS id, bids FROM auction.auction ORDER BY 1").await
    }

    async fn until_state(&self, state: &str) {
        eventually(PATIENCE, async || {
            let status = self.folder.run(&["status", "--json"]).json();
            if status["models"][0]["state"] == state {
                Ok(())
            } else {
                Err(format!("not {state}: {status}"))
            }
        })
        .await;
    }
}

fn refused(finished: &Finished, with: &str) {
    assert!(
        finished.status == Some(1) && finished.stderr.contains(with),
        "{with} is wanted: {finished:?}"
    );
}

fn ids(parked: &[Value], offsets: &[i64]) -> Vec<String> {
    let of = |offset: &i64| {
        parked.iter().find(|line| line["offset"] == *offset).unwrap()["id"].to_string()
    };
    offsets.iter().map(of).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn parked_records_are_listed_shown_retried_in_order_and_discarded() {
    let auctions = Auctions::new().await;
    let vitrina = auctions.folder.serve();
    auctions.set_rate(0).await;
    auctions.poison().await;
    assert_eq!(auctions.rows().await, json!([{"id": "A", "bids": "1 2"}]));
    let parked = auctions.parked();
    let column = |name: &str| parked.iter().map(|line| line[name].clone()).collect::<Value>();
    let [head, ten, unframed, waiting, last] = ids(&parked, &[1, 4, 5, 2, 7]).try_into().unwrap();
    let behind: Value = head.parse().unwrap();
    assert_eq!(column("offset"), json!([1, 2, 3, 4, 5, 7]));
    assert_eq!(column("key"), json!(["B", "B", "C", "D", "E", "B"]));
    assert_eq!(column("sqlstate"), json!(["22012", null, "23514", "22P02", null, null]));
    assert_eq!(column("behind"), json!([null, behind, null, null, null, behind]));
    assert_eq!(parked[0]["rule"], "models/auction.sql:7");

    let shown = auctions.folder.run(&["parked", "show", &head, "--json"]).json();
    assert_eq!(
        (&shown["event"], &shown["key"]),
        (&json!("auctions.bid_placed@v2"), &json!("B")),
        "{shown}"
    );
    let newest = shown["versions"].as_array().unwrap().last().unwrap();
    assert_eq!(
        (&newest["version"], &newest["fields"]["bidder"]),
        (&json!("v2"), &json!(BIDDER)),
        "{shown}"
    );
    let versions =
        auctions.folder.run(&["parked", "show", &ten, "--json"]).json()["versions"].to_string();
    assert!(versions.contains("\"ten\"") && versions.contains("v2"), "{versions}");
    let shown = auctions.folder.run(&["parked", "show", &unframed, "--json"]).json();
    assert_eq!(
        (&shown["value"], &shown["value_text"]),
        (&json!("bm8gZnJhbWU="), &json!("no frame"))
    );
    let shown = auctions.folder.run(&["parked", "show", &ten]).stdout;
    assert!(shown.contains(r"value: \x00\x00") && shown.contains(BIDDER), "{shown}");

    let again = auctions.folder.run(&["parked", "retry", "--all"]);
    for reason in ["division by zero", "cents_check", "\"ten\""] {
        refused(&again, reason);
    }
    assert_eq!(auctions.parked().len(), 6);
    auctions.set_rate(2).await;
    let before = vitrina.get("/v1/views/auction").await.headers;
    // It waits behind the first: the whole queue is applied, in its order.
    let retried = auctions.folder.run(&["parked", "auction", "retry", &waiting]);
    assert_eq!(retried.status, Some(0), "{retried:?}");
    // Rows have changed, and no position: the tag must say so.
    let after = vitrina.get("/v1/views/auction").await.headers;
    assert_eq!(after["projection-position"], before["projection-position"]);
    assert_ne!(after["etag"], before["etag"]);
    assert_eq!(
        auctions.rows().await,
        json!([{"id": "A", "bids": "1 2"}, {"id": "B", "bids": "1 2 3"}])
    );
    refused(&auctions.folder.run(&["parked", "retry", &last]), &last);

    refused(&auctions.folder.run(&["parked", "discard", &ten]), "--reason");
    let discarded =
        auctions.folder.run(&["parked", "discard", &ten, &unframed, "--reason", "no such price"]);
    assert_eq!(discarded.status, Some(0), "{discarded:?}");
    let verdicts = "SELECT DISTINCT reason FROM vitrina.verdict WHERE verdict = 'discarded'";
    assert_eq!(auctions.database.rows(verdicts).await, json!([{"reason": "no such price"}]));
    assert_eq!(auctions.parked().len(), 1);
    history_tells_who_decided(&auctions, &vitrina, &ten).await;
    refused(&auctions.folder.run(&["parked", "retry", "4711"]), "4711");
    refused(&auctions.folder.run(&["parked", "nobody"]), "auction");
    // What comes for the key now is applied again.
    Producer::new().send(&auctions.bid("B", 4, "EUR", 40)).await;
    let rows = json!([{"bids": "1 2 3 4"}]);
    auctions
        .database
        .eventually("SELECT bids FROM auction.auction WHERE auction_id = 'B'", &rows)
        .await;
    assert!(!vitrina.stderr().contains(BIDDER), "{}", vitrina.stderr());
    assert!(vitrina.terminate().await.success());
}

async fn history_tells_who_decided(auctions: &Auctions, vitrina: &Vitrina, discarded: &str) {
    let mut command = auctions.folder.command(&["parked", "retry", "--all"]);
    assert_eq!(command.env("USER", "ann").status().unwrap().code(), Some(1));
    let left = auctions.parked()[0]["id"].to_string();
    let path = format!("/admin/v1/parked/{left}/discard");
    let empty = vitrina.post_admin(&path, r#"{"reason": "  "}"#).await;
    let detail = empty.body["detail"].as_str().unwrap();
    assert!(empty.status == 400 && !detail.contains("--reason"), "{empty}");
    assert_eq!(vitrina.post_admin(&path, r#"{"reason": "noise"}"#).await.status, 200);
    let history = auctions.folder.run(&["parked", "history", "--json"]).json();
    let lines = history["history"].as_array().unwrap();
    let verdicts: Vec<_> = lines.iter().map(|line| line["verdict"].as_str().unwrap()).collect();
    assert_eq!(verdicts, ["applied", "applied", "applied", "discarded", "discarded", "discarded"]);
    let user = std::env::var("USER").unwrap_or("unknown".to_owned());
    for line in &lines[..5] {
        assert!(line["by"].as_str().unwrap().starts_with(&format!("{user}@")), "{line}");
    }
    let last = &lines[5];
    assert_eq!(
        (&last["by"], &last["reason"], last["parked"].to_string()),
        (&json!("somebody on this machine"), &json!("noise"), left)
    );
    assert!(!history.to_string().contains(BIDDER), "{history}");
    let over_http =
        vitrina.get_admin("/admin/v1/parked/history?model=auction&limit=2&after=0").await;
    assert_eq!(over_http.body["history"].as_array().unwrap(), &lines[..2]);
    let told = auctions.folder.run(&["parked", "auction", "history"]).stdout;
    let told = told.lines().find(|line| line.contains(&format!(" {discarded} "))).unwrap();
    assert!(told.contains("discarded by") && told.contains("no such price"), "{told}");
    refused(&auctions.folder.run(&["parked", "nobody", "history"]), "auction");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_pauses_and_resumes_on_an_operators_word() {
    let auctions = Auctions::new().await;
    refused(&auctions.folder.run(&["pause", "auction"]), "no Vitrina has run");
    let vitrina = auctions.folder.serve();
    auctions.set_rate(1).await;
    refused(&auctions.folder.run(&["pause", "nobody"]), "auction");
    assert_eq!(auctions.folder.run(&["pause", "auction"]).status, Some(0));
    auctions.until_state("paused").await;
    let (_, offset) = Producer::new().send(&auctions.bid("A", 1, "USD", 10)).await;
    assert!(vitrina.terminate().await.success());
    // Who comes next knows of it.
    let vitrina = auctions.folder.serve();
    auctions.until_state("paused").await;
    assert_eq!(auctions.rows().await, json!([]));
    let resumed = auctions.folder.run(&["resume", "auction"]);
    assert!(
        resumed.status == Some(0) && resumed.stdout.contains("goes on, it is live"),
        "{resumed:?}"
    );
    auctions.database.eventually("SELECT bids FROM auction.auction", &json!([{"bids": "1"}])).await;
    auctions.until_state("live").await;
    assert_eq!(offset, 0);
    assert!(vitrina.terminate().await.success());
}

/// Takes messages like anyone's webhook, at the address that it gives.
async fn receiver() -> (String, Arc<Mutex<Vec<Value>>>) {
    let messages = Arc::<Mutex<Vec<Value>>>::default();
    let taken = messages.clone();
    let route = post(async move |Json(message): Json<Value>| taken.lock().unwrap().push(message));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, axum::Router::new().route("/", route)).await });
    (address, messages)
}

async fn health(vitrina: &Vitrina, status: u16) -> String {
    eventually(PATIENCE, async || match vitrina.get("/healthz").await {
        answer if answer.status == status => Ok(answer.body.to_string()),
        answer => Err(answer.to_string()),
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn health_and_the_webhook_tell_of_parked_records() {
    let auctions = Auctions::new().await;
    let (url, messages) = receiver().await;
    let settings =
        format!("[health]\nmax_parked = 5\nmax_error_share = 1\n[webhook]\nurl = \"{url}\"\n");
    let auctions = Auctions { folder: auctions.folder.configure(&settings), ..auctions };
    let vitrina = auctions.folder.serve();
    auctions.set_rate(0).await;
    health(&vitrina, 200).await;
    auctions.poison().await;
    assert!(health(&vitrina, 503).await.contains("more than 5 of its records are parked"));
    let message = eventually(PATIENCE, async || {
        let messages = messages.lock().unwrap();
        messages
            .iter()
            .find(|message| message["event"] == "parked")
            .cloned()
            .ok_or(format!("{messages:?}"))
    })
    .await;
    assert_eq!(
        (&message["model"], &message["at"].is_string()),
        (&json!("auction"), &true),
        "{message}"
    );
    assert!(
        message["reason"].as_str().unwrap().contains("offset")
            && !message.to_string().contains(BIDDER),
        "{message}"
    );

    for line in [
        "vitrina_parked{model=\"auction\"} 6",
        "vitrina_parked_total{model=\"auction\",reason_class=\"behind\"} 2",
        "vitrina_errors_total{model=\"auction\",error_type=\"corruption\",severity=\"high\"} 1",
        "vitrina_kafka_connected 1",
        "vitrina_postgres_connected 1",
        "vitrina_registry_connected 1",
    ] {
        eventually(PATIENCE, async || {
            let metrics = vitrina.get_admin("/metrics").await.body.as_str().unwrap().to_owned();
            if metrics.contains(line) {
                Ok(())
            } else {
                Err(format!("{line} is not in\n{metrics}"))
            }
        })
        .await;
    }
    let over_http = vitrina.get_admin("/admin/v1/parked?model=auction").await.body;
    assert_eq!(over_http["parked"].as_array().unwrap(), &auctions.parked());
    let unframed = &ids(&auctions.parked(), &[5])[0];
    assert_eq!(
        auctions.folder.run(&["parked", "discard", unframed, "--reason", "noise"]).status,
        Some(0)
    );
    health(&vitrina, 200).await;
    assert!(vitrina.terminate().await.success());
}
