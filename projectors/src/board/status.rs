//! How each model is, over all instances: from what they have written to Postgres, and from Kafka's own ends.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use sqlx::PgConnection;
use vitrina_ingest::{KafkaSettings, log_bounds};

use crate::board::generations::GenerationStatus;
use crate::generation::live::{Live, over_live};
use crate::parked;
use crate::proof::store::{OneWriter, one_writers};

const KAFKA_TIMEOUT: Duration = Duration::from_secs(5);
/// An instance that has not written its state for so long is gone.
pub(super) const FRESH: &str = "10 seconds";

/// The answer of `vitrina status --json` and of `GET /admin/v1/models`.
#[derive(Debug, Default, Serialize)]
pub struct Status {
    pub models: Vec<ModelStatus>,
}

#[derive(Debug, Serialize)]
pub struct ModelStatus {
    pub model: String,
    /// The live one.
    pub generation: Option<i32>,
    pub state: String,
    pub reason: Option<String>,
    pub partitions: Vec<PartitionStatus>,
    pub parked: i64,
    pub last_error: Option<String>,
    /// RFC 3339.
    pub last_error_at: Option<String>,
    /// Where its rules allow several writers, and its records do not.
    pub one_writer: Option<OneWriter>,
    /// Ranges that an operator has skipped, of the live generation.
    pub skipped: Vec<Skipped>,
    /// Those that have a schema, the newest first.
    pub generations: Vec<GenerationStatus>,
    pub ignored: Vec<IgnoredName>,
    /// Nothing has come but those.
    pub only_ignored: bool,
}

/// Records whose full name no contract of their topic knows.
#[derive(Debug, Clone, Serialize, sqlx::FromRow)]
pub struct IgnoredName {
    #[serde(skip)]
    model: String,
    pub topic: String,
    pub name: String,
    pub count: i64,
    /// The known name that was probably meant.
    pub nearest: Option<String>,
    /// Whether the generation has events besides.
    #[serde(skip)]
    has_events: bool,
}

/// Offsets that the live generation never read, because somebody set those of the group forward.
#[derive(Debug, Clone, Serialize, sqlx::FromRow)]
pub struct Skipped {
    #[serde(skip)]
    model: String,
    pub topic: String,
    pub partition: i32,
    pub from: i64,
    /// The next one that was read.
    pub to: i64,
    /// RFC 3339.
    pub at: String,
}

#[derive(Debug, Serialize)]
pub struct PartitionStatus {
    pub topic: String,
    pub partition: i32,
    /// The offset that is read next.
    pub position: i64,
    /// None where Kafka does not answer.
    pub end: Option<i64>,
    /// In events.
    pub lag: Option<i64>,
    pub lag_seconds: Option<f64>,
    /// Where this generation's history begins, in words; none where that is the log's beginning.
    pub first: Option<String>,
}

#[derive(sqlx::FromRow)]
struct ModelRow {
    model: String,
    generation: Option<i32>,
    state: Option<String>,
    reason: Option<String>,
    last_error: Option<String>,
    last_error_at: Option<String>,
    /// What the instance said that was heard last, whether it still runs or not.
    last_reason: Option<String>,
    /// Nothing can be written, not even what instances say.
    reads_only: bool,
}

#[derive(sqlx::FromRow)]
struct PositionRow {
    model: String,
    topic: String,
    partition: i32,
    next_offset: i64,
    /// Seconds that the views are behind the log, as its instance says, else since the last event.
    behind: Option<f64>,
    first_offset: i64,
    anew: bool,
    /// RFC 3339.
    first_time: Option<String>,
}

const SKIPPED: &str = r#"
    SELECT v.model, v.topic, v.partition, v."offset" AS "from", v.until_offset AS "to",
        to_char(v.decided_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS at
    FROM vitrina.verdict v JOIN vitrina.generation g USING (serial)
    WHERE v.verdict = 'skipped' AND g.state = 'live' ORDER BY v.id"#;

/// The worst state that a running instance reports speaks for the model: what has stopped must not hide behind what runs.
/// Of instances without its file only where no other has it; of a model that was dropped they have nothing more to say.
const MODELS: &str = "
    WITH worker AS (
        SELECT * FROM vitrina.worker w
        WHERE fed OR EXISTS (SELECT FROM vitrina.model m WHERE m.model = w.model)
    ), heard AS (
        SELECT DISTINCT ON (model) model, coalesce(reason, last_error) AS last_reason
        FROM worker ORDER BY model, updated_at DESC
    ), failed AS (
        SELECT DISTINCT ON (model) model, last_error, last_error_at
        FROM worker WHERE last_error IS NOT NULL ORDER BY model, last_error_at DESC
    ), running AS (
        SELECT DISTINCT ON (model) model, state, reason
        FROM worker WHERE updated_at > now() - $1::interval
        ORDER BY model, fed DESC,
            array_position(ARRAY['stopped', 'breaker_open', 'waiting', 'paused', 'catching_up', 'live', 'starting'], state)
    )
    SELECT model, m.live AS generation, r.state, r.reason, h.last_reason, f.last_error,
        to_char(f.last_error_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"') AS last_error_at,
        current_setting('transaction_read_only') = 'on' AS reads_only
    FROM vitrina.model m FULL JOIN heard h USING (model) LEFT JOIN running r USING (model) LEFT JOIN failed f USING (model)
    ORDER BY model";

/// The positions of all live generations. The last event's age alone would be hours after a quiet night.
fn positions(live: &[Live]) -> Option<String> {
    let positions = Live::union(live, |model, schema| {
        format!(
            r#"SELECT {model} AS model, topic, partition, next_offset, event_time, first_offset, anew, first_time
               FROM {schema}."@position""#
        )
    })?;
    Some(format!(
        r#"SELECT p.model, p.topic, p.partition, p.next_offset, p.first_offset, p.anew,
            to_char(p.first_time AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS first_time,
            coalesce(w.lag_ms / 1000.0, extract(epoch FROM now() - p.event_time))::float8 AS behind
        FROM ({positions}) p
        LEFT JOIN LATERAL (
            SELECT w.lag_ms FROM vitrina.worker w
            WHERE w.model = p.model AND w.updated_at > now() - interval '{FRESH}'
                AND w.partitions @> jsonb_build_array(jsonb_build_object('topic', p.topic, 'partition', p.partition))
            ORDER BY w.updated_at DESC LIMIT 1
        ) w ON true
        ORDER BY 1, 2, 3"#
    ))
}

/// The names that no contract knows, of all live generations.
fn ignored(live: &[Live]) -> Option<String> {
    let ignored = Live::union(live, |model, schema| {
        format!(
            r#"SELECT {model} AS model, topic, name, count, nearest, has_events
            FROM {schema}."@ignored", {schema}."@generation""#
        )
    })?;
    Some(format!("{ignored} ORDER BY 1, 2, 4 DESC, 3"))
}

/// A log begins with offset 0, also where it is compacted. So what lies before another first offset was there once; and what
/// a topic held that was created again.
fn first(position: &PositionRow) -> Option<String> {
    let PositionRow { first_offset, anew, first_time, .. } = position;
    let time = match first_time {
        Some(time) => format!("with a record of {time}"),
        None => "with what comes next".to_owned(),
    };
    let gone = match anew {
        _ if *first_offset > 0 => {
            "what lies before was gone from the log when this generation first read it"
        }
        true => "the topic was deleted and created again, and what it held before is gone",
        false => return None,
    };
    Some(format!("history begins at offset {first_offset}, {time}: {gone}"))
}

impl Status {
    /// # Errors
    /// Postgres's. Kafka may be away: then the ends are not known.
    pub async fn read(connection: &mut PgConnection, kafka: &KafkaSettings) -> sqlx::Result<Self> {
        let rows = Rows::read(connection).await?;
        let topics = rows.positions.iter().map(|position| position.topic.clone()).collect();
        let ends = log_bounds(kafka, topics, KAFKA_TIMEOUT).await.unwrap_or_default();
        Ok(Self { models: rows.models.iter().map(|model| status(model, &rows, &ends)).collect() })
    }
}

/// What Postgres says of all models.
struct Rows {
    models: Vec<ModelRow>,
    positions: Vec<PositionRow>,
    parked: BTreeMap<String, i64>,
    one_writers: Vec<OneWriter>,
    skipped: Vec<Skipped>,
    ignored: Vec<IgnoredName>,
    generations: Vec<(String, GenerationStatus)>,
}

impl Rows {
    async fn read(connection: &mut PgConnection) -> sqlx::Result<Self> {
        let models = sqlx::query_as(MODELS).bind(FRESH).fetch_all(&mut *connection).await?;
        let generations = GenerationStatus::all(connection).await?;
        let skipped = sqlx::query_as(SKIPPED).fetch_all(&mut *connection).await?;
        let positions = over_live(&mut *connection, positions).await?;
        let one_writers = over_live(&mut *connection, one_writers).await?;
        let ignored = over_live(&mut *connection, ignored).await?;
        let parked = parked::count(connection).await?.into_iter().collect();
        Ok(Self { models, positions, parked, one_writers, skipped, generations, ignored })
    }
}

fn status(row: &ModelRow, rows: &Rows, ends: &BTreeMap<(String, i32), (i64, i64)>) -> ModelStatus {
    let own = rows.positions.iter().filter(|position| position.model == row.model);
    let (state, reason) = match &row.state {
        Some(state) => (state.clone(), row.reason.clone()),
        None if row.reads_only => {
            let reason = "Postgres (postgres.url) only reads: nothing can be written there, not even what instances say";
            ("waiting".to_owned(), Some(reason.to_owned()))
        }
        None => {
            let last = row
                .last_reason
                .as_ref()
                .map(|reason| format!("; the last one said: {reason}"))
                .unwrap_or_default();
            ("stopped".to_owned(), Some(format!("no instance runs it{last}")))
        }
    };
    let partitions = own
        .map(|position| {
            let end = ends.get(&(position.topic.clone(), position.partition)).map(|(_, end)| *end);
            let lag = end.map(|end| (end - position.next_offset).max(0));
            let lag_seconds =
                lag.and_then(|lag| if lag == 0 { Some(0.0) } else { position.behind });
            let (topic, partition) = (position.topic.clone(), position.partition);
            PartitionStatus {
                topic,
                partition,
                position: position.next_offset,
                end,
                lag,
                lag_seconds,
                first: first(position),
            }
        })
        .collect();
    let generations = rows.generations.iter().filter(|(model, _)| *model == row.model);
    let ignored = rows.ignored.iter().filter(|name| name.model == row.model);
    let ignored: Vec<IgnoredName> = ignored.cloned().collect();
    ModelStatus {
        model: row.model.clone(),
        generation: row.generation,
        state,
        reason,
        partitions,
        parked: rows.parked.get(&row.model).copied().unwrap_or(0),
        last_error: row.last_error.clone(),
        last_error_at: row.last_error_at.clone(),
        one_writer: rows.one_writers.iter().find(|one| one.model == row.model).cloned(),
        skipped: rows.skipped.iter().filter(|one| one.model == row.model).cloned().collect(),
        generations: generations.map(|(_, generation)| generation.clone()).collect(),
        only_ignored: !ignored.is_empty() && !ignored.iter().any(|name| name.has_events),
        ignored,
    }
}
