//! The live generations, for what is asked of all models at once. The statement's text names their schemas: a view over
//! all of them, or a function, would cost ten times as much at each call.

use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, FromRow, PgConnection};
use vitrina_sql::quote_literal;

use crate::generation::role::Role;
use crate::names::{GenerationId, quote};
use crate::sqlstate::Sqlstate;

/// A model's live generation.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Live {
    pub model: String,
    pub generation: i32,
    /// Never given twice in a deployment.
    pub serial: i64,
}

impl Live {
    /// Selects all of them, by model.
    pub const ALL: &str = "SELECT model, generation, serial FROM vitrina.generation WHERE state = 'live' ORDER BY model";

    /// # Errors
    /// Postgres's.
    pub async fn all(connection: &mut PgConnection) -> sqlx::Result<Vec<Self>> {
        sqlx::query_as(Self::ALL).fetch_all(connection).await
    }

    /// One statement over the schemas of `live`: `select` is given the model's name as a literal and the schema's quoted
    /// name. `None` where there is none. Where a generation was dropped since it was read, it fails with `42P01` or `3F000`,
    /// and is to be made anew.
    pub fn union(live: &[Self], select: impl Fn(&str, &str) -> String) -> Option<String> {
        let select = |live: &Self| {
            let model = format!("{}::text", quote_literal(&live.model));
            select(&model, &quote(&GenerationId::new(&live.model, live.generation).schema()))
        };
        let selects: Vec<String> = live.iter().map(select).collect();
        (!selects.is_empty()).then(|| selects.join(" UNION ALL "))
    }
}

/// The rows of what `select` makes of the live generations; none where it makes nothing. Where a generation was dropped in
/// between, it is asked once more.
///
/// # Errors
/// Postgres's.
pub(crate) async fn over_live<T>(
    connection: &mut PgConnection,
    select: impl Fn(&[Live]) -> Option<String> + Send,
) -> sqlx::Result<Vec<T>>
where
    T: for<'r> FromRow<'r, PgRow> + Send + Unpin,
{
    let mut again = true;
    loop {
        let live = Live::all(connection).await?;
        let Some(sql) = select(&live) else { return Ok(Vec::new()) };
        let asked = sqlx::query_as(AssertSqlSafe(sql)).persistent(false);
        match asked.fetch_all(&mut *connection).await {
            Err(error) if again && Sqlstate::of(&error) == Some(Sqlstate::NoTable) => again = false,
            rows => return rows,
        }
    }
}

/// Whether a generation is what it is fed as; true until the end of the transaction where it holds the generation's lock,
/// which every swap needs.
///
/// # Errors
/// Postgres's.
pub(crate) async fn is_fed_as(
    connection: &mut PgConnection,
    id: &GenerationId,
    role: Role,
) -> sqlx::Result<bool> {
    sqlx::query_scalar(
        "SELECT EXISTS (SELECT FROM vitrina.generation WHERE model = $1 AND generation = $2 AND state = $3)",
    )
    .bind(&id.model)
    .bind(id.number)
    .bind(role.state())
    .fetch_one(connection)
    .await
}

/// Whether readers see this generation now; true until the end of the transaction where it holds the generation's lock,
/// which every swap needs.
///
/// # Errors
/// Postgres's.
pub(crate) async fn is_live(
    connection: &mut PgConnection,
    id: &GenerationId,
) -> sqlx::Result<bool> {
    sqlx::query_scalar("SELECT EXISTS (SELECT FROM vitrina.model WHERE model = $1 AND live = $2)")
        .bind(&id.model)
        .bind(id.number)
        .fetch_one(connection)
        .await
}
