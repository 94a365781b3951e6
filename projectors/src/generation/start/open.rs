//! What a start does with a model, beginning with what its file says: a model that has no generation gets its first one;
//! one whose file means what the live generation means goes on, and what its rows do not depend on follows the file; a
//! meaning that was never used is built beside the live generation. A meaning that was used before starts nothing, so that
//! instances with an older file change nothing, but that what it does not grant is not read.

use sqlx::postgres::{PgConnection, PgPool};
use sqlx::{Connection as _, Executor as _};
use vitrina_ingest::KafkaSettings;

use crate::definition::Definition;
use crate::fault::Fault;
use crate::generation::known::Known;
use crate::generation::lock::lock_model;
use crate::generation::rights;
use crate::generation::schema::follow::Shown;
use crate::generation::schema::stable::create_stable;
use crate::generation::start::adopt::adopt;
use crate::generation::start::retention::shortens_history;
use crate::generation::state::{Outcome, give_up};
use crate::generation::stored::{self, Beginning};
use crate::names::GenerationId;

/// Makes what the file asks for; what is to be said of the model because of its file, where the live generation goes on
/// without it. `kafka`: whose log a new generation would read; none: one that has lost nothing.
///
/// # Errors
/// [`Fault::Stop`] where a schema of this name is not ours, or Postgres refuses a declaration; [`Fault::World`] where it is
/// away.
pub(crate) async fn open(
    pool: &PgPool,
    definition: &Definition,
    duplicate_window: u32,
    kafka: Option<&KafkaSettings>,
) -> Result<Option<String>, Fault> {
    let mut connection = pool.acquire().await?.detach();
    let opened = open_on(&mut connection, definition, duplicate_window, kafka).await;
    let _ = connection.close().await;
    opened
}

async fn open_on(
    connection: &mut PgConnection,
    definition: &Definition,
    duplicate_window: u32,
    kafka: Option<&KafkaSettings>,
) -> Result<Option<String>, Fault> {
    let model = &definition.model;
    // Instances start together; one of them makes the generation.
    lock_model(connection, &model.name).await?;
    let mut known = Known::all(connection, &model.name).await?;
    if !known.iter().any(Known::is_live) && adopt(connection, &model.name).await? {
        known = Known::all(connection, &model.name).await?;
    }
    let note = match known.iter().find(|one| one.is_live()) {
        None => {
            first(connection, definition, duplicate_window).await?;
            None
        }
        Some(live) if live.means(definition) => {
            if !live.has_used(definition) {
                let id = GenerationId::new(&model.name, live.generation);
                stored::renew(connection, definition, &id, Shown::Stable).await?;
            }
            None
        }
        Some(live) => {
            let live = live.generation;
            propose(connection, definition, duplicate_window, (live, &known), kafka).await?
        }
    };
    rights::propose(connection, model).await?;
    connection.execute("COMMIT").await?;
    Ok(note)
}

/// The file means something else than the live generation.
async fn propose(
    connection: &mut PgConnection,
    definition: &Definition,
    duplicate_window: u32,
    (live, known): (i32, &[Known]),
    kafka: Option<&KafkaSettings>,
) -> Result<Option<String>, Fault> {
    let model = &definition.model;
    match known.iter().find(|one| one.means(definition)) {
        Some(same) if same.is_built() => {
            if !same.has_used(definition) {
                let id = GenerationId::new(&model.name, same.generation);
                stored::renew(connection, definition, &id, Shown::Nowhere).await?;
            }
            Ok(None)
        }
        Some(Known { generation, state, .. }) => Ok(Some(format!(
            "{} is generation {generation}'s, which is {state}, and {live} is live: `vitrina rebuild {}` builds the \
             file's",
            model.file, model.name
        ))),
        None => {
            if let Some(kafka) = kafka {
                let live = GenerationId::new(&model.name, live);
                let shortens = shortens_history(connection, &live, definition, kafka).await?;
                if let Some(why) = shortens {
                    return Ok(Some(format!("{} has a new meaning: {why}", model.file)));
                }
            }
            give_up(connection, &model.name, Outcome::Superseded).await?;
            let because = format!("{} or a contract that it uses has a new meaning", model.file);
            let building = Beginning::Building;
            stored::create(connection, definition, duplicate_window, building, &because).await?;
            Ok(None)
        }
    }
}

/// Makes the model's first generation, with the stable schema in front of it.
async fn first(
    connection: &mut PgConnection,
    definition: &Definition,
    duplicate_window: u32,
) -> Result<(), Fault> {
    let model = &definition.model;
    stored::refuse_foreign(connection, &model.name).await?;
    let because = format!("{} is new", model.file);
    let id =
        stored::create(connection, definition, duplicate_window, Beginning::Live, &because).await?;
    create_stable(connection, model, &id).await?;
    sqlx::query("UPDATE vitrina.model SET live = $2 WHERE model = $1")
        .bind(&id.model)
        .bind(id.number)
        .execute(connection)
        .await?;
    Ok(())
}
