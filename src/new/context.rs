//! A context's first file: what its topic is, and what tells its events apart.

use crate::config::Config;
use crate::definitions;
use crate::failure::Failure;
use crate::new::drafts::Drafts;
use crate::output::say;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Its name: lower-case letters, digits and underscores, as in `orders`.
    name: String,
    /// The topic of its events; else NAME.events.
    #[arg(long)]
    topic: Option<String>,
    /// The field that is the record's key, in every event; else `id`.
    #[arg(long, default_value = "id")]
    key: String,
}

pub(crate) fn run(arguments: &Arguments, config: &Config) -> Result<(), Failure> {
    let Arguments { name, topic, key } = arguments;
    let topic = topic.clone().unwrap_or_else(|| format!("{name}.events"));
    let mut drafts = Drafts::default();
    drafts.add(file(config, name), text(&topic, key, ""));
    drafts.accept(config)?;
    let said = drafts.write()?;
    say(&format!("{said}\nnext: vitrina new event {name}.EVENT, or with --from-registry SUBJECT"))
}

/// Where it stands.
pub(crate) fn file(config: &Config, context: &str) -> String {
    format!("{}/{context}/context.toml", definitions::shown(&config.contracts))
}

/// `remark` says where the key comes from, if nobody has said it.
pub(crate) fn text(topic: &str, key: &str, remark: &str) -> String {
    let (topic, key) = (toml::Value::from(topic), toml::Value::from(key));
    format!(
        "topic = {topic}\n\
         # The field that is the record's key, in every version of every event: order is kept among the events of one key.{remark}\n\
         key = {key}\n\
         # Where each of these is found: a field, or \"header:NAME\"; left out, as it says behind it.\n\
         # event_id = \"event_id\"               # in the header ce_id, else topic, partition and offset\n\
         # time = \"occurred_at\"                # in the header ce_time, else the record's timestamp\n"
    )
}
