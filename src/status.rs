//! `vitrina status`: how each model is, from what instances have written to Postgres and from Kafka's own ends.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use sqlx::postgres::PgConnection;
use sqlx::{ConnectOptions as _, Connection as _};
use vitrina_ingest::Cluster;
use vitrina_projectors::session;

use crate::Failure;
use crate::config::Config;

const KAFKA_TIMEOUT: Duration = Duration::from_secs(5);
/// An instance that has not written its state for so long is gone.
const FRESH: &str = "10 seconds";

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The answer as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Answer {
    models: Vec<ModelStatus>,
}

#[derive(Serialize)]
struct ModelStatus {
    model: String,
    generation: Option<i32>,
    state: String,
    reason: Option<String>,
    partitions: Vec<PartitionStatus>,
    parked: i64,
    last_error: Option<String>,
}

#[derive(Serialize)]
struct PartitionStatus {
    topic: String,
    partition: i32,
    position: i64,
    end: Option<i64>,
    lag: Option<i64>,
    lag_seconds: Option<f64>,
}

#[derive(sqlx::FromRow)]
struct ModelRow {
    model: String,
    generation: Option<i32>,
    state: Option<String>,
    reason: Option<String>,
    last_error: Option<String>,
}

#[derive(sqlx::FromRow)]
struct PositionRow {
    model: String,
    topic: String,
    partition: i32,
    next_offset: i64,
    age: Option<f64>,
}

/// The worst state that a running instance reports speaks for the model: what has stopped must not hide behind what runs.
const MODELS: &str = "
    SELECT coalesce(m.model, w.model) AS model, m.live AS generation, w.state, w.reason, w.last_error
    FROM vitrina.model m FULL JOIN (
        SELECT DISTINCT ON (model) model, state, reason, last_error FROM vitrina.worker
        WHERE updated_at > now() - $1::interval
        ORDER BY model,
            array_position(ARRAY['stopped', 'breaker_open', 'waiting', 'paused', 'catching_up', 'live', 'starting'], state)
    ) w ON w.model = m.model
    ORDER BY 1";

const POSITIONS: &str = "
    SELECT p.model, p.topic, p.partition, p.next_offset, extract(epoch FROM now() - p.event_time)::float8 AS age
    FROM vitrina.position p JOIN vitrina.model m ON m.model = p.model AND m.live = p.generation
    ORDER BY 1, 2, 3";

pub(crate) async fn run(arguments: Arguments, config: Config) -> Result<(), Failure> {
    let options = session::options(&config.postgres_url)
        .map_err(|error| Failure::Usage(format!("postgres.url is not a Postgres URL: {error}")))?;
    let mut connection = options
        .connect()
        .await
        .map_err(|error| Failure::No(format!("Postgres (postgres.url) does not answer: {error}")))?;
    let (models, positions) = read(&mut connection).await.map_err(|error| match error.as_database_error() {
        Some(missing) if missing.code().as_deref() == Some("42P01") => {
            Failure::No("no Vitrina has run on this database yet (there are no control tables)".into())
        }
        _ => Failure::No(format!("Postgres (postgres.url): {error}")),
    })?;
    let _ = connection.close().await;
    let topics: Vec<String> = positions.iter().map(|position| position.topic.clone()).collect();
    let ends = ends(&config, topics).await;
    let answer = Answer { models: models.into_iter().map(|model| status(model, &positions, &ends)).collect() };
    if arguments.json {
        print_json(&answer)
    } else {
        print_lines(&answer)
    }
    Ok(())
}

async fn read(connection: &mut PgConnection) -> sqlx::Result<(Vec<ModelRow>, Vec<PositionRow>)> {
    let models = sqlx::query_as(MODELS).bind(FRESH).fetch_all(&mut *connection).await?;
    let positions = sqlx::query_as(POSITIONS).fetch_all(connection).await?;
    Ok((models, positions))
}

/// The log's end of each partition; none where Kafka does not answer.
async fn ends(config: &Config, mut topics: Vec<String>) -> BTreeMap<(String, i32), i64> {
    topics.sort();
    topics.dedup();
    let kafka = config.kafka.clone();
    let asked = tokio::task::spawn_blocking(move || {
        let cluster = Cluster::new(&kafka).ok()?;
        let mut ends = BTreeMap::new();
        for topic in topics {
            for (partition, _, end) in cluster.ends(&topic, KAFKA_TIMEOUT).ok()? {
                ends.insert((topic.clone(), partition), end);
            }
        }
        Some(ends)
    });
    asked.await.ok().flatten().unwrap_or_default()
}

fn status(row: ModelRow, positions: &[PositionRow], ends: &BTreeMap<(String, i32), i64>) -> ModelStatus {
    let own = positions.iter().filter(|position| position.model == row.model);
    let (state, reason) = match row.state {
        Some(state) => (state, row.reason),
        None => ("stopped".to_owned(), Some("no instance runs it".to_owned())),
    };
    let partitions = own
        .map(|position| {
            let end = ends.get(&(position.topic.clone(), position.partition)).copied();
            let lag = end.map(|end| (end - position.next_offset).max(0));
            let lag_seconds = lag.and_then(|lag| if lag == 0 { Some(0.0) } else { position.age });
            let (topic, partition) = (position.topic.clone(), position.partition);
            PartitionStatus { topic, partition, position: position.next_offset, end, lag, lag_seconds }
        })
        .collect();
    let (model, generation, last_error) = (row.model, row.generation, row.last_error);
    ModelStatus { model, generation, state, reason, partitions, parked: 0, last_error }
}

#[expect(clippy::print_stdout, reason = "the verb's answer")]
fn print_json(answer: &Answer) {
    println!("{}", serde_json::to_string_pretty(answer).unwrap_or_default());
}

#[expect(clippy::print_stdout, reason = "the verb's answer")]
fn print_lines(answer: &Answer) {
    if answer.models.is_empty() {
        println!("no models yet");
    }
    for model in &answer.models {
        let generation = model.generation.map(|number| format!("@{number}")).unwrap_or_default();
        println!("{}{generation}: {}", model.model, model.state);
        for (title, text) in [("reason", &model.reason), ("last error", &model.last_error)] {
            if let Some(text) = text {
                println!("  {title}: {text}");
            }
        }
        for partition in &model.partitions {
            let number = |value: Option<i64>| value.map_or_else(|| "?".to_owned(), |value| value.to_string());
            let seconds = partition.lag_seconds.map_or_else(|| "?".to_owned(), |seconds| format!("{seconds:.1}"));
            println!(
                "  {} {}: position {}, end {}, lag {} events, {seconds} s",
                partition.topic,
                partition.partition,
                partition.position,
                number(partition.end),
                number(partition.lag)
            );
        }
    }
}
