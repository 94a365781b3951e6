//! Rows that are too many to hold, from one state of the database. Invariant: the transaction has a connection of its own,
//! which ends with it, however that ends; never more than one batch of rows is held.

use std::time::Duration;

use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _};
use vitrina_projectors::session;

use super::{ACQUIRE_TIMEOUT, Binds, Database, DatabaseError, GRACE, Statement, texts};

/// What a batch is to come to, and how many rows it has at most.
const BATCH_BYTES: usize = 256 * 1024;
const BATCH_ROWS: usize = 1000;
/// The rows of the first batch, of whose size nothing is known.
const FIRST_ROWS: usize = 100;
/// How many times as long as on a query Postgres may work on each batch after the first: whoever has begun to read is not
/// to be cut off because the rows lie far apart.
const LATER: u32 = 10;

/// One state of the database, for as long as this is kept.
pub(crate) struct Snapshot {
    connection: PgConnection,
    patience: Duration,
}

/// The rows of a statement, each of them an array of texts, `data`.
pub(crate) struct Rows {
    snapshot: Snapshot,
    batch: usize,
}

impl Database {
    /// Takes one. Postgres ends it where nothing is asked of it for as long as `idle`.
    pub(crate) async fn snapshot(&self, idle: Duration) -> Result<Snapshot, DatabaseError> {
        let begin = format!(
            "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
             SET LOCAL idle_in_transaction_session_timeout = {}",
            idle.as_millis()
        );
        let options = self.pool.connect_options();
        let begun = async {
            let mut connection = PgConnection::connect_with(&options).await?;
            session::pin_newer(&mut connection).await?;
            connection.execute(AssertSqlSafe(begin)).await?;
            Ok::<_, sqlx::Error>(connection)
        };
        let connection = tokio::time::timeout(ACQUIRE_TIMEOUT, begun).await.map_err(silent)??;
        Ok(Snapshot { connection, patience: self.patience })
    }
}

impl Snapshot {
    /// The statement's first row.
    pub(crate) async fn first(
        &mut self,
        statement: Statement,
    ) -> Result<Option<PgRow>, DatabaseError> {
        Ok(self.all(statement).await?.into_iter().next())
    }

    /// Begins to read the rows of a statement. A cursor's plan is one that comes to its first rows soon.
    pub(crate) async fn rows(mut self, statement: Statement) -> Result<Rows, DatabaseError> {
        let text = format!("DECLARE list NO SCROLL CURSOR FOR {}", statement.text);
        self.all(Statement { text, ..statement }).await?;
        Ok(Rows { snapshot: self, batch: FIRST_ROWS })
    }

    async fn all(&mut self, statement: Statement) -> Result<Vec<PgRow>, DatabaseError> {
        let rows = statement.query().persistent(false).fetch_all(&mut self.connection);
        Ok(tokio::time::timeout(self.patience, rows).await.map_err(silent)??)
    }
}

impl Rows {
    /// The next ones, at least one unless there are no more.
    pub(crate) async fn next(&mut self) -> Result<Vec<PgRow>, DatabaseError> {
        let fetch = format!("FETCH {} FROM list", self.batch);
        let rows = self.snapshot.all(Statement::free(fetch, Binds::default())).await?;
        let bytes: usize = rows.iter().map(texts::bytes).sum();
        self.batch = (BATCH_BYTES * rows.len() / bytes.max(1)).clamp(1, BATCH_ROWS);
        Ok(rows)
    }

    /// Ends it in good order.
    pub(crate) async fn close(self) {
        // All rows are read: how the server takes the leave is nothing to anybody.
        self.snapshot.connection.close().await.ok();
    }

    /// Gives Postgres more time for each batch from here on.
    pub(crate) async fn take_time(&mut self) -> Result<(), DatabaseError> {
        let timeout = self.snapshot.patience.saturating_sub(GRACE) * LATER;
        let text = format!("SET LOCAL statement_timeout = {}", timeout.as_millis());
        self.snapshot.all(Statement::free(text, Binds::default())).await?;
        self.snapshot.patience = timeout + GRACE;
        Ok(())
    }
}

fn silent(_: tokio::time::error::Elapsed) -> DatabaseError {
    DatabaseError::Unavailable("Postgres does not answer".into())
}
