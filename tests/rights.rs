//! Rights in a model's file: what `check` says of them on a real Postgres, and how they reach the instances that answer.

use serde_json::{Value, json};

use crate::bank::{Bank, MODEL};
use crate::scene::{changed, states, until_live, write_model};
use crate::support::{Database, PATIENCE, Vitrina, eventually};

/// Who is granted what by the text of each generation; 0: by the file that was proposed last.
async fn grants(database: &Database) -> Result<Value, sqlx::Error> {
    let grants = "SELECT generation AS g, (SELECT string_agg(r ->> 'named', ',') FROM
                      jsonb_path_query(rights, '$.*.grants[*].roles[*]') r) AS roles
                  FROM vitrina.rights ORDER BY 1";
    database.try_rows(grants).await
}

async fn until_granted(database: &Database, expected: Value) {
    eventually(PATIENCE, async || {
        let found = grants(database).await.map_err(|error| error.to_string())?;
        if found == expected { Ok(()) } else { Err(format!("{found}, not {expected}")) }
    })
    .await;
}

fn granting(model: &str, role: &str) -> String {
    format!("{model}GRANT SELECT ON balance TO {role};\n")
}

fn watching(bank: &Bank) -> Vitrina {
    let command = bank.folder.command(&["serve", "--watch"]);
    Vitrina::start(command, bank.folder.listen, bank.folder.admin_listen)
}

#[tokio::test(flavor = "multi_thread")]
async fn check_asks_postgres_about_rights() {
    let database = Database::create().await;
    database
        .execute(
            "CREATE SCHEMA tools;
             CREATE FUNCTION tools.shaky(text) RETURNS bool LANGUAGE sql STABLE AS 'SELECT true';
             CREATE FUNCTION tools.firm(text) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT true';",
        )
        .await;
    let bank = Bank::new(&database, 1).await;
    let rights = "
CREATE VIEW rich AS SELECT account_id, holder FROM balance;
GRANT SELECT (account_id, chain) ON rich TO clerk;
GRANT SELECT ON balance TO clerk;
CREATE POLICY a ON balance FOR SELECT TO clerk USING (account_id = 'x' AND
  amount = claim('amount'));
CREATE POLICY b ON balance FOR SELECT TO clerk USING (tools.firm(holder) AND tools.shaky(holder));
CREATE POLICY c ON balance FOR SELECT TO clerk USING (to_char(amount, '9') = claim('x'));
CREATE POLICY d ON balance FOR SELECT TO clerk USING (true);
CREATE POLICY e ON balance FOR SELECT TO clerk
  USING (holder = ANY (claims('holders')) OR (events = claim('n')::int8 AND lower(country) = claim('country')));
CREATE POLICY f ON balance FOR SELECT TO clerk USING (holder = 'now' AND amount < 5);
CREATE POLICY g ON balance FOR SELECT TO clerk USING (claim('until')::timestamptz > 'today');
";
    write_model(&bank, &format!("{MODEL}{rights}"));
    let checked = bank.folder.run(&["check"]);
    assert_eq!(checked.status, Some(1), "{checked:?}");
    let found: Vec<&str> = checked.stdout.lines().filter(|line| line.contains("models/")).collect();
    let expected = [
        "models/balance.sql:21:1: Postgres refuses this: column \"chain\" of relation \"rich\" does not exist",
        "models/balance.sql:24:10: Postgres refuses this: operator does not exist: numeric = text: bring both sides to one type",
        "models/balance.sql:25:55: shaky() is not IMMUTABLE, and a policy calls nothing else",
        "models/balance.sql:26:55: to_char() is not IMMUTABLE",
        "models/balance.sql:31:55: 'today' is the clock's time here",
    ];
    assert_eq!(found.len(), expected.len(), "{}", checked.stdout);
    for (found, expected) in found.into_iter().zip(expected) {
        assert!(found.starts_with(expected), "{found}\nis not {expected}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rights_follow_the_file_in_place() {
    let database = Database::create().await;
    let bank = Bank::new(&database, 1).await;
    let [staff, clerk] = ["staff", "clerk"].map(|role| granting(MODEL, role));
    write_model(&bank, &staff);
    let vitrina = watching(&bank);
    until_granted(&database, json!([{"g": 0, "roles": "staff"}, {"g": 1, "roles": "staff"}])).await;
    // Another text of the same meaning.
    write_model(&bank, &clerk);
    until_granted(&database, json!([{"g": 0, "roles": "clerk"}, {"g": 1, "roles": "clerk"}])).await;
    assert_eq!(states(&database).await, json!([{"g": 1, "state": "live"}]));
    // The text before: it opens nothing that the newer one has closed, and closes what it does not open.
    write_model(&bank, &staff);
    until_granted(&database, json!([{"g": 0, "roles": "staff"}, {"g": 1, "roles": "clerk"}])).await;
    // A new meaning brings its own along.
    write_model(&bank, &granting(&changed(), "auditor"));
    until_live(&database, 2).await;
    let both = json!([{"g": 0, "roles": "auditor"}, {"g": 1, "roles": "clerk"}, {"g": 2, "roles": "auditor"}]);
    assert_eq!(grants(&database).await.unwrap(), both);
    // A rollback takes the older text's, and no more than the file allows.
    assert_eq!(bank.folder.run(&["rollback", "balance"]).status, Some(0));
    until_live(&database, 1).await;
    assert_eq!(grants(&database).await.unwrap(), both);
    assert!(vitrina.terminate().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_says_that_it_follows_rights() {
    let database = Database::create().await;
    let bank = Bank::new(&database, 1).await;
    let vitrina = bank.folder.serve();
    until_live(&database, 1).await;
    write_model(&bank, &granting(MODEL, "staff"));
    let checked = bank.folder.run(&["check", "--json"]).json();
    let plan = &checked["plan"][0];
    assert_eq!(plan["does"], "follow", "{checked}");
    assert_eq!(plan["because"][0]["what"], "GRANT SELECT ON balance TO staff");
    assert!(vitrina.terminate().await.success());
}
