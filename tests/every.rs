//! Every event as one relation, on the reference set itself: what it shows of each version of each event is the row that
//! the event has in its own relation, and the models over it answer an audit's questions.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use vitrina_avro::{METADATA, key_text};

use crate::reference::{contracts, golden};
use crate::support::{Database, Folder, Message, Producer, Writer, create_topic, unique};

/// The golden events, one of each version, on two topics: the first half of the contexts, and the others.
struct Log {
    folder: Folder,
    topics: [String; 2],
    /// By relation and version, in the order of the log.
    messages: Vec<(String, Message)>,
    /// `INSERT`s of each event's own row.
    rules: String,
}

impl Log {
    async fn new(database: &Database) -> Self {
        let contracts = contracts();
        let topics = [unique("first"), unique("others")];
        for topic in &topics {
            create_topic(topic, 1).await;
        }
        let mut folder = Folder::new(database).copy("avro/contracts", "contracts");
        let (mut messages, mut rules) = (Vec::new(), String::new());
        for (place, (name, context)) in contracts.contexts.iter().enumerate() {
            let topic = &topics[usize::from(2 * place >= contracts.contexts.len())];
            let toml = format!("topic = \"{topic}\"\nkey = \"{}\"\n", context.key);
            folder = folder.write(&format!("contracts/{name}/context.toml"), &toml);
            for (event, contract) in &context.events {
                rules += &format!(
                    "INSERT INTO own SELECT e._topic, e._offset, to_jsonb(e) FROM {name}.{event} e ON CONFLICT DO NOTHING;\n"
                );
                for version in &contract.versions {
                    let (json, bytes) = golden(name, event, version.number);
                    let named = format!("{name}.{event}@v{}", version.number);
                    let key = match named == REFUSED {
                        true => "apart".to_owned(),
                        false => key_text(context, version, &json).unwrap(),
                    };
                    let message = Writer::register(topic, &version.json).await.bytes(&key, &bytes);
                    messages.push((named, message));
                }
            }
        }
        Self { folder, topics, messages, rules }
    }
}

/// Its numbers are beyond what the upcast's types hold, so it has no payload.
const REFUSED: &str = "campaigns.budget_alert@v1";

const SHOWN: &str = "\
CREATE TABLE shown (topic text, at bigint, type text, version int, kind text, payload jsonb, PRIMARY KEY (topic, at));
CREATE TABLE own (topic text, at bigint, event jsonb, PRIMARY KEY (topic, at));
CREATE TABLE seen (type text PRIMARY KEY, before boolean NOT NULL);
INSERT INTO shown SELECT e._topic, e._offset, e._type, e._version, e._kind, e._payload FROM every.event e
ON CONFLICT DO NOTHING;
";
/// Between the rules over every event: in file order, the row of its own is not there yet, and here it is.
const BETWEEN: &str = "\
INSERT INTO seen SELECT e._type, EXISTS (SELECT FROM own WHERE own.topic = e._topic AND own.at = e._offset)
FROM every.event e ON CONFLICT (type) DO NOTHING;
";

#[tokio::test(flavor = "multi_thread")]
async fn what_is_shown_of_an_event_is_its_row_in_its_own_relation() {
    let database = Database::create().await;
    let Log { folder, topics, mut messages, rules } = Log::new(&database).await;
    let vitrina = folder
        .copy("projectors/models/event_log.sql", "models/event_log.sql")
        .copy("projectors/models/event_counts.sql", "models/event_counts.sql")
        .write("models/pair.sql", &format!("{SHOWN}{rules}{BETWEEN}"))
        .serve();
    // One that is no Avro; a tombstone is no event.
    let broken =
        Message { value: Some(b"no event".to_vec()), ..Message::tombstone(&topics[0], "x") };
    let producer = Producer::new();
    let sent: Vec<Message> = messages.iter().map(|(_, message)| message.clone()).collect();
    let places = producer.send_all(&sent).await;
    producer.send_all(&[broken, Message::tombstone(&topics[0], "y")]).await;
    let on_first = sent.iter().filter(|message| message.topic == topics[0]).count();
    let positions = |model: &str| {
        let ends = vec![
            json!({"next_offset": on_first + 2}),
            json!({"next_offset": sent.len() - on_first}),
        ];
        let query = format!(r#"SELECT next_offset FROM "{model}@1"."@position" ORDER BY topic"#);
        (query, Value::Array(ends))
    };
    for model in ["pair", "event_log", "event_counts"] {
        let (query, ends) = positions(model);
        database.eventually(&query, &ends).await;
    }

    let metadata: Vec<String> = METADATA.iter().map(|(name, _)| format!("'{name}'")).collect();
    let differ = format!(
        "SELECT s.type, s.payload, o.event - ARRAY[{}] AS own FROM pair.shown s FULL JOIN pair.own o USING (topic, at)
         WHERE s.payload IS DISTINCT FROM o.event - ARRAY[{0}]",
        metadata.join(", ")
    );
    assert_eq!(database.rows(&differ).await, json!([]));
    let kept = "SELECT topic, at, type || '@v' || version AS event FROM pair.shown";
    let kept: BTreeMap<(String, i64), String> = database
        .rows(kept)
        .await
        .as_array()
        .unwrap()
        .iter()
        .map(|row| {
            let text = |name: &str| row[name].as_str().unwrap().to_owned();
            ((text("topic"), row["at"].as_i64().unwrap()), text("event"))
        })
        .collect();
    let told: BTreeMap<(String, i64), String> = messages
        .drain(..)
        .zip(places)
        .map(|((event, message), (_, offset))| ((message.topic, offset), event))
        .filter(|(_, event)| event != REFUSED)
        .collect();
    assert_eq!(kept, told);
    assert_eq!(database.rows("SELECT type FROM pair.seen WHERE NOT before").await, json!([]));
    let parked = r#"SELECT event, rule LIKE '%/budget_alert/v2.sql:%' AS upcast FROM "event_log@1"."@parked" ORDER BY "offset""#;
    assert_eq!(
        database.rows(parked).await,
        json!([{"event": REFUSED, "upcast": true}, {"event": null, "upcast": null}])
    );
    let parked = r#"SELECT count(*) AS n FROM "event_counts@1"."@parked""#;
    assert_eq!(
        database.rows(parked).await,
        json!([{"n": 1}]),
        "no upcast runs for what is not shown"
    );

    audit(&vitrina, sent.len()).await;
    assert!(vitrina.terminate().await.success());
}

/// What an audit asks, with one GET each.
async fn audit(vitrina: &crate::support::Vitrina, events: usize) {
    let count: u64 = vitrina.get("/v1/views/event_counts.by_type?limit=500").await.body["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["events"].as_u64().unwrap())
        .sum();
    assert_eq!(count, events as u64);
    // An aggregate's events in order, page by page.
    let placed = vitrina.get("/v1/views/event_counts.by_type?type=eq.orders.order_placed").await;
    assert_eq!(placed.body["data"][0]["events"], json!(3), "{placed}");
    let newest = vitrina
        .get("/v1/views/event_log?type=eq.orders.order_placed&order=at.desc&select=key&limit=1")
        .await;
    let key = newest.body["data"][0]["key"].as_str().unwrap().to_owned();
    let mut path = format!(
        "/v1/views/event_log?context=eq.orders&key=eq.{key}&order=log_partition,log_offset&select=log_offset,type,payload&limit=2"
    );
    let (mut offsets, mut state) = (Vec::new(), json!({}));
    loop {
        let page = vitrina.get(&path).await;
        assert_eq!(page.status, 200, "{page}");
        for row in page.body["data"].as_array().unwrap() {
            offsets.push(row["log_offset"].as_i64().unwrap());
            for (field, value) in row["payload"].as_object().unwrap() {
                state[field] = value.clone();
            }
        }
        match page.body["page"]["next"].as_str() {
            Some(next) => path = next.to_owned(),
            None => break,
        }
    }
    assert!(offsets.len() > 2 && offsets.is_sorted(), "{offsets:?}");
    let snapshot = vitrina.get(&format!("/v1/views/event_log.snapshot/orders/{key}")).await;
    assert_eq!(snapshot.body["data"]["state"], state, "{snapshot}");
    assert_eq!(snapshot.body["data"]["events"], json!(offsets.len()));
}
