//! Whether a generation that has come as far as the live one may take its place: it is compared first, then the settings
//! say, or an operator.

use sqlx::postgres::{PgConnectOptions, PgPool};
use sqlx::types::Json;
use sqlx::{AssertSqlSafe, PgConnection};

use crate::fault::Fault;
use crate::generation::stored::Generation;
use crate::generation::swap::attempt::Leave;
use crate::generation::swap::comparison::{self, Compared, TableComparison};
use crate::generation::swap::distance::is_near;
use crate::generation::swap::losses::refused;
use crate::names::{GenerationId, quote};
use crate::settings::Swap;

type Tables = Vec<TableComparison>;

/// Why it is not live yet, or who lets it go.
pub(crate) enum Readiness {
    NotYet(String),
    Ready(Leave),
}

/// Looks at the generation `building`, and compares it where nobody has.
///
/// # Errors
/// Postgres's.
pub(crate) async fn readiness(
    (pool, postgres): (&PgPool, &PgConnectOptions),
    live: &GenerationId,
    building: &Generation,
    swap: Swap,
) -> Result<Readiness, Fault> {
    let id = &building.id;
    let mut connection = pool.acquire().await?;
    if !is_near(&mut connection, live, building).await? {
        return Ok(Readiness::NotYet(format!("it has not come as far as {live}")));
    }
    if let Some(why) = broken(&mut connection, id).await? {
        return Ok(Readiness::NotYet(format!("its breaker is open: {why}")));
    }
    let row: Option<(Option<Json<Tables>>, Option<String>)> = sqlx::query_as(
        "SELECT comparison, swap_by FROM vitrina.generation WHERE model = $1 AND generation = $2 AND state = 'building'",
    )
    .bind(&id.model)
    .bind(id.number)
    .fetch_optional(&mut *connection)
    .await?;
    let (comparison, by) = row.unwrap_or_default();
    let Some(Json(comparison)) = comparison else {
        drop(connection);
        return compare(pool, postgres, live, building).await;
    };
    if let Some(by) = by {
        return Ok(Readiness::Ready(Leave::Operator(by)));
    }
    let way = format!("`vitrina swap {}` lets it go live as it is", id.model);
    if let Some(refused) = refused(&mut connection, live, id).await? {
        return Ok(Readiness::NotYet(format!("{refused}; {way}")));
    }
    Ok(match swap {
        Swap::ByHand => Readiness::NotYet(format!("it is built: {way}")),
        Swap::WhenEqual if !comparison::is_equal(&comparison) => {
            let words = comparison::in_words(&comparison);
            Readiness::NotYet(format!("it is not equal to {live}: {words}; {way}"))
        }
        Swap::WhenEqual | Swap::Auto => Readiness::Ready(Leave::Settings(swap)),
    })
}

async fn compare(
    pool: &PgPool,
    postgres: &PgConnectOptions,
    live: &GenerationId,
    building: &Generation,
) -> Result<Readiness, Fault> {
    let id = &building.id;
    let topics = building.definition.topics();
    let compared = match comparison::compare(postgres, live, id, topics).await {
        Ok(Compared::Tables(tables)) => tables,
        Ok(Compared::NotYet(why)) => return Ok(Readiness::NotYet(why)),
        Err(fault) => {
            let tables = building.definition.model.tables.iter().map(|table| table.name.clone());
            comparison::failed(tables, &fault.to_string())
        }
    };
    sqlx::query(
        "UPDATE vitrina.generation SET comparison = $3
         WHERE model = $1 AND generation = $2 AND state = 'building' AND comparison IS NULL",
    )
    .bind(&id.model)
    .bind(id.number)
    .bind(Json(compared))
    .execute(pool)
    .await?;
    Ok(Readiness::NotYet(format!("it was compared with {live} just now")))
}

/// Why its breaker is open, on any instance.
async fn broken(connection: &mut PgConnection, id: &GenerationId) -> sqlx::Result<Option<String>> {
    let broken = format!(
        r#"SELECT coalesce(reason, '') FROM {}."@report"
           WHERE state = 'breaker_open' AND updated_at > now() - interval '10 seconds' LIMIT 1"#,
        quote(&id.schema())
    );
    sqlx::query_scalar(AssertSqlSafe(broken)).fetch_optional(connection).await
}

/// Writes down why it is not live yet.
///
/// # Errors
/// Postgres's.
pub(crate) async fn tell(pool: &PgPool, id: &GenerationId, why: &str) -> sqlx::Result<()> {
    sqlx::query(
        "UPDATE vitrina.generation SET waits_for = $3
         WHERE model = $1 AND generation = $2 AND state = 'building' AND waits_for IS DISTINCT FROM $3",
    )
    .bind(&id.model)
    .bind(id.number)
    .bind(why)
    .execute(pool)
    .await?;
    Ok(())
}
