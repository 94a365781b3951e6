//! How models are, and were over the last hour, for who looks at them all the time. Invariant: what was not known is kept as not known, never as zero;
//! it is all in memory, and no more than an hour of it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use vitrina_projectors::{Desk, ModelStatus, Status};

use super::models;
use crate::problem::Problem;

/// How far back it reaches.
pub(crate) const SPAN: Duration = Duration::from_secs(3600);
/// How often it is looked.
pub(crate) const PACE: Duration = Duration::from_secs(5);
/// How old what is shown may be when it is read.
const FRESH: Duration = Duration::from_secs(1);
/// Over which time a rate is told, at least.
const RATE: Duration = Duration::from_secs(20);

/// A look at a model.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Sample {
    pub(crate) at: SystemTime,
    /// In events, over all partitions; none where one of them is not known.
    pub(crate) lag: Option<i64>,
    /// Of the partition that is furthest behind.
    pub(crate) seconds: Option<f64>,
    pub(crate) generation: Option<i32>,
    /// All positions together.
    pub(crate) reached: i64,
}

#[derive(Debug)]
struct Reading {
    at: Instant,
    status: Result<Arc<Status>, Problem>,
}

/// How all models are, and their last hour. Cheap to clone, shared by all who look.
#[derive(Debug, Clone, Default)]
pub struct Lookout(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    /// What was read last.
    last: tokio::sync::Mutex<Option<Reading>>,
    kept: Mutex<BTreeMap<String, VecDeque<Sample>>>,
}

impl Sample {
    pub(crate) fn of(model: &ModelStatus, at: SystemTime) -> Self {
        let partitions = &model.partitions;
        let behind = partitions.iter().map(|partition| partition.lag_seconds);
        let furthest = behind.collect::<Option<Vec<f64>>>().unwrap_or_default();
        Self {
            at,
            lag: match partitions.is_empty() {
                true => None,
                false => partitions.iter().map(|partition| partition.lag).sum(),
            },
            seconds: furthest.into_iter().reduce(f64::max),
            generation: model.generation,
            reached: partitions.iter().map(|partition| partition.position).sum(),
        }
    }
}

impl Lookout {
    /// How all models are: read once a second at most, however many look, for each reading asks Kafka, too.
    pub(crate) async fn status(&self, desk: &Desk) -> Result<Arc<Status>, Problem> {
        let mut last = self.0.last.lock().await;
        if let Some(reading) = last.as_ref().filter(|reading| reading.at.elapsed() < FRESH) {
            return reading.status.clone();
        }
        let status = models::status(desk).await.map(Arc::new);
        *last = Some(Reading { at: Instant::now(), status: status.clone() });
        status
    }

    /// Looks at all models again and again.
    pub async fn follow(self, desk: Desk, shutdown: CancellationToken) {
        let mut pace = tokio::time::interval(PACE);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = pace.tick() => {}
                () = shutdown.cancelled() => return,
            }
            // Where Postgres is away nothing is known, and others say so.
            let looked = shutdown.run_until_cancelled(models::read(&desk)).await;
            if let Some(Ok(status)) = looked {
                self.note(&status.models, SystemTime::now());
            }
        }
    }

    fn note(&self, models: &[ModelStatus], now: SystemTime) {
        let samples = models.iter().map(|model| (model.model.clone(), Sample::of(model, now)));
        self.keep(samples.collect(), now);
    }

    fn keep(&self, samples: Vec<(String, Sample)>, now: SystemTime) {
        let mut kept = self.0.kept.lock().unwrap_or_else(PoisonError::into_inner);
        for (model, sample) in samples {
            kept.entry(model).or_default().push_back(sample);
        }
        let is_old = |sample: &Sample| now.duration_since(sample.at).is_ok_and(|age| age > SPAN);
        kept.retain(|_, samples| {
            while samples.front().is_some_and(is_old) {
                samples.pop_front();
            }
            !samples.is_empty()
        });
    }

    /// What was seen of the model, and now is, oldest first.
    pub(crate) fn until(&self, model: &str, now: Sample) -> Vec<Sample> {
        let kept = self.0.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.get(model).into_iter().flatten().copied().chain([now]).collect()
    }
}

/// How many events a second were dealt with of late; none where that is not known yet.
pub(crate) fn rate(samples: &[Sample]) -> Option<f64> {
    let now = samples.last()?;
    let before = samples
        .iter()
        .rev()
        .find(|sample| now.at.duration_since(sample.at).is_ok_and(|past| past >= RATE))?;
    let seconds = now.at.duration_since(before.at).ok()?.as_secs_f64();
    let events = now.reached - before.reached;
    (before.generation == now.generation && events >= 0).then(|| events as f64 / seconds)
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    fn sample(second: u64, reached: i64) -> Sample {
        let at = UNIX_EPOCH + Duration::from_secs(second);
        Sample { at, lag: Some(0), seconds: None, generation: Some(1), reached }
    }

    #[test]
    fn an_hour_is_kept_and_no_more() {
        let lookout = Lookout::default();
        for second in (0..=7200).step_by(5) {
            let sample = sample(second, 0);
            lookout.keep(vec![("m".to_owned(), sample)], sample.at);
        }
        let kept = lookout.until("m", sample(7205, 0));
        assert_eq!((kept.len(), kept[0].at), (722, UNIX_EPOCH + Duration::from_secs(3600)));
        lookout.keep(Vec::new(), UNIX_EPOCH + Duration::from_secs(20_000));
        assert_eq!(lookout.until("m", sample(20_000, 0)).len(), 1);
        assert!(lookout.0.kept.lock().unwrap_or_else(PoisonError::into_inner).is_empty());
    }

    #[test]
    fn a_rate_is_of_one_generation() {
        let samples = [sample(0, 100), sample(10, 600), sample(20, 900), sample(30, 1100)];
        assert_eq!(rate(&samples), Some(25.0));
        assert_eq!(rate(&samples[..2]), None);
        let swapped = [sample(0, 100), Sample { generation: Some(2), ..sample(30, 1100) }];
        assert_eq!(rate(&swapped), None);
        assert_eq!(rate(&[]), None);
    }
}
