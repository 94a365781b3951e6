//! What is asked of the cluster's administration, and the one thing that is changed there: groups of what was dropped.

use std::collections::BTreeSet;
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::RDKafkaErrorCode;

use super::settings::KafkaSettings;

const PATIENCE: Duration = Duration::from_secs(10);

fn admin(settings: &KafkaSettings) -> Option<AdminClient<DefaultClientContext>> {
    settings.client().create().ok()
}

/// What the broker says of the compaction of topics.
#[derive(Debug, Default)]
pub struct Compaction {
    pub compacted: BTreeSet<String>,
    /// It does not say it of these: DescribeConfigs is not allowed, or they are not there.
    pub untold: BTreeSet<String>,
}

/// Which of `topics` the broker compacts; none where it does not answer within `timeout`.
pub async fn compacted_topics(
    settings: &KafkaSettings,
    topics: &BTreeSet<String>,
    timeout: Duration,
) -> Option<Compaction> {
    let admin = admin(settings)?;
    let options = AdminOptions::new().request_timeout(Some(timeout));
    let mut compaction = Compaction::default();
    for topic in topics {
        let of_topic = ResourceSpecifier::Topic(topic);
        let described = admin.describe_configs([&of_topic], &options).await.ok()?;
        // rdkafka keeps to itself why a topic has no configuration: that it may not be told, or that there is no topic.
        let config = described.into_iter().next()?.ok()?;
        match config.get("cleanup.policy").and_then(|entry| entry.value.as_deref()) {
            Some(policy) if policy.contains("compact") => {
                compaction.compacted.insert(topic.clone());
            }
            Some(_) => {}
            None => {
                compaction.untold.insert(topic.clone());
            }
        }
    }
    Some(compaction)
}

/// Deletes consumer groups that nobody uses any more; for each that stays, why.
pub async fn delete_groups(settings: &KafkaSettings, groups: &[String]) -> Vec<String> {
    let Some(admin) = admin(settings) else { return Vec::new() };
    let names: Vec<&str> = groups.iter().map(String::as_str).collect();
    let options = AdminOptions::new().request_timeout(Some(PATIENCE));
    match admin.delete_groups(&names, &options).await {
        Ok(deleted) => deleted
            .into_iter()
            .filter_map(|deleted| match deleted {
                Ok(_) | Err((_, RDKafkaErrorCode::GroupIdNotFound)) => None,
                Err((group, why)) => Some(format!("the consumer group {group} stays: {why}")),
            })
            .collect(),
        Err(error) => vec![format!("the consumer groups {} stay: {error}", names.join(", "))],
    }
}
