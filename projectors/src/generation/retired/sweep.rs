//! What swaps, cancellations and time leave behind: stable schemas that a renamed one has replaced, schemas of generations
//! that came to an end, retired generations that were kept long enough. They go relation by relation and never by CASCADE,
//! so what others have built on them stays, and is named; a lock that is not had at once is asked for again later, so that
//! nobody waits for the broom.

use std::time::Duration;

use sqlx::postgres::{PgConnection, PgPool};
use sqlx::{Connection as _, Executor as _};

use crate::fault::Fault;
use crate::generation::lock::lock_model;
use crate::generation::retired::removal::drop_generation;
use crate::generation::schema::stable::own_views;
use crate::generation::schema::tables::run;
use crate::generation::stored;
use crate::names::{GenerationId, quote};
use crate::parked::refusal::Refusal;

/// Stable schemas that were replaced, then schemas of generations that ended, which those read; with the generation.
const LEFT: &str = "
    SELECT n.nspname::text, g.generation, n.nspname <> g.model || '@' || g.generation AS stable
    FROM vitrina.generation g
    JOIN pg_namespace n
      ON n.nspname = g.model || '@' || g.generation AND g.state IN ('dropped', 'cancelled', 'superseded')
      OR n.nspname = g.model || '@' || g.generation || '@was'
    WHERE g.model = $1 ORDER BY 3 DESC";

/// Takes them away; what cannot be now, with the reason.
///
/// # Errors
/// Postgres is away.
pub(crate) async fn sweep(
    pool: &PgPool,
    model: &str,
    keep_retired: Duration,
) -> Result<Vec<String>, Fault> {
    let left: Vec<(String, i32, bool)> = sqlx::query_as(LEFT).bind(model).fetch_all(pool).await?;
    let expired: Vec<i32> = sqlx::query_scalar(
        "SELECT generation FROM vitrina.generation
         WHERE model = $1 AND state = 'retired' AND ended_at < now() - make_interval(secs => $2) ORDER BY 1",
    )
    .bind(model)
    .bind(keep_retired.as_secs_f64())
    .fetch_all(pool)
    .await?;
    if left.is_empty() && expired.is_empty() {
        return Ok(Vec::new());
    }
    let mut connection = pool.acquire().await?.detach();
    let mut stays = Vec::new();
    for (schema, generation, stable) in left {
        let id = GenerationId::new(model, generation);
        if let Err(fault) = take_away(&mut connection, &id, &schema, stable).await {
            stays.push(format!("schema {schema:?} stays for now: {fault}"));
            connection.execute("ROLLBACK").await?;
        }
    }
    let by = format!("keep_retired = {keep_retired:?}");
    for generation in expired {
        let id = GenerationId::new(model, generation);
        match drop_generation(&mut connection, &id, &by).await {
            Ok(()) => tracing::info!(model, "generation {generation} is dropped: {by}"),
            Err(refusal) => {
                stays.push(format!("{id}, which is retired, stays for now: {refusal}"));
                connection.execute("ROLLBACK").await?;
            }
        }
    }
    let _ = connection.close().await;
    Ok(stays)
}

async fn take_away(
    connection: &mut PgConnection,
    id: &GenerationId,
    schema: &str,
    stable: bool,
) -> Result<(), Refusal> {
    lock_model(connection, &id.model).await?;
    give_way(connection).await?;
    if stable {
        clear_stable(connection, schema).await?
    } else {
        clear(connection, id).await?
    }
    connection.execute("COMMIT").await?;
    Ok(())
}

/// Whoever takes something away waits for no reader, and lets none wait.
pub(crate) async fn give_way(connection: &mut PgConnection) -> sqlx::Result<()> {
    connection.execute("SET LOCAL lock_timeout = '50ms'").await?;
    Ok(())
}

/// Drops a stable schema, with the views that Vitrina has made in it.
pub(crate) async fn clear_stable(connection: &mut PgConnection, schema: &str) -> Result<(), Fault> {
    let views = own_views(connection, schema).await?;
    drop_relations(connection, schema, &views).await
}

/// Drops a generation's schema, with what Vitrina has made in it.
pub(crate) async fn clear(connection: &mut PgConnection, id: &GenerationId) -> Result<(), Fault> {
    let model = stored::definition(connection, id).await?.model;
    let tables = model.tables.iter().map(|table| table.name.clone());
    let names: Vec<String> =
        tables.chain(model.views.iter().map(|view| view.name.clone())).collect();
    drop_relations(connection, &id.schema(), &names).await
}

/// Views before tables; our own tables' names begin with `@`.
async fn drop_relations(
    connection: &mut PgConnection,
    schema: &str,
    names: &[String],
) -> Result<(), Fault> {
    for (kind, of) in [("VIEW", "v"), ("TABLE", "r")] {
        let found: Vec<String> = sqlx::query_scalar(
            "SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
             WHERE n.nspname = $1 AND c.relkind::text = $2 AND (c.relname = ANY($3) OR starts_with(c.relname, '@'))",
        )
        .bind(schema)
        .bind(of)
        .bind(names)
        .fetch_all(&mut *connection)
        .await?;
        if !found.is_empty() {
            run(connection, format!("DROP {kind} {}", found.join(", "))).await?;
        }
    }
    run(connection, format!("DROP SCHEMA IF EXISTS {}", quote(schema))).await
}
