//! How a model runs, for people: what each of its rules touches, how it runs, and why not faster. The words of
//! `vitrina check --explain`, wherever they are shown.

use vitrina_sql::waves::Runs;

use crate::definition::Definition;
use crate::rules::{parallel, waves};

/// How a model runs.
#[derive(Debug, Clone)]
pub struct Explained {
    /// In file order.
    pub rules: Vec<ExplainedRule>,
    /// The topic by whose record key its batches are split and written at once.
    pub parallel: Option<String>,
    pub writes: String,
}

/// How a rule runs.
#[derive(Debug, Clone)]
pub struct ExplainedRule {
    pub line: usize,
    /// `CONTEXT.EVENT`.
    pub event: String,
    pub runs: String,
    pub touches: Vec<String>,
}

impl Definition {
    /// How it runs, by its declarations alone.
    pub fn explained(&self) -> Explained {
        let (waves, file) = (waves(self), &self.model.file);
        let rule = |(rule, how): (&vitrina_sql::Rule, &vitrina_sql::waves::RuleWaves)| {
            let runs = match &how.runs {
                Runs::Waves { merge: None } => "in waves".to_owned(),
                Runs::Waves { merge: Some(_) } => "in waves, merged".to_owned(),
                Runs::EventByEvent(why) => {
                    format!(
                        "event by event: {} ({file}:{}); {}",
                        why.because, why.at.line, why.help
                    )
                }
            };
            ExplainedRule {
                line: rule.at.line,
                event: format!("{}.{}", rule.context, rule.event),
                runs,
                touches: how.touches.clone(),
            }
        };
        let (parallel, writes) = match parallel(self, &waves) {
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
        let rules = self.model.rules.iter().zip(&waves.rules).map(rule).collect();
        Explained { rules, parallel, writes }
    }
}
