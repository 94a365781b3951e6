//! A finding as people read it: below its one line the line of the file, marks under the words that are meant, and, where
//! another name was probably meant, the line as it would be. What a file holds moves no terminal's cursor.

use std::ops::Range;

use vitrina_sql::{Finding, nearest, suggested};

/// Characters of a line that are shown, and how many of them before the words.
const WIDTH: usize = 110;
const BEFORE: usize = 50;

/// How a terminal is told of colours; all empty where there are none.
#[derive(Default)]
pub(super) struct Paint {
    error: &'static str,
    warning: &'static str,
    gutter: &'static str,
    added: &'static str,
    bold: &'static str,
    plain: &'static str,
}

impl Paint {
    pub(super) const COLOURS: Self = Self {
        error: "\x1b[1;31m",
        warning: "\x1b[1;33m",
        gutter: "\x1b[1;34m",
        added: "\x1b[32m",
        bold: "\x1b[1m",
        plain: "\x1b[0m",
    };

    /// The finding's line, and what is drawn of `text`, its file, below it.
    pub(super) fn finding(&self, finding: &Finding, text: Option<&str>) -> String {
        let Self { bold, plain, .. } = self;
        let (mark, kind) = match finding.is_error() {
            true => (self.error, ""),
            false => (self.warning, "warning: "),
        };
        let (address, what, help) = (finding.address(), &finding.what, &finding.help);
        let head = format!("{bold}{address}{plain}: {mark}{kind}{what}{plain}: {help}");
        let line = text.and_then(|text| text.lines().nth(finding.line - 1));
        let drawn = line.and_then(|line| self.line(finding, line, mark));
        head + &drawn.unwrap_or_default()
    }

    fn line(&self, finding: &Finding, line: &str, mark: &str) -> Option<String> {
        let Self { gutter, plain, added, .. } = self;
        let line: Vec<char> = line.trim_end().chars().map(visible).collect();
        let words = words(&line, finding.column - 1)?;
        let number = finding.line.to_string();
        let margin = " ".repeat(number.len());
        let (shown, at) = window(&line, &words);
        let indent = " ".repeat(at);
        let marks = "^".repeat(words.len());
        let mut drawn = format!(
            "\n{gutter}{margin} |{plain}\n{gutter}{number} |{plain} {shown}\n\
             {gutter}{margin} |{plain} {indent}{mark}{marks}{plain}"
        );
        if let Some((meant, name)) = replacement(finding, &line, &words) {
            let mut mended = line[..meant.start].to_vec();
            mended.extend(name.chars());
            let end = mended.len();
            mended.extend(&line[meant.end..]);
            let (mended, _) = window(&mended, &(meant.start..end));
            drawn += &format!(
                "\n{gutter}{number} -{plain} {mark}{shown}{plain}\n{gutter}{number} +{plain} {added}{mended}{plain}"
            );
        }
        Some(drawn)
    }
}

/// A control character as a mark of its own, a tab as a blank.
fn visible(character: char) -> char {
    match character {
        '\t' => ' ',
        other if other.is_control() => '\u{fffd}',
        other => other,
    }
}

/// The words that begin at a place of the line: a name with its dots, a quoted text, or one character.
fn words(line: &[char], start: usize) -> Option<Range<usize>> {
    let rest = line.get(start..)?;
    let first = *rest.first()?;
    let named = |character: &char| character.is_alphanumeric() || "_$.".contains(*character);
    let length = match first {
        '\'' | '"' => rest[1..].iter().position(|end| *end == first).map_or(1, |end| end + 2),
        _ if named(&first) => {
            let whole = rest.iter().take_while(|character| named(character)).count();
            let dots =
                rest[..whole].iter().rev().take_while(|character| **character == '.').count();
            (whole - dots).max(1)
        }
        _ => 1,
    };
    Some(start..start + length)
}

/// The part of a long line that is shown, and where the words begin in it.
fn window(line: &[char], words: &Range<usize>) -> (String, usize) {
    let from = match line.len() > WIDTH {
        true => words.start.saturating_sub(BEFORE),
        false => 0,
    };
    let to = line.len().min(from + WIDTH);
    let (before, after) =
        (if from > 0 { "… " } else { "" }, if to < line.len() { " …" } else { "" });
    let shown: String = line[from..to].iter().collect();
    (format!("{before}{shown}{after}"), words.start - from + before.chars().count())
}

/// What would be written in the place of what, if the finding suggests a name that is near to these words.
fn replacement<'a>(
    finding: &'a Finding,
    line: &[char],
    words: &Range<usize>,
) -> Option<(Range<usize>, &'a str)> {
    let name = suggested(&finding.what).or_else(|| suggested(&finding.help))?;
    // Of a dotted name the suggestion may be the last part alone.
    let last = line[words.clone()].iter().rposition(|character| *character == '.');
    let start = match last {
        Some(dot) if !name.contains('.') => words.start + dot + 1,
        _ => words.start,
    };
    let written: String = line[start..words.end].iter().collect();
    let bare = written.trim_matches(['"', '\'']);
    nearest(bare, [name])?;
    let quotes = written.chars().take_while(|character| "\"'".contains(*character)).count();
    Some((start + quotes..words.end - quotes, name))
}

#[cfg(test)]
mod tests {
    use vitrina_sql::Place;

    use super::*;

    fn drawn(line: &str, column: usize, what: &str, help: &str) -> String {
        let finding = Finding::error("m.sql", Place { line: 2, column }, what, help);
        Paint::default().finding(&finding, Some(&format!("first\n{line}\n")))
    }

    #[test]
    fn marks_stand_under_the_words_and_the_mended_line_below_them() {
        let expected = "\
m.sql:2:10: `t` has no column `amout`: did you mean `amount`? its columns are amount
  |
2 | UPDATE ö.amout SET 1
  |        ^^^^^^^
2 - UPDATE ö.amout SET 1
2 + UPDATE ö.amount SET 1";
        let help = "did you mean `amount`? its columns are amount";
        let told = drawn("UPDATE\tö.amout SET 1  ", 8, "`t` has no column `amout`", help);
        assert_eq!(told, expected.replace("2:10", "2:8"));
        let quoted = drawn("{\"kind\": \"domian\"}", 10, "x, did you mean `domain`?", "h");
        assert!(quoted.ends_with("2 + {\"kind\": \"domain\"}"), "{quoted}");
        // The words are not what the suggestion is for.
        let other = drawn("INSERT INTO t", 1, "w", "did you mean `amount`?");
        assert!(other.ends_with("  | ^^^^^^"), "{other}");
    }

    #[test]
    fn what_is_not_there_is_not_drawn_and_what_is_hostile_is_shown() {
        assert_eq!(drawn("short", 9, "w", "h"), "m.sql:2:9: w: h");
        let finding = Finding::warning("gone.sql", Place::START, "w", "h");
        assert_eq!(Paint::default().finding(&finding, None), "gone.sql:1:1: warning: w: h");
        let hostile = drawn("a \x1b[2J b", 1, "w", "h");
        assert!(hostile.contains("2 | a \u{fffd}[2J b"), "{hostile}");
    }

    #[test]
    fn a_long_line_is_shown_around_the_words() {
        let line = format!("{}word{}", "x ".repeat(500), " y".repeat(500));
        let told = drawn(&line, 1001, "w", "h");
        let lines: Vec<&str> = told.lines().collect();
        let at = lines[3].find('^').unwrap_or_default();
        let under: String = lines[2].chars().skip(at).take(4).collect();
        assert_eq!(under, "word", "{told}");
        assert!(lines[2].chars().count() < 130, "{told}");
    }
}
