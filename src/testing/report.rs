//! What the tests say: to people, to scripts as JSON, and to pipelines as JUnit's XML.

use std::time::Duration;

use serde::Serialize;

use super::judge::{FileVerdict, Verdict};

/// How the tests went.
#[derive(Serialize)]
pub(super) struct Report<'v> {
    tests: Vec<TestLine<'v>>,
    passed: usize,
    failed: usize,
    seed: u64,
}

#[derive(Serialize)]
struct TestLine<'v> {
    file: &'v str,
    line: usize,
    name: &'v str,
    passed: bool,
    /// How often its records were played, in one order or another.
    runs: usize,
    milliseconds: u64,
    failures: Vec<FailureLine<'v>>,
}

#[derive(Serialize)]
struct FailureLine<'v> {
    line: usize,
    what: &'v str,
}

impl<'v> Report<'v> {
    pub(super) fn new(files: &'v [FileVerdict], seed: u64) -> Self {
        let tests: Vec<TestLine<'_>> = files.iter().flat_map(test_lines).collect();
        let failed = tests.iter().filter(|test| !test.passed).count();
        Self { passed: tests.len() - failed, failed, tests, seed }
    }

    pub(super) fn has_failed(&self) -> bool {
        self.failed > 0
    }
}

fn test_lines(file: &FileVerdict) -> impl Iterator<Item = TestLine<'_>> {
    let tests = file.file.tests.iter().zip(&file.verdicts);
    tests.map(|(test, verdict)| TestLine {
        file: &file.file.name,
        line: test.line,
        name: &test.name,
        passed: verdict.failures.is_empty(),
        runs: verdict.runs,
        milliseconds: milliseconds(verdict.took),
        failures: verdict
            .failures
            .iter()
            .map(|failure| FailureLine { line: failure.line, what: &failure.what })
            .collect(),
    })
}

fn milliseconds(took: Duration) -> u64 {
    u64::try_from(took.as_millis()).unwrap_or(u64::MAX)
}

/// A line a file, and below it what has failed.
pub(super) fn lines(
    files: &[FileVerdict],
    report: &Report<'_>,
    (took, place): (Duration, &str),
) -> String {
    let mut lines = Vec::new();
    for verdict in files {
        let name = &verdict.file.name;
        let tests = verdict.verdicts.len();
        let failed = verdict.verdicts.iter().filter(|test| !test.failures.is_empty()).count();
        let updated = verdict.verdicts.iter().filter(|test| !test.edits.is_empty()).count();
        let head = match (failed, updated) {
            (0, 0) => format!("ok      {name}: {}", count(tests, "test")),
            (0, updated) => format!("updated {name}: {updated} of {}", count(tests, "test")),
            (failed, _) => format!("FAILED  {name}: {failed} of {}", count(tests, "test")),
        };
        let took = milliseconds(verdict.took);
        lines.push(format!("{head}, {}, {took} ms", count(verdict.runs, "run")));
        for (test, Verdict { failures, .. }) in verdict.file.tests.iter().zip(&verdict.verdicts) {
            for failure in failures {
                let what = failure.what.replace('\n', "\n    ");
                lines.push(format!("  {name}:{}: {}\n    {what}", failure.line, test.name));
            }
        }
    }
    let Report { passed, failed, seed, .. } = report;
    lines.push(format!(
        "{}: {} passed, {failed} failed; {:.1} s on {place}, seed {seed}",
        if report.has_failed() { "FAILED" } else { "OK" },
        count(*passed, "test"),
        took.as_secs_f64()
    ));
    lines.join("\n")
}

fn count(number: usize, of: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {of}{plural}")
}

/// A suite a file, a case a test, as pipelines read them.
pub(super) fn junit(files: &[FileVerdict]) -> String {
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n");
    for file in files {
        let failed = file.verdicts.iter().filter(|test| !test.failures.is_empty()).count();
        xml.push_str(&format!(
            "  <testsuite name=\"{}\" tests=\"{}\" failures=\"{failed}\" time=\"{:.3}\">\n",
            escaped(&file.file.name),
            file.verdicts.len(),
            file.took.as_secs_f64()
        ));
        for (test, verdict) in file.file.tests.iter().zip(&file.verdicts) {
            let (class, name) = (escaped(&file.file.name), escaped(&test.name));
            let (line, time) = (test.line, verdict.took.as_secs_f64());
            xml.push_str(&format!(
                "    <testcase classname=\"{class}\" name=\"{name}\" file=\"{class}\" line=\"{line}\" time=\"{time:.3}\">"
            ));
            for failure in &verdict.failures {
                let first = failure.what.lines().next().unwrap_or_default();
                xml.push_str(&format!(
                    "\n      <failure message=\"{}\">{class}:{}: {}</failure>",
                    escaped(first),
                    failure.line,
                    escaped(&failure.what)
                ));
            }
            xml.push_str(if verdict.failures.is_empty() { "" } else { "\n    " });
            xml.push_str("</testcase>\n");
        }
        xml.push_str("  </testsuite>\n");
    }
    xml.push_str("</testsuites>\n");
    xml
}

/// What XML takes: no control characters, and five that it means otherwise.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' | '\t' => escaped.push(character),
            control if control.is_control() => escaped.push('\u{fffd}'),
            '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn xml_takes_what_is_escaped() {
        assert_eq!(escaped("<a b=\"&\">\u{0}\n"), "&lt;a b=&quot;&amp;&quot;&gt;\u{fffd}\n");
    }
}
