//! Who may read what of a model, where every instance that answers queries finds it. Invariant: readers get what both the
//! file that an instance proposed last and the text that the live generation runs allow. So rights that are taken away are
//! gone at once, whatever generation is live, and no older file or generation ever opens what the newer text keeps closed.

use sqlx::postgres::PgConnection;
use sqlx::types::Json;
use vitrina_sql::Model;

use crate::fault::Fault;
use crate::names::GenerationId;

/// Instead of a generation's number: of the file that was proposed last.
const PROPOSED: i32 = 0;

/// Keeps what the file says that an instance has begun with.
///
/// # Errors
/// Postgres's.
pub(super) async fn propose(connection: &mut PgConnection, model: &Model) -> Result<(), Fault> {
    store(connection, model, PROPOSED).await
}

/// Keeps what the text says that the generation runs.
///
/// # Errors
/// Postgres's.
pub(super) async fn keep(
    connection: &mut PgConnection,
    model: &Model,
    id: &GenerationId,
) -> Result<(), Fault> {
    store(connection, model, id.number).await
}

async fn store(connection: &mut PgConnection, model: &Model, generation: i32) -> Result<(), Fault> {
    sqlx::query(
        "INSERT INTO vitrina.rights AS r (model, generation, rights) VALUES ($1, $2, $3)
         ON CONFLICT (model, generation) DO UPDATE SET rights = EXCLUDED.rights WHERE r.rights <> EXCLUDED.rights",
    )
    .bind(&model.name)
    .bind(generation)
    .bind(Json(model.rights()))
    .execute(connection)
    .await?;
    Ok(())
}
