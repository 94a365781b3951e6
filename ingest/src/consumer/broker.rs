//! What the client notices of its brokers, while nobody asks: librdkafka's log, statistics and errors. Nothing ends here;
//! it is noted for whoever says how the consumer is.

use std::time::{Duration, SystemTime};

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::statistics::{Broker, Statistics};

use super::rebalance::Rebalance;
use crate::offset::Offset;

/// A broker that owes an answer says something within a second or two; after this long it is taken for frozen. The
/// connection is given up later (`socket.timeout.ms`), and only then librdkafka calls it an error.
const SILENCE: Duration = Duration::from_secs(10);

impl ClientContext for Rebalance {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        match level {
            RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical => {
                tracing::error!(target: "librdkafka", facility, "{message}");
            }
            _ => tracing::debug!(target: "librdkafka", facility, "{message}"),
        }
        self.heard.overhear(message);
    }

    fn stats(&self, statistics: Statistics) {
        let brokers = || statistics.brokers.values();
        self.ownership.set_silent(brokers().find(|broker| is_silent(broker)).map(silence_of));
        // A negative id is an address of `kafka.brokers` that nobody has answered at yet.
        if brokers().any(|broker| broker.state == "UP" && broker.nodeid >= 0) {
            self.heard.forget();
            self.ownership.set_unreachable(None);
        }
        self.ownership.set_ends(|(topic, partition)| {
            let partition = statistics.topics.get(&**topic)?.partitions.get(partition)?;
            Some(Offset(partition.ls_offset)).filter(|end| end.0 >= 0)
        });
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(target: "librdkafka", %error, reason, "client error");
        self.heard.note(&error, reason);
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::AllBrokersDown) {
            self.ownership.set_unreachable(Some(self.heard.sentence()));
        }
    }
}

fn is_silent(broker: &Broker) -> bool {
    broker.state == "UP" && broker.waitresp_cnt > 0 && broker.rxidle > SILENCE.as_micros() as i64
}

fn silence_of(broker: &Broker) -> (String, SystemTime) {
    let idle = Duration::from_micros(broker.rxidle.unsigned_abs());
    let since = SystemTime::now().checked_sub(idle).unwrap_or_else(SystemTime::now);
    let (name, limit) = (&broker.nodename, SILENCE.as_secs());
    let sentence = format!(
        "Kafka's broker {name} (kafka.brokers) is connected, but has not answered for more than {limit} s"
    );
    (sentence, since)
}
