//! What most texts are, told from eight bytes at a time: sooner than by looking for UTF-8, or for what JSON escapes,
//! which is left to the few that are not.

/// Whether all bytes are ASCII.
pub(crate) fn is_ascii(bytes: &[u8]) -> bool {
    gather(bytes, |word| word) & HIGH == 0
}

/// Whether all bytes are ASCII that JSON writes as it is.
pub(crate) fn is_plain(bytes: &[u8]) -> bool {
    let below = |word: u64, limit: u8| word.wrapping_sub(ONES * u64::from(limit));
    let equal = |word: u64, byte: u8| below(word ^ (ONES * u64::from(byte)), 1);
    // A borrow reaches a byte only from one below it that has been found already.
    gather(bytes, |word| word | below(word, b' ') | equal(word, b'"') | equal(word, b'\\')) & HIGH
        == 0
}

const ONES: u64 = u64::from_le_bytes([1; 8]);
const HIGH: u64 = ONES << 7;
const SPACES: u64 = ONES * b' ' as u64;

/// What `look` gives for all words of eight bytes, or-ed. The last of them may overlap the one before, and spaces fill
/// one that is too short.
#[inline(always)]
fn gather(bytes: &[u8], look: impl Fn(u64) -> u64) -> u64 {
    let (words, rest) = bytes.as_chunks();
    let found = words.iter().fold(0, |found, word| found | look(u64::from_le_bytes(*word)));
    let last = match (bytes.last_chunk(), rest.first_chunk(), rest.last_chunk()) {
        (Some(word), ..) => u64::from_le_bytes(*word),
        (None, Some(first), Some(last)) => {
            u64::from(u32::from_le_bytes(*first)) | u64::from(u32::from_le_bytes(*last)) << 32
        }
        _ => rest.iter().fold(SPACES, |word, &byte| word << 8 | u64::from(byte)),
    };
    found | look(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_is_told_at_every_place() {
        for length in 0..40 {
            for place in 0..length {
                for byte in 0..=u8::MAX {
                    let mut bytes = vec![b'~'; length];
                    bytes[place] = byte;
                    let escaped = byte < b' ' || byte == b'"' || byte == b'\\';
                    assert_eq!(is_ascii(&bytes), byte < 0x80, "{bytes:?}");
                    assert_eq!(is_plain(&bytes), byte < 0x80 && !escaped, "{bytes:?}");
                }
            }
        }
        assert!(is_ascii(b"") && is_plain(b""));
    }
}
