//! What the demo shows: where to look and what to try, and then a line that lives.

use std::io::{IsTerminal as _, Write as _, stdout};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use sqlx::AssertSqlSafe;
use tokio_util::sync::CancellationToken;
use vitrina_projectors::{parked, quote};

use super::place::SETTINGS;
use super::progress::CLEARED;
use super::views::Views;
use crate::config::Config;
use crate::failure::Failure;
use crate::output::say;

/// How often the line is told: where it is rewritten, and where each is one more line of a log.
const PACE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// The first screen; `rate` in words, and whether the definitions outlive the demo.
pub(super) fn first(config: &Config, model: &str, rate: &str, stays: bool) -> Result<(), Failure> {
    let Config { listen, kafka, registry, postgres_url, models, .. } = config;
    let file = shown(&models.join(format!("{model}.sql")));
    let more = shown(&models.with_file_name("more-models"));
    let program = std::env::current_exe().map_or_else(|_| "vitrina".to_owned(), |it| shown(&it));
    // Where somebody's own settings are, they come first.
    let (found, option) = match Path::new(SETTINGS).exists() {
        true => ("", format!(" --config {}", shown(&models.with_file_name(SETTINGS)))),
        false => ("  (from any folder: it finds the demo by itself)", String::new()),
    };
    let goes = if stays { "" } else { "  (the folder goes with the demo; --into DIR keeps one)" };
    say(&format!(
        "Vitrina's demo: a broker, a schema registry, a Postgres and a shop's events, {rate}.

Look at
  the page    http://{listen}/
  a view      http://{listen}/v1/views/{model}?limit=5
  all views   http://{listen}/docs, or for programs http://{listen}/v1/views
  parked      http://{listen}/console/parked: one record is no event, on purpose

Try, from another terminal
  {program} status{option}{found}
  {program} parked{option}
  {program} test{option}
  curl -s 'http://{listen}/v1/views/{model}?limit=3'
  psql '{postgres_url}' -c 'SELECT * FROM {model}.{model} LIMIT 3'
  edit {file} and save it: a new generation
  is built beside the one that readers see, and goes live by itself
  copy other models to its folder, from {more}{goes}

Also here: broker {brokers}, registry {registry}, metrics http://{listen}/metrics
",
        brokers = kafka.brokers,
        registry = registry.url,
    ))
}

/// As the working folder sees it.
fn shown(path: &Path) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(here).unwrap_or(path).display().to_string()
}

/// What happens, in one line.
pub(super) struct Live<'v> {
    pub(super) views: &'v Views,
    pub(super) listen: SocketAddr,
    /// Events that the feed has sent, each counted once.
    pub(super) sent: Arc<AtomicU64>,
}

impl Live<'_> {
    /// Tells it again and again until the shutdown.
    pub(super) async fn run(self, shutdown: &CancellationToken) -> Result<(), Failure> {
        let is_terminal = stdout().is_terminal();
        let mut pace = tokio::time::interval(if is_terminal { PACE.0 } else { PACE.1 });
        let mut before = (Instant::now(), self.sent.load(Ordering::Relaxed));
        pace.tick().await;
        while shutdown.run_until_cancelled(pace.tick()).await.is_some() {
            let now = (Instant::now(), self.sent.load(Ordering::Relaxed));
            let rate = (now.1 - before.1) as f64 / (now.0 - before.0).as_secs_f64();
            before = now;
            let told = shutdown.run_until_cancelled(self.line(now.1, rate)).await;
            // Postgres may be busy for a moment: the next line tells.
            let Some(Ok(line)) = told else { continue };
            match is_terminal {
                true => rewrite(&line),
                false => say(&line)?,
            }
        }
        Ok(())
    }

    async fn line(&self, sent: u64, rate: f64) -> anyhow::Result<String> {
        let rows = self.rows().await?;
        let duplicates = self.duplicates().await?;
        let parked = parked::count(&mut *self.views.pool.acquire().await?).await?;
        let parked = match parked.into_iter().map(|(_, records)| records).sum() {
            1i64 => "1 parked, on purpose".to_owned(),
            several => format!("{several} parked"),
        };
        Ok(format!(
            "  {} events · {rate:.0}/s · {} rows · {} duplicates dropped · {parked}",
            grouped(sent),
            grouped(rows),
            grouped(duplicates)
        ))
    }

    async fn rows(&self) -> anyhow::Result<u64> {
        let mut rows = 0;
        for (model, _) in &self.views.models {
            let count = format!("SELECT count(*) FROM {0}.{0}", quote(model));
            let count: i64 =
                sqlx::query_scalar(AssertSqlSafe(count)).fetch_one(&self.views.pool).await?;
            rows += count.unsigned_abs();
        }
        Ok(rows)
    }

    /// As the service itself counts them.
    async fn duplicates(&self) -> anyhow::Result<u64> {
        let metrics = reqwest::get(format!("http://{}/metrics", self.listen)).await?.text().await?;
        Ok(duplicates(&metrics))
    }
}

fn duplicates(metrics: &str) -> u64 {
    let of_duplicates = |line: &&str| {
        line.starts_with("vitrina_events_total{") && line.contains("outcome=\"duplicate\"")
    };
    let count = |line: &str| line.rsplit_once(' ')?.1.parse::<u64>().ok();
    metrics.lines().filter(of_duplicates).filter_map(count).sum()
}

fn rewrite(line: &str) {
    let mut out = stdout().lock();
    // Who has closed the terminal is told nothing more.
    let _ = write!(out, "{CLEARED}{line}").and_then(|()| out.flush());
}

/// With a comma before each three digits.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let places = (0..digits.len()).rev();
    let group = |(digit, place): (char, usize)| match place > 0 && place % 3 == 0 {
        true => format!("{digit},"),
        false => digit.to_string(),
    };
    digits.chars().zip(places).map(group).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_for_reading() {
        for (number, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(grouped(number), text);
        }
    }

    #[test]
    fn duplicates_are_those_of_all_models() {
        let metrics = "# TYPE vitrina_events_total counter\n\
            vitrina_events_total{model=\"a\",outcome=\"applied\"} 70\n\
            vitrina_events_total{model=\"a\",outcome=\"duplicate\"} 7\n\
            vitrina_events_total{model=\"b\",outcome=\"duplicate\"} 5\n";
        assert_eq!(duplicates(metrics), 12);
    }
}
