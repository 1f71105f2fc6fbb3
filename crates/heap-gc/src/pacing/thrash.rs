//! [`ThrashDetector`]: whether a heap at its limit spends nearly all its time collecting. Pure
//! arithmetic.
//!
//! A heap whose live objects nearly fill its limit has to collect again after little has been
//! allocated. Work is compared, not time, so that a program behaves alike on every machine: bytes
//! marked, and bytes allocated. (HotSpot compares times: `GCTimeLimit`, `GCHeapFreeLimit`.)
//!
//! * TD1: a mutator is refused memory for thrashing only after [`ROW`] collections in a row of which
//!   each was forced by the limit and marked more than `ratio` bytes for each byte allocated since
//!   the one before; then one after each collection.
//! * TD2: a collection after which the heap has room for its share of allocation ends that.

/// What a collection has come to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Collected {
    /// Bytes granted to mutators since the last collection.
    pub(crate) allocated: usize,
    /// Bytes marked.
    pub(crate) marked: usize,
    /// Bytes that may be granted before the next one is due.
    pub(crate) room: usize,
    /// Whether it was the limit that made it necessary: the heap was near it, or a mutator had
    /// been refused memory.
    pub(crate) was_forced: bool,
}

/// Counts collections that were hardly worth their work.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ThrashDetector {
    /// Bytes that may be marked for each byte allocated. The largest number: no end of them.
    ratio: u32,
    in_a_row: u32,
}

/// Bad collections in a row that make it thrashing (TD1).
const ROW: u32 = 4;

impl ThrashDetector {
    /// One that has seen nothing.
    pub(crate) fn new(ratio: u32) -> ThrashDetector {
        ThrashDetector { ratio, in_a_row: 0 }
    }

    /// Takes notice of a collection. Says whether the heap thrashes.
    pub(crate) fn collected(&mut self, collected: Collected) -> bool {
        let Collected { allocated, marked, room, was_forced } = collected;
        let pays = |bytes: usize| {
            self.ratio == u32::MAX || bytes.saturating_mul(self.ratio as usize) >= marked
        };
        if pays(room) || (was_forced && pays(allocated) && self.in_a_row < ROW) {
            self.in_a_row = 0;
        } else if was_forced {
            self.in_a_row = self.in_a_row.saturating_add(1);
        }
        self.in_a_row >= ROW
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const RATIO: u32 = 64;

    fn bad() -> Collected {
        Collected { allocated: 1000, marked: 1 << 20, room: 2000, was_forced: true }
    }

    #[test]
    fn four_bad_collections_in_a_row_are_thrashing_until_there_is_room() {
        let mut detector = ThrashDetector::new(RATIO);
        assert!(!(0..3).any(|_| detector.collected(bad())), "TD1");
        assert!(detector.collected(bad()) && detector.collected(bad()));
        // Mutators are refused, so nothing is allocated; and what the program asks for itself says
        // nothing of the limit.
        assert!(detector.collected(Collected { allocated: 0, was_forced: false, ..bad() }));
        assert!(
            !detector.collected(Collected { room: 1 << 20, was_forced: false, ..bad() }),
            "TD2"
        );
        assert!(!detector.collected(bad()), "counted anew");
    }

    #[test]
    fn a_collection_that_paid_or_was_asked_for_is_not_counted() {
        let mut detector = ThrashDetector::new(RATIO);
        for _ in 0..10 {
            assert!(!(0..3).any(|_| detector.collected(bad())));
            assert!(!detector.collected(Collected { was_forced: false, ..bad() }));
            assert!(!detector.collected(Collected { allocated: 1 << 20, ..bad() }));
        }
        let mut never = ThrashDetector::new(u32::MAX);
        assert!(!(0..100).any(|_| never.collected(bad())));
    }

    proptest! {
        /// TD1 in closed loop: what is marked before the refusal is a bounded multiple of what is
        /// allocated, and a heap that has room is never refused.
        #[test]
        fn work_is_bounded_at_any_fill(live in 1usize..1000, ratio in 1u32..200) {
            let limit = 1000 << 20;
            let live = live << 20;
            let room = ((limit - live) / 4).max(1);
            let mut detector = ThrashDetector::new(ratio);
            let (mut marked, mut allocated) = (0_u128, 0_u128);
            let refused = (0..1000).any(|_| {
                marked += live as u128;
                allocated += room as u128;
                detector.collected(Collected { allocated: room, marked: live, room, was_forced: true })
            });
            let pays = room as u128 * u128::from(ratio) >= live as u128;
            prop_assert_eq!(refused, !pays);
            prop_assert!(marked <= allocated * u128::from(ratio) + u128::from(ROW) * limit as u128);
        }
    }
}
