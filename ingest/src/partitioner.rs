//! Where producers put a key: the partitioners that depend on the key and the number of partitions alone. Each is computed
//! as the client that made it known computes it, bit by bit.

use crc::{CRC_32_ISO_HDLC, Crc};

/// How a producer chooses a keyed record's partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Partitioner {
    /// The Java client's, and of all that follow it; librdkafka's `murmur2` and `murmur2_random`.
    Murmur2,
    /// CRC-32: librdkafka's default, `consistent_random`, and `consistent`.
    Consistent,
    /// Sarama's; librdkafka's `fnv1a` and `fnv1a_random`.
    Fnv1a,
}

impl Partitioner {
    pub const ALL: [Self; 3] = [Self::Murmur2, Self::Consistent, Self::Fnv1a];

    /// As librdkafka's setting `partitioner` names it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Murmur2 => "murmur2",
            Self::Consistent => "consistent",
            Self::Fnv1a => "fnv1a",
        }
    }

    /// The one of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|partitioner| partitioner.name() == name)
    }

    /// The partition of a key among `partitions`, of which there is at least one.
    pub fn partition(self, key: &[u8], partitions: u32) -> u32 {
        let hash = match self {
            Self::Murmur2 => murmur2(key) & 0x7fff_ffff,
            Self::Consistent => CRC.checksum(key),
            Self::Fnv1a => fnv1a(key).cast_signed().unsigned_abs(),
        };
        hash % partitions.max(1)
    }
}

const CRC: Crc<u32> = Crc::<u32>::new(&CRC_32_ISO_HDLC);

/// MurmurHash 2 with the seed of `org.apache.kafka.common.utils.Utils.murmur2`.
fn murmur2(key: &[u8]) -> u32 {
    const SEED: u32 = 0x9747_b28c;
    const M: u32 = 0x5bd1_e995;
    let mut hash = SEED ^ key.len() as u32;
    let (words, tail) = key.as_chunks::<4>();
    for word in words {
        let mut word = u32::from_le_bytes(*word).wrapping_mul(M);
        word ^= word >> 24;
        hash = hash.wrapping_mul(M) ^ word.wrapping_mul(M);
    }
    if !tail.is_empty() {
        for (place, byte) in tail.iter().enumerate() {
            hash ^= u32::from(*byte) << (8 * place);
        }
        hash = hash.wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^ (hash >> 15)
}

fn fnv1a(key: &[u8]) -> u32 {
    key.iter()
        .fold(0x811c_9dc5, |hash: u32, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From `UtilsTest.testMurmur2` of Kafka's own Java client.
    #[test]
    fn murmur2_is_that_of_the_java_client() {
        for (key, hash) in [
            ("21", -973_932_308),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            ("abc", 479_470_107),
        ] {
            assert_eq!(murmur2(key.as_bytes()).cast_signed(), hash, "{key}");
        }
    }

    /// From the unit tests of librdkafka's `rdmurmur2.c`, `rdfnv1a.c`, and the check value of CRC-32.
    #[test]
    fn hashes_are_those_of_librdkafka() {
        for (key, murmur, fnv) in [
            ("kafka", 0xd067_cf64, 0x0d33_c4e1_u32),
            ("giberish123456789", 0x8f55_2b0c, 0x77a5_8295),
            ("1234", 0x9fc9_7b14, 0x023b_dd03),
            ("", 0x106e_08d9, 0x7ee3_623b),
        ] {
            assert_eq!(murmur2(key.as_bytes()), murmur, "{key}");
            assert_eq!(fnv1a(key.as_bytes()).cast_signed().unsigned_abs(), fnv, "{key}");
        }
        assert_eq!(CRC.checksum(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn names_are_found_again() {
        for partitioner in Partitioner::ALL {
            assert_eq!(Partitioner::named(partitioner.name()), Some(partitioner));
        }
        assert_eq!(Partitioner::named("random"), None);
    }
}
