//! The console as people see it: in both colour schemes, on a wide screen and on a telephone, by the keyboard alone, while
//! events come, and when the service is gone.

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::driver::Browser;
use crate::bank::{Bank, MOVED, OPENED_V1, moved, opened};
use crate::support::{Database, Message, PATIENCE, Producer, eventually};

const AXE: &str = include_str!("axe.js");
const HOSTILE: &str = "<script>alert(1)</script><b>a very long value that no table has a place for in its narrow columns";
const TAB: &str = "\u{e004}";
const ENTER: &str = "\u{e007}";
/// Notes what a page's policy refuses.
const WATCH: &str = "window.refused = []; document.addEventListener('securitypolicyviolation', \
                     (event) => window.refused.push(`${event.violatedDirective} ${event.blockedURI} ${event.sample}`));";

/// A page as it is on every screen.
async fn looked_at(browser: &Browser, name: &str) {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("console");
    std::fs::create_dir_all(&folder).unwrap();
    for (scheme, width, height) in
        [("light", 1280, 900), ("dark", 1280, 900), ("light", 360, 740), ("dark", 360, 740)]
    {
        browser.colours(scheme).await;
        browser.sized(width, height).await;
        let wider =
            "return document.documentElement.scrollWidth - document.documentElement.clientWidth";
        assert_eq!(browser.run(wider).await, 0, "{name} at {width} px");
        let picture = STANDARD.decode(browser.picture().await).unwrap();
        std::fs::write(folder.join(format!("{name}-{scheme}-{width}.png")), picture).unwrap();
        // Colours are judged in both schemes, places in both widths.
        if (scheme == "light") == (width == 1280) {
            judged(browser, name).await;
        }
    }
    assert_eq!(browser.run("return window.refused").await, json!([]), "{name}");
}

/// What a page would be told by who cannot see it, or not well.
async fn judged(browser: &Browser, name: &str) {
    browser.run(&format!("if (!window.axe) {{ {AXE} }}")).await;
    let found = browser
        .wait_for(
            "const { violations } = await axe.run(document, { resultTypes: ['violations'] });
             return violations.filter(({ impact }) => ['serious', 'critical'].includes(impact))
                 .map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(' ')}`);",
        )
        .await;
    assert_eq!(found, json!([]), "{name}");
}

/// Goes on by the tabulator until this text has the focus, and presses it.
async fn walk_to(browser: &Browser, text: &str) {
    let mut seen = Vec::new();
    for _ in 0..60 {
        browser.press(TAB).await;
        let focused = browser.run("return document.activeElement.textContent.trim()").await;
        if focused == text {
            browser.press(ENTER).await;
            return;
        }
        seen.push(focused);
    }
    panic!("{text} is not among {seen:?}");
}

async fn until_shown(browser: &Browser, text: &str) {
    eventually(PATIENCE, async || {
        let page = browser.run("return document.body.innerText").await;
        if page.as_str().unwrap().contains(text) { Ok(()) } else { Err(page.to_string()) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_console_is_seen_heard_and_walked_through() {
    let database = Database::create().await;
    let bank = Bank::new(&database, 2).await;
    let (opening, moving) = (bank.writer(OPENED_V1).await, bank.writer(MOVED).await);
    let vitrina = bank.folder.serve();
    let producer = Producer::new();
    let raw = |key: &str, value: &[u8]| Message {
        value: Some(value.to_vec()),
        ..Message::tombstone(&bank.topic, key)
    };
    for (number, account) in (1..).zip(["a", "b", HOSTILE]) {
        producer.send(&opened(&opening, 1, account, &format!("{HOSTILE} {number}"))).await;
        producer.send(&moved(&moving, account, 1, number * 100)).await;
    }
    // More than the column takes, and what waits behind it; and what is no Avro at all.
    producer.send(&opened(&opening, 1, "poison", "Ann")).await;
    producer.send(&raw("poison", HOSTILE.as_bytes())).await;
    producer.send(&moved(&moving, "poison", 1, 7)).await;
    producer.send(&opening.bytes("short", &[4])).await;
    let parked = json!([{ "parked": 3 }]);
    database.eventually(r#"SELECT count(*) AS parked FROM "balance@1"."@parked""#, &parked).await;

    let browser = Browser::open().await;
    browser.run_first(WATCH).await;
    let own = format!("http://{}/", bank.folder.admin_listen);
    for (name, path) in [
        ("overview", ""),
        ("model", "console/models/balance"),
        ("rules", "console/models/balance/rules"),
        ("rebuild", "console/models/balance/rebuild"),
        ("views", "console/views"),
        ("view", "console/views/balance"),
        ("refused", "console/views/balance?q=order%3Dholder"),
        ("parked", "console/parked"),
    ] {
        browser.visit(&format!("{own}{path}")).await;
        looked_at(&browser, name).await;
    }
    let first = "return document.querySelector('tbody a').click()";
    browser.run(first).await;
    until_shown(&browser, "Show the payload").await;
    browser.run("return document.querySelector('main form button').click()").await;
    until_shown(&browser, "Bytes").await;
    looked_at(&browser, "record").await;
    browser.visit(&own).await;
    browser.sized(1280, 900).await;

    // By the keyboard alone, while the page renews itself.
    walk_to(&browser, "balance").await;
    until_shown(&browser, "Partitions").await;
    walk_to(&browser, "Pause").await;
    until_shown(&browser, "stops reading").await;
    walk_to(&browser, "Pause").await;
    until_shown(&browser, "pauses on every instance").await;
    walk_to(&browser, "Back").await;
    until_shown(&browser, "paused").await;
    walk_to(&browser, "Resume").await;
    until_shown(&browser, "its breaker closes").await;
    walk_to(&browser, "Resume").await;
    until_shown(&browser, "goes on").await;

    // A table moves while events come, and what somebody has opened stays open.
    browser.visit(&format!("{own}console/models/balance")).await;
    let open = "const details = document.querySelector('.chart details'); details.open = true;
                document.querySelector('main a').focus(); window.same = details; return details.open";
    assert_eq!(browser.run(open).await, true);
    let looked =
        "return document.querySelector('[aria-label=Partitions] td:nth-child(5)').textContent";
    let before = browser.run(looked).await;
    producer.send(&moved(&moving, "a", 2, 250)).await;
    let still = "return window.same.isConnected && window.same.open && document.activeElement.matches('main a')";
    eventually(PATIENCE, async || {
        let now = browser.run(looked).await;
        if now == before { Err("nothing has moved") } else { Ok(()) }
    })
    .await;
    assert_eq!(browser.run(still).await, true);
    browser.visit(&format!("{own}console/views/balance")).await;
    producer.send(&opened(&opening, 1, "new", "came while somebody looked")).await;
    until_shown(&browser, "came while somebody looked").await;
    let loads = "return performance.getEntriesByType('navigation').length";
    assert_eq!(browser.run(loads).await, 1);

    assert_eq!(browser.run("return window.refused").await, json!([]));
    assert_eq!(browser.console().await, Vec::<String>::new());
    let asked = browser.asked().await;
    let is_own = |url: &&String| url.starts_with(&own) || !url.starts_with("http");
    let foreign: Vec<_> = asked.iter().filter(|url| !is_own(url)).collect();
    assert!(foreign.is_empty() && asked.len() > 30, "{asked:?}");

    vitrina.kill();
    until_shown(&browser, "The service does not answer").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_signs_in_and_out() {
    let database = Database::create().await;
    let bank = Bank::new(&database, 1).await;
    let settings = bank.folder.settings();
    let token = "[http]\nadmin_token = \"open-sesame\"\n";
    let folder = bank.folder.write("vitrina.toml", &settings.replace("[http]\n", token));
    let vitrina = folder.serve();
    vitrina.eventually("/v1/views/balance", &json!([])).await;
    let browser = Browser::open().await;
    browser.run_first(WATCH).await;
    browser.visit(&format!("http://{}/console/models/balance", folder.admin_listen)).await;
    until_shown(&browser, "http.admin_token").await;
    looked_at(&browser, "sign-in").await;
    let fill = "const field = document.getElementById('token'); field.value = 'open-sesame'; field.form.requestSubmit();";
    browser.run(fill).await;
    // Where they wanted to go, with what is there of it.
    until_shown(&browser, "Partitions").await;
    let cookies = browser.run("return document.cookie").await;
    assert_eq!(cookies, Value::from(""));
    browser.run("return document.querySelector('.out button').click()").await;
    until_shown(&browser, "http.admin_token").await;
    assert!(vitrina.terminate().await.success());
}
