//! `vitrina pause` and `vitrina resume`: the decision is written to Postgres, and every instance follows within a second
//! or two.

use crate::config::Config;
use crate::desk;
use crate::failure::Failure;
use crate::output::say;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The model's name.
    model: String,
}

pub(crate) async fn pause(Arguments { model }: Arguments, config: Config) -> Result<(), Failure> {
    desk::meet(&config).await?.pause(&model, &desk::operator()).await.map_err(desk::refused)?;
    say(&format!(
        "{model} pauses on every instance; `vitrina resume {model}` lets it go on where it is"
    ))
}

pub(crate) async fn resume(Arguments { model }: Arguments, config: Config) -> Result<(), Failure> {
    desk::meet(&config).await?.resume(&model).await.map_err(desk::refused)?;
    say(&format!("{model} goes on; `vitrina status` says how"))
}
