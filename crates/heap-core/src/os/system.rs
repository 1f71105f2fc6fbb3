//! [`SystemOs`]: the real system, through `memmap2`.
//!
//! What differs between systems:
//!
//! | | Linux | Apple | other Unix | Windows |
//! |---|---|---|---|---|
//! | slack for alignment | trimmed | stays reserved | stays reserved | stays reserved |
//! | huge pages | advised | - | - | - |
//! | part of a reservation given back | at once, zeroed | when needed | no | no |
//! | memory committed | when touched | when touched | when touched | charged when reserved |
//!
//! Whole reservations are unmapped everywhere, so that empty arenas go back to
//! every system. The columns of Linux and Windows are run
//! (`scripts/portable.sh`); the others compile.

use core::ptr::NonNull;

use super::map::{Map, map};
use super::{Decommit, Os, Reservation};

/// An upper bound on the size of the system's pages. There is no portable way
/// to ask, and the heap never gives back less than one of them.
pub(super) const LARGEST_PAGE: usize =
    if cfg!(any(target_arch = "x86", target_arch = "x86_64", target_arch = "riscv64")) {
        4 << 10
    } else {
        64 << 10
    };

/// The real operating system, through the crate `memmap2`.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemOs;

// SAFETY: maps are anonymous, so fresh ones read as zero (O1); a reservation
// begins at the first aligned address of its map, and `reserve` maps enough that all
// bytes lie behind it. `decommit` returns what the system documents of the
// call that the table above names; it works in pages of the system, of which
// `decommit_pages` is a multiple. Advice changes no contents.
unsafe impl Os for SystemOs {
    /// Anonymous maps come aligned to a small page only, and can be trimmed at
    /// their end only. Linux puts a map right below the last one: if it is misaligned
    /// by some bytes, a map that is longer by that many begins at the right place,
    /// and is cut to length. Where guessing fails, slack for the alignment
    /// stays reserved: address space, not memory.
    fn reserve(&self, bytes: usize, align: usize) -> Option<Reservation> {
        // On other systems a guess is no better than chance.
        if cfg!(all(target_os = "linux", not(miri)))
            && let Some(exact) = guess(bytes, align)
        {
            return Some(exact);
        }
        let map = reserve_anywhere(bytes.checked_add(align)?)?;
        let off = map.as_ptr().addr().wrapping_neg() & (align - 1);
        Reservation::new(imp::trim(map, off + bytes), bytes, align)
    }

    fn advise_huge(&self, reservation: &Reservation, from: NonNull<u8>, bytes: usize) {
        if reservation.has(from, bytes) {
            imp::advise_huge(&reservation.map, reservation.offset_in_map(from), bytes);
        }
    }

    fn advise_small(&self, reservation: &Reservation, from: NonNull<u8>, bytes: usize) {
        if reservation.has(from, bytes) {
            imp::advise_small(&reservation.map, reservation.offset_in_map(from), bytes);
        }
    }

    unsafe fn decommit(
        &self,
        reservation: &Reservation,
        from: NonNull<u8>,
        bytes: usize,
    ) -> Decommit {
        // SAFETY: forwarded from the caller.
        unsafe { imp::decommit(&reservation.map, reservation.offset_in_map(from), bytes) }
    }
}

/// Tries to map exactly `bytes` bytes at a multiple of `align`.
fn guess(bytes: usize, align: usize) -> Option<Reservation> {
    let mut extra = 0;
    for _ in 0..4 {
        let map = reserve_anywhere(bytes.checked_add(extra)?)?;
        let off = map.as_ptr().addr() & (align - 1);
        if off == 0 {
            return Reservation::new(imp::trim(map, bytes), bytes, align);
        }
        extra = (extra + off) & (align - 1);
    }
    None
}

fn reserve_anywhere(bytes: usize) -> Option<Map> {
    // The standard library refuses larger layouts, and so do our lengths.
    if bytes > isize::MAX as usize {
        return None;
    }
    map(bytes)
}

#[cfg(all(target_os = "linux", not(miri)))]
mod imp {
    use memmap2::{Advice, RemapOptions, UncheckedAdvice};

    use super::{Decommit, Map};

    /// Gives the end of a map back.
    pub(super) fn trim(mut map: Map, bytes: usize) -> Map {
        if bytes < map.len() {
            // SAFETY: there is no pointer into the map yet; it stays where it is. Refusal
            // leaves it as it was: then the slack stays reserved.
            let _ = unsafe { map.remap(bytes, RemapOptions::new().may_move(false)) };
        }
        map
    }

    pub(super) fn advise_huge(map: &Map, offset: usize, bytes: usize) {
        // Refusal (a kernel without huge pages) changes nothing for us.
        let _ = map.advise_range(Advice::HugePage, offset, bytes);
    }

    pub(super) fn advise_small(map: &Map, offset: usize, bytes: usize) {
        // Likewise.
        let _ = map.advise_range(Advice::NoHugePage, offset, bytes);
    }

    /// # Safety
    ///
    /// The range is in the map, and as [`super::Os::decommit`] wants it.
    pub(super) unsafe fn decommit(map: &Map, offset: usize, bytes: usize) -> Decommit {
        // SAFETY: the caller owns the range; anonymous private memory reads as
        // zero afterwards (O2).
        let advised =
            unsafe { map.unchecked_advise_range(UncheckedAdvice::DontNeed, offset, bytes) };
        if advised.is_ok() { Decommit::Zeroed } else { Decommit::Refused }
    }
}

#[cfg(all(target_vendor = "apple", not(miri)))]
mod imp {
    use memmap2::UncheckedAdvice;

    use super::{Decommit, Map};

    pub(super) fn trim(map: Map, _bytes: usize) -> Map {
        map
    }

    pub(super) fn advise_huge(_map: &Map, _offset: usize, _bytes: usize) {}

    pub(super) fn advise_small(_map: &Map, _offset: usize, _bytes: usize) {}

    /// # Safety
    ///
    /// The range is in the map, and as [`super::Os::decommit`] wants it.
    pub(super) unsafe fn decommit(map: &Map, offset: usize, bytes: usize) -> Decommit {
        // SAFETY: the caller owns the range, and expects that it may lose its contents at
        // any time.
        let advised = unsafe { map.unchecked_advise_range(UncheckedAdvice::Free, offset, bytes) };
        if advised.is_ok() { Decommit::Offered } else { Decommit::Refused }
    }
}

#[cfg(any(miri, not(any(target_os = "linux", target_vendor = "apple"))))]
mod imp {
    use super::{Decommit, Map};

    pub(super) fn trim(map: Map, _bytes: usize) -> Map {
        map
    }

    pub(super) fn advise_huge(_map: &Map, _offset: usize, _bytes: usize) {}

    pub(super) fn advise_small(_map: &Map, _offset: usize, _bytes: usize) {}

    /// # Safety
    ///
    /// The range is in the map, and as [`super::Os::decommit`] wants it.
    pub(super) unsafe fn decommit(_map: &Map, _offset: usize, _bytes: usize) -> Decommit {
        Decommit::Refused
    }
}
