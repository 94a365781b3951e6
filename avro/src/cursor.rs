//! Reads Avro's wire format from bytes that nobody vouches for. Every length and count is checked against what is left
//! before anything is taken, nesting and work are bounded by the record's size, and nothing panics.

use crate::fault::{Fault, Parse};

/// How deep a value may nest.
const MAX_DEPTH: u32 = 64;
/// Values that take no bytes cost work all the same: so many are free, and so many more a byte.
const FREE_WORK: usize = 4096;
const WORK_PER_BYTE: usize = 16;
/// JSON text that one record may become: so much is free, and so much more a byte.
const FREE_JSON: usize = 64 << 10;
const JSON_PER_BYTE: usize = 128;

pub(crate) struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
    depth: u32,
    work: usize,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, depth: 0, work: FREE_WORK.saturating_add(bytes.len().saturating_mul(WORK_PER_BYTE)) }
    }

    /// The JSON text that this record may become, in bytes.
    pub(crate) fn json_allowance(&self) -> usize {
        FREE_JSON.saturating_add(self.bytes.len().saturating_mul(JSON_PER_BYTE))
    }

    pub(crate) fn fault(&self, what: impl Into<String>) -> Box<Fault> {
        Fault::new(self.at, what)
    }

    fn left(&self) -> usize {
        self.bytes.len() - self.at
    }

    pub(crate) fn take(&mut self, count: usize) -> Parse<&'a [u8]> {
        match self.bytes.get(self.at..).and_then(|rest| rest.get(..count)) {
            Some(bytes) => {
                self.at += count;
                Ok(bytes)
            }
            None => Err(self.fault(format!("{count} bytes should follow, {} are left", self.left()))),
        }
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Parse<[u8; N]> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    pub(crate) fn boolean(&mut self) -> Parse<bool> {
        match self.take(1)? {
            [0] => Ok(false),
            [1] => Ok(true),
            other => Err(self.fault(format!("a boolean is 0 or 1, not {}", other[0]))),
        }
    }

    pub(crate) fn long(&mut self) -> Parse<i64> {
        let mut zigzag = 0u64;
        for (place, &byte) in self.bytes[self.at..].iter().take(10).enumerate() {
            zigzag |= u64::from(byte & 0x7f) << (7 * place);
            if byte < 0x80 {
                if place == 9 && byte > 1 {
                    break;
                }
                self.at += place + 1;
                return Ok((zigzag >> 1) as i64 ^ -((zigzag & 1) as i64));
            }
        }
        let cut = self.left() < 10;
        Err(self.fault(if cut { "the payload ends within a number" } else { "a number takes more than 64 bits" }))
    }

    pub(crate) fn int(&mut self) -> Parse<i32> {
        let long = self.long()?;
        i32::try_from(long).map_err(|_| self.fault(format!("{long} is not an int of 32 bits")))
    }

    /// Bytes with their length before them.
    pub(crate) fn bytes(&mut self) -> Parse<&'a [u8]> {
        let length = self.long()?;
        match usize::try_from(length) {
            Ok(length) => self.take(length),
            Err(_) => Err(self.fault(format!("a length of {length}"))),
        }
    }

    pub(crate) fn text(&mut self) -> Parse<&'a str> {
        let bytes = self.bytes()?;
        std::str::from_utf8(bytes).map_err(|error| {
            Fault::new(self.at - bytes.len() + error.valid_up_to(), "a string holds bytes that are not UTF-8")
        })
    }

    /// An index into `count` branches or symbols.
    pub(crate) fn index(&mut self, count: usize, of: &str) -> Parse<usize> {
        let index = self.long()?;
        match usize::try_from(index) {
            Ok(index) if index < count => Ok(index),
            _ => Err(self.fault(format!("{of} {index} of {count}"))),
        }
    }

    /// How many items the next block of an array or map holds; 0 ends it. `least` is the fewest bytes of an item.
    pub(crate) fn block(&mut self, least: usize) -> Parse<usize> {
        let count = self.long()?;
        if count < 0 {
            let size = self.long()?;
            if usize::try_from(size).map_or(true, |size| size > self.left()) {
                return Err(self.fault(format!("a block of {size} bytes, {} are left", self.left())));
            }
        }
        let items = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
        if items.checked_mul(least).is_none_or(|bytes| bytes > self.left()) {
            return Err(self.fault(format!("a block of {items} items, {} bytes are left", self.left())));
        }
        self.work(items)?;
        Ok(items)
    }

    /// Pays for values; a record that asks for far more values than it has bytes is refused.
    pub(crate) fn work(&mut self, values: usize) -> Parse<()> {
        match self.work.checked_sub(values) {
            Some(work) => {
                self.work = work;
                Ok(())
            }
            None => Err(self.fault("far more values than the record has bytes")),
        }
    }

    /// Goes one level down; `leave` comes back.
    pub(crate) fn enter(&mut self) -> Parse<()> {
        self.work(1)?;
        if self.depth == MAX_DEPTH {
            return Err(self.fault(format!("values nest deeper than {MAX_DEPTH} levels")));
        }
        self.depth += 1;
        Ok(())
    }

    pub(crate) fn leave(&mut self) {
        self.depth -= 1;
    }

    /// Refuses what is left over.
    pub(crate) fn end(&self) -> Parse<()> {
        match self.left() {
            0 => Ok(()),
            left => Err(self.fault(format!("{left} bytes follow the value"))),
        }
    }
}
