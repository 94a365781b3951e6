//! The stable schema, which bears the model's name and whose views point to the live generation. A swap renames one that was
//! prepared beside it, so that no reader waits; only where somebody else's views hang on a stable one, which stay on what they
//! were made over, are its views replaced.

use sqlx::postgres::PgConnection;
use vitrina_sql::Model;

use crate::fault::Fault;
use crate::generation::grants::copy_grants;
use crate::generation::tables::run;
use crate::names::{GenerationId, quote};

/// How long a replaced view's readers may be kept waiting: the swap gives way, never a reader.
const REPLACE: &str = "50ms";

/// Creates the stable schema of a model that has none.
///
/// # Errors
/// Postgres's.
pub(super) async fn create_stable(
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
fn served(model: &Model) -> impl Iterator<Item = &str> {
    let tables = model.tables.iter().map(|table| table.name.as_str());
    let names = tables.chain(model.views.iter().map(|view| view.name.as_str()));
    names.filter(|name| !name.starts_with('_'))
}

/// How the stable schema will come to point to another generation.
pub(super) enum Switch {
    /// A prepared schema takes its name.
    Rename,
    /// Others' views hang on it: its views are replaced.
    Replace(Vec<String>),
}

fn prepared(model: &Model) -> String {
    format!("{}@next", model.name)
}

/// Where the stable schema of a generation goes when another one takes its place.
fn left_behind(id: &GenerationId) -> String {
    format!("{id}@was")
}

/// Prepares what [`switch`] needs, in its transaction and before it takes any lock that others wait for.
///
/// # Errors
/// Postgres's.
pub(super) async fn prepare(
    connection: &mut PgConnection,
    model: &Model,
    id: &GenerationId,
) -> Result<Switch, Fault> {
    let others = dependents(connection, &model.name).await?;
    if !others.is_empty() {
        return Ok(Switch::Replace(others));
    }
    let next = prepared(model);
    create_as(connection, &next, model, id).await?;
    copy_grants(connection, &model.name, &next).await?;
    Ok(Switch::Rename)
}

/// Others' views that read the schema's.
async fn dependents(connection: &mut PgConnection, schema: &str) -> Result<Vec<String>, Fault> {
    let names = sqlx::query_scalar(
        "SELECT DISTINCT format('%I.%I', vn.nspname, v.relname)
         FROM pg_depend d
         JOIN pg_rewrite r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid
         JOIN pg_class v ON v.oid = r.ev_class
         JOIN pg_namespace vn ON vn.oid = v.relnamespace
         JOIN pg_class t ON d.refclassid = 'pg_class'::regclass AND t.oid = d.refobjid
         JOIN pg_namespace tn ON tn.oid = t.relnamespace
         WHERE tn.nspname = $1 AND vn.nspname <> $1 ORDER BY 1",
    )
    .bind(schema)
    .fetch_all(connection)
    .await?;
    Ok(names)
}

/// Makes the stable schema point to the generation `to`, instead of `from`.
///
/// # Errors
/// Postgres's; a lock that is not had at once is [`Fault::World`].
pub(super) async fn switch(
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
    let found: Vec<String> = sqlx::query_scalar(
        "SELECT relname::text FROM pg_class WHERE relnamespace = $1::regnamespace AND relkind = 'v'",
    )
    .bind(&stable)
    .fetch_all(&mut *connection)
    .await?;
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
