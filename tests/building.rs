//! How a generation is built: what was decided before holds in it, its indexes come last, events come in time order, and
//! whatever breaks on the way, nothing is stranded.

use std::time::Duration;

use rdkafka::admin::AdminOptions;
use rdkafka::{Offset, TopicPartitionList};
use serde_json::{Value, json};

use crate::bank::{Bank, MODEL, MOVED, Oracle, WITNESS, moved};
use crate::scene::{ACCOUNTS, Scene, moves, until_live, until_model_lives};
use crate::support::{
    Database, Folder, Message, PATIENCE, Producer, Proxy, Trap, Vitrina, Writer, admin,
    create_topic, eventually, unique,
};

fn rebuild(folder: &Folder, model: &str) {
    let begun = folder.run(&["rebuild", model, "--as-live"]);
    assert_eq!(begun.status, Some(0), "{begun:?}");
}

/// Waits until there is no group of a generation that is built.
async fn until_no_group(folder: &Folder, model: &str) {
    let group = format!("{}.{model}.building", folder.group_prefix);
    eventually(PATIENCE, async || {
        let admin = admin();
        let list = admin.inner().fetch_group_list(None, Duration::from_secs(5));
        let list = list.map_err(|error| error.to_string())?;
        let found = list.groups().iter().find(|found| found.name() == group);
        found.map_or(Ok(()), |found| Err(format!("{group} is {}", found.state())))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_indexes_come_last_and_the_group_goes() {
    let database = Database::create().await;
    let bank = Bank::new(&database, 2).await;
    let writer = bank.writer(MOVED).await;
    let mut oracle = Oracle::default();
    Producer::new().send_all(&moves(&writer, &mut oracle, 0, 200)).await;
    let vitrina = bank.folder.serve();
    database.eventually(WITNESS, &oracle.rows()).await;
    assert!(vitrina.terminate().await.success());
    rebuild(&bank.folder, "balance");
    let indexes = |generation: i32| {
        format!(
            r#"SELECT substring(indexdef FROM 'USING.*') AS i FROM pg_indexes
               WHERE schemaname = 'balance@{generation}' AND tablename = 'balance' ORDER BY 1"#
        )
    };
    let key = json!([{"i": "USING btree (account_id)"}]);
    assert_eq!(database.rows(&indexes(2)).await, key, "nobody runs, so it is not loaded");
    let vitrina = bank.folder.serve();
    until_live(&database, 2).await;
    assert_eq!(database.rows(&indexes(2)).await, database.rows(&indexes(1)).await);
    let known =
        r#"SELECT reltuples::int AS n FROM pg_class WHERE oid = '"balance@2".balance'::regclass"#;
    assert_eq!(database.rows(known).await, json!([{ "n": ACCOUNTS }]), "Postgres has looked at it");
    database.eventually(WITNESS, &oracle.rows()).await;
    until_no_group(&bank.folder, "balance").await;
    assert!(vitrina.terminate().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_discarded_or_parked_before_holds_in_a_rebuild() {
    let database = Database::create().await;
    let bank = Bank::new(&database, 1).await;
    let writer = bank.writer(MOVED).await;
    let producer = Producer::new();
    let broken = |key: &str| writer.bytes(key, &[2, b'a', 0x80]);
    producer.send_all(&[broken("late"), broken("bad")]).await;
    let mut oracle = Oracle::default();
    producer.send_all(&moves(&writer, &mut oracle, 0, 100)).await;
    producer.send(&moved(&writer, "late", 1, 7)).await;
    let vitrina = bank.folder.serve();
    database.eventually(WITNESS, &oracle.rows()).await;
    let parked = |generation: i32| {
        format!(
            r#"SELECT convert_from(key, 'UTF8') AS key, "offset" AS o FROM "balance@{generation}"."@parked" ORDER BY id"#
        )
    };
    let all = json!([{"key": "late", "o": 0}, {"key": "bad", "o": 1}, {"key": "late", "o": 102}]);
    database.eventually(&parked(1), &all).await;
    let id = |parked: &Value, key: &str| {
        let records = parked["parked"].as_array().unwrap();
        records.iter().find(|record| record["key"] == key).unwrap()["id"].to_string()
    };
    let listed = bank.folder.run(&["parked", "--json"]).json();
    let (late, bad) = (id(&listed, "late"), id(&listed, "bad"));
    let discarded = bank.folder.run(&["parked", "discard", &bad, "--reason", "noise"]);
    assert_eq!(discarded.status, Some(0), "{discarded:?}");
    // The log forgets the first record, which only the live generation still has.
    let mut until = TopicPartitionList::new();
    until.add_partition_offset(&bank.topic, 0, Offset::Offset(1)).unwrap();
    admin().delete_records(&until, &AdminOptions::new()).await.unwrap();
    let rebuilt = bank.folder.run(&["rebuild", "balance", "--allow-shorter-history"]);
    assert_eq!(rebuilt.status, Some(0), "{rebuilt:?}");
    until_live(&database, 2).await;
    database.eventually(WITNESS, &oracle.rows()).await;
    let kept = json!([{"key": "late", "o": 0}, {"key": "late", "o": 102}]);
    assert_eq!(database.rows(&parked(2)).await, kept);
    // An old id is answered with the new one.
    let now = id(&bank.folder.run(&["parked", "--json"]).json(), "late");
    for arguments in
        [&["parked", "retry", &late][..], &["parked", "discard", &late, "--reason", "x"]]
    {
        let refused = bank.folder.run(arguments);
        assert_eq!(refused.status, Some(1), "{refused:?}");
        assert!(refused.stderr.contains(&format!("it is {now} now")), "{refused:?}");
    }
    assert_eq!(database.rows(&parked(2)).await, kept, "nothing was changed");
    // What is discarded while the next one is built is skipped there, and what had waited behind it goes.
    assert!(vitrina.terminate().await.success());
    rebuild(&bank.folder, "balance");
    let discarded = bank.folder.run(&["parked", "discard", &now, "--reason", "noise"]);
    assert_eq!(discarded.status, Some(0), "{discarded:?}");
    let vitrina = bank.folder.serve();
    until_live(&database, 3).await;
    oracle.moved("late", 1, 7);
    database.eventually(WITNESS, &oracle.rows()).await;
    assert_eq!(database.rows(&parked(3)).await, json!([]));
    assert!(vitrina.terminate().await.success());
}

/// What a person was called when they bought: rows hang on the order in which two topics are read.
const SALE: &str = "\
CREATE TABLE _person (id text PRIMARY KEY, name text NOT NULL);
CREATE TABLE sale (sale_id text PRIMARY KEY, name text);
INSERT INTO _person SELECT e.id, e.name FROM people.named e
ON CONFLICT (id) DO UPDATE SET name = EXCLUDED.name;
INSERT INTO sale (sale_id, name)
SELECT e.sale_id, p.name FROM shop.sold e LEFT JOIN _person p ON p.id = e.person
ON CONFLICT (sale_id) DO NOTHING;
";
const NAMED: &str = r#"{"type":"record","name":"Named","namespace":"people","fields":[
  {"name":"id","type":"string"},{"name":"name","type":"string"}]}"#;
const SOLD: &str = r#"{"type":"record","name":"Sold","namespace":"shop","fields":[
  {"name":"sale_id","type":"string"},{"name":"person","type":"string"}]}"#;

#[tokio::test(flavor = "multi_thread")]
async fn topics_hours_apart_are_read_in_time_order() {
    let database = Database::create().await;
    let (people, shop) = (unique("people"), unique("shop"));
    create_topic(&people, 1).await;
    create_topic(&shop, 2).await;
    let folder = Folder::new(&database)
        .write("contracts/people/context.toml", &format!("topic = \"{people}\"\nkey = \"id\"\n"))
        .write("contracts/people/named/v1.avsc", NAMED)
        .write("contracts/shop/context.toml", &format!("topic = \"{shop}\"\nkey = \"sale_id\"\n"))
        .write("contracts/shop/sold/v1.avsc", SOLD)
        .write("models/sale.sql", SALE);
    let (named, sold) =
        (Writer::register(&people, NAMED).await, Writer::register(&shop, SOLD).await);
    let (producer, vitrina) = (Producer::new(), folder.serve());
    const HOUR: i64 = 3_600_000;
    for hour in 1..=4 {
        let at = 1_700_000_000_000 + hour * HOUR;
        let name = json!({"id": "p", "name": format!("name {hour}")});
        producer.send(&Message { timestamp: Some(at), ..named.event("p", &name) }).await;
        let known = json!([{ "name": format!("name {hour}") }]);
        database.eventually(r#"SELECT name FROM "sale@1"._person"#, &known).await;
        let sale = |number: i64| {
            let id = format!("{hour}-{number}");
            let sale = sold.event(&id, &json!({"sale_id": id, "person": "p"}));
            Message { timestamp: Some(at + 1 + number), ..sale }
        };
        producer.send_all(&(0..500).map(sale).collect::<Vec<_>>()).await;
        let sales = json!([{ "n": 500 * hour }]);
        database.eventually("SELECT count(*) AS n FROM sale.sale", &sales).await;
    }
    let rows = "SELECT name, count(*) AS n FROM sale.sale GROUP BY 1 ORDER BY 1";
    let live = database.rows(rows).await;
    assert_eq!(live.as_array().unwrap().len(), 4, "{live}");
    rebuild(&folder, "sale");
    until_model_lives(&database, "sale", 2).await;
    assert_eq!(database.rows(rows).await, live);
    assert!(vitrina.terminate().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn two_are_built_at_a_time_and_the_third_waits_for_its_turn() {
    let database = Database::create().await;
    let bank = Bank::new(&database, 1).await;
    let other = |name: &str| {
        format!(
            "CREATE TABLE {name} (account_id text PRIMARY KEY);\n\
             INSERT INTO {name} SELECT e.account_id FROM bank.amount_moved e ON CONFLICT DO NOTHING;\n"
        )
    };
    let folder = bank.folder.write("models/one.sql", &other("one"));
    let folder = folder.write("models/two.sql", &other("two"));
    let bank = Bank { folder, ..bank };
    let writer = bank.writer(MOVED).await;
    let mut oracle = Oracle::default();
    Producer::new().send_all(&moves(&writer, &mut oracle, 0, 100)).await;
    let vitrina = bank.folder.serve();
    for model in ["balance", "one", "two"] {
        let rows = format!("SELECT count(*) AS n FROM {model}.{model}");
        database.eventually(&rows, &json!([{ "n": ACCOUNTS }])).await;
    }
    assert!(vitrina.terminate().await.success());
    for model in ["balance", "one", "two"] {
        rebuild(&bank.folder, model);
    }
    let states = "SELECT model, state FROM vitrina.generation WHERE generation = 2 ORDER BY model";
    let waits = json!([{"model": "balance", "state": "building"}, {"model": "one", "state": "building"},
                       {"model": "two", "state": "queued"}]);
    assert_eq!(database.rows(states).await, waits);
    let vitrina = bank.folder.serve();
    for model in ["balance", "one", "two"] {
        until_model_lives(&database, model, 2).await;
    }
    database.eventually(WITNESS, &oracle.rows()).await;
    assert!(vitrina.terminate().await.success());
}

/// A statement on the way from the first claim to the last broom, and whether it arrives before the connection is lost.
const CUTS: &[(&str, &str, bool)] = &[
    ("", "pg_advisory_xact_lock_shared", false),
    ("'synchronous_commit'", "COMMIT", true),
    ("'synchronous_commit'", "COMMIT", false),
    ("", "CREATE INDEX", false),
    ("CREATE INDEX", "COMMIT", true),
    ("", "VACUUM (ANALYZE)", true),
    ("", "CREATE SCHEMA \"balance@next\"", true),
    ("", "SET state = 'retired'", true),
    ("", "SET state = 'live'", false),
    ("", "SET live = $2", true),
    ("", "SET swapped_at = now()", false),
    ("", "INSERT INTO vitrina.verdict", true),
    ("", "ALTER SCHEMA", true),
    ("balance@next", "COMMIT", false),
    ("balance@next", "COMMIT", true),
    ("", "DROP VIEW", true),
    ("", "DROP SCHEMA", false),
];

/// Of the way of a generation that comes back.
const CUTS_ON_THE_WAY_BACK: &[(&str, &str, bool)] = &[
    ("", "pg_advisory_xact_lock_shared", true),
    ("'synchronous_commit'", "COMMIT", true),
    ("", "CREATE SCHEMA \"balance@next\"", false),
    ("", "SET state = 'retired'", true),
    ("", "SET state = 'live'", true),
    ("", "SET live = $2", false),
    ("", "SET swapped_at = now()", true),
    ("", "ALTER SCHEMA", true),
    ("balance@next", "COMMIT", true),
    ("balance@next", "COMMIT", false),
    ("", "DROP SCHEMA", true),
];

/// Postgres at the end of a network of the test's own.
async fn behind_a_proxy(database: &Database) -> (Proxy, String) {
    let (user, place) = database.url.split_once('@').unwrap();
    let (server, name) = place.split_once('/').unwrap();
    let proxy = Proxy::to(server).await;
    let url = format!("{user}@{}/{name}", proxy.address);
    (proxy, url)
}

/// Loses the connection at one statement after the other; every time the generation that `verb` asks for goes live, and all
/// events are in it.
async fn endure(cuts: &[(&'static str, &'static str, bool)], verb: &[&str], goal: fn(i32) -> i32) {
    let database = Database::create().await;
    let bank = Bank::new(&database, 2).await;
    let toml = "[kafka.properties]\n\"session.timeout.ms\" = \"6000\"";
    let bank = Bank { folder: bank.folder.configure(toml), ..bank };
    let (proxy, url) = behind_a_proxy(&database).await;
    let serve = || {
        let mut command = bank.folder.command(&["serve"]);
        command.env("VITRINA_POSTGRES__URL", &url);
        Vitrina::start(command, bank.folder.listen, bank.folder.admin_listen)
    };
    let writer = bank.writer(MOVED).await;
    let mut oracle = Oracle::default();
    let producer = Producer::new();
    producer.send_all(&moves(&writer, &mut oracle, 0, 100)).await;
    let mut vitrina = serve();
    database.eventually(WITNESS, &oracle.rows()).await;
    if verb[0] == "rollback" {
        rebuild(&bank.folder, "balance");
        until_live(&database, 2).await;
    }
    for (round, &(known_by, at, arrives)) in cuts.iter().enumerate() {
        proxy.lay(&[Trap { known_by, at, arrives }]);
        let begun = bank.folder.run(verb);
        assert_eq!(begun.status, Some(0), "{begun:?}");
        eventually(PATIENCE, async || match proxy.open_traps() {
            0 => Ok(()),
            _ => Err(format!("nobody says {at:?}")),
        })
        .await;
        // Every other time the whole instance goes.
        if round % 2 == 1 {
            vitrina.kill();
            vitrina = serve();
        }
        until_live(&database, goal(round as i32)).await;
        producer.send_all(&moves(&writer, &mut oracle, 100 * (round as u64 + 1), 100)).await;
        database.eventually(WITNESS, &oracle.rows()).await;
    }
    let stranded = "SELECT nspname AS schema FROM pg_namespace WHERE starts_with(nspname, 'balance@') AND nspname NOT IN (
                        SELECT model || '@' || generation FROM vitrina.generation WHERE state IN ('live', 'retired'))";
    database.eventually(stranded, &json!([])).await;
    until_no_group(&bank.folder, "balance").await;
    assert!(vitrina.terminate().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_statement_is_the_last_nothing_is_stranded() {
    endure(CUTS, &["rebuild", "balance", "--as-live"], |round| round + 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_statement_is_the_last_the_one_before_comes_back() {
    endure(CUTS_ON_THE_WAY_BACK, &["rollback", "balance"], |round| 1 + round % 2).await;
}

/// Runs a verb again and again, whose connections are lost one piece later each time; after each time all is as before, or all
/// is done, which `done` says. How often it was as before.
async fn cut_everywhere(
    (proxy, url): (&Proxy, &str),
    folder: &Folder,
    verb: &[&str],
    done: impl AsyncFn() -> bool,
) -> usize {
    for pieces in 0.. {
        proxy.cut_behind(pieces);
        let mut command = folder.command(verb);
        command.env("VITRINA_POSTGRES__URL", url);
        let output = command.output().unwrap();
        let done = done().await;
        assert!(done || proxy.has_cut(), "{verb:?}: {output:?}");
        if done {
            return pieces;
        }
    }
    unreachable!("a verb ends")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_dropped_or_taken_back_is_so_wholly_or_not_at_all() {
    let database = Database::create().await;
    let bank = Bank::new(&database, 1).await;
    let (proxy, url) = behind_a_proxy(&database).await;
    let writer = bank.writer(MOVED).await;
    let mut oracle = Oracle::default();
    Producer::new().send_all(&moves(&writer, &mut oracle, 0, 100)).await;
    let vitrina = bank.folder.serve();
    database.eventually(WITNESS, &oracle.rows()).await;
    rebuild(&bank.folder, "balance");
    until_live(&database, 2).await;
    assert!(vitrina.terminate().await.success());
    // Whoever is cut off may hold its locks until Postgres has noticed: it is asked behind them.
    let settled = "SELECT pg_advisory_xact_lock((l.classid::bigint << 32) | l.objid::bigint) FROM pg_locks l
                   WHERE l.locktype = 'advisory' AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    let look = async |question: &str| {
        database.rows(settled).await;
        database.rows(question).await
    };
    let network = (&proxy, url.as_str());
    let states = "SELECT string_agg(state, ' ' ORDER BY generation) AS s,
                      (SELECT count(*) FROM vitrina.verdict WHERE verdict = 'rollback') AS n FROM vitrina.generation";
    let cut = cut_everywhere(network, &bank.folder, &["rollback", "balance"], async || {
        let seen = look(states).await;
        match seen[0]["s"].as_str().unwrap() {
            "retired live" => assert_eq!(seen[0]["n"], 0, "{seen}"),
            "building live" => assert_eq!(seen[0]["n"], 1, "{seen}"),
            other => panic!("{other}"),
        }
        seen[0]["n"] == 1
    })
    .await;
    assert!(cut > 5, "{cut}");
    assert_eq!(bank.folder.run(&["cancel", "balance"]).status, Some(0));
    let there = r#"SELECT (SELECT state FROM vitrina.generation WHERE generation = 1) AS state,
                       (SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
                        WHERE nspname = 'balance@1' AND relkind = 'r') AS tables"#;
    let whole = look(there).await;
    let cut = cut_everywhere(network, &bank.folder, &["drop", "balance@1"], async || {
        let seen = look(there).await;
        assert!(seen == whole || seen == json!([{"state": "dropped", "tables": 0}]), "{seen}");
        seen != whole
    })
    .await;
    assert!(cut > 10, "{cut}");
    std::fs::remove_file(bank.folder.path().join("models/balance.sql")).unwrap();
    let all = "SELECT (SELECT count(*) FROM pg_namespace WHERE starts_with(nspname, 'balance')) AS schemas,
                   (SELECT count(*) FROM vitrina.generation) AS generations, (SELECT count(*) FROM vitrina.model) AS models";
    let whole = look(all).await;
    let cut = cut_everywhere(network, &bank.folder, &["drop", "balance", "--yes"], async || {
        let seen = look(all).await;
        let gone = json!([{"schemas": 0, "generations": 0, "models": 0}]);
        assert!(seen == whole || seen == gone, "{seen}");
        seen != whole
    })
    .await;
    assert!(cut > 10, "{cut}");
    let admin = admin();
    let list = admin.inner().fetch_group_list(None, PATIENCE).unwrap();
    let prefix = &bank.folder.group_prefix;
    assert!(list.groups().iter().all(|group| !group.name().starts_with(prefix.as_str())));
}

/// Waits until exactly these records of a generation are parked, by key and offset.
async fn until_parked(database: &Database, generation: i32, expected: &Value) {
    let parked = format!(
        r#"SELECT convert_from(key, 'UTF8') AS key, "offset" AS o FROM "balance@{generation}"."@parked" ORDER BY id"#
    );
    database.eventually(&parked, expected).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_operators_decided_while_it_was_built_holds_in_it_and_in_the_next() {
    let scene = Scene::of("[models.balance]\nswap = \"by_hand\"", 1, 0).await;
    let (database, folder) = (&scene.database, scene.folder());
    let (producer, writer) = (Producer::new(), &scene.writer);
    // What is wrong with the table is mended by hand.
    let odd = r#"ALTER TABLE "balance@1".balance ADD CONSTRAINT odd CHECK (account_id NOT IN ('late', 'bad'))"#;
    database.execute(odd).await;
    producer.send_all(&[moved(writer, "late", 1, 7), moved(writer, "bad", 1, 7)]).await;
    let mut oracle = Oracle::default();
    producer.send_all(&moves(writer, &mut oracle, 0, 100)).await;
    producer.send(&moved(writer, "late", 2, 7)).await;
    let (late, bad) = (json!({"key": "late", "o": 0}), json!({"key": "bad", "o": 1}));
    let behind = json!({"key": "late", "o": 102});
    until_parked(database, 1, &json!([late, bad, behind])).await;
    let mut until = TopicPartitionList::new();
    until.add_partition_offset(&scene.bank.topic, 0, Offset::Offset(1)).unwrap();
    admin().delete_records(&until, &AdminOptions::new()).await.unwrap();
    scene.yes(&["rebuild", "balance", "--allow-shorter-history"]);
    scene.until_waits(2, "it is built: ").await;
    until_parked(database, 2, &json!([late, behind])).await;
    database.execute(r#"ALTER TABLE "balance@1".balance DROP CONSTRAINT odd"#).await;
    let listed = folder.run(&["parked", "--json"]).json();
    let id = |key: &str| {
        let records = listed["parked"].as_array().unwrap();
        records.iter().find(|record| record["key"] == key).unwrap()["id"].to_string()
    };
    scene.yes(&["parked", "retry", &id("late")]);
    until_parked(database, 1, &json!([bad])).await;
    until_parked(database, 2, &json!([])).await;
    scene.until_waits(2, "it is built: ").await;
    scene.yes(&["parked", "discard", &id("bad"), "--reason", "noise"]);
    scene.until_waits(2, "1 records that were discarded had been applied by balance@2").await;
    scene.yes(&["swap", "balance"]);
    until_live(database, 2).await;
    let mut second = Oracle::default();
    moves(writer, &mut second, 0, 100);
    for (account, seq) in [("late", 1), ("bad", 1), ("late", 2)] {
        second.moved(account, seq, 7);
    }
    database.eventually(WITNESS, &second.rows()).await;
    // The next one reads what the log holds, but for what was discarded.
    scene.yes(&["rebuild", "balance"]);
    scene.until_waits(3, "it is built: ").await;
    scene.yes(&["swap", "balance"]);
    until_live(database, 3).await;
    oracle.moved("late", 2, 7);
    database.eventually(WITNESS, &oracle.rows()).await;
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_mended_rule_had_parked_goes_in_the_rebuild() {
    let database = Database::create().await;
    let bank = Bank::new(&database, 1).await;
    let toml = "[model.breaker]\nin_a_row = 100000\nsame_reason = 100000";
    let strict = MODEL.replace(
        "  events     bigint NOT NULL DEFAULT 0,",
        "  events     bigint NOT NULL DEFAULT 0 CHECK (account_id <> 'a05' OR events < 3),",
    );
    let folder = bank.folder.configure(toml).write("models/balance.sql", &strict);
    let bank = Bank { folder, ..bank };
    let writer = bank.writer(MOVED).await;
    let mut oracle = Oracle::default();
    Producer::new().send_all(&moves(&writer, &mut oracle, 0, 20_000)).await;
    let vitrina = bank.folder.serve();
    let parked = r#"SELECT count(*) AS n FROM "balance@1"."@parked""#;
    database.eventually(parked, &json!([{"n": 998}])).await;
    assert!(vitrina.terminate().await.success());
    std::fs::write(bank.folder.path().join("models/balance.sql"), MODEL).unwrap();
    let vitrina = bank.folder.serve();
    until_live(&database, 2).await;
    database.eventually(WITNESS, &oracle.rows()).await;
    let listed = bank.folder.run(&["parked", "--json"]).json();
    assert_eq!(listed["parked"], json!([]));
    assert!(vitrina.terminate().await.success());
}
