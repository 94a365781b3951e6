//! An event that an upcast fails is parked with the place in the upcast; one that the rule itself fails, with the rule's.

use serde_json::json;

use crate::bank::{Bank, OPENED_V1, opened};
use crate::support::{Database, Producer};

#[tokio::test(flavor = "multi_thread")]
async fn what_an_upcast_makes_wrong_is_located_in_it() {
    let database = Database::create().await;
    let bank = Bank::new(&database, 1).await;
    let upcast = "SELECT owner AS holder,\n  CASE owner WHEN 'nobody' THEN NULL\n    \
                  WHEN 'big' THEN (2147483647 + length(owner))::text ELSE 'ES' END AS country FROM v1;\n";
    let model = "CREATE TABLE balance (account_id text PRIMARY KEY, country text CHECK (account_id <> 'c'));\n\n\
                 INSERT INTO balance SELECT e.account_id, e.country FROM bank.account_opened e ON CONFLICT DO NOTHING;\n";
    let folder = bank
        .folder
        .write("contracts/bank/account_opened/v2.sql", upcast)
        .write("models/balance.sql", model);
    let bank = Bank { folder, ..bank };
    let writer = bank.writer(OPENED_V1).await;
    let openings = [("a", "nobody"), ("b", "big"), ("c", "checked"), ("d", "sound")];
    let messages: Vec<_> =
        openings.iter().map(|(account, owner)| opened(&writer, 1, account, owner)).collect();
    Producer::new().send_all(&messages).await;
    let vitrina = bank.folder.serve();
    database
        .eventually("SELECT account_id FROM balance.balance", &json!([{"account_id": "d"}]))
        .await;
    let parked = "SELECT convert_from(key, 'UTF8') AS key, sqlstate, rule FROM \"balance@1\".\"@parked\" ORDER BY 1";
    let upcast = "contracts/bank/account_opened/v2.sql:2";
    let places = json!([
        {"key": "a", "sqlstate": "23502", "rule": upcast},
        {"key": "b", "sqlstate": "22003", "rule": upcast},
        {"key": "c", "sqlstate": "23514", "rule": "models/balance.sql:3"},
    ]);
    database.eventually(parked, &places).await;
    // A retry looks as closely.
    bank.folder.run(&["parked", "balance", "retry", "--all"]);
    database.eventually(parked, &places).await;
    assert!(vitrina.terminate().await.success());
}
