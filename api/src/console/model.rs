//! `GET /console/models/{model}`: one model, its partitions and its generations, and what can be decided of it.

use std::time::Duration;

use askama::Template;
use axum::extract::{OriginalUri, State};
use axum::http::StatusCode;
use axum::response::Response;
use vitrina_projectors::{IgnoredName, ModelStatus, PartitionStatus};

use super::Console;
use super::deed::Deed;
use super::frame::{Frame, Tab, html};
use super::generation::ShownGeneration;
use super::overview::Card;
use super::sorry::Sorry;
use super::words::{grouped, lasting, moment};
use crate::problem::{Kind, Problem};
use crate::query::Parameters;
use crate::query::path::{encode, segments};

/// Between two rows of the chart's table.
const STEP: Duration = Duration::from_secs(60);

#[derive(Template)]
#[template(path = "console/model.html")]
struct Page<'a> {
    frame: Frame,
    card: Card,
    deeds: Vec<Deed>,
    last_error: Option<(String, String)>,
    one_writer: Option<String>,
    partitions: Vec<ShownPartition<'a>>,
    ignored: &'a [IgnoredName],
    skipped: Vec<String>,
    generations: Vec<ShownGeneration>,
    views: Vec<(String, String)>,
}

struct ShownPartition<'a> {
    topic: &'a str,
    number: i32,
    position: String,
    end: String,
    lag: String,
    late: String,
    first: Option<&'a str>,
}

impl<'a> ShownPartition<'a> {
    fn new(partition: &'a PartitionStatus) -> Self {
        let known = |number: Option<i64>| number.map_or_else(|| "unknown".to_owned(), grouped);
        Self {
            topic: &partition.topic,
            number: partition.partition,
            position: grouped(partition.position),
            end: known(partition.end),
            lag: known(partition.lag),
            late: partition.lag_seconds.map_or_else(|| "unknown".to_owned(), lasting),
            first: partition.first.as_deref(),
        }
    }
}

pub(super) async fn page(
    State(console): State<Console>,
    OriginalUri(uri): OriginalUri,
) -> Result<Response, Sorry> {
    Parameters::parse(uri.query())?.only("a model's address", &[])?;
    let name = segments(&uri)?.into_iter().next().unwrap_or_default();
    let status = console.status().await?;
    let model = status.models.iter().find(|model| model.model == name).ok_or_else(|| {
        Problem::new(Kind::UnknownName, format!("There is no model {name}; the overview has all."))
    })?;
    let at = model.last_error_at.as_deref().map(moment).unwrap_or_default();
    let one_writer = model.one_writer.as_ref();
    let skipped = model.skipped.iter().map(|skipped| {
        format!(
            "{} {}: offsets {} to {} were never read, as an operator asked on {}",
            skipped.topic,
            skipped.partition,
            skipped.from,
            skipped.to - 1,
            moment(&skipped.at)
        )
    });
    let page = Page {
        frame: console.frame(Tab::Overview),
        card: Card::new(model, &console.operators.lookout, STEP),
        deeds: deeds(model),
        last_error: model.last_error.clone().map(|error| (at, error)),
        one_writer: one_writer.map(|one| format!("since {}: {}", moment(&one.since), one.why)),
        partitions: model.partitions.iter().map(ShownPartition::new).collect(),
        ignored: &model.ignored,
        skipped: skipped.collect(),
        generations: model.generations.iter().map(ShownGeneration::new).collect(),
        views: views(&console, &name).await,
    };
    Ok(html(StatusCode::OK, &page))
}

/// What makes sense for how it is.
fn deeds(model: &ModelStatus) -> Vec<Deed> {
    let is_there = |states: &[&str]| {
        model.generations.iter().any(|generation| states.contains(&generation.state.as_str()))
    };
    let is_built = is_there(&["queued", "building"]);
    let mut deeds = Vec::new();
    if model.state != "paused" {
        deeds.push(Deed::Pause);
    }
    if matches!(model.state.as_str(), "paused" | "stopped" | "breaker_open") {
        deeds.push(Deed::Resume);
    }
    if is_built {
        deeds.extend([Deed::Swap, Deed::Cancel]);
    } else {
        deeds.push(Deed::Rebuild);
    }
    if is_there(&["retired"]) {
        deeds.push(Deed::Rollback);
    }
    deeds
}

/// Its views, with where they are shown; none where they cannot be told just now, which their own page says.
async fn views(console: &Console, model: &str) -> Vec<(String, String)> {
    let Ok(seen) = super::view::seen(console).await else { return Vec::new() };
    let own = seen.views.values().filter(|view| view.model == model);
    own.map(|view| (view.name.clone(), format!("/console/views/{}", encode(&view.name)))).collect()
}
