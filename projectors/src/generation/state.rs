//! Which generation of a model is live and which one is built: at most one of each.

use sqlx::postgres::PgConnection;

use crate::names::GenerationId;

/// The generation that readers see.
///
/// # Errors
/// Postgres's.
pub(crate) async fn live(
    connection: &mut PgConnection,
    model: &str,
) -> sqlx::Result<Option<GenerationId>> {
    let number: Option<Option<i32>> =
        sqlx::query_scalar("SELECT live FROM vitrina.model WHERE model = $1")
            .bind(model)
            .fetch_optional(connection)
            .await?;
    Ok(number.flatten().map(|number| GenerationId::new(model, number)))
}

/// The generation that is being built, or will be.
///
/// # Errors
/// Postgres's.
pub(crate) async fn building(
    connection: &mut PgConnection,
    model: &str,
) -> sqlx::Result<Option<GenerationId>> {
    let number: Option<i32> = sqlx::query_scalar(
        "SELECT generation FROM vitrina.generation WHERE model = $1 AND state IN ('queued', 'building')",
    )
    .bind(model)
    .fetch_optional(connection)
    .await?;
    Ok(number.map(|number| GenerationId::new(model, number)))
}

/// How the building of a generation ends that does not become live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// By an operator's word.
    Cancelled,
    /// Another one is built instead.
    Superseded,
}

impl Outcome {
    fn state(self) -> &'static str {
        match self {
            Self::Cancelled => "cancelled",
            Self::Superseded => "superseded",
        }
    }
}

/// An operator allows the generation a shorter history than the live one's. The log of the partitions in `cut` has ended
/// before that one's position.
///
/// # Errors
/// Postgres's.
pub(crate) async fn allow_shorter(
    connection: &mut PgConnection,
    id: &GenerationId,
    cut: &[(String, i32)],
) -> sqlx::Result<()> {
    let (topics, partitions): (Vec<&str>, Vec<i32>) =
        cut.iter().map(|(topic, partition)| (topic.as_str(), *partition)).unzip();
    sqlx::query(
        "UPDATE vitrina.generation SET shorter = (
             SELECT coalesce(jsonb_agg(jsonb_build_object('topic', topic, 'partition', partition)), '[]')
             FROM unnest($3::text[], $4::int4[]) AS cut(topic, partition))
         WHERE model = $1 AND generation = $2",
    )
    .bind(&id.model)
    .bind(id.number)
    .bind(topics)
    .bind(partitions)
    .execute(connection)
    .await?;
    Ok(())
}

/// Gives up what is being built. One that readers had seen before is retired again.
///
/// # Errors
/// Postgres's.
pub(crate) async fn give_up(
    connection: &mut PgConnection,
    model: &str,
    outcome: Outcome,
) -> sqlx::Result<()> {
    sqlx::query(
        "UPDATE vitrina.generation SET state = CASE WHEN swapped_at IS NULL THEN $2 ELSE 'retired' END,
             ended_at = now(), waits_for = NULL, swap_by = NULL
         WHERE model = $1 AND state IN ('queued', 'building')",
    )
    .bind(model)
    .bind(outcome.state())
    .execute(connection)
    .await?;
    Ok(())
}
