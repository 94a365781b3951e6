//! `vitrina rebuild` and `vitrina cancel`: the decision is written to Postgres, and running instances build.

use vitrina_projectors::Rebuild;

use crate::building;
use crate::config::Config;
use crate::desk;
use crate::failure::Failure;
use crate::output::say;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The model's name.
    model: String,
    /// From the live generation's definition, and not from the model's file.
    #[arg(long)]
    as_live: bool,
    /// Also where the log no longer holds all that the live generation was made of.
    #[arg(long)]
    allow_shorter_history: bool,
    /// Says how far it is until it is live, or waits for an operator.
    #[arg(long)]
    wait: bool,
}

#[derive(clap::Args)]
pub(crate) struct Cancelled {
    /// The model's name.
    model: String,
}

pub(crate) async fn rebuild(arguments: Arguments, config: Config) -> Result<(), Failure> {
    let Arguments { model, as_live, allow_shorter_history, wait } = arguments;
    let desk = desk::meet(&config).await?;
    let how = Rebuild { as_live, allow_shorter_history };
    let begun = desk.rebuild(&model, how, &desk::operator()).await.map_err(desk::refused)?;
    if let Some(note) = begun.note {
        say(&note)?;
    }
    say(&format!(
        "{0}@{1} is built beside the live generation, and goes live when it has come as far; `vitrina status` says how, \
         `vitrina cancel {0}` gives it up",
        begun.model, begun.generation
    ))?;
    if wait { building::wait(&desk, &config, &model, begun.generation).await } else { Ok(()) }
}

pub(crate) async fn cancel(Cancelled { model }: Cancelled, config: Config) -> Result<(), Failure> {
    let desk = desk::meet(&config).await?;
    let number = desk.cancel(&model, &desk::operator()).await.map_err(desk::refused)?;
    say(&format!("{model}@{number} is not built any more"))
}
