//! Arrays of texts, read where they lie. Invariant: what is no such array is an error, never half a row.

use sqlx::postgres::{PgRow, PgValueFormat};
use sqlx::{Row as _, ValueRef as _};

use super::DatabaseError;

/// Rows of texts, each of as many: the value of a `text[]` for one row, of a `text[][]` for several.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Texts<'r> {
    rows: usize,
    columns: usize,
    elements: &'r [u8],
}

impl<'r> Texts<'r> {
    /// Those of a column; none where it is NULL.
    pub(crate) fn get(row: &'r PgRow, column: &str) -> Result<Self, DatabaseError> {
        let none = Self { rows: 0, columns: 0, elements: &[] };
        let value = row.try_get_raw(column)?;
        if value.is_null() {
            return Ok(none);
        }
        let wrong = || DatabaseError::Other(format!("{column} is no array of texts"));
        let bytes = value.as_bytes().map_err(|_| wrong())?;
        if value.format() != PgValueFormat::Binary {
            return Err(wrong());
        }
        // The number of dimensions, whether there are NULLs, the elements' type; of each dimension its length and its begin.
        let number = |place: usize| {
            let bytes = bytes.get(place..place + 4)?.try_into().ok()?;
            usize::try_from(i32::from_be_bytes(bytes)).ok()
        };
        let dimensions = number(0).ok_or_else(wrong)?;
        let (rows, columns) = match dimensions {
            0 => return Ok(none),
            1 => (Some(1), number(12)),
            2 => (number(12), number(20)),
            _ => return Err(wrong()),
        };
        let elements = bytes.get(12 + 8 * dimensions..).ok_or_else(wrong)?;
        let (rows, columns) = rows.zip(columns).ok_or_else(wrong)?;
        let texts = Self { rows, columns, elements };
        match texts.elements().filter(Option::is_some).count() == rows * columns {
            true => Ok(texts),
            false => Err(wrong()),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.rows
    }

    /// Bytes of all of them.
    pub(crate) fn bytes(&self) -> usize {
        self.elements.len()
    }

    /// The rows, of each its texts.
    pub(crate) fn rows(self) -> impl Iterator<Item = Vec<Option<&'r str>>> {
        let mut elements = self.elements().flatten();
        (0..self.rows).map(move |_| elements.by_ref().take(self.columns).collect())
    }

    /// Each element; the first that is none ends them.
    fn elements(self) -> impl Iterator<Item = Option<Option<&'r str>>> {
        let mut rest = self.elements;
        std::iter::from_fn(move || {
            let (length, after) = rest.split_first_chunk()?;
            let length = i32::from_be_bytes(*length);
            let Ok(length) = usize::try_from(length) else {
                rest = after;
                return Some((length == -1).then_some(None));
            };
            let (text, after) = after.split_at_checked(length)?;
            rest = after;
            Some(std::str::from_utf8(text).ok().map(Some))
        })
    }
}
