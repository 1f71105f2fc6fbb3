//! The free runs of a range of pages, in one word.
//!
//! A summary has the lengths of the free run at the start of a range, of the longest one
//! anywhere in it, and of the one at its end. Summaries of
//! neighbours merge into that of their union, so a tree of them finds the lowest
//! run of any length and reads little of the bitmap.

/// Bits of each of the three lengths: 8192 pages must fit.
const FIELD: u32 = 16;

/// Lengths in pages of the free run at the start, of the longest, and of the one
/// at the end of a range.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Summary(u64);

impl Summary {
    pub(super) const NONE: Summary = Summary(0);

    pub(super) const fn new(start: usize, max: usize, end: usize) -> Summary {
        Summary(start as u64 | (max as u64) << FIELD | (end as u64) << (2 * FIELD))
    }

    pub(super) const fn start(self) -> usize {
        self.0 as u16 as usize
    }

    pub(super) const fn max(self) -> usize {
        (self.0 >> FIELD) as u16 as usize
    }

    pub(super) const fn end(self) -> usize {
        (self.0 >> (2 * FIELD)) as u16 as usize
    }

    /// The summary of 64 pages, where a set bit is a free page.
    pub(super) fn of_word(free: u64) -> Summary {
        Summary::new(free.trailing_ones() as usize, longest_run(free), free.leading_ones() as usize)
    }

    /// The summary of neighbours of `size` pages each.
    pub(super) fn merge(parts: &[Summary], size: usize) -> Summary {
        let mut max = 0;
        // The run at the start of the union, while it has not met a used page.
        let mut start = 0;
        let mut unbroken = true;
        // The free run that ends where we are.
        let mut end = 0;
        for part in parts {
            if unbroken {
                start += part.start();
                unbroken = part.start() == size;
            }
            max = max.max(part.max()).max(end + part.start());
            end = if part.start() == size { end + size } else { part.end() };
        }
        Summary::new(start, max, end)
    }
}

impl std::fmt::Debug for Summary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}..{}..{}", self.start(), self.max(), self.end())
    }
}

/// The place of the lowest run of some length, among neighbours.
pub(super) enum Place {
    /// It begins at this page, counted from the first neighbour.
    At(usize),
    /// It lies inside the neighbour of this index.
    Inside(usize),
}

/// Finds the lowest run of `npages` among neighbours of `size` pages each, or
/// `None` if they have none.
pub(super) fn lowest_run(parts: &[Summary], size: usize, npages: usize) -> Option<Place> {
    let mut run = 0;
    for (i, part) in parts.iter().enumerate() {
        if run + part.start() >= npages {
            return Some(Place::At(i * size - run));
        }
        if part.max() >= npages {
            return Some(Place::Inside(i));
        }
        run = if part.start() == size { run + size } else { part.end() };
    }
    None
}

/// The lowest bit at which `n` set bits in a row begin; `n` is 1 to 64.
pub(crate) fn find_run(word: u64, n: usize) -> Option<usize> {
    debug_assert!((1..=64).contains(&n));
    // After each step, bit i says that `have` bits in a row begin at i.
    let mut starts = word;
    let mut have = 1;
    while have < n && starts != 0 {
        let step = have.min(n - have);
        starts &= starts >> step;
        have += step;
    }
    (starts != 0).then(|| starts.trailing_zeros() as usize)
}

/// The length of the longest run of set bits.
fn longest_run(word: u64) -> usize {
    if word == u64::MAX {
        return 64;
    }
    if word == 0 {
        return 0;
    }
    // starts[k]: 2^k bits in a row begin here. Then add powers from the top.
    let mut starts = [word; 6];
    let mut top = 0;
    while top < 5 {
        let longer = starts[top] & (starts[top] >> (1 << top));
        if longer == 0 {
            break;
        }
        top += 1;
        starts[top] = longer;
    }
    let mut length = 1 << top;
    let mut found = starts[top];
    for k in (0..top).rev() {
        let longer = found & (starts[k] >> length);
        if longer != 0 {
            found = longer;
            length += 1 << k;
        }
    }
    length
}

/// A word with `n` bits set from bit `from` on.
pub(crate) const fn run_mask(from: usize, n: usize) -> u64 {
    debug_assert!(n >= 1 && from + n <= 64);
    (u64::MAX >> (64 - n)) << from
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn runs(bits: impl Iterator<Item = bool>) -> (usize, usize, usize, usize) {
        let (mut start, mut max, mut end, mut len) = (0, 0, 0, 0);
        for bit in bits {
            end = if bit { end + 1 } else { 0 };
            max = max.max(end);
            if end == len + 1 {
                start = end;
            }
            len += 1;
        }
        (start, max, end, len)
    }

    /// Words with long runs, which uniform numbers do not have.
    fn words() -> impl Strategy<Value = u64> {
        prop_oneof![
            any::<u64>(),
            (any::<u64>(), any::<u64>()).prop_map(|(a, b)| a | b),
            (0..64_usize, 0..64_usize)
                .prop_map(|(a, b)| run_mask(a.min(b), a.max(b) - a.min(b) + 1)),
            (0..64_usize, 0..64_usize)
                .prop_map(|(a, b)| !run_mask(a.min(b), a.max(b) - a.min(b) + 1)),
            Just(0),
            Just(u64::MAX),
        ]
    }

    fn bits(words: &[u64]) -> impl Iterator<Item = bool> {
        words.iter().flat_map(|&word| (0..64).map(move |i| word >> i & 1 == 1))
    }

    proptest! {
        #[test]
        fn summary_of_a_word_equals_a_count(word in words()) {
            let (start, max, end, _) = runs(bits(&[word]));
            prop_assert_eq!(Summary::of_word(word), Summary::new(start, max, end));
        }

        #[test]
        fn merging_equals_counting_the_union(words in prop::collection::vec(words(), 1..9)) {
            let parts: Vec<_> = words.iter().map(|&word| Summary::of_word(word)).collect();
            let (start, max, end, _) = runs(bits(&words));
            prop_assert_eq!(Summary::merge(&parts, 64), Summary::new(start, max, end));
        }

        #[test]
        fn lowest_run_in_a_word(word in words(), n in 1..=64_usize) {
            let slow = (0..=64 - n).find(|&i| word & run_mask(i, n) == run_mask(i, n));
            prop_assert_eq!(find_run(word, n), slow);
        }

        #[test]
        fn lowest_run_among_neighbours(
            words in prop::collection::vec(words(), 1..9),
            n in 1..=300_usize,
        ) {
            let all: Vec<_> = bits(&words).collect();
            let slow = all.windows(n).position(|window| window.iter().all(|&free| free));
            let parts: Vec<_> = words.iter().map(|&word| Summary::of_word(word)).collect();
            let fast = lowest_run(&parts, 64, n).map(|place| match place {
                Place::At(page) => page,
                Place::Inside(i) => i * 64 + find_run(words[i], n).unwrap(),
            });
            prop_assert_eq!(fast, slow);
        }
    }
}
