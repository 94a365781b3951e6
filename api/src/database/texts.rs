//! Values that are texts, read where they lie. Invariant: what is no text is an error, never half a row.

use std::ops::Range;

use sqlx::postgres::PgRow;
use sqlx::{Row as _, ValueRef as _};

use super::DatabaseError;

/// Those of some columns; none where it is NULL.
pub(crate) fn texts(
    row: &PgRow,
    columns: Range<usize>,
) -> Result<Vec<Option<&str>>, DatabaseError> {
    let text = |column| {
        let value = row.try_get_raw(column)?;
        match value.is_null() {
            true => Ok(None),
            false => value.as_str().map(Some).map_err(|e| DatabaseError::Other(e.to_string())),
        }
    };
    columns.map(text).collect()
}

/// Bytes of all of a row's values.
pub(super) fn bytes(row: &PgRow) -> usize {
    let value = |column| row.try_get_raw(column).ok()?.as_bytes().ok().map(<[u8]>::len);
    (0..row.len()).filter_map(value).sum()
}
