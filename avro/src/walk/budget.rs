//! How much one record may ask for: depth, work and JSON text are bounded by its size, whatever its bytes say.

use crate::walk::cursor::Cursor;
use crate::walk::fault::{Parse, PayloadFault};

/// How deep records, arrays and maps may nest within an event.
pub(crate) const MAX_DEPTH: u32 = 64;
/// Values that take no bytes cost work all the same: so many are free, and so many more a byte.
const FREE_WORK: usize = 4096;
const WORK_PER_BYTE: usize = 16;
/// JSON text that one column may become: so much is free, and so much more a byte of the record.
const FREE_JSON: usize = 64 << 10;
const JSON_PER_BYTE: usize = 128;

/// What is left of it.
#[derive(Debug)]
pub(crate) struct Budget {
    depth: u32,
    work: usize,
    json: usize,
}

impl Budget {
    /// For a record of `length` bytes.
    pub(crate) fn new(length: usize) -> Self {
        let of = |free: usize, each: usize| free.saturating_add(length.saturating_mul(each));
        Self {
            depth: MAX_DEPTH,
            work: of(FREE_WORK, WORK_PER_BYTE),
            json: of(FREE_JSON, JSON_PER_BYTE),
        }
    }

    /// Pays for values; a record that asks for far more values than it has bytes is refused.
    #[inline]
    pub(crate) fn work(&mut self, values: usize, cursor: Cursor<'_>) -> Parse<()> {
        match self.work.checked_sub(values) {
            Some(work) => {
                self.work = work;
                Ok(())
            }
            None => Err(cursor.fault("far more values than the record has bytes")),
        }
    }

    /// Goes one level down; `leave` comes back.
    #[inline]
    pub(crate) fn enter(&mut self, cursor: Cursor<'_>) -> Parse<()> {
        self.work(1, cursor)?;
        match self.depth.checked_sub(1) {
            Some(depth) => {
                self.depth = depth;
                Ok(())
            }
            None => Err(too_deep(cursor)),
        }
    }

    #[inline]
    pub(crate) fn leave(&mut self) {
        self.depth += 1;
    }

    /// Refuses a column of more JSON than this record may become.
    #[inline]
    pub(crate) fn json(&self, length: usize, cursor: Cursor<'_>) -> Parse<()> {
        if length > self.json {
            return Err(cursor.fault("as JSON the record becomes far longer than it is"));
        }
        Ok(())
    }
}

#[cold]
fn too_deep(cursor: Cursor<'_>) -> Box<PayloadFault> {
    cursor.fault(format!("values nest deeper than {MAX_DEPTH} levels"))
}
