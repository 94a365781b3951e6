//! An event's identity: what says that two records are the same event, and how that is stored.

use vitrina_ingest::Offset;
use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

/// Bytes of one identity's stored form.
const STORED: usize = 8 + 16 + 8 + 8;

/// An event's id as an identity's stored form ends with it, for who knows no more of the event than its `_event_id`: bytes
/// that are no text are written there as Postgres shows them.
pub fn stored_id(id: &str) -> [u8; 8] {
    let pairs = id.strip_prefix("\\x").map(|digits| digits.as_bytes().chunks(2));
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    let bytes: Option<Vec<u8>> = pairs.and_then(|pairs| pairs.map(byte).collect());
    hash_of_id(bytes.as_deref().unwrap_or(id.as_bytes()))
}

fn hash_of_id(id: &[u8]) -> [u8; 8] {
    xxh3_64(id).to_be_bytes()
}

/// What says that two records are the same event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Identity {
    hash: u128,
    /// Of the whole value, to tell a retry from an id that was given twice.
    content: u64,
    /// Of the id alone.
    id: [u8; 8],
}

impl Identity {
    pub(crate) fn new(writer: &str, key: Option<&[u8]>, id: &[u8], value: &[u8]) -> Self {
        let mut bytes =
            Vec::with_capacity(writer.len() + key.map_or(0, <[u8]>::len) + id.len() + 24);
        for part in [Some(writer.as_bytes()), key, Some(id)] {
            // No part is as long as this: a record without a key is another one than a record with an empty key.
            let length = part.map_or(u64::MAX, |part| part.len() as u64);
            bytes.extend_from_slice(&length.to_le_bytes());
            bytes.extend_from_slice(part.unwrap_or_default());
        }
        Self { hash: xxh3_128(&bytes), content: xxh3_64(value), id: hash_of_id(id) }
    }

    pub(crate) fn hash(self) -> u128 {
        self.hash
    }

    pub(crate) fn content(self) -> u64 {
        self.content
    }

    /// Appends its stored form: offset, hash, content and id, big-endian.
    pub(crate) fn write(self, offset: Offset, out: &mut Vec<u8>) {
        out.extend_from_slice(&offset.0.to_be_bytes());
        out.extend_from_slice(&self.hash.to_be_bytes());
        out.extend_from_slice(&self.content.to_be_bytes());
        out.extend_from_slice(&self.id);
    }

    /// Its stored form alone.
    pub(crate) fn bytes(self, offset: Offset) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(STORED);
        self.write(offset, &mut bytes);
        bytes
    }

    /// The first of what [`Self::write`] has appended, with its offset. Fewer bytes than that read as zeros.
    pub(crate) fn from_bytes(stored: &[u8]) -> (Offset, Self) {
        let (offset, rest) = stored.split_at(8.min(stored.len()));
        let (hash, rest) = rest.split_at(16.min(rest.len()));
        let (content, id) = rest.split_at(8.min(rest.len()));
        let hash = u128::from_be_bytes(hash.try_into().unwrap_or_default());
        let content = u64::from_be_bytes(content.try_into().unwrap_or_default());
        let offset = i64::from_be_bytes(offset.try_into().unwrap_or_default());
        (Offset(offset), Self { hash, content, id: id.try_into().unwrap_or_default() })
    }

    /// All that [`Self::write`] has appended.
    pub(crate) fn all(stored: &[u8]) -> impl Iterator<Item = (Offset, Self)> {
        stored.chunks_exact(STORED).map(Self::from_bytes)
    }

    /// The offsets at which stored identities hold this one.
    pub(crate) fn offsets_among(self, stored: &[u8]) -> impl Iterator<Item = Offset> {
        Self::all(stored)
            .filter(move |(_, other)| other.hash == self.hash)
            .map(|(offset, _)| offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identity_is_name_key_and_id_together() {
        let one = Identity::new("a.B", Some(b"k"), b"id", b"v");
        assert_eq!(one, Identity::new("a.B", Some(b"k"), b"id", b"v"));
        assert_ne!(one.hash, Identity::new("a.B", Some(b"ki"), b"d", b"v").hash);
        assert_ne!(one.hash, Identity::new("a.C", Some(b"k"), b"id", b"v").hash);
        assert_eq!(one.hash, Identity::new("a.B", Some(b"k"), b"id", b"w").hash);
    }

    #[test]
    fn what_is_stored_comes_back_and_ends_with_the_id() {
        let one = Identity::new("a.B", Some(b"k"), b"id", b"v");
        let stored = one.bytes(Offset(7));
        assert_eq!(Identity::all(&stored).collect::<Vec<_>>(), [(Offset(7), one)]);
        assert!(stored.ends_with(&stored_id("id")));
        let binary = Identity::new("a.B", Some(b"k"), b"\x80\xff", b"v").bytes(Offset(7));
        assert!(binary.ends_with(&stored_id("\\x80ff")));
        assert_eq!(stored_id("\\xyz"), hash_of_id(b"\\xyz"));
    }

    #[test]
    fn no_two_of_these_are_one() {
        let keys: [Option<&[u8]>; 5] =
            [None, Some(b""), Some(b"\0"), Some(b"id"), Some(b"\xff\xff")];
        let ids: [&[u8]; 6] = [b"id", b"\0", b"\0\0", &[0x80], &[0x81], "\u{fffd}".as_bytes()];
        let mut seen = std::collections::HashSet::new();
        for (key, id) in keys.into_iter().flat_map(|key| ids.map(|id| (key, id))) {
            assert!(seen.insert(Identity::new("a.B", key, id, b"").hash), "{key:?} {id:?}");
        }
    }
}
