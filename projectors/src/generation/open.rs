//! A generation: a model's tables in a schema of their own, made from one definition that is kept beside them. Readers
//! go through the stable schema, whose views point to the live one.

use serde::{Deserialize, Serialize};
use sqlx::postgres::{PgConnection, PgPool};
use sqlx::types::Json;
use sqlx::{AssertSqlSafe, Connection, Executor};
use vitrina_sql::Files;

use crate::definition::Definition;
use crate::fault::Fault;
use crate::generation::follow::{index_names, refurnish};
use crate::generation::tables::{create_stable, create_tables};
use crate::names::GenerationId;

/// What `vitrina.generation.definition` holds.
#[derive(Debug, Serialize, Deserialize)]
struct StoredDefinition {
    /// The texts that it was made from, or that have followed them.
    files: Files,
    /// SHA-256 of every text of the model that was used; a text comes into effect once, so that old and new binaries
    /// running side by side do not undo each other.
    used: Vec<String>,
    /// The plain indexes that Vitrina made.
    indexes: Vec<String>,
}

/// The generation that runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Generation {
    pub id: GenerationId,
    /// N of the duplicates' window, fixed when the generation began.
    pub duplicate_window: u32,
}

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
    opened
}

async fn open_on(
    connection: &mut PgConnection,
    definition: &Definition,
    duplicate_window: u32,
) -> Result<Generation, Fault> {
    let model = &definition.model;
    // Instances start together; one of them makes the generation.
    let lock = format!("BEGIN; SELECT pg_advisory_xact_lock({})", lock_key(&model.name));
    connection.execute(AssertSqlSafe(lock)).await?;
    let live: Option<(i32, Vec<u8>, i32, Json<StoredDefinition>)> = sqlx::query_as(
        "SELECT g.generation, g.meaning, g.duplicate_window, g.definition
         FROM vitrina.model m JOIN vitrina.generation g ON g.model = m.model AND g.generation = m.live
         WHERE m.model = $1",
    )
    .bind(&model.name)
    .fetch_optional(&mut *connection)
    .await?;
    let generation = match live {
        Some((number, meaning, window, Json(stored))) if meaning == definition.meaning => {
            let id = GenerationId::new(&model.name, number);
            if !stored.used.contains(&definition.text_hash()) {
                renew(connection, definition, &id, stored).await?;
            }
            Generation { id, duplicate_window: window.max(0) as u32 }
        }
        Some((number, ..)) => {
            return Err(Fault::Stop(format!(
                "{} or a contract that it uses has changed its meaning since generation {number} began: it needs a new \
                 generation, which this version of Vitrina cannot make yet; put the old text back, or give the changed \
                 model another name",
                model.file
            )));
        }
        None => {
            create(connection, definition, duplicate_window).await?;
            Generation { id: GenerationId::new(&model.name, 1), duplicate_window }
        }
    };
    connection.execute("COMMIT").await?;
    Ok(generation)
}

/// The definition that a generation was made from, and N of its duplicates' window.
///
/// # Errors
/// [`Fault::Stop`] where there is no such generation, or its texts no longer load.
pub(crate) async fn stored(pool: &PgPool, id: &GenerationId) -> Result<(Definition, u32), Fault> {
    let stored: Option<(Json<StoredDefinition>, i32)> = sqlx::query_as(
        "SELECT definition, duplicate_window FROM vitrina.generation WHERE model = $1 AND generation = $2",
    )
    .bind(&id.model)
    .bind(id.number)
    .fetch_optional(pool)
    .await?;
    let gone = || Fault::Stop(format!("{id} does not exist any more"));
    let (Json(stored), window) = stored.ok_or_else(gone)?;
    let definition = Definition::stored(&stored.files, &id.model).map_err(Fault::Stop)?;
    Ok((definition, window.max(0) as u32))
}

async fn create(
    connection: &mut PgConnection,
    definition: &Definition,
    duplicate_window: u32,
) -> Result<(), Fault> {
    let model = &definition.model;
    let schema = GenerationId::new(&model.name, 1).schema();
    for name in [&model.name, &schema] {
        refuse_foreign(connection, name).await?;
    }
    create_tables(connection, model, &schema).await?;
    create_stable(connection, model, &schema).await?;
    let indexes = index_names(connection, &schema).await?;
    let stored = StoredDefinition {
        files: definition.files.clone(),
        used: vec![definition.text_hash()],
        indexes,
    };
    sqlx::query("INSERT INTO vitrina.model (model, live) VALUES ($1, 1)")
        .bind(&model.name)
        .execute(&mut *connection)
        .await?;
    sqlx::query(
        "INSERT INTO vitrina.generation (model, generation, state, definition, meaning, duplicate_window)
         VALUES ($1, 1, 'live', $2, $3, $4)",
    )
    .bind(&model.name)
    .bind(Json(stored))
    .bind(&definition.meaning[..])
    .bind(i32::try_from(duplicate_window).unwrap_or(i32::MAX))
    .execute(connection)
    .await?;
    Ok(())
}

/// The text is one that was never used, its meaning is not new: indexes, views and comments follow it.
async fn renew(
    connection: &mut PgConnection,
    definition: &Definition,
    id: &GenerationId,
    mut stored: StoredDefinition,
) -> Result<(), Fault> {
    let model = &definition.model;
    let schema = id.schema();
    stored.indexes = refurnish(connection, model, &schema, &stored.indexes).await?;
    stored.used.push(definition.text_hash());
    stored.files = definition.files.clone();
    sqlx::query(
        "UPDATE vitrina.generation SET definition = $3 WHERE model = $1 AND generation = $2",
    )
    .bind(&model.name)
    .bind(id.number)
    .bind(Json(stored))
    .execute(connection)
    .await?;
    Ok(())
}

async fn refuse_foreign(connection: &mut PgConnection, schema: &str) -> Result<(), Fault> {
    let exists: Option<(i32,)> = sqlx::query_as("SELECT 1 FROM pg_namespace WHERE nspname = $1")
        .bind(schema)
        .fetch_optional(connection)
        .await?;
    match exists {
        None => Ok(()),
        Some(_) => Err(Fault::Stop(format!(
            "schema {schema:?} exists in this database and is not Vitrina's: rename the model's file, or the schema"
        ))),
    }
}

/// The advisory lock under which a model's generations are made.
fn lock_key(model: &str) -> i64 {
    xxhash_rust::xxh3::xxh3_64(format!("vitrina generations of {model}").as_bytes()) as i64
}
