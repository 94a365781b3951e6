//! One fresh database a test. It is left to the cluster, which ends with the run: a failed test can be looked into.

use serde_json::Value;
use sqlx::postgres::{PgPool, PgPoolOptions};
use sqlx::{AssertSqlSafe, Executor};

use super::{PATIENCE, Stack, eventually, unique};

pub struct Database {
    /// What `[postgres] url` is set to.
    pub url: String,
    pub pool: PgPool,
}

impl Database {
    pub async fn create() -> Self {
        Self::create_on(&Stack::get().postgres).await
    }

    /// On another server, by its superuser's URL.
    pub async fn create_on(server: &str) -> Self {
        let name = unique("test");
        let admin = connect(server).await;
        admin.execute(AssertSqlSafe(format!("CREATE DATABASE {name}"))).await.unwrap();
        admin.close().await;
        let (cluster, _) = server.rsplit_once('/').unwrap();
        let url = format!("{cluster}/{name}");
        Self { pool: connect(&url).await, url }
    }

    /// Runs statements for their effect.
    pub async fn execute(&self, sql: &str) {
        self.pool.execute(AssertSqlSafe(sql.to_owned())).await.unwrap();
    }

    /// The rows of a query, each a JSON object.
    pub async fn rows(&self, query: &str) -> Value {
        self.try_rows(query).await.unwrap()
    }

    /// The same, where the query may fail, for instance because its table does not exist yet.
    pub async fn try_rows(&self, query: &str) -> Result<Value, sqlx::Error> {
        let sql = format!("SELECT coalesce(jsonb_agg(to_jsonb(r)), '[]') FROM ({query}) AS r");
        sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&self.pool).await
    }

    /// Waits until the query has exactly these rows.
    pub async fn eventually(&self, query: &str, expected: &Value) {
        eventually(PATIENCE, async || match self.try_rows(query).await {
            Ok(rows) if rows == *expected => Ok(()),
            Ok(rows) => Err(format!("{rows} instead of {expected}")),
            Err(error) => Err(error.to_string()),
        })
        .await;
    }
}

async fn connect(url: &str) -> PgPool {
    PgPoolOptions::new().max_connections(2).connect(url).await.unwrap()
}
