//! How a connection speaks to Postgres: whatever could make the same rule give other values in another session is pinned
//! here, once, for every connection that runs users' SQL.

use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions};
use sqlx::{ConnectOptions, Connection};

/// The session that writes: `rules.md` §3 names what must be pinned.
const PINNED: &[(&str, &str)] = &[
    ("TimeZone", "UTC"),
    ("DateStyle", "ISO, MDY"),
    ("IntervalStyle", "postgres"),
    ("extra_float_digits", "1"),
    ("bytea_output", "hex"),
    ("lc_monetary", "C"),
    ("lc_numeric", "C"),
    ("lc_time", "C"),
    ("standard_conforming_strings", "on"),
    ("backslash_quote", "safe_encoding"),
    ("xmlbinary", "base64"),
    ("xmloption", "content"),
    ("array_nulls", "on"),
    ("transform_null_equals", "off"),
    ("default_text_search_config", "pg_catalog.simple"),
];

/// A batch that hangs must not hold its locks for ever: these are the server's own limits.
const LIMITS: &[(&str, &str)] =
    &[("lock_timeout", "10s"), ("statement_timeout", "60s"), ("idle_in_transaction_session_timeout", "10s")];

/// Array parameters give the planner no row counts, so it is kept on indexes (`rules.md` §5).
const PLANNER: &[(&str, &str)] = &[("enable_seqscan", "off"), ("enable_hashjoin", "off"), ("enable_mergejoin", "off")];

/// # Errors
/// The URL is not one of Postgres's.
pub fn options(url: &str) -> sqlx::Result<PgConnectOptions> {
    Ok(url.parse::<PgConnectOptions>()?.application_name("vitrina").log_statements(tracing::log::LevelFilter::Trace))
}

/// A connection of its own for one generation's rules: unqualified names are that generation's tables.
///
/// # Errors
/// Postgres does not take the connection.
pub async fn writer(options: &PgConnectOptions, schema: &str, statements: usize) -> sqlx::Result<PgConnection> {
    let search_path = format!("{}, pg_catalog, pg_temp", crate::quote(schema));
    let settings = PINNED.iter().chain(LIMITS).chain(PLANNER).copied().chain([("search_path", search_path.as_str())]);
    let options = options.clone().statement_cache_capacity(statements.max(100));
    let mut connection = PgConnection::connect_with(&options).await?;
    for (name, value) in settings {
        sqlx::query("SELECT set_config($1, $2, false)").bind(name).bind(value).execute(&mut connection).await?;
    }
    Ok(connection)
}

/// A small pool for the control tables. Nobody cancels what runs on it (sqlx #4393).
pub fn control_pool(options: &PgConnectOptions) -> PgPool {
    PgPoolOptions::new().max_connections(4).acquire_timeout(Duration::from_secs(5)).connect_lazy_with(options.clone())
}
