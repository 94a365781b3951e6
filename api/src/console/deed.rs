//! What can be decided of a model. Invariant: it is asked before it is done, done by a POST alone, and told afterwards; the
//! desk decides, as for the command line.

use askama::Template;
use axum::Extension;
use axum::extract::{OriginalUri, State};
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use vitrina_projectors::{Rebuild, Resumed};

use super::Console;
use super::form::Form;
use super::frame::{Frame, Tab, html};
use super::sorry::Sorry;
use crate::admin::By;
use crate::problem::{Kind, Problem};
use crate::query::Parameters;
use crate::query::path::{encode, segments};

/// What can be decided of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Deed {
    Pause,
    Resume,
    Rebuild,
    Cancel,
    Swap,
    Rollback,
}

/// Before something is done.
#[derive(Template)]
#[template(path = "console/ask.html")]
pub(super) struct Ask<'a> {
    pub(super) frame: Frame,
    pub(super) title: &'a str,
    pub(super) detail: &'a str,
    pub(super) button: &'a str,
    pub(super) is_grave: bool,
    /// Boxes: their names and what they say.
    pub(super) boxes: &'a [(&'static str, &'static str)],
    pub(super) wants_reason: bool,
    /// Where it is done; where one was.
    pub(super) address: &'a str,
    pub(super) back: &'a str,
}

/// After it was.
#[derive(Template)]
#[template(path = "console/done.html")]
pub(super) struct Done<'a> {
    pub(super) frame: Frame,
    pub(super) title: &'a str,
    pub(super) lines: Vec<String>,
    pub(super) is_well: bool,
    pub(super) back: &'a str,
}

impl Deed {
    const ALL: [Self; 6] =
        [Self::Pause, Self::Resume, Self::Rebuild, Self::Cancel, Self::Swap, Self::Rollback];

    /// As addresses have it.
    pub(super) fn slug(self) -> &'static str {
        match self {
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Rebuild => "rebuild",
            Self::Cancel => "cancel",
            Self::Swap => "swap",
            Self::Rollback => "rollback",
        }
    }

    pub(super) fn button(self) -> &'static str {
        match self {
            Self::Pause => "Pause",
            Self::Resume => "Resume",
            Self::Rebuild => "Rebuild",
            Self::Cancel => "Cancel the build",
            Self::Swap => "Swap",
            Self::Rollback => "Roll back",
        }
    }

    fn detail(self) -> &'static str {
        match self {
            Self::Pause => {
                "The model stops reading on every instance. Its views stay as they are, and grow old, until it is resumed."
            }
            Self::Resume => {
                "The model goes on where it is: it is not paused any more, its breaker closes, and where it had stopped it starts again."
            }
            Self::Rebuild => {
                "A new generation is built from the log beside the live one, which readers see until the new one has come as far. It can be given up at any time before the swap."
            }
            Self::Cancel => {
                "The generation that is being built is given up, with its tables. The live one stays as it is."
            }
            Self::Swap => {
                "The generation that was built goes live, whatever the comparison says. The live one is kept for a while, and can be rolled back to."
            }
            Self::Rollback => {
                "The generation that was live before comes back: it is brought up to date, and goes live then. Until then it can be cancelled."
            }
        }
    }

    fn boxes(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Rebuild => &[
                ("as_live", "From the live generation's definition, and not from the model's file"),
                (
                    "allow_shorter_history",
                    "Also where the log no longer holds all that the live generation was made of",
                ),
            ],
            _ => &[],
        }
    }

    /// Of `/console/models/{model}/{deed}`.
    fn of(uri: &Uri) -> Result<(String, Self), Problem> {
        Parameters::parse(uri.query())?.only("the address of a decision", &[])?;
        let mut segments = segments(uri)?.into_iter();
        let model = segments.next().unwrap_or_default();
        let slug = segments.next().unwrap_or_default();
        let deed = Self::ALL.into_iter().find(|deed| deed.slug() == slug);
        let unknown = || {
            let detail = format!("`{slug}` is nothing that can be decided of a model.");
            Problem::new(Kind::UnknownRoute, detail)
        };
        Ok((model, deed.ok_or_else(unknown)?))
    }

    async fn done(
        self,
        console: &Console,
        model: &str,
        form: &Form,
        by: &str,
    ) -> Result<(String, bool), Sorry> {
        let desk = &console.operators.desk;
        let words = match self {
            Self::Pause => {
                desk.pause(model, by).await?;
                format!("{model} pauses on every instance within a second or two.")
            }
            Self::Resume => return Ok(resumed(model, desk.resume(model).await?)),
            Self::Rebuild => {
                let how = Rebuild {
                    as_live: form.has("as_live"),
                    allow_shorter_history: form.has("allow_shorter_history"),
                };
                let begun = desk.rebuild(model, how, by).await?;
                let note = begun.note.map(|note| format!(" {note}")).unwrap_or_default();
                let number = begun.generation;
                format!("{model}@{number} is built beside the live generation.{note}")
            }
            Self::Cancel => {
                format!("{model}@{} is not built any more.", desk.cancel(model, by).await?)
            }
            Self::Swap => {
                format!("{model}@{} goes live within seconds.", desk.swap(model, by).await?)
            }
            Self::Rollback => {
                let number = desk.rollback(model, by).await?;
                format!(
                    "{model}@{number} comes back: it is brought up to date, and goes live then."
                )
            }
        };
        Ok((words, true))
    }
}

/// What became of a model that may go on, and whether it does.
fn resumed(model: &str, resumed: Resumed) -> (String, bool) {
    let Resumed { instances, state, reason } = resumed;
    let why = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
    match state.as_deref() {
        _ if instances == 0 => (format!("{model} may go on, but no instance runs it."), true),
        None => (format!("{model} may go on, but has not followed yet."), false),
        Some(halted @ ("stopped" | "breaker_open" | "paused")) => {
            let halted = halted.replace('_', " ");
            (format!("{model} does not go on, it is {halted} again{why}."), false)
        }
        Some(state) => (format!("{model} goes on, it is {}{why}.", state.replace('_', " ")), true),
    }
}

pub(super) async fn ask(
    State(console): State<Console>,
    OriginalUri(uri): OriginalUri,
) -> Result<Response, Sorry> {
    let (model, deed) = Deed::of(&uri)?;
    let title = format!("{}: {model}", deed.button());
    let page = Ask {
        frame: console.frame(Tab::Overview),
        title: &title,
        detail: deed.detail(),
        button: deed.button(),
        is_grave: matches!(deed, Deed::Cancel | Deed::Swap),
        boxes: deed.boxes(),
        wants_reason: false,
        address: uri.path(),
        back: &format!("/console/models/{}", encode(&model)),
    };
    Ok(html(StatusCode::OK, &page))
}

pub(super) async fn answer(
    State(console): State<Console>,
    Extension(By(by)): Extension<By>,
    OriginalUri(uri): OriginalUri,
    form: Form,
) -> Result<Response, Sorry> {
    let (model, deed) = Deed::of(&uri)?;
    let (line, is_well) = deed.done(&console, &model, &form, by).await?;
    let page = Done {
        frame: console.frame(Tab::Overview),
        title: &format!("{}: {model}", deed.button()),
        lines: vec![line],
        is_well,
        back: &format!("/console/models/{}", encode(&model)),
    };
    Ok(html(StatusCode::OK, &page))
}
