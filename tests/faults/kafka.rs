//! The broker's trouble: away, silent, and a log that does not hold the position any more.

use std::time::Duration;

use rdkafka::admin::AdminOptions;
use rdkafka::{Offset, TopicPartitionList};
use tokio::sync::{Mutex, MutexGuard};

use crate::faults::load::Load;
use crate::faults::rig::Rig;
use crate::support::{Database, PATIENCE, Proxy, Stack, Vitrina, Weather, admin, eventually};

/// A network before the broker. The broker tells its clients to come back over it, so all that they say can be cut. There
/// is one, so one test at a time has it.
pub(crate) struct Door {
    pub(crate) network: Proxy,
    _only: MutexGuard<'static, ()>,
}

impl Door {
    pub(crate) async fn open() -> Self {
        static ONLY: Mutex<()> = Mutex::const_new(());
        let only = ONLY.lock().await;
        let Stack { kafka_door, kafka_inside, .. } = Stack::get();
        Self { network: Proxy::at(kafka_door, kafka_inside).await, _only: only }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_broker_cut_off_and_silent() {
    let Door { network, _only } = Door::open().await;
    let properties = "[kafka.properties]\n\"session.timeout.ms\" = \"10000\"";
    let rig = Rig::on(Database::create().await, &Stack::get().kafka_door, 2, properties).await;
    let vitrina = rig.folder.serve();
    let load = Load::start(&rig, 27).await;
    rig.goes_on(100).await;
    for weather in [Weather::Cut, Weather::Frozen] {
        network.set(weather);
        rig.says("waiting", &["Kafka", "kafka.brokers"]).await;
        healthz(&vitrina, 503, "behind its log is unknown since 2").await;
        network.set(Weather::Fair);
        rig.goes_on(200).await;
        rig.says("live", &[]).await;
        healthz(&vitrina, 200, "\"lag_unknown_since\":null").await;
    }
    let log = vitrina.stderr();
    assert!(log.contains("goes on after") && log.contains("over is: Kafka"), "{log}");
    network.half_open();
    rig.says("waiting", &["Kafka", "kafka.brokers"]).await;
    rig.goes_on(200).await;
    rig.settle(load).await;
    rig.says("live", &[]).await;
    assert!(vitrina.terminate().await.success());
}

/// Waits for a status of the judgement over all models, and for what it says.
async fn healthz(vitrina: &Vitrina, status: u16, part: &str) {
    eventually(PATIENCE, async || match vitrina.get("/healthz").await {
        answer if answer.status == status && answer.body.to_string().contains(part) => Ok(()),
        answer => Err(answer.to_string()),
    })
    .await;
}

/// Trimmed log: retention was faster than the model. Nothing is skipped in silence.
#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_begins_behind_the_position_stops_its_model() {
    let rig = Rig::new(1, "").await;
    let vitrina = rig.folder.serve();
    let load = Load::start(&rig, 8).await;
    rig.goes_on(100).await;
    rig.settle(load).await;
    let position = rig.ledger.ends()[&0];
    assert!(vitrina.terminate().await.success());
    let produced = rig.ledger.len();
    let load = Load::start(&rig, 9).await;
    rig.produced(produced + 100).await;
    load.end().await;
    let mut log = TopicPartitionList::new();
    log.add_partition_offset(&rig.topic, 0, Offset::Offset(position + 50)).unwrap();
    admin()
        .delete_records(&log, &AdminOptions::new().operation_timeout(Some(Duration::from_secs(10))))
        .await
        .unwrap();
    let vitrina = rig.folder.serve();
    let found = [
        format!("{position}"),
        format!("{}", position + 50),
        "50 offsets".to_owned(),
        rig.topic.clone(),
    ];
    rig.says("stopped", &found.each_ref().map(String::as_str)).await;
    assert_eq!(rig.check().await.unwrap(), position);
    assert!(vitrina.terminate().await.success());
}
