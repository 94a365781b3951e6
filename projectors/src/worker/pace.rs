//! What a generation that is built leaves to those that readers see: while one of them is behind it rests after each batch,
//! the longer the further behind, and while Postgres has no room for their rows it stands still.

use std::sync::Arc;
use std::time::Duration;

use sqlx::PgConnection;
use tokio::sync::watch;

/// The lag from which on a live generation is made room for.
const LAG: i64 = 500;
/// The most that is rested, in times of what was worked: a rebuild slows down, and does not stop.
const MOST: f64 = 4.0;
/// No rest is longer.
const LONGEST: Duration = Duration::from_secs(5);

/// How live generations are, as their instances told within the last seconds. The reason is that of a writer for which disk,
/// memory or connections were not enough (SQLSTATE class 53).
const LIVE: &str = r"
    SELECT coalesce(max(lag_ms) FILTER (WHERE state IN ('live', 'catching_up')), 0),
           max(model || ': ' || reason) FILTER (WHERE state = 'waiting' AND reason ~ '\[53[0-9A-Z]{3}\]')
    FROM vitrina.worker WHERE fed AND updated_at > now() - interval '10 seconds'";

/// Shared by the workers of one generation. Those of a live one never rest.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pace(Arc<watch::Sender<Pacing>>);

#[derive(Debug, Clone, PartialEq, Default)]
enum Pacing {
    #[default]
    Free,
    /// Rests so many times as long as it works, for a live generation is so many milliseconds behind.
    Yields { times: f64, lag_ms: i64 },
    /// Why nothing is written.
    Stands(String),
}

impl Pace {
    /// Looks how live generations are.
    ///
    /// # Errors
    /// Postgres's.
    pub(super) async fn look(&self, connection: &mut PgConnection) -> sqlx::Result<()> {
        let (lag, full): (i64, Option<String>) = sqlx::query_as(LIVE).fetch_one(connection).await?;
        let pacing = judge(lag, full);
        self.0.send_if_modified(|known| std::mem::replace(known, pacing.clone()) != pacing);
        Ok(())
    }

    /// Why nothing is written now, or less than could be.
    pub(super) fn told(&self) -> Option<String> {
        match &*self.0.borrow() {
            Pacing::Free => None,
            Pacing::Yields { times, lag_ms } => Some(format!(
                "it rests {times:.0} times as long as it works, for a live generation is {:.0} s behind",
                *lag_ms as f64 / 1000.0
            )),
            Pacing::Stands(why) => Some(format!("it makes room for a live generation: {why}")),
        }
    }

    /// Rests after `worked`, and as long as nothing is to be written.
    pub(super) async fn rest(&self, worked: Duration) {
        let mut pacing = self.0.subscribe();
        // Its sender is held here.
        let _ = pacing.wait_for(|pacing| !matches!(pacing, Pacing::Stands(_))).await;
        let times = match *pacing.borrow() {
            Pacing::Yields { times, .. } => times,
            _ => return,
        };
        tokio::time::sleep(worked.mul_f64(times).min(LONGEST)).await;
    }
}

fn judge(lag_ms: i64, full: Option<String>) -> Pacing {
    match full {
        Some(why) => Pacing::Stands(why),
        None if lag_ms < LAG => Pacing::Free,
        None => Pacing::Yields { times: (lag_ms as f64 / 1000.0).clamp(1.0, MOST), lag_ms },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_made_by_lag_and_no_lag_stops_a_rebuild() {
        assert_eq!(judge(0, None), Pacing::Free);
        for (lag_ms, times) in [(600, 1.0), (2_000, 2.0), (i64::MAX, MOST)] {
            assert_eq!(judge(lag_ms, None), Pacing::Yields { times, lag_ms });
        }
        assert_eq!(judge(0, Some("full".into())), Pacing::Stands("full".into()));
    }
}
