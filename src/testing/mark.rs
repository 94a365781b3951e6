//! A finding in a test file, drawn: its place, what is wrong and the way out, then the line with a mark under the words.

use std::ops::Range;

use vitrina_sql::{Finding, Place};

/// What is wrong with a test file, and which bytes of it.
pub(super) struct Wrong {
    finding: Finding,
    drawing: String,
}

impl Wrong {
    pub(super) fn new(
        (file, text): (&str, &str),
        span: Range<usize>,
        what: impl Into<String>,
        help: impl Into<String>,
    ) -> Self {
        let at = Place::of(text, span.start);
        Self { finding: Finding::error(file, at, what, help), drawing: draw(text, &span, at) }
    }

    /// As it is told.
    pub(super) fn told(&self) -> String {
        format!("{}\n{}", self.finding, self.drawing)
    }
}

fn draw(text: &str, span: &Range<usize>, at: Place) -> String {
    let line = text.lines().nth(at.line - 1).unwrap_or_default();
    let marked = text.get(span.clone()).unwrap_or_default().lines().next().unwrap_or_default();
    let number = at.line.to_string();
    let margin = " ".repeat(number.len());
    // A tab stays a tab, so that the mark stands under its words whatever a tab is worth.
    let indent: String = line
        .chars()
        .take(at.column - 1)
        .map(|character| if character == '\t' { '\t' } else { ' ' })
        .collect();
    let mark = "^".repeat(marked.chars().count().max(1));
    format!("{margin} |\n{number} | {line}\n{margin} | {indent}{mark}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mark_stands_under_the_words() {
        let text = "[[test]]\n\té = 1\n";
        let start = text.find('é').unwrap_or_default();
        let wrong = Wrong::new(("t.toml", text), start..start + 2, "no", "yes");
        assert_eq!(wrong.told(), "t.toml:2:2: no: yes\n  |\n2 | \té = 1\n  | \t^");
    }
}
