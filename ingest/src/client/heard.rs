//! What a client hears of its brokers while nobody asks, in words for who has set it up. A question that fails is answered
//! with no more than that the broker is away; why, librdkafka tells the client's context.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

/// Why the brokers do not answer, as far as it was heard. A clone hears the same.
#[derive(Clone)]
pub(crate) struct Heard {
    brokers: Arc<str>,
    /// How much it tells, and the sentence's end.
    last: Arc<Mutex<Option<(Worth, String)>>>,
}

/// What librdkafka says where a broker hangs up at the first words.
const FIRST_WORDS: &str = "in state APIVERSION_QUERY";
/// How long nothing must come: what is no record ends a poll that does not wait.
const LISTEN: Duration = Duration::from_millis(100);

/// How much an error tells: less never replaces more.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Worth {
    /// That there is no connection.
    Away,
    /// Why one connection failed.
    Reason,
    /// Which setting is in the way.
    Setting,
}

impl Heard {
    pub(crate) fn new(brokers: &str) -> Self {
        Self { brokers: brokers.into(), last: Arc::default() }
    }

    /// Keeps what an error says of the brokers.
    pub(crate) fn note(&self, error: &KafkaError, reason: &str) {
        let Some((worth, words)) = error.rdkafka_error_code().and_then(|code| words(code, reason))
        else {
            return;
        };
        let mut last = self.last();
        if last.as_ref().is_none_or(|(known, _)| *known <= worth) {
            *last = Some((worth, words));
        }
    }

    /// The same of a line of librdkafka's log: that a broker hangs up on the wrong protocol is told nowhere else.
    pub(crate) fn overhear(&self, message: &str) {
        if message.contains(FIRST_WORDS) {
            let line = message.split_once("]: ").map_or(message, |(_thread, line)| line);
            self.note(&KafkaError::Global(RDKafkaErrorCode::BrokerTransportFailure), line);
        }
    }

    /// They answer: nothing that was heard before holds any more.
    pub(crate) fn forget(&self) {
        *self.last() = None;
    }

    /// A sentence about brokers that do not answer.
    pub(crate) fn sentence(&self) -> String {
        let last = self.last();
        let words = last.as_ref().map_or("does not answer", |(_, words)| words);
        format!("{} {words}", self.place())
    }

    /// A sentence about a question that failed like this.
    pub(crate) fn failed(&self, what: &str) -> String {
        match &*self.last() {
            Some((_, words)) => format!("{} {words} ({what})", self.place()),
            None => format!("{}: {what}", self.place()),
        }
    }

    fn place(&self) -> String {
        format!("Kafka at {} (kafka.brokers)", self.brokers)
    }

    fn last(&self) -> MutexGuard<'_, Option<(Worth, String)>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Serves what a consumer's context is to hear, and gives what the brokers do not allow, if they said so. The consumer must
/// have subscribed to nothing, or be about to end: records are lost.
pub(crate) fn listen<C: ConsumerContext>(consumer: &BaseConsumer<C>) -> Option<KafkaError> {
    let mut refusal = None;
    while let Some(polled) = consumer.poll(LISTEN) {
        refusal = polled.err().filter(is_refusal).or(refusal);
    }
    refusal
}

/// Whether the user lacks a right.
pub(crate) fn is_refusal(error: &KafkaError) -> bool {
    let code = error.rdkafka_error_code();
    matches!(
        code,
        Some(
            RDKafkaErrorCode::TopicAuthorizationFailed | RDKafkaErrorCode::GroupAuthorizationFailed
        )
    )
}

fn is_about_tls(reason: &str) -> bool {
    ["SSL routines", "SSL handshake", "SSL connection"].iter().any(|words| reason.contains(words))
}

fn words(code: RDKafkaErrorCode, reason: &str) -> Option<(Worth, String)> {
    use RDKafkaErrorCode as E;
    let (worth, words) = match code {
        E::Authentication => (
            Worth::Setting,
            format!(
                "does not let Vitrina in: {reason}; check sasl.mechanisms, sasl.username and sasl.password in \
                 [kafka.properties]"
            ),
        ),
        // What a broker has against a client's certificate, it says when the handshake is done.
        E::SSL | E::BrokerTransportFailure if code == E::SSL || is_about_tls(reason) => (
            Worth::Setting,
            format!(
                "gives no TLS connection: {reason}; check security.protocol, ssl.ca.location, and the client's own \
                 ssl.certificate.location and ssl.key.location in [kafka.properties]"
            ),
        ),
        E::BrokerTransportFailure if reason.contains(FIRST_WORDS) => {
            let way = "check security.protocol in [kafka.properties]";
            (Worth::Setting, format!("hangs up: {reason}; {way}"))
        }
        E::BrokerTransportFailure | E::Resolve => {
            (Worth::Reason, format!("cannot be reached: {reason}"))
        }
        E::AllBrokersDown => (Worth::Away, format!("cannot be reached: {reason}")),
        _ => return None,
    };
    Some((worth, words))
}

impl ClientContext for Heard {
    fn log(&self, _: RDKafkaLogLevel, facility: &str, message: &str) {
        tracing::debug!(target: "librdkafka", facility, "{message}");
        self.overhear(message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(target: "librdkafka", %error, reason, "client error");
        self.note(&error, reason);
    }
}

impl ConsumerContext for Heard {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_tells_more_is_kept_until_they_answer() {
        let heard = Heard::new("b:9092");
        let note = |code, reason| heard.note(&KafkaError::Global(code), reason);
        assert_eq!(heard.sentence(), "Kafka at b:9092 (kafka.brokers) does not answer");
        note(RDKafkaErrorCode::AllBrokersDown, "1/1 brokers are down");
        note(RDKafkaErrorCode::BrokerTransportFailure, "refused");
        note(RDKafkaErrorCode::AllBrokersDown, "1/1 brokers are down");
        assert_eq!(heard.sentence(), "Kafka at b:9092 (kafka.brokers) cannot be reached: refused");
        note(RDKafkaErrorCode::Authentication, "bad password");
        note(RDKafkaErrorCode::BrokerTransportFailure, "refused");
        assert!(heard.sentence().contains("does not let Vitrina in: bad password; check sasl."));
        heard.forget();
        heard.overhear(
            "[thrd:b]: b:9092/bootstrap: Disconnected (after 1ms in state APIVERSION_QUERY)",
        );
        assert!(heard.sentence().contains("hangs up: b:9092/bootstrap: Disconnected"));
        heard.forget();
        assert!(heard.sentence().ends_with("does not answer"));
    }
}
