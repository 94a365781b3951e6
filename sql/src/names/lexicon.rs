//! Words that Postgres would read in another way than the parser does, or that are not the user's to write. They are
//! refused by the token, before anything is parsed.

use sqlparser::tokenizer::Token;

use crate::finding::report::Report;
use crate::names::name::LONGEST;
use crate::text::{Lexeme, Text};

pub(crate) fn check(text: &Text<'_>, report: &mut Report) {
    let lexemes: Vec<_> = text.significant().collect();
    lexemes.iter().for_each(|lexeme| check_one(lexeme, report));
    for pair in lexemes.windows(2) {
        let [left, right] = pair else { continue };
        if left.is(&Token::Backslash) {
            let word = match &right.token.token {
                Token::Word(word) if left.bytes.end == right.bytes.start => word.value.as_str(),
                _ => "",
            };
            let what = format!("`\\{word}` is a command of psql, not SQL");
            report.error(left.place(), what, "take it out: the file is read by Vitrina alone");
        }
        if left.literal().is_some() && right.literal().is_some() {
            report.error(
                right.place(),
                "two string literals stand side by side",
                "write them as one, or put || between them",
            );
        }
        if left.keyword() == "U"
            && right.is(&Token::Ampersand)
            && left.bytes.end == right.bytes.start
        {
            report.error(
                left.place(),
                "names of the form U&\"…\" are not supported",
                "write the name's letters out",
            );
        }
    }
}

fn check_one(lexeme: &Lexeme, report: &mut Report) {
    match &lexeme.token.token {
        Token::Placeholder(name) => {
            report.error(
                lexeme.place(),
                format!("`{name}` is a parameter"),
                "refer to the event's columns by name",
            );
        }
        Token::Word(word) if word.value.len() > LONGEST => {
            let what = format!("the name `{}` is longer than {LONGEST} bytes", word.value);
            report.error(lexeme.place(), what, "shorten it: Postgres would cut it off");
        }
        Token::Word(word)
            if word.value.starts_with('@')
                || word.value.to_ascii_lowercase().starts_with("_vitrina_") =>
        {
            report.error(
                lexeme.place(),
                format!("the name `{}` is reserved", word.value),
                "choose another name",
            );
        }
        _ => {}
    }
}
