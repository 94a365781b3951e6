//! What the log still holds: a generation that is built from a log which no longer reaches back to where the live one began
//! would have a shorter history, and a compacted log has holes. Neither is built unless somebody says so.

use std::collections::BTreeSet;
use std::time::Duration;

use sqlx::AssertSqlSafe;
use sqlx::postgres::PgConnection;
use vitrina_ingest::{KafkaSettings, Logs, compacted_topics, log_bounds, logs};

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
    topic_id: String,
    first_offset: i64,
    next_offset: i64,
    /// Of the first record that it has read.
    first_time: Option<String>,
    parked: i64,
}

async fn reached(connection: &mut PgConnection, id: &GenerationId) -> sqlx::Result<Vec<Reached>> {
    let reached = format!(
        r#"SELECT topic, partition, topic_id, first_offset, next_offset,
               to_char(first_time AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS first_time,
               (SELECT count(*) FROM {0}."@parked" k WHERE (k.topic, k.partition) = (p.topic, p.partition)) AS parked
           FROM {0}."@position" p ORDER BY 1, 2"#,
        quote(&id.schema())
    );
    sqlx::query_as(AssertSqlSafe(reached)).fetch_all(connection).await
}

impl Reached {
    /// Whether the topic is another one than the one that was read.
    fn is_recreated(&self, logs: &Logs) -> bool {
        let now = logs.ids.get(&self.topic).map_or("", String::as_str);
        now != self.topic_id && !now.is_empty() && !self.topic_id.is_empty()
    }
}

fn away() -> Fault {
    Fault::world("Kafka (kafka.brokers) does not answer, so nobody knows what the log still holds")
}

/// Those partitions whose log has ended before the position of `live`: it has lost what that one has read.
///
/// # Errors
/// [`Fault::World`] where nobody knows.
pub(crate) async fn cut_short(
    connection: &mut PgConnection,
    live: &GenerationId,
    kafka: &KafkaSettings,
) -> Result<Vec<(String, i32)>, Fault> {
    // First the positions, which move on with the log's end.
    let reached = reached(connection, live).await?;
    let topics = reached.iter().map(|one| one.topic.clone()).collect();
    let bounds = log_bounds(kafka, topics, PATIENCE).await.ok_or_else(away)?;
    let partitions = reached.into_iter().map(|one| ((one.topic, one.partition), one.next_offset));
    let cut = partitions.filter(|(key, next)| bounds.get(key).is_some_and(|(_, end)| next > end));
    Ok(cut.map(|(key, _)| key).collect())
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
/// or is another one, or ends before it, or a topic is compacted and its contract does not say that nothing is lost by it.
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
    // First the positions, which move on with the log's end.
    let reached = reached(connection, live).await?;
    let (logs, compaction) = tokio::join!(
        logs(kafka, topics, PATIENCE),
        compacted_topics(kafka, &unsafe_topics, PATIENCE)
    );
    let (logs, compaction) = (logs.ok_or_else(away)?, compaction.ok_or_else(away)?);
    let mut lost = recreated(live, &reached, &logs);
    let same = reached.iter().filter(|one| !one.is_recreated(&logs));
    lost.extend(same.filter_map(|one| shortened(live, one, &logs)));
    lost.extend(compaction.compacted.iter().map(|topic| {
        format!(
            "topic {topic} is compacted (cleanup.policy), so events of keys that came again are gone: where a key's last event \
             is enough, say compaction_loses_nothing = true in its context.toml"
        )
    }));
    // What is not there has lost nothing.
    let is_there = |topic: &&String| logs.bounds.keys().any(|(other, _)| other == *topic);
    lost.extend(compaction.untold.iter().filter(is_there).map(|topic| {
        format!(
            "topic {topic} may be compacted, which Kafka does not tell: allow DescribeConfigs on it, or, where a key's last \
             event is enough, say compaction_loses_nothing = true in its context.toml"
        )
    }));
    Ok(lost)
}

/// What is lost of topics that were deleted and created again, topic by topic.
fn recreated(live: &GenerationId, reached: &[Reached], logs: &Logs) -> Vec<String> {
    let gone = reached.iter().filter(|one| one.is_recreated(logs));
    let topics: BTreeSet<&str> = gone.map(|one| one.topic.as_str()).collect();
    let told = topics.into_iter().map(|topic| {
        let own = reached.iter().filter(|one| one.topic == topic);
        let (offsets, parked) = own.fold((0, 0), |(offsets, parked), one| {
            (offsets + one.next_offset - one.first_offset, parked + one.parked)
        });
        let parked = match parked {
            0 => String::new(),
            parked => format!(", and {parked} parked records with them"),
        };
        format!(
            "topic {topic} was deleted and created again: {offsets} offsets that {live} has read would be lost{parked}"
        )
    });
    told.collect()
}

/// What is lost of the log that a generation has read.
fn shortened(live: &GenerationId, one: &Reached, logs: &Logs) -> Option<String> {
    let Reached { topic, partition, first_offset, next_offset, first_time, .. } = one;
    let (start, end) = *logs.bounds.get(&(topic.clone(), *partition))?;
    if start > *first_offset {
        let time = first_time.as_ref().map(|time| format!(", {time}")).unwrap_or_default();
        return Some(format!(
            "topic {topic} partition {partition}: {live} began at offset {first_offset}{time}, and the log begins at {start} \
             now: {} offsets would be lost",
            start - first_offset
        ));
    }
    (*next_offset > end).then(|| {
        format!(
            "topic {topic} partition {partition}: {live} has read up to offset {next_offset}, and the log ends at {end} now: \
             {} offsets would be lost",
            next_offset - end
        )
    })
}

/// # Errors
/// [`Refusal::Wrong`] where the log does not hold what the generation has to read next.
pub(crate) async fn reaches_position(
    connection: &mut PgConnection,
    id: &GenerationId,
    kafka: &KafkaSettings,
) -> Result<(), Refusal> {
    let reached = reached(connection, id).await?;
    let topics = reached.iter().map(|reached| reached.topic.clone()).collect();
    let logs = logs(kafka, topics, PATIENCE).await.ok_or_else(away)?;
    let lost: Vec<String> = reached.iter().filter_map(|one| unreachable(id, one, &logs)).collect();
    if lost.is_empty() {
        return Ok(());
    }
    Err(Refusal::Wrong(format!(
        "{}\n{id} cannot be brought up to date, and nothing was changed: build one anew with `vitrina rebuild {}`",
        lost.join("\n"),
        id.model
    )))
}

/// Why a generation cannot read on in a partition.
fn unreachable(id: &GenerationId, one: &Reached, logs: &Logs) -> Option<String> {
    let Reached { topic, partition, next_offset, .. } = one;
    if one.is_recreated(logs) {
        return Some(format!("topic {topic} was deleted and created again since {id} read it"));
    }
    let (start, end) = *logs.bounds.get(&(topic.clone(), *partition))?;
    let bound = match () {
        () if start > *next_offset => format!("begins at {start}"),
        () if end < *next_offset => format!("ends at {end}"),
        () => return None,
    };
    Some(format!(
        "topic {topic} partition {partition}: {id} has read up to offset {next_offset}, and the log {bound} now"
    ))
}
