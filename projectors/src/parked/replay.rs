//! Replaying a queue: its records in order, through the same rules and under the same lock as batches, in transactions with
//! their removal. The first that fails again stays, with its new reason, and so does all that is behind it.

use std::collections::HashSet;

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Executor as _};
use vitrina_avro::{EventRows, Rows};

use super::queues::raise_versions;
use super::refusal::Refusal;
use super::store::without_nul;
use super::workbench::{ParkedRecord, STORED, Workbench};
use crate::batch::{Identity, Reading};
use crate::fault::{Blame, Fault};
use crate::generation::live::is_fed_as;
use crate::rules::run::Bounded;
use crate::session::{self, within};

/// Records of one transaction: a long queue neither fills the memory nor keeps the writers waiting.
const CHUNK: u64 = 500;

/// A queue to be replayed: that of a record, or the record alone where it has no key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct QueueToReplay {
    /// Of the record that named it.
    pub id: i64,
    pub topic: String,
    pub queue: Option<Vec<u8>>,
}

/// What came of one queue.
#[derive(Debug, Default)]
pub(crate) struct Replayed {
    /// Records that left it.
    pub applied: u64,
    /// The record that failed again.
    pub failed: Option<i64>,
}

/// What becomes of one record.
enum Verdict {
    /// It leaves the queue: for `"@verdict"`; with its identity, where it decoded only now.
    Leaves(&'static str, Option<Identity>),
    Fails(Blame),
}

impl Workbench {
    /// Replays a queue; `by`: who decided so.
    ///
    /// # Errors
    /// [`Refusal`]; what was replayed before stays so.
    pub(crate) async fn replay(
        &mut self,
        queue: &QueueToReplay,
        by: &str,
    ) -> Result<Replayed, Refusal> {
        let mut applied = 0;
        loop {
            let begin = session::begin(&self.id, false, session::STATEMENT);
            let begun =
                within(session::STATEMENT * 2, self.connection.execute(AssertSqlSafe(begin))).await;
            begun?;
            if !is_fed_as(&mut self.connection, &self.id, self.role).await? {
                self.connection.execute("ROLLBACK").await?;
                return Err(Refusal::superseded(&self.id));
            }
            let replayed = self.replay_locked(queue, by).await;
            if let Ok(Some(replayed)) = replayed {
                self.connection.execute("COMMIT").await?;
                applied += replayed.applied;
                if replayed.applied < CHUNK || replayed.failed.is_some() {
                    return Ok(Replayed { applied, ..replayed });
                }
                continue;
            }
            self.connection.execute("ROLLBACK").await?;
            replayed?;
            self.learn_all(queue).await?;
        }
    }

    /// Fetches the schemas of the queue's records, outside of any transaction.
    async fn learn_all(&mut self, queue: &QueueToReplay) -> Result<(), Refusal> {
        for stored in self.records(queue).await? {
            let headers = stored.header_bytes();
            let read = self.reader.read(&stored.record(&headers), &mut self.reader.rows());
            if let Err(unlearnt) = read {
                self.learn(unlearnt).await?;
            }
        }
        Ok(())
    }

    async fn records(&mut self, queue: &QueueToReplay) -> sqlx::Result<Vec<ParkedRecord>> {
        let sql = format!(
            "{STORED} WHERE CASE WHEN $1::bytea IS NULL THEN id = $2 ELSE queue = $1 END ORDER BY id LIMIT {CHUNK}"
        );
        let records = sqlx::query_as(AssertSqlSafe(sql)).bind(&queue.queue).bind(queue.id);
        records.fetch_all(&mut self.connection).await
    }

    /// `None`: a record's schema has not been asked for.
    async fn replay_locked(
        &mut self,
        queue: &QueueToReplay,
        by: &str,
    ) -> Result<Option<Replayed>, Refusal> {
        raise_versions(&mut self.connection, std::slice::from_ref(&queue.topic)).await?;
        let mut replayed = Replayed::default();
        let mut seen = HashSet::new();
        for stored in self.records(queue).await? {
            let headers = stored.header_bytes();
            let record = stored.record(&headers);
            let mut rows = self.reader.rows();
            let Ok(reading) = self.reader.read(&record, &mut rows) else { return Ok(None) };
            let verdict = match reading {
                Reading::Ignored(_) => Verdict::Leaves("ignored", None),
                Reading::Refused(blame) => Verdict::Fails(blame),
                Reading::Event(event, identity) => {
                    let late = identity.filter(|_| !stored.decoded);
                    let again = identity.is_some_and(|identity| seen.contains(&identity.hash()));
                    let known = match late {
                        _ if stored.duplicate || again => true,
                        Some(identity) => self.was_seen(&stored, identity).await?,
                        None => false,
                    };
                    if known {
                        Verdict::Leaves("duplicate", late)
                    } else {
                        self.apply(&rows, event, late).await?
                    }
                }
            };
            match verdict {
                Verdict::Leaves(verdict, late) => {
                    self.leave(&stored, verdict, late, by).await?;
                    if let Some(identity) = late {
                        self.mark_followers(&stored, identity).await?;
                        seen.insert(identity.hash());
                    }
                    replayed.applied += 1;
                }
                Verdict::Fails(blame) => {
                    fail(&mut self.connection, stored.id, &blame).await?;
                    replayed.failed = Some(stored.id);
                    break;
                }
            }
        }
        Ok(Some(replayed))
    }

    async fn apply(
        &mut self,
        rows: &[Vec<Rows>],
        event: EventRows,
        late: Option<Identity>,
    ) -> Result<Verdict, Refusal> {
        self.connection.execute("SAVEPOINT one").await?;
        let mut running = Bounded { connection: &mut self.connection, timeout: session::STATEMENT };
        let mut run = running.run_event(&self.rules, rows, 0, event).await.map(drop);
        if run.is_ok() {
            run = running.check_deferred(0).await;
        }
        match run {
            Ok(()) => {
                self.connection.execute("RELEASE SAVEPOINT one").await?;
                Ok(Verdict::Leaves("applied", late))
            }
            // Whosever fault it is, a record that is parked stays so.
            Err(Fault::Record { blame, .. } | Fault::Doubt { blame, .. }) => {
                self.connection.execute("ROLLBACK TO SAVEPOINT one").await?;
                let mut running =
                    Bounded { connection: &mut self.connection, timeout: session::STATEMENT };
                let layouts = &self.definition.layouts;
                let blame = running.locate(&self.rules, layouts, rows, event, blame).await;
                self.connection.execute("ROLLBACK TO SAVEPOINT one").await?;
                Ok(Verdict::Fails(blame))
            }
            Err(other) => Err(other.into()),
        }
    }

    /// Whether the same event was seen within N offsets: before this one, so that it is a duplicate; or after, when it was
    /// taken for the first, because this one had not decoded.
    async fn was_seen(&mut self, stored: &ParkedRecord, identity: Identity) -> sqlx::Result<bool> {
        let length = i64::from(self.duplicate_window);
        let near: Vec<Vec<u8>> = sqlx::query_scalar(
            r#"SELECT identities FROM "@seen" WHERE topic = $1 AND partition = $2 AND last_offset >= $3
               UNION ALL
               SELECT identities FROM "@seen_kept"
               WHERE topic = $1 AND partition = $2 AND last_offset BETWEEN $3 AND $4"#,
        )
        .bind(&stored.topic)
        .bind(stored.partition)
        .bind(stored.offset.before(length).0)
        .bind(stored.offset.before(-2 * length).0)
        .fetch_all(&mut self.connection)
        .await?;
        let offsets = near.iter().flat_map(|identities| identity.offsets_among(identities));
        let near = offsets.filter(|offset| {
            *offset != stored.offset && offset.since(stored.offset).abs() <= length
        });
        let offsets: Vec<i64> = near.map(|offset| offset.0).collect();
        // What is parked itself, or was discarded, was not taken for the first.
        sqlx::query_scalar(
            r#"SELECT EXISTS (
                   SELECT FROM unnest($3::int8[]) AS s(at)
                   WHERE s.at < $4 OR NOT EXISTS (
                       SELECT FROM "@parked" p
                       WHERE p.topic = $1 AND p.partition = $2 AND p."offset" = s.at
                   ) AND NOT EXISTS (
                       SELECT FROM "@verdict" v
                       WHERE v.topic = $1 AND v.partition = $2 AND v."offset" = s.at AND v.verdict = 'discarded'))"#,
        )
        .bind(&stored.topic)
        .bind(stored.partition)
        .bind(offsets)
        .bind(stored.offset.0)
        .fetch_one(&mut self.connection)
        .await
    }

    /// The records behind this one that are the same event: duplicates, now that it is known.
    async fn mark_followers(
        &mut self,
        stored: &ParkedRecord,
        identity: Identity,
    ) -> sqlx::Result<()> {
        sqlx::query(
            r#"UPDATE "@parked" SET duplicate = true
               WHERE topic = $1 AND partition = $2 AND "offset" > $3 AND "offset" <= $3 + $4
                 AND substring(identity FROM 9 FOR 16) = $5"#,
        )
        .bind(&stored.topic)
        .bind(stored.partition)
        .bind(stored.offset.0)
        .bind(i64::from(self.duplicate_window))
        .bind(identity.hash().to_be_bytes().to_vec())
        .execute(&mut self.connection)
        .await?;
        Ok(())
    }

    async fn leave(
        &mut self,
        stored: &ParkedRecord,
        verdict: &str,
        identity: Option<Identity>,
        by: &str,
    ) -> sqlx::Result<()> {
        let identity = identity.map(|identity| identity.bytes(stored.offset));
        sqlx::query(
            r#"WITH gone AS (DELETE FROM "@parked" WHERE id = $1 RETURNING *), known AS (
                   INSERT INTO "@seen" AS s (topic, partition, last_offset, identities)
                   SELECT topic, partition, "offset", $3 FROM gone WHERE $3 IS NOT NULL
                   ON CONFLICT (topic, partition, last_offset)
                   DO UPDATE SET identities = s.identities || EXCLUDED.identities
               ), decided AS (
                   INSERT INTO "@verdict"
                       (parked, topic, partition, "offset", queue, verdict, decided_by, fault, identity)
                   SELECT id, topic, partition, "offset", queue, $2, $4, reason, $3 FROM gone
               )
               INSERT INTO vitrina.verdict
                   (model, generation, serial, verdict, parked, topic, partition, "offset", fault, decided_by)
               SELECT g.model, g.generation, g.serial, $2, id, topic, partition, "offset", reason, $4
               FROM gone, "@generation" g"#,
        )
        .bind(stored.id)
        .bind(verdict)
        .bind(identity)
        .bind(by)
        .execute(&mut self.connection)
        .await?;
        Ok(())
    }
}

async fn fail(connection: &mut PgConnection, id: i64, blame: &Blame) -> sqlx::Result<()> {
    sqlx::query(
        r#"UPDATE "@parked"
           SET reason = $2, error_type = $3, sqlstate = $4, rule = $5, attempts = attempts + 1, failed_at = now()
           WHERE id = $1"#,
    )
    .bind(id)
    .bind(without_nul(&blame.reason))
    .bind(blame.error_type.name())
    .bind(&blame.sqlstate)
    .bind(&blame.rule)
    .execute(connection)
    .await?;
    Ok(())
}
