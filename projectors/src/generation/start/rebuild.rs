//! What operators decide of generations: to build one, and to give up what is being built. One at a time a model.

use std::sync::Arc;

use serde::Serialize;
use sqlx::Connection as _;
use sqlx::postgres::PgConnection;

use crate::definition::Definition;
use crate::desk::Desk;
use crate::generation::audit::audit;
use crate::generation::known::Known;
use crate::generation::lock::lock_model;
use crate::generation::rights;
use crate::generation::schema::inspect::inspect;
use crate::generation::start::retention::{cut_short, keeps_history};
use crate::generation::state::{Outcome, allow_shorter, building, give_up, live};
use crate::generation::stored::{self, Beginning, Generation};
use crate::parked::list::known;
use crate::parked::refusal::Refusal;

/// What the files of this process say of a model: its definition, and N of the duplicates' window.
pub type Files = Arc<dyn Fn(&str) -> Result<(Definition, u32), Refusal> + Send + Sync>;

/// How a model is to be rebuilt.
#[derive(Debug, Clone, Copy, Default)]
pub struct Rebuild {
    /// From the live generation's definition, and not from the model's file.
    pub as_live: bool,
    /// Also where the log does not hold all that the live generation was made of.
    pub allow_shorter_history: bool,
}

/// A generation that is going to be built.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rebuilt {
    pub model: String,
    pub generation: i32,
    /// What the operator should know of what is built.
    pub note: Option<String>,
}

impl Desk {
    /// Begins to build a generation beside the live one, from the model's file or from the live definition.
    ///
    /// # Errors
    /// [`Refusal`]; then nothing has begun.
    pub async fn rebuild(&self, model: &str, how: Rebuild, by: &str) -> Result<Rebuilt, Refusal> {
        known(&self.pool, model).await?;
        let mut connection = self.pool.acquire().await?.detach();
        let begun = self.rebuild_on(&mut connection, model, how, by).await;
        // What was not committed ends with the connection.
        let _ = connection.close().await;
        begun
    }

    async fn rebuild_on(
        &self,
        connection: &mut PgConnection,
        model: &str,
        Rebuild { as_live, allow_shorter_history }: Rebuild,
        by: &str,
    ) -> Result<Rebuilt, Refusal> {
        let Some(live) = live(connection, model).await? else {
            return Err(Refusal::Wrong(format!("{model} has no live generation to build beside")));
        };
        let (definition, window) = match as_live {
            true => {
                let generation = Generation::read(connection, &live).await?;
                (generation.definition, generation.duplicate_window)
            }
            false => self.of_file(model).await?,
        };
        lock_model(connection, model).await?;
        if let Some(building) = building(connection, model).await? {
            return Err(Refusal::Wrong(format!(
                "{building} is being built already: wait for it, or give it up with `vitrina cancel {model}`"
            )));
        }
        let cut = match allow_shorter_history {
            true => Some(cut_short(connection, &live, &self.kafka).await?),
            false => {
                keeps_history(connection, &live, &definition, &self.kafka).await?;
                None
            }
        };
        let note = older(connection, &definition).await?;
        let because = match as_live {
            true => format!("{by} asked for the live definition anew"),
            false => format!("{by} asked for it"),
        };
        let beginning = Beginning::Building;
        let id = stored::create(connection, &definition, window, beginning, &because).await?;
        if let Some(cut) = cut {
            allow_shorter(connection, &id, &cut).await?;
        }
        if !as_live {
            rights::propose(connection, &definition.model).await?;
        }
        audit(connection, &id, "rebuild", &because, by).await?;
        sqlx::query("COMMIT").execute(connection).await?;
        Ok(Rebuilt { model: id.model, generation: id.number, note })
    }

    async fn of_file(&self, model: &str) -> Result<(Definition, u32), Refusal> {
        let (definition, window) = (self.files)(model)?;
        let findings = inspect(&self.postgres, &definition).await?;
        let errors: Vec<String> =
            findings.iter().filter(|finding| finding.is_error()).map(ToString::to_string).collect();
        if errors.is_empty() {
            Ok((definition, window))
        } else {
            Err(Refusal::Wrong(errors.join("\n")))
        }
    }

    /// Gives up the generation that is being built; which one it was.
    ///
    /// # Errors
    /// [`Refusal`]; nothing is being built.
    pub async fn cancel(&self, model: &str, by: &str) -> Result<i32, Refusal> {
        known(&self.pool, model).await?;
        let mut connection = self.pool.acquire().await?.detach();
        let cancelled = cancel_on(&mut connection, model, by).await;
        let _ = connection.close().await;
        cancelled
    }
}

async fn cancel_on(connection: &mut PgConnection, model: &str, by: &str) -> Result<i32, Refusal> {
    lock_model(connection, model).await?;
    let Some(id) = building(connection, model).await? else {
        return Err(Refusal::Wrong(format!("no generation of {model} is being built")));
    };
    give_up(connection, model, Outcome::Cancelled).await?;
    audit(connection, &id, "cancel", "", by).await?;
    sqlx::query("COMMIT").execute(connection).await?;
    Ok(id.number)
}

/// Says so where the definition is that of a generation that another one has replaced.
async fn older(
    connection: &mut PgConnection,
    definition: &Definition,
) -> sqlx::Result<Option<String>> {
    let model = &definition.model;
    let known = Known::all(connection, &model.name).await?;
    let until_live = known.iter().skip_while(|one| !one.is_live());
    let same = until_live.into_iter().find(|one| one.means(definition));
    Ok(same.filter(|one| !one.is_live()).map(|one| {
        format!(
            "{} is older than the live generation: it is that of generation {}",
            model.file, one.generation
        )
    }))
}
