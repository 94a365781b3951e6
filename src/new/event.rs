//! An event's first version, or all versions that a registry has of it.

use serde_json::{Value, json};
use vitrina_avro::{Context, Contracts, Origin, Registry};

use crate::config::Config;
use crate::definitions;
use crate::failure::Failure;
use crate::new::drafts::Drafts;
use crate::new::{context, registered};
use crate::output::say;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Its name, as rules write it: `orders.order_placed`.
    #[arg(value_name = "CONTEXT.EVENT")]
    name: String,
    /// Take the versions of this subject as they are, and write the upcasts between them as far as their schemas say.
    #[arg(long, value_name = "SUBJECT")]
    from_registry: Option<String>,
}

pub(crate) async fn run(arguments: &Arguments, config: &Config) -> Result<(), Failure> {
    let (contracts, name) = (so_far(config)?, &arguments.name);
    let (context, event) = name.split_once('.').ok_or_else(|| {
        Failure::Usage(format!(
            "{name:?} is no event: write CONTEXT.EVENT, as in orders.order_placed"
        ))
    })?;
    let known = known(config, &contracts, context)?;
    let folder = format!("{}/{context}/{event}", definitions::shown(&config.contracts));
    // What is wrong with its name is wrong with whatever stands in it.
    let mut drafts = Drafts::default();
    drafts.add(format!("{folder}/v1.avsc"), first(known, event));
    drafts.accept(config)?;
    let Some(subject) = &arguments.from_registry else {
        let said = drafts.write()?;
        return say(&format!("{said}\nnext: vitrina new model NAME --event {name}"));
    };
    let registry = Registry::new(&config.registry)?;
    let place = config.registry_place();
    let versions = registry.versions(subject).await;
    let versions = versions.map_err(|error| Failure::No(format!("{place}: {error}")))?;
    if versions.is_empty() {
        return Err(Failure::No(format!(
            "{place} has no subject {subject}; `vitrina init` lists those of topics"
        )));
    }
    let taken = registered::records(subject, &versions);
    let [record] = &taken.records[..] else {
        let names: Vec<&str> = taken.records.iter().map(|one| one.name.as_str()).collect();
        let left_out = taken.left_out.join("; ");
        return Err(Failure::No(match names.is_empty() {
            true => format!("no version of {subject} can be taken: {left_out}"),
            false => format!(
                "{subject} holds the records {}, and a contract is of one; `vitrina init --topic TOPIC` takes them all",
                names.join(", ")
            ),
        }));
    };
    let mut drafts = Drafts::default();
    record.draft(&folder, &mut drafts);
    let mut said = vec![drafts.write()?];
    said.extend(taken.left_out);
    said.extend(registered::open(
        &drafts.foresee(config)?,
        &drafts,
        &context::file(config, context),
    ));
    say(&said.join("\n"))
}

/// The contracts that there are; none where there is no folder yet.
pub(super) fn so_far(config: &Config) -> Result<Contracts, Failure> {
    match config.contracts.is_dir() {
        true => Ok(definitions::contracts(config)?.0),
        false => Ok(Contracts::default()),
    }
}

fn known<'a>(
    config: &Config,
    contracts: &'a Contracts,
    context: &str,
) -> Result<&'a Context, Failure> {
    contracts.contexts.get(context).ok_or_else(|| {
        let file = context::file(config, context);
        Failure::No(match contracts.broken.get(&(context.to_owned(), None)) {
            Some(place) => format!("the context {context} does not load; `vitrina check` says why at {place}"),
            None => format!("there is no {file}; write it first: vitrina new context {context} --topic TOPIC --key FIELD"),
        })
    })
}

/// A first version with the fields that the context's file names, and a moment.
fn first(context: &Context, event: &str) -> String {
    let moment = json!({"type": "long", "logicalType": "timestamp-micros"});
    let mut fields: Vec<(String, Value, &str)> = vec![(context.key.clone(), json!("string"), "")];
    let mut add = |name: &str, ty: Value, default: &'static str| {
        if !fields.iter().any(|(known, ..)| known.eq_ignore_ascii_case(name)) {
            fields.push((name.to_owned(), ty, default));
        }
    };
    if let Origin::Field(name) = &context.event_id {
        add(name, json!("string"), "");
    }
    match &context.time {
        Origin::Field(name) => add(name, moment, ""),
        _ => add("occurred_at", moment, ""),
    }
    for origin in [&context.correlation_id, &context.causation_id] {
        if let Origin::Field(name) = origin {
            add(name, json!(["null", "string"]), ", \"default\": null");
        }
    }
    let lines = fields.iter().map(|(name, ty, default)| {
        format!("    {{ \"name\": {}, \"type\": {}{default} }}", json!(name), spaced(ty))
    });
    let record: String = event.split('_').map(capital).collect();
    format!(
        "{{\n  \"type\": \"record\",\n  \"name\": \"{record}\",\n  \"namespace\": \"{}\",\n  \"fields\": [\n{}\n  ]\n}}\n",
        context.name,
        lines.collect::<Vec<_>>().join(",\n")
    )
}

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    let first = letters.next().map(|first| first.to_ascii_uppercase());
    first.into_iter().chain(letters).collect()
}

/// A small JSON value as people write it.
fn spaced(value: &Value) -> String {
    match value {
        Value::Object(members) => {
            // `type` before what qualifies it.
            let members: Vec<String> =
                members.iter().rev().map(|(name, value)| format!("\"{name}\": {value}")).collect();
            format!("{{ {} }}", members.join(", "))
        }
        other => other.to_string().replace(',', ", "),
    }
}
