//! What becomes of writers' records, told before one comes: of the schemas that the registry knows for the topics, and of
//! one that a producer only plans. The matching is the one that reads records.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use serde::Serialize;
use tokio::task::JoinSet;
use vitrina_avro::{
    Contract, Contracts, Outlook, Registered, Registry, RegistryError, Schema, Unfit, field_place,
};
use vitrina_projectors::Definitions;
use vitrina_sql::{Finding, Place};

use crate::config::Config;
use crate::failure::Failure;

/// Subjects that are asked for at once.
const AT_ONCE: usize = 8;
/// A list of subjects that is as long as this may have been cut off (Apicurio does it); a shorter one is whole.
const CUT_OFF: usize = 1000;

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

/// Of a schema in a file, on whatever topic a contract knows its records.
///
/// # Errors
/// The file cannot be read.
pub(super) fn planned(file: &Path, loaded: &Definitions) -> Result<Told, Failure> {
    let shown = file.display().to_string();
    let text = std::fs::read_to_string(file)
        .map_err(|error| Failure::Usage(format!("--writer {shown}: {error}")))?;
    let mut told = Told::default();
    let schema = match Schema::of_writer(&text, &[]) {
        Ok(schema) => Arc::new(schema),
        Err(error) => {
            let at = error.at.unwrap_or(Place::START);
            let help = "correct it: what it refers to stands in the same file";
            told.findings.push(Finding::error(&shown, at, error.what, help));
            return Ok(told);
        }
    };
    let contracts = &loaded.contracts;
    let topics: BTreeSet<&String> = contracts.contexts.values().map(|one| &one.topic).collect();
    let mut known = BTreeSet::new();
    let mut strange = BTreeMap::new();
    for topic in topics {
        for (record, outlook) in contracts.outlook(topic, &schema) {
            if let Outlook::Ignored { nearest } = outlook {
                let hint: &mut Option<String> = strange.entry(record).or_default();
                *hint = hint.take().or(nearest);
                continue;
            }
            known.insert(record.clone());
            if let Outlook::Parked { contract, unfit } = &outlook {
                told.findings.push(refused(&shown, &text, contract, unfit, loaded));
            }
            let line = WriterLine::new(Some(topic), &record, outlook);
            told.lines.push(WriterLine { file: Some(shown.clone()), ..line });
        }
    }
    for (record, nearest) in strange.into_iter().filter(|(record, _)| !known.contains(record)) {
        let near = nearest.iter().map(|name| format!(", did you mean `{name}`?"));
        let what = format!("no contract knows the record {record}{}", near.collect::<String>());
        let help = "its records would be ignored: name it as the contract does, or write a contract for it";
        told.findings.push(Finding::warning(&shown, Place::START, what, help));
        let line = WriterLine::new(None, &record, Outlook::Ignored { nearest });
        told.lines.push(WriterLine { file: Some(shown.clone()), ..line });
    }
    Ok(told)
}

/// The answer to whoever asks of one schema is no, where a model would park what it writes.
fn refused(
    file: &str,
    text: &str,
    contract: &Contract,
    unfit: &Unfit,
    loaded: &Definitions,
) -> Finding {
    let readers = readers(contract, loaded);
    let at = unfit.obstacles.first().map_or(Place::START, |one| field_place(text, &one.field));
    let what = format!("{} would be parked{}: {unfit}", unfit.record, by(&readers));
    let next = contract.newest().number + 1;
    let help = format!(
        "write it so that one of them fits, or add it as v{next}.avsc with a v{next}.sql before a producer writes so"
    );
    match readers.is_empty() {
        true => Finding::warning(file, at, what, help),
        false => Finding::error(file, at, what, help),
    }
}

/// The models that would park what no version of the contract reads.
fn readers<'a>(contract: &Contract, loaded: &'a Definitions) -> Vec<&'a str> {
    let reads = |definition: &&vitrina_projectors::Definition| {
        definition.layouts.iter().any(|layout| layout.contract.relation() == contract.relation())
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

/// Of all that the registry knows for the topics, by the names that Confluent's three strategies give to subjects.
///
/// # Errors
/// What the registry says where it does not answer.
pub(super) async fn registered(
    config: &Config,
    loaded: &Definitions,
) -> Result<Told, RegistryError> {
    let registry = Arc::new(Registry::new(&config.registry)?);
    let listed: BTreeSet<String> = registry.subjects().await?.into_iter().collect();
    let mut open = subjects(&loaded.contracts, &listed).into_iter();
    let mut asked = JoinSet::new();
    let mut answers = Vec::new();
    loop {
        while asked.len() < AT_ONCE
            && let Some(place) = open.next()
        {
            let registry = Arc::clone(&registry);
            asked.spawn(async move {
                let versions = registry.versions(&place.subject).await;
                (place, versions)
            });
        }
        let Some(answer) = asked.join_next().await else { break };
        let (place, versions) = answer.map_err(|error| RegistryError::Away(error.to_string()))?;
        answers.push((place, versions?));
    }
    answers.sort_by(|(one, _), (other, _)| one.cmp(other));
    let mut told = Told::default();
    for (place, versions) in &answers {
        versions.iter().for_each(|version| place.tell(version, loaded, &mut told));
    }
    Ok(told)
}

/// A subject whose records may come on a topic.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Candidate {
    topic: String,
    subject: String,
    /// The record that the name stands for, where only the schema can say whether it does.
    record: Option<String>,
}

/// Those of known records, and those that the list has for the topic besides.
fn subjects(contracts: &Contracts, listed: &BTreeSet<String>) -> BTreeSet<Candidate> {
    let mut topics: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for context in contracts.contexts.values() {
        let names = context.events.values().flat_map(|event| &event.full_names);
        topics.entry(&context.topic).or_default().extend(names.map(String::as_str));
    }
    let is_there = |subject: &String| listed.len() >= CUT_OFF || listed.contains(subject);
    let mut candidates = BTreeSet::new();
    for (topic, records) in topics {
        let by_record =
            records.iter().flat_map(|name| [format!("{topic}-{name}"), (*name).to_owned()]);
        let known = by_record.chain([format!("{topic}-value")]).filter(is_there);
        let known: BTreeSet<String> = known.collect();
        let prefix = format!("{topic}-");
        let others = listed.iter().filter(|subject| !known.contains(*subject));
        let others = others.filter_map(|subject| {
            let record = subject.strip_prefix(&prefix).filter(|rest| *rest != "key")?;
            Some((subject.clone(), Some(record.to_owned())))
        });
        let all = known.iter().map(|subject| (subject.clone(), None)).chain(others);
        candidates.extend(all.map(|(subject, record)| Candidate {
            topic: topic.to_owned(),
            subject,
            record,
        }));
    }
    candidates
}

impl Candidate {
    fn tell(&self, registered: &Registered, loaded: &Definitions, told: &mut Told) {
        let Registered { version, id, schema, .. } = registered;
        let of_subject = |line: WriterLine| WriterLine {
            subject: Some(self.subject.clone()),
            version: Some(*version),
            id: Some(*id),
            ..line
        };
        let schema = match schema {
            Ok(schema) => schema,
            // Of another topic whose name begins so, or of a record that no contract knows.
            Err(_) if self.record.is_some() => return,
            Err(why) => {
                let (topic, parked) = (Some(self.topic.clone()), Some(why.clone()));
                let line = WriterLine { topic, parked, ..WriterLine::default() };
                return told.lines.push(of_subject(line));
            }
        };
        for (record, outlook) in loaded.contracts.outlook(&self.topic, schema) {
            if self.record.as_ref().is_some_and(|meant| *meant != record) {
                continue;
            }
            if let Outlook::Parked { contract, unfit } = &outlook {
                told.findings.extend(self.warning(registered, contract, unfit, loaded));
            }
            told.lines.push(of_subject(WriterLine::new(Some(&self.topic), &record, outlook)));
        }
    }

    /// Points at the first field in the way; none where no model would park what is written so.
    fn warning(
        &self,
        registered: &Registered,
        contract: &Contract,
        unfit: &Unfit,
        loaded: &Definitions,
    ) -> Option<Finding> {
        let readers = readers(contract, loaded);
        let first = unfit.obstacles.first().filter(|_| !readers.is_empty())?;
        let (file, at) = contract.place_of(first.version, &first.field)?;
        let Registered { version, id, .. } = registered;
        let what = format!(
            "what {} writes by version {version} of subject {} (id {id}) would be parked{}: {unfit}",
            unfit.record,
            self.subject,
            by(&readers)
        );
        let next = contract.newest().number + 1;
        let help = format!(
            "write the version that the writer means beside the others (up to v{next}), give a missing field a default, \
             or have its producer write as one of them"
        );
        Some(Finding::warning(file, at, what, help))
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
