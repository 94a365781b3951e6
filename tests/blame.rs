//! What one event alone fails with is its own, whatever Postgres calls it; what every event would fail with is not.

use serde_json::{Value, json};

use crate::support::{
    Database, Folder, Message, PATIENCE, Producer, Vitrina, Writer, create_topic, eventually,
    unique,
};

const TAKEN: &str = r#"{"type":"record","name":"SampleTaken","namespace":"lab","fields":[
  {"name":"id","type":"string"},{"name":"code","type":"string"},{"name":"words","type":"string"},
  {"name":"weight","type":"double"},{"name":"seconds","type":"double"}]}"#;

/// What the model calls: a function that fails with the code that the event brings, and one that takes its time.
const FUNCTIONS: &str = "
CREATE SCHEMA house;
CREATE FUNCTION house.judged(code text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
  IF code <> '' THEN RAISE EXCEPTION 'the house says no' USING ERRCODE = code; END IF;
  RETURN code;
END $$;
CREATE FUNCTION house.taking(seconds float8) RETURNS float8 LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN PERFORM pg_sleep(seconds); RETURN seconds; END $$;";

const MODEL: &str = "\
CREATE TABLE shelf (id text PRIMARY KEY, code text CHECK (house.judged(code) = ''), words tsquery, grams bigint, seconds float8);
INSERT INTO shelf
SELECT e.id, e.code, to_tsquery('simple', e.words), round(e.weight::numeric * 1000)::bigint, house.taking(e.seconds)
FROM lab.sample_taken e ON CONFLICT (id) DO UPDATE SET grams = EXCLUDED.grams;
";

/// Statements of a second at most, and short pauses.
const HASTE: &str = "[model]\ntimeout = \"1s\"\nretry.timeout.first = \"100ms\"\nretry.timeout.max = \"200ms\"\n\
                     retry.resource.first = \"100ms\"\nretry.resource.max = \"200ms\"\n";

struct Lab {
    database: Database,
    folder: Folder,
    writer: Writer,
}

impl Lab {
    async fn new(settings: &str) -> Self {
        let database = Database::create().await;
        database.execute(FUNCTIONS).await;
        let topic = unique("lab");
        create_topic(&topic, 1).await;
        let folder = Folder::new(&database)
            .write("contracts/lab/context.toml", &format!("topic = \"{topic}\"\nkey = \"id\"\n"))
            .write("contracts/lab/sample_taken/v1.avsc", TAKEN)
            .write("models/shelf.sql", MODEL)
            .configure(settings);
        Self { database, folder, writer: Writer::register(&topic, TAKEN).await }
    }

    fn sample(&self, id: &str, odd: Value) -> Message {
        let mut sample =
            json!({"id": id, "code": "", "words": "a & b", "weight": 1.5, "seconds": 0.0});
        sample.as_object_mut().unwrap().extend(odd.as_object().unwrap().clone());
        self.writer.event(id, &sample)
    }

    /// A sample whose weight is no number.
    fn weightless(&self, id: &str) -> Message {
        let mut sample = self.sample(id, json!({"weight": 1.5}));
        let value = sample.value.as_mut().unwrap();
        let place = value.windows(8).position(|bytes| bytes == 1.5_f64.to_le_bytes()).unwrap();
        value[place..place + 8].copy_from_slice(&f64::NAN.to_le_bytes());
        sample
    }

    fn good(&self, ids: std::ops::Range<u32>) -> Vec<Message> {
        ids.map(|id| self.sample(&format!("g{id:03}"), json!({}))).collect()
    }

    /// Keys and codes of what is parked.
    fn parked(&self) -> Value {
        let listed = self.folder.run(&["parked", "--json"]);
        if listed.status != Some(0) {
            return json!(listed.stderr);
        }
        let parked = listed.json()["parked"].as_array().unwrap().clone();
        parked.iter().map(|one| json!({"key": one["key"], "sqlstate": one["sqlstate"]})).collect()
    }

    async fn until_parked(&self, expected: Value) {
        eventually(PATIENCE, async || match self.parked() {
            parked if parked == expected => Ok(()),
            parked => Err(format!("{parked} instead of {expected}")),
        })
        .await;
    }

    async fn until_shelved(&self, samples: usize) {
        let rows = json!([{"n": samples}]);
        self.database.eventually("SELECT count(*) AS n FROM \"shelf@1\".shelf", &rows).await;
    }

    /// Waits until the model is in a state for a reason that says all of these.
    async fn until(&self, state: &str, said: &[&str]) {
        eventually(PATIENCE, async || {
            let status = self.folder.run(&["status", "--json"]);
            let model = status.json()["models"][0].clone();
            let reason = model["reason"].as_str().unwrap_or_default();
            match model["state"] == state && said.iter().all(|said| reason.contains(said)) {
                true => Ok(()),
                false => Err(format!("not {state} for {said:?}: {model}")),
            }
        })
        .await;
    }

    async fn serve_until_shelved(&self, samples: usize) -> Vitrina {
        let vitrina = self.folder.serve();
        self.until_shelved(samples).await;
        vitrina
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_one_event_alone_fails_with_parks_it() {
    let lab = Lab::new(HASTE).await;
    let mut messages = lab.good(0..20);
    let mut expected = vec![
        json!({"key": "nan", "sqlstate": "0A000"}),
        json!({"key": "query", "sqlstate": "42601"}),
    ];
    messages.push(lab.weightless("nan"));
    messages.push(lab.sample("query", json!({"words": "a b ("})));
    for code in [
        "P0001", "P0002", "20000", "22012", "23514", "2F003", "38000", "42501", "42P01", "42703",
        "42883", "3F000", "42704", "53400", "54001", "55000", "XX000",
    ] {
        messages.extend(lab.good(20 + expected.len() as u32 * 10..25 + expected.len() as u32 * 10));
        messages.push(lab.sample(code, json!({"code": code})));
        expected.push(json!({"key": code, "sqlstate": code}));
    }
    let good = messages.len() - expected.len();
    Producer::new().send_all(&messages).await;
    let vitrina = lab.serve_until_shelved(good).await;
    lab.until_parked(json!(expected)).await;
    lab.until("live", &[]).await;
    assert!(vitrina.terminate().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_event_ever_may_be_the_one() {
    let lab = Lab::new(HASTE).await;
    Producer::new().send(&lab.weightless("first")).await;
    let vitrina = lab.folder.serve();
    lab.until_parked(json!([{"key": "first", "sqlstate": "0A000"}])).await;
    lab.until("live", &[]).await;
    Producer::new().send_all(&lab.good(0..3)).await;
    lab.until_shelved(3).await;
    assert!(vitrina.terminate().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_every_event_fails_with_opens_the_breaker_or_stops() {
    let lab = Lab::new(HASTE).await;
    let judged = async |code: &str| {
        let body = match code {
            "" => "RETURN ''".to_owned(),
            code => format!("RAISE EXCEPTION 'the house says no' USING ERRCODE = '{code}'"),
        };
        let function = format!(
            "CREATE OR REPLACE FUNCTION house.judged(code text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
             BEGIN {body}; END $$"
        );
        lab.database.execute(&function).await;
    };
    judged("42501").await;
    Producer::new().send_all(&lab.good(0..40)).await;
    let vitrina = lab.folder.serve();
    lab.until("stopped", &["42501", "models/shelf.sql:2"]).await;
    assert_eq!(lab.parked(), json!([]));
    judged("P0001").await;
    let resumed = lab.folder.run(&["resume", "shelf"]);
    assert_eq!(resumed.status, Some(1), "it says what becomes of the model: {resumed:?}");
    lab.until("breaker_open", &["vitrina resume shelf"]).await;
    assert_eq!(lab.parked().as_array().unwrap().len(), 10);
    judged("XX000").await;
    assert_eq!(lab.folder.run(&["resume", "shelf"]).status, Some(0));
    lab.until("waiting", &["XX000", "4 times for one event alone"]).await;
    assert_eq!(lab.parked().as_array().unwrap().len(), 10);
    judged("").await;
    lab.until_shelved(30).await;
    lab.until("live", &[]).await;
    assert!(vitrina.terminate().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn one_event_that_is_slow_alone_is_parked() {
    let lab = Lab::new(HASTE).await;
    let mut messages = lab.good(0..10);
    messages.push(lab.sample("slow", json!({"seconds": 60.0})));
    messages.extend(lab.good(10..20));
    Producer::new().send_all(&messages).await;
    let vitrina = lab.serve_until_shelved(20).await;
    // With nothing behind it, those before it are the others.
    Producer::new().send(&lab.sample("slower", json!({"seconds": 60.0}))).await;
    let both =
        json!([{"key": "slow", "sqlstate": "57014"}, {"key": "slower", "sqlstate": "57014"}]);
    lab.until_parked(both.clone()).await;
    lab.until("live", &[]).await;
    assert!(vitrina.terminate().await.success());
}

/// A slow disk: whatever is asked takes too long, for a while.
#[tokio::test(flavor = "multi_thread")]
async fn a_slow_postgres_parks_nothing() {
    let lab = Lab::new(HASTE).await;
    Producer::new().send_all(&lab.good(0..5)).await;
    let vitrina = lab.serve_until_shelved(5).await;
    let slow = "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(60); RETURN NEW; END $$;
        CREATE TRIGGER slow BEFORE INSERT ON \"shelf@1\".shelf FOR EACH ROW EXECUTE FUNCTION slow()";
    lab.database.execute(slow).await;
    Producer::new().send_all(&lab.good(5..10)).await;
    lab.until("waiting", &["57014", "5 times for one event alone"]).await;
    assert_eq!(lab.parked(), json!([]));
    lab.database.execute("DROP TRIGGER slow ON \"shelf@1\".shelf").await;
    lab.until_shelved(10).await;
    lab.until("live", &[]).await;
    assert_eq!(lab.parked(), json!([]));
    assert!(vitrina.terminate().await.success());
}

/// Somebody at a prompt holds a row, then the table, for far longer than a statement may take.
#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_else_has_locked_parks_nothing() {
    let lab = Lab::new(HASTE).await;
    Producer::new().send_all(&lab.good(0..5)).await;
    let vitrina = lab.serve_until_shelved(5).await;
    for lock in
        ["UPDATE \"shelf@1\".shelf SET grams = 0 WHERE id = 'g003'", "LOCK TABLE \"shelf@1\".shelf"]
    {
        let mut prompt = lab.database.pool.begin().await.unwrap();
        sqlx::query(sqlx::AssertSqlSafe(lock)).execute(&mut *prompt).await.unwrap();
        Producer::new().send_all(&lab.good(0..5)).await;
        lab.until("waiting", &["55P03"]).await;
        let refused = "vitrina_retries_total{model=\"shelf\",class=\"resource\"} ";
        let count = async || -> u32 {
            let metrics = vitrina.get_admin("/metrics").await.body;
            let metrics = metrics.as_str().unwrap();
            let line = metrics.lines().find_map(|line| line.strip_prefix(refused));
            line.and_then(|count| count.parse().ok()).unwrap_or_default()
        };
        let before = count().await;
        eventually(PATIENCE, async || match count().await - before {
            6.. => Ok(()),
            few => Err(format!("{few} attempts")),
        })
        .await;
        assert_eq!(lab.parked(), json!([]));
        prompt.rollback().await.unwrap();
        lab.until("live", &[]).await;
    }
    assert_eq!(lab.parked(), json!([]));
    assert!(vitrina.terminate().await.success());
}

/// Postgres has one code for its own limit and for an operator's pg_cancel_backend.
#[tokio::test(flavor = "multi_thread")]
async fn a_statement_that_somebody_cancels_is_tried_again() {
    let settings = "[model]\nretry.transient.first = \"100ms\"\nretry.transient.max = \"100ms\"\n";
    let lab = Lab::new(settings).await;
    Producer::new().send_all(&lab.good(0..5)).await;
    let vitrina = lab.serve_until_shelved(5).await;
    Producer::new().send(&lab.sample("patient", json!({"seconds": 5.0}))).await;
    let cancel = "SELECT count(*) FILTER (WHERE pg_cancel_backend(pid)) AS n FROM pg_stat_activity
        WHERE wait_event = 'PgSleep' AND datname = current_database()";
    for _ in 0..5 {
        lab.database.eventually(cancel, &json!([{"n": 1}])).await;
    }
    lab.until_shelved(6).await;
    assert_eq!(lab.parked(), json!([]));
    assert!(vitrina.terminate().await.success());
}

/// What Postgres says at COMMIT is of the events that the transaction held.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_at_the_end_of_the_transaction_parks_its_event() {
    let lab = Lab::new(HASTE).await;
    Producer::new().send_all(&lab.good(0..3)).await;
    let vitrina = lab.serve_until_shelved(3).await;
    let late = "CREATE FUNCTION late() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF NEW.id = 'late' THEN RAISE EXCEPTION 'too late' USING ERRCODE = 'P0001'; END IF; RETURN NULL; END $$;
        CREATE CONSTRAINT TRIGGER late AFTER INSERT ON \"shelf@1\".shelf DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW EXECUTE FUNCTION late()";
    lab.database.execute(late).await;
    let mut messages = lab.good(3..10);
    messages.insert(4, lab.sample("late", json!({})));
    Producer::new().send_all(&messages).await;
    lab.until_shelved(10).await;
    lab.until_parked(json!([{"key": "late", "sqlstate": "P0001"}])).await;
    let retried = lab.folder.run(&["parked", "retry", "--all"]);
    assert_eq!(retried.status, Some(1), "{retried:?}");
    lab.database.execute("DROP TRIGGER late ON \"shelf@1\".shelf").await;
    assert_eq!(lab.folder.run(&["parked", "retry", "--all"]).status, Some(0));
    lab.until_shelved(11).await;
    assert!(vitrina.terminate().await.success());
}

/// A statement of Vitrina's own is never a record's.
#[tokio::test(flavor = "multi_thread")]
async fn what_vitrinas_own_statements_fail_with_parks_nothing() {
    let lab = Lab::new(HASTE).await;
    Producer::new().send_all(&lab.good(0..3)).await;
    let vitrina = lab.serve_until_shelved(3).await;
    let broken = r#"CREATE FUNCTION broken() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            RAISE EXCEPTION 'no position' USING ERRCODE = '22003'; END $$;
        CREATE TRIGGER broken BEFORE UPDATE ON "shelf@1"."@position" FOR EACH ROW EXECUTE FUNCTION broken()"#;
    lab.database.execute(broken).await;
    Producer::new().send_all(&lab.good(3..6)).await;
    lab.until("stopped", &["22003"]).await;
    assert_eq!(lab.parked(), json!([]));
    lab.database.execute(r#"DROP TRIGGER broken ON "shelf@1"."@position""#).await;
    assert_eq!(lab.folder.run(&["resume", "shelf"]).status, Some(0));
    lab.until_shelved(6).await;
    assert!(vitrina.terminate().await.success());
}
