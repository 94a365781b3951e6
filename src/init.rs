//! `vitrina init`: a first `vitrina.toml`, and contracts of chosen topics, from what Kafka and the registry know. It asks
//! them, never the person at the terminal.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::Value;
use vitrina_avro::Registry;
use vitrina_ingest::{Cluster, KafkaSettings};

use crate::config::Config;
use crate::failure::Failure;
use crate::new::context;
use crate::new::drafts::Drafts;
use crate::new::registered::{self, Record};
use crate::output::say;

const KAFKA_TIMEOUT: Duration = Duration::from_secs(10);

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// A topic to take contracts of; may be given again. Without any, those that have Avro subjects are listed.
    #[arg(long = "topic", value_name = "TOPIC")]
    topics: Vec<String>,
    /// Kafka's addresses, for `[kafka] brokers`.
    #[arg(long, value_name = "HOST:PORT")]
    brokers: Option<String>,
    /// The registry's address, for `[registry] url`.
    #[arg(long, value_name = "URL")]
    registry: Option<String>,
    /// The database's address, for `[postgres] url`.
    #[arg(long, value_name = "URL")]
    postgres: Option<String>,
}

pub(crate) async fn run(arguments: Arguments, mut config: Config) -> Result<(), Failure> {
    if let Some(file) = &config.file {
        return Err(Failure::No(format!(
            "{} is there already; for more events: vitrina new event CONTEXT.EVENT --from-registry SUBJECT",
            file.display()
        )));
    }
    let settings = settings(&arguments, &config);
    let said = |given: &Option<String>, setting: &mut String| {
        if let Some(given) = given {
            setting.clone_from(given);
        }
    };
    said(&arguments.brokers, &mut config.kafka.brokers);
    said(&arguments.registry, &mut config.registry.url);
    config.contracts = "contracts".into();
    config.models = "models".into();
    let topics = topics(&config.kafka).await?;
    let registry = Registry::new(&config.registry)?;
    let place = config.registry_place();
    let subjects = registry.subjects().await;
    let subjects = subjects.map_err(|error| Failure::No(format!("{place}: {error}")))?;
    let by_topic = by_topic(&topics, &subjects);
    if arguments.topics.is_empty() {
        return say(&listed(&by_topic, topics.len(), &place));
    }
    let mut drafts = Drafts::default();
    drafts.add("vitrina.toml".to_owned(), settings);
    let mut told = Vec::new();
    let mut names = BTreeSet::new();
    for topic in BTreeSet::from_iter(&arguments.topics) {
        let Some(subjects) = by_topic.get(topic) else {
            return Err(Failure::No(unknown(topic, &topics, &by_topic)));
        };
        let mut records: Vec<Record> = Vec::new();
        for subject in subjects {
            let versions = registry.versions(subject).await;
            let versions = versions.map_err(|error| Failure::No(format!("{place}: {error}")))?;
            let taken = registered::records(subject, &versions);
            told.extend(taken.left_out);
            for record in taken.records {
                match records.iter().find(|known| known.event() == record.event()) {
                    None => records.push(record),
                    Some(known) if known.name == record.name => told.push(format!(
                        "{subject}: {} is taken from another subject of {topic}; versions that only this one has are not in its contract",
                        record.name
                    )),
                    Some(known) => {
                        return Err(Failure::No(format!(
                            "{topic}: {} and {} would both be the event `{}`, and nothing was written; leave the topic out, and \
                             write its context by vitrina new context and new event, each under a name of its own",
                            known.name,
                            record.name,
                            record.event()
                        )));
                    }
                }
            }
        }
        let context = name(namespace(&records).unwrap_or(topic), &mut names);
        let (key, remark) = key(&context, &records);
        drafts.add(context::file(&config, &context), context::text(topic, &key, remark));
        for record in records {
            record.draft(&format!("contracts/{context}/{}", record.event()), &mut drafts);
        }
    }
    let found = drafts.foresee(&config)?;
    let written = drafts.write()?;
    std::fs::create_dir_all(&config.models)?;
    let mut said = vec![written];
    said.extend(told);
    said.extend(registered::open(&found, &drafts, ""));
    said.push("then: vitrina new model NAME --event CONTEXT.EVENT".to_owned());
    say(&said.join("\n"))
}

/// All topics but Kafka's own and the registry's.
async fn topics(kafka: &KafkaSettings) -> Result<BTreeSet<String>, Failure> {
    let settings = kafka.clone();
    let asked = tokio::task::spawn_blocking(move || {
        let cluster = Cluster::new(&settings).map_err(|error| error.to_string())?;
        cluster.topics(KAFKA_TIMEOUT)
    });
    let away = |why: &dyn std::fmt::Display| {
        Failure::No(format!("Kafka at {} (kafka.brokers) does not answer: {why}", kafka.brokers))
    };
    let topics = asked.await?.map_err(|why| away(&why))?;
    Ok(topics.into_iter().filter(|topic| !topic.starts_with('_')).collect())
}

/// The subjects whose names say a topic: `TOPIC-value` and `TOPIC-RECORD`. Where several topics begin a name, the longest
/// is meant.
fn by_topic<'a>(
    topics: &'a BTreeSet<String>,
    subjects: &'a [String],
) -> BTreeMap<&'a String, BTreeSet<&'a String>> {
    let mut found: BTreeMap<&String, BTreeSet<&String>> = BTreeMap::new();
    for subject in subjects {
        let of = |topic: &&String| {
            let rest = subject.strip_prefix(topic.as_str()).and_then(|rest| rest.strip_prefix('-'));
            rest.is_some_and(|rest| rest != "key")
        };
        if let Some(topic) = topics.iter().filter(of).max_by_key(|topic| topic.len()) {
            found.entry(topic).or_default().insert(subject);
        }
    }
    found
}

fn listed(
    by_topic: &BTreeMap<&String, BTreeSet<&String>>,
    topics: usize,
    registry: &str,
) -> String {
    let by_name = "subjects by a record's name alone do not say their topic: \
                   vitrina new context NAME --topic TOPIC, then vitrina new event NAME.EVENT --from-registry SUBJECT";
    if by_topic.is_empty() {
        return format!("none of {topics} topics has a subject at {registry}\n{by_name}");
    }
    let mut lines: Vec<String> = by_topic
        .iter()
        .map(|(topic, subjects)| {
            let subjects: Vec<&str> = subjects.iter().map(|subject| subject.as_str()).collect();
            format!("{topic}: {}", subjects.join(", "))
        })
        .collect();
    lines.push(
        "choose: vitrina init --topic TOPIC, and --topic again for each further one".to_owned(),
    );
    lines.push(by_name.to_owned());
    lines.join("\n")
}

fn unknown(
    topic: &str,
    topics: &BTreeSet<String>,
    by_topic: &BTreeMap<&String, BTreeSet<&String>>,
) -> String {
    if topics.contains(topic) {
        return format!(
            "no subject is called {topic}-value or {topic}-RECORD, so nothing says what is on it; \
             vitrina new context NAME --topic {topic}, then vitrina new event NAME.EVENT"
        );
    }
    let near = vitrina_sql::nearest(topic, by_topic.keys().map(|topic| topic.as_str()));
    let near = near.map_or_else(String::new, |near| format!(", did you mean `{near}`?"));
    format!("there is no topic {topic}{near}; vitrina init lists those that have subjects")
}

/// What `vitrina.toml` says. What a variable of the environment says stays there.
fn settings(arguments: &Arguments, config: &Config) -> String {
    let line = |key: &str, setting: &str, given: &Option<String>, known: &str| match (
        given,
        config.place(setting),
    ) {
        (None, Some(place)) => format!("# {key}: {place} says it\n"),
        (given, _) => format!("{key} = {}\n", toml::Value::from(given.as_deref().unwrap_or(known))),
    };
    [
        "# Whatever is left out has a default; the vitrina.toml of the repository shows all of it.\n[kafka]\n",
        &line("brokers", "kafka.brokers", &arguments.brokers, &config.kafka.brokers),
        "[registry]\n",
        &line("url", "registry.url", &arguments.registry, &config.registry.url),
        "[postgres]\n",
        &line("url", "postgres.url", &arguments.postgres, &config.postgres_url),
        "[definitions]\ncontracts = \"contracts\"\nmodels = \"models\"\n",
    ]
    .concat()
}

/// The last part of the namespace that all the records share.
fn namespace(records: &[Record]) -> Option<&str> {
    let mut spaces = records.iter().map(|record| Some(record.name.rsplit_once('.')?.0));
    let first = spaces.next()??;
    let shared = spaces.all(|space| space == Some(first));
    shared.then(|| first.rsplit('.').next()).flatten()
}

/// A context's name for a topic or a namespace, which no other has.
fn name(of: &str, names: &mut BTreeSet<String>) -> String {
    let folded: String = of
        .to_ascii_lowercase()
        .chars()
        .map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '_' })
        .collect();
    let folded = folded.trim_matches('_');
    let short = folded.strip_suffix("_events").unwrap_or(folded);
    let reserved = matches!(short, "every" | "vitrina" | "public") || short.starts_with("pg_");
    let plain = short.starts_with(|first: char| first.is_ascii_lowercase()) && !reserved;
    let mut name = if plain { short.to_owned() } else { format!("topic_{short}") };
    // Names of Postgres have 63 bytes.
    name.truncate(60);
    let first = name.clone();
    let mut number = 2;
    while !names.insert(name.clone()) {
        name = format!("{first}_{number}");
        number += 1;
    }
    name
}

/// The field that is most likely the records' key, and how that is said. A question mark where no plain field is in all of
/// them.
fn key(context: &str, records: &[Record]) -> (String, &'static str) {
    let mut common: Option<Vec<String>> = None;
    for text in records.iter().flat_map(|record| &record.texts) {
        let schema: Value = serde_json::from_str(text).unwrap_or_default();
        let fields = schema["fields"].as_array().into_iter().flatten();
        let plain = fields.filter(|field| is_plain(&field["type"]));
        let names: Vec<String> =
            plain.filter_map(|field| Some(field["name"].as_str()?.to_owned())).collect();
        common = Some(match common {
            None => names,
            Some(before) => before.into_iter().filter(|name| names.contains(name)).collect(),
        });
    }
    let common = common.unwrap_or_default();
    let folded = |name: &str| name.to_ascii_lowercase().replace('_', "");
    let is_id = |name: &&String| {
        let name = folded(name);
        let of_record = ["eventid", "correlationid", "causationid", "traceid", "messageid"];
        name.ends_with("id") && !of_record.contains(&name.as_str())
    };
    let own = |name: &&String| {
        let name = folded(name);
        let stem = name.trim_end_matches("id");
        !stem.is_empty() && folded(context).contains(stem)
    };
    let ids: Vec<&String> = common.iter().filter(is_id).collect();
    let own = ids.iter().copied().find(own);
    match own.or_else(|| ids.first().copied()).or_else(|| common.first()) {
        Some(name) => (
            name.clone(),
            "\n# Proposed because of its name: see that the records' keys are its text.",
        ),
        None => ("?".to_owned(), ""),
    }
}

/// Whether a type's values are plain texts or whole numbers, as keys are.
fn is_plain(ty: &Value) -> bool {
    let ty = ty.get("type").unwrap_or(ty);
    matches!(ty.as_str(), Some("string" | "int" | "long"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(fields: &[&str]) -> Record {
        let fields: Vec<Value> =
            fields.iter().map(|name| serde_json::json!({"name": name, "type": "string"})).collect();
        let text = serde_json::json!({"type": "record", "name": "E", "fields": fields});
        Record { name: "E".to_owned(), texts: vec![text.to_string()] }
    }

    #[test]
    fn the_longest_topic_of_a_subject_is_meant() {
        let topics = ["orders", "orders-archive"].map(str::to_owned).into();
        let subjects =
            ["orders-value", "orders-archive-value", "orders-archive-x.Y", "orders-key", "x.Y"]
                .map(str::to_owned);
        let found = by_topic(&topics, &subjects);
        let told: Vec<_> = found.values().map(|subjects| subjects.len()).collect();
        assert_eq!(told, [1, 2], "{found:?}");
    }

    #[test]
    fn a_topic_gives_a_context_a_name_that_check_takes() {
        let mut names = BTreeSet::new();
        let mut of = |from: &str| name(from, &mut names);
        assert_eq!(of("orders.events"), "orders");
        assert_eq!(of("Orders-events"), "orders_2");
        assert_eq!(of("2nd.line"), "topic_2nd_line");
        assert_eq!(of("pg_x"), "topic_pg_x");
        assert_eq!(of("public"), "topic_public");
        assert_eq!(of(&"x".repeat(100)).len(), 60);
        let called = |names: &[&str]| -> Vec<Record> {
            names
                .iter()
                .map(|name| Record { name: (*name).to_owned(), texts: Vec::new() })
                .collect()
        };
        assert_eq!(namespace(&called(&["com.shop.orders.A", "com.shop.orders.B"])), Some("orders"));
        assert_eq!(namespace(&called(&["com.shop.orders.A", "com.shop.B"])), None);
        assert_eq!(namespace(&called(&["A"])), None);
    }

    #[test]
    fn the_key_is_in_all_records_and_none_of_their_own_ids() {
        let records = [
            record(&["event_id", "customer_id", "orderId", "at"]),
            record(&["event_id", "orderId", "customer_id"]),
        ];
        assert_eq!(key("orders", &records).0, "orderId");
        assert_eq!(key("sales", &records).0, "customer_id");
        assert_eq!(key("x", &[record(&["flight"]), record(&["gate"])]).0, "?");
        assert_eq!(key("x", &[record(&["flight"])]).0, "flight");
    }
}
