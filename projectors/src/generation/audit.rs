//! What was decided of generations, by whom: it stays when they are gone.

use sqlx::postgres::PgConnection;

use crate::names::GenerationId;

/// Writes down what was decided of a generation.
///
/// # Errors
/// Postgres's.
pub(crate) async fn audit(
    connection: &mut PgConnection,
    id: &GenerationId,
    verdict: &str,
    reason: &str,
    by: &str,
) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO vitrina.verdict (model, generation, serial, verdict, reason, decided_by)
         SELECT model, generation, serial, $3, $4, $5 FROM vitrina.generation WHERE model = $1 AND generation = $2",
    )
    .bind(&id.model)
    .bind(id.number)
    .bind(verdict)
    .bind(reason)
    .bind(by)
    .execute(connection)
    .await?;
    Ok(())
}
