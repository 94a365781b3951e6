//! How far a generation that is built has come: its positions, and the ends of the logs as its instances have seen them.

use std::collections::VecDeque;
use std::fmt;
use std::time::{Duration, Instant};

use serde::Serialize;
use sqlx::AssertSqlSafe;
use sqlx::postgres::PgConnection;

use crate::names::{GenerationId, quote};

/// A partition of a generation that is built.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, sqlx::FromRow)]
pub struct PartitionProgress {
    pub topic: String,
    pub partition: i32,
    /// Where it began.
    pub first: i64,
    /// The offset that is read next.
    pub position: i64,
    /// None where nobody has told it yet.
    pub end: Option<i64>,
}

/// How far a generation has come, in all its partitions.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Progress {
    pub done: i64,
    pub total: i64,
    pub per_second: Option<f64>,
    pub seconds_left: Option<f64>,
    pub partitions: Vec<PartitionProgress>,
}

impl Progress {
    /// Reads it from the generation's schema.
    ///
    /// # Errors
    /// Postgres's; where the schema is gone, `42P01`.
    pub(crate) async fn read(
        connection: &mut PgConnection,
        id: &GenerationId,
    ) -> sqlx::Result<Self> {
        let schema = quote(&id.schema());
        let partitions = format!(
            r#"SELECT topic, partition, p.first_offset AS first, p.next_offset AS position, max(e."end") AS "end"
               FROM {schema}."@position" p
               LEFT JOIN (
                   SELECT e.* FROM {schema}."@report" r
                   CROSS JOIN LATERAL jsonb_to_recordset(r.partitions) AS e(topic text, partition int4, "end" int8)
               ) e USING (topic, partition)
               GROUP BY topic, partition, p.first_offset, p.next_offset ORDER BY 1, 2"#
        );
        let partitions: Vec<PartitionProgress> =
            sqlx::query_as(AssertSqlSafe(partitions)).fetch_all(&mut *connection).await?;
        let rate = format!(
            r#"SELECT max(per_second) FROM {schema}."@report" WHERE updated_at > now() - interval '10 seconds'"#
        );
        let per_second: Option<f64> =
            sqlx::query_scalar(AssertSqlSafe(rate)).fetch_one(connection).await?;
        let done = partitions.iter().map(|one| one.position - one.first).sum();
        let total = partitions
            .iter()
            .map(|one| one.end.unwrap_or(one.position).max(one.position) - one.first)
            .sum();
        let left = (total - done) as f64;
        let seconds_left = match per_second {
            _ if left <= 0.0 => Some(0.0),
            Some(rate) if rate > 0.0 => Some((left / rate).round()),
            _ => None,
        };
        Ok(Self { done, total, per_second, seconds_left, partitions })
    }
}

/// For people.
impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} events", self.done, self.total)?;
        if let Some(rate) = self.per_second {
            write!(f, ", {rate:.0} a second")?;
        }
        match self.seconds_left {
            Some(left) if left > 0.0 => {
                let left = Duration::from_secs(left as u64);
                write!(f, ", {} left", humantime::format_duration(left))
            }
            _ => Ok(()),
        }
    }
}

/// How fast it is, of late.
#[derive(Debug, Default)]
pub(crate) struct Rate(VecDeque<(Instant, i64)>);

impl Rate {
    const SPAN: Duration = Duration::from_secs(10);

    /// So many are done now; how many a second that is. None where it is not known yet.
    pub(crate) fn of(&mut self, now: Instant, done: i64) -> Option<f64> {
        self.0.push_back((now, done));
        while self.0.len() > 2 && self.0.front().is_some_and(|(at, _)| now - *at > Self::SPAN) {
            self.0.pop_front();
        }
        let (since, before) = *self.0.front()?;
        let seconds = (now - since).as_secs_f64();
        (seconds > 0.0).then(|| ((done - before).max(0) as f64 / seconds).round())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pace_is_that_of_the_last_seconds() {
        let (mut rate, start) = (Rate::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(rate.of(start, 0), None);
        assert_eq!(rate.of(at(1), 500), Some(500.0));
        for second in 2..=20 {
            rate.of(at(second), 500);
        }
        assert_eq!(rate.of(at(21), 500), Some(0.0));
    }
}
