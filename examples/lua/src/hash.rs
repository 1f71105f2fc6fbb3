//! Hash functions whose constants are secret.
//!
//! Against a known hash function an attacker can make keys that all collide, and a table becomes a
//! list. So every constant of the functions here is derived from a seed that each interpreter draws
//! anew ([`crate::Config::hash_seed`] fixes it, for runs that are to repeat exactly).
//!
//! Both functions multiply to 128 bits and add the halves (by exclusive or). Each bit of a product
//! depends on those below it in the factors, so in the sum every bit depends on every bit of the key.
//! A last multiplication breaks up the patterns that regular keys leave there.
//!
//! * HS1: any input of a caller is combined with a secret word before it is multiplied: no input
//!   is known to make a factor zero, which would hide the other factor.
//! * HS2: a string's hash depends on all its bytes and on their number.

use std::hash::{BuildHasher, Hasher, RandomState};

/// The secret constants of one interpreter.
#[derive(Clone, Copy)]
pub struct HashSeed {
    first: u64,
    second: u64,
    length: u64,
    /// The seed for places that have room for only four bytes; odd.
    pub narrow: u32,
}

/// A seed that cannot be guessed.
#[must_use]
pub fn random_seed() -> u64 {
    // The hasher's keys are random.
    RandomState::new().build_hasher().finish()
}

/// The golden ratio as a fraction of 2^64.
const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

/// The finaliser of Steele, Lea and Flood's SplitMix, on the `index`th multiple of its constant.
fn split_mix(seed: u64, index: u64) -> u64 {
    let mut word = seed.wrapping_add(index.wrapping_mul(GOLDEN));
    word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    word ^ (word >> 31)
}

#[inline(always)]
fn folded_product(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}

#[inline(always)]
fn narrowed(hash: u64) -> u32 {
    (hash.wrapping_mul(GOLDEN) >> 32) as u32
}

/// The word at an end of a string that is long enough to have one.
#[inline(always)]
fn word(bytes: Option<&[u8; 8]>) -> u64 {
    bytes.map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

/// As [`word`], of half the size.
#[inline(always)]
fn half_word(bytes: Option<&[u8; 4]>) -> u64 {
    bytes.map_or(0, |bytes| u32::from_le_bytes(*bytes).into())
}

impl HashSeed {
    /// The constants for a seed.
    #[must_use]
    pub fn new(seed: u64) -> HashSeed {
        HashSeed {
            first: split_mix(seed, 1),
            second: split_mix(seed, 2),
            length: split_mix(seed, 3) | 1,
            narrow: split_mix(seed, 4) as u32 | 1,
        }
    }

    /// The hash of a string (HS2).
    #[inline]
    #[must_use]
    pub fn bytes(&self, bytes: &[u8]) -> u32 {
        let len = bytes.len();
        let mut state = self.first.wrapping_add((len as u64).wrapping_mul(self.length));
        // The last words may overlap with those before them.
        let (a, b) = match len {
            0 => (0, 0),
            1..=3 => {
                let (first, middle, last) = (bytes[0], bytes[len / 2], bytes[len - 1]);
                (u64::from(first) | u64::from(middle) << 8 | u64::from(last) << 16, 0)
            }
            4..=7 => (half_word(bytes.first_chunk()), half_word(bytes.last_chunk())),
            8..=16 => (word(bytes.first_chunk()), word(bytes.last_chunk())),
            _ => {
                let mut rest = bytes;
                while rest.len() > 16 {
                    let (a, b) = (word(rest.first_chunk()), word(rest[8..].first_chunk()));
                    state = folded_product(a ^ state, b ^ self.second);
                    rest = &rest[16..];
                }
                (word(bytes[len - 16..].first_chunk()), word(bytes.last_chunk()))
            }
        };
        narrowed(folded_product(a ^ state, b ^ self.second))
    }
}

/// The hash of a number or an address, with a seed from [`HashSeed::narrow`]. The factor has its
/// highest bit set, so that the upper half of the product changes with every key, and its lowest, so
/// that the lower half does.
#[inline(always)]
#[must_use]
pub fn scatter(word: u64, narrow: u32) -> u32 {
    let secret = u64::from(narrow).wrapping_mul(GOLDEN);
    narrowed(folded_product(word ^ secret, secret | 1 << 63))
}

/// As [`scatter`], for integers, which often follow each other: 256 that differ only in their lowest
/// byte get hashes that differ only there. They neither collide, in a table of as many nodes, nor lie far
/// apart. In a smaller one with `n` nodes no more than `256 / n` of them have one main position.
#[inline(always)]
#[must_use]
pub fn scatter_integer(key: i64, narrow: u32) -> u32 {
    scatter((key >> 8) as u64, narrow) ^ (key as u32 & 255)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    /// Asserts that hashes fill a table of as many places about as evenly as random ones would. Looking
    /// up each key takes one and a half steps then.
    #[track_caller]
    fn assert_even(what: &str, hashes: &[u32]) {
        let places = hashes.len().next_power_of_two();
        let mut counts = vec![0_usize; places];
        for &hash in hashes {
            counts[hash as usize & (places - 1)] += 1;
        }
        let steps: usize = counts.iter().map(|count| count * (count + 1) / 2).sum();
        assert!(steps < 2 * hashes.len(), "{what}: {steps} steps for {} keys", hashes.len());
    }

    const SEEDS: std::ops::Range<u64> = 0..50;
    const KEYS: u64 = 4096;

    #[test]
    fn numbers_and_addresses_spread_over_the_table_whatever_bits_they_differ_in() {
        for seed in SEEDS {
            let narrow = HashSeed::new(seed).narrow;
            for shift in 0..=52 {
                let hashes: Vec<u32> = (0..KEYS).map(|i| scatter(i << shift, narrow)).collect();
                assert_even(&format!("seed {seed}: i << {shift}"), &hashes);
                let hash = |i: u64| scatter_integer((i << shift) as i64, narrow);
                let hashes: Vec<u32> = (0..KEYS).map(hash).collect();
                assert_even(&format!("seed {seed}: integer i << {shift}"), &hashes);
            }
            for stride in [3, 48, 80, 1000, 0x1_0000_0001, GOLDEN] {
                let hash = |i: u64| scatter(i.wrapping_mul(stride), narrow);
                let hashes: Vec<u32> = (0..KEYS).map(hash).collect();
                assert_even(&format!("seed {seed}: multiples of {stride}"), &hashes);
            }
            for step in [0.5, 0.25, 1e-3, 1e10 + 0.5, 1e300 / 3.0] {
                let hash = |i: u64| scatter((i as f64 * step).to_bits(), narrow);
                let hashes: Vec<u32> = (0..KEYS).map(hash).collect();
                assert_even(&format!("seed {seed}: multiples of {step}"), &hashes);
            }
        }
    }

    /// Strings of the same length that differ in eight bytes, the others chosen so that a hash
    /// function with public constants would ignore these.
    #[test]
    fn no_word_of_a_string_hides_another() {
        let known = 0x243F_6A88_85A3_08D3_u64;
        for seed in SEEDS {
            let constants = HashSeed::new(seed);
            for (fixed, len) in [(0, 16), (known, 16), (u64::MAX, 24), (known, 40), (0, 100)] {
                for at in [0, len / 2, len - 8] {
                    let hash = |i: u64| {
                        let mut bytes = fixed.to_le_bytes().repeat(13);
                        bytes.truncate(len);
                        bytes[at..at + 8].copy_from_slice(&i.to_le_bytes());
                        constants.bytes(&bytes)
                    };
                    let hashes: Vec<u32> = (0..KEYS).map(hash).collect();
                    assert_even(&format!("seed {seed}: length {len}, changes at {at}"), &hashes);
                }
            }
        }
    }

    #[test]
    fn every_byte_and_the_length_count() {
        let constants = HashSeed::new(1);
        for len in 0..100 {
            let mut seen = HashSet::from([constants.bytes(&vec![0; len])]);
            assert!(seen.insert(constants.bytes(&vec![0; len + 1])), "length {len}");
            for at in 0..len {
                let mut bytes = vec![0; len];
                bytes[at] = 1;
                assert!(seen.insert(constants.bytes(&bytes)), "byte {at} of {len}");
            }
        }
    }

    #[test]
    fn short_strings_have_distinct_hashes() {
        let constants = HashSeed::new(2);
        let mut seen = HashSet::new();
        for a in 0..=255_u8 {
            assert!(seen.insert(constants.bytes(&[a])));
            for b in (0..=255).step_by(5) {
                seen.insert(constants.bytes(&[a, b]));
                seen.insert(constants.bytes(&[a, b, 7]));
                seen.insert(constants.bytes(&[7, a, b, b, a]));
            }
        }
        // Of 40 000 random hashes of 32 bits a fifth of a pair is equal.
        assert!(seen.len() + 3 >= 256 + 3 * 256 * 52, "{}", seen.len());
    }

    #[test]
    fn interpreters_hash_differently() {
        let (one, other) = (HashSeed::new(random_seed()), HashSeed::new(random_seed()));
        let equal = (0..100_u64).filter(|i| {
            one.bytes(&i.to_le_bytes()) == other.bytes(&i.to_le_bytes())
                || scatter(*i, one.narrow) == scatter(*i, other.narrow)
        });
        assert!(equal.count() < 5);
        let repeated = HashSeed::new(77).bytes(b"seed");
        assert_eq!(repeated, HashSeed::new(77).bytes(b"seed"));
    }
}
