//! The schemas that the registry knows for the topics, by the names that Confluent's strategies give to subjects.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokio::task::JoinSet;
use vitrina_avro::{Contract, Contracts, Outlook, Registered, Registry, RegistryError, Unfit};
use vitrina_projectors::Definitions;
use vitrina_sql::Finding;

use super::{Told, WriterLine, by, readers};
use crate::config::Config;

/// Subjects that are asked for at once.
const AT_ONCE: usize = 8;
/// A list of subjects that is as long as this may have been cut off (Apicurio does it); a shorter one is whole.
const CUT_OFF: usize = 1000;

/// What becomes of the records of all of them.
///
/// # Errors
/// What the registry says where it does not answer.
pub(in crate::check) async fn registered(
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

#[cfg(test)]
mod tests {
    use vitrina_sql::Files;

    use super::*;

    #[test]
    fn subjects_are_those_of_the_three_strategies_and_of_strangers_on_the_topic() {
        let schema = r#"{"type":"record","name":"Made","namespace":"toys","fields":[{"name":"id","type":"int"}]}"#;
        let files = [
            ("c/toys/context.toml", "topic = \"t\"\nkey = \"id\"\n"),
            ("c/toys/made/v1.avsc", schema),
        ];
        let files = files.map(|(path, text)| (path.to_owned(), text.to_owned()));
        let (contracts, findings) = Contracts::load(&Files(files.into()), "c");
        assert!(findings.is_empty(), "{findings:#?}");
        let listed =
            ["t-value", "t-key", "t-toys.Made", "toys.Made", "t-toys.Lost", "other-value", "x"];
        let listed = listed.map(str::to_owned).into();
        let told: Vec<_> = subjects(&contracts, &listed)
            .into_iter()
            .map(|one| (one.topic, one.subject, one.record))
            .collect();
        let expected = [
            ("t-toys.Lost", Some("toys.Lost")),
            ("t-toys.Made", None),
            ("t-value", None),
            ("toys.Made", None),
        ];
        let expected = expected.map(|(subject, record)| {
            ("t".to_owned(), subject.to_owned(), record.map(str::to_owned))
        });
        assert_eq!(told, expected);
    }
}
