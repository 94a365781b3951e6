//! A steady stream of events from a scenario: JSON lines that name an event type and hold its value, with `${…}` where
//! each round puts something else. Engines know no business, so the scenario lies beside the contracts.
//!
//! `${n}` the round · `${n/K}` `${n%K}` · `${pick A|B}` one of them by round · `${int A B}` a number from A to B ·
//! `${money A B}` the same in cents, as a decimal · `${now}` the moment. A line with `"every": K` is played in rounds that
//! leave the rest `at` (0) when divided by K; `"unless": K` in those that K does not divide.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};
use serde::Deserialize;
use serde_json::{Number, Value};
use tokio_util::sync::CancellationToken;
use vitrina_avro::{Contracts, Registry, encode_json, key_text};
use vitrina_ingest::{Outgoing, Publisher, complete};
use vitrina_projectors::Definitions;

use super::views::Views;
use crate::config::Config;
use crate::failure::Failure;

/// One event in so many is sent twice, as a producer's retry would.
const DUPLICATE_EVERY: u64 = 100;
/// A record that is no event comes after so many.
const POISON_AFTER: u64 = 50;
/// The embedded broker forgets what is more than a few thousand records behind, so the feed waits for the views.
const AHEAD: u64 = 4000;

#[derive(Deserialize)]
struct Line {
    /// `context.event@vN`.
    event: String,
    every: Option<u64>,
    #[serde(default)]
    at: u64,
    unless: Option<u64>,
    value: Value,
}

impl Line {
    fn is_played_in(&self, round: u64) -> bool {
        let left_out = self.unless.is_some_and(|unless| round.is_multiple_of(unless));
        self.every.is_none_or(|every| round % every == self.at) && !left_out
    }
}

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
    lines: Vec<Line>,
    random: SmallRng,
    sent: Arc<AtomicU64>,
}

impl Feed {
    pub(crate) fn new(
        config: &Config,
        definitions: &Definitions,
        scenario: &str,
    ) -> Result<Self, Failure> {
        let lines = scenario
            .lines()
            .map(serde_json::from_str)
            .collect::<Result<_, _>>()
            .context("the scenario")?;
        Ok(Self {
            publisher: Publisher::new(&config.kafka)?,
            registry: Registry::new(&config.registry)?,
            contracts: definitions.contracts.clone(),
            lines,
            random: SmallRng::seed_from_u64(1),
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
        for round in 1.. {
            for index in 0..self.lines.len() {
                if !self.lines[index].is_played_in(round) {
                    continue;
                }
                while allowed == 0 {
                    tokio::select! {
                        _ = pace.tick() => allowed += u64::from(rate / ticks),
                        () = shutdown.cancelled() => return Ok(fed),
                    }
                }
                if events.is_some_and(|events| fed.distinct == events) {
                    self.publisher.settle().await?;
                    return Ok(fed);
                }
                allowed -= 1;
                self.play(index, round, &mut fed).await?;
                if fed.distinct.is_multiple_of(AHEAD / 4) {
                    self.publisher.settle().await?;
                    wait_for_views(views, shutdown).await?;
                }
            }
        }
        Ok(fed)
    }

    async fn play(&mut self, index: usize, round: u64, fed: &mut Fed) -> anyhow::Result<()> {
        let line = &self.lines[index];
        let (name, number) =
            line.event.split_once("@v").context("a line of the scenario names no version")?;
        let (context, event) =
            name.split_once('.').context("a line of the scenario names no context")?;
        let contracts = self.contracts.clone();
        let unknown = || anyhow!("the scenario names {}, which is no contract", line.event);
        let contract = contracts.contract(context, event).ok_or_else(unknown)?;
        let version = number
            .parse()
            .ok()
            .and_then(|number: u32| contract.versions.iter().find(|v| v.number == number));
        let version = version.ok_or_else(unknown)?;
        let context = &contracts.contexts[context];
        let value = fill(&line.value, round, &mut self.random);
        *fed.by_event.entry(line.event.clone()).or_default() += 1;
        let datum = encode_json(version, &value).with_context(|| line.event.clone())?;
        let key = key_text(context, version, &value)?.into_bytes();
        let mut headers = BTreeMap::new();
        complete(&mut headers);
        let value = self.publisher.frame(&self.registry, &context.topic, version, &datum).await?;
        let record = Outgoing { topic: context.topic.clone(), key, value, headers };
        self.publisher.send(&record).await?;
        fed.distinct += 1;
        self.sent.store(fed.distinct, Ordering::Relaxed);
        if fed.distinct == POISON_AFTER {
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

fn fill(value: &Value, round: u64, random: &mut SmallRng) -> Value {
    match value {
        Value::Array(items) => items.iter().map(|item| fill(item, round, random)).collect(),
        Value::Object(fields) => {
            fields.iter().map(|(name, value)| (name.clone(), fill(value, round, random))).collect()
        }
        Value::String(text) => fill_text(text, round, random),
        other => other.clone(),
    }
}

/// A text that is one number's placeholder as a whole becomes a number.
fn fill_text(text: &str, round: u64, random: &mut SmallRng) -> Value {
    if let Some(inner) = text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}'))
        && ["int ", "money "].iter().any(|kind| inner.starts_with(kind))
    {
        let filled = placeholder(inner, round, random);
        return filled.parse::<Number>().map_or(Value::String(filled), Value::Number);
    }
    let (mut filled, mut rest) = (String::new(), text);
    while let Some((before, after)) = rest.split_once("${") {
        let (inner, after) = after.split_once('}').unwrap_or((after, ""));
        filled.push_str(before);
        filled.push_str(&placeholder(inner, round, random));
        rest = after;
    }
    filled.push_str(rest);
    Value::String(filled)
}

fn placeholder(inner: &str, round: u64, random: &mut SmallRng) -> String {
    let mut words = inner.split_whitespace();
    let kind = words.next().unwrap_or_default();
    let mut range = || {
        let mut bound = || words.next().and_then(|word| word.parse::<u64>().ok()).unwrap_or(1);
        let (low, high) = (bound(), bound());
        random.random_range(low..=high.max(low))
    };
    match kind {
        "now" => humantime::format_rfc3339_millis(std::time::SystemTime::now()).to_string(),
        "int" => range().to_string(),
        "money" => {
            let cents = range();
            format!("{}.{:02}", cents / 100, cents % 100)
        }
        "pick" => {
            let choices: Vec<&str> = inner["pick".len()..].trim().split('|').collect();
            choices[round as usize % choices.len()].to_owned()
        }
        _ => number(kind, round).to_string(),
    }
}

/// `n`, `n/K` or `n%K`.
fn number(expression: &str, round: u64) -> u64 {
    let operand = |text: &str| text.parse::<u64>().ok().filter(|operand| *operand > 0).unwrap_or(1);
    match (expression.strip_prefix("n/"), expression.strip_prefix("n%")) {
        (Some(divisor), _) => round / operand(divisor),
        (_, Some(divisor)) => round % operand(divisor),
        _ => round,
    }
}
