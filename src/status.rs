//! `vitrina status`: how each model is, from what instances have written to Postgres and from Kafka's own ends.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use sqlx::{ConnectOptions as _, Connection as _};
use vitrina_ingest::Cluster;
use vitrina_projectors::session;

use crate::config::Config;
use crate::output::say;
use crate::{Failure, postgres_words};

/// How long Postgres may take for all of its answers.
const PATIENCE: Duration = Duration::from_secs(10);
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
    /// What the instance said that was heard last, whether it still runs or not.
    last_reason: Option<String>,
}

#[derive(sqlx::FromRow)]
struct PositionRow {
    model: String,
    topic: String,
    partition: i32,
    next_offset: i64,
    /// Seconds that the views are behind the log, as its instance says, else since the last event.
    behind: Option<f64>,
}

/// The worst state that a running instance reports speaks for the model: what has stopped must not hide behind what runs.
const MODELS: &str = "
    WITH heard AS (
        SELECT DISTINCT ON (model) model, coalesce(reason, last_error) AS last_reason, last_error
        FROM vitrina.worker ORDER BY model, updated_at DESC
    ), running AS (
        SELECT DISTINCT ON (model) model, state, reason, last_error
        FROM vitrina.worker WHERE updated_at > now() - $1::interval
        ORDER BY model,
            array_position(ARRAY['stopped', 'breaker_open', 'waiting', 'paused', 'catching_up', 'live', 'starting'], state)
    )
    SELECT model, m.live AS generation, r.state, r.reason, coalesce(r.last_error, h.last_error) AS last_error, h.last_reason
    FROM vitrina.model m FULL JOIN heard h USING (model) LEFT JOIN running r USING (model)
    ORDER BY model";

/// The last event's age alone would be hours after a quiet night.
const POSITIONS: &str = "
    SELECT p.model, p.topic, p.partition, p.next_offset,
        coalesce(w.lag_ms / 1000.0, extract(epoch FROM now() - p.event_time))::float8 AS behind
    FROM vitrina.position p JOIN vitrina.model m ON m.model = p.model AND m.live = p.generation
    LEFT JOIN LATERAL (
        SELECT w.lag_ms FROM vitrina.worker w
        WHERE w.model = p.model AND w.updated_at > now() - $1::interval
            AND w.partitions @> jsonb_build_array(jsonb_build_object('topic', p.topic, 'partition', p.partition))
        ORDER BY w.updated_at DESC LIMIT 1
    ) w ON true
    ORDER BY 1, 2, 3";

pub(crate) async fn run(arguments: Arguments, config: Config) -> Result<(), Failure> {
    let asked = tokio::time::timeout(PATIENCE, read(&config)).await.map_err(|_| {
        let place = postgres_words::place(&config.postgres_url);
        Failure::No(format!("{place} did not answer within {} s; see that it runs", PATIENCE.as_secs()))
    })?;
    let Some((models, positions)) = asked? else {
        let place = postgres_words::place(&config.postgres_url);
        let unused = format!("no Vitrina has run on {place} yet; `vitrina serve` starts one");
        return if arguments.json { say_json(&Answer { models: Vec::new() }) } else { say(&unused) };
    };
    let topics: Vec<String> = positions.iter().map(|position| position.topic.clone()).collect();
    let ends = ends(&config, topics).await;
    let answer = Answer { models: models.into_iter().map(|model| status(model, &positions, &ends)).collect() };
    if arguments.json { say_json(&answer) } else { say(&lines(&answer)) }
}

/// What instances have written; none where there are no control tables.
async fn read(config: &Config) -> Result<Option<(Vec<ModelRow>, Vec<PositionRow>)>, Failure> {
    let options = session::options(&config.postgres_url)
        .map_err(|error| Failure::Usage(format!("postgres.url is not a Postgres URL: {error}")))?;
    let asked = async {
        let mut connection = options.connect().await?;
        let models = sqlx::query_as(MODELS).bind(FRESH).fetch_all(&mut connection).await?;
        let positions = sqlx::query_as(POSITIONS).bind(FRESH).fetch_all(&mut connection).await?;
        // Both answers are here: how the connection ends changes nothing.
        let _ = connection.close().await;
        Ok((models, positions))
    };
    match asked.await {
        Ok(found) => Ok(Some(found)),
        Err(error) if is_missing(&error) => Ok(None),
        Err(error) => Err(Failure::No(postgres_words::describe(&error, &config.postgres_url))),
    }
}

/// Whether a table, or the schema it would be in, does not exist.
fn is_missing(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|refusal| refusal.code());
    matches!(code.as_deref(), Some("42P01" | "3F000"))
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
        None => {
            let last = row.last_reason.map(|reason| format!("; the last one said: {reason}")).unwrap_or_default();
            ("stopped".to_owned(), Some(format!("no instance runs it{last}")))
        }
    };
    let partitions = own
        .map(|position| {
            let end = ends.get(&(position.topic.clone(), position.partition)).copied();
            let lag = end.map(|end| (end - position.next_offset).max(0));
            let lag_seconds = lag.and_then(|lag| if lag == 0 { Some(0.0) } else { position.behind });
            let (topic, partition) = (position.topic.clone(), position.partition);
            PartitionStatus { topic, partition, position: position.next_offset, end, lag, lag_seconds }
        })
        .collect();
    let (model, generation, last_error) = (row.model, row.generation, row.last_error);
    ModelStatus { model, generation, state, reason, partitions, parked: 0, last_error }
}

fn say_json(answer: &Answer) -> Result<(), Failure> {
    say(&serde_json::to_string_pretty(answer)?)
}

/// The answer for people.
fn lines(answer: &Answer) -> String {
    if answer.models.is_empty() {
        return "no models yet; `vitrina serve` makes them".to_owned();
    }
    let mut lines = Vec::new();
    for model in &answer.models {
        let generation = model.generation.map(|number| format!("@{number}")).unwrap_or_default();
        lines.push(format!("{}{generation}: {}", model.model, model.state));
        for (title, text) in [("reason", &model.reason), ("last error", &model.last_error)] {
            lines.extend(text.as_ref().map(|text| format!("  {title}: {text}")));
        }
        lines.extend(model.partitions.iter().map(PartitionStatus::line));
    }
    lines.join("\n")
}

impl PartitionStatus {
    fn line(&self) -> String {
        let number = |value: Option<i64>| value.map_or_else(|| "?".to_owned(), |value| value.to_string());
        let seconds = self.lag_seconds.map_or_else(|| "?".to_owned(), |seconds| format!("{seconds:.1}"));
        let Self { topic, partition, position, .. } = self;
        let (end, lag) = (number(self.end), number(self.lag));
        format!("  {topic} {partition}: position {position}, end {end}, lag {lag} events, {seconds} s")
    }
}
