//! Judges a test: what came out of its records as they are written, and where it does not mean that order alone, of other
//! orders, other batches and records that come again.

use std::time::{Duration, Instant};

use super::difference;
use super::file::{Answer, Given, Parked, ParkedRecord, Test, TestFile, Then};
use super::orders::{Attempt, Batches, attempts};
use super::smallest::smallest;
use super::stage::{Outcome, Stage, is_no_row, rows_of};
use super::update::{self, Edit};

/// What became of one file.
pub(super) struct FileVerdict {
    pub(super) file: TestFile,
    pub(super) verdicts: Vec<Verdict>,
    pub(super) runs: usize,
    pub(super) took: Duration,
}

/// What became of one test.
#[derive(Default)]
pub(super) struct Verdict {
    pub(super) failures: Vec<Failure>,
    pub(super) runs: usize,
    pub(super) took: Duration,
    /// What is to be written in the file.
    pub(super) edits: Vec<Edit>,
}

/// What a test has against what came out.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) line: usize,
    pub(super) what: String,
}

/// Judges all tests of a file.
pub(super) async fn judge(stage: &mut Stage, file: TestFile) -> FileVerdict {
    let (began, runs) = (Instant::now(), stage.runs);
    let set = stage.set(&file).await;
    let mut verdicts = Vec::new();
    for test in &file.tests {
        let (began, runs) = (Instant::now(), stage.runs);
        let judged = match &set {
            Ok(()) => judge_test(stage, test).await,
            Err(why) => Err(why.clone()),
        };
        let verdict = judged.unwrap_or_else(|what| {
            let failures = vec![Failure { line: test.line, what }];
            Verdict { failures, ..Verdict::default() }
        });
        verdicts.push(Verdict { runs: stage.runs - runs, took: began.elapsed(), ..verdict });
    }
    FileVerdict { file, verdicts, runs: stage.runs - runs, took: began.elapsed() }
}

async fn judge_test(stage: &mut Stage, test: &Test) -> Result<Verdict, String> {
    let written: Batches = vec![(0..test.given.len()).collect()];
    let outcome = stage.play(test, &written, None).await?;
    let mut failures = check(test, &outcome);
    let edits = if stage.play.update { update::edits(test, &outcome) } else { Vec::new() };
    failures.retain(|failure| !edits.iter().any(|edit| edit.line == failure.line));
    if failures.is_empty() && edits.is_empty() && test.any_order {
        failures.extend(try_others(stage, test).await?);
    }
    Ok(Verdict { failures, edits, ..Verdict::default() })
}

/// The first other way of arriving that ends otherwise, made as small as it can be.
async fn try_others(stage: &mut Stage, test: &Test) -> Result<Option<Failure>, String> {
    for attempt in attempts(&partitions(&test.given), stage.play.seed) {
        let outcome = stage.play(test, &attempt.batches, None).await?;
        let failures = check(test, &outcome);
        if let Some(first) = failures.first() {
            let Attempt { twist, batches } = attempt;
            let what = smallest(stage, test, (twist, batches), first).await?;
            return Ok(Some(Failure { line: test.line, what }));
        }
    }
    Ok(None)
}

/// The topic, counted from 0, and the partition of each record.
fn partitions(given: &[Given]) -> Vec<(usize, usize)> {
    let mut topics: Vec<&str> = Vec::new();
    let places = given.iter().map(|given| {
        let topic = &*given.record.topic;
        let place = topics.iter().position(|known| *known == topic).unwrap_or_else(|| {
            topics.push(topic);
            topics.len() - 1
        });
        (place, given.record.partition as usize)
    });
    places.collect()
}

/// What a test has against an outcome.
fn check(test: &Test, outcome: &Outcome) -> Vec<Failure> {
    let mut failures = Vec::new();
    let asked = test.then.iter().filter_map(|then| match then {
        Then::Answer(answer) => Some(answer),
        Then::Parked(_) => None,
    });
    for (answer, (status, body)) in asked.zip(&outcome.answers) {
        failures.extend(check_answer(answer, *status, body));
    }
    failures.extend(check_parked(test, outcome));
    failures
}

pub(super) fn check_answer(
    answer: &Answer,
    status: u16,
    body: &serde_json::Value,
) -> Option<Failure> {
    let failure = |lines: Vec<String>| {
        let lines = lines.join("\n  ");
        Failure { line: answer.line, what: format!("GET {}\n  {lines}", answer.address) }
    };
    let no_row = is_no_row(status, body);
    let expected = answer.rows.as_ref().map(|rows| rows.rows.as_slice());
    let wanted = answer.status.unwrap_or(200);
    if status != wanted && !(answer.status.is_none() && no_row && expected.is_some()) {
        let detail = body.get("detail").and_then(|detail| detail.as_str()).unwrap_or_default();
        return Some(failure(vec![format!("the answer is {status}, not {wanted}: {detail}")]));
    }
    let actual = if no_row { Vec::new() } else { rows_of(body) };
    let lines = difference::rows(expected?, &actual, answer.is_ordered());
    (!lines.is_empty()).then(|| failure(lines))
}

/// Records that were parked and that no test expects are a failure, too: their events are missing from all views.
pub(super) fn check_parked(test: &Test, outcome: &Outcome) -> Vec<Failure> {
    let lists: Vec<&Parked> = test
        .then
        .iter()
        .filter_map(|then| match then {
            Then::Parked(parked) => Some(parked),
            Then::Answer(_) => None,
        })
        .collect();
    let mut left: Vec<(&Given, &Option<String>)> =
        outcome.parked.iter().map(|(record, reason)| (&test.given[*record], reason)).collect();
    let mut failures = Vec::new();
    for parked in &lists {
        for expected in &parked.records {
            let is_it = |(given, reason): &(&Given, &Option<String>)| {
                expected.is(given) && gives(expected, reason.as_deref())
            };
            match left.iter().position(is_it) {
                Some(place) => drop(left.remove(place)),
                None => {
                    let because = expected.reason.as_ref();
                    let because = because.map(|reason| format!(" because of {reason:?}"));
                    let because = because.unwrap_or_default();
                    let what =
                        format!("{} is expected to be parked{because}, and is not", expected.event);
                    failures.push(Failure { line: parked.line, what });
                }
            }
        }
    }
    let unexpected = left.into_iter().map(|(given, reason)| {
        let reason = reason.as_deref().unwrap_or("it waits behind another record of its key");
        let what = format!("{} of line {} is parked: {reason}", given.written, given.line);
        Failure { line: lists.first().map_or(test.line, |parked| parked.line), what }
    });
    failures.extend(unexpected);
    failures
}

fn gives(expected: &ParkedRecord, reason: Option<&str>) -> bool {
    expected
        .reason
        .as_ref()
        .is_none_or(|part| reason.is_some_and(|reason| reason.contains(part.as_str())))
}
