//! The tables, indexes and views that a model declares, created as its text has them.

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Executor as _};
use vitrina_sql::{Model, Place};

use crate::fault::Fault;
use crate::names::quote;

/// Creates `schema` and in it all that the model declares.
///
/// # Errors
/// What Postgres refuses, as [`Fault::Stop`].
pub(crate) async fn create_tables(
    connection: &mut PgConnection,
    model: &Model,
    schema: &str,
) -> Result<(), Fault> {
    let quoted = quote(schema);
    run(
        connection,
        format!("CREATE SCHEMA {quoted}; SET LOCAL search_path = {quoted}, pg_catalog, pg_temp"),
    )
    .await?;
    for (_, sql) in declarations(model) {
        run(connection, sql.to_owned()).await?;
    }
    Ok(())
}

/// What a generation's schema holds, with the places in the file, in an order in which it can be created.
pub(crate) fn declarations(model: &Model) -> Vec<(Place, &str)> {
    let tables = model.tables.iter().map(|table| (table.at, table.sql.as_str()));
    let indexes = model.indexes.iter().map(|index| (index.at, index.sql.as_str()));
    let views = model.views.iter().map(|view| (view.at, view.sql.as_str()));
    let comments = model.comments.iter().map(|comment| (comment.at, comment.sql.as_str()));
    tables.chain(indexes).chain(views).chain(comments).collect()
}

/// Runs one statement, or several.
pub(crate) async fn run(connection: &mut PgConnection, sql: String) -> Result<(), Fault> {
    connection.execute(AssertSqlSafe(sql)).await?;
    Ok(())
}
