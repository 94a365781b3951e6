//! How far the demo's views are behind its log.

use std::time::Duration;

use sqlx::{AssertSqlSafe, PgPool};
use vitrina_ingest::Cluster;
use vitrina_projectors::{Definitions, Sqlstate, quote};

use crate::config::Config;

pub(crate) struct Views {
    pub(crate) pool: PgPool,
    /// Each model and its topics.
    pub(crate) models: Vec<(String, Vec<String>)>,
    cluster: Cluster,
}

impl Views {
    pub(crate) async fn new(config: &Config, definitions: &Definitions) -> anyhow::Result<Self> {
        let models = definitions
            .models
            .iter()
            .map(|model| (model.model.name.clone(), model.topics()))
            .collect();
        let pool = PgPool::connect(&config.postgres_url).await?;
        Ok(Self { pool, models, cluster: Cluster::new(&config.kafka)? })
    }

    /// Whether every model has its tables.
    pub(crate) async fn are_there(&self) -> anyhow::Result<bool> {
        let live = sqlx::query_scalar("SELECT count(*) FROM vitrina.model WHERE live IS NOT NULL")
            .fetch_one(&self.pool)
            .await;
        let live: Option<i64> = unless_missing(live)?;
        Ok(live.is_some_and(|live| live >= self.models.len() as i64))
    }

    /// Records between the positions and the ends, of the model that is furthest behind.
    pub(crate) async fn behind(&self) -> anyhow::Result<i64> {
        let mut most = 0;
        for (model, topics) in &self.models {
            let mut behind = 0;
            for topic in topics {
                for (partition, start, end) in self.cluster.ends(topic, Duration::from_secs(5))? {
                    behind += end - self.position(model, topic, partition).await?.unwrap_or(start);
                }
            }
            most = most.max(behind);
        }
        Ok(most)
    }

    async fn position(
        &self,
        model: &str,
        topic: &str,
        partition: i32,
    ) -> anyhow::Result<Option<i64>> {
        let live: sqlx::Result<Option<i32>> =
            sqlx::query_scalar("SELECT live FROM vitrina.model WHERE model = $1")
                .bind(model)
                .fetch_one(&self.pool)
                .await;
        let Some(live) = unless_missing(live)?.flatten() else { return Ok(None) };
        let position = format!(
            r#"SELECT next_offset FROM {}."@position" WHERE topic = $1 AND partition = $2"#,
            quote(&format!("{model}@{live}"))
        );
        let next = sqlx::query_scalar(AssertSqlSafe(position))
            .bind(topic)
            .bind(partition)
            .fetch_optional(&self.pool)
            .await;
        Ok(unless_missing(next)?.flatten())
    }
}

/// `None` while the service has not made its tables yet.
pub(super) fn unless_missing<T>(answer: sqlx::Result<T>) -> sqlx::Result<Option<T>> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(error) if Sqlstate::of(&error) == Some(Sqlstate::NoTable) => Ok(None),
        Err(error) => Err(error),
    }
}
