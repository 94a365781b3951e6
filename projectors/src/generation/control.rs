//! The control tables: created and migrated here, and tied to one Kafka cluster and one group prefix for good.

use sqlx::postgres::{PgConnection, PgPool};
use sqlx::{Connection, Executor};

/// The lock under which schema `vitrina` is created and migrated ("vitrina" in ASCII).
const MIGRATION_LOCK: i64 = 0x0076_6974_7269_6e61;

#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    #[error(transparent)]
    Postgres(#[from] sqlx::Error),
    #[error("the control tables cannot be migrated: {0}")]
    Migration(sqlx::migrate::MigrateError),
    /// The database says that it belongs to other Kafka cluster or group prefix.
    #[error("{0}")]
    OtherDeployment(String),
    /// The control tables are of a layout that no released version has made.
    #[error("{0}")]
    OlderLayout(String),
}

/// Creates or migrates schema `vitrina`.
///
/// # Errors
/// Postgres is away or refuses; a migration that was applied has another content here.
pub async fn migrate(pool: &PgPool) -> Result<(), ControlError> {
    let mut connection = pool.acquire().await?.detach();
    sqlx::query("SELECT pg_advisory_lock($1)")
        .bind(MIGRATION_LOCK)
        .execute(&mut connection)
        .await?;
    refuse_older_layout(&mut connection).await?;
    let exists: bool =
        sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = 'vitrina')")
            .fetch_one(&mut connection)
            .await?;
    if !exists {
        connection.execute("CREATE SCHEMA vitrina").await?;
    }
    connection.execute("SET search_path = vitrina").await?;
    // An older binary of a rolling deployment finds migrations that it does not know, and leaves them alone.
    sqlx::migrate!("./migrations").set_ignore_missing(true).run(&mut connection).await.map_err(
        |error| match error {
            sqlx::migrate::MigrateError::Execute(error)
            | sqlx::migrate::MigrateError::ExecuteMigration(error, _) => {
                ControlError::Postgres(error)
            }
            other => ControlError::Migration(other),
        },
    )?;
    connection.close().await?;
    Ok(())
}

/// Positions in schema `vitrina`: that was before each generation kept its own.
async fn refuse_older_layout(connection: &mut PgConnection) -> Result<(), ControlError> {
    let old: bool = sqlx::query_scalar("SELECT to_regclass('vitrina.position') IS NOT NULL")
        .fetch_one(&mut *connection)
        .await?;
    if !old {
        return Ok(());
    }
    let schemas: Vec<String> = sqlx::query_scalar(
        "SELECT quote_ident(nspname) FROM pg_namespace n
         WHERE EXISTS (SELECT FROM vitrina.generation g WHERE n.nspname IN (g.model, g.model || '@' || g.generation))
         ORDER BY 1",
    )
    .fetch_all(connection)
    .await?;
    Err(ControlError::OlderLayout(format!(
        "the control tables of this database are of an older layout, which this Vitrina does not read; the log is on \
         Kafka, so drop them and start again: DROP SCHEMA {} CASCADE",
        ["vitrina".to_owned()].into_iter().chain(schemas).collect::<Vec<_>>().join(", ")
    )))
}

/// The models that have a live generation.
///
/// # Errors
/// Postgres's.
pub async fn live_models(connection: &mut PgConnection) -> sqlx::Result<Vec<String>> {
    let exists: bool = sqlx::query_scalar("SELECT to_regclass('vitrina.model') IS NOT NULL")
        .fetch_one(&mut *connection)
        .await?;
    if !exists {
        return Ok(Vec::new());
    }
    sqlx::query_scalar("SELECT model FROM vitrina.model WHERE live IS NOT NULL ORDER BY model")
        .fetch_all(connection)
        .await
}

/// Which database this is, on which server: a copy of it, made by a dump, is another one, and a standby that takes over is the
/// same. None where the server does not tell.
///
/// # Errors
/// Postgres is away.
pub(crate) async fn place(pool: &PgPool) -> sqlx::Result<Option<String>> {
    let place = "SELECT left(md5(format('%s %s', system_identifier, d.oid)), 12)
                 FROM pg_control_system(), pg_database d WHERE datname = current_database()";
    match sqlx::query_scalar(place).fetch_one(pool).await {
        Ok(place) => Ok(Some(place)),
        Err(sqlx::Error::Database(refused)) => {
            tracing::debug!(%refused, "the server does not tell which one it is");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Ties the database to this cluster and prefix on the first start; afterwards compares.
///
/// # Errors
/// [`ControlError::OtherDeployment`] where they differ.
pub async fn belong(
    pool: &PgPool,
    cluster_id: &str,
    group_prefix: &str,
) -> Result<(), ControlError> {
    let (cluster, prefix): (String, String) = sqlx::query_as(
        "INSERT INTO vitrina.deployment (cluster_id, group_prefix) VALUES ($1, $2)
         ON CONFLICT (only_row) DO UPDATE SET only_row = true RETURNING cluster_id, group_prefix",
    )
    .bind(cluster_id)
    .bind(group_prefix)
    .fetch_one(pool)
    .await?;
    if cluster != cluster_id {
        return Err(ControlError::OtherDeployment(format!(
            "this database belongs to Kafka cluster {cluster} (vitrina.deployment says so), but kafka.brokers is \
             cluster {cluster_id}: its positions mean nothing there; use another database, or the brokers it belongs to"
        )));
    }
    if prefix != group_prefix {
        return Err(ControlError::OtherDeployment(format!(
            "this database belongs to group prefix {prefix:?} (vitrina.deployment says so), but kafka.group_prefix is \
             {group_prefix:?}: use another database, or that prefix"
        )));
    }
    Ok(())
}
