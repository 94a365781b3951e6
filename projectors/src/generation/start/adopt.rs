//! A generation whose schema was restored from a dump, where schema `vitrina` knows nothing of the model: its own tables say
//! what it is and how far it came, so it goes on exactly there.

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, FromRow};

use crate::fault::Fault;
use crate::generation::rights;
use crate::generation::schema::stable::create_stable;
use crate::generation::stored::{Generation, LAYOUT};
use crate::names::{GenerationId, quote};

/// A restored generation, as its own row says.
#[derive(Debug, FromRow)]
struct Restored {
    layout: i32,
    serial: i64,
    model: String,
    generation: i32,
    /// Whether it counts the log of the cluster that this database belongs to.
    is_ours: bool,
    /// Whether readers had seen it.
    was_live: bool,
}

/// Takes the newest generation in that readers had seen, where the schema of one is there; whether there was one.
///
/// # Errors
/// [`Fault::Stop`] where it is another cluster's, of a newer layout, or bears a serial that is taken.
pub(crate) async fn adopt(connection: &mut PgConnection, model: &str) -> Result<bool, Fault> {
    let mut restored = Vec::new();
    for number in numbers(connection, model).await? {
        let id = GenerationId::new(model, number);
        restored.extend(read(connection, &id).await?);
    }
    let was_live = restored.into_iter().filter(|one| one.model == model && one.was_live);
    let Some(newest) = was_live.max_by_key(|one| one.generation) else {
        return Ok(false);
    };
    let id = GenerationId::new(model, newest.generation);
    judge(connection, &newest, &id).await?;
    register(connection, &id).await?;
    let generation = Generation::read(connection, &id).await?;
    rights::keep(connection, &generation.definition.model, &id).await?;
    let stable: bool =
        sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1)")
            .bind(model)
            .fetch_one(&mut *connection)
            .await?;
    if !stable {
        create_stable(connection, &generation.definition.model, &id).await?;
    }
    tracing::info!(model, "generation {} was restored here, and goes on", id.number);
    Ok(true)
}

/// The numbers in the names of schemas that have a row of a generation's own.
async fn numbers(connection: &mut PgConnection, model: &str) -> sqlx::Result<Vec<i32>> {
    sqlx::query_scalar(
        "SELECT substring(n.nspname FROM char_length($1) + 2)::int4 FROM pg_namespace n
         JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = '@generation'
         WHERE starts_with(n.nspname, $1 || '@') AND substring(n.nspname FROM char_length($1) + 2) ~ '^[1-9][0-9]{0,8}$'",
    )
    .bind(model)
    .fetch_all(connection)
    .await
}

async fn read(connection: &mut PgConnection, id: &GenerationId) -> sqlx::Result<Option<Restored>> {
    let read = format!(
        r#"SELECT g.layout, g.serial, g.model, g.generation, g.swapped_at IS NOT NULL AS was_live,
               g.cluster_id = '' OR g.cluster_id = coalesce(d.cluster_id, g.cluster_id) AS is_ours
           FROM {}."@generation" g LEFT JOIN vitrina.deployment d ON true WHERE g.generation = $1"#,
        quote(&id.schema())
    );
    sqlx::query_as(AssertSqlSafe(read)).bind(id.number).fetch_optional(connection).await
}

async fn judge(
    connection: &mut PgConnection,
    restored: &Restored,
    id: &GenerationId,
) -> Result<(), Fault> {
    if !restored.is_ours {
        return Err(Fault::Stop(format!(
            "schema {:?} was restored from the database of another Kafka cluster: its positions mean nothing here; drop it, \
             or use the brokers that it belongs to",
            id.schema()
        )));
    }
    if restored.layout > LAYOUT {
        return Err(Fault::Stop(format!("{id} was made by a newer Vitrina: run it with that one")));
    }
    let taken: bool =
        sqlx::query_scalar("SELECT EXISTS (SELECT FROM vitrina.generation WHERE serial = $1)")
            .bind(restored.serial)
            .fetch_one(connection)
            .await?;
    match taken {
        false => Ok(()),
        true => Err(Fault::Stop(format!(
            "schema {:?} bears the serial {} of another generation here, and ids of parked records begin with it: restore \
             it into a database of its own",
            id.schema(),
            restored.serial
        ))),
    }
}

/// Enters it as the live generation; serials go on behind it.
async fn register(connection: &mut PgConnection, id: &GenerationId) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO vitrina.model (model, live, newest) VALUES ($1, $2, $2)
         ON CONFLICT (model) DO UPDATE SET live = $2, newest = greatest(model.newest, $2)",
    )
    .bind(&id.model)
    .bind(id.number)
    .execute(&mut *connection)
    .await?;
    let register = format!(
        r#"INSERT INTO vitrina.generation
               (serial, model, generation, state, layout, definition, used, because, swapped_at)
           OVERRIDING SYSTEM VALUE
           SELECT serial, model, generation, 'live', layout, definition, used, 'it was restored', swapped_at
           FROM {}."@generation""#,
        quote(&id.schema())
    );
    sqlx::query(AssertSqlSafe(register)).execute(&mut *connection).await?;
    sqlx::query(
        "SELECT setval(pg_get_serial_sequence('vitrina.generation', 'serial'), (SELECT max(serial) FROM vitrina.generation))",
    )
    .execute(connection)
    .await?;
    Ok(())
}
