//! The stable schema, which bears the model's name and whose views point to the live generation. A swap renames one that was
//! prepared beside it, so that no reader waits; only where somebody else's views hang on a stable one, which stay on what they
//! were made over, are its views replaced.

use sqlx::postgres::PgConnection;
use vitrina_sql::Model;

use crate::fault::Fault;
use crate::generation::schema::grants::copy_grants;
use crate::generation::schema::tables::run;
use crate::names::{GenerationId, quote};

/// How long a replaced view's readers may be kept waiting: the swap gives way, never a reader.
const REPLACE: &str = "50ms";

/// Creates the stable schema of a model that has none.
///
/// # Errors
/// Postgres's.
pub(crate) async fn create_stable(
    connection: &mut PgConnection,
    model: &Model,
    id: &GenerationId,
) -> Result<(), Fault> {
    create_as(connection, &model.name, model, id).await
}

/// Creates schema `name` with a view over each served table and view, with the declared columns.
async fn create_as(
    connection: &mut PgConnection,
    name: &str,
    model: &Model,
    id: &GenerationId,
) -> Result<(), Fault> {
    run(connection, format!("CREATE SCHEMA {}", quote(name))).await?;
    for served in served(model) {
        let select = select(id, served);
        run(connection, format!("CREATE VIEW {}.{} AS {select}", quote(name), quote(served)))
            .await?;
    }
    Ok(())
}

fn select(id: &GenerationId, served: &str) -> String {
    format!("SELECT * FROM {}.{}", quote(&id.schema()), quote(served))
}

/// The tables and views that are no helpers.
pub(crate) fn served(model: &Model) -> impl Iterator<Item = &str> {
    let tables = model.tables.iter().map(|table| table.name.as_str());
    let names = tables.chain(model.views.iter().map(|view| view.name.as_str()));
    names.filter(|name| !name.starts_with('_'))
}

/// How the stable schema will come to point to another generation.
pub(crate) enum Switch {
    /// A prepared schema takes its name.
    Rename,
    /// Others' views hang on it: its views are replaced.
    Replace(Vec<String>),
}

fn prepared(model: &Model) -> String {
    format!("{}@next", model.name)
}

/// Where the stable schema of a generation goes when another one takes its place.
pub(crate) fn left_behind(id: &GenerationId) -> String {
    format!("{id}@was")
}

/// Prepares what [`switch`] needs, in its transaction and before it takes any lock that others wait for.
///
/// # Errors
/// Postgres's.
pub(crate) async fn prepare(
    connection: &mut PgConnection,
    model: &Model,
    id: &GenerationId,
) -> Result<Switch, Fault> {
    let others = others(connection, &[&model.name]).await?;
    if !others.is_empty() {
        return Ok(Switch::Replace(others));
    }
    let next = prepared(model);
    create_as(connection, &next, model, id).await?;
    copy_grants(connection, &model.name, &next).await?;
    Ok(Switch::Rename)
}

/// The views in a stable schema that Vitrina has made: each bears the name of what it reads in a generation's.
///
/// # Errors
/// Postgres's.
pub(crate) async fn own_views(
    connection: &mut PgConnection,
    schema: &str,
) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar(
        "SELECT DISTINCT v.relname::text
         FROM pg_class v JOIN pg_namespace n ON n.oid = v.relnamespace
         JOIN pg_rewrite r ON r.ev_class = v.oid
         JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid AND d.refclassid = 'pg_class'::regclass
         JOIN pg_class t ON t.oid = d.refobjid AND t.relname = v.relname
         JOIN pg_namespace tn ON tn.oid = t.relnamespace
         WHERE n.nspname = $1 AND tn.nspname ~ '@[0-9]+$'",
    )
    .bind(schema)
    .fetch_all(connection)
    .await
}

/// What others have made that reads anything in `schemas`, and views of theirs that lie in a stable one.
///
/// # Errors
/// Postgres's.
pub(crate) async fn others(
    connection: &mut PgConnection,
    schemas: &[&str],
) -> sqlx::Result<Vec<String>> {
    let mut names: Vec<String> = sqlx::query_scalar(
        "SELECT DISTINCT format('%I.%I', vn.nspname, v.relname)
         FROM pg_depend d
         JOIN pg_rewrite r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid
         JOIN pg_class v ON v.oid = r.ev_class
         JOIN pg_namespace vn ON vn.oid = v.relnamespace
         JOIN pg_class t ON d.refclassid = 'pg_class'::regclass AND t.oid = d.refobjid
         JOIN pg_namespace tn ON tn.oid = t.relnamespace
         WHERE tn.nspname = ANY($1) AND vn.nspname <> ALL($1) ORDER BY 1",
    )
    .bind(schemas)
    .fetch_all(&mut *connection)
    .await?;
    for schema in schemas.iter().filter(|schema| !schema.contains('@') || schema.ends_with("@was"))
    {
        let own = own_views(connection, schema).await?;
        let strangers: Vec<String> = sqlx::query_scalar(
            "SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
             WHERE n.nspname = $1 AND c.relkind IN ('r', 'v', 'm', 'p', 'f') AND c.relname <> ALL($2) ORDER BY 1",
        )
        .bind(schema)
        .bind(own)
        .fetch_all(&mut *connection)
        .await?;
        names.extend(strangers);
    }
    Ok(names)
}

/// Makes the stable schema point to the generation `to`, instead of `from`.
///
/// # Errors
/// Postgres's; a lock that is not had at once is [`Fault::World`].
pub(crate) async fn switch(
    connection: &mut PgConnection,
    model: &Model,
    how: &Switch,
    from: &GenerationId,
    to: &GenerationId,
) -> Result<(), Fault> {
    let stable = quote(&model.name);
    match how {
        Switch::Rename => {
            let (was, next) = (quote(&left_behind(from)), quote(&prepared(model)));
            let rename = format!(
                "ALTER SCHEMA {stable} RENAME TO {was}; ALTER SCHEMA {next} RENAME TO {stable}"
            );
            run(connection, rename).await
        }
        Switch::Replace(others) => {
            run(connection, format!("SET LOCAL lock_timeout = '{REPLACE}'")).await?;
            let replaced = replace(connection, model, to).await;
            replaced.map_err(|fault| match fault {
                Fault::World { .. } => fault,
                other => Fault::Stop(format!(
                    "{} hang on schema {}, and Postgres cannot replace what they read: {other}; drop them, and make them \
                     again after the swap",
                    others.join(", "),
                    model.name
                )),
            })
        }
    }
}

async fn replace(
    connection: &mut PgConnection,
    model: &Model,
    to: &GenerationId,
) -> Result<(), Fault> {
    let stable = quote(&model.name);
    let found = own_views(connection, &model.name).await?;
    for gone in found.iter().filter(|name| !served(model).any(|served| served == **name)) {
        run(connection, format!("DROP VIEW {stable}.{}", quote(gone))).await?;
    }
    for served in served(model) {
        let select = select(to, served);
        run(connection, format!("CREATE OR REPLACE VIEW {stable}.{} AS {select}", quote(served)))
            .await?;
    }
    Ok(())
}
