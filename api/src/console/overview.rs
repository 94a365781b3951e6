//! `GET /`: all models at a glance, those that want somebody first.

use std::time::{Duration, SystemTime};

use askama::Template;
use axum::extract::{OriginalUri, State};
use axum::http::StatusCode;
use axum::response::Response;
use vitrina_projectors::ModelStatus;

use super::Console;
use super::chart::Chart;
use super::frame::{Frame, Tab, html};
use super::generation::ShownGeneration;
use super::sorry::Sorry;
use super::words::{counted, grouped, lasting};
use crate::admin::lookout::{Lookout, Sample, rate};
use crate::query::Parameters;
use crate::query::path::encode;

/// Between two rows of a chart's table.
const STEP: Duration = Duration::from_secs(300);

#[derive(Template)]
#[template(path = "console/overview.html")]
struct Page {
    frame: Frame,
    summary: String,
    models: Vec<Card>,
}

/// A model in a few words.
pub(super) struct Card {
    pub(super) name: String,
    pub(super) address: String,
    pub(super) generation: Option<i32>,
    pub(super) state: String,
    pub(super) tone: Tone,
    pub(super) reason: Option<String>,
    pub(super) only_ignored: bool,
    pub(super) behind: String,
    pub(super) late: Option<String>,
    pub(super) rate: String,
    pub(super) parked: i64,
    pub(super) parked_address: String,
    pub(super) built: Vec<ShownGeneration>,
    pub(super) chart: Chart,
}

/// How soon somebody should look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Tone {
    Bad,
    Warn,
    Busy,
    Good,
}

impl Tone {
    fn of(state: &str) -> Self {
        match state {
            "live" => Self::Good,
            "starting" | "catching_up" => Self::Busy,
            "waiting" | "paused" => Self::Warn,
            _ => Self::Bad,
        }
    }

    /// The style's name for it.
    pub(super) fn class(&self) -> &'static str {
        match self {
            Self::Bad => "bad",
            Self::Warn => "warn",
            Self::Busy => "busy",
            Self::Good => "good",
        }
    }
}

impl Card {
    pub(super) fn new(model: &ModelStatus, lookout: &Lookout, step: Duration) -> Self {
        let now = Sample::of(model, SystemTime::now());
        let samples = lookout.until(&model.model, now);
        let built = model.generations.iter().map(ShownGeneration::new);
        Self {
            name: model.model.clone(),
            address: format!("/console/models/{}", encode(&model.model)),
            generation: model.generation,
            state: model.state.replace('_', " "),
            tone: Tone::of(&model.state),
            reason: model.reason.clone(),
            only_ignored: model.only_ignored,
            behind: now.lag.map_or_else(|| "unknown".to_owned(), |lag| counted(lag, "event")),
            late: now.seconds.map(lasting),
            rate: rate(&samples).map_or_else(
                || "not known yet".to_owned(),
                |rate| format!("{} a second", grouped(rate.round() as i64)),
            ),
            parked: model.parked,
            parked_address: format!("/console/parked?model={}", encode(&model.model)),
            built: built.filter(ShownGeneration::is_built).collect(),
            chart: Chart::new(&model.model, &samples, step),
        }
    }
}

pub(super) async fn page(
    State(console): State<Console>,
    OriginalUri(uri): OriginalUri,
) -> Result<Response, Sorry> {
    Parameters::parse(uri.query())?.only("the overview", &[])?;
    let status = console.status().await?;
    let lookout = &console.operators.lookout;
    let cards = status.models.iter().map(|model| Card::new(model, lookout, STEP));
    let mut models: Vec<Card> = cards.collect();
    models.sort_by(|one, other| {
        (one.tone, one.parked == 0, &one.name).cmp(&(other.tone, other.parked == 0, &other.name))
    });
    let page = Page { frame: console.frame(Tab::Overview), summary: summary(&models), models };
    Ok(html(StatusCode::OK, &page))
}

/// What is told aloud when it changes: no numbers that move all the time.
fn summary(models: &[Card]) -> String {
    let parked: i64 = models.iter().map(|model| model.parked).sum();
    let states = [Tone::Bad, Tone::Warn, Tone::Busy].map(|tone| {
        let of: Vec<_> = models.iter().filter(|model| model.tone == tone).collect();
        let names: Vec<_> =
            of.iter().map(|model| format!("{} is {}", model.name, model.state)).collect();
        names.join(", ")
    });
    let states: Vec<_> = states.into_iter().filter(|state| !state.is_empty()).collect();
    let live = match (models.len(), states.is_empty()) {
        (0, _) => return "No model has run here yet.".to_owned(),
        (1, true) => "The model is live".to_owned(),
        (number, true) => format!("All {number} models are live"),
        (number, false) => format!("Of {}: {}", counted(number as i64, "model"), states.join("; ")),
    };
    match parked {
        0 => format!("{live}, and nothing is parked."),
        parked => format!("{live}; {} parked.", counted(parked, "record")),
    }
}
