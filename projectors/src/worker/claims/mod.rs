//! Claims: who may write a partition's rows. A claim raises the epoch, so whoever held the one before is fenced; it is
//! refused where the log is not the one that the position counts.

mod positions;
mod refusal;

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use sqlx::postgres::PgPool;
use sqlx::{AssertSqlSafe, Executor as _, Postgres, Transaction};
use tokio::runtime::Handle;
use vitrina_ingest::{
    Claim, Epoch, Found, KafkaSettings, LogLoss, Offset, Span, TopicPartition, log_bounds,
};

use crate::board::Board;
use crate::commit::window::Window;
use crate::generation::control;
use crate::generation::role::Role;
use crate::metrics;
use crate::names::{GenerationId, quote};
use crate::parked::inherit;
use crate::proof;
use crate::settings::Rewind;
use crate::sqlstate::Sqlstate;
use crate::worker::claims::refusal::ClaimError;

/// How long Kafka may take to say where a log ends.
const PATIENCE: Duration = Duration::from_secs(5);

/// The positions of one generation, in Postgres.
pub(crate) struct Claims {
    pub pool: PgPool,
    pub runtime: Handle,
    pub id: GenerationId,
    pub role: Role,
    /// What its workers are called.
    pub label: String,
    pub duplicate_window: u32,
    pub group_prefix: String,
    pub board: Board,
    /// Whether records are to prove that a key lives in one partition.
    proves: bool,
    /// What a reset of offsets backwards asks for.
    rewind: Rewind,
    /// Whose log a generation that it asks for would read; none: one that has lost nothing.
    log: Option<KafkaSettings>,
    /// Read by each worker while it writes.
    pub writing: tokio::sync::RwLock<()>,
    /// The windows of the newest claims.
    windows: Mutex<HashMap<TopicPartition, ReadWindow>>,
    /// Where history begins late, while the time of its first record is not known.
    late: Mutex<HashMap<TopicPartition, Offset>>,
}

/// A window as a claim has read it.
struct ReadWindow {
    epoch: Epoch,
    window: Window,
    /// The newest row of `"@verdict"` before that.
    verdict: i64,
}

/// Where a generation has begun to read a partition.
struct Beginning {
    first: Offset,
    /// The generation before has read the topic as it was before it was created again.
    anew: bool,
    /// Since 1970, of the first record that it has read.
    seconds: Option<f64>,
}

impl Claims {
    pub(crate) fn new(
        pool: PgPool,
        (id, role): (GenerationId, Role),
        duplicate_window: u32,
        group_prefix: String,
        board: Board,
        proves: bool,
        (rewind, log): (Rewind, Option<KafkaSettings>),
    ) -> Self {
        Self {
            pool,
            runtime: Handle::current(),
            label: role.label(&id),
            id,
            role,
            duplicate_window,
            group_prefix,
            board,
            proves,
            rewind,
            log,
            writing: tokio::sync::RwLock::default(),
            windows: Mutex::default(),
            late: Mutex::default(),
        }
    }

    /// The window that was read by the partition's claim of this epoch, once: whoever took it has marked events as seen
    /// that may never be written, so a second taker would drop them as duplicates. It must claim anew, which reads anew.
    /// It is read in the claim's own transaction, on the poll thread, and waits here: that transaction holds the position,
    /// so the window is of the same moment, with all that the owner before has committed and nothing after. Only what
    /// decodes late when it is retried may come after: so with it comes the newest verdict that it surely holds.
    pub(crate) fn take_window(
        &self,
        partition: &TopicPartition,
        epoch: Epoch,
    ) -> Option<(Window, i64)> {
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        let read = windows.get(partition).filter(|read| read.epoch == epoch).is_some();
        let read = if read { windows.remove(partition) } else { None };
        read.map(|read| (read.window, read.verdict))
    }

    /// What these spans hold is committed: where history begins late, it is known now with which record's time.
    pub(crate) fn began(&self, spans: &[Span]) {
        let mut late = self.late.lock().unwrap_or_else(PoisonError::into_inner);
        if late.is_empty() {
            return;
        }
        for span in spans {
            let Some(millis) = span.first_timestamp else { continue };
            let Some(first) = late.remove(&(span.topic.clone(), span.partition)) else { continue };
            let (topic, partition) = (&*span.topic, span.partition);
            let time = UNIX_EPOCH + Duration::from_millis(millis.unsigned_abs());
            let time = humantime::format_rfc3339_millis(time).to_string();
            tracing::warn!(
                model = %self.label, topic, partition, offset = first.0, time,
                "the history of this model begins late, with this record: what was before is gone from the log"
            );
            metrics::history_begins(&self.label, topic, partition, millis as f64 / 1000.0);
        }
    }

    /// Claims; again where Postgres chose this transaction to end a deadlock with a writer's.
    async fn claim_again(
        &self,
        cluster_id: Option<&str>,
        found: &[Found],
    ) -> Result<Vec<Claim>, ClaimError> {
        loop {
            match self.claim_all(cluster_id, found).await {
                Err(ClaimError::Postgres(error))
                    if Sqlstate::of(&error) == Some(Sqlstate::Deadlock) => {}
                claimed => return claimed,
            }
        }
    }

    async fn claim_all(
        &self,
        cluster_id: Option<&str>,
        found: &[Found],
    ) -> Result<Vec<Claim>, ClaimError> {
        if found.is_empty() {
            return Ok(Vec::new());
        }
        if let Some(cluster_id) = cluster_id {
            control::belong(&self.pool, cluster_id, &self.group_prefix).await?;
        }
        let mut transaction = self.pool.begin().await?;
        // The owner before may be in a long batch, or frozen until Postgres ends its session (`idle_in_transaction_session_
        // timeout`); the poll thread must not wait for it longer than a member may be silent.
        let begin = format!(
            "SET LOCAL lock_timeout = '15s'; SET LOCAL search_path = {}, pg_catalog, pg_temp",
            quote(&self.id.schema())
        );
        (&mut *transaction).execute(AssertSqlSafe(begin)).await?;
        let heir_of = self.lock_for_inheritance(&mut transaction).await?;
        self.be_allowed(&mut transaction, cluster_id).await?;
        // Before any window: each then holds what has decoded late until here.
        let verdict: i64 = sqlx::query_scalar(r#"SELECT coalesce(max(id), 0) FROM "@verdict""#)
            .fetch_one(&mut *transaction)
            .await?;
        let anew = match &heir_of {
            Some(live) => inherit::created_again(&mut transaction, live, found).await?,
            None => Vec::new(),
        };
        let mut claims = Vec::with_capacity(found.len());
        let mut beginnings = Vec::with_capacity(found.len());
        for found in found {
            let partition = (found.topic.clone(), found.partition);
            let anew = anew.iter().any(|topic| **topic == *found.topic);
            let (claim, beginning) = self.claim_one(&mut transaction, found, anew).await?;
            beginnings.push((partition, beginning));
            claims.push(claim);
        }
        if let Some(live) = &heir_of {
            inherit::inherit_parked(&mut transaction, live, &self.id, found).await?;
            inherit::inherit_discards(&mut transaction, live, &self.id).await?;
            inherit::inherit_skipped(&mut transaction, live, &self.id).await?;
        }
        let mut windows = Vec::with_capacity(found.len());
        for (found, claim) in found.iter().zip(&claims) {
            let partition = (found.topic.clone(), found.partition);
            let window = self.window(&mut transaction, found, *claim).await?;
            windows.push((partition, ReadWindow { epoch: claim.epoch, window, verdict }));
        }
        if let Some(Found { topic, partitions, .. }) = found.first().filter(|_| self.proves) {
            proof::store::begin(&mut transaction, topic, *partitions).await?;
        }
        transaction.commit().await?;
        self.windows.lock().unwrap_or_else(PoisonError::into_inner).extend(windows);
        self.note(beginnings);
        Ok(claims)
    }

    /// A history that begins late is told with the time of its first record; where that is still to come, [`Self::began`]
    /// tells of it.
    fn note(&self, beginnings: Vec<(TopicPartition, Beginning)>) {
        let mut late = self.late.lock().unwrap_or_else(PoisonError::into_inner);
        for (partition, beginning) in beginnings.into_iter().filter(|(_, one)| one.is_late()) {
            match beginning.seconds {
                Some(at) => metrics::history_begins(&self.label, &partition.0, partition.1, at),
                None => drop(late.insert(partition, beginning.first)),
            }
        }
    }

    /// The generation whose decisions hold in one that is built, with the locks that it takes to read and write them: in the
    /// order in which a swap takes them, and like there before any row.
    async fn lock_for_inheritance(
        &self,
        transaction: &mut Transaction<'static, Postgres>,
    ) -> Result<Option<GenerationId>, ClaimError> {
        if self.role == Role::Live {
            return Ok(None);
        }
        let live: Option<i32> =
            sqlx::query_scalar("SELECT live FROM vitrina.model WHERE model = $1")
                .bind(&self.id.model)
                .fetch_one(&mut **transaction)
                .await?;
        let Some(live) = live.map(|number| GenerationId::new(&self.id.model, number)) else {
            return Ok(None);
        };
        let lock = format!(
            "SELECT pg_advisory_xact_lock_shared({}); SELECT pg_advisory_xact_lock({})",
            live.lock_key(),
            self.id.lock_key()
        );
        (&mut **transaction).execute(AssertSqlSafe(lock)).await?;
        Ok(Some(live))
    }

    /// Whether the generation is still what it is fed as. A swap that is under way is waited for, and none comes before the end of
    /// this transaction. The first claim says whose log the generation counts.
    async fn be_allowed(
        &self,
        transaction: &mut Transaction<'static, Postgres>,
        cluster_id: Option<&str>,
    ) -> Result<(), ClaimError> {
        let state: Option<String> = sqlx::query_scalar(
            "SELECT state FROM vitrina.generation WHERE model = $1 AND generation = $2 FOR SHARE",
        )
        .bind(&self.id.model)
        .bind(self.id.number)
        .fetch_optional(&mut **transaction)
        .await?;
        if state.as_deref() != Some(self.role.state()) {
            return Err(ClaimError::Over(state.unwrap_or_else(|| "gone".to_owned())));
        }
        sqlx::query(
            r#"UPDATE "@generation" SET cluster_id = $1 WHERE cluster_id = '' AND $1 <> ''"#,
        )
        .bind(cluster_id.unwrap_or_default())
        .execute(&mut **transaction)
        .await?;
        Ok(())
    }

    /// The update waits for a transaction of the owner before, and returns what that one committed.
    async fn claim_one(
        &self,
        transaction: &mut Transaction<'static, Postgres>,
        found: &Found,
        anew: bool,
    ) -> Result<(Claim, Beginning), ClaimError> {
        self.compare_topic(transaction, found).await?;
        let (epoch, next_offset, first, anew, seconds): (i64, i64, i64, bool, Option<f64>) = sqlx::query_as(
            r#"INSERT INTO "@position" AS p
                   (topic, partition, topic_id, epoch, next_offset, first_offset, partitions, anew)
               VALUES ($1, $2, $3, 1, $4, $4, $5, $6)
               ON CONFLICT (topic, partition) DO UPDATE
               SET epoch = p.epoch + 1, partitions = EXCLUDED.partitions, anew = p.anew OR EXCLUDED.anew,
                   topic_id = CASE WHEN p.topic_id = '' THEN EXCLUDED.topic_id ELSE p.topic_id END
               RETURNING p.epoch, p.next_offset, p.first_offset, p.anew, extract(epoch FROM p.first_time)::float8"#,
        )
        .bind(&*found.topic)
        .bind(found.partition)
        .bind(&found.topic_id)
        .bind(found.log_start.0)
        .bind(i32::try_from(found.partitions).unwrap_or(i32::MAX))
        .bind(anew)
        .fetch_one(&mut **transaction)
        .await?;
        let (epoch, next_offset) = (Epoch(epoch), Offset(next_offset));
        let bounds = match next_offset > found.log_end {
            true => self.bounds_now(found).await?,
            false => (found.log_start, found.log_end),
        };
        match LogLoss::of_offset(&found.topic, found.partition, next_offset, bounds) {
            Some(loss) => Err(loss.into()),
            None => Ok((
                Claim { epoch, next_offset },
                Beginning { first: Offset(first), anew, seconds },
            )),
        }
    }

    /// Whoever owned a partition until now may have read on after the log's end was asked for. Its position is locked by now,
    /// so what is asked now is the end of all that was read, or the log has lost it.
    async fn bounds_now(&self, found: &Found) -> Result<(Offset, Offset), ClaimError> {
        let Some(kafka) = &self.log else { return Ok((found.log_start, found.log_end)) };
        let topic = found.topic.to_string();
        let bounds = log_bounds(kafka, [topic.clone()].into(), PATIENCE).await;
        let bounds = bounds.and_then(|bounds| bounds.get(&(topic, found.partition)).copied());
        bounds.map(|(start, end)| (Offset(start), Offset(end))).ok_or(ClaimError::Away)
    }

    /// Any partition of the topic that was read under another id tells that the topic is another one.
    async fn compare_topic(
        &self,
        transaction: &mut Transaction<'static, Postgres>,
        found: &Found,
    ) -> Result<(), ClaimError> {
        let other: bool = sqlx::query_scalar(
            r#"SELECT EXISTS (
                   SELECT FROM "@position" WHERE topic = $1 AND topic_id NOT IN ('', $2) AND $2 <> '')"#,
        )
        .bind(&*found.topic)
        .bind(&found.topic_id)
        .fetch_one(&mut **transaction)
        .await?;
        if other { Err(LogLoss::recreated(&found.topic).into()) } else { Ok(()) }
    }

    async fn window(
        &self,
        transaction: &mut Transaction<'static, Postgres>,
        found: &Found,
        claim: Claim,
    ) -> Result<Window, ClaimError> {
        let mut window = Window::new(self.duplicate_window);
        let stored: Vec<(Vec<u8>,)> = sqlx::query_as(
            r#"SELECT identities FROM "@seen" WHERE topic = $1 AND partition = $2 AND last_offset >= $3
               ORDER BY last_offset"#,
        )
        .bind(&*found.topic)
        .bind(found.partition)
        .bind(claim.next_offset.before(i64::from(self.duplicate_window)).0)
        .fetch_all(&mut **transaction)
        .await?;
        let stored: Vec<Vec<u8>> = stored.into_iter().map(|(identities,)| identities).collect();
        window.restore(&stored.concat());
        let skipped: Vec<(i64, i64)> = sqlx::query_as(
            r#"SELECT from_offset, until_offset FROM "@skipped" WHERE topic = $1 AND partition = $2 AND until_offset > $3"#,
        )
        .bind(&*found.topic)
        .bind(found.partition)
        .bind(claim.next_offset.0)
        .fetch_all(&mut **transaction)
        .await?;
        window.skip(skipped.into_iter().map(|(from, until)| Offset(from)..Offset(until)));
        Ok(window)
    }
}

impl Beginning {
    /// An offset that Kafka gives begins with 0, and compaction does not move a log's start.
    fn is_late(&self) -> bool {
        self.anew || self.first > Offset(0)
    }
}
