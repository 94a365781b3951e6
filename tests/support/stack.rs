//! The services are started once for a whole run, by `tests/stack/run`; tests only learn from the environment where.

use std::path::PathBuf;
use std::sync::OnceLock;

/// Where the services are.
pub struct Stack {
    /// The broker, `host:port`.
    pub kafka: String,
    /// The way to the broker for clients that a test's own network carries from here …
    pub kafka_door: String,
    /// … to there.
    pub kafka_inside: String,
    /// Where it asks for a user, over TLS.
    pub kafka_sasl: String,
    /// Where it asks for a client's certificate.
    pub kafka_mutual: String,
    /// The folder of the authority that both trust.
    pub tls: PathBuf,
    /// The folder of Kafka's jars.
    pub kafka_libs: PathBuf,
    /// The registry's address.
    pub registry: String,
    /// A superuser's connection.
    pub postgres: String,
}

impl Stack {
    /// # Panics
    /// Outside `make test`.
    pub fn get() -> &'static Self {
        static STACK: OnceLock<Stack> = OnceLock::new();
        STACK.get_or_init(|| Self {
            kafka: variable("VITRINA_TEST_KAFKA"),
            kafka_door: variable("VITRINA_TEST_KAFKA_DOOR"),
            kafka_inside: variable("VITRINA_TEST_KAFKA_INSIDE"),
            kafka_sasl: variable("VITRINA_TEST_KAFKA_SASL"),
            kafka_mutual: variable("VITRINA_TEST_KAFKA_MUTUAL"),
            tls: variable("VITRINA_TEST_TLS").into(),
            kafka_libs: variable("VITRINA_TEST_KAFKA_LIBS").into(),
            registry: variable("VITRINA_TEST_REGISTRY"),
            postgres: variable("VITRINA_TEST_POSTGRES_URL"),
        })
    }
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| {
        panic!(
            "{name} is not set: run `make test`, or one test by `tests/stack/run cargo test NAME`"
        )
    })
}

/// A name that no other test has, fit for databases, topics and groups.
pub fn unique(name: &str) -> String {
    format!("{name}_{}", uuid::Uuid::new_v4().simple())
}
