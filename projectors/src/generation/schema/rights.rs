//! What only Postgres can say of a model's rights: the columns of views, the types of conditions, and that what they call is
//! immutable. Each condition is that of a view, over a `claim` that knows nothing, and taken back with all else that is
//! inspected.

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Executor as _};
use vitrina_sql::{Finding, Grant, Model, Policy};

use crate::fault::Fault;
use crate::generation::schema::inspect::{NO_TIME, function_ids};
use crate::generation::schema::refusal::{Origin, Text};
use crate::quote;
use crate::sqlstate::Sqlstate;

/// What conditions ask for, as far as their types go.
const CLAIMS: &str = "
    CREATE FUNCTION claim(name text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT NULL::text';
    CREATE FUNCTION claims(name text) RETURNS text[] LANGUAGE sql IMMUTABLE AS 'SELECT NULL::text[]'";

/// Finds what Postgres refuses of the rights; the connection stands in a schema that holds what the model declares.
pub(super) async fn inspect(
    connection: &mut PgConnection,
    model: &Model,
) -> Result<Vec<Finding>, Fault> {
    let mut findings = Vec::new();
    for grant in &model.grants {
        findings.extend(refused_grant(connection, model, grant).await?);
    }
    if !model.policies.is_empty() {
        connection.execute(CLAIMS).await?;
    }
    for policy in &model.policies {
        findings.extend(judge_policy(connection, model, policy).await?);
    }
    Ok(findings)
}

async fn refused_grant(
    connection: &mut PgConnection,
    model: &Model,
    grant: &Grant,
) -> Result<Option<Finding>, Fault> {
    let columns: Vec<_> = grant.columns.iter().flatten().map(|column| quote(column)).collect();
    let columns =
        if columns.is_empty() { String::new() } else { format!(" ({})", columns.join(", ")) };
    let relations: Vec<_> = grant.relations.iter().map(|relation| quote(relation)).collect();
    let text = format!("GRANT SELECT{columns} ON {} TO PUBLIC", relations.join(", "));
    let refused = attempt(connection, &text).await?;
    let origin = Origin::Declaration(grant.at);
    Ok(refused
        .map(|error| Text { file: &model.file, sql: String::new(), origin }.refused(&*error, "")))
}

async fn judge_policy(
    connection: &mut PgConnection,
    model: &Model,
    policy: &Policy,
) -> Result<Vec<Finding>, Fault> {
    // Of a policy itself Postgres does not say where it is wrong.
    let before =
        format!("CREATE VIEW \"@policy\" AS SELECT 1 AS one FROM {} WHERE (", quote(&policy.table));
    if let Some(error) = attempt(connection, &format!("{before}{})", policy.condition)).await? {
        let origin = Origin::Declaration(policy.condition_at);
        let text = Text { file: &model.file, sql: policy.condition.clone(), origin };
        return Ok(vec![text.refused(&*error, &before)]);
    }
    let refuse =
        |what: String, help: &str| Finding::error(&model.file, policy.condition_at, what, help);
    let mut findings = Vec::new();
    for name in changing(connection).await? {
        let what = format!("{name}() is not IMMUTABLE, and a policy calls nothing else");
        findings.push(refuse(what, "let a rule keep what it gives in a column of this table"));
    }
    connection.execute("ROLLBACK TO SAVEPOINT rights").await?;
    for literal in &policy.literals {
        let mut condition = policy.condition.clone();
        condition.replace_range(literal.span.clone(), NO_TIME);
        let refused = attempt(connection, &format!("{before}{condition})")).await?;
        let code = refused.as_ref().and_then(|error| error.code());
        if code.is_some_and(|code| Sqlstate::of_code(&code) == Sqlstate::Time) {
            let what = format!(
                "'{}' is the clock's time here: what may be read would change by itself",
                literal.word
            );
            findings.push(refuse(what, "write the time itself"));
        }
        connection.execute("ROLLBACK TO SAVEPOINT rights").await?;
    }
    Ok(findings)
}

/// Functions of the condition that was created last whose value is not settled by their arguments.
async fn changing(connection: &mut PgConnection) -> sqlx::Result<Vec<String>> {
    let condition: String = sqlx::query_scalar(
        "SELECT ev_action::text FROM pg_rewrite WHERE ev_class = '\"@policy\"'::regclass",
    )
    .fetch_one(&mut *connection)
    .await?;
    let ids: Vec<i64> = function_ids(&condition).into_iter().collect();
    sqlx::query_scalar(
        "SELECT p.proname::text FROM pg_proc p WHERE p.oid::int8 = ANY($1) AND p.provolatile <> 'i' ORDER BY 1",
    )
    .bind(ids)
    .fetch_all(connection)
    .await
}

/// Runs a statement; what Postgres refuses of it leaves nothing behind.
async fn attempt(
    connection: &mut PgConnection,
    sql: &str,
) -> Result<Option<Box<dyn sqlx::error::DatabaseError>>, Fault> {
    connection.execute("SAVEPOINT rights").await?;
    match connection.execute(AssertSqlSafe(sql.to_owned())).await {
        Ok(_) => Ok(None),
        Err(sqlx::Error::Database(error)) => {
            connection.execute("ROLLBACK TO SAVEPOINT rights").await?;
            Ok(Some(error))
        }
        Err(error) => Err(error.into()),
    }
}
