//! Literals that Postgres may read as the clock: 'now', 'today', 'tomorrow', 'yesterday'. Whether one is a time or a
//! mere text only Postgres knows where no type stands beside it, so these are listed for asking.

use std::ops::Range;

use crate::finding::place::Place;
use crate::text::Fragment;

const CLOCK_WORDS: [&str; 4] = ["now", "today", "tomorrow", "yesterday"];

/// The word in `text` that would read the clock, if the text were a time (`today 10:00` and `[now,)` count, too).
pub(crate) fn clock_word(text: &str) -> Option<&'static str> {
    let mut words = text.split(|character: char| !character.is_alphabetic());
    words.find_map(|word| CLOCK_WORDS.into_iter().find(|clock| clock.eq_ignore_ascii_case(word)))
}

/// A literal that reads the clock if it is a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Literal {
    /// In the file.
    pub at: Place,
    /// Its bytes, quotes included, in the text it belongs to.
    pub span: Range<usize>,
    /// The word in it that stands for the clock.
    pub word: &'static str,
}

impl Literal {
    pub(crate) fn all(fragment: &Fragment<'_>) -> Vec<Self> {
        let found = fragment.significant().filter_map(|lexeme| {
            let word = lexeme.literal().and_then(clock_word)?;
            Some(Self { at: lexeme.place(), span: fragment.within(&lexeme.bytes), word })
        });
        found.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clock_words_as_postgres_reads_them() {
        for text in ["now", " Today ", "today 10:00", "[NOW,)", "{yesterday,2020-01-01}"] {
            assert!(clock_word(text).is_some(), "{text}");
        }
        for text in ["known", "nowhere", "", "2024-01-01"] {
            assert_eq!(clock_word(text), None, "{text}");
        }
    }
}
