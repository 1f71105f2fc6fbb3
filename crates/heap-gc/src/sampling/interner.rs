//! [`Interner`]: slices of plain values, each kept once and named by a number.
//!
//! * IT1: numbers are given in the order of first sight and name their slice as long as the interner
//!   exists.
//!
//! All growth is fallible: the owner is on an allocation's path.

use std::hash::{DefaultHasher, Hash, Hasher};

use hashbrown::HashTable;

/// A hash of keys of this module and its parent; the same in every run.
pub(super) fn hash_of(key: &(impl Hash + ?Sized)) -> u64 {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    hasher.finish()
}

/// Slices of `T`, each kept once.
#[derive(Debug)]
pub(super) struct Interner<T> {
    /// All slices, one after the other.
    items: Vec<T>,
    /// For each slice, where it ends.
    ends: Vec<usize>,
    numbers: HashTable<u32>,
}

impl<T> Default for Interner<T> {
    fn default() -> Self {
        Interner { items: Vec::new(), ends: Vec::new(), numbers: HashTable::new() }
    }
}

impl<T: Copy + Eq + Hash> Interner<T> {
    /// The slice with this number.
    pub(super) fn get(&self, number: u32) -> &[T] {
        slice(&self.items, &self.ends, number)
    }

    /// The number of a slice (IT1); `None` if there is no memory for another one.
    pub(super) fn try_intern(&mut self, wanted: &[T]) -> Option<u32> {
        let Interner { items, ends, numbers } = self;
        let hash = hash_of(wanted);
        if let Some(number) = numbers.find(hash, |number| slice(items, ends, *number) == wanted) {
            return Some(*number);
        }
        let new = u32::try_from(ends.len()).ok()?;
        items.try_reserve(wanted.len()).ok()?;
        ends.try_reserve(1).ok()?;
        numbers.try_reserve(1, |number| hash_of(slice(items, ends, *number))).ok()?;
        items.extend_from_slice(wanted);
        ends.push(items.len());
        numbers.insert_unique(hash, new, |number| hash_of(slice(items, ends, *number)));
        Some(new)
    }

    /// Bytes that it takes.
    pub(super) fn bytes(&self) -> usize {
        self.items.capacity() * size_of::<T>()
            + self.ends.capacity() * size_of::<usize>()
            + self.numbers.allocation_size()
    }
}

fn slice<'a, T>(items: &'a [T], ends: &[usize], number: u32) -> &'a [T] {
    let number = number as usize;
    let start = number.checked_sub(1).map_or(0, |before| ends[before]);
    &items[start..ends[number]]
}

#[cfg(all(test, not(heap_loom)))]
mod tests {
    use super::*;

    #[test]
    fn slices_keep_their_numbers() {
        let mut interner = Interner::default();
        let text = |n: usize| "x".repeat(n % 50) + &(n / 50).to_string();
        for round in 0..2 {
            for n in 0..1000 {
                let number = interner.try_intern(text(n).as_bytes());
                assert_eq!(number, Some(n as u32), "round {round}");
            }
        }
        for n in 0..1000 {
            assert_eq!(interner.get(n as u32), text(n).as_bytes());
        }
        assert_eq!(interner.try_intern(b""), Some(1000), "an empty one is one, too");
        assert_eq!(interner.get(1000), b"");
    }
}
