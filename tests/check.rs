//! `vitrina check` on a real Postgres: what only it can say is said with file and line, all at once.

use crate::bank::Bank;
use crate::support::Database;

#[tokio::test(flavor = "multi_thread")]
async fn a_clean_set_says_how_each_rule_runs() {
    let database = Database::create().await;
    let bank = Bank::new(&database, 1).await;
    let checked = bank.folder.run(&["check", "--json"]);
    assert_eq!(checked.status, Some(0), "{checked:?}");
    let answer = checked.json();
    assert_eq!(answer["findings"].as_array().unwrap().len(), 0, "{answer}");
    let rules = answer["rules"].as_array().unwrap();
    let events: Vec<&str> = rules.iter().map(|rule| rule["event"].as_str().unwrap()).collect();
    assert_eq!(events, ["bank.account_opened", "bank.amount_moved"]);
    assert_eq!(
        (rules[0]["file"].as_str(), rules[0]["line"].as_u64()),
        (Some("models/balance.sql"), Some(11))
    );
    let writes = answer["models"][0]["writes"].as_str().unwrap();
    assert_eq!(
        writes,
        format!(
            "in parallel by the record key of {}, as far as its records prove that a key lives in one partition",
            answer["models"][0]["parallel"].as_str().unwrap()
        )
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_never_forms_waves_is_warned_of() {
    let database = Database::create().await;
    let bank = Bank::new(&database, 1).await;
    let slow = "CREATE TABLE total (one int PRIMARY KEY, chain int8 NOT NULL);
INSERT INTO total AS t SELECT 1, e.seq FROM bank.amount_moved e
ON CONFLICT (one) DO UPDATE SET chain = t.chain * 2 + EXCLUDED.chain;\n";
    let folder = bank.folder.write("models/total.sql", slow);
    let checked = folder.run(&["check", "--offline", "--explain"]);
    assert_eq!(checked.status, Some(0), "{checked:?}");
    for part in [
        "models/total.sql:2:1: warning: the model is slow, every one of its rules runs event by event: every event touches \
         the same row of `total`: let SET only merge what events bring",
        "models/total.sql: writes one batch after another: rows of `total` are told by `one = 1`, not by the record key",
    ] {
        assert!(checked.stdout.contains(part), "{part}\n{}", checked.stdout);
    }
    assert!(!checked.stdout.contains("models/balance.sql:1:1: warning"), "{}", checked.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_only_postgres_knows_is_found_with_file_and_line() {
    let database = Database::create().await;
    database
        .execute(
            "CREATE SCHEMA tools;
             CREATE FUNCTION tools.shaky(text) RETURNS text LANGUAGE sql STABLE AS 'SELECT $1';
             CREATE FUNCTION tools.firm(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT $1';",
        )
        .await;
    let bank = Bank::new(&database, 1).await;
    let model = "\
CREATE TABLE t (id text PRIMARY KEY, at timestamptz, word text, n int DEFAULT 1);

INSERT INTO t (id, at) SELECT e.account_id, 'today' FROM bank.amount_moved e ON CONFLICT DO NOTHING;

INSERT INTO t (id, word)
SELECT e.account_id, tools.shaky(tools.firm('now')) FROM bank.amount_moved e ON CONFLICT DO NOTHING;

UPDATE t SET n = e.seq
FROM bank.amount_moved e
WHERE t.id = e.account_id
  AND t.n = e.account_id;
";
    let folder = bank.folder.write("models/t.sql", model).write(
        "contracts/bank/account_opened/v2.sql",
        "SELECT owner AS holder,\n 1 + owner AS country FROM v1;\n",
    );
    let checked = folder.run(&["check"]);
    assert_eq!(checked.status, Some(1), "{checked:?}");
    for part in [
        "models/t.sql:3:45: 'today' is the clock's time here",
        "models/t.sql:5:1: tools.shaky() is not IMMUTABLE",
        "models/t.sql:11:11: Postgres refuses this: operator does not exist: integer = text: bring both sides to one type",
        "contracts/bank/account_opened/v2.sql:2:4: Postgres refuses this: operator does not exist: integer + text",
    ] {
        assert!(checked.stdout.contains(part), "{part}\n{}", checked.stdout);
    }
    assert!(
        !checked.stdout.contains("'now'") && !checked.stdout.contains("firm"),
        "{}",
        checked.stdout
    );
    let declared = "CREATE TABLE d (id text PRIMARY KEY,\n  n nosuchtype);\nCREATE TABLE e (id text PRIMARY KEY);\n\
                    CREATE INDEX ON e (lower(nope));\n\
                    INSERT INTO e SELECT e.account_id FROM bank.amount_moved e ON CONFLICT DO NOTHING;\n";
    let folder = folder.write("models/t.sql", declared).write(
        "contracts/bank/account_opened/v2.sql",
        "SELECT owner AS holder, 'ES' AS country FROM v1;\n",
    );
    let checked = folder.run(&["check"]).stdout;
    for part in [
        "models/t.sql:2:5: Postgres refuses this: type \"nosuchtype\" does not exist: name what this database has",
        "models/t.sql:4:26: Postgres refuses this: column \"nope\" does not exist",
    ] {
        assert!(checked.contains(part), "{part}\n{checked}");
    }
    let left = database.rows("SELECT nspname FROM pg_namespace WHERE nspname LIKE '%check%'").await;
    assert_eq!(left, serde_json::json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_success_is_ok_with_one_line_a_model() {
    let database = Database::create().await;
    let bank = Bank::new(&database, 1).await;
    let checked = bank.folder.run(&["check"]);
    let expected = "OK: 2 contracts, 1 model, 0 warnings\n\
                    models/balance.sql: 2 rules in waves, 0 event by event; writes in parallel; a start: build, because of models/balance.sql:1 (the model is new), over 0 events\n";
    assert_eq!((checked.status, checked.stdout.as_str()), (Some(0), expected), "{checked:?}");
    // Paths are as seen from where one stands.
    let above = bank.folder.path().parent().unwrap();
    let name = bank.folder.path().file_name().unwrap().to_str().unwrap();
    let config = format!("{name}/vitrina.toml");
    let seen = |folder: &std::path::Path, config: &str| {
        let mut command = bank.folder.command(&["check", "--offline", "--config", config]);
        String::from_utf8(command.current_dir(folder).output().unwrap().stdout).unwrap()
    };
    assert!(seen(above, &config).contains(&format!("\n{name}/models/balance.sql: ")));
    let below = bank.folder.path().join("models");
    assert!(
        seen(&below, "../vitrina.toml").contains("\n../models/balance.sql: "),
        "{}",
        seen(&below, "../vitrina.toml")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn folders_that_hold_the_wrong_thing_are_one_sentence() {
    let database = Database::create().await;
    let bank = Bank::new(&database, 1).await;
    let toml = std::fs::read_to_string(bank.folder.path().join("vitrina.toml")).unwrap();
    let toml: String = toml
        .lines()
        .filter(|line| !line.starts_with("contracts") && !line.starts_with("models ="))
        .map(|line| format!("{line}\n"))
        .collect();
    let toml = toml.replace("[definitions]\n", "");
    let line = toml.lines().count();
    let mut folder = bank.folder;
    for (contracts, models, at, said) in [
        (
            "models",
            "contracts",
            2,
            "definitions.contracts names holds models, such as balance.sql; name the folder of contexts",
        ),
        (
            "contracts",
            "contracts",
            3,
            "definitions.models names holds contracts, such as bank/account_opened/v1.avsc; name the folder of models",
        ),
        (
            "contracts/bank",
            "models",
            2,
            "definitions.contracts names is one context's; name the folder above it",
        ),
        (".", "models", 2, "definitions.contracts names holds no context itself; name ./contracts"),
    ] {
        let settings =
            format!("{toml}[definitions]\ncontracts = \"{contracts}\"\nmodels = \"{models}\"\n");
        folder = folder.write("vitrina.toml", &settings);
        for verb in [&["check", "--offline"][..], &["serve"]] {
            let told = folder.run(verb);
            let expected = format!("vitrina.toml:{}: the folder that {said}\n", line + at);
            assert_eq!((told.status, told.stdout.as_str()), (Some(2), ""), "{told:?}");
            assert!(told.stderr.ends_with(&expected), "{expected}{told:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_contract_takes_no_model_along_that_does_not_use_it() {
    let database = Database::create().await;
    let bank = Bank::new(&database, 1).await;
    let moves = "CREATE TABLE moves (account_id text PRIMARY KEY, n bigint NOT NULL);\n\
                 INSERT INTO moves AS m SELECT e.account_id, 1 FROM bank.amount_moved e\n\
                 ON CONFLICT (account_id) DO UPDATE SET n = m.n + EXCLUDED.n;\n";
    let folder = bank
        .folder
        .write("models/moves.sql", moves)
        .write("contracts/bank/account_opened/v2.avsc", "{\n  \"type\": record }");
    let checked = folder.run(&["check"]);
    assert_eq!(checked.status, Some(1), "{checked:?}");
    let lines: Vec<&str> = checked.stdout.lines().collect();
    assert_eq!(lines.len(), 2, "{checked:?}");
    assert!(
        lines[0].starts_with("contracts/bank/account_opened/v2.avsc:2:11: not JSON: "),
        "{checked:?}"
    );
    assert_eq!(lines[1], "1 error, 0 warnings");
    let vitrina = folder.serve();
    let state = |model: &'static str| {
        let status = folder.run(&["status", "--json"]);
        let models = status.json()["models"].as_array().cloned().unwrap_or_default();
        let found = models.into_iter().find(|found| found["model"] == model).unwrap_or_default();
        (found["state"].as_str().unwrap_or_default().to_owned(), found["reason"].to_string())
    };
    crate::support::eventually(crate::support::PATIENCE, async || match state("moves") {
        (state, _) if state == "live" => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    let (stopped, reason) = state("balance");
    assert_eq!(stopped, "stopped");
    let why = "models/balance.sql:12:47: the contract of `bank.account_opened` does not load: mend it at \
               contracts/bank/account_opened/v2.avsc:2:11";
    assert!(reason.contains(why), "{reason}");
    assert!(vitrina.terminate().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn casts_that_may_lose_are_warned_of_unless_they_are_written() {
    let database = Database::create().await;
    let bank = Bank::new(&database, 1).await;
    let event = |fields: &str| {
        format!(
            r#"{{"type":"record","name":"AmountMoved","namespace":"bank","fields":[
          {{"name":"account_id","type":"string"}},{{"name":"seq","type":"long"}},{fields}]}}"#
        )
    };
    let v1 = event(
        r#"{"name":"amount","type":{"type":"bytes","logicalType":"decimal","precision":12,"scale":2}},
                      {"name":"at","type":{"type":"long","logicalType":"timestamp-micros"}}"#,
    );
    let v2 = event(
        r#"{"name":"amount","type":{"type":"bytes","logicalType":"decimal","precision":12,"scale":2}},
                      {"name":"whole","type":"long"},{"name":"day","type":{"type":"int","logicalType":"date"}},
                      {"name":"half","type":"int"}"#,
    );
    let folder = bank
        .folder
        .write("contracts/bank/amount_moved/v1.avsc", &v1)
        .write("contracts/bank/amount_moved/v2.avsc", &v2);
    let lossy = "SELECT amount AS whole,\n  at AS day,\n  amount / 2 AS half FROM v1;\n";
    let written =
        "SELECT amount::int8 AS whole, at::date AS day, (amount / 2)::int4 AS half FROM v1;\n";
    let folder = folder.write("contracts/bank/amount_moved/v2.sql", lossy);
    let checked = folder.run(&["check"]);
    assert_eq!(checked.status, Some(0), "{checked:?}");
    for part in [
        "contracts/bank/amount_moved/v2.sql:1:8: warning: `whole` is int8 and is given numeric(12,2), which may lose a part: \
         write (amount)::int8 if that is meant",
        "v2.sql:2:3: warning: `day` is date and is given timestamptz",
        "v2.sql:3:3: warning: `half` is int4 and is given numeric",
        "OK: 2 contracts, 1 model, 3 warnings",
    ] {
        assert!(checked.stdout.contains(part), "{part}\n{}", checked.stdout);
    }
    let checked = folder.write("contracts/bank/amount_moved/v2.sql", written).run(&["check"]);
    assert!(checked.stdout.starts_with("OK: 2 contracts, 1 model, 0 warnings"), "{checked:?}");
}

/// One finding of each kind, in every form that it is told in.
#[tokio::test(flavor = "multi_thread")]
async fn findings_are_told_to_people_to_lines_and_to_pipelines() {
    let database = Database::create().await;
    let bank = Bank::new(&database, 1).await;
    let schema = crate::bank::MOVED.replacen("\"record\"", "\"record\",\"kind\":\"domain\"", 1);
    let model = "CREATE TABLE total (one int PRIMARY KEY, chain int8 NOT NULL);\n\
                 INSERT INTO total AS t SELECT 1, e.sec FROM bank.amount_moved e\n\
                 ON CONFLICT (one) DO UPDATE SET chain = t.chian * 2 + EXCLUDED.chain;\n";
    let folder = bank
        .folder
        .write("models/total.sql", model)
        .write("contracts/bank/amount_moved/v1.avsc", &schema);
    let run = |format: &str| folder.run(&["check", "--offline", "--format", format]);
    let end =
        "2 errors, 0 warnings; offline: functions were judged by their names, types not at all\n";
    let event = "models/total.sql:2:34: `bank.amount_moved` has no column `sec`: did you mean `seq`? its columns are account_id, \
                 seq, amount, _event_id, _time, _key, _key_bytes, _topic, _partition, _offset, _headers, _correlation_id, _causation_id";
    let own = "models/total.sql:3:43: `total` has no column `chian`: did you mean `chain`? its columns are one, chain";
    let lines = run("lines");
    assert_eq!(lines.status, Some(1), "{lines:?}");
    assert_eq!(lines.stdout, format!("{event}\n{own}\n{end}"));
    // Elsewhere than on a terminal that is what is told.
    assert_eq!(folder.run(&["check", "--offline"]).stdout, lines.stdout);
    let human = run("human").stdout;
    let drawn = format!(
        "{event}
  |
2 | INSERT INTO total AS t SELECT 1, e.sec FROM bank.amount_moved e
  |                                  ^^^^^
2 - INSERT INTO total AS t SELECT 1, e.sec FROM bank.amount_moved e
2 + INSERT INTO total AS t SELECT 1, e.seq FROM bank.amount_moved e

{own}
  |
3 | ON CONFLICT (one) DO UPDATE SET chain = t.chian * 2 + EXCLUDED.chain;
  |                                           ^^^^^
3 - ON CONFLICT (one) DO UPDATE SET chain = t.chian * 2 + EXCLUDED.chain;
3 + ON CONFLICT (one) DO UPDATE SET chain = t.chain * 2 + EXCLUDED.chain;

{end}"
    );
    assert_eq!(human, drawn);
    let github = run("github").stdout;
    let command = "::error file=models/total.sql,line=3,col=43,title=`total` has no column `chian`::did you mean `chain`? its \
                   columns are one, chain\n";
    assert!(github.contains(command), "{github}");

    let json = folder.run(&["check", "--offline", "--json"]).json();
    assert_eq!(
        (&json["findings"][1]["line"], &json["findings"][1]["column"]),
        (&serde_json::json!(3), &serde_json::json!(43))
    );
    let moved =
        json["events"].as_array().unwrap().iter().find(|one| one["event"] == "bank.amount_moved");
    assert_eq!(moved.unwrap()["kind"], "domain", "{json}");
    let explained = folder.run(&["check", "--offline", "--explain"]).stdout;
    assert!(explained.contains("bank.amount_moved v1 comes on "), "{explained}");
    assert!(explained.contains("; kind domain\n"), "{explained}");
}
