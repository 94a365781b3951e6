//! What becomes of writers' records, told before one comes: of the schemas that the registry knows for the topics, and of
//! one that a producer only plans. The matching is the one that reads records.

mod planned;
mod registered;

use serde::Serialize;
use vitrina_avro::{Contract, Outlook};
use vitrina_projectors::{Definition, Definitions};
use vitrina_sql::Finding;

pub(super) use planned::planned;
pub(super) use registered::registered;

/// One record that a writer's schema writes to a topic.
#[derive(Default, Serialize)]
pub(super) struct WriterLine {
    /// None where no contract of any topic knows the record.
    topic: Option<String>,
    /// Where a producer only plans to write so.
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    subject: Option<String>,
    version: Option<u32>,
    id: Option<u32>,
    record: String,
    /// None where its records are ignored by name.
    event: Option<String>,
    /// The version that its records are read as, and the fields of it for which defaults stand.
    read_as: Option<u32>,
    defaults: Vec<String>,
    /// The files of the upcasts that follow.
    upcasts: Vec<String>,
    /// Why its records would be parked.
    parked: Option<String>,
    #[serde(skip)]
    nearest: Option<String>,
}

#[derive(Default)]
pub(super) struct Told {
    pub(super) lines: Vec<WriterLine>,
    pub(super) findings: Vec<Finding>,
}

impl Told {
    pub(super) fn extend(&mut self, other: Self) {
        self.lines.extend(other.lines);
        self.findings.extend(other.findings);
    }
}

/// The models that would park what no version of the contract reads.
fn readers<'a>(contract: &Contract, loaded: &'a Definitions) -> Vec<&'a str> {
    let reads = |definition: &&Definition| {
        let mut contracts = definition.layouts.iter().map(|layout| &layout.contract);
        contracts.any(|one| one.is_every() || one.relation() == contract.relation())
    };
    let models = loaded.models.iter().filter(reads);
    models.map(|definition| definition.model.name.as_str()).collect()
}

fn by(readers: &[&str]) -> String {
    match readers {
        [] => ", once a model reads it".to_owned(),
        readers => format!(" by {}", readers.join(", ")),
    }
}

impl WriterLine {
    fn new(topic: Option<&String>, record: &str, outlook: Outlook) -> Self {
        let line = Self { topic: topic.cloned(), record: record.to_owned(), ..Self::default() };
        match outlook {
            Outlook::Read { contract, version, defaults } => Self {
                event: Some(contract.relation()),
                read_as: Some(version),
                upcasts: contract.upcasts_from(version),
                defaults,
                ..line
            },
            Outlook::Parked { contract, unfit } => {
                Self { event: Some(contract.relation()), parked: Some(unfit.to_string()), ..line }
            }
            Outlook::Ignored { nearest } => Self { nearest, ..line },
        }
    }

    /// Whether it is of a schema that no registry knows.
    pub(super) fn is_planned(&self) -> bool {
        self.file.is_some()
    }

    /// For people.
    pub(super) fn words(&self) -> String {
        let from = match (&self.file, &self.subject, self.version, self.id) {
            (Some(file), ..) => file.clone(),
            (None, Some(subject), Some(version), Some(id)) => {
                format!("{subject} version {version} (id {id})")
            }
            _ => String::new(),
        };
        let topic = self.topic.iter().map(|topic| format!(" on {topic}")).collect::<String>();
        let record = if self.record.is_empty() { "what it writes" } else { &self.record };
        let becomes = match (&self.parked, &self.event, self.read_as) {
            (Some(why), ..) => format!("would be parked: {why}"),
            (None, Some(event), Some(version)) => {
                let then = match &self.upcasts[..] {
                    [] => String::new(),
                    files => format!(", then by {}", files.join(", ")),
                };
                let defaults = match &self.defaults[..] {
                    [] => String::new(),
                    fields => format!(", with defaults for {}", fields.join(", ")),
                };
                format!("is read as {event} v{version}{defaults}{then}")
            }
            _ => {
                let near = self.nearest.iter().map(|name| format!("; did you mean `{name}`?"));
                format!("is ignored, no contract knows it{}", near.collect::<String>())
            }
        };
        format!("{from}: {record}{topic} {becomes}")
    }
}
