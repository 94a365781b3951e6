//! What a start does with a model: the live generation goes on, from what is kept of it, and what its rows do not depend on
//! follows the file; a model that has none gets its first one.

use sqlx::postgres::{PgConnection, PgPool};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _};

use crate::definition::Definition;
use crate::fault::Fault;
use crate::generation::stored::{self, Beginning, Generation};
use crate::generation::tables::create_stable;
use crate::names::GenerationId;

/// Opens the model's live generation, or makes its first one.
///
/// # Errors
/// [`Fault::Stop`] where the definition means something else than the generation's, or a schema of this name is not
/// ours; [`Fault::World`] where Postgres is away.
pub(crate) async fn open(
    pool: &PgPool,
    definition: &Definition,
    duplicate_window: u32,
) -> Result<Generation, Fault> {
    let mut connection = pool.acquire().await?.detach();
    let opened = open_on(&mut connection, definition, duplicate_window).await;
    let _ = connection.close().await;
    Generation::load(pool, &opened?).await
}

async fn open_on(
    connection: &mut PgConnection,
    definition: &Definition,
    duplicate_window: u32,
) -> Result<GenerationId, Fault> {
    let model = &definition.model;
    // Instances start together; one of them makes the generation.
    let lock = format!("BEGIN; SELECT pg_advisory_xact_lock({})", lock_key(&model.name));
    connection.execute(AssertSqlSafe(lock)).await?;
    let live: Option<(i32, Vec<u8>, Vec<String>)> = sqlx::query_as(
        "SELECT generation, meaning, used FROM vitrina.generation WHERE model = $1 AND state = 'live'",
    )
    .bind(&model.name)
    .fetch_optional(&mut *connection)
    .await?;
    let id = match live {
        Some((number, meaning, used)) if meaning == definition.meaning => {
            let id = GenerationId::new(&model.name, number);
            if !used.contains(&definition.text_hash()) {
                stored::renew(connection, definition, &id).await?;
            }
            id
        }
        Some((number, ..)) => {
            return Err(Fault::Stop(format!(
                "{} or a contract that it uses has changed its meaning since generation {number} began: it needs a new \
                 generation, which this version of Vitrina cannot make yet; put the old text back, or give the changed \
                 model another name",
                model.file
            )));
        }
        None => first(connection, definition, duplicate_window).await?,
    };
    connection.execute("COMMIT").await?;
    Ok(id)
}

/// Makes the model's first generation, with the stable schema in front of it.
async fn first(
    connection: &mut PgConnection,
    definition: &Definition,
    duplicate_window: u32,
) -> Result<GenerationId, Fault> {
    let model = &definition.model;
    stored::refuse_foreign(connection, &model.name).await?;
    let because = format!("{} is new", model.file);
    let id =
        stored::create(connection, definition, duplicate_window, Beginning::Live, &because).await?;
    create_stable(connection, model, &id.schema()).await?;
    sqlx::query("UPDATE vitrina.model SET live = $2 WHERE model = $1")
        .bind(&id.model)
        .bind(id.number)
        .execute(connection)
        .await?;
    Ok(id)
}

/// The advisory lock under which a model's generations are made, swapped and taken away.
fn lock_key(model: &str) -> i64 {
    xxhash_rust::xxh3::xxh3_64(format!("vitrina generations of {model}").as_bytes()) as i64
}
