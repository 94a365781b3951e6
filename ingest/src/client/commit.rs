//! A commit that waits for nothing, and whose outcome is told all the same. rdkafka's own asynchronous commit gives
//! librdkafka no queue for the answer, so nobody would ever hear of one that failed. This file names the consumer's queue,
//! from where the answer comes to the context's `commit_callback`.
#![allow(unsafe_code)]

use rdkafka::TopicPartitionList;
use rdkafka::bindings as sys;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::{IsError as _, KafkaError, KafkaResult};

/// Sends the offsets. The next polls bring the outcome.
///
/// # Errors
/// It could not even be sent.
pub(crate) fn commit_and_tell<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    offsets: &TopicPartitionList,
) -> KafkaResult<()> {
    // SAFETY: the client outlives the call, and librdkafka copies the list within it. The queue is a reference of our own, and
    // is given back once. Without a callback, no pointer of ours is kept.
    let error = unsafe {
        let client = consumer.client().native_ptr();
        let queue = sys::rd_kafka_queue_get_consumer(client);
        let error =
            sys::rd_kafka_commit_queue(client, offsets.ptr(), queue, None, std::ptr::null_mut());
        sys::rd_kafka_queue_destroy(queue);
        error
    };
    if error.is_error() { Err(KafkaError::ConsumerCommit(error.into())) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::io::Write as _;
    use std::sync::Mutex;
    use std::time::{Duration, Instant};

    use rdkafka::config::FromClientConfigAndContext as _;
    use rdkafka::consumer::CommitMode;
    use rdkafka::{ClientConfig, ClientContext, Offset};

    use super::*;

    #[derive(Default)]
    struct Told(Mutex<Vec<bool>>);

    impl ClientContext for Told {}

    impl ConsumerContext for Told {
        fn commit_callback(&self, result: KafkaResult<()>, offsets: &TopicPartitionList) {
            let all = offsets.elements().iter().all(|element| element.error().is_ok());
            self.0.lock().unwrap().push(result.is_ok() && all);
        }
    }

    /// On the real broker: a topic that is not there.
    #[test]
    fn a_commit_that_fails_is_told_of() {
        let Ok(brokers) = std::env::var("VITRINA_TEST_KAFKA") else {
            let how = "run by `make test`, which starts Kafka";
            assert!(std::env::var("CI").is_err(), "{how}");
            return writeln!(std::io::stderr(), "skipped: commits need Kafka; {how}").unwrap();
        };
        let name = format!("commit_{}", uuid::Uuid::new_v4().simple());
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", brokers).set("group.id", &name);
        let consumer = BaseConsumer::from_config_and_context(&config, Told::default()).unwrap();
        let mut offsets = TopicPartitionList::new();
        offsets.add_partition_offset(&name, 0, Offset::Offset(1)).unwrap();
        // Of the first, nothing is ever heard: the day when two are told, this file may go.
        consumer.commit(&offsets, CommitMode::Async).unwrap();
        commit_and_tell(&consumer, &offsets).unwrap();
        let begun = Instant::now();
        while consumer.context().0.lock().unwrap().is_empty() {
            assert!(begun.elapsed() < Duration::from_secs(60), "nothing is told");
            let _ = consumer.poll(Duration::from_millis(100));
        }
        assert_eq!(*consumer.context().0.lock().unwrap(), [false]);
    }
}
