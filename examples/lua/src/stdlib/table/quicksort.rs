//! [`quicksort`]: the algorithm behind `table.sort`, for anything that can compare and swap.
//!
//! It asks for the same comparisons in the same order as the reference manual's implementation,
//! because a script can see them: median of three, and a pivot from a varying place once a long
//! interval has split badly.
//!
//! * the recursion is an explicit stack of intervals. The smaller part is sorted first, so the
//!   stack holds at most 64 of them.
//! * even with an inconsistent order, only elements `1..=count` are asked for.

/// Intervals longer than this get a pivot from a varying place once they have split badly.
const LONG_INTERVAL: i64 = 100;

/// What a comparison is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Operand {
    /// The element with this index, from 1.
    At(i64),
    /// The element that was kept.
    Pivot,
}

/// Something that [`quicksort`] can sort.
pub(super) trait Sequence {
    type Error;

    /// Whether one comes before the other.
    fn less(&mut self, lhs: Operand, rhs: Operand) -> Result<bool, Self::Error>;

    /// Exchanges two elements.
    fn swap(&mut self, i: i64, j: i64) -> Result<(), Self::Error>;

    /// Keeps a copy of an element, to be [`Operand::Pivot`].
    fn keep(&mut self, i: i64) -> Result<(), Self::Error>;

    /// The error for an order that contradicts itself.
    fn invalid_order(&mut self) -> Self::Error;
}

/// Sorts elements `1..=count`.
pub(super) fn quicksort<S: Sequence>(sequence: &mut S, count: i64) -> Result<(), S::Error> {
    let mut pending = vec![(1, count, 0_u64)];
    while let Some((mut low, mut high, salt)) = pending.pop() {
        while low < high {
            let Some(middle) = split(sequence, low, high, salt)? else { break };
            let (below, above) = (middle - low, high - middle);
            let unbalanced = (below.max(above) - 1) / 128 > below.min(above);
            let later_salt = if unbalanced { next_salt(salt) } else { salt };
            if below < above {
                pending.push((middle + 1, high, later_salt));
                high = middle - 1;
            } else {
                pending.push((low, middle - 1, later_salt));
                low = middle + 1;
            }
        }
    }
    Ok(())
}

/// One step of a linear congruential generator; it never gives zero from zero.
fn next_salt(salt: u64) -> u64 {
    salt.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407)
}

/// Splits an interval around a median of three. `None` if it is sorted already, being short.
fn split<S: Sequence>(
    sequence: &mut S,
    low: i64,
    high: i64,
    salt: u64,
) -> Result<Option<i64>, S::Error> {
    use Operand::At;
    if sequence.less(At(high), At(low))? {
        sequence.swap(low, high)?;
    }
    if high - low == 1 {
        return Ok(None);
    }
    let middle = if high - low < LONG_INTERVAL || salt == 0 {
        (low + high) / 2
    } else {
        // Somewhere in the middle half.
        let quarter = (high - low) / 4;
        low + quarter + (salt % (2 * quarter) as u64) as i64
    };
    if sequence.less(At(middle), At(low))? {
        sequence.swap(middle, low)?;
    } else if sequence.less(At(high), At(middle))? {
        sequence.swap(middle, high)?;
    }
    if high - low == 2 {
        return Ok(None);
    }
    sequence.keep(middle)?;
    sequence.swap(middle, high - 1)?;
    partition(sequence, low, high).map(Some)
}

/// Moves what is less than the pivot before it and what is greater behind it. The pivot waits at
/// `high - 1`, `low` is no greater and `high` no less than it: both scans stop at the latest there,
/// unless the order is inconsistent.
fn partition<S: Sequence>(sequence: &mut S, low: i64, high: i64) -> Result<i64, S::Error> {
    use Operand::{At, Pivot};
    let (mut i, mut j) = (low, high - 1);
    loop {
        i += 1;
        while sequence.less(At(i), Pivot)? {
            if i == high - 1 {
                return Err(sequence.invalid_order());
            }
            i += 1;
        }
        j -= 1;
        while sequence.less(Pivot, At(j))? {
            if j < i {
                return Err(sequence.invalid_order());
            }
            j -= 1;
        }
        if j < i {
            sequence.swap(high - 1, i)?;
            return Ok(i);
        }
        sequence.swap(i, j)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers under an order that may be nonsense.
    struct Checked<F> {
        items: Vec<u32>,
        pivot: u32,
        order: F,
    }

    impl<F: FnMut(u32, u32) -> bool> Checked<F> {
        fn operand(&self, operand: Operand) -> u32 {
            match operand {
                Operand::At(i) => self.items[i as usize - 1],
                Operand::Pivot => self.pivot,
            }
        }
    }

    impl<F: FnMut(u32, u32) -> bool> Sequence for Checked<F> {
        type Error = &'static str;

        fn less(&mut self, lhs: Operand, rhs: Operand) -> Result<bool, &'static str> {
            let (lhs, rhs) = (self.operand(lhs), self.operand(rhs));
            Ok((self.order)(lhs, rhs))
        }

        fn swap(&mut self, i: i64, j: i64) -> Result<(), &'static str> {
            self.items.swap(i as usize - 1, j as usize - 1);
            Ok(())
        }

        fn keep(&mut self, i: i64) -> Result<(), &'static str> {
            self.pivot = self.operand(Operand::At(i));
            Ok(())
        }

        fn invalid_order(&mut self) -> &'static str {
            "invalid order"
        }
    }

    fn sorted(
        items: Vec<u32>,
        order: impl FnMut(u32, u32) -> bool,
    ) -> (Vec<u32>, Result<(), &'static str>) {
        let count = items.len() as i64;
        let mut sequence = Checked { items, pivot: 0, order };
        let result = quicksort(&mut sequence, count);
        (sequence.items, result)
    }

    /// A generator of numbers below `limit`.
    fn numbers(mut seed: u64, limit: u32) -> impl FnMut() -> u32 {
        move || {
            seed = next_salt(seed);
            (seed >> 33) as u32 % limit
        }
    }

    #[test]
    fn every_short_sequence_is_sorted() {
        for length in 0..7_u32 {
            for code in 0..7_u32.pow(length) {
                let items: Vec<u32> = (0..length).map(|i| code / 7_u32.pow(i) % 7).collect();
                let mut expected = items.clone();
                expected.sort_unstable();
                assert_eq!(sorted(items, |a, b| a < b), (expected, Ok(())));
            }
        }
    }

    #[test]
    fn long_sequences_are_sorted() {
        for (length, limit) in [(1000, 10), (1000, 1_000_000), (20_000, 2), (20_000, 1 << 30)] {
            let items: Vec<u32> = core::iter::repeat_with(numbers(1, limit)).take(length).collect();
            let mut expected = items.clone();
            expected.sort_unstable();
            assert_eq!(sorted(items, |a, b| a < b), (expected.clone(), Ok(())));
            assert_eq!(sorted(expected.clone(), |a, b| a < b), (expected.clone(), Ok(())));
            let descending = expected.iter().rev().copied().collect();
            assert_eq!(sorted(expected, |a, b| a > b), (descending, Ok(())));
        }
    }

    #[test]
    fn an_inconsistent_order_ends_and_loses_nothing() {
        let mut failures = 0;
        for seed in 0..200 {
            let items: Vec<u32> = (0..60).collect();
            let mut coin = numbers(seed, 2);
            let (mut items, result) = sorted(items, |_, _| coin() == 0);
            failures += usize::from(result.is_err());
            items.sort_unstable();
            assert_eq!(items, (0..60).collect::<Vec<u32>>(), "seed {seed}");
        }
        assert!(failures > 0, "a coin is noticed sometimes");
        assert_eq!(sorted(vec![1, 2, 3, 4, 5], |_, _| true).1, Err("invalid order"));
    }
}
