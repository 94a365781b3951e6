//! What the log still holds: a generation that is built from a log which no longer reaches back to where the live one began
//! would have a shorter history, and a compacted log has holes. Neither is built unless somebody says so.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use sqlx::AssertSqlSafe;
use sqlx::postgres::PgConnection;
use vitrina_ingest::{KafkaSettings, compacted_topics, log_bounds};

use crate::definition::Definition;
use crate::fault::Fault;
use crate::names::{GenerationId, quote};
use crate::parked::refusal::Refusal;

const PATIENCE: Duration = Duration::from_secs(10);
/// How many losses are named in a sentence.
const NAMED: usize = 3;

/// Where a generation stands in a partition.
#[derive(sqlx::FromRow)]
struct Reached {
    topic: String,
    partition: i32,
    first_offset: i64,
    next_offset: i64,
    /// Of the first record that it has read.
    first_time: Option<String>,
}

async fn reached(connection: &mut PgConnection, id: &GenerationId) -> sqlx::Result<Vec<Reached>> {
    let reached = format!(
        r#"SELECT topic, partition, first_offset, next_offset,
               to_char(first_time AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS first_time
           FROM {}."@position" ORDER BY 1, 2"#,
        quote(&id.schema())
    );
    sqlx::query_as(AssertSqlSafe(reached)).fetch_all(connection).await
}

async fn starts(
    kafka: &KafkaSettings,
    topics: BTreeSet<String>,
) -> Result<BTreeMap<(String, i32), i64>, Fault> {
    let bounds = log_bounds(kafka, topics, PATIENCE).await.ok_or_else(away)?;
    Ok(bounds.into_iter().map(|(partition, (start, _))| (partition, start)).collect())
}

fn away() -> Fault {
    Fault::world("Kafka (kafka.brokers) does not answer, so nobody knows what the log still holds")
}

/// # Errors
/// [`Refusal::Wrong`] where a new generation of `definition` would have a shorter history than the live one.
pub(crate) async fn keeps_history(
    connection: &mut PgConnection,
    live: &GenerationId,
    definition: &Definition,
    kafka: &KafkaSettings,
) -> Result<(), Refusal> {
    let mut lost = lost(connection, live, definition, kafka).await?;
    if lost.is_empty() {
        return Ok(());
    }
    lost.push("nothing was begun; --allow-shorter-history builds from what there is".to_owned());
    Err(Refusal::Wrong(lost.join("\n")))
}

/// Why a new generation of `definition` is not begun unless an operator says so, for people; none where it would have all of
/// the live one's history.
///
/// # Errors
/// [`Fault::World`] where nobody knows.
pub(crate) async fn shortens_history(
    connection: &mut PgConnection,
    live: &GenerationId,
    definition: &Definition,
    kafka: &KafkaSettings,
) -> Result<Option<String>, Fault> {
    let lost = lost(connection, live, definition, kafka).await?;
    if lost.is_empty() {
        return Ok(None);
    }
    let more = match lost.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!("; and {more} more"),
    };
    Ok(Some(format!(
        "no other generation is begun, for its history would be shorter: {}{more}; `vitrina rebuild {} \
         --allow-shorter-history` builds from what there is",
        lost[..lost.len().min(NAMED)].join("; "),
        live.model
    )))
}

/// What a new generation of `definition` would lack of the live one's history: where the log begins later than that one did,
/// or a topic is compacted and its contract does not say that nothing is lost by it.
async fn lost(
    connection: &mut PgConnection,
    live: &GenerationId,
    definition: &Definition,
    kafka: &KafkaSettings,
) -> Result<Vec<String>, Fault> {
    let topics: BTreeSet<String> = definition.topics().into_iter().collect();
    let contexts = definition.contracts.contexts.values();
    let safe: BTreeSet<String> = contexts
        .filter(|context| context.compaction_loses_nothing)
        .map(|context| context.topic.clone())
        .collect();
    let unsafe_topics = &topics - &safe;
    let (starts, compaction) =
        tokio::join!(starts(kafka, topics), compacted_topics(kafka, &unsafe_topics, PATIENCE));
    let (starts, compaction) = (starts?, compaction.ok_or_else(away)?);
    let mut lost: Vec<String> = Vec::new();
    for Reached { topic, partition, first_offset, first_time, .. } in
        reached(connection, live).await?
    {
        let start = starts.get(&(topic.clone(), partition)).copied().unwrap_or(first_offset);
        if start > first_offset {
            let time = first_time.map(|time| format!(", {time}")).unwrap_or_default();
            lost.push(format!(
                "topic {topic} partition {partition}: {live} began at offset {first_offset}{time}, and the log begins at \
                 {start} now: {} offsets would be lost",
                start - first_offset
            ));
        }
    }
    lost.extend(compaction.compacted.iter().map(|topic| {
        format!(
            "topic {topic} is compacted (cleanup.policy), so events of keys that came again are gone: where a key's last event \
             is enough, say compaction_loses_nothing = true in its context.toml"
        )
    }));
    // What is not there has lost nothing.
    let is_there = |topic: &&String| starts.keys().any(|(other, _)| other == *topic);
    lost.extend(compaction.untold.iter().filter(is_there).map(|topic| {
        format!(
            "topic {topic} may be compacted, which Kafka does not tell: allow DescribeConfigs on it, or, where a key's last \
             event is enough, say compaction_loses_nothing = true in its context.toml"
        )
    }));
    Ok(lost)
}

/// # Errors
/// [`Refusal::Wrong`] where the log does not hold what the generation has to read next.
pub(crate) async fn reaches_position(
    connection: &mut PgConnection,
    id: &GenerationId,
    kafka: &KafkaSettings,
) -> Result<(), Refusal> {
    let reached = reached(connection, id).await?;
    let starts =
        starts(kafka, reached.iter().map(|reached| reached.topic.clone()).collect()).await?;
    let lost: Vec<String> = reached
        .iter()
        .filter_map(|Reached { topic, partition, next_offset, .. }| {
            let start = *starts.get(&(topic.clone(), *partition))?;
            (start > *next_offset).then(|| {
                format!(
                    "topic {topic} partition {partition}: {id} has read up to offset {next_offset}, and the log begins at \
                     {start} now"
                )
            })
        })
        .collect();
    if lost.is_empty() {
        return Ok(());
    }
    Err(Refusal::Wrong(format!(
        "{}\n{id} cannot be brought up to date, and nothing was changed: build one anew with `vitrina rebuild {}`",
        lost.join("\n"),
        id.model
    )))
}
