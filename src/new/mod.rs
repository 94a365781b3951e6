//! `vitrina new`: the first files of a thing, ready for `check`.

pub(crate) mod context;
pub(crate) mod drafts;
mod event;
mod model;
pub(crate) mod registered;

use clap::Subcommand;

use crate::config::Config;
use crate::failure::Failure;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    thing: Thing,
}

#[derive(Subcommand)]
enum Thing {
    /// A bounded context: a topic, and the key of its events.
    Context(context::Arguments),
    /// An event of a context, from nothing or as a registry has it.
    Event(event::Arguments),
    /// A read model that keeps the last event of each key, to go on from.
    Model(model::Arguments),
}

pub(crate) async fn run(arguments: Arguments, config: Config) -> Result<(), Failure> {
    match arguments.thing {
        Thing::Context(arguments) => context::run(&arguments, &config),
        Thing::Event(arguments) => event::run(&arguments, &config).await,
        Thing::Model(arguments) => model::run(&arguments, &config),
    }
}
