//! What events there are, and of what sort each is, as far as its schema says.

use serde::Serialize;
use vitrina_avro::Contracts;

/// One contract.
#[derive(Serialize)]
pub(super) struct EventLine {
    event: String,
    topic: String,
    /// The newest version's schema.
    file: String,
    versions: usize,
    kind: Option<&'static str>,
    purpose: Option<&'static str>,
}

pub(super) fn lines(contracts: &Contracts) -> Vec<EventLine> {
    let events = contracts.contexts.values().flat_map(|context| {
        context.events.values().map(move |contract| (&context.topic, contract))
    });
    let line = |(topic, contract): (&String, &std::sync::Arc<vitrina_avro::Contract>)| EventLine {
        event: contract.relation(),
        topic: topic.clone(),
        file: contract.schema_file(contract.newest()).to_owned(),
        versions: contract.versions.len(),
        kind: contract.kind,
        purpose: contract.purpose,
    };
    events.map(line).collect()
}

impl EventLine {
    /// For people.
    pub(super) fn words(&self) -> String {
        let Self { event, topic, file, versions, .. } = self;
        let sort = [("kind", self.kind), ("purpose", self.purpose)];
        let sort = sort.into_iter().filter_map(|(name, word)| Some(format!("; {name} {}", word?)));
        format!("{file}: {event} v{versions} comes on {topic}{}", sort.collect::<String>())
    }
}
