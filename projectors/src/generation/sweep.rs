//! What swaps and cancellations leave behind: stable schemas that a renamed one has replaced, and schemas of generations
//! that came to an end. They go relation by relation and never by CASCADE, so what others have built on them stays, and is
//! named; a lock that is not had at once is asked for again later, so that nobody waits for the broom.

use sqlx::postgres::{PgConnection, PgPool};
use sqlx::{Connection as _, Executor as _};

use crate::fault::Fault;
use crate::generation::open::lock_model;
use crate::generation::tables::run;
use crate::names::quote;

/// Schemas of the model that nobody needs any more.
const LEFT: &str = "
    SELECT n.nspname::text FROM pg_namespace n
    WHERE EXISTS (SELECT FROM vitrina.generation g WHERE g.model = $1
                  AND (n.nspname = g.model || '@' || g.generation AND g.state IN ('dropped', 'cancelled', 'superseded')
                       OR n.nspname = g.model || '@' || g.generation || '@was'))";

/// Takes them away; what cannot be now, with the reason.
///
/// # Errors
/// Postgres is away.
pub(crate) async fn sweep(pool: &PgPool, model: &str) -> Result<Vec<String>, Fault> {
    let left: Vec<String> = sqlx::query_scalar(LEFT).bind(model).fetch_all(pool).await?;
    if left.is_empty() {
        return Ok(Vec::new());
    }
    let mut connection = pool.acquire().await?.detach();
    let mut stays = Vec::new();
    for schema in left {
        if let Err(fault) = take_away(&mut connection, model, &schema).await {
            stays.push(format!("schema {schema:?} stays for now: {fault}"));
            connection.execute("ROLLBACK").await?;
        }
    }
    let _ = connection.close().await;
    Ok(stays)
}

async fn take_away(connection: &mut PgConnection, model: &str, schema: &str) -> Result<(), Fault> {
    lock_model(connection, model).await?;
    connection.execute("SET LOCAL lock_timeout = '50ms'").await?;
    for (kind, of) in [("VIEW", "v"), ("TABLE", "r")] {
        let names: Vec<String> = sqlx::query_scalar(
            "SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
             WHERE n.nspname = $1 AND c.relkind::text = $2",
        )
        .bind(schema)
        .bind(of)
        .fetch_all(&mut *connection)
        .await?;
        if !names.is_empty() {
            run(connection, format!("DROP {kind} {}", names.join(", "))).await?;
        }
    }
    run(connection, format!("DROP SCHEMA IF EXISTS {}", quote(schema))).await?;
    connection.execute("COMMIT").await?;
    Ok(())
}
