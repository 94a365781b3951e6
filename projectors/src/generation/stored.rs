//! What is kept of a generation: its row in `vitrina.generation`, and the copy in its own schema, which a dump of the schema
//! takes along. Both are written in one transaction, here alone.

use serde::{Deserialize, Serialize};
use sqlx::postgres::{PgConnection, PgPool};
use sqlx::types::Json;
use sqlx::{AssertSqlSafe, Executor as _};
use vitrina_sql::{Files, Index};

use crate::definition::Definition;
use crate::fault::Fault;
use crate::generation::build::queue::begin_queued;
use crate::generation::rights;
use crate::generation::schema::follow::{
    PlainIndex, Shown, comment, index_names, indexes, refurnish,
};
use crate::generation::schema::tables::{create_tables, run};
use crate::names::{GenerationId, quote};

/// The layout of a generation's own tables that this version makes, and the only one that it knows.
pub(crate) const LAYOUT: i32 = 1;
/// Makes them, in the schema where the connection stands.
pub(crate) const OWN: &str = include_str!("schema/own.sql");

/// A generation, ready to run.
#[derive(Clone)]
pub(crate) struct Generation {
    pub id: GenerationId,
    pub definition: Definition,
    /// N of the duplicates' window, fixed when the generation began.
    pub duplicate_window: u32,
    /// How many texts have come into effect: one more, and the definition is another text of the same meaning.
    pub texts: i32,
}

/// What is kept of the definition.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct StoredDefinition {
    /// The texts that it was made from, or that have followed them.
    pub files: Files,
    /// The plain indexes that Vitrina made.
    indexes: Vec<String>,
    /// Of a generation that is being loaded: the plain indexes that are made when that is done. `None`: it is, and Postgres
    /// knows what the tables hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    postponed: Option<Vec<PlainIndex>>,
}

impl Generation {
    /// Reads one.
    ///
    /// # Errors
    /// [`Fault::Stop`] where there is no such generation, or its texts no longer load; [`Fault::World`].
    pub(crate) async fn load(pool: &PgPool, id: &GenerationId) -> Result<Self, Fault> {
        Self::read(&mut *pool.acquire().await?, id).await
    }

    /// The same on a connection.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub(crate) async fn read(
        connection: &mut PgConnection,
        id: &GenerationId,
    ) -> Result<Self, Fault> {
        let read = format!(
            r#"SELECT layout, definition, duplicate_window, cardinality(used) FROM {}."@generation""#,
            quote(&id.schema())
        );
        let (layout, Json(stored), window, texts): (i32, Json<StoredDefinition>, i32, i32) =
            sqlx::query_as(AssertSqlSafe(read)).fetch_one(connection).await?;
        if layout > LAYOUT {
            return Err(Fault::Stop(format!(
                "{id} was made by a newer Vitrina (its layout is {layout}, this one knows {LAYOUT}): run it with that one"
            )));
        }
        let definition = Definition::stored(&stored.files, &id.model).map_err(Fault::Stop)?;
        Ok(Self { id: id.clone(), definition, duplicate_window: window.max(0) as u32, texts })
    }
}

/// What a generation runs, from its row in `vitrina.generation`, which outlives its schema.
///
/// # Errors
/// [`Fault::Stop`] where its texts no longer load.
pub(crate) async fn definition(
    connection: &mut PgConnection,
    id: &GenerationId,
) -> Result<Definition, Fault> {
    let stored = texts(connection, id).await?;
    Definition::stored(&stored.files, &id.model).map_err(Fault::Stop)
}

/// The topics that a generation reads, from what `vitrina.generation` keeps of its definition, as JSON text; none where that
/// does not load in this version.
pub fn topics_of(definition: &str, model: &str) -> Option<Vec<String>> {
    let StoredDefinition { files, .. } = serde_json::from_str(definition).ok()?;
    Some(Definition::stored(&files, model).ok()?.topics())
}

/// What a generation begins as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Beginning {
    /// Readers see it from its first row on: the model has no other.
    Live,
    /// It is built beside the live one, when it is its turn.
    Building,
}

/// Makes a generation: its number, its schema with all tables, what is kept of it. The model's lock is held.
///
/// # Errors
/// [`Fault::Stop`] where a schema of its name is not ours, or Postgres refuses a declaration.
pub(crate) async fn create(
    connection: &mut PgConnection,
    definition: &Definition,
    duplicate_window: u32,
    beginning: Beginning,
    because: &str,
) -> Result<GenerationId, Fault> {
    let model = &definition.model;
    let number: i32 = sqlx::query_scalar(
        "INSERT INTO vitrina.model AS m (model, newest) VALUES ($1, 1)
         ON CONFLICT (model) DO UPDATE SET newest = m.newest + 1 RETURNING newest",
    )
    .bind(&model.name)
    .fetch_one(&mut *connection)
    .await?;
    let id = GenerationId::new(&model.name, number);
    let schema = id.schema();
    refuse_foreign(connection, &schema).await?;
    let (indexes, postponed) = match beginning {
        Beginning::Live => {
            create_tables(connection, model, &schema).await?;
            (index_names(connection, &schema).await?, None)
        }
        Beginning::Building => {
            let (made, postponed) = create_to_load(connection, definition, &schema).await?;
            (made, Some(postponed))
        }
    };
    let stored = StoredDefinition { files: definition.files.clone(), indexes, postponed };
    let state = match beginning {
        Beginning::Live => "live",
        Beginning::Building => "queued",
    };
    let serial: i64 = sqlx::query_scalar(
        "INSERT INTO vitrina.generation (model, generation, state, layout, definition, used, because, swapped_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, CASE WHEN $3 = 'live' THEN now() END) RETURNING serial",
    )
    .bind(&id.model)
    .bind(number)
    .bind(state)
    .bind(LAYOUT)
    .bind(Json(stored))
    .bind([&definition.text_hash])
    .bind(because)
    .fetch_one(&mut *connection)
    .await?;
    create_own(connection, &id, serial, duplicate_window).await?;
    rights::keep(connection, model, &id).await?;
    begin_queued(connection).await?;
    Ok(id)
}

/// Creates what the model declares, without the plain indexes that no rule looks by, and the comments, which may be on them:
/// the names of those that were made, and those that were not.
async fn create_to_load(
    connection: &mut PgConnection,
    definition: &Definition,
    schema: &str,
) -> Result<(Vec<String>, Vec<PlainIndex>), Fault> {
    let waves = crate::rules::waves(definition);
    let looked_by = |index: &Index| waves.look_by(&definition.model, index);
    let mut model = definition.model.clone();
    model.comments.clear();
    let (at_once, later): (Vec<Index>, Vec<Index>) =
        std::mem::take(&mut model.indexes).into_iter().partition(looked_by);
    model.indexes = at_once;
    create_tables(connection, &model, schema).await?;
    let made = index_names(connection, schema).await?;
    for index in later {
        run(connection, index.sql).await?;
    }
    let mut postponed = Vec::new();
    for index in indexes(connection, schema).await? {
        if !made.contains(&index.name) {
            let name = format!("{}.{}", quote(schema), quote(&index.name));
            run(connection, format!("DROP INDEX {name}")).await?;
            postponed.push(index);
        }
    }
    Ok((made, postponed))
}

/// The indexes that a generation is still to be given. `None`: it has all.
///
/// # Errors
/// Postgres's.
pub(crate) async fn postponed(
    connection: &mut PgConnection,
    id: &GenerationId,
) -> Result<Option<Vec<PlainIndex>>, Fault> {
    Ok(texts(connection, id).await?.postponed)
}

/// Makes the postponed indexes, and the comments.
///
/// # Errors
/// [`Fault::Stop`] where Postgres refuses a declaration.
pub(crate) async fn make_postponed(
    connection: &mut PgConnection,
    id: &GenerationId,
) -> Result<(), Fault> {
    let mut stored = texts(connection, id).await?;
    let schema = id.schema();
    for index in stored.postponed.replace(Vec::new()).unwrap_or_default() {
        index.create(connection, &schema).await?;
        stored.indexes.push(index.name);
    }
    let model = Definition::stored(&stored.files, &id.model).map_err(Fault::Stop)?.model;
    comment(connection, &model, &schema).await?;
    store(connection, id, stored, None).await
}

/// The load is done.
///
/// # Errors
/// Postgres's.
pub(crate) async fn loaded(connection: &mut PgConnection, id: &GenerationId) -> Result<(), Fault> {
    let stored = texts(connection, id).await?;
    store(connection, id, StoredDefinition { postponed: None, ..stored }, None).await
}

/// What is kept of a generation's definition.
async fn texts(
    connection: &mut PgConnection,
    id: &GenerationId,
) -> Result<StoredDefinition, Fault> {
    let Json(stored) = sqlx::query_scalar(
        "SELECT definition FROM vitrina.generation WHERE model = $1 AND generation = $2",
    )
    .bind(&id.model)
    .bind(id.number)
    .fetch_one(connection)
    .await?;
    Ok(stored)
}

/// Stores the definition in both places; with a text that came into effect.
async fn store(
    connection: &mut PgConnection,
    id: &GenerationId,
    stored: StoredDefinition,
    used: Option<String>,
) -> Result<(), Fault> {
    let store = format!(
        r#"WITH renewed AS (
               UPDATE vitrina.generation SET definition = $3, used = CASE WHEN $4 IS NULL THEN used ELSE used || $4 END
               WHERE model = $1 AND generation = $2 RETURNING definition, used
           )
           UPDATE {}."@generation" g SET definition = r.definition, used = r.used FROM renewed r"#,
        quote(&id.schema())
    );
    sqlx::query(AssertSqlSafe(store))
        .bind(&id.model)
        .bind(id.number)
        .bind(Json(stored))
        .bind(used)
        .execute(connection)
        .await?;
    Ok(())
}

/// The generation's own tables; the connection stands in its schema.
async fn create_own(
    connection: &mut PgConnection,
    id: &GenerationId,
    serial: i64,
    duplicate_window: u32,
) -> Result<(), Fault> {
    connection.execute(OWN).await?;
    let first_parked = (serial << 32) + 1;
    let identity =
        format!(r#"ALTER TABLE "@parked" ALTER COLUMN id SET START WITH {first_parked} RESTART"#);
    connection.execute(AssertSqlSafe(identity)).await?;
    sqlx::query(
        r#"INSERT INTO "@generation" (layout, serial, model, generation, cluster_id, duplicate_window, definition, used,
                                      swapped_at)
           SELECT layout, serial, model, generation, coalesce((SELECT cluster_id FROM vitrina.deployment), ''), $3,
                  definition, used, swapped_at
           FROM vitrina.generation WHERE model = $1 AND generation = $2"#,
    )
    .bind(&id.model)
    .bind(id.number)
    .bind(i32::try_from(duplicate_window).unwrap_or(i32::MAX))
    .execute(connection)
    .await?;
    Ok(())
}

/// The text is one that never came into effect, its meaning is not new: indexes, views, comments and rights follow it.
///
/// # Errors
/// [`Fault::Stop`] where Postgres refuses a declaration.
pub(crate) async fn renew(
    connection: &mut PgConnection,
    definition: &Definition,
    id: &GenerationId,
    shown: Shown,
) -> Result<(), Fault> {
    let schema = id.schema();
    let stored = texts(connection, id).await?;
    let indexes = refurnish(connection, &definition.model, &schema, shown, &stored.indexes).await?;
    rights::keep(connection, &definition.model, id).await?;
    let renewed = StoredDefinition { files: definition.files.clone(), indexes, ..stored };
    store(connection, id, renewed, Some(definition.text_hash.clone())).await
}

/// # Errors
/// [`Fault::Stop`] where the schema exists.
pub(crate) async fn refuse_foreign(
    connection: &mut PgConnection,
    schema: &str,
) -> Result<(), Fault> {
    let exists: bool =
        sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1)")
            .bind(schema)
            .fetch_one(connection)
            .await?;
    match exists {
        false => Ok(()),
        true => Err(Fault::Stop(format!(
            "schema {schema:?} exists in this database and is not Vitrina's: rename the model's file, or the schema"
        ))),
    }
}
