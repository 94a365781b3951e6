//! Logs: lines for people on a terminal, JSON lines elsewhere, or as `--log-format` says. `RUST_LOG` filters. Metrics: one
//! recorder for the process.

use std::io::IsTerminal as _;
use std::time::Duration;

use anyhow::Context as _;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

use tracing_subscriber::EnvFilter;

/// How a line of the log is written.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    Text,
    Json,
}

pub(crate) fn start(default: &str, format: Option<Format>) {
    let is_terminal = std::io::stderr().is_terminal();
    let format = format.unwrap_or(if is_terminal { Format::Text } else { Format::Json });
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // A second start, in a test, keeps the first one's subscriber.
    let _ = match format {
        Format::Text => logs.with_target(false).with_ansi(is_terminal).compact().try_init(),
        Format::Json => logs.json().flatten_event(true).try_init(),
    };
}

/// Histogram buckets of durations, in seconds.
const DURATIONS: &[f64] =
    &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// Of sizes of batches, in events.
const SIZES: &[f64] = &[1.0, 10.0, 50.0, 100.0, 250.0, 500.0, 1000.0, 5000.0, 10000.0];

/// Starts the recorder that `/metrics` renders.
pub(crate) fn metrics() -> anyhow::Result<PrometheusHandle> {
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), DURATIONS)?
        .set_buckets_for_metric(Matcher::Suffix("_events".into()), SIZES)?
        .set_buckets_for_metric(Matcher::Suffix("_waves".into()), SIZES)?
        .install_recorder()
        .context("the metrics recorder")?;
    vitrina_api::describe_metrics();
    vitrina_projectors::metrics::describe();
    let upkeep = handle.clone();
    tokio::spawn(async move {
        let mut pace = tokio::time::interval(Duration::from_secs(5));
        loop {
            pace.tick().await;
            upkeep.run_upkeep();
        }
    });
    Ok(handle)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    #[test]
    fn alerts_ask_for_metrics_that_exist() {
        let code = [
            include_str!("../projectors/src/metrics.rs"),
            include_str!("../api/src/edge/measure.rs"),
        ]
        .concat();
        let alerts = include_str!("../deploy/alerts.yml");
        let names = alerts
            .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .filter(|w| w.starts_with("vitrina_"));
        let unknown: Vec<&str> =
            names.filter(|name| !code.contains(&format!("\"{name}\""))).collect();
        assert!(unknown.is_empty(), "{unknown:?}");
    }

    #[test]
    fn the_reference_names_every_metric_and_no_other() {
        let code = [
            include_str!("../projectors/src/metrics.rs"),
            include_str!("../api/src/edge/measure.rs"),
        ];
        let names = |text: &'static str, quote| -> BTreeSet<&str> {
            let is_name = |word: &&str| {
                word.starts_with("vitrina_")
                    && word.chars().all(|c| c == '_' || c.is_ascii_lowercase())
            };
            text.split(quote).filter(is_name).collect()
        };
        let exist: BTreeSet<&str> = code.iter().flat_map(|code| names(code, '"')).collect();
        assert_eq!(names(include_str!("../docs/reference.md"), '`'), exist);
    }
}
