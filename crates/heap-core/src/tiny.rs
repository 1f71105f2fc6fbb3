//! [`TinyLayout`]: a small pointer-free object that shares a slot with others. (Go:
//! the tiny allocator in `malloc.go`.)
//!
//! Marks are by granule and no slot is smaller than one, so an object of eight
//! bytes in a slot of its own wastes half of it. Objects of fewer than sixteen
//! bytes without handles and destructors are therefore packed: spans of the kind
//! [`TINY`] have sixteen-byte slots, and a mutator's bump region of that kind advances
//! by the size of the tiny object instead of by whole slots.
//!
//! * TN1: a tiny object lies within one slot, so it has one mark byte; the slot's
//!   tiny objects share it, and live and die together.
//! * TN2: tiny objects of a slot do not overlap, and no two start at the same address,
//!   not even objects of size 0.
//! * TN3: a slot takes no more tiny objects once its cache was flushed: by then a sweep
//!   may have freed it.
//! * TN4: whether objects of a type are tiny objects is a constant of the type, so a
//!   span's kind says whether a handle into it may lead to the middle of a slot.
//!
//! A tiny object is placed at the next address that is a multiple of the least power of two
//! not below its size. It is then at least as aligned as Go would align it (to the
//! largest power of two, up to eight, that divides the size) and cannot reach over
//! the end of a slot, so that no test is needed. The bytes that are skipped
//! are wasted; those behind a tiny object of odd size are not. Unlike in Go, the next slot is
//! the next of the run: room in a slot and a new slot are found on the same path.

use crate::geometry::GRANULE;
use crate::kind::{ObjectKind, TINY};
use crate::size_class::SizeClass;

/// Size class of the slots that tiny objects share.
pub const TINY_CLASS: SizeClass = match SizeClass::for_size(GRANULE) {
    Some(class) => class,
    None => panic!("a granule is a small size"),
};
// TN1: a slot is a granule and has one mark byte.
const _: () = assert!(TINY_CLASS.object_size() == GRANULE && TINY_CLASS.align() == GRANULE);

/// Size and alignment of an object that shares its slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TinyLayout {
    bytes: usize,
    align: usize,
}

impl TinyLayout {
    /// The layout of pointer-free objects of this size and alignment; `None` if
    /// they take slots of their own. Usable in constant contexts.
    #[must_use]
    pub const fn new(bytes: usize, align: usize) -> Option<TinyLayout> {
        if bytes >= GRANULE || align >= GRANULE {
            return None;
        }
        // TN2: an object without bytes takes one, to have an address of its own.
        let bytes = if bytes == 0 { 1 } else { bytes };
        let whole = bytes.next_power_of_two();
        Some(TinyLayout { bytes, align: if whole > align { whole } else { align } })
    }

    /// The kind of the spans that tiny objects are in.
    #[must_use]
    pub const fn kind() -> &'static ObjectKind {
        &TINY
    }

    /// The address for a tiny object when the last one ended at `cursor`.
    #[inline(always)]
    #[must_use]
    pub(crate) fn place(self, cursor: *mut u8) -> *mut u8 {
        // TN1: aligned to a power of two that is not below the size and not above a
        // slot's.
        cursor.map_addr(|cursor| cursor.wrapping_add(self.align - 1) & !(self.align - 1))
    }

    /// Bytes that the tiny object takes.
    #[inline(always)]
    #[must_use]
    pub(crate) const fn bytes(self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Go's alignment, word for word.
    fn go_align(bytes: usize) -> usize {
        match bytes {
            _ if bytes & 7 == 0 => 8,
            _ if bytes & 3 == 0 => 4,
            _ if bytes & 1 == 0 => 2,
            _ => 1,
        }
    }

    #[test]
    fn tiny_objects_are_at_least_as_aligned_as_go_has_them() {
        for bytes in 1..GRANULE {
            let layout = TinyLayout::new(bytes, 1).expect("shares");
            assert!(layout.align.is_multiple_of(go_align(bytes)), "{bytes}");
            assert!(layout.align <= GRANULE, "{bytes}");
            if bytes.is_power_of_two() {
                assert_eq!(layout.align, go_align(bytes));
            }
        }
        for align in [1, 2, 4, 8] {
            let nothing = TinyLayout::new(0, align).expect("shares");
            assert_eq!((nothing.bytes, nothing.align), (1, align), "TN2");
        }
    }

    #[test]
    fn whoever_wants_more_has_a_slot_alone() {
        assert_eq!(TinyLayout::new(16, 1), None);
        assert_eq!(TinyLayout::new(16, 16), None);
        assert_eq!(TinyLayout::new(0, 16), None);
        assert_eq!(TinyLayout::new(0, 4096), None);
        assert_eq!(TinyLayout::new(usize::MAX, 1), None);
    }

    #[test]
    fn tiny_objects_of_one_size_fill_the_slots() {
        let per_slot = |bytes| {
            let layout = TinyLayout::new(bytes, 1).expect("shares");
            let mut cursor = core::ptr::null_mut::<u8>();
            let starts = core::iter::repeat_with(|| {
                let start = layout.place(cursor);
                cursor = start.wrapping_add(layout.bytes());
                start.addr()
            });
            starts.take_while(|start| *start < 160).count() as f64 / 10.0
        };
        let counts: Vec<f64> = (1..GRANULE).map(per_slot).collect();
        let (few, one) = ([16.0, 8.0, 4.0, 4.0, 2.0, 2.0, 2.0, 2.0], [1.0; 7]);
        assert_eq!(counts, [&few[..], &one[..]].concat());
    }

    #[test]
    fn every_sequence_of_three_sizes_stays_within_slots() {
        for sizes in 0..15 * 15 * 15 {
            let sizes = [sizes % 15 + 1, sizes / 15 % 15 + 1, sizes / 225 + 1];
            let mut cursor = core::ptr::null_mut::<u8>();
            for bytes in sizes.into_iter().cycle().take(12) {
                let layout = TinyLayout::new(bytes, 1).expect("shares");
                let start = layout.place(cursor);
                assert!(start.addr() % GRANULE + bytes <= GRANULE, "TN1: {sizes:?}");
                assert!(start >= cursor, "TN2: {sizes:?}");
                assert!(start.addr() - cursor.addr() < GRANULE, "{sizes:?} leave gaps");
                cursor = start.wrapping_add(layout.bytes());
            }
        }
    }
}
