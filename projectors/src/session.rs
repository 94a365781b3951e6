//! How a connection speaks to Postgres: whatever could make the same rule give other values in another session is pinned
//! here, once, for all connections, writers', operators' and readers'.

use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions};
use sqlx::{ConnectOptions, Connection, Executor as _};

use crate::names::GenerationId;

/// What every session of ours depends on (`docs/contract.md` §4.1), whatever the server, the database or the role sets:
/// values of statements and literals, texts of the catalogue, what a transaction is, and that nobody ends it. Not whether it
/// may write: who sets `default_transaction_read_only` means us, too.
const PINNED: &[(&str, &str)] = &[
    ("search_path", "pg_catalog"),
    ("TimeZone", "UTC"),
    ("timezone_abbreviations", "Default"),
    ("DateStyle", "ISO,MDY"),
    ("IntervalStyle", "postgres"),
    ("extra_float_digits", "1"),
    ("bytea_output", "hex"),
    ("lc_monetary", "C"),
    ("lc_numeric", "C"),
    ("lc_time", "C"),
    ("standard_conforming_strings", "on"),
    ("backslash_quote", "safe_encoding"),
    ("quote_all_identifiers", "off"),
    ("xmlbinary", "base64"),
    ("xmloption", "content"),
    ("array_nulls", "on"),
    ("transform_null_equals", "off"),
    ("gin_fuzzy_search_limit", "0"),
    ("default_text_search_config", "pg_catalog.simple"),
    ("row_security", "on"),
    ("default_transaction_isolation", "read committed"),
    ("default_transaction_deferrable", "off"),
    ("statement_timeout", "0"),
    ("lock_timeout", "0"),
    ("idle_in_transaction_session_timeout", "0"),
    ("idle_session_timeout", "0"),
    ("exit_on_error", "off"),
    // What Postgres remarks on, such as a schema that exists already, is nobody's trouble.
    ("client_min_messages", "warning"),
];

/// The same, of settings that only newer servers have.
const PIN_NEWER: &str = "SELECT pg_catalog.set_config(s.name, v.value, false)
    FROM pg_catalog.pg_settings s
    JOIN (VALUES ('transaction_timeout', '0'), ('restrict_nonsystem_relation_kind', '')) v (name, value)
      ON v.name = s.name";

/// A batch that hangs must not hold its locks for ever: this is the server's own limit.
const IDLE: (&str, &str) = ("idle_in_transaction_session_timeout", "10s");

/// How long Postgres may work on one statement where no model's settings say otherwise.
pub(crate) const STATEMENT: Duration = Duration::from_secs(30);
const CONNECT: Duration = Duration::from_secs(5);

/// How much longer than Postgres's own limit one round trip may take: only a server that has gone silent runs into it (no
/// keepalive would tell within hours).
const SILENCE: Duration = Duration::from_secs(5);

/// How long one round trip may take whose statement Postgres may work on for `timeout`.
pub(crate) fn patience(timeout: Duration) -> Duration {
    timeout + SILENCE
}

/// Begins a transaction of a generation's, under its lock, which the one before may hold for long. What else is waited
/// for is the rows that somebody at a prompt has locked, and far less time is for that than for the statement: who waits
/// for locks must not seem to be slow.
pub(crate) fn begin(id: &GenerationId, shared: bool, timeout: Duration) -> String {
    let shared = if shared { "_shared" } else { "" };
    let lock = id.lock_key();
    let others = (timeout / 10).as_millis().max(1);
    format!(
        "BEGIN; SELECT pg_advisory_xact_lock{shared}({lock}); SET LOCAL lock_timeout = '{others}ms'"
    )
}

/// Runs `work` on a connection for at most `limit`. A connection whose work was cut short must not be used again.
///
/// # Errors
/// Those of `work`, and a time-out as an I/O error.
pub(crate) async fn within<T>(
    limit: Duration,
    work: impl Future<Output = sqlx::Result<T>>,
) -> sqlx::Result<T> {
    match tokio::time::timeout(limit, work).await {
        Ok(done) => done,
        Err(_) => {
            let silent = format!("no answer within {} s", limit.as_secs());
            Err(sqlx::Error::Io(std::io::Error::new(std::io::ErrorKind::TimedOut, silent)))
        }
    }
}

/// Array parameters give the planner no row counts, so it is kept on indexes (`docs/contract.md` §6.3).
/// What cannot but scan looks endlessly dear then, and would be compiled anew at every execution: 30 to 100 ms each.
const PLANNER: &[(&str, &str)] = &[
    ("enable_seqscan", "off"),
    ("enable_hashjoin", "off"),
    ("enable_mergejoin", "off"),
    ("jit", "off"),
];

/// How every session begins: what is pinned goes with the greeting, so that it holds for the first statement, too.
///
/// # Errors
/// The URL is not one of Postgres's.
pub fn options(url: &str) -> sqlx::Result<PgConnectOptions> {
    Ok(url
        .parse::<PgConnectOptions>()?
        .application_name("vitrina")
        .options(PINNED.iter().copied())
        .log_statements(tracing::log::LevelFilter::Trace))
}

/// A connection of its own for one generation's rules: unqualified names are that generation's tables. Postgres works on
/// one statement for `timeout` at most.
///
/// # Errors
/// Postgres does not take the connection.
pub async fn writer(
    options: &PgConnectOptions,
    schema: &str,
    statements: usize,
    timeout: Duration,
) -> sqlx::Result<PgConnection> {
    let search_path = format!("{}, pg_catalog, pg_temp", crate::quote(schema));
    let lock_timeout = format!("{}ms", (timeout * 2 / 3).as_millis().max(1));
    let timeout = format!("{}ms", timeout.as_millis());
    let own = [
        ("search_path", search_path.as_str()),
        ("statement_timeout", timeout.as_str()),
        ("lock_timeout", lock_timeout.as_str()),
    ];
    let settings = PLANNER.iter().copied().chain([IDLE]).chain(own);
    let options = options.clone().options(settings).statement_cache_capacity(statements.max(100));
    within(CONNECT, async {
        let mut connection = PgConnection::connect_with(&options).await?;
        pin_newer(&mut connection).await?;
        Ok(connection)
    })
    .await
}

/// Pins what a greeting cannot name, because older servers would refuse it.
///
/// # Errors
/// Postgres is away.
pub async fn pin_newer(connection: &mut PgConnection) -> sqlx::Result<()> {
    connection.execute(PIN_NEWER).await.map(drop)
}

/// A pool for the control tables. What runs on it may be cut short by a time-out, and a cancelled BEGIN would leave the
/// connection in a transaction (sqlx #4393): so each is rolled back when it comes home. A ROLLBACK alone would be worth a
/// line in the server's log each time.
pub fn control_pool(options: &PgConnectOptions, connections: u32) -> PgPool {
    PgPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(CONNECT)
        .after_connect(|connection, _| Box::pin(pin_newer(connection)))
        .after_release(|connection, _| {
            Box::pin(async move { connection.execute("BEGIN; ROLLBACK").await.map(|_| true) })
        })
        .connect_lazy_with(options.clone())
}
