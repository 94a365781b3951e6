//! `vitrina publish`: JSON lines become Avro records. Every line is read and encoded before the first record is sent.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::PathBuf;

use vitrina_avro::{Context, Contract, Registry, Version, encode_json, key_text};
use vitrina_sql::Files;

use crate::Failure;
use crate::config::Config;
use crate::kafka::{Outgoing, Publisher, complete};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The event type, and the version to write; the newest where none is given.
    #[arg(value_name = "CONTEXT.EVENT[@vN]")]
    event: String,
    /// JSON lines; standard input where none is given.
    #[arg(long)]
    file: Option<PathBuf>,
    /// A header of every record, as NAME=VALUE; may be given again.
    #[arg(long = "header", value_name = "NAME=VALUE")]
    headers: Vec<String>,
}

pub(crate) async fn run(arguments: Arguments, config: Config) -> Result<(), Failure> {
    let root = config.contracts.display().to_string();
    let files = Files::read(&config.contracts, &root, &[".toml", ".avsc", ".sql"])
        .map_err(|error| Failure::Usage(format!("{error} (the folder is definitions.contracts)")))?;
    let (contracts, findings) = vitrina_avro::Contracts::load(&files, &root);
    let (name, number) = match arguments.event.split_once("@v") {
        Some((name, number)) => (name, Some(number)),
        None => (arguments.event.as_str(), None),
    };
    let (context, event) = name.split_once('.').ok_or_else(|| {
        Failure::Usage(format!("{name:?} is no event type: write CONTEXT.EVENT, as in orders.order_placed@v2"))
    })?;
    let contract = contracts.contract(context, event).ok_or_else(|| {
        let mut text: Vec<String> = findings.iter().map(ToString::to_string).collect();
        let known: Vec<String> = vitrina_sql::Relations::names(&contracts);
        text.push(format!("there is no contract {name}; the contracts in {root} are: {}", known.join(", ")));
        Failure::Usage(text.join("\n"))
    })?;
    let version = version(contract, number)?;
    let context = &contracts.contexts[context];
    let headers = headers(&arguments.headers)?;
    let events = encode_lines(&read_lines(&arguments)?, context, version)?;
    send(&config, context, version, &headers, events).await
}

fn version<'a>(contract: &'a Contract, number: Option<&str>) -> Result<&'a Version, Failure> {
    let Some(number) = number else { return Ok(contract.newest()) };
    let found = number.parse().ok().and_then(|number: u32| contract.versions.iter().find(|v| v.number == number));
    found.ok_or_else(|| {
        let newest = contract.newest().number;
        Failure::Usage(format!("{} has no version v{number}; it has v1 to v{newest}", contract.relation()))
    })
}

fn headers(given: &[String]) -> Result<BTreeMap<String, String>, Failure> {
    given
        .iter()
        .map(|header| match header.split_once('=') {
            Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
            _ => Err(Failure::Usage(format!("--header {header:?}: write NAME=VALUE"))),
        })
        .collect()
}

fn read_lines(arguments: &Arguments) -> Result<String, Failure> {
    let mut text = String::new();
    match &arguments.file {
        Some(file) => {
            text = std::fs::read_to_string(file)
                .map_err(|error| Failure::Usage(format!("{}: {error}", file.display())))?;
        }
        None => {
            std::io::stdin()
                .read_to_string(&mut text)
                .map_err(|error| Failure::Usage(format!("standard input: {error}")))?;
        }
    }
    Ok(text)
}

/// An event on its way: the record's key, and the Avro datum.
struct Encoded {
    key: Vec<u8>,
    datum: Vec<u8>,
}

/// Encodes each line; every wrong one is named.
fn encode_lines(text: &str, context: &Context, version: &Version) -> Result<Vec<Encoded>, Failure> {
    let (mut events, mut wrong) = (Vec::new(), Vec::new());
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let encoded = serde_json::from_str(line).map_err(|error| format!("not JSON: {error}")).and_then(|json| {
            let datum = encode_json(version, &json).map_err(|error| error.to_string())?;
            let key = key_text(context, version, &json).map_err(|error| error.to_string())?;
            Ok(Encoded { key: key.into_bytes(), datum })
        });
        match encoded {
            Ok(event) => events.push(event),
            Err(error) => wrong.push(format!("line {}: {error}", number + 1)),
        }
    }
    if wrong.is_empty() {
        return Ok(events);
    }
    wrong.push("nothing was sent".into());
    Err(Failure::No(wrong.join("\n")))
}

#[expect(clippy::print_stdout, reason = "the verb's answer")]
async fn send(
    config: &Config,
    context: &Context,
    version: &Version,
    headers: &BTreeMap<String, String>,
    events: Vec<Encoded>,
) -> Result<(), Failure> {
    let registry = Registry::new(&config.registry)?;
    let mut publisher = Publisher::new(&config.kafka)?;
    publisher.ensure_topic(&context.topic).await.map_err(|error| {
        Failure::No(format!("Kafka at {} (kafka.brokers): {error:#}; nothing was sent", config.kafka.brokers))
    })?;
    let mut sent = 0;
    for Encoded { key, datum } in events {
        let value = publisher.frame(&registry, &context.topic, version, &datum).await?;
        let mut headers = headers.clone();
        complete(&mut headers);
        publisher.send(&Outgoing { topic: context.topic.clone(), key, value, headers }).await?;
        sent += 1;
    }
    publisher.settle().await?;
    println!("{sent} records of {} v{} sent to topic {}", version.full_name(), version.number, context.topic);
    Ok(())
}
