//! What people see in a real browser: pages of another origin that read views, and the page that describes them.

mod console;
mod driver;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::http::header;
use axum::routing::{get, post};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::bank::{Bank, OPENED_V2, moved, opened};
use crate::support::{Database, PATIENCE, Producer, Writer, eventually};
use driver::Browser;

/// A shop's own server: its page, and a way to write.
async fn shop(writer: Writer, topic: String) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let kind = |kind: &'static str| [(header::CONTENT_TYPE, kind)];
    let writer = Arc::new(writer);
    let write = move || async move {
        let event = opened(&writer, 2, "mine", "Me");
        let (partition, offset) = Producer::new().send(&event).await;
        format!("{topic}/{partition}={offset}")
    };
    let router = Router::new()
        .route("/", get(move || async move { (kind("text/html"), include_str!("page.html")) }))
        .route(
            "/page.js",
            get(move || async move { (kind("text/javascript"), include_str!("page.js")) }),
        )
        .route("/write", post(write));
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_another_origin_reads_pages_filters_and_its_own_write() {
    let database = Database::create().await;
    let bank = Bank::new(&database, 2).await;
    let (opening, moving) = (bank.writer(OPENED_V2).await, bank.writer(crate::bank::MOVED).await);
    let shop = shop(bank.writer(OPENED_V2).await, bank.topic.clone()).await;
    let settings = std::fs::read_to_string(bank.folder.path().join("vitrina.toml")).unwrap();
    let open = format!("[http]\ncors_origins = [\"http://{shop}\"]\n");
    let folder = bank.folder.write("vitrina.toml", &settings.replace("[http]\n", &open));
    let vitrina = folder.serve();
    let accounts = ["a", "b", "c", "d", "e"];
    let producer = Producer::new();
    for (number, account) in (1..).zip(accounts) {
        producer.send(&opened(&opening, 2, account, &format!("holder of {account}"))).await;
        producer.send(&moved(&moving, account, 1, number * 100)).await;
    }
    let listed: Vec<Value> =
        accounts.iter().map(|account| json!({ "account_id": account, "events": 1 })).collect();
    vitrina.eventually("/v1/views/balance?select=account_id,events", &listed.into()).await;

    let browser = Browser::open().await;
    browser.visit(&format!("http://{shop}/?api=http://{}", folder.listen)).await;
    let seen = eventually(PATIENCE, async || {
        let told = browser.run("return document.getElementById('told').textContent").await;
        let seen: Value =
            serde_json::from_str(told.as_str().unwrap_or_default()).unwrap_or_default();
        if seen.is_object() { Ok(seen) } else { Err(told.to_string()) }
    })
    .await;
    assert_eq!(
        seen,
        json!({
            "listed": 5,
            "pages": [["a", "b"], ["c", "d"], ["e", "mine"]],
            "filtered": [["e", "d", "c", "b", "a", "mine"]],
            "position": true,
            "tagged": true,
            "held": 304,
            "missing": [404, "/problems/not-found"],
            "csv": "account_id",
            "own": [200, "Me"],
            "tools": "3.1.0",
            "operators": "kept out",
        })
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_about_the_views_asks_nobody_else_and_fits_a_telephone() {
    let database = Database::create().await;
    let bank = Bank::new(&database, 1).await;
    let vitrina = bank.folder.serve();
    vitrina.eventually("/v1/views/balance", &json!([])).await;
    let browser = Browser::open().await;
    let own = format!("http://{}/", bank.folder.listen);
    for narrow in [false, true] {
        if narrow {
            browser.narrow().await;
        }
        browser.visit(&format!("{own}docs")).await;
        assert_eq!(browser.run("return document.querySelector('h2').textContent").await, "balance");
        let styled = "return getComputedStyle(document.querySelector('nav ul')).listStyleType";
        assert_eq!(browser.run(styled).await, "none");
        let wider =
            "return document.documentElement.scrollWidth - document.documentElement.clientWidth";
        assert_eq!(browser.run(wider).await, 0);
    }
    let console: Vec<String> =
        browser.console().await.into_iter().filter(|line| !line.contains("favicon")).collect();
    assert_eq!(console, Vec::<String>::new());
    let asked = browser.asked().await;
    let foreign: Vec<_> =
        asked.iter().filter(|url| url.starts_with("http") && !url.starts_with(&own)).collect();
    assert!(foreign.is_empty() && asked.len() >= 4, "{asked:?}");
}
