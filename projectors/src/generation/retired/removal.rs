//! What is dropped for good: a retired generation, or a model whose file is gone with all its data. Each is one transaction,
//! without CASCADE: what others have made of it is named, and then nothing goes. The audit stays.

use std::time::{Duration, Instant};

use sqlx::postgres::PgConnection;
use sqlx::{Connection as _, Executor as _};
use vitrina_ingest::{KafkaSettings, delete_groups};

use crate::desk::Desk;
use crate::generation::audit::audit;
use crate::generation::lock::lock_model;
use crate::generation::retired::sweep::{clear, clear_stable, give_way};
use crate::generation::role::Role;
use crate::generation::schema::stable::{left_behind, others};
use crate::names::GenerationId;
use crate::parked::list::known;
use crate::parked::refusal::Refusal;

/// How long a reader of what is dropped is waited for.
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(200);
/// How long an instance may take to leave the model whose file was taken away from it a moment ago.
const LEAVES: Duration = Duration::from_secs(5);

enum What {
    Generation(GenerationId),
    Model { model: String, sure: bool, groups: Vec<String> },
}

impl What {
    async fn drop(
        &self,
        connection: &mut PgConnection,
        kafka: &KafkaSettings,
        by: &str,
    ) -> Result<(), Refusal> {
        match self {
            Self::Generation(id) => drop_generation(connection, id, by).await,
            Self::Model { model, sure, groups } => {
                drop_model(connection, model, *sure, by).await?;
                // Before the rest is gone, for afterwards nobody would know of them.
                for why in delete_groups(kafka, groups).await {
                    tracing::warn!(model, "{why}");
                }
                connection.execute("COMMIT").await?;
                Ok(())
            }
        }
    }
}

impl Desk {
    /// Drops a retired generation.
    ///
    /// # Errors
    /// [`Refusal`]; then it is still there.
    pub async fn drop_generation(
        &self,
        model: &str,
        generation: i32,
        by: &str,
    ) -> Result<(), Refusal> {
        known(&self.pool, model).await?;
        self.patiently(&What::Generation(GenerationId::new(model, generation)), by).await
    }

    /// Drops a model whose file is gone, with all its data, and its consumer groups.
    ///
    /// # Errors
    /// [`Refusal`]; then all of it is still there.
    pub async fn drop_model(&self, model: &str, sure: bool, by: &str) -> Result<(), Refusal> {
        known(&self.pool, model).await?;
        if let Some(file) = (self.file)(model) {
            return Err(Refusal::Wrong(format!(
                "{file} is there: take the file away first, and restart what runs it; a generation alone is dropped with \
                 `vitrina drop {model}@N`"
            )));
        }
        let prefix: Option<String> =
            sqlx::query_scalar("SELECT group_prefix FROM vitrina.deployment")
                .fetch_optional(&self.pool)
                .await?;
        let groups = prefix
            .iter()
            .flat_map(|prefix| [Role::Live, Role::Building].map(|role| role.group(prefix, model)));
        let (model, groups) = (model.to_owned(), groups.collect());
        if sure {
            self.until_left(&model).await?;
        }
        self.patiently(&What::Model { model: model.clone(), sure, groups }, by).await?;
        tracing::warn!(model, by, "dropped with all its data");
        Ok(())
    }

    /// Waits a moment for instances that still run the model: one that was told to read its files again needs it.
    async fn until_left(&self, model: &str) -> Result<(), Refusal> {
        let mut connection = self.pool.acquire().await?;
        let begun = Instant::now();
        while fed(&mut connection, model).await?.is_some() && begun.elapsed() < LEAVES {
            tokio::time::sleep(PAUSE).await;
        }
        Ok(())
    }

    /// Tries again while a reader is in the way.
    async fn patiently(&self, what: &What, by: &str) -> Result<(), Refusal> {
        let mut connection = self.pool.acquire().await?.detach();
        let mut last = String::new();
        let dropping = async {
            loop {
                match what.drop(&mut connection, &self.kafka, by).await {
                    Err(Refusal::World(why)) => {
                        last = why;
                        connection.execute("ROLLBACK").await?;
                        tokio::time::sleep(PAUSE).await;
                    }
                    done => return done,
                }
            }
        };
        let dropped = tokio::time::timeout(PATIENCE, dropping).await;
        let _ = connection.close().await;
        dropped.unwrap_or_else(|_| {
            let seconds = PATIENCE.as_secs();
            Err(Refusal::World(format!(
                "nothing was dropped within {seconds} s: somebody reads it ({last})"
            )))
        })
    }
}

/// Drops a retired generation in one transaction.
///
/// # Errors
/// [`Refusal`]; nothing is committed.
pub(crate) async fn drop_generation(
    connection: &mut PgConnection,
    id: &GenerationId,
    by: &str,
) -> Result<(), Refusal> {
    lock_model(connection, &id.model).await?;
    give_way(connection).await?;
    let state: Option<String> = sqlx::query_scalar(
        "SELECT state FROM vitrina.generation WHERE model = $1 AND generation = $2",
    )
    .bind(&id.model)
    .bind(id.number)
    .fetch_optional(&mut *connection)
    .await?;
    match state.as_deref() {
        Some("retired") => {}
        None => {
            return Err(Refusal::Unknown(format!(
                "there is no {id}: {}",
                all(connection, &id.model).await?
            )));
        }
        Some("live") => return Err(Refusal::Wrong(format!("{id} is live: readers see it"))),
        Some("queued" | "building") => {
            let model = &id.model;
            return Err(Refusal::Wrong(format!(
                "{id} is being built: `vitrina cancel {model}` gives it up"
            )));
        }
        Some(ended) => return Err(Refusal::Wrong(format!("{id} is {ended} already"))),
    }
    let (schema, was) = (id.schema(), left_behind(id));
    refuse_others(connection, &[&schema, &was]).await?;
    clear_stable(connection, &was).await?;
    clear(connection, id).await?;
    sqlx::query(
        "UPDATE vitrina.generation SET state = 'dropped', ended_at = now() WHERE model = $1 AND generation = $2",
    )
    .bind(&id.model)
    .bind(id.number)
    .execute(&mut *connection)
    .await?;
    audit(connection, id, "drop", "", by).await?;
    connection.execute("COMMIT").await?;
    Ok(())
}

/// The model's generations, for people.
async fn all(connection: &mut PgConnection, model: &str) -> sqlx::Result<String> {
    let all: Vec<String> = sqlx::query_scalar(
        "SELECT format('%s@%s (%s)', model, generation, state) FROM vitrina.generation WHERE model = $1 ORDER BY generation",
    )
    .bind(model)
    .fetch_all(connection)
    .await?;
    Ok(format!("there are {}", all.join(", ")))
}

async fn refuse_others(connection: &mut PgConnection, schemas: &[&str]) -> Result<(), Refusal> {
    let others = others(connection, schemas).await?;
    match others.is_empty() {
        true => Ok(()),
        false => Err(Refusal::Wrong(format!(
            "{} would go, too, and nothing was dropped: drop what is not needed any more, or let it read something else",
            others.join(", ")
        ))),
    }
}

/// An instance that runs the model.
async fn fed(connection: &mut PgConnection, model: &str) -> sqlx::Result<Option<String>> {
    sqlx::query_scalar(
        "SELECT instance FROM vitrina.worker
         WHERE model = $1 AND fed AND updated_at > now() - interval '10 seconds' ORDER BY 1 LIMIT 1",
    )
    .bind(model)
    .fetch_optional(connection)
    .await
}

/// Drops a model in one transaction, which the caller commits.
async fn drop_model(
    connection: &mut PgConnection,
    model: &str,
    sure: bool,
    by: &str,
) -> Result<(), Refusal> {
    lock_model(connection, model).await?;
    give_way(connection).await?;
    if let Some(instance) = fed(connection, model).await? {
        return Err(Refusal::Wrong(format!(
            "instance {instance} runs {model}: take its file away there, too, and restart it"
        )));
    }
    if !sure {
        let all = all(connection, model).await?;
        return Err(Refusal::Wrong(format!(
            "this drops {model} with all its data ({all}), and nobody gets it back: add --yes"
        )));
    }
    let generations: Vec<(i32, bool)> = sqlx::query_as(
        "SELECT generation, to_regnamespace(quote_ident(model || '@' || generation)) IS NOT NULL
         FROM vitrina.generation WHERE model = $1 ORDER BY 1",
    )
    .bind(model)
    .fetch_all(&mut *connection)
    .await?;
    let ids: Vec<(GenerationId, bool)> = generations
        .into_iter()
        .map(|(number, there)| (GenerationId::new(model, number), there))
        .collect();
    let stable: Vec<String> =
        [model.to_owned()].into_iter().chain(ids.iter().map(|(id, _)| left_behind(id))).collect();
    let schemas: Vec<String> =
        stable.iter().cloned().chain(ids.iter().map(|(id, _)| id.schema())).collect();
    refuse_others(connection, &schemas.iter().map(String::as_str).collect::<Vec<_>>()).await?;
    for (id, _) in &ids {
        audit(connection, id, "drop", "the model was dropped", by).await?;
    }
    for schema in &stable {
        clear_stable(connection, schema).await?;
    }
    for (id, _) in ids.iter().filter(|(_, there)| *there) {
        clear(connection, id).await?;
    }
    for table in ["worker", "reset", "rights", "generation", "model"] {
        let gone = format!("DELETE FROM vitrina.{table} WHERE model = $1");
        sqlx::query(sqlx::AssertSqlSafe(gone)).bind(model).execute(&mut *connection).await?;
    }
    Ok(())
}
