//! `vitrina status`: how each model is, in the admin API's own words.

use std::time::Duration;

use sqlx::{ConnectOptions as _, Connection as _};
use vitrina_projectors::{
    GenerationStatus, IgnoredName, ModelStatus, PartitionStatus, Sqlstate, Status, session,
};

use crate::building::table_line;
use crate::config::Config;
use crate::failure::Failure;
use crate::output::{say, say_json};
use crate::postgres_words;

/// How long Postgres and Kafka may take for all of their answers.
const PATIENCE: Duration = Duration::from_secs(15);

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The answer as JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(arguments: Arguments, config: Config) -> Result<(), Failure> {
    let place = postgres_words::place(&config.postgres_url);
    let asked = tokio::time::timeout(PATIENCE, read(&config)).await;
    let seconds = PATIENCE.as_secs();
    let status = asked.map_err(|_| {
        Failure::No(format!("{place} did not answer within {seconds} s; see that it runs"))
    })?;
    match status? {
        Some(status) if arguments.json => say_json(&status),
        None if arguments.json => say_json(&Status::default()),
        Some(status) => say(&lines(&status)),
        None => say(&format!("no Vitrina has run on {place} yet; `vitrina serve` starts one")),
    }
}

/// None where there are no control tables.
async fn read(config: &Config) -> Result<Option<Status>, Failure> {
    let options = session::options(&config.postgres_url)
        .map_err(|error| Failure::Usage(format!("postgres.url is not a Postgres URL: {error}")))?;
    let asked = async {
        let mut connection = options.connect().await?;
        let status = Status::read(&mut connection, &config.kafka).await?;
        // The answers are here: how the connection ends changes nothing.
        let _ = connection.close().await;
        Ok(status)
    };
    match asked.await {
        Ok(status) => Ok(Some(status)),
        Err(error) if is_missing(&error) => Ok(None),
        Err(error) => Err(Failure::No(postgres_words::describe(&error, &config.postgres_url))),
    }
}

/// Whether a table, the schema it would be in, or a column does not exist: somebody is about to make them.
fn is_missing(error: &sqlx::Error) -> bool {
    matches!(Sqlstate::of(error), Some(Sqlstate::NoTable | Sqlstate::NoColumn))
}

/// The answer for people.
fn lines(status: &Status) -> String {
    if status.models.is_empty() {
        return "no models yet; `vitrina serve` makes them".to_owned();
    }
    status.models.iter().flat_map(model_lines).collect::<Vec<_>>().join("\n")
}

fn model_lines(model: &ModelStatus) -> Vec<String> {
    let generation = model.generation.map(|number| format!("@{number}")).unwrap_or_default();
    let nothing = match model.only_ignored {
        true => ", but nothing has come except records of names that no contract knows",
        false => "",
    };
    let mut lines = vec![format!("{}{generation}: {}{nothing}", model.model, model.state)];
    lines.extend(model.reason.as_ref().map(|reason| format!("  reason: {reason}")));
    let at = model.last_error_at.as_ref().map(|at| format!(", {at}")).unwrap_or_default();
    lines.extend(model.last_error.as_ref().map(|error| format!("  last error{at}: {error}")));
    if let Some(one) = &model.one_writer {
        lines.push(format!("  one writer at a time since {}: {}", one.since, one.why));
    }
    if model.parked > 0 {
        lines.push(format!(
            "  parked: {}; `vitrina parked {}` lists them",
            model.parked, model.model
        ));
    }
    lines.extend(model.ignored.iter().map(ignored_line));
    lines.extend(model.partitions.iter().map(partition_line));
    let others = model.generations.iter().filter(|generation| generation.state != "live");
    lines.extend(others.flat_map(|generation| generation_lines(&model.model, generation)));
    lines
}

/// A generation beside the live one.
fn generation_lines(model: &str, generation: &GenerationStatus) -> Vec<String> {
    let GenerationStatus { generation: number, state, began, because, reason, .. } = generation;
    let mut lines = vec![format!("  {model}@{number}: {state}, began {began}: {because}")];
    lines.extend(generation.progress.iter().map(|progress| format!("    {progress}")));
    lines.extend(reason.iter().map(|reason| format!("    not live yet: {reason}")));
    // What a retired one was compared with is retired, too, or gone.
    let compared = generation.comparison.iter().filter(|_| state != "retired").flatten();
    lines
        .extend(compared.map(|table| format!("    {}", table_line(table).replace('\n', "\n    "))));
    lines
}

fn ignored_line(ignored: &IgnoredName) -> String {
    let IgnoredName { topic, name, count, nearest, .. } = ignored;
    let meant =
        nearest.as_ref().map(|known| format!("; did you mean {known}?")).unwrap_or_default();
    format!("  ignored: {count} of {name} on {topic}, which no contract knows{meant}")
}

fn partition_line(partition: &PartitionStatus) -> String {
    let number =
        |value: Option<i64>| value.map_or_else(|| "?".to_owned(), |value| value.to_string());
    let seconds =
        partition.lag_seconds.map_or_else(|| "?".to_owned(), |seconds| format!("{seconds:.1}"));
    let first = partition.first.as_ref().map(|first| format!("\n    {first}")).unwrap_or_default();
    let PartitionStatus { topic, partition, position, end, lag, .. } = partition;
    let (end, lag) = (number(*end), number(*lag));
    format!(
        "  {topic} {partition}: position {position}, end {end}, lag {lag} events, {seconds} s{first}"
    )
}
