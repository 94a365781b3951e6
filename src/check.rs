//! `vitrina check`: everything that can be refused before a record arrives, and how each rule runs.

use std::time::Duration;

use serde::Serialize;
use vitrina_avro::Registry;
use vitrina_projectors::{Definitions, Fault, control, inspect, session};
use vitrina_sql::{Finding, Severity};

use crate::config::Config;
use crate::{Failure, definitions};

/// How long services may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Without Postgres and the registry: functions are judged by their names alone.
    #[arg(long)]
    offline: bool,
    /// The answer as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Answer {
    findings: Vec<Finding>,
    rules: Vec<RuleLine>,
}

/// How one rule runs.
#[derive(Serialize)]
struct RuleLine {
    model: String,
    file: String,
    line: usize,
    event: String,
    runs: &'static str,
    touches: Vec<String>,
}

pub(crate) async fn run(arguments: Arguments, config: Config) -> Result<(), Failure> {
    let mut loaded = definitions::from_folders(&config)?;
    let mut findings = std::mem::take(&mut loaded.findings);
    if !arguments.offline {
        let asked = tokio::time::timeout(PATIENCE, ask_services(&config, &loaded)).await;
        findings.extend(asked.map_err(|_| Failure::No("the services did not answer within 10 s".into()))??);
    }
    findings.sort_by(|one, other| (&one.file, one.line).cmp(&(&other.file, other.line)));
    findings.dedup();
    let refused = findings.iter().any(Finding::is_error);
    let answer = Answer { findings, rules: rules(&loaded) };
    if arguments.json {
        print_json(&answer)?
    } else {
        print_lines(&answer, &loaded, arguments.offline)
    }
    if refused { Err(Failure::No(String::new())) } else { Ok(()) }
}

fn rules(loaded: &Definitions) -> Vec<RuleLine> {
    let of = |definition: &vitrina_projectors::Definition| {
        let (model, file) = (definition.model.name.clone(), definition.model.file.clone());
        let line = |rule: &vitrina_sql::Rule| RuleLine {
            model: model.clone(),
            file: file.clone(),
            line: rule.line,
            event: format!("{}.{}", rule.context, rule.event),
            runs: "event by event",
            touches: Vec::new(),
        };
        definition.model.rules.iter().map(line).collect::<Vec<_>>()
    };
    loaded.models.iter().flat_map(of).collect()
}

/// What only the services can say. One that is away is asked again until the caller's patience ends.
async fn ask_services(config: &Config, loaded: &Definitions) -> Result<Vec<Finding>, Failure> {
    let registry = Registry::new(&config.registry).map_err(|error| Failure::Usage(format!("registry: {error}")))?;
    registry.ping().await.map_err(|error| {
        Failure::No(format!("the registry at {} (registry.url): {error}; or check with --offline", config.registry.url))
    })?;
    let options = session::options(&config.postgres_url)
        .map_err(|error| Failure::Usage(format!("postgres.url is not a Postgres URL: {error}")))?;
    let away = |reason: String| Failure::No(format!("{reason}; or check with --offline"));
    let pool = session::control_pool(&options);
    control::migrate(&pool).await.map_err(|error| away(format!("Postgres (postgres.url): {error}")))?;
    let mut findings = Vec::new();
    for definition in &loaded.models {
        match inspect(&options, definition).await {
            Ok(found) => findings.extend(found),
            Err(Fault::World(reason) | Fault::Stop(reason)) => return Err(away(reason)),
            Err(other) => return Err(away(format!("{other:?}"))),
        }
    }
    Ok(findings)
}

#[expect(clippy::print_stdout, reason = "the verb's answer")]
fn print_json(answer: &Answer) -> Result<(), Failure> {
    println!("{}", serde_json::to_string_pretty(answer)?);
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the verb's answer")]
fn print_lines(answer: &Answer, loaded: &Definitions, offline: bool) {
    for finding in &answer.findings {
        println!("{finding}");
    }
    for rule in &answer.rules {
        println!("{}:{}: {} runs {}", rule.file, rule.line, rule.event, rule.runs);
    }
    let count = |severity| answer.findings.iter().filter(|finding| finding.severity == severity).count();
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    let contracts: usize = loaded.contracts.contexts.values().map(|context| context.events.len()).sum();
    let how = if offline { "; offline: functions were judged by their names, types not at all" } else { "" };
    println!("{contracts} contracts, {} models: {errors} errors, {warnings} warnings{how}", loaded.models.len());
}
