//! Where in a file something stands, as editors count: lines and columns from 1, columns in characters.

use serde::{Deserialize, Serialize};
use sqlparser::tokenizer::Location;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Place {
    pub line: usize,
    pub column: usize,
}

impl Place {
    /// The file's beginning; also where something stands that is not there.
    pub const START: Self = Self { line: 1, column: 1 };

    /// Where the byte `offset` of `text` lies.
    pub fn of(text: &str, offset: usize) -> Self {
        Self::START.after(text.get(..offset).unwrap_or(text))
    }

    /// Where one is who stands here and reads on through `text`.
    pub fn after(self, text: &str) -> Self {
        match text.rsplit_once('\n') {
            Some((lines, last)) => Self {
                line: self.line + 1 + lines.matches('\n').count(),
                column: 1 + last.chars().count(),
            },
            None => Self { column: self.column + text.chars().count(), ..self },
        }
    }

    /// What the parser knows of a place; none where it did not keep it.
    pub(crate) fn known(location: Location) -> Option<Self> {
        (location.line > 0).then(|| Self::from(location))
    }
}

impl From<Location> for Place {
    fn from(location: Location) -> Self {
        let number = |number: u64| usize::try_from(number).unwrap_or(usize::MAX).max(1);
        Self { line: number(location.line), column: number(location.column) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters() {
        let text = "é\n  ö x";
        assert_eq!(Place::of(text, 0), Place::START);
        assert_eq!(Place::of(text, text.len() - 1), Place { line: 2, column: 5 });
        assert_eq!(Place::of(text, 1000), Place { line: 2, column: 6 });
    }
}
