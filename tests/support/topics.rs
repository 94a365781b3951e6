//! Topics as an operator makes them: nothing creates one by itself.

use std::process::Command;

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;

use super::Stack;

pub async fn create_topic(name: &str, partitions: i32) {
    let topic = NewTopic::new(name, partitions, TopicReplication::Fixed(1));
    for result in admin().create_topics(&[topic], &AdminOptions::new()).await.unwrap() {
        result.unwrap();
    }
}

/// Adds partitions, up to so many.
pub async fn grow_topic(name: &str, partitions: usize) {
    let grown = NewPartitions::new(name, partitions);
    for result in admin().create_partitions(&[grown], &AdminOptions::new()).await.unwrap() {
        result.unwrap();
    }
}

pub async fn delete_topic(name: &str) {
    for result in admin().delete_topics(&[name], &AdminOptions::new()).await.unwrap() {
        result.unwrap();
    }
}

/// Runs one of Kafka's own tools, such as `org.apache.kafka.tools.consumer.group.ConsumerGroupCommand`, against the
/// broker; its standard output.
pub fn kafka_tool(class: &str, arguments: &[&str]) -> String {
    let stack = Stack::get();
    let output = Command::new("java")
        .arg("-cp")
        .arg(stack.kafka_libs.join("*"))
        .arg("-Dorg.slf4j.simpleLogger.defaultLogLevel=error")
        .args([class, "--bootstrap-server", &stack.kafka])
        .args(arguments)
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{class} {arguments:?}: {}{errors}",
        String::from_utf8_lossy(&output.stdout)
    );
    String::from_utf8(output.stdout).unwrap()
}

/// Everything else that an operator may do.
pub fn admin() -> AdminClient<DefaultClientContext> {
    ClientConfig::new().set("bootstrap.servers", &Stack::get().kafka).create().unwrap()
}
