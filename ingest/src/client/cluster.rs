//! Questions to the cluster that need no group: who it is, and where topics end.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use rdkafka::config::{FromClientConfigAndContext as _, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaResult;

use super::heard::{Heard, listen};
use super::settings::KafkaSettings;
use super::topic_id::topic_ids;

/// A connection for questions. Its calls block.
pub struct Cluster(BaseConsumer<Heard>);

/// A topic's partitions: number, log start, log end.
pub type TopicEnds = Vec<(i32, i64, i64)>;

impl Cluster {
    /// # Errors
    /// A property that librdkafka does not accept.
    pub fn new(settings: &KafkaSettings) -> KafkaResult<Self> {
        let (mut config, heard) = (settings.client(), Heard::new(&settings.brokers));
        config.set_log_level(RDKafkaLogLevel::Info);
        BaseConsumer::from_config_and_context(&config, heard).map(Self)
    }

    /// The cluster's own id.
    ///
    /// # Errors
    /// It does not answer within `timeout`; a sentence says why.
    pub fn id(&self, timeout: Duration) -> Result<String, String> {
        self.0.client().fetch_cluster_id(timeout).ok_or_else(|| {
            listen(&self.0);
            self.0.context().sentence()
        })
    }

    /// The names of all topics.
    ///
    /// # Errors
    /// The broker did not answer within `timeout`; a sentence says why.
    pub fn topics(&self, timeout: Duration) -> Result<Vec<String>, String> {
        let metadata = self.0.fetch_metadata(None, timeout).map_err(|_| {
            listen(&self.0);
            self.0.context().sentence()
        })?;
        Ok(metadata.topics().iter().map(|topic| topic.name().to_owned()).collect())
    }

    /// # Errors
    /// The broker did not answer within `timeout`; an unknown topic has no partitions.
    pub fn ends(&self, topic: &str, timeout: Duration) -> KafkaResult<TopicEnds> {
        let metadata = self.0.fetch_metadata(Some(topic), timeout)?;
        let partitions = metadata
            .topics()
            .iter()
            .flat_map(|topic| topic.partitions())
            .map(|partition| partition.id());
        partitions
            .map(|partition| {
                let (start, end) = self.0.fetch_watermarks(topic, partition, timeout)?;
                Ok((partition, start.max(0), end))
            })
            .collect()
    }

    fn bounds(
        &self,
        topics: BTreeSet<String>,
        timeout: Duration,
    ) -> Option<BTreeMap<(String, i32), (i64, i64)>> {
        let mut bounds = BTreeMap::new();
        for topic in topics {
            for (partition, start, end) in self.ends(&topic, timeout).ok()? {
                bounds.insert((topic.clone(), partition), (start, end));
            }
        }
        Some(bounds)
    }
}

/// Topics and their logs, as the broker has them now.
#[derive(Debug, Default)]
pub struct Logs {
    /// Ids by topic. Topics that are not there are left out; an id that the broker does not give is empty.
    pub ids: HashMap<String, String>,
    /// Start and end of each partition.
    pub bounds: BTreeMap<(String, i32), (i64, i64)>,
}

/// What the broker has of `topics`; none where it does not answer for all of them within `timeout`.
pub async fn logs(
    settings: &KafkaSettings,
    topics: BTreeSet<String>,
    timeout: Duration,
) -> Option<Logs> {
    let names: Vec<String> = topics.iter().cloned().collect();
    ask(settings, timeout, move |cluster| {
        let ids = topic_ids(cluster.0.client(), &names, timeout).ok()?;
        Some(Logs { ids, bounds: cluster.bounds(topics, timeout)? })
    })
    .await
}

/// Start and end of each partition's log; none where Kafka does not answer for all of `topics` within `timeout`.
pub async fn log_bounds(
    settings: &KafkaSettings,
    topics: BTreeSet<String>,
    timeout: Duration,
) -> Option<BTreeMap<(String, i32), (i64, i64)>> {
    ask(settings, timeout, move |cluster| cluster.bounds(topics, timeout)).await
}

async fn ask<T: Send + 'static>(
    settings: &KafkaSettings,
    timeout: Duration,
    question: impl FnOnce(&Cluster) -> Option<T> + Send + 'static,
) -> Option<T> {
    let settings = settings.clone();
    let asked = tokio::task::spawn_blocking(move || question(&Cluster::new(&settings).ok()?));
    tokio::time::timeout(timeout, asked).await.ok()?.ok()?
}
