//! An operator's reset: Kafka's own tool has set offsets of the model's group, which is told by the missing tag and not by
//! the offset, for after every crash the group is behind. It is decided once for all partitions of the group, by one
//! instance, before any of them goes on; `vitrina.reset` remembers what was decided until our tag is back. A reset
//! backwards asks for another generation, because a part of the log applied to live rows again would count twice, and gets
//! none where the log has lost a part since, or one is built already; one forwards skips.

use std::collections::BTreeMap;
use std::time::Duration;

use sqlx::postgres::{PgConnection, PgPool};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _};
use vitrina_ingest::{GroupOffsets, KafkaSettings, Offset, Reset, TopicPartition};

use crate::fault::Fault;
use crate::generation::audit::audit;
use crate::generation::live::is_live;
use crate::generation::lock::{lock_generation, lock_model};
use crate::generation::start::retention::shortens_history;
use crate::generation::state::{Outcome, allow_shorter, building, give_up};
use crate::generation::stored::{self, Beginning, Generation};
use crate::names::{GenerationId, quote};
use crate::parked::inherit::inherit_skipped;
use crate::settings::Rewind;

/// How many partitions are named in a sentence.
const NAMED: usize = 3;
const DECIDED_BY: &str = "Kafka's offset tool";

/// What was decided of a model.
pub(crate) enum Decided {
    /// The generation is not live any more.
    Over,
    /// It goes on, with what is to be said of that.
    GoesOn(Option<String>),
}

/// Decides what the resets of the live generation's group ask for. `kafka`: whose log another generation would read; none:
/// one that has lost nothing.
///
/// # Errors
/// [`Fault`]; nothing is decided then.
pub(crate) async fn decide(
    pool: &PgPool,
    id: &GenerationId,
    offsets: &GroupOffsets,
    rewind: Rewind,
    kafka: Option<&KafkaSettings>,
) -> Result<Decided, Fault> {
    note_tagged(pool, &id.model, &offsets.tagged).await?;
    if offsets.resets.is_empty() {
        return Ok(Decided::GoesOn(None));
    }
    let mut connection = pool.acquire().await?.detach();
    let decided = decide_on(&mut connection, id, offsets, rewind, kafka).await;
    // What was not committed ends with the connection.
    let _ = connection.close().await;
    decided
}

/// The group's offsets of these partitions bear our tag: whatever is set there from now on is another reset.
///
/// # Errors
/// Postgres's.
pub(crate) async fn note_tagged(
    pool: &PgPool,
    model: &str,
    partitions: &[TopicPartition],
) -> sqlx::Result<()> {
    if partitions.is_empty() {
        return Ok(());
    }
    let (topics, numbers) = columns(partitions.iter().map(|(topic, number)| (&**topic, *number)));
    sqlx::query(
        "UPDATE vitrina.reset SET tagged_at = clock_timestamp()
         WHERE model = $1 AND tagged_at IS NULL AND (topic, partition) IN (SELECT * FROM unnest($2::text[], $3::int4[]))",
    )
    .bind(model)
    .bind(topics)
    .bind(numbers)
    .execute(pool)
    .await?;
    Ok(())
}

/// A generation goes live for the first time, and has read the whole log: what resets of the group ask for that were made
/// before has been done, and they are decided. The transaction of the swap holds the locks.
///
/// # Errors
/// Postgres's.
pub(crate) async fn answer(
    connection: &mut PgConnection,
    (from, to): (&GenerationId, &GenerationId),
    offsets: &GroupOffsets,
) -> Result<(), Fault> {
    let comes_back: bool = sqlx::query_scalar(
        "SELECT swapped_at IS NOT NULL FROM vitrina.generation WHERE model = $1 AND generation = $2",
    )
    .bind(&to.model)
    .bind(to.number)
    .fetch_one(&mut *connection)
    .await?;
    if comes_back {
        return Ok(());
    }
    let known = decided(connection, &from.model, offsets.looked.elapsed()).await?;
    let reached = reached(connection, from).await?;
    let new = offsets.resets.iter().filter(|reset| known.get(&key(reset)) != Some(&reset.offset.0));
    // Also what was no step back for the generation before: the new one, which reads on, would take it for one.
    let (mut answered, mut back) = (Vec::new(), Vec::new());
    for reset in new {
        let position = reached.get(&key(reset)).map(|reached| Offset(reached.next));
        if position.is_none_or(|position| reset.within_log() <= position) {
            answered.push(reset);
        }
        back.extend(position.filter(|at| reset.within_log() < *at).map(|at| (reset, at)));
    }
    if answered.is_empty() {
        return Ok(());
    }
    remember(connection, &from.model, &answered).await?;
    if back.is_empty() {
        return Ok(());
    }
    let told = format!("{}, as generation {} has done", because(&back, Rewind::Rebuild), to.number);
    tracing::warn!(model = %to.model, "nothing more is built: {told}");
    Ok(audit(connection, to, "reset", &told, DECIDED_BY).await?)
}

fn key(reset: &Reset) -> (String, i32) {
    (reset.topic.to_string(), reset.partition)
}

async fn decide_on(
    connection: &mut PgConnection,
    id: &GenerationId,
    offsets: &GroupOffsets,
    rewind: Rewind,
    kafka: Option<&KafkaSettings>,
) -> Result<Decided, Fault> {
    lock_model(connection, &id.model).await?;
    connection.execute("SET LOCAL lock_timeout = '15s'").await?;
    lock_generation(connection, id).await?;
    if !is_live(connection, id).await? {
        return Ok(Decided::Over);
    }
    let known = decided(connection, &id.model, offsets.looked.elapsed()).await?;
    let new: Vec<&Reset> = offsets
        .resets
        .iter()
        .filter(|reset| known.get(&key(reset)) != Some(&reset.offset.0))
        .collect();
    let mut note = None;
    if !new.is_empty() {
        remember(connection, &id.model, &new).await?;
        let reached = reached(connection, id).await?;
        // A partition that was never read begins at the log's start, whatever the group says.
        let moved: Vec<(&Reset, Offset)> = new
            .into_iter()
            .filter_map(|reset| Some((reset, Offset(reached.get(&key(reset))?.next))))
            .collect();
        tell_bounds(id, &moved);
        let back = moved.iter().any(|(reset, position)| reset.within_log() < *position);
        if back {
            note = rebuild(connection, id, &moved, rewind, kafka).await?;
        } else {
            for (reset, position) in &moved {
                if reset.within_log() > *position {
                    skip(connection, id, reset, *position).await?;
                }
            }
            if let Some(building) = building(connection, &id.model).await? {
                lock_generation(connection, &building).await?;
                inherit_skipped(connection, id, &building).await?;
                let fence = format!(
                    r#"UPDATE {}."@position" SET epoch = epoch + 1"#,
                    quote(&building.schema())
                );
                connection.execute(AssertSqlSafe(fence)).await?;
            }
        }
    }
    connection.execute("COMMIT").await?;
    Ok(Decided::GoesOn(note))
}

/// Resets that were decided, and whose partitions did not bear our tag again when the group's offsets were asked for, so long
/// ago: another instance may have tagged them since.
async fn decided(
    connection: &mut PgConnection,
    model: &str,
    ago: Duration,
) -> sqlx::Result<BTreeMap<(String, i32), i64>> {
    let known: Vec<(String, i32, i64)> = sqlx::query_as(
        r#"SELECT topic, partition, "offset" FROM vitrina.reset
           WHERE model = $1 AND (tagged_at IS NULL OR tagged_at > clock_timestamp() - make_interval(secs => $2))"#,
    )
    .bind(model)
    .bind(ago.as_secs_f64())
    .fetch_all(connection)
    .await?;
    Ok(known.into_iter().map(|(topic, partition, offset)| ((topic, partition), offset)).collect())
}

async fn remember(
    connection: &mut PgConnection,
    model: &str,
    resets: &[&Reset],
) -> sqlx::Result<()> {
    let (topics, partitions) = columns(resets.iter().map(|reset| (&*reset.topic, reset.partition)));
    let offsets: Vec<i64> = resets.iter().map(|reset| reset.offset.0).collect();
    sqlx::query(
        r#"INSERT INTO vitrina.reset (model, topic, partition, "offset")
           SELECT $1, * FROM unnest($2::text[], $3::int4[], $4::int8[])
           ON CONFLICT (model, topic, partition) DO UPDATE
           SET "offset" = EXCLUDED."offset", seen_at = now(), tagged_at = NULL"#,
    )
    .bind(model)
    .bind(topics)
    .bind(partitions)
    .bind(offsets)
    .execute(connection)
    .await?;
    Ok(())
}

/// Where a generation began to read a partition, and what it reads next.
#[derive(sqlx::FromRow)]
struct Reached {
    topic: String,
    partition: i32,
    first: i64,
    next: i64,
}

/// Of each partition that it has claimed.
async fn reached(
    connection: &mut PgConnection,
    id: &GenerationId,
) -> sqlx::Result<BTreeMap<(String, i32), Reached>> {
    let read = format!(
        r#"SELECT topic, partition, first_offset AS first, next_offset AS next FROM {}."@position""#,
        quote(&id.schema())
    );
    let rows: Vec<Reached> = sqlx::query_as(AssertSqlSafe(read)).fetch_all(connection).await?;
    Ok(rows.into_iter().map(|one| ((one.topic.clone(), one.partition), one)).collect())
}

/// Kafka's tool sets no offset outside of the log; whoever does is told what it counts as.
fn tell_bounds(id: &GenerationId, moved: &[(&Reset, Offset)]) {
    for (reset, _) in moved {
        let Reset { topic, partition, offset, log_start, log_end } = reset;
        let within = reset.within_log();
        if within != *offset {
            tracing::warn!(
                model = %id.model,
                "topic {topic} partition {partition}: the group's offset was set to {offset}, but the log goes from \
                 {log_start} to {log_end}: it counts as {within}"
            );
        }
    }
}

/// Begins to build another generation, unless one is being built that reads the same; why not, where its history would be
/// shorter. Who builds from given offsets has asked for that.
async fn rebuild(
    connection: &mut PgConnection,
    id: &GenerationId,
    moved: &[(&Reset, Offset)],
    rewind: Rewind,
    kafka: Option<&KafkaSettings>,
) -> Result<Option<String>, Fault> {
    let starts: BTreeMap<(String, i32), i64> = match rewind {
        Rewind::Rebuild => BTreeMap::new(),
        Rewind::FromThere => moved
            .iter()
            .map(|(reset, _)| ((reset.topic.to_string(), reset.partition), reset.within_log().0))
            .collect(),
    };
    if let Some(building) = building(connection, &id.model).await? {
        let number = building.number;
        let of_building = reached(connection, &building).await?;
        let begins_there = starts
            .iter()
            .all(|(key, start)| of_building.get(key).is_some_and(|one| one.first == *start));
        if begins_there {
            tracing::warn!(
                model = %id.model,
                "the group's offsets were set back; generation {number} is being built already, so nothing more is begun"
            );
            return Ok(None);
        }
    }
    let live = Generation::read(connection, id).await?;
    let because = because(moved, rewind);
    if let (Rewind::Rebuild, Some(kafka)) = (rewind, kafka)
        && let Some(why) = shortens_history(connection, id, &live.definition, kafka).await?
    {
        let note = format!("{because}, but {why}");
        audit(connection, id, "reset", &note, DECIDED_BY).await?;
        return Ok(Some(note));
    }
    give_up(connection, &id.model, Outcome::Superseded).await?;
    let (window, beginning) = (live.duplicate_window, Beginning::Building);
    let built = stored::create(connection, &live.definition, window, beginning, &because).await?;
    if rewind == Rewind::FromThere {
        allow_shorter(connection, &built, &[]).await?;
    }
    begin_at(connection, &built, &starts).await?;
    audit(connection, &built, "reset", &because, DECIDED_BY).await?;
    tracing::warn!(model = %id.model, "generation {} is being built, because {because}", built.number);
    Ok(None)
}

/// The generation reads these partitions from there; the others, as every generation, from the log's start.
async fn begin_at(
    connection: &mut PgConnection,
    id: &GenerationId,
    starts: &BTreeMap<(String, i32), i64>,
) -> sqlx::Result<()> {
    let begin = format!(
        r#"INSERT INTO {}."@position" (topic, partition, topic_id, epoch, next_offset, first_offset)
           SELECT topic, partition, '', 0, start, start
           FROM unnest($1::text[], $2::int4[], $3::int8[]) AS s(topic, partition, start)"#,
        quote(&id.schema())
    );
    let (topics, partitions) =
        columns(starts.keys().map(|(topic, partition)| (topic.as_str(), *partition)));
    let offsets: Vec<i64> = starts.values().copied().collect();
    sqlx::query(AssertSqlSafe(begin))
        .bind(topics)
        .bind(partitions)
        .bind(offsets)
        .execute(connection)
        .await?;
    Ok(())
}

fn because(moved: &[(&Reset, Offset)], rewind: Rewind) -> String {
    let back = moved.iter().filter(|(reset, position)| reset.within_log() < *position);
    let named: Vec<String> = back
        .map(|(reset, position)| {
            let Reset { topic, partition, .. } = reset;
            format!("{topic}/{partition} from {position} to {}", reset.within_log())
        })
        .collect();
    let more = match named.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let from = match rewind {
        Rewind::Rebuild => "it reads the whole log",
        Rewind::FromThere => "it reads from there",
    };
    format!(
        "the group's offsets were set back: {}{more}; {from}",
        named[..named.len().min(NAMED)].join(", ")
    )
}

/// The live generation goes on behind what the operator skips, which the audit keeps.
async fn skip(
    connection: &mut PgConnection,
    id: &GenerationId,
    reset: &Reset,
    from: Offset,
) -> sqlx::Result<()> {
    let (to, schema) = (reset.within_log(), quote(&id.schema()));
    let moving = format!(
        r#"WITH skipped AS (
               UPDATE {schema}."@position" SET next_offset = $5, epoch = epoch + 1, updated_at = now()
               WHERE topic = $3 AND partition = $4 RETURNING topic
           ), kept AS (
               INSERT INTO {schema}."@skipped" (topic, partition, from_offset, until_offset)
               SELECT topic, $4, $6, $5 FROM skipped
           )
           INSERT INTO vitrina.verdict
               (model, generation, serial, verdict, topic, partition, "offset", until_offset, decided_by)
           SELECT model, generation, serial, 'skipped', $3, $4, $6, $5, $7
           FROM vitrina.generation, skipped WHERE model = $1 AND generation = $2"#
    );
    sqlx::query(AssertSqlSafe(moving))
        .bind(&id.model)
        .bind(id.number)
        .bind(&*reset.topic)
        .bind(reset.partition)
        .bind(to.0)
        .bind(from.0)
        .bind(DECIDED_BY)
        .execute(connection)
        .await?;
    tracing::warn!(
        model = %id.model,
        "topic {} partition {}: the group's offset was set forward, so offsets {from} to {} are skipped",
        reset.topic,
        reset.partition,
        to.before(1)
    );
    Ok(())
}

fn columns<'a>(keys: impl Iterator<Item = (&'a str, i32)>) -> (Vec<&'a str>, Vec<i32>) {
    keys.unzip()
}
