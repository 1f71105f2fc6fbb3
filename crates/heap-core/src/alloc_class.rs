//! Which slot an object gets: size and alignment to size class.
//!
//! * A1: the slot is at least as large as the object and at least as aligned.
//! * A2: every slot that can hold handles starts at a granule boundary, or is
//!   of the size [`OFF_GRANULE_SLOT`] and of a sized kind, whose tracer knows the stride.
//! * A3: no slot is smaller than a granule, so no two slots share a mark byte. (Small
//!   pointer-free objects may share a slot: [`crate::tiny`].)

use crate::geometry::{GRANULE, PAGE_SIZE};
use crate::kind::ObjectKind;
use crate::size_class::{OFF_GRANULE_SLOT, SizeClass};

/// Where an object of a given size is allocated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slot {
    /// In a slot of this size class.
    Small(SizeClass),
    /// In a span of its own.
    Large,
}

/// The slot for sized objects. Usable in constant contexts: for a fixed type
/// the class is known to the compiler.
#[must_use]
pub const fn for_sized(bytes: usize, align: usize) -> Slot {
    assert!(align <= PAGE_SIZE, "alignment beyond a page");
    // A3.
    let mut wanted = if bytes < GRANULE { GRANULE } else { bytes };
    // Slots of a class are aligned to the lowest set bit of their size. The
    // smallest class that fits may be less aligned than the object asks for;
    // rounding the size up to a multiple of the alignment climbs to one that is.
    loop {
        wanted = wanted.next_multiple_of(align);
        match SizeClass::for_size(wanted) {
            None => return Slot::Large,
            Some(class) if class.align() >= align => return Slot::Small(class),
            Some(class) => wanted = class.object_size() + 1,
        }
    }
}

/// The slot for an object with a tail, whose size is known at run time. Such
/// objects are aligned to 16 bytes at most.
#[inline]
#[must_use]
pub fn for_header_slice(bytes: usize, kind: &ObjectKind, align: usize) -> Slot {
    let mut bytes = bytes.max(GRANULE);
    // A2: these slots are left to sized kinds and to pointer-free tails.
    if bytes > GRANULE && bytes <= OFF_GRANULE_SLOT && (!kind.is_noscan() || align > 8) {
        bytes = OFF_GRANULE_SLOT + 1;
    }
    match SizeClass::for_size(bytes) {
        Some(class) => Slot::Small(class),
        None => Slot::Large,
    }
}

/// Bytes of the slot of a sized object (for a large one: rounded to granules).
#[must_use]
pub const fn slot_size_of(bytes: usize, align: usize) -> usize {
    match for_sized(bytes, align) {
        Slot::Small(class) => class.object_size(),
        Slot::Large => bytes.next_multiple_of(GRANULE),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_slot_fits_its_object_in_size_and_alignment() {
        for shift in 0..=13 {
            let align = 1 << shift;
            for bytes in 0..=33_000 {
                if let Slot::Small(class) = for_sized(bytes, align) {
                    assert!(class.object_size() >= bytes.max(GRANULE), "A1 {bytes} {align}");
                    assert!(class.align() >= align, "A1 {bytes} {align}");
                } else {
                    assert!(bytes > 16_384 || align > 1024, "{bytes} {align} should be small");
                }
            }
        }
    }

    #[test]
    fn slots_that_can_hold_handles_start_at_granules() {
        for class in SizeClass::all().skip(1) {
            let size = class.object_size();
            assert!(
                size % GRANULE == 0 || size == OFF_GRANULE_SLOT || size < GRANULE,
                "A2: {size}"
            );
        }
    }
}
