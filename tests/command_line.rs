//! From JSON lines to rows behind HTTP, through the command line alone.

use serde_json::json;

use crate::bank::Bank;
use crate::support::{Database, PATIENCE, Vitrina, eventually, kafka_tool};

#[tokio::test(flavor = "multi_thread")]
async fn events_of_all_versions_become_rows_behind_http() {
    let database = Database::create().await;
    let bank = Bank::new(&database, 2).await;
    let folder = &bank.folder;
    let first = folder.run_with(
        &["publish", "bank.account_opened@v1"],
        "{\"account_id\":\"a1\",\"owner\":\"Ada\"}\n",
    );
    assert_eq!(first.status, Some(0), "{first:?}");
    let lines = "{\"account_id\":\"a2\",\"holder\":\"Bob\",\"country\":\"FR\"}\n\n{\"account_id\":\"a/3\",\"holder\":\"Eve\",\"country\":\"ES\"}\n";
    assert_eq!(folder.run_with(&["publish", "bank.account_opened"], lines).status, Some(0));
    let moves = "{\"account_id\":\"a1\",\"seq\":1,\"amount\":\"12.50\"}\n{\"account_id\":\"a1\",\"seq\":2,\"amount\":-2.25}\n";
    assert_eq!(
        folder.run_with(&["publish", "bank.amount_moved", "--header", "x=y"], moves).status,
        Some(0)
    );

    let vitrina = folder.serve();
    let answer = vitrina
        .eventually(
            "/v1/views/balance?select=account_id,holder,country,amount,events",
            &serde_json::from_str(
                r#"[{"account_id": "a/3", "holder": "Eve", "country": "ES", "amount": 0.00, "events": 0},
                    {"account_id": "a1", "holder": "Ada", "country": "ES", "amount": 10.25, "events": 2},
                    {"account_id": "a2", "holder": "Bob", "country": "FR", "amount": 0.00, "events": 0}]"#,
            )
            .unwrap(),
        )
        .await;
    assert_eq!(answer.body["meta"]["generation"], 1);
    let position = answer.headers["projection-position"].to_str().unwrap().to_owned();
    let offsets = answer.body["meta"]["position"][&bank.topic].as_array().unwrap();
    let offsets: Vec<_> =
        offsets.iter().map(|o| o.as_i64().map_or("-".to_owned(), |o| o.to_string())).collect();
    assert!(
        position.split(',').any(|one| one == format!("{}={}", bank.topic, offsets.join("."))),
        "{position}"
    );
    let row = vitrina.get("/v1/views/balance/a%2F3").await;
    assert_eq!((row.status, &row.body["data"]["holder"]), (200, &json!("Eve")));
    assert_eq!(vitrina.get("/v1/views/balance/nobody").await.status, 404);
    let ordered =
        vitrina.get("/v1/views/balance?country=eq.ES&order=amount.desc&select=account_id").await;
    assert_eq!(ordered.body["data"], json!([{"account_id": "a1"}, {"account_id": "a/3"}]));
    let stable = database.rows("SELECT account_id FROM balance.balance WHERE events > 0").await;
    assert_eq!(stable, json!([{"account_id": "a1"}]));

    status_and_the_stock_tool_agree(&bank).await;
    // Nothing was wrong, so nothing is told that sounds like it.
    let model = bank.folder.run(&["status", "--json"]).json()["models"][0].clone();
    assert_eq!((&model["last_error"], &model["last_error_at"]), (&json!(null), &json!(null)));
    let log = vitrina.stderr();
    assert!(
        log.lines().all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()),
        "{log}"
    );
    for part in ["already exists", "drop cascades", "notice", "NotCoordinator", "ERROR"] {
        assert!(!log.contains(part), "{part} is in\n{log}");
    }
    assert!(vitrina.terminate().await.success());
}

async fn status_and_the_stock_tool_agree(bank: &Bank) {
    eventually(PATIENCE, async || {
        let status = bank.folder.run(&["status", "--json"]).json();
        let model = status["models"][0].clone();
        let lags: Vec<_> =
            model["partitions"].as_array().unwrap().iter().map(|one| one["lag"].clone()).collect();
        if model["state"] == "live" && lags == [json!(0), json!(0)] {
            Ok(())
        } else {
            Err(status.to_string())
        }
    })
    .await;
    let group = format!("{}.balance", bank.folder.group_prefix);
    eventually(PATIENCE, async || {
        let described = kafka_tool(
            "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
            &["--describe", "--group", &group],
        );
        let lags: Vec<&str> = described
            .lines()
            .filter(|line| line.contains(&bank.topic))
            .filter_map(|line| line.split_whitespace().nth(5))
            .collect();
        if lags == ["0", "0"] { Ok(()) } else { Err(described) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn publish_sends_all_lines_or_none() {
    let database = Database::create().await;
    let bank = Bank::new(&database, 1).await;
    let lines = "{\"account_id\":\"a\",\"owner\":\"Ada\"}\n{\"account_id\":7}\n{\"account_id\":\"b\",\"ownr\":\"Bob\"}\nnot json\n";
    let refused = bank.folder.run_with(&["publish", "bank.account_opened@v1"], lines);
    assert_eq!(refused.status, Some(1), "{refused:?}");
    for part in ["line 2:", "line 3:", "owner", "line 4:", "nothing was sent"] {
        assert!(refused.stderr.contains(part), "{part}: {}", refused.stderr);
    }
    let offsets = kafka_tool("org.apache.kafka.tools.GetOffsetShell", &["--topic", &bank.topic]);
    assert_eq!(offsets.trim(), format!("{}:0:0", bank.topic));
    let unknown = bank.folder.run_with(&["publish", "bank.account_closed"], "");
    assert_eq!(unknown.status, Some(2));
    assert!(
        unknown.stderr.contains("bank.account_opened, bank.amount_moved"),
        "{}",
        unknown.stderr
    );
    assert_eq!(bank.folder.run(&["publish", "bank.account_opened@v3"]).status, Some(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_model_is_there_once_an_instance_is_ready() {
    let database = Database::create().await;
    let mut bank = Bank::new(&database, 1).await;
    for number in 0..12 {
        let model = format!(
            "CREATE TABLE m{number} (account_id text PRIMARY KEY);\n\
             INSERT INTO m{number} SELECT e.account_id FROM bank.amount_moved e ON CONFLICT DO NOTHING;\n"
        );
        bank.folder = bank.folder.write(&format!("models/m{number}.sql"), &model);
    }
    // Twice: the second start finds the models of the first one.
    for arguments in [&["serve"][..], &["serve", "--log-format", "text"]] {
        let folder = &bank.folder;
        let vitrina = Vitrina::start(folder.command(arguments), folder.listen, folder.admin_listen);
        vitrina.ready().await;
        let status = vitrina.get_admin("/admin/v1/models").await.body;
        let models = status["models"].as_array().unwrap();
        assert_eq!(models.len(), 13, "{status}");
        assert!(models.iter().all(|model| model["state"] != "stopped"), "{status}");
        let log = vitrina.stderr();
        let is_json = log.lines().all(|line| line.starts_with('{'));
        assert_eq!(is_json, arguments.len() == 1, "{log}");
        assert!(!log.contains('\u{1b}'), "{log}");
        assert!(vitrina.terminate().await.success());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_in_use_is_one_sentence() {
    let database = Database::create().await;
    let bank = Bank::new(&database, 1).await;
    let _taken = std::net::TcpListener::bind(bank.folder.listen).unwrap();
    let refused = bank.folder.run(&["serve"]);
    let address = bank.folder.listen.to_string();
    let sentence = refused.stderr.lines().last().unwrap_or_default();
    assert_eq!(refused.status, Some(2), "{refused:?}");
    assert!(sentence.contains(&address) && sentence.contains("http.listen"), "{refused:?}");
}
