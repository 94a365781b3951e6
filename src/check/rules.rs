//! How each rule runs and how each model's batches are written, and why not faster.

use serde::Serialize;
use vitrina_projectors::{Definition, Definitions, Explained, ExplainedRule};
use vitrina_sql::Finding;
use vitrina_sql::waves::Runs;

/// How one model's batches are written.
#[derive(Serialize)]
pub(super) struct ModelLine {
    pub(super) model: String,
    pub(super) file: String,
    /// The topic by whose record key they are split and written at once.
    pub(super) parallel: Option<String>,
    pub(super) writes: String,
}

/// How one rule runs.
#[derive(Serialize)]
pub(super) struct RuleLine {
    pub(super) model: String,
    pub(super) file: String,
    pub(super) line: usize,
    pub(super) event: String,
    pub(super) runs: String,
    pub(super) touches: Vec<String>,
}

/// Of all rules, in the order of models and files.
pub(super) fn lines(loaded: &Definitions) -> Vec<RuleLine> {
    let of_model = |definition: &Definition| {
        let (model, file) = (definition.model.name.clone(), definition.model.file.clone());
        let line = move |rule: ExplainedRule| {
            let ExplainedRule { line, event, runs, touches } = rule;
            RuleLine { model: model.clone(), file: file.clone(), line, event, runs, touches }
        };
        definition.explained().rules.into_iter().map(line)
    };
    loaded.models.iter().flat_map(of_model).collect()
}

/// A warning where no two events of a model ever run together.
pub(super) fn slow(definition: &Definition) -> Option<Finding> {
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

pub(super) fn model_line(definition: &Definition) -> ModelLine {
    let Explained { parallel, writes, .. } = definition.explained();
    let (model, file) = (definition.model.name.clone(), definition.model.file.clone());
    ModelLine { model, file, parallel, writes }
}
