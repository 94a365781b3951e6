//! `vitrina check`: everything that can be refused before a record arrives, and how each rule runs.

use std::io::Write as _;
use std::time::Duration;

use serde::Serialize;
use sqlx::{ConnectOptions as _, Connection as _};
use vitrina_avro::{Registry, RegistryError};
use vitrina_projectors::{Definition, Definitions, Fault, Plan, Sqlstate, inspect, session};
use vitrina_sql::Finding;
use vitrina_sql::waves::Runs;

use crate::config::Config;
use crate::failure::Failure;
use crate::output::{say, say_json};
use crate::{definitions, plan, postgres_words};

/// How long services may take to answer, and how soon they are asked again.
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(500);

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Without Postgres and the registry: functions are judged by their names alone.
    #[arg(long)]
    offline: bool,
    /// Also what each rule touches and how it runs, and why not faster.
    #[arg(long)]
    explain: bool,
    /// The answer as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Answer {
    findings: Vec<Finding>,
    rules: Vec<RuleLine>,
    models: Vec<ModelLine>,
    /// What a start would do; none without the services.
    #[serde(skip_serializing_if = "Option::is_none")]
    plan: Option<Vec<Plan>>,
}

/// How one model's batches are written.
#[derive(Serialize)]
struct ModelLine {
    model: String,
    file: String,
    /// The topic by whose record key they are split and written at once.
    parallel: Option<String>,
    writes: String,
}

/// How one rule runs.
#[derive(Serialize)]
struct RuleLine {
    model: String,
    file: String,
    line: usize,
    event: String,
    runs: String,
    touches: Vec<String>,
}

pub(crate) async fn run(arguments: Arguments, config: Config) -> Result<(), Failure> {
    let mut loaded = definitions::to_check(&config)?;
    let mut findings = std::mem::take(&mut loaded.findings);
    let asked = match arguments.offline {
        true => Ok(Vec::new()),
        false => ask_services(&config, &loaded).await,
    };
    // What was found without the services is told whether they answer or not.
    let (found, away) =
        asked.map_or_else(|failure| (Vec::new(), Some(failure)), |found| (found, None));
    findings.extend(found);
    findings.extend(loaded.models.iter().filter_map(slow));
    findings.sort_by(|one, other| (&one.file, one.place()).cmp(&(&other.file, other.place())));
    findings.dedup();
    let refused = findings.iter().any(Finding::is_error);
    let plan = match arguments.offline || away.is_some() {
        true => None,
        false => match plan::plans(&config, &loaded).await {
            Ok(plans) => Some(plans),
            Err(fault) => {
                let _ =
                    writeln!(std::io::stderr(), "what a start would do cannot be told: {fault}");
                None
            }
        },
    };
    let answer = Answer {
        findings,
        rules: rules(&loaded),
        models: loaded.models.iter().map(model_line).collect(),
        plan,
    };
    if arguments.json {
        say_json(&answer)?;
    } else {
        let without = arguments.offline || away.is_some();
        say(&lines(&answer, &loaded, arguments.explain, without))?;
    }
    match away {
        Some(failure) => Err(failure),
        None if refused => Err(Failure::No(String::new())),
        None => Ok(()),
    }
}

fn rules(loaded: &Definitions) -> Vec<RuleLine> {
    let mut lines = Vec::new();
    for definition in &loaded.models {
        let waves = vitrina_projectors::waves(definition);
        for (rule, how) in definition.model.rules.iter().zip(waves.rules) {
            lines.push(RuleLine {
                model: definition.model.name.clone(),
                file: definition.model.file.clone(),
                line: rule.at.line,
                event: format!("{}.{}", rule.context, rule.event),
                runs: runs(&how.runs, &definition.model.file),
                touches: how.touches,
            });
        }
    }
    lines
}

/// How a rule of `file` runs, and why not faster.
fn runs(runs: &Runs, file: &str) -> String {
    match runs {
        Runs::Waves { merge: None } => "in waves".to_owned(),
        Runs::Waves { merge: Some(_) } => "in waves, merged".to_owned(),
        Runs::EventByEvent(why) => {
            format!("event by event: {} ({file}:{}); {}", why.because, why.at.line, why.help)
        }
    }
}

/// A warning where no two events of a model ever run together.
fn slow(definition: &Definition) -> Option<Finding> {
    let waves = vitrina_projectors::waves(definition);
    let reasons = waves.rules.iter().map(|rule| match &rule.runs {
        Runs::EventByEvent(why) => Some(why),
        Runs::Waves { .. } => None,
    });
    let reasons: Vec<_> = reasons.collect::<Option<_>>()?;
    let first = reasons.first()?;
    let what =
        format!("the model is slow, every one of its rules runs event by event: {}", first.because);
    Some(Finding::warning(&definition.model.file, first.at, what, first.help.clone()))
}

fn model_line(definition: &Definition) -> ModelLine {
    let file = definition.model.file.clone();
    let waves = vitrina_projectors::waves(definition);
    let (parallel, writes) = match vitrina_projectors::parallel(definition, &waves) {
        Ok(parallel) => {
            let writes = format!(
                "in parallel by the record key of {}, as far as its records prove that a key lives in one partition",
                parallel.topic
            );
            (Some(parallel.topic), writes)
        }
        Err(why) => (
            None,
            format!(
                "one batch after another: {} ({file}:{}); {}",
                why.because, why.at.line, why.help
            ),
        ),
    };
    ModelLine { model: definition.model.name.clone(), file, parallel, writes }
}

/// Why a service has not answered.
enum Trouble {
    /// It may answer soon.
    Passing(String),
    /// It says no.
    Lasting(String),
}

/// What only the services can say. Each question has its own time, so that many models are not taken for a service that is
/// away.
async fn ask_services(config: &Config, loaded: &Definitions) -> Result<Vec<Finding>, Failure> {
    let registry = Registry::new(&config.registry)
        .map_err(|error| Failure::Usage(format!("registry: {error}")))?;
    let options = session::options(&config.postgres_url)
        .map_err(|error| Failure::Usage(format!("postgres.url is not a Postgres URL: {error}")))?;
    let place = config.registry_place();
    patiently(&place, async || {
        registry.ping().await.map_err(|error| match error {
            RegistryError::Away(_) | RegistryError::RateLimited(_) => {
                Trouble::Passing(format!("{place} does not answer: {error}"))
            }
            _ => Trouble::Lasting(format!("{place}: {error}")),
        })
    })
    .await?;
    let place = postgres_words::place(&config.postgres_url);
    patiently(&place, async || {
        let described = |error| trouble(&error, &config.postgres_url);
        options.connect().await.map_err(described)?.close().await.map_err(described)
    })
    .await?;
    let mut findings = Vec::new();
    for definition in &loaded.models {
        let inspected = patiently(&place, async || {
            inspect(&options, definition).await.map_err(|fault| match fault {
                Fault::World { reason, .. } => Trouble::Passing(reason),
                Fault::Stop(reason) => Trouble::Lasting(format!("{place}: {reason}")),
                other => Trouble::Lasting(format!("{place}: {other:?}")),
            })
        });
        findings.extend(inspected.await?);
    }
    Ok(findings)
}

/// A server that is starting, stopping or full is as one that is away.
fn trouble(error: &sqlx::Error, url: &str) -> Trouble {
    let described = postgres_words::describe(error, url);
    match Sqlstate::of(error).is_none_or(Sqlstate::passes) && !postgres_words::is_tls(error) {
        true => Trouble::Passing(described),
        false => Trouble::Lasting(described),
    }
}

/// Asks again until there is an answer, or too long was waited for one.
async fn patiently<T>(
    place: &str,
    ask: impl AsyncFn() -> Result<T, Trouble>,
) -> Result<T, Failure> {
    let mut last = format!("{place} does not answer");
    let asked = tokio::time::timeout(PATIENCE, async {
        loop {
            match ask().await {
                Err(Trouble::Passing(reason)) => last = reason,
                Err(Trouble::Lasting(reason)) => return Err(reason),
                Ok(answer) => return Ok(answer),
            }
            tokio::time::sleep(PAUSE).await;
        }
    });
    let way = "or check with --offline";
    match asked.await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(reason)) => Err(Failure::No(format!("{reason}; {way}"))),
        Err(_) => Err(Failure::No(format!(
            "{last}; {} s were waited; start it, {way}",
            PATIENCE.as_secs()
        ))),
    }
}

/// The answer for people: what was found, then how it ends.
fn lines(answer: &Answer, loaded: &Definitions, explain: bool, without_services: bool) -> String {
    let mut lines: Vec<String> = answer.findings.iter().map(ToString::to_string).collect();
    if explain {
        for rule in &answer.rules {
            let RuleLine { file, line, event, runs, .. } = rule;
            lines.push(format!("{file}:{line}: {event} runs {runs}"));
            lines.extend(rule.touches.iter().map(|access| format!("  touches {access}")));
        }
        let models = answer.models.iter();
        lines.extend(models.map(|model| format!("{}: writes {}", model.file, model.writes)));
    }
    let errors = answer.findings.iter().filter(|finding| finding.is_error()).count();
    let warnings = answer.findings.len() - errors;
    let how = if without_services {
        "; offline: functions were judged by their names, types not at all"
    } else {
        ""
    };
    if errors > 0 {
        lines.push(format!("{}, {}{how}", count(errors, "error"), count(warnings, "warning")));
        return lines.join("\n");
    }
    let events = loaded.contracts.contexts.values().map(|context| context.events.len());
    let (contracts, models) = (events.sum::<usize>(), loaded.models.len());
    lines.push(format!(
        "OK: {}, {}, {}{how}",
        count(contracts, "contract"),
        count(models, "model"),
        count(warnings, "warning")
    ));
    for model in &answer.models {
        let rules = answer.rules.iter().filter(|rule| rule.model == model.model);
        let (waves, slow): (Vec<_>, Vec<_>) =
            rules.partition(|rule| rule.runs.starts_with("in waves"));
        let writes =
            if model.parallel.is_some() { "in parallel" } else { "one batch after another" };
        let plan = answer.plan.iter().flatten().find(|plan| plan.model == model.model);
        let start = plan.map(|plan| format!("; a start: {}", plan::words(plan)));
        lines.push(format!(
            "{}: {} in waves, {} event by event; writes {writes}{}",
            model.file,
            count(waves.len(), "rule"),
            slow.len(),
            start.unwrap_or_default()
        ));
    }
    let has_file = |plan: &&Plan| answer.models.iter().any(|model| model.model == plan.model);
    let gone = answer.plan.iter().flatten().filter(|plan| !has_file(plan));
    lines.extend(gone.map(|plan| format!("{}: a start: {}", plan.model, plan::words(plan))));
    lines.join("\n")
}

fn count(number: usize, of: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {of}{plural}")
}
