//! Postgres, for reading. Invariant: one autocommit statement at a time, so a handler that is dropped half-way leaves
//! no transaction behind, except in a snapshot, whose connection ends with it; identifiers in a statement come from the
//! catalogue, or are what an answer calls a value; values only ever come as bound text.

mod gather;
mod snapshot;
mod texts;

use std::time::Duration;

use sqlx::postgres::{PgArguments, PgDatabaseError, PgPool, PgPoolOptions, PgRow, Postgres};
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, Connection as _, Row as _};
use vitrina_projectors::Sqlstate;
use vitrina_projectors::session;

use crate::problem::{Kind, Problem};

pub(crate) use gather::Gather;
pub(crate) use snapshot::{Rows, Snapshot};
pub(crate) use texts::texts;

/// How long a request waits for a connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(2);
/// A connection that was idle for longer is tried before it is used.
const IDLE: Duration = Duration::from_secs(1);
/// What Postgres gets beyond its own time-out to say so, before the connection counts as lost.
const GRACE: Duration = Duration::from_secs(2);

/// The values of a statement, all bound as text and cast by Postgres.
#[derive(Debug, Default)]
pub(crate) struct Binds {
    values: Vec<Bind>,
    /// Those that a cast may refuse, cast.
    casts: Vec<String>,
    /// Whether values stand in the text, for people.
    are_written: bool,
}

#[derive(Debug)]
enum Bind {
    One(String),
    Many(Vec<String>),
}

impl Binds {
    /// Values of a statement that people read, and we never send: they stand in it as literals.
    pub(crate) fn written() -> Self {
        Self { are_written: true, ..Self::default() }
    }

    /// Adds a value; the answer is what stands for it in the statement. `cast` is a type as the catalogue writes it.
    pub(crate) fn add(&mut self, value: &str, cast: &str) -> String {
        if self.are_written {
            return format!("{}::{cast}", vitrina_sql::quote_literal(value));
        }
        self.values.push(Bind::One(value.to_owned()));
        let bound = format!("${}::{cast}", self.values.len());
        if cast != "text" {
            self.casts.push(bound.clone());
        }
        bound
    }

    /// Adds an array of values; `cast` is the array's type.
    pub(crate) fn add_all(&mut self, values: Vec<String>, cast: &str) -> String {
        self.values.push(Bind::Many(values));
        let bound = format!("${}::text[]::{cast}", self.values.len());
        self.casts.push(bound.clone());
        bound
    }

    /// An expression that fails where any of the casts does. Within a condition, whether a cast is tried at all hangs on the
    /// rows that come so far, also on those that may not be read.
    pub(crate) fn tried(&self) -> String {
        let casts: Vec<_> = self.casts.iter().map(|cast| format!("({cast})::text")).collect();
        format!("cardinality(ARRAY[{}]::text[])", casts.join(", "))
    }
}

/// One `SELECT`.
#[derive(Debug)]
pub(crate) struct Statement {
    text: String,
    binds: Binds,
    plan: Plan,
}

/// How long Postgres keeps the plan of a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Plan {
    /// For the values of this time.
    Once,
    /// For as long as the connection lives.
    Kept,
    /// The same, and it is one of indexes alone, whatever the tables held when it was made.
    Walk,
}

impl Statement {
    /// A statement whose text is one of few: kept prepared on the connection.
    pub(crate) fn fixed(text: impl Into<String>, binds: Binds) -> Self {
        Self { text: text.into(), binds, plan: Plan::Kept }
    }

    /// A statement that finds all of its rows by walking an index, whatever its values are, so that one plan is good for all.
    /// Its text depends on the caller: of those that are kept, the one that was not asked for the longest time goes.
    pub(crate) fn walk(text: impl Into<String>, binds: Binds) -> Self {
        Self { text: text.into(), binds, plan: Plan::Walk }
    }

    /// A statement whose best plan depends on its values.
    pub(crate) fn free(text: impl Into<String>, binds: Binds) -> Self {
        Self { text: text.into(), binds, plan: Plan::Once }
    }

    fn query(self) -> Query<'static, Postgres, PgArguments> {
        let query = sqlx::query(AssertSqlSafe(self.text)).persistent(self.plan != Plan::Once);
        self.binds.values.into_iter().fold(query, |query, bind| match bind {
            Bind::One(value) => query.bind(value),
            Bind::Many(values) => query.bind(values),
        })
    }
}

/// How a statement fails, by what can be done about it.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum DatabaseError {
    /// A relation or a column is not there (any more).
    #[error("{0}")]
    Stale(String),
    /// A value that Postgres refuses, in its words.
    #[error("{0}")]
    Value(String),
    #[error("the statement ran into its time-out")]
    TimedOut,
    #[error("{0}")]
    Unavailable(String),
    #[error("{0}")]
    Other(String),
}

/// What keeps a plan on the index that the statement was made to walk. A plan that is kept knows no values, and perhaps a
/// table that was empty; what it takes for cheap then may be endless later.
const WALKS: [(&str, &str); 4] = [
    ("plan_cache_mode", "force_generic_plan"),
    ("enable_seqscan", "off"),
    ("enable_bitmapscan", "off"),
    ("enable_sort", "off"),
];

/// Read-only sessions.
#[derive(Clone)]
pub(crate) struct Database {
    pool: PgPool,
    /// Those whose plans walk indexes.
    walks: PgPool,
    patience: Duration,
}

impl Database {
    pub(crate) fn new(
        url: &str,
        connections: u32,
        statement_timeout: Duration,
    ) -> Result<Self, sqlx::Error> {
        let options = session::options(url)?.application_name("vitrina query").options([
            ("default_transaction_read_only", "on"),
            ("statement_timeout", &statement_timeout.as_millis().to_string()),
            // What users' own functions and operators may stand in, Postgres's own first.
            ("search_path", "pg_catalog,public"),
            // Small answers, many at a time: neither pays. Rows below their freshness would have no order, either.
            ("max_parallel_workers_per_gather", "0"),
            ("jit", "off"),
        ]);
        let pool = || {
            PgPoolOptions::new()
                .max_connections(connections)
                .acquire_timeout(ACQUIRE_TIMEOUT)
                .after_connect(|connection, _| Box::pin(session::pin_newer(connection)))
                // A question before each statement would double the round trips; who is busy hears of a lost server anyway.
                .test_before_acquire(false)
                .before_acquire(|connection, idle| {
                    Box::pin(
                        async move { Ok(idle.idle_for < IDLE || connection.ping().await.is_ok()) },
                    )
                })
        };
        Ok(Self {
            walks: pool().connect_lazy_with(options.clone().options(WALKS)),
            pool: pool().connect_lazy_with(options),
            patience: statement_timeout + GRACE,
        })
    }

    /// The statement's first row.
    pub(crate) async fn first(&self, statement: Statement) -> Result<Option<PgRow>, DatabaseError> {
        Ok(self.all(statement).await?.into_iter().next())
    }

    pub(crate) async fn all(&self, statement: Statement) -> Result<Vec<PgRow>, DatabaseError> {
        let pool = if statement.plan == Plan::Walk { &self.walks } else { &self.pool };
        let mut connection = pool.acquire().await?;
        let query = statement.query();
        match tokio::time::timeout(self.patience, query.fetch_all(&mut *connection)).await {
            Ok(rows) => Ok(rows?),
            Err(_) => {
                // Its answer may still come, or the network is gone: nobody else shall wait on it.
                drop(connection.detach());
                Err(DatabaseError::Unavailable("Postgres does not answer".into()))
            }
        }
    }
}

impl From<sqlx::Error> for DatabaseError {
    fn from(error: sqlx::Error) -> Self {
        let Some(refused) = error.as_database_error() else {
            return match error {
                sqlx::Error::ColumnDecode { .. }
                | sqlx::Error::ColumnNotFound(_)
                | sqlx::Error::Decode(_) => Self::Other(error.to_string()),
                _ => Self::Unavailable(error.to_string()),
            };
        };
        // The message alone: the whole error ends in a line of Postgres's own source.
        let text = refused.message().to_owned();
        let code = refused.code().unwrap_or_default();
        match Sqlstate::of_code(&code) {
            Sqlstate::NoTable | Sqlstate::NoColumn => Self::Stale(text),
            // A plan kept for a table that has changed, or what a type or a collation cannot do.
            Sqlstate::Unsupported if routine(refused) == Some("RevalidateCachedQuery") => {
                Self::Stale(text)
            }
            Sqlstate::Unsupported => Self::Value(text),
            Sqlstate::TimedOut => Self::TimedOut,
            // The type's own constraint is a check, too.
            Sqlstate::Untyped | Sqlstate::Check | Sqlstate::Value | Sqlstate::Time => {
                Self::Value(text)
            }
            Sqlstate::NotLetIn | Sqlstate::NoDatabase => Self::Unavailable(text),
            passing if passing.passes() => Self::Unavailable(text),
            _ => Self::Other(format!("{code}: {text}")),
        }
    }
}

/// A column of an answer of ours.
pub(crate) fn get<'r, T>(row: &'r PgRow, column: &str) -> Result<T, DatabaseError>
where
    T: sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres>,
{
    Ok(row.try_get(column)?)
}

/// The function in Postgres that refused.
fn routine<'e>(error: &'e (dyn sqlx::error::DatabaseError + 'static)) -> Option<&'e str> {
    error.try_downcast_ref::<PgDatabaseError>().and_then(PgDatabaseError::routine)
}

impl From<DatabaseError> for Problem {
    fn from(error: DatabaseError) -> Self {
        match error {
            DatabaseError::Value(_) | DatabaseError::Other(_) => {
                tracing::error!(%error, "a statement failed");
                Self::new(
                    Kind::Internal,
                    "The answer could not be made; the service's log says why.",
                )
            }
            DatabaseError::Stale(_) | DatabaseError::TimedOut | DatabaseError::Unavailable(_) => {
                tracing::warn!(%error, "Postgres cannot answer");
                Self::new(Kind::Unavailable, "The database does not answer; ask again in a second.")
            }
        }
    }
}
