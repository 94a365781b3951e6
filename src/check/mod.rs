//! `vitrina check`: everything that can be refused before a record arrives, and how each rule runs.

mod drawing;
mod events;
mod github;
mod rules;
mod services;
mod text;
mod writers;

use std::io::Write as _;
use std::path::PathBuf;

use serde::Serialize;
use vitrina_projectors::Plan;
use vitrina_sql::Finding;

use crate::config::Config;
use crate::failure::Failure;
use crate::output::{say, say_json};
use crate::{definitions, plan};
use events::EventLine;
use rules::{ModelLine, RuleLine};
use text::Format;
use writers::WriterLine;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Without Postgres and the registry: functions are judged by their names alone.
    #[arg(long)]
    offline: bool,
    /// Also what each rule touches and how it runs, and why not faster; what each event is, and how its writers are read.
    #[arg(long)]
    explain: bool,
    /// Also whether this schema could be read, which a producer only plans to write with.
    #[arg(long, value_name = "FILE.avsc")]
    writer: Option<PathBuf>,
    /// How findings are told; else as people read them on a terminal, and one line each elsewhere.
    #[arg(long, value_enum, conflicts_with = "json")]
    format: Option<Format>,
    /// The answer as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Answer {
    findings: Vec<Finding>,
    events: Vec<EventLine>,
    rules: Vec<RuleLine>,
    models: Vec<ModelLine>,
    /// What becomes of writers' records; none where nobody was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    writers: Option<Vec<WriterLine>>,
    /// What a start would do; none without the services.
    #[serde(skip_serializing_if = "Option::is_none")]
    plan: Option<Vec<Plan>>,
}

pub(crate) async fn run(arguments: Arguments, config: Config) -> Result<(), Failure> {
    let mut loaded = definitions::to_check(&config)?;
    let mut findings = std::mem::take(&mut loaded.findings);
    let mut told = match &arguments.writer {
        Some(file) => Some(writers::planned(file, &loaded)?),
        None => None,
    };
    let asked = match arguments.offline {
        true => Ok(Vec::new()),
        false => services::ask(&config, &loaded).await,
    };
    // What was found without the services is told whether they answer or not.
    let (found, away) =
        asked.map_or_else(|failure| (Vec::new(), Some(failure)), |found| (found, None));
    findings.extend(found);
    findings.extend(loaded.models.iter().filter_map(rules::slow));
    let without = arguments.offline || away.is_some();
    let mut plan = None;
    if !without {
        match writers::registered(&config, &loaded).await {
            Ok(registered) => told.get_or_insert_default().extend(registered),
            Err(error) => note("what becomes of registered writers cannot be told", &error),
        }
        match plan::plans(&config, &loaded).await {
            Ok(plans) => plan = Some(plans),
            Err(fault) => note("what a start would do cannot be told", &fault),
        }
    }
    let writers = told.map(|told| {
        findings.extend(told.findings);
        told.lines
    });
    findings.sort_by(|one, other| (&one.file, one.place()).cmp(&(&other.file, other.place())));
    findings.dedup();
    let refused = findings.iter().any(Finding::is_error);
    let answer = Answer {
        findings,
        events: events::lines(&loaded.contracts),
        rules: rules::lines(&loaded),
        models: loaded.models.iter().map(rules::model_line).collect(),
        writers,
        plan,
    };
    if arguments.json {
        say_json(&answer)?;
    } else {
        let format = arguments.format.unwrap_or_default();
        say(&text::text(&answer, format, arguments.explain, without))?;
    }
    match away {
        Some(failure) => Err(failure),
        None if refused => Err(Failure::No(String::new())),
        None => Ok(()),
    }
}

/// Says on standard error what the answer lacks.
fn note(what: &str, why: &dyn std::fmt::Display) {
    let _ = writeln!(std::io::stderr(), "{what}: {why}");
}
