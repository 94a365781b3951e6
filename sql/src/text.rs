//! A file's text as tokens that know their bytes. Every place that is cut or spliced comes from here, so whatever is
//! not cut stays byte for byte as the user wrote it.

pub(crate) mod literal;
pub(crate) mod statement;

use crate::finding::place::Place;
use std::collections::BTreeSet;
use std::ops::Range;

use sqlparser::ast::{Expr, Statement};
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Location, Token, TokenWithSpan, Tokenizer, Whitespace};

/// One token (white space and comments are tokens, too) and its bytes in the file.
pub(crate) struct Lexeme {
    pub(crate) token: TokenWithSpan,
    pub(crate) bytes: Range<usize>,
}

impl Lexeme {
    pub(crate) fn place(&self) -> Place {
        Place::from(self.token.span.start)
    }

    /// Upper-case text of an unquoted word, empty for everything else.
    pub(crate) fn keyword(&self) -> String {
        match &self.token.token {
            Token::Word(word) if word.quote_style.is_none() => word.value.to_ascii_uppercase(),
            _ => String::new(),
        }
    }

    pub(crate) fn is(&self, token: &Token) -> bool {
        self.token.token == *token
    }

    /// The content of a string literal, however it is quoted.
    pub(crate) fn literal(&self) -> Option<&str> {
        match &self.token.token {
            Token::SingleQuotedString(text)
            | Token::EscapedStringLiteral(text)
            | Token::UnicodeStringLiteral(text)
            | Token::NationalStringLiteral(text) => Some(text),
            Token::DollarQuotedString(quoted) => Some(&quoted.value),
            _ => None,
        }
    }

    fn is_blank(&self) -> bool {
        matches!(self.token.token, Token::Whitespace(_))
    }
}

/// What stopped the reader, and where.
#[derive(Debug)]
pub(crate) struct Unreadable {
    pub(crate) at: Place,
    pub(crate) what: String,
}

/// A whole file.
pub(crate) struct Text<'a> {
    source: &'a str,
    lexemes: Vec<Lexeme>,
}

impl<'a> Text<'a> {
    pub(crate) fn new(source: &'a str) -> Result<Self, Unreadable> {
        let tokens = Tokenizer::new(&PostgreSqlDialect {}, source)
            .tokenize_with_location()
            .map_err(|error| {
                let what = format!("the text cannot be cut into words here ({})", error.message);
                Unreadable { at: Place::from(error.location), what }
            })?;
        // The tokens lie side by side, so one walk over the characters finds where each of them ends.
        let mut characters = source.char_indices();
        let (mut at, mut byte) = (Location::new(1, 1), 0);
        let mut lexemes = Vec::with_capacity(tokens.len());
        for token in tokens {
            let start = byte;
            while at < token.span.end {
                let Some((index, character)) = characters.next() else { break };
                at = match character {
                    '\n' => Location::new(at.line + 1, 1),
                    _ => Location::new(at.line, at.column + 1),
                };
                byte = index + character.len_utf8();
            }
            lexemes.push(Lexeme { token, bytes: start..byte });
        }
        Ok(Self { source, lexemes })
    }

    /// All tokens that are neither white space nor comment.
    pub(crate) fn significant(&self) -> impl Iterator<Item = &Lexeme> {
        self.lexemes.iter().filter(|lexeme| !lexeme.is_blank())
    }

    /// The statements between semicolons, without the empty ones. What psql would take for its own, from a backslash to
    /// the end of its line, stands between statements, too.
    pub(crate) fn statements(&self) -> Vec<Fragment<'_>> {
        let mut meta = false;
        let cut = self.lexemes.split(|lexeme| {
            meta = match &lexeme.token.token {
                Token::Backslash => true,
                Token::Whitespace(Whitespace::Newline | Whitespace::SingleLineComment { .. }) => {
                    false
                }
                _ => meta,
            };
            meta || lexeme.is(&Token::SemiColon)
        });
        cut.filter_map(|lexemes| Fragment::new(self.source, lexemes)).collect()
    }
}

/// A part of a file that begins and ends with a token that matters.
#[derive(Clone, Copy)]
pub(crate) struct Fragment<'a> {
    source: &'a str,
    lexemes: &'a [Lexeme],
}

impl<'a> Fragment<'a> {
    /// None where there is nothing but white space and comments.
    pub(crate) fn new(source: &'a str, lexemes: &'a [Lexeme]) -> Option<Self> {
        let first = lexemes.iter().position(|lexeme| !lexeme.is_blank())?;
        let last = lexemes.iter().rposition(|lexeme| !lexeme.is_blank())?;
        Some(Self { source, lexemes: &lexemes[first..=last] })
    }

    /// The user's own text.
    pub(crate) fn text(&self) -> &'a str {
        &self.source[self.base()..self.lexemes[self.lexemes.len() - 1].bytes.end]
    }

    pub(crate) fn place(&self) -> Place {
        self.lexemes[0].place()
    }

    pub(crate) fn significant(&self) -> impl Iterator<Item = &'a Lexeme> + use<'a> {
        self.lexemes.iter().filter(|lexeme| !lexeme.is_blank())
    }

    /// The unquoted words in their order, in upper case; anything else is an empty word.
    pub(crate) fn keywords(&self) -> Vec<String> {
        self.significant().map(Lexeme::keyword).collect()
    }

    /// The tokens in one line: the same for all ways to format the same text.
    pub(crate) fn canonical(&self) -> String {
        let tokens = self.significant().map(|lexeme| match &lexeme.token.token {
            Token::Word(word) if word.quote_style.is_none() => word.value.to_ascii_lowercase(),
            _ => self.source[lexeme.bytes.clone()].to_owned(),
        });
        tokens.collect::<Vec<_>>().join(" ")
    }

    /// Every name and keyword in it, folded.
    pub(crate) fn names(&self) -> BTreeSet<String> {
        let words = self.significant().filter_map(|lexeme| match &lexeme.token.token {
            Token::Word(word) if word.quote_style.is_some() => Some(word.value.clone()),
            Token::Word(word) => Some(word.value.to_ascii_lowercase()),
            _ => None,
        });
        words.collect()
    }

    /// Cuts at every token outside parentheses for which `at` holds; the token itself is in neither part.
    pub(crate) fn split(&self, at: impl Fn(&Lexeme) -> bool) -> Vec<Fragment<'a>> {
        let mut depth = 0usize;
        let parts = self.lexemes.split(|lexeme| {
            match lexeme.token.token {
                Token::LParen | Token::LBracket => depth += 1,
                Token::RParen | Token::RBracket => depth = depth.saturating_sub(1),
                _ => {}
            }
            depth == 0 && at(lexeme)
        });
        parts.filter_map(|lexemes| Self::new(self.source, lexemes)).collect()
    }

    /// The tokens that lie within these bytes of the file.
    pub(crate) fn part(&self, bytes: &Range<usize>) -> Option<Fragment<'a>> {
        let first = self.lexemes.partition_point(|lexeme| lexeme.bytes.start < bytes.start);
        let last = self.lexemes.partition_point(|lexeme| lexeme.bytes.end <= bytes.end);
        Self::new(self.source, self.lexemes.get(first..last)?)
    }

    /// Bytes of the file, as bytes of this fragment's text.
    pub(crate) fn within(&self, bytes: &Range<usize>) -> Range<usize> {
        bytes.start - self.base()..bytes.end - self.base()
    }

    /// The token that the parser saw at `location`.
    pub(crate) fn at(&self, location: Location) -> Option<&'a Lexeme> {
        let found = self.lexemes.binary_search_by(|lexeme| lexeme.token.span.start.cmp(&location));
        found.ok().map(|index| &self.lexemes[index])
    }

    /// Reads the fragment as one statement; locations in it are those of the file.
    pub(crate) fn parse(&self) -> Result<Statement, Unreadable> {
        self.parse_as(|parser| parser.parse_statement())
    }

    /// Reads the fragment as one expression; locations in it are those of the file.
    pub(crate) fn parse_expression(&self) -> Result<Expr, Unreadable> {
        self.parse_as(|parser| parser.parse_expr())
    }

    fn parse_as<T>(
        &self,
        parse: impl FnOnce(&mut Parser<'_>) -> Result<T, ParserError>,
    ) -> Result<T, Unreadable> {
        let tokens = self.lexemes.iter().map(|lexeme| lexeme.token.clone()).collect();
        let mut parser = Parser::new(&PostgreSqlDialect {}).with_tokens_with_locations(tokens);
        let parsed = parse(&mut parser).map_err(|error| self.unreadable(&error.to_string()))?;
        let next = parser.peek_token();
        if next.token == Token::EOF {
            return Ok(parsed);
        }
        Err(Unreadable {
            at: Place::from(next.span.start),
            what: format!("found `{}`", next.token),
        })
    }

    /// The parser's own message, in our words; its place taken out of the text.
    fn unreadable(&self, message: &str) -> Unreadable {
        let message = message.trim_start_matches("sql parser error: ");
        let (what, place) = message.rsplit_once(" at Line: ").unwrap_or((message, ""));
        let place = place.split_once(", Column: ").and_then(|(line, column)| {
            Some(Location::new(line.trim().parse().ok()?, column.trim().parse().ok()?))
        });
        let what = match what.split_once(", found: ") {
            Some((expected, "EOF")) => {
                let expected = expected.trim_start_matches("Expected: ");
                return Unreadable {
                    at: self.end(),
                    what: format!("the statement ends where {expected} should follow"),
                };
            }
            Some((expected, found)) => {
                format!("expected {}, found `{found}`", expected.trim_start_matches("Expected: "))
            }
            // Some messages show the token as the parser's own data.
            None => match what.split("value: \"").nth(1).and_then(|rest| rest.split('"').next()) {
                Some(word) => format!("found `{word}`"),
                None => what.to_owned(),
            },
        };
        Unreadable { at: place.and_then(Place::known).unwrap_or(self.place()), what }
    }

    /// Right behind its last token.
    pub(crate) fn end(&self) -> Place {
        Place::from(self.lexemes[self.lexemes.len() - 1].token.span.end)
    }

    /// The fragment cut in two before one of its tokens, neither the first nor the last.
    pub(crate) fn cut(&self, before: &Lexeme) -> Option<(Self, Self)> {
        let at = self.lexemes.partition_point(|lexeme| lexeme.bytes.start < before.bytes.start);
        let (head, tail) = self.lexemes.split_at(at);
        Some((Self::new(self.source, head)?, Self::new(self.source, tail)?))
    }

    /// The tokens outside of parentheses with which a line begins, the first one aside.
    pub(crate) fn line_starts(&self) -> Vec<&'a Lexeme> {
        let (mut depth, mut line) = (0usize, self.place().line);
        let mut starts = Vec::new();
        for lexeme in self.significant() {
            if depth == 0 && lexeme.place().line > line {
                starts.push(lexeme);
            }
            line = Place::from(lexeme.token.span.end).line;
            match lexeme.token.token {
                Token::LParen | Token::LBracket => depth += 1,
                Token::RParen | Token::RBracket => depth = depth.saturating_sub(1),
                _ => {}
            }
        }
        starts
    }

    fn base(&self) -> usize {
        self.lexemes[0].bytes.start
    }
}

/// `text` with each range replaced; the ranges do not overlap.
pub(crate) fn splice(
    text: &str,
    edits: impl IntoIterator<Item = (Range<usize>, String)>,
) -> String {
    let mut edits: Vec<_> = edits.into_iter().collect();
    edits.sort_by_key(|(range, _)| range.start);
    let mut spliced = String::with_capacity(text.len());
    let mut done = 0;
    for (range, replacement) in edits {
        spliced.push_str(&text[done..range.start]);
        spliced.push_str(&replacement);
        done = range.end;
    }
    spliced.push_str(&text[done..]);
    spliced
}

/// Where a byte of the spliced text was before; the beginning of the range that it replaces, if it is new.
pub(crate) fn unspliced(
    edits: impl IntoIterator<Item = (Range<usize>, String)>,
    byte: usize,
) -> usize {
    let mut edits: Vec<_> = edits.into_iter().collect();
    edits.sort_by_key(|(range, _)| range.start);
    let (mut put, mut taken) = (0, 0);
    for (range, replacement) in edits {
        let start = range.start + put - taken;
        if byte < start {
            break;
        }
        if byte < start + replacement.len() {
            return range.start;
        }
        put += replacement.len();
        taken += range.len();
    }
    byte + taken - put
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_byte_belongs_to_one_token() {
        let source = "SELECT 'é;', $x$;$x$, E'\\';' -- ;ü\n/* ; /* ö */ */, \"ñ;\" @ -5;\r\n; UPDATE t SET a = 1";
        let text = Text::new(source).unwrap();
        let glued: String =
            text.lexemes.iter().map(|lexeme| &source[lexeme.bytes.clone()]).collect();
        assert_eq!(glued, source);
        let statements: Vec<_> =
            text.statements().iter().map(|part| (part.place().line, part.text())).collect();
        assert_eq!(statements.len(), 2);
        assert_eq!(statements[1], (3, "UPDATE t SET a = 1"));
        assert!(statements[0].1.ends_with("@ -5"));
    }

    #[test]
    fn bytes_are_found_again_in_what_was_spliced() {
        let edits = || [(2..4, "long".to_owned()), (5..6, String::new())];
        assert_eq!(splice("abcdefg", edits()), "ablongeg");
        let before: Vec<_> = (0..8).map(|byte| unspliced(edits(), byte)).collect();
        assert_eq!(before, [0, 1, 2, 2, 2, 2, 4, 6]);
    }

    #[test]
    fn what_cannot_be_read_names_its_line() {
        assert_eq!(Text::new("SELECT 1;\n'open").err().unwrap().at.line, 2);
        let text = Text::new("SELECT 1;\nSELECT 2\nFROM FROM x x x").unwrap();
        let error = text.statements()[1].parse().err().unwrap();
        assert_eq!(error.at.line, 3);
        assert!(error.what.contains("found"), "{}", error.what);
    }
}
