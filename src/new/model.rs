//! A model's first file: the last event of each key, as a table that is served.

use vitrina_avro::{Context, Contract};
use vitrina_sql::{quote_literal, written};

use crate::config::Config;
use crate::definitions;
use crate::failure::Failure;
use crate::new::drafts::Drafts;
use crate::new::event;
use crate::output::say;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Its name, and its table's: lower-case letters, digits and underscores, as in `order_summary`.
    name: String,
    /// The event that it begins with; else the first that there is.
    #[arg(long, value_name = "CONTEXT.EVENT")]
    event: Option<String>,
}

pub(crate) fn run(arguments: &Arguments, config: &Config) -> Result<(), Failure> {
    let contracts = event::so_far(config)?;
    let events: Vec<_> = contracts
        .contexts
        .values()
        .flat_map(|context| context.events.values().map(move |event| (context, event)))
        .collect();
    let found = events
        .iter()
        .find(|(_, event)| arguments.event.as_ref().is_none_or(|name| *name == event.relation()));
    let Some((context, contract)) = found else {
        let names: Vec<String> = events.iter().map(|(_, event)| event.relation()).collect();
        return Err(Failure::No(match (&arguments.event, names.is_empty()) {
            (Some(name), false) => {
                format!("there is no event {name}; those that load are {}", names.join(", "))
            }
            _ => "there is no event to read; write one first: vitrina new event CONTEXT.EVENT"
                .to_owned(),
        }));
    };
    let mut drafts = Drafts::default();
    let file = format!("{}/{}.sql", definitions::shown(&config.models), arguments.name);
    drafts.add(file, text(&arguments.name, context, contract));
    drafts.accept(config)?;
    let said = drafts.write()?;
    say(&format!("{said}, of {}\nnext: vitrina check", contract.relation()))
}

fn text(name: &str, context: &Context, contract: &Contract) -> String {
    let key = context.key.to_ascii_lowercase();
    let (keys, others): (Vec<_>, Vec<_>) =
        contract.newest().columns.iter().partition(|column| column.name == key);
    let columns: Vec<_> = keys.into_iter().chain(others).collect();
    let names: Vec<String> = columns.iter().map(|column| written(&column.name)).collect();
    let declared = columns.iter().zip(&names).map(|(column, name)| {
        let rest = match (column.name == key, column.nullable) {
            (true, _) => " PRIMARY KEY",
            (false, false) => " NOT NULL",
            (false, true) => "",
        };
        format!("  {name} {}{rest}", column.ty.sql())
    });
    let declared: Vec<String> = declared.collect();
    let selected: Vec<String> = names.iter().map(|name| format!("e.{name}")).collect();
    let set: Vec<String> =
        names.iter().skip(1).map(|name| format!("{name} = EXCLUDED.{name}")).collect();
    let conflict = match set.is_empty() {
        true => "NOTHING".to_owned(),
        false => format!("UPDATE\nSET {}", set.join(",\n    ")),
    };
    let (table, key) = (written(name), written(&key));
    let event = format!("{}.{}", written(&contract.context), written(&contract.name));
    let comment = format!("The last {} of each {}.", contract.relation(), context.key);
    format!(
        "CREATE TABLE {table} (\n{}\n);\nCOMMENT ON TABLE {table} IS {};\n\n\
         -- Runs once for each event. What else there is to write: docs/contract.md, and projectors/models of the repository.\n\
         INSERT INTO {table} ({})\nSELECT {}\nFROM {event} e\nON CONFLICT ({key}) DO {conflict};\n",
        declared.join(",\n"),
        quote_literal(&comment),
        names.join(", "),
        selected.join(", "),
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_event_of_the_reference_set_makes_a_model() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/avro/contracts");
        let files = vitrina_sql::Files::read(folder.as_ref(), "c", &[".toml", ".avsc", ".sql"]);
        let (contracts, _) = vitrina_avro::Contracts::load(&files.unwrap(), "c");
        let mut count = 0;
        for context in contracts.contexts.values() {
            for contract in context.events.values() {
                let text = text("first", context, contract);
                let (model, findings) =
                    vitrina_sql::Model::parse("first", "first.sql", &text, &contracts);
                assert!(model.is_some() && findings.is_empty(), "{text}\n{findings:#?}");
                count += 1;
            }
        }
        assert!(count > 90, "{count}");
    }
}
