//! `vitrina publish`: JSON lines become Avro records. Every line is read and encoded before the first record is sent.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;
use vitrina_avro::{Context, Contract, Registry, Version, encode_json, key_text, parse_json};
use vitrina_ingest::{Outgoing, PublishError, Publisher, complete};

use crate::config::Config;
use crate::definitions;
use crate::failure::Failure;
use crate::output::say;

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
    let (contracts, findings) = definitions::contracts(&config)?;
    let (name, number) = match arguments.event.split_once("@v") {
        Some((name, number)) => (name, Some(number)),
        None => (arguments.event.as_str(), None),
    };
    let (context, event) = name.split_once('.').ok_or_else(|| {
        Failure::Usage(format!(
            "{name:?} is no event type: write CONTEXT.EVENT, as in orders.order_placed@v2"
        ))
    })?;
    let contract = contracts.contract(context, event).ok_or_else(|| {
        let mut text: Vec<String> = findings.iter().map(ToString::to_string).collect();
        let events = contracts.contexts.values().flat_map(|context| context.events.values());
        let known: Vec<String> = events.map(|contract| contract.relation()).collect();
        text.push(format!(
            "there is no contract {name}; the contracts in {} are: {}",
            config.contracts.display(),
            known.join(", ")
        ));
        Failure::Usage(text.join("\n"))
    })?;
    let version = version(contract, number)?;
    let context = &contracts.contexts[context];
    let headers = headers(&arguments.headers)?;
    let input = Input::read(arguments.file.as_deref())?;
    let events = encode_lines(&input, context, version)?;
    if events.is_empty() {
        return say(&format!("{} holds no lines, nothing sent", input.name()));
    }
    send(&config, context, version, &headers, events).await
}

fn version<'a>(contract: &'a Contract, number: Option<&str>) -> Result<&'a Version, Failure> {
    let Some(number) = number else { return Ok(contract.newest()) };
    let found = number
        .parse()
        .ok()
        .and_then(|number: u32| contract.versions.iter().find(|v| v.number == number));
    found.ok_or_else(|| {
        let newest = contract.newest().number;
        Failure::Usage(format!(
            "{} has no version v{number}; it has v1 to v{newest}",
            contract.relation()
        ))
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

/// The lines, and where they come from.
struct Input<'a> {
    file: Option<&'a Path>,
    text: String,
}

impl<'a> Input<'a> {
    fn read(file: Option<&'a Path>) -> Result<Self, Failure> {
        let read = match file {
            Some(file) => std::fs::read_to_string(file),
            None => std::io::read_to_string(std::io::stdin()),
        };
        let mut input = Self { file, text: String::new() };
        input.text = read.map_err(|error| Failure::Usage(format!("{}: {error}", input.name())))?;
        Ok(input)
    }

    fn name(&self) -> String {
        self.file.map_or_else(|| "standard input".to_owned(), |file| file.display().to_string())
    }

    /// A line's place, counted from 1.
    fn place(&self, line: usize) -> String {
        match self.file {
            Some(file) => format!("{}:{line}", file.display()),
            None => format!("standard input, line {line}"),
        }
    }
}

/// An event on its way: the record's key, and the Avro datum.
struct Encoded {
    key: Vec<u8>,
    datum: Vec<u8>,
}

/// Encodes each line; every wrong one is named.
fn encode_lines(
    input: &Input<'_>,
    context: &Context,
    version: &Version,
) -> Result<Vec<Encoded>, Failure> {
    let (mut events, mut wrong) = (Vec::new(), Vec::new());
    for (number, line) in input.text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty())
    {
        match encode_line(line, context, version) {
            Ok(event) => events.push(event),
            Err(error) => wrong.push(format!("{}: {error}", input.place(number + 1))),
        }
    }
    if wrong.is_empty() {
        return Ok(events);
    }
    wrong.push("nothing was sent".into());
    Err(Failure::No(wrong.join("\n")))
}

fn encode_line(line: &str, context: &Context, version: &Version) -> Result<Encoded, String> {
    let json = parse_json(line).map_err(|error| {
        let text = error.to_string();
        // serde_json counts lines, too, but within this one.
        let what = text.split_once(" at line ").map_or(text.as_str(), |(what, _)| what);
        format!("not JSON: {what} at column {}", error.column())
    })?;
    if holds_nul(&json) {
        return Err("a text holds the character U+0000, which Postgres cannot store: take it out"
            .to_owned());
    }
    let datum = encode_json(version, &json).map_err(|error| error.to_string())?;
    let key = key_text(context, version, &json).map_err(|error| error.to_string())?;
    Ok(Encoded { key: key.into_bytes(), datum })
}

fn holds_nul(json: &Value) -> bool {
    match json {
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => items.iter().any(holds_nul),
        Value::Object(members) => {
            members.iter().any(|(name, value)| name.contains('\0') || holds_nul(value))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// Registers the schema and makes the topic before the first record goes, so that until then nothing was sent.
async fn send(
    config: &Config,
    context: &Context,
    version: &Version,
    headers: &BTreeMap<String, String>,
    events: Vec<Encoded>,
) -> Result<(), Failure> {
    let nothing_sent = |what: String| Failure::No(format!("{what}; nothing was sent"));
    let registry = Registry::new(&config.registry)?;
    let mut publisher = Publisher::new(&config.kafka)?;
    let count = events.len();
    let mut records = Vec::with_capacity(count);
    for Encoded { key, datum } in events {
        let value = publisher.frame(&registry, &context.topic, version, &datum).await;
        let value =
            value.map_err(|error| nothing_sent(format!("{}: {error}", config.registry_place())))?;
        let mut headers = headers.clone();
        complete(&mut headers);
        records.push(Outgoing { topic: context.topic.clone(), key, value, headers });
    }
    publisher
        .ensure_topic(&context.topic)
        .await
        .map_err(|error| nothing_sent(error.to_string()))?;
    let sent = async {
        for record in &records {
            publisher.send(record).await?;
        }
        publisher.settle().await
    };
    let sent: Result<(), PublishError> = sent.await;
    sent.map_err(|error| {
        Failure::No(format!("{error}; {} of {count} records were sent", publisher.delivered()))
    })?;
    say(&format!(
        "{count} records of {} v{} sent to topic {}",
        version.full_name(),
        version.number,
        context.topic
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nul_is_seen_at_any_depth() {
        assert!(holds_nul(&serde_json::json!({"a": [{"b\0": 1}]})));
        assert!(holds_nul(&serde_json::json!([["\0"]])));
        assert!(!holds_nul(&serde_json::json!({"a": ["0", 0, null]})));
    }

    #[test]
    fn places_are_those_that_editors_open() {
        let input = |file| Input { file, text: String::new() };
        assert_eq!(input(Some(Path::new("bad.json"))).place(3), "bad.json:3");
        assert_eq!(input(None).place(3), "standard input, line 3");
    }
}
