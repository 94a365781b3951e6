//! `vitrina swap`, `rollback` and `drop`: what is decided of generations that are there. Running instances carry it out.

use crate::config::Config;
use crate::desk;
use crate::failure::Failure;
use crate::output::say;

#[derive(clap::Args)]
pub(crate) struct Model {
    /// The model's name.
    model: String,
}

#[derive(clap::Args)]
pub(crate) struct Dropped {
    /// A retired generation, as in order_summary@2, or a model whose file is gone.
    #[arg(value_name = "MODEL[@G]")]
    what: String,
    /// Yes, the model with all its data.
    #[arg(long)]
    yes: bool,
}

pub(crate) async fn swap(Model { model }: Model, config: Config) -> Result<(), Failure> {
    let desk = desk::meet(&config).await?;
    let number = desk.swap(&model, &desk::operator()).await.map_err(desk::refused)?;
    say(&format!("{model}@{number} goes live within seconds; `vitrina status` says when it is"))
}

pub(crate) async fn rollback(Model { model }: Model, config: Config) -> Result<(), Failure> {
    let desk = desk::meet(&config).await?;
    let number = desk.rollback(&model, &desk::operator()).await.map_err(desk::refused)?;
    say(&format!(
        "{model}@{number} comes back: it is brought up to date, and goes live then; `vitrina status` says how, \
         `vitrina cancel {model}` gives it up"
    ))
}

pub(crate) async fn drop(Dropped { what, yes }: Dropped, config: Config) -> Result<(), Failure> {
    let desk = desk::meet(&config).await?;
    let by = desk::operator();
    let Some((model, number)) = what.split_once('@') else {
        desk.drop_model(&what, yes, &by).await.map_err(desk::refused)?;
        return say(&format!("{what} is dropped with all its data; only the audit's copy is left"));
    };
    let number: i32 = number.parse().map_err(|_| {
        Failure::Usage(format!("{what} names no generation: write MODEL@NUMBER, as in {model}@2"))
    })?;
    desk.drop_generation(model, number, &by).await.map_err(desk::refused)?;
    say(&format!("{what} is dropped"))
}
