//! How each generation is, over all instances: from its row, and of one that is built from its own schema.

use serde::Serialize;
use sqlx::types::Json;
use sqlx::{AssertSqlSafe, PgConnection};

use crate::board::state::State;
use crate::board::status::FRESH;
use crate::generation::build::progress::Progress;
use crate::generation::swap::comparison::TableComparison;
use crate::names::{GenerationId, quote};
use crate::sqlstate::Sqlstate;

#[derive(Debug, Clone, Serialize)]
pub struct GenerationStatus {
    pub generation: i32,
    /// `queued`, `building`, `live` or `retired`.
    pub state: String,
    /// RFC 3339.
    pub began: String,
    pub because: String,
    /// Why it is built and not live yet.
    pub reason: Option<String>,
    /// Whether it is built and goes on only when somebody has decided something.
    #[serde(skip)]
    pub stopped: bool,
    /// Of one that is built; left out of others.
    #[serde(flatten)]
    pub progress: Option<Progress>,
    /// With the live one, made before the swap.
    pub comparison: Option<Vec<TableComparison>>,
}

#[derive(sqlx::FromRow)]
struct GenerationRow {
    model: String,
    generation: i32,
    state: String,
    began: String,
    because: String,
    waits_for: Option<String>,
    comparison: Option<Json<Vec<TableComparison>>>,
}

const GENERATIONS: &str = r#"
    SELECT model, generation, state, because, waits_for, comparison,
        to_char(began AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS began
    FROM vitrina.generation
    WHERE CASE WHEN $1::text IS NULL THEN state IN ('queued', 'building', 'live', 'retired')
               ELSE model = $1 AND generation = $2 END
    ORDER BY generation DESC"#;

impl GenerationStatus {
    /// All that have a schema, the newest first, each with its model.
    pub(super) async fn all(connection: &mut PgConnection) -> sqlx::Result<Vec<(String, Self)>> {
        let rows: Vec<GenerationRow> = sqlx::query_as(GENERATIONS)
            .bind(None::<&str>)
            .bind(None::<i32>)
            .fetch_all(&mut *connection)
            .await?;
        let mut generations = Vec::with_capacity(rows.len());
        for row in rows {
            let model = row.model.clone();
            generations.push((model, Self::read(connection, row).await?));
        }
        Ok(generations)
    }

    /// One generation, also where it has come to its end; none where there never was such a one.
    ///
    /// # Errors
    /// Postgres's.
    pub async fn of(
        connection: &mut PgConnection,
        model: &str,
        generation: i32,
    ) -> sqlx::Result<Option<Self>> {
        let row = sqlx::query_as(GENERATIONS).bind(model).bind(generation);
        match row.fetch_optional(&mut *connection).await? {
            Some(row) => Self::read(connection, row).await.map(Some),
            None => Ok(None),
        }
    }

    /// What is known of one that is built is in its own schema, which may go at any moment.
    async fn read(connection: &mut PgConnection, row: GenerationRow) -> sqlx::Result<Self> {
        let id = GenerationId::new(&row.model, row.generation);
        let (mut reason, mut progress, mut stopped) = (row.waits_for, None, false);
        if row.state == "building" {
            if let Some((state, why)) = there(in_trouble(connection, &id).await)?.flatten() {
                (stopped, reason) = (state == State::Stopped.name(), why.or(reason));
            }
            progress = there(Progress::read(connection, &id).await)?;
        }
        Ok(Self {
            generation: row.generation,
            state: row.state,
            began: row.began,
            because: row.because,
            reason,
            stopped,
            progress,
            comparison: row.comparison.map(|Json(comparison)| comparison),
        })
    }
}

/// State and reason of a generation that is built, as the worst instance says, where it does not run.
async fn in_trouble(
    connection: &mut PgConnection,
    id: &GenerationId,
) -> sqlx::Result<Option<(String, Option<String>)>> {
    let trouble = format!(
        r#"SELECT state, reason FROM {}."@report"
           WHERE updated_at > now() - $1::interval AND state IN ('stopped', 'breaker_open', 'waiting')
           ORDER BY array_position(ARRAY['stopped', 'breaker_open', 'waiting'], state) LIMIT 1"#,
        quote(&id.schema())
    );
    sqlx::query_as(AssertSqlSafe(trouble)).bind(FRESH).fetch_optional(connection).await
}

/// None where the generation's schema is gone.
fn there<T>(read: sqlx::Result<T>) -> sqlx::Result<Option<T>> {
    match read {
        Err(error) if Sqlstate::of(&error) == Some(Sqlstate::NoTable) => Ok(None),
        read => read.map(Some),
    }
}
