//! A steady stream of the stories' events, with what happens to producers: some are sent twice, and one is no event.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use tokio_util::sync::CancellationToken;
use vitrina_avro::{Contracts, Registry, encode_json, key_text};
use vitrina_ingest::{Outgoing, Publisher};
use vitrina_projectors::Definitions;

use super::story::{Stories, Told};
use super::views::Views;
use crate::config::Config;
use crate::failure::Failure;

/// One event in so many is sent twice, as a producer's retry would.
const DUPLICATE_EVERY: u64 = 100;
/// A record that is no event comes after so many, on a topic that some model reads.
const POISON_AFTER: u64 = 50;
/// The embedded broker forgets what is more than a few thousand records behind, so the feed waits for the views.
const AHEAD: u64 = 4000;

/// What was produced.
#[derive(Debug, Default)]
pub(crate) struct Fed {
    pub(crate) distinct: u64,
    pub(crate) duplicates: u64,
    /// Records that no model can apply.
    pub(crate) poisonous: u64,
    pub(crate) by_event: BTreeMap<String, u64>,
}

pub(crate) struct Feed {
    publisher: Publisher,
    registry: Registry,
    contracts: Arc<Contracts>,
    stories: Stories,
    sent: Arc<AtomicU64>,
}

impl Feed {
    pub(crate) fn new(
        config: &Config,
        definitions: &Definitions,
        stories: Stories,
    ) -> Result<Self, Failure> {
        Ok(Self {
            publisher: Publisher::new(&config.kafka)?,
            registry: Registry::new(&config.registry)?,
            contracts: definitions.contracts.clone(),
            stories,
            sent: Arc::default(),
        })
    }

    /// How many events are sent, each counted once, while it runs.
    pub(crate) fn sent(&self) -> Arc<AtomicU64> {
        self.sent.clone()
    }

    /// Produces `rate` events a second until `events` are sent, or the shutdown.
    pub(crate) async fn run(
        mut self,
        rate: u32,
        events: Option<u64>,
        views: &Views,
        shutdown: &CancellationToken,
    ) -> Result<Fed, Failure> {
        let mut fed = Fed::default();
        let ticks = rate.min(100);
        let mut pace = tokio::time::interval(Duration::from_secs(1) / ticks);
        let mut allowed = 0;
        while events.is_none_or(|events| fed.distinct < events) {
            while allowed == 0 {
                tokio::select! {
                    _ = pace.tick() => allowed += u64::from(rate / ticks),
                    () = shutdown.cancelled() => return Ok(fed),
                }
            }
            let Some(told) = self.stories.next() else { break };
            allowed -= 1;
            self.send(told, views, &mut fed).await?;
            if fed.distinct.is_multiple_of(AHEAD / 4) {
                self.publisher.settle().await?;
                wait_for_views(views, shutdown).await?;
            }
        }
        self.publisher.settle().await?;
        Ok(fed)
    }

    async fn send(&mut self, told: Told, views: &Views, fed: &mut Fed) -> anyhow::Result<()> {
        let (name, number) =
            told.event.split_once("@v").context("a line of a story names no version")?;
        let (context, event) =
            name.split_once('.').context("a line of a story names no context")?;
        let contracts = self.contracts.clone();
        let unknown = || anyhow!("a story names {}, which is no contract", told.event);
        let contract = contracts.contract(context, event).ok_or_else(unknown)?;
        let version = number
            .parse()
            .ok()
            .and_then(|number: u32| contract.versions.iter().find(|v| v.number == number));
        let version = version.ok_or_else(unknown)?;
        let context = &contracts.contexts[context];
        *fed.by_event.entry(told.event.clone()).or_default() += 1;
        let datum = encode_json(version, &told.value).with_context(|| told.event.clone())?;
        let key = key_text(context, version, &told.value)?.into_bytes();
        let value = self.publisher.frame(&self.registry, &context.topic, version, &datum).await?;
        let (topic, headers) = (context.topic.clone(), headers(&told));
        let record = Outgoing { topic, key, value, headers };
        self.publisher.send(&record).await?;
        fed.distinct += 1;
        self.sent.store(fed.distinct, Ordering::Relaxed);
        let is_read = views.models.iter().any(|(_, topics)| topics.contains(&record.topic));
        if fed.distinct >= POISON_AFTER && fed.poisonous == 0 && is_read {
            let (key, value) = (b"poison".to_vec(), b"this is no event".to_vec());
            self.publisher.send(&Outgoing { key, value, ..record.clone() }).await?;
            fed.poisonous += 1;
        }
        if fed.distinct.is_multiple_of(DUPLICATE_EVERY) {
            self.publisher.send(&record).await?;
            fed.duplicates += 1;
        }
        Ok(())
    }
}

/// Until the views are not too far behind.
async fn wait_for_views(views: &Views, shutdown: &CancellationToken) -> anyhow::Result<()> {
    let mut pace = tokio::time::interval(Duration::from_millis(20));
    while !shutdown.is_cancelled() && views.behind().await? > AHEAD as i64 {
        pace.tick().await;
    }
    Ok(())
}

/// What its envelope says of an event.
fn headers(told: &Told) -> BTreeMap<String, String> {
    let time = humantime::format_rfc3339_millis(told.moment).to_string();
    let known = [("ce_id", told.id.to_string()), ("ce_time", time)];
    let others = [("ce_correlationid", told.correlation), ("ce_causationid", told.causation)];
    let others = others.into_iter().filter_map(|(name, id)| Some((name, id?.to_string())));
    known.into_iter().chain(others).map(|(name, value)| (name.to_owned(), value)).collect()
}
