//! What a generation's rows do not depend on, plain indexes, views and comments, follows the model's file in place: a
//! missing index must not cost a rebuild.

use std::collections::BTreeSet;

use sqlx::postgres::PgConnection;
use vitrina_sql::Model;

use crate::fault::Fault;
use crate::generation::{create_stable_views, create_tables, judge, run};
use crate::quote;

/// A plain index: its table and everything after `USING`.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, sqlx::FromRow)]
struct PlainIndex {
    table: String,
    definition: String,
    name: String,
}

/// Brings `schema` to the declarations of `model`, whose meaning is the one that it was made from.
///
/// # Errors
/// [`Fault::Stop`] where Postgres refuses a declaration.
pub(crate) async fn refurnish(connection: &mut PgConnection, model: &Model, schema: &str) -> Result<(), Fault> {
    let fresh = format!("{}@furnish", model.name);
    create_tables(connection, model, &fresh).await?;
    let wanted = indexes(connection, &fresh).await?;
    run(connection, format!("DROP SCHEMA {} CASCADE", quote(&fresh))).await?;
    let (schema_name, found) = (quote(schema), indexes(connection, schema).await?);
    let same = |one: &PlainIndex, other: &PlainIndex| one.table == other.table && one.definition == other.definition;
    for gone in found.iter().filter(|index| !wanted.iter().any(|other| same(index, other))) {
        run(connection, format!("DROP INDEX {schema_name}.{}", quote(&gone.name))).await?;
    }
    for index in wanted.iter().filter(|index| !found.iter().any(|other| same(index, other))) {
        let (name, table) = (quote(&index.name), quote(&index.table));
        run(connection, format!("CREATE INDEX {name} ON {schema_name}.{table}{}", index.definition)).await?;
    }
    renew_views(connection, model, schema).await
}

async fn indexes(connection: &mut PgConnection, schema: &str) -> Result<BTreeSet<PlainIndex>, Fault> {
    let found: Vec<PlainIndex> = sqlx::query_as(
        "SELECT t.relname AS \"table\", substring(pg_get_indexdef(x.indexrelid) FROM ' USING .*') AS definition,
                c.relname AS name
         FROM pg_index x JOIN pg_class c ON c.oid = x.indexrelid JOIN pg_class t ON t.oid = x.indrelid
         WHERE t.relnamespace = $1::regnamespace AND NOT x.indisunique",
    )
    .bind(quote(schema))
    .fetch_all(connection)
    .await
    .map_err(judge)?;
    Ok(found.into_iter().collect())
}

/// Views and comments are made anew, together with the stable schema's views that stand on them.
async fn renew_views(connection: &mut PgConnection, model: &Model, schema: &str) -> Result<(), Fault> {
    let views: Vec<(String, String)> =
        sqlx::query_as("SELECT schemaname::text, viewname::text FROM pg_views WHERE schemaname IN ($1, $2)")
            .bind(&model.name)
            .bind(schema)
            .fetch_all(&mut *connection)
            .await
            .map_err(judge)?;
    for (in_schema, name) in views {
        run(connection, format!("DROP VIEW IF EXISTS {}.{} CASCADE", quote(&in_schema), quote(&name))).await?;
    }
    run(connection, format!("SET LOCAL search_path = {}, pg_catalog, pg_temp", quote(schema))).await?;
    let views = model.views.iter().map(|view| &view.sql);
    for sql in views.chain(model.comments.iter().map(|comment| &comment.sql)) {
        run(connection, sql.clone()).await?;
    }
    create_stable_views(connection, model, schema).await
}
