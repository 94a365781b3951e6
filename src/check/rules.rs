//! How each rule runs and how each model's batches are written, and why not faster.

use serde::Serialize;
use vitrina_projectors::{Definition, Definitions};
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
