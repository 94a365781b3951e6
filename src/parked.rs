//! `vitrina parked`: dead letters and what waits behind them, in the admin API's own words.

use clap::Subcommand;
use vitrina_api::admin::{History, ParkedList, RecordAnswer, VersionAnswer};
use vitrina_projectors::parked::{self, Parked, VerdictLine};
use vitrina_projectors::{Desk, Retried};

use crate::config::Config;
use crate::desk;
use crate::failure::Failure;
use crate::output::{say, say_json};

/// Records read at a time.
const PAGE: i64 = 1000;

#[derive(clap::Args)]
#[command(subcommand_precedence_over_arg = true)]
pub(crate) struct Arguments {
    /// Only what this model has parked.
    model: Option<String>,
    #[command(subcommand)]
    verb: Option<Verb>,
    /// The answer as JSON.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Subcommand)]
enum Verb {
    /// Shows one record: its payload, its headers, and what each version makes of it.
    Show { id: i64 },
    /// Applies records, and what waits behind them, in their order.
    Retry {
        #[arg(required_unless_present = "all", conflicts_with = "all")]
        ids: Vec<i64>,
        /// Whatever is parked; with a model, by that one.
        #[arg(long)]
        all: bool,
    },
    /// Gives records up for good; what waits behind them can be retried then.
    Discard {
        #[arg(required = true)]
        ids: Vec<i64>,
        /// Why; it is kept with who decided.
        #[arg(long)]
        reason: Option<String>,
    },
    /// Says what became of records that are not parked any more, and who decided so.
    History,
}

pub(crate) async fn run(
    Arguments { model, verb, json }: Arguments,
    config: Config,
) -> Result<(), Failure> {
    let desk = desk::meet(&config).await?;
    let model = model.as_deref();
    match verb {
        None => list(&desk, model, json).await,
        Some(Verb::Show { id }) => {
            belong(&desk, model, &[id]).await?;
            let record = desk.show(id, &desk::operator()).await.map_err(desk::refused)?.into();
            if json { say_json(&record) } else { say(&record_lines(&record)) }
        }
        Some(Verb::Retry { ids, all }) => {
            belong(&desk, model, &ids).await?;
            let by = desk::operator();
            let retried = match all {
                true => desk.retry_all(model, &by).await,
                false => desk.retry(&ids, &by).await,
            };
            told(&retried.map_err(desk::refused)?, json)
        }
        Some(Verb::History) => history(&desk, model, json).await,
        Some(Verb::Discard { ids, reason }) => {
            belong(&desk, model, &ids).await?;
            let reason = reason.filter(|reason| !reason.trim().is_empty()).ok_or_else(|| {
                Failure::No("a discard needs a reason, which is kept: --reason TEXT".to_owned())
            })?;
            let discarded =
                desk.discard(&ids, &reason, &desk::operator()).await.map_err(desk::refused)?;
            match json {
                true => say_json(&serde_json::json!({ "discarded": discarded })),
                false => {
                    say(&format!("{discarded} discarded; what waited behind them can be retried"))
                }
            }
        }
    }
}

/// A model that is named beside ids is meant: no other model's record is touched.
async fn belong(desk: &Desk, model: Option<&str>, ids: &[i64]) -> Result<(), Failure> {
    let Some(model) = model else { return Ok(()) };
    for &id in ids {
        let found = parked::list(&desk.pool, Some(model), id.saturating_sub(1), 1)
            .await
            .map_err(desk::refused)?;
        if !found.iter().any(|parked| parked.id == id) {
            let way = format!("`vitrina parked {model}` lists what is");
            return Err(Failure::No(format!("{id} is not parked by {model}: {way}")));
        }
    }
    Ok(())
}

async fn list(desk: &Desk, model: Option<&str>, json: bool) -> Result<(), Failure> {
    let mut all: Vec<Parked> = Vec::new();
    loop {
        let after = all.last().map_or(0, |parked| parked.id);
        let page = parked::list(&desk.pool, model, after, PAGE).await.map_err(desk::refused)?;
        if page.is_empty() {
            break;
        }
        all.extend(page);
    }
    let list = ParkedList { parked: all };
    if json {
        return say_json(&list);
    }
    match list.parked.as_slice() {
        [] => say("nothing is parked"),
        parked => say(&parked.iter().map(line).collect::<Vec<_>>().join("\n")),
    }
}

async fn history(desk: &Desk, model: Option<&str>, json: bool) -> Result<(), Failure> {
    let mut all: Vec<VerdictLine> = Vec::new();
    loop {
        let after = all.last().map_or(0, |verdict| verdict.id);
        let page = parked::history(&desk.pool, model, after, PAGE).await.map_err(desk::refused)?;
        if page.is_empty() {
            break;
        }
        all.extend(page);
    }
    if json {
        return say_json(&History { history: all });
    }
    match all.as_slice() {
        [] => say("nothing was decided of any parked record yet"),
        verdicts => say(&verdicts.iter().map(verdict_line).collect::<Vec<_>>().join("\n")),
    }
}

fn verdict_line(line: &VerdictLine) -> String {
    let VerdictLine { parked, model, topic, partition, offset, verdict, by, at, .. } = line;
    let reason = line.reason.as_ref().map(|reason| format!(", {reason:?}")).unwrap_or_default();
    let fault = line.fault.as_ref().map(|fault| format!("; it was parked for: {fault}"));
    let fault = fault.unwrap_or_default();
    format!(
        "{at} {parked} {model}: {topic} {partition} offset {offset}: {verdict} by {by}{reason}{fault}"
    )
}

fn told(retried: &Retried, json: bool) -> Result<(), Failure> {
    let still: Vec<String> = retried.still_parked.iter().map(line).collect();
    match json {
        true => say_json(retried)?,
        false => say(&format!("{} applied, {} refused again", retried.applied, still.len()))?,
    }
    if still.is_empty() { Ok(()) } else { Err(Failure::No(still.join("\n"))) }
}

fn line(parked: &Parked) -> String {
    let Parked { id, model, topic, partition, offset, reason, at, .. } = parked;
    let key = parked.key_text().map(|key| format!(" key {key}")).unwrap_or_default();
    let state = parked.sqlstate.as_ref().map(|state| format!(" [{state}]")).unwrap_or_default();
    let rule =
        parked.rule.as_ref().map(|rule| format!(" in the rule at {rule}")).unwrap_or_default();
    format!("{id} {model}: {topic} {partition} offset {offset}{key}, {at}: {reason}{state}{rule}")
}

fn record_lines(record: &RecordAnswer) -> String {
    let mut lines = vec![line(&record.parked)];
    let told = [
        ("event", &record.event),
        ("writer's schema", &record.schema),
        ("value", &record.value_text),
        ("value (base64)", &record.value),
    ];
    lines.extend(
        told.into_iter().filter_map(|(title, text)| Some(format!("  {title}: {}", text.as_ref()?))),
    );
    lines.extend(record.headers.iter().map(|(name, value)| format!("  header {name}: {value}")));
    lines.extend(
        record
            .versions
            .iter()
            .map(|VersionAnswer { version, fields }| format!("  as {version}: {fields:#}")),
    );
    let schema = record
        .writer_schema
        .as_ref()
        .map(|schema| schema.as_str().map_or(schema.to_string(), str::to_owned));
    lines.extend(schema.map(|schema| format!("  written with: {schema}")));
    lines.join("\n")
}
