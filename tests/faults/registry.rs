//! The registry's trouble is never the record's: it is waited out, whatever the registry answers. Its plain word that
//! there is no such schema is the record's.

use serde_json::json;

use crate::faults::load::Load;
use crate::faults::rig::{RECOVERY, Rig};
use crate::support::{Message, Producer, Weather, Writer, eventually};

const BROKEN: Weather = Weather::Answers(
    "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 21\r\nContent-Type: application/json\r\n\r\n{\"error_code\":50003}\r\n",
);
const SOMETHING_ELSE: Weather = Weather::Answers(
    "HTTP/1.1 200 OK\r\nContent-Length: 28\r\nContent-Type: text/html\r\n\r\n<html>Please log in.</html>\n",
);
const ANOTHER_404: Weather = Weather::Answers(
    "HTTP/1.1 404 Not Found\r\nContent-Length: 24\r\nContent-Type: text/html\r\n\r\n<html>No page.</html>\r\n\r\n",
);

/// Registry astray, unknown schema.
#[tokio::test(flavor = "multi_thread")]
async fn the_registry_broken_slow_replaced_and_away() {
    let rig = Rig::new(1, "").await;
    let vitrina = rig.folder.serve();
    waits_out(&rig, &[BROKEN, SOMETHING_ELSE, Weather::Frozen, Weather::Cut]).await;
    no_such_schema(&rig).await;
    assert!(vitrina.terminate().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_404_of_something_in_between_is_waited_out() {
    let rig = Rig::new(1, "").await;
    let vitrina = rig.folder.serve();
    waits_out(&rig, &[ANOTHER_404]).await;
    assert!(vitrina.terminate().await.success());
}

async fn waits_out(rig: &Rig, weathers: &[Weather]) {
    let load = Load::start(rig, 15).await;
    rig.goes_on(100).await;
    for (round, weather) in weathers.iter().enumerate() {
        rig.registry.set(*weather);
        unknown_until_asked(rig, round).await;
        rig.says("waiting", &["registry"]).await;
        rig.registry.set(Weather::Fair);
        rig.goes_on(100).await;
    }
    rig.settle(load).await;
    rig.says("live", &[]).await;
}

/// An event whose schema the instance has not seen yet. No rule wants it, which only its schema tells.
async fn unknown_until_asked(rig: &Rig, round: usize) {
    let schema = format!(
        r#"{{"type":"record","name":"Unheard{round}","namespace":"probe","fields":[{{"name":"x","type":"long"}}]}}"#
    );
    let writer = Writer::register(&rig.topic, &schema).await;
    let place = Producer::new().send(&writer.event("a00", &json!({ "x": 1 }))).await;
    rig.ledger.pass(place);
}

/// After a few questions it is the record that is in the way: its model stops there, or sets it aside.
async fn no_such_schema(rig: &Rig) {
    let id: u32 = 999_999;
    let value = Some([&[0][..], &id.to_be_bytes(), &[2]].concat());
    Producer::new().send(&Message { value, ..Message::tombstone(&rig.topic, "a00") }).await;
    eventually(RECOVERY, async || {
        let status = rig.status();
        let settled = status.as_array().unwrap().iter().all(|model| {
            let told = model["last_error"].to_string().contains("999999");
            told && (model["state"] == "stopped" || model["partitions"][0]["lag"] == 0)
        });
        if settled { Ok(()) } else { Err(status.to_string()) }
    })
    .await;
}
