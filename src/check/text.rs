//! The answer for people, and for programs that read lines. The first line of a finding is the same in both.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;

use vitrina_projectors::Plan;
use vitrina_sql::Finding;

use super::drawing::Paint;
use super::rules::RuleLine;
use super::writers::WriterLine;
use super::{Answer, github};
use crate::plan;

/// How findings are told.
#[derive(Clone, Copy, clap::ValueEnum)]
pub(crate) enum Format {
    /// A line each, with the line of the file below it; colours on a terminal, unless NO_COLOR is set.
    Human,
    /// A line each.
    Lines,
    /// GitHub's workflow commands.
    Github,
}

impl Default for Format {
    fn default() -> Self {
        if std::io::stdout().is_terminal() { Self::Human } else { Self::Lines }
    }
}

/// What was found, what is explained, then how it ends.
pub(super) fn text(answer: &Answer, format: Format, explain: bool, offline: bool) -> String {
    let mut lines = findings(&answer.findings, format);
    if explain {
        lines.extend(answer.events.iter().map(|event| event.words()));
        lines.extend(explained(answer));
    }
    let told = answer.writers.iter().flatten();
    lines.extend(told.filter(|writer| explain || writer.is_planned()).map(WriterLine::words));
    let errors = answer.findings.iter().filter(|finding| finding.is_error()).count();
    let warnings = answer.findings.len() - errors;
    let how = if offline {
        "; offline: functions were judged by their names, types not at all"
    } else {
        ""
    };
    if errors > 0 {
        lines.push(format!("{}, {}{how}", count(errors, "error"), count(warnings, "warning")));
        return lines.join("\n");
    }
    lines.push(format!(
        "OK: {}, {}, {}{how}",
        count(answer.events.len(), "contract"),
        count(answer.models.len(), "model"),
        count(warnings, "warning")
    ));
    lines.extend(models(answer));
    lines.join("\n")
}

fn findings(findings: &[Finding], format: Format) -> Vec<String> {
    match format {
        Format::Lines => findings.iter().map(ToString::to_string).collect(),
        Format::Github => findings.iter().map(github::command).collect(),
        Format::Human => {
            let paint = if colours() { Paint::COLOURS } else { Paint::default() };
            let mut texts: BTreeMap<&str, Option<String>> = BTreeMap::new();
            let drawn = findings.iter().map(|finding| {
                let file = finding.file.as_str();
                let text = texts.entry(file).or_insert_with(|| std::fs::read_to_string(file).ok());
                let text = text.as_deref().map(|text| text.trim_start_matches('\u{feff}'));
                paint.finding(finding, text) + "\n"
            });
            drawn.collect()
        }
    }
}

fn colours() -> bool {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    let dumb = set("TERM").is_none_or(|terminal| terminal == "dumb");
    std::io::stdout().is_terminal() && set("NO_COLOR").is_none() && !dumb
}

fn explained(answer: &Answer) -> Vec<String> {
    let mut lines = Vec::new();
    for rule in &answer.rules {
        let RuleLine { file, line, event, runs, .. } = rule;
        lines.push(format!("{file}:{line}: {event} runs {runs}"));
        lines.extend(rule.touches.iter().map(|access| format!("  touches {access}")));
    }
    let models = answer.models.iter();
    lines.extend(models.map(|model| format!("{}: writes {}", model.file, model.writes)));
    lines
}

/// A line for each model, and for each whose file is gone.
fn models(answer: &Answer) -> Vec<String> {
    let mut lines = Vec::new();
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
    lines
}

fn count(number: usize, of: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {of}{plural}")
}
