//! Which keys have parked records. The set follows Postgres by version: a batch that was planned with an older one is
//! refused in its own transaction, where the change is read under the generation's lock, so nothing is missed. A version
//! says nothing across a rollback by failover, so with a fence or another connection all is read anew.

use std::collections::{HashMap, HashSet};

use sqlx::encode::Encode;
use sqlx::postgres::PgConnection;
use sqlx::{Postgres, Type};
use vitrina_ingest::{Offset, Span, TopicPartition};

use super::store::Change;
use crate::batch::{Identity, QueueId};

/// How often what is parked of a topic has changed. A batch that was planned under another version is planned again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::Type)]
#[sqlx(transparent)]
pub(crate) struct ParkedVersion(i64);

/// The version that each position tells of what is parked, and of the proof that keys live in one partition.
pub(crate) type Versions = Vec<(TopicPartition, ParkedVersion)>;

/// How many records are parked, by queue and in all, of one generation.
#[derive(Debug, Default)]
pub(crate) struct Queues {
    lengths: HashMap<QueueId, u32>,
    total: u64,
    /// The newest row of `"@parked"` and of `"@verdict"` that is counted in.
    newest: Option<(i64, i64)>,
    versions: HashMap<TopicPartition, ParkedVersion>,
    /// Windows of duplicates that were read apart from this, and the newest verdict that they hold.
    windows: HashMap<TopicPartition, i64>,
    /// Records that were discarded before this generation came to them.
    discarded: HashMap<TopicPartition, HashSet<Offset>>,
    /// Events that decoded when they were retried, for the duplicates' window.
    late: Vec<(TopicPartition, Offset, Identity)>,
}

/// A row of `"@verdict"`: a record that has left its queue.
#[derive(sqlx::FromRow)]
struct Departure {
    id: i64,
    /// The id that it was parked as.
    parked: i64,
    queue: Option<Vec<u8>>,
    topic: String,
    partition: i32,
    /// Where it decoded only when it was retried.
    identity: Option<Vec<u8>>,
}

impl Queues {
    pub(crate) fn is_empty(&self) -> bool {
        self.lengths.is_empty()
    }

    /// Records of the queue.
    pub(crate) fn length(&self, queue: QueueId) -> u32 {
        self.lengths.get(&queue).copied().unwrap_or(0)
    }

    /// Whether the record is one to be skipped.
    pub(crate) fn is_discarded(&self, span: &Span, offset: Offset) -> bool {
        !self.discarded.is_empty()
            && self
                .discarded
                .get(&(span.topic.clone(), span.partition))
                .is_some_and(|offsets| offsets.contains(&offset))
    }

    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    /// Whether what is known is what these positions say.
    pub(crate) fn knows<'a>(
        &self,
        versions: impl IntoIterator<Item = &'a (TopicPartition, ParkedVersion)>,
    ) -> bool {
        versions
            .into_iter()
            .all(|(partition, version)| self.versions.get(partition) == Some(version))
    }

    /// Postgres may have lost what it had told, and may give the same ids and versions to others: all is read again. What
    /// windows hold is not told by this.
    pub(crate) fn start_over(&mut self) {
        let newest = self.newest.map(|_| (0, 0));
        *self = Self { newest, windows: std::mem::take(&mut self.windows), ..Self::default() };
    }

    /// The answer to a COMMIT was lost: what it did is read again.
    pub(crate) fn doubt(&mut self) {
        self.versions.clear();
    }

    /// An own transaction has raised these.
    pub(crate) fn raised(&mut self, versions: Versions) {
        self.versions.extend(versions);
    }

    /// The partition's window of duplicates was read when `verdict` was the newest row of `"@verdict"`. What has decoded
    /// late since then it does not hold, whether that was counted in here or not: it is told again.
    pub(crate) fn window_read(&mut self, partition: TopicPartition, verdict: i64) {
        self.versions.remove(&partition);
        self.windows.insert(partition, verdict);
    }

    /// The events that have decoded late since the last call.
    pub(crate) fn take_late(&mut self) -> Vec<(TopicPartition, Offset, Identity)> {
        std::mem::take(&mut self.late)
    }

    /// Own records are parked.
    pub(crate) fn parked(&mut self, change: Change) {
        for queue in change.queues {
            self.add(queue, 1);
        }
        let (_, verdict) = self.newest.unwrap_or_default();
        self.newest = Some((change.newest, verdict));
        self.versions.extend(change.versions);
    }

    fn add(&mut self, queue: Option<QueueId>, records: u32) {
        self.total += u64::from(records);
        if let Some(queue) = queue {
            *self.lengths.entry(queue).or_default() += records;
        }
    }

    fn take(&mut self, queue: Option<QueueId>) {
        self.total = self.total.saturating_sub(1);
        if let Some(queue) = queue
            && let Some(length) = self.lengths.get_mut(&queue)
        {
            *length -= 1;
            if *length == 0 {
                self.lengths.remove(&queue);
            }
        }
    }

    /// Reads what has changed, in a transaction that holds the generation's lock and has read `versions`.
    ///
    /// # Errors
    /// Postgres's.
    pub(crate) async fn follow(
        &mut self,
        connection: &mut PgConnection,
        versions: Versions,
    ) -> sqlx::Result<()> {
        let since = self.newest.map_or(0, |(_, verdict)| verdict);
        let inherited: Vec<(i64, String, i32, i64)> = sqlx::query_as(
            r#"SELECT id, topic, partition, "offset" FROM "@verdict" WHERE id > $1 AND inherited"#,
        )
        .bind(since)
        .fetch_all(&mut *connection)
        .await?;
        let (parked, verdict) = match self.newest {
            Some(newest) => newest,
            None => {
                let newest = sqlx::query_scalar(r#"SELECT coalesce(max(id), 0) FROM "@verdict""#);
                (0, newest.fetch_one(&mut *connection).await?)
            }
        };
        let windows = std::mem::take(&mut self.windows);
        let left: Vec<Departure> = sqlx::query_as(
            r#"SELECT id, parked, queue, topic, partition, identity FROM "@verdict"
               WHERE id > $1 AND NOT inherited AND (parked <= $2 OR identity IS NOT NULL) ORDER BY id"#,
        )
        .bind(windows.values().copied().fold(verdict, i64::min))
        .bind(parked)
        .fetch_all(&mut *connection)
        .await?;
        let came: Vec<(i64, i64, Option<Vec<u8>>)> = sqlx::query_as(
            r#"SELECT max(id), count(*), queue FROM "@parked" WHERE id > $1 GROUP BY queue"#,
        )
        .bind(parked)
        .fetch_all(connection)
        .await?;
        // `parked` and `verdict` are the newest ids that were counted in. A record that came after `parked` and has left
        // by now is in neither list, and must not be taken from a queue that it was never added to.
        for gone in left.iter().filter(|gone| gone.id > verdict && gone.parked <= parked) {
            self.take(gone.queue.as_deref().and_then(QueueId::from_bytes));
        }
        for gone in &left {
            let partition = (gone.topic.as_str().into(), gone.partition);
            let held = windows.get(&partition).copied().unwrap_or(verdict);
            if let Some(identity) = gone.identity.as_deref().filter(|_| gone.id > held) {
                let (offset, identity) = Identity::from_bytes(identity);
                self.late.push((partition, offset, identity));
            }
        }
        for (_, count, queue) in &came {
            self.add(
                queue.as_deref().and_then(QueueId::from_bytes),
                u32::try_from(*count).unwrap_or(u32::MAX),
            );
        }
        let decided = left.iter().map(|gone| gone.id).chain(inherited.iter().map(|(id, ..)| *id));
        let decided = decided.fold(verdict, i64::max);
        self.newest = Some((came.iter().map(|(id, ..)| *id).fold(parked, i64::max), decided));
        for (_, topic, partition, offset) in inherited {
            let of_partition = self.discarded.entry((topic.into(), partition)).or_default();
            of_partition.insert(Offset(offset));
        }
        self.versions.extend(versions);
        Ok(())
    }
}

/// Raises the version of the topics' sets, so that every batch that was planned with what was parked before is planned
/// again; the new versions.
///
/// # Errors
/// Postgres's.
pub(crate) async fn raise_versions<T>(
    connection: &mut PgConnection,
    topics: &[T],
) -> sqlx::Result<Versions>
where
    for<'t> &'t [T]: Encode<'t, Postgres> + Type<Postgres>,
{
    let versions: Vec<(String, i32, ParkedVersion)> = sqlx::query_as(
        r#"UPDATE "@position" SET parked_version = parked_version + 1
           WHERE topic = ANY($1) RETURNING topic, partition, parked_version"#,
    )
    .bind(topics)
    .fetch_all(connection)
    .await?;
    Ok(versions
        .into_iter()
        .map(|(topic, partition, version)| ((topic.into(), partition), version))
        .collect())
}
