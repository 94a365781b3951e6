//! `vitrina pause` and `vitrina resume`: the decision is written to Postgres, and every instance follows within a second
//! or two. What came of a model that was resumed is waited for, and told.

use vitrina_projectors::Resumed;

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
    let desk = desk::meet(&config).await?;
    let resumed = desk.resume(&model).await.map_err(desk::refused)?;
    let Resumed { instances, state, reason } = resumed;
    let why = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
    match state.as_deref() {
        _ if instances == 0 => {
            say(&format!("{model} may go on, but no instance runs it: `vitrina serve` starts one"))
        }
        None => Err(Failure::No(format!(
            "{model} may go on, but has not followed yet; `vitrina status` says how it is"
        ))),
        Some(halted @ ("stopped" | "breaker_open" | "paused")) => {
            Err(Failure::No(format!("{model} does not go on, it is {halted} again{why}")))
        }
        Some(state) => say(&format!("{model} goes on, it is {state}{why}")),
    }
}
