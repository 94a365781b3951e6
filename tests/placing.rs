//! One id in several partitions: whatever a model's rules are, nothing is lost, nothing sound is parked, and who looks is
//! told. Where the records prove that a key lives in one partition, several writers stay.

use serde_json::{Value, json};
use vitrina_ingest::Partitioner;

use crate::support::{
    Database, Folder, Message, PATIENCE, Producer, Vitrina, Writer, create_topic, eventually,
    grow_topic, kafka_tool, unique,
};

const EVENT: &str = r#"{"type":"record","name":"Ev","namespace":"small","fields":[
  {"name":"id","type":"string"},{"name":"n","type":"int"}]}"#;

/// Reads what the row was, and writes what it is: lost updates show as a smaller sum.
const LOOKED_UP: &str = "\
CREATE TABLE looked_up (id text PRIMARY KEY, n bigint NOT NULL);
INSERT INTO looked_up SELECT e.id, coalesce(t.n, 0) + e.n FROM small.ev e LEFT JOIN looked_up t ON t.id = e.id
ON CONFLICT (id) DO UPDATE SET n = EXCLUDED.n;
";
const TWO_RULES: &str = "\
CREATE TABLE two_rules (id text PRIMARY KEY, n bigint NOT NULL);
UPDATE two_rules t SET n = t.n + e.n FROM small.ev e WHERE t.id = e.id;
INSERT INTO two_rules SELECT e.id, 1 FROM small.ev e ON CONFLICT (id) DO NOTHING;
";
/// Each event replaces the row by one that counts on.
const REPLACED: &str = "\
CREATE TABLE replaced (id text PRIMARY KEY, n bigint NOT NULL);
CREATE TABLE _before (id text PRIMARY KEY, n bigint NOT NULL);
DELETE FROM _before t USING small.ev e WHERE t.id = e.id;
INSERT INTO _before SELECT e.id, coalesce((SELECT t.n FROM replaced t WHERE t.id = e.id), 0) FROM small.ev e;
DELETE FROM replaced t USING small.ev e WHERE t.id = e.id;
INSERT INTO replaced SELECT e.id, e.n + coalesce((SELECT t.n FROM _before t WHERE t.id = e.id), 0) FROM small.ev e;
";
const NUMBERED: &str = "\
CREATE TABLE numbered (id text, no bigint, n int NOT NULL, PRIMARY KEY (id, no));
INSERT INTO numbered SELECT e.id, 1 + coalesce((SELECT max(t.no) FROM numbered t WHERE t.id = e.id), 0), e.n FROM small.ev e;
";

struct Small {
    database: Database,
    folder: Folder,
    topic: String,
    writer: Writer,
}

impl Small {
    async fn new(partitions: i32, models: &[(&str, &str)]) -> Self {
        let (database, topic) = (Database::create().await, unique("small"));
        create_topic(&topic, partitions).await;
        let context = format!("topic = \"{topic}\"\nkey = \"id\"\n");
        let folder = Folder::new(&database)
            .write("contracts/small/context.toml", &context)
            .write("contracts/small/ev/v1.avsc", EVENT);
        let folder = models
            .iter()
            .fold(folder, |folder, (name, text)| folder.write(&format!("models/{name}.sql"), text));
        let writer = Writer::register(&topic, EVENT).await;
        Self { database, folder, topic, writer }
    }

    fn event(&self, id: &str) -> Message {
        self.writer.event(id, &json!({ "id": id, "n": 1 }))
    }

    /// Events of one id, in the partitions in turn.
    fn in_turn(&self, events: i32, partitions: i32) -> Vec<Message> {
        (0..events).map(|event| self.event("id0").partition(event % partitions)).collect()
    }

    /// Events of so many ids, where the producer's partitioner puts them.
    fn keyed(&self, events: usize, ids: usize) -> Vec<Message> {
        (0..events).map(|event| self.event(&format!("id{}", event % ids))).collect()
    }

    async fn sums(&self, model: &str, events: i64) {
        let sum = format!("SELECT sum(n)::bigint AS n FROM {model}.{model}");
        self.database.eventually(&sum, &json!([{ "n": events }])).await;
        let parked =
            format!(r#"SELECT topic, partition, "offset", reason FROM "{model}@1"."@parked""#);
        assert_eq!(self.database.rows(&parked).await, json!([]));
    }

    /// What `vitrina status --json` says of the model's writers.
    fn one_writer(&self, model: &str) -> Value {
        let status = self.folder.run(&["status", "--json"]).json();
        let models = status["models"].as_array().unwrap().clone();
        models.into_iter().find(|one| one["model"] == model).unwrap()["one_writer"].take()
    }

    /// That the model has one writer, and why, everywhere where it is told.
    async fn has_one_writer(&self, vitrina: &Vitrina, model: &str, why: &str) {
        let told = self.one_writer(model)["why"].as_str().unwrap_or_default().to_owned();
        assert!(told.starts_with(&format!("topic {} partition ", self.topic)), "{told}");
        assert!(told.contains(why), "{told}");
        let lines = self.folder.run(&["status"]).stdout;
        assert!(lines.contains("  one writer at a time since "), "{lines}");
        let logged = vitrina.stderr();
        assert_eq!(logged.matches("one writer at a time from now on").count(), 1, "{logged}");
        let metrics = vitrina.get_admin("/metrics").await.body;
        let metric = format!("vitrina_model_one_writer{{model=\"{model}\"}} 1");
        assert!(metrics.as_str().unwrap().contains(&metric), "{metrics}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_in_two_partitions_loses_nothing() {
    let small = Small::new(2, &[("looked_up", LOOKED_UP)]).await;
    Producer::new().send_all(&small.in_turn(2000, 2)).await;
    let vitrina = small.folder.serve();
    small.sums("looked_up", 2000).await;
    small.has_one_writer(&vitrina, "looked_up", "the key belongs to another of 2 partitions").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_form_of_rules_is_safe_and_none_loses() {
    let models = [("two_rules", TWO_RULES), ("replaced", REPLACED), ("numbered", NUMBERED)];
    let small = Small::new(2, &models).await;
    Producer::new().send_all(&small.in_turn(1000, 2)).await;
    let _vitrina = small.folder.serve();
    for (model, _) in models {
        small.sums(model, 1000).await;
        assert_ne!(
            small.one_writer(model),
            Value::Null,
            "{model} would never have had two writers"
        );
    }
}

/// Each instance has one writer and one partition.
#[tokio::test(flavor = "multi_thread")]
async fn an_id_over_two_instances_loses_nothing() {
    let small = Small::new(2, &[("looked_up", LOOKED_UP)]).await;
    let one = small.folder.serve();
    let mut command = small.folder.command(&["serve", "--only", "project"]);
    command.env("VITRINA_HTTP__ADMIN_LISTEN", "127.0.0.1:0");
    let address = ([127, 0, 0, 1], 0).into();
    let _two = Vitrina::start(command, address, address);
    let owners =
        "SELECT count(DISTINCT instance) AS n FROM vitrina.worker WHERE partitions <> '[]'";
    small.database.eventually(owners, &json!([{ "n": 2 }])).await;
    Producer::new().send_all(&small.in_turn(2000, 2)).await;
    small.sums("looked_up", 2000).await;
    assert_ne!(small.one_writer("looked_up"), Value::Null);
    drop(one);
}

#[tokio::test(flavor = "multi_thread")]
async fn records_without_a_key_prove_nothing() {
    let small = Small::new(2, &[("looked_up", LOOKED_UP)]).await;
    let messages: Vec<Message> = small
        .in_turn(1000, 2)
        .into_iter()
        .map(|message| Message { key: None, ..message })
        .collect();
    Producer::new().send_all(&messages).await;
    let vitrina = small.folder.serve();
    small.sums("looked_up", 1000).await;
    small.has_one_writer(&vitrina, "looked_up", "the record has no key").await;
}

/// A key of another text is another key to Kafka, and the same row to Postgres.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_not_the_field_proves_nothing() {
    let small = Small::new(2, &[("looked_up", LOOKED_UP)]).await;
    let messages: Vec<Message> = (0..1000)
        .map(|event| Message { key: Some(format!("k{event}").into()), ..small.event("id0") })
        .collect();
    Producer::new().send_all(&messages).await;
    let vitrina = small.folder.serve();
    small.sums("looked_up", 1000).await;
    small.has_one_writer(&vitrina, "looked_up", "the record's key is not the text of `id`").await;
}

/// Partitions were added before a generation began: its log has keys in two.
#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_grew_before_loses_nothing() {
    let small = Small::new(1, &[("looked_up", LOOKED_UP)]).await;
    Producer::new().send_all(&small.keyed(1000, 7)).await;
    grow_topic(&small.topic, 2).await;
    let grown: Vec<Message> = small
        .keyed(1000, 7)
        .into_iter()
        .map(|message| {
            let key = message.key.clone().unwrap();
            message.partition(Partitioner::Murmur2.partition(&key, 2).cast_signed())
        })
        .collect();
    Producer::new().send_all(&grown).await;
    let vitrina = small.folder.serve();
    small.sums("looked_up", 2000).await;
    small.has_one_writer(&vitrina, "looked_up", "the key belongs to another of 2 partitions").await;
}

/// Partitions are added while it runs.
#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_grows_loses_nothing() {
    let small = Small::new(1, &[("looked_up", LOOKED_UP)]).await;
    let vitrina = small.folder.serve();
    Producer::new().send_all(&small.keyed(100, 7)).await;
    small.sums("looked_up", 100).await;
    assert_eq!(small.one_writer("looked_up"), Value::Null);
    grow_topic(&small.topic, 2).await;
    eventually(PATIENCE, async || {
        let claimed = r#"SELECT count(*) AS n FROM "looked_up@1"."@position""#;
        let claimed = small.database.rows(claimed).await;
        if claimed == json!([{ "n": 2 }]) { Ok(()) } else { Err(claimed) }
    })
    .await;
    Producer::new().send_all(&small.in_turn(1000, 2)).await;
    small.sums("looked_up", 1100).await;
    small
        .has_one_writer(
            &vitrina,
            "looked_up",
            "the topic had 1 partition when this generation began",
        )
        .await;
}

/// The Java client's partitioner, and librdkafka's default.
#[tokio::test(flavor = "multi_thread")]
async fn well_placed_keys_keep_several_writers() {
    for (setting, kept) in [("murmur2_random", "murmur2"), ("consistent_random", "consistent")] {
        let small = Small::new(4, &[("looked_up", LOOKED_UP)]).await;
        Producer::placing_by(setting).send_all(&small.keyed(2000, 50)).await;
        let vitrina = small.folder.serve();
        small.sums("looked_up", 2000).await;
        assert_eq!(small.one_writer("looked_up"), Value::Null, "{setting}");
        let proof = r#"SELECT partitions, partitioners FROM "looked_up@1"."@proof""#;
        let proof = small.database.rows(proof).await;
        assert_eq!(proof, json!([{ "partitions": 4, "partitioners": [kept] }]), "{setting}");
        assert!(!vitrina.stderr().contains("one writer at a time"), "{}", vitrina.stderr());
    }
}

/// Keys of all lengths and bytes, by librdkafka's own partitioners.
#[tokio::test(flavor = "multi_thread")]
async fn partitioners_are_librdkafkas() {
    const PARTITIONS: u32 = 7;
    let topic = unique("placed");
    create_topic(&topic, PARTITIONS as i32).await;
    let keys: Vec<Vec<u8>> = (0..200u32)
        .map(|at| (0..at % 23).map(|byte| (at * 31 + byte * 101) as u8).chain([at as u8]).collect())
        .collect();
    let messages: Vec<Message> = keys
        .iter()
        .map(|key| Message { key: Some(key.clone()), ..Message::tombstone(&topic, "") })
        .collect();
    for partitioner in Partitioner::ALL {
        let places = Producer::placing_by(partitioner.name()).send_all(&messages).await;
        for (key, (partition, _)) in keys.iter().zip(places) {
            let own = partitioner.partition(key, PARTITIONS).cast_signed();
            assert_eq!(own, partition, "{partitioner:?}: {key:?}");
        }
    }
}

/// Kafka's own test producer has the Java client under it.
#[tokio::test(flavor = "multi_thread")]
async fn murmur2_is_the_java_clients() {
    const PARTITIONS: u32 = 7;
    let topic = unique("placed");
    create_topic(&topic, PARTITIONS as i32).await;
    let sent = kafka_tool(
        "org.apache.kafka.tools.VerifiableProducer",
        &["--topic", &topic, "--max-messages", "100", "--repeating-keys", "100"],
    );
    let lines = sent.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let sent: Vec<Value> = lines.filter(|line| line["name"] == "producer_send_success").collect();
    assert_eq!(sent.len(), 100);
    for record in sent {
        let key = record["key"].as_str().unwrap();
        let own = Partitioner::Murmur2.partition(key.as_bytes(), PARTITIONS);
        assert_eq!(u64::from(own), record["partition"].as_u64().unwrap(), "{key}");
    }
}
