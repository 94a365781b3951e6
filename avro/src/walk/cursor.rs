//! Reads Avro's wire format from bytes that nobody vouches for. Every length and count is checked against what is left
//! before anything is taken, and nothing panics.

use crate::walk::fault::{Parse, PayloadFault};

/// What is still to be read. Small and copied, so that a walk keeps it in registers: its place in memory, stored after
/// one value and loaded before the next, would be half of the time that decoding takes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cursor<'a> {
    rest: &'a [u8],
    /// Length of the whole.
    length: usize,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, length: bytes.len() }
    }

    /// Bytes still to be read.
    pub(crate) fn left(self) -> usize {
        self.rest.len()
    }

    #[cold]
    pub(crate) fn fault(self, what: impl Into<String>) -> Box<PayloadFault> {
        PayloadFault::new(self.length - self.rest.len(), what)
    }

    #[inline]
    pub(crate) fn take(&mut self, count: usize) -> Parse<&'a [u8]> {
        match self.rest.split_at_checked(count) {
            Some((bytes, rest)) => {
                self.rest = rest;
                Ok(bytes)
            }
            None => Err(self.too_short(count)),
        }
    }

    #[inline]
    pub(crate) fn array<const N: usize>(&mut self) -> Parse<[u8; N]> {
        match self.rest.split_first_chunk() {
            Some((array, rest)) => {
                self.rest = rest;
                Ok(*array)
            }
            None => Err(self.too_short(N)),
        }
    }

    #[inline]
    pub(crate) fn boolean(&mut self) -> Parse<bool> {
        match self.array()? {
            [0] => Ok(false),
            [1] => Ok(true),
            [other] => Err(self.not_a_boolean(other)),
        }
    }

    /// Most numbers are lengths, branches and counts, which take one byte.
    #[inline]
    pub(crate) fn long(&mut self) -> Parse<i64> {
        match self.rest {
            [byte @ 0..0x80, rest @ ..] => {
                self.rest = rest;
                Ok(unzigzag(u64::from(*byte)))
            }
            _ => {
                let (long, rest) = self.long_of_many_bytes()?;
                self.rest = rest;
                Ok(long)
            }
        }
    }

    fn long_of_many_bytes(self) -> Parse<(i64, &'a [u8])> {
        if let Some(&word) = self.rest.first_chunk() {
            let word = u64::from_le_bytes(word);
            let ends = !word & 0x8080_8080_8080_8080;
            if ends != 0 {
                let length = (ends.trailing_zeros() as usize + 1) / 8;
                return Ok((unzigzag(joined(word & (ends ^ (ends - 1)))), &self.rest[length..]));
            }
        }
        let mut zigzag = 0u64;
        for (place, &byte) in self.rest.iter().take(10).enumerate() {
            zigzag |= u64::from(byte & 0x7f) << (7 * place);
            if byte < 0x80 {
                if place == 9 && byte > 1 {
                    break;
                }
                return Ok((unzigzag(zigzag), &self.rest[place + 1..]));
            }
        }
        let cut = self.rest.len() < 10;
        Err(self.fault(if cut {
            "the payload ends within a number"
        } else {
            "a number takes more than 64 bits"
        }))
    }

    #[inline]
    pub(crate) fn int(&mut self) -> Parse<i32> {
        let long = self.long()?;
        i32::try_from(long).map_err(|_| self.not_an_int(long))
    }

    /// Bytes with their length before them.
    #[inline]
    pub(crate) fn bytes(&mut self) -> Parse<&'a [u8]> {
        let length = self.long()?;
        match usize::try_from(length) {
            Ok(length) => self.take(length),
            Err(_) => Err(self.not_a_length(length)),
        }
    }

    pub(crate) fn text(&mut self) -> Parse<&'a str> {
        let bytes = self.bytes()?;
        self.utf8(bytes)
    }

    /// The bytes just read, as text.
    pub(crate) fn utf8(self, bytes: &'a [u8]) -> Parse<&'a str> {
        std::str::from_utf8(bytes).map_err(|error| {
            let at = self.length - self.rest.len() - bytes.len() + error.valid_up_to();
            PayloadFault::new(at, "a string holds bytes that are not UTF-8")
        })
    }

    /// An index into `count` branches or symbols.
    #[inline]
    pub(crate) fn index(&mut self, count: usize, of: &str) -> Parse<usize> {
        let index = self.long()?;
        match usize::try_from(index) {
            Ok(index) if index < count => Ok(index),
            _ => Err(self.not_an_index(index, count, of)),
        }
    }

    /// How many items the next block of an array or map holds; 0 ends it. `least` is the fewest bytes of an item.
    pub(crate) fn block(&mut self, least: usize) -> Parse<usize> {
        let count = self.long()?;
        if count == 0 {
            return Ok(0);
        }
        if count < 0 {
            let size = self.long()?;
            if usize::try_from(size).map_or(true, |size| size > self.rest.len()) {
                return Err(
                    self.fault(format!("a block of {size} bytes, {} are left", self.rest.len()))
                );
            }
        }
        let items = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
        if items.checked_mul(least).is_none_or(|bytes| bytes > self.rest.len()) {
            return Err(
                self.fault(format!("a block of {items} items, {} bytes are left", self.rest.len()))
            );
        }
        Ok(items)
    }

    /// Refuses what is left over.
    pub(crate) fn end(self) -> Parse<()> {
        match self.rest.len() {
            0 => Ok(()),
            left => Err(self.fault(format!("{left} bytes follow the value"))),
        }
    }
}

/// What is wrong, told apart from the reading: it is rare, and putting it into words takes more room than the rest.
impl Cursor<'_> {
    #[cold]
    fn too_short(self, count: usize) -> Box<PayloadFault> {
        self.fault(format!("{count} bytes should follow, {} are left", self.rest.len()))
    }

    #[cold]
    fn not_a_boolean(self, byte: u8) -> Box<PayloadFault> {
        self.fault(format!("a boolean is 0 or 1, not {byte}"))
    }

    #[cold]
    fn not_an_int(self, long: i64) -> Box<PayloadFault> {
        self.fault(format!("{long} is not an int of 32 bits"))
    }

    #[cold]
    fn not_a_length(self, length: i64) -> Box<PayloadFault> {
        self.fault(format!("a length of {length}"))
    }

    #[cold]
    fn not_an_index(self, index: i64, count: usize, of: &str) -> Box<PayloadFault> {
        self.fault(format!("{of} {index} of {count}"))
    }
}

/// Eight groups of seven bits, each in a byte, joined two by two.
fn joined(word: u64) -> u64 {
    let pairs = (word & 0x007f_007f_007f_007f) | (word & 0x7f00_7f00_7f00_7f00) >> 1;
    let fours = (pairs & 0x0000_3fff_0000_3fff) | (pairs & 0x3fff_0000_3fff_0000) >> 2;
    (fours & 0x0fff_ffff) | (fours & 0x0fff_ffff_0000_0000) >> 4
}

fn unzigzag(zigzag: u64) -> i64 {
    (zigzag >> 1) as i64 ^ -((zigzag & 1) as i64)
}
