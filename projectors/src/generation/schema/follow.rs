//! What a generation's rows do not depend on, plain indexes, views and comments, follows the model's file in place: a
//! missing index must not cost a rebuild. Only what Vitrina made is ever dropped, and nothing that others have built on
//! it: a grant or a report on a stable view outlives the edit of a comment.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use sqlx::postgres::PgConnection;
use vitrina_sql::Model;

use crate::fault::Fault;
use crate::generation::schema::tables::{create_tables, run};
use crate::quote;

/// A plain index: its table and everything after `USING`.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, sqlx::FromRow, Serialize, Deserialize)]
pub(crate) struct PlainIndex {
    table: String,
    definition: String,
    pub(crate) name: String,
}

impl PlainIndex {
    /// Makes it in `schema`.
    pub(crate) async fn create(
        &self,
        connection: &mut PgConnection,
        schema: &str,
    ) -> Result<(), Fault> {
        let (name, table) = (quote(&self.name), quote(&self.table));
        let on = format!("{}.{table}{}", quote(schema), self.definition);
        run(connection, format!("CREATE INDEX {name} ON {on}")).await
    }
}

/// Where readers find the views of a generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shown {
    /// In the stable schema, too: it is live.
    Stable,
    Nowhere,
}

/// The names of a schema's plain indexes.
pub(crate) async fn index_names(
    connection: &mut PgConnection,
    schema: &str,
) -> Result<Vec<String>, Fault> {
    Ok(indexes(connection, schema).await?.into_iter().map(|index| index.name).collect())
}

/// Brings `schema` to the declarations of `model`, whose meaning is the one that it was made from. `ours` are the plain
/// indexes that Vitrina made; the answer is what they are afterwards.
///
/// # Errors
/// [`Fault::Stop`] where Postgres refuses a declaration, or something of others depends on a view that must go.
pub(crate) async fn refurnish(
    connection: &mut PgConnection,
    model: &Model,
    schema: &str,
    shown: Shown,
    ours: &[String],
) -> Result<Vec<String>, Fault> {
    run(connection, "SET LOCAL lock_timeout = '5s'".into()).await?;
    let ours = follow_indexes(connection, model, schema, ours).await?;
    run(connection, "SAVEPOINT views".into()).await?;
    if replace_views(connection, model, schema, shown).await.is_err() {
        run(connection, "ROLLBACK TO SAVEPOINT views".into()).await?;
        drop_views(connection, model, schema, shown).await?;
        replace_views(connection, model, schema, shown).await?;
    }
    comment(connection, model, schema).await?;
    Ok(ours)
}

/// Comments as the model does.
///
/// # Errors
/// [`Fault::Stop`] where Postgres refuses one.
pub(crate) async fn comment(
    connection: &mut PgConnection,
    model: &Model,
    schema: &str,
) -> Result<(), Fault> {
    run(connection, format!("SET LOCAL search_path = {}, pg_catalog, pg_temp", quote(schema)))
        .await?;
    for comment in &model.comments {
        run(connection, comment.sql.clone()).await?;
    }
    Ok(())
}

async fn follow_indexes(
    connection: &mut PgConnection,
    model: &Model,
    schema: &str,
    ours: &[String],
) -> Result<Vec<String>, Fault> {
    let fresh = format!("{}@furnish", model.name);
    create_tables(connection, model, &fresh).await?;
    let wanted = indexes(connection, &fresh).await?;
    run(connection, format!("DROP SCHEMA {} CASCADE", quote(&fresh))).await?;
    let found = indexes(connection, schema).await?;
    let same = |one: &PlainIndex, other: &PlainIndex| {
        one.table == other.table && one.definition == other.definition
    };
    let mut kept = Vec::new();
    for index in found.iter().filter(|index| ours.contains(&index.name)) {
        if wanted.iter().any(|other| same(index, other)) {
            kept.push(index.name.clone());
        } else {
            run(connection, format!("DROP INDEX {}.{}", quote(schema), quote(&index.name))).await?;
        }
    }
    for index in wanted.into_iter().filter(|index| !found.iter().any(|other| same(index, other))) {
        index.create(connection, schema).await?;
        kept.push(index.name);
    }
    Ok(kept)
}

/// The plain indexes of a schema.
pub(crate) async fn indexes(
    connection: &mut PgConnection,
    schema: &str,
) -> Result<BTreeSet<PlainIndex>, Fault> {
    let found: Vec<PlainIndex> = sqlx::query_as(
        "SELECT t.relname AS \"table\", substring(pg_get_indexdef(x.indexrelid) FROM ' USING .*') AS definition,
                c.relname AS name
         FROM pg_index x JOIN pg_class c ON c.oid = x.indexrelid JOIN pg_class t ON t.oid = x.indrelid
         WHERE t.relnamespace = $1::regnamespace AND NOT x.indisunique AND NOT starts_with(t.relname, '@')",
    )
    .bind(quote(schema))
    .fetch_all(connection)
    .await?;
    Ok(found.into_iter().collect())
}

/// Views keep their identity where Postgres can replace them, which it can unless columns go or change.
async fn replace_views(
    connection: &mut PgConnection,
    model: &Model,
    schema: &str,
    shown: Shown,
) -> Result<(), Fault> {
    let (generation, stable) = (quote(schema), quote(&model.name));
    run(connection, format!("SET LOCAL search_path = {generation}, pg_catalog, pg_temp")).await?;
    for view in &model.views {
        let name = quote(&view.name);
        let columns: Vec<String> = view.columns.iter().map(|column| quote(column)).collect();
        let columns =
            if columns.is_empty() { String::new() } else { format!(" ({})", columns.join(", ")) };
        run(connection, format!("CREATE OR REPLACE VIEW {name}{columns} AS {}", view.query))
            .await?;
        if shown == Shown::Stable && !view.name.starts_with('_') {
            let select = format!("SELECT * FROM {generation}.{name}");
            run(connection, format!("CREATE OR REPLACE VIEW {stable}.{name} AS {select}")).await?;
        }
    }
    let gone = views(connection, schema).await?;
    for name in gone.into_iter().filter(|name| !model.views.iter().any(|view| view.name == *name)) {
        drop_view(connection, &model.name, schema, shown, &name).await?;
    }
    Ok(())
}

async fn drop_views(
    connection: &mut PgConnection,
    model: &Model,
    schema: &str,
    shown: Shown,
) -> Result<(), Fault> {
    for name in views(connection, schema).await? {
        drop_view(connection, &model.name, schema, shown, &name).await?;
    }
    Ok(())
}

/// Views of a schema, the newest first, so that each goes before those that it reads.
async fn views(connection: &mut PgConnection, schema: &str) -> Result<Vec<String>, Fault> {
    Ok(sqlx::query_scalar(
        "SELECT relname::text FROM pg_class WHERE relnamespace = $1::regnamespace AND relkind = 'v' ORDER BY oid DESC",
    )
    .bind(quote(schema))
    .fetch_all(connection)
    .await?)
}

async fn drop_view(
    connection: &mut PgConnection,
    stable: &str,
    generation: &str,
    shown: Shown,
    name: &str,
) -> Result<(), Fault> {
    let (stable, generation, name) = (quote(stable), quote(generation), quote(name));
    if shown == Shown::Stable {
        run(connection, format!("DROP VIEW IF EXISTS {stable}.{name}")).await?;
    }
    run(connection, format!("DROP VIEW {generation}.{name}")).await
}
