//! The operating system, as far as a heap needs it: reserve address space, give
//! pages back. One small trait, so that tests can refuse any call.
//!
//! * O1: a reservation is zero-filled, readable and writable, and is committed
//!   page by page when first touched.
//! * O2: after `decommit` the range reads as zero again and costs no memory.

use core::fmt;
use core::ptr::NonNull;

use memmap2::{Advice, MmapMut, MmapOptions, UncheckedAdvice};

/// A stretch of reserved address space. Dropping it unmaps it.
#[derive(Debug)]
pub struct Reservation {
    map: MmapMut,
    base: NonNull<u8>,
    bytes: usize,
}

// SAFETY: the mapping is plain memory owned by this value.
unsafe impl Send for Reservation {}
// SAFETY: `&Reservation` only gives out the base address and `decommit`, whose
// contract rules out concurrent use of the range.
unsafe impl Sync for Reservation {}

impl Reservation {
    /// First usable byte, aligned as asked.
    #[must_use]
    pub fn base(&self) -> NonNull<u8> {
        self.base
    }

    /// Usable bytes from `base`.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    fn offset_in_map(&self, at: NonNull<u8>) -> usize {
        at.addr().get() - self.map.as_ptr().addr()
    }
}

/// What the heap asks of the system.
pub trait Os: Send + Sync + fmt::Debug {
    /// Reserves `bytes` of zeroed memory aligned to `align` (a power of two).
    /// `None` when the system refuses.
    fn reserve(&self, bytes: usize, align: usize) -> Option<Reservation>;

    /// Asks for huge pages in part of a reservation. Advice: it may be ignored.
    fn advise_huge(&self, reservation: &Reservation, from: NonNull<u8>, bytes: usize);

    /// Gives the pages of part of a reservation back to the system (O2).
    /// Returns whether the system did so.
    ///
    /// # Safety
    ///
    /// The range lies within the reservation, is page-aligned, and nobody uses
    /// it during the call.
    unsafe fn decommit(&self, reservation: &Reservation, from: NonNull<u8>, bytes: usize) -> bool;
}

/// The real system, through `memmap2`.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemOs;

impl Os for SystemOs {
    fn reserve(&self, bytes: usize, align: usize) -> Option<Reservation> {
        // Anonymous maps come aligned to a small page only, and `memmap2`
        // cannot trim a map, so the slack for alignment stays reserved: address
        // space, not memory.
        let padded = bytes.checked_add(align)?;
        let mut map = MmapOptions::new().len(padded).no_reserve_swap().map_anon().ok()?;
        let start = map.as_mut_ptr();
        let base = start.map_addr(|address| address.next_multiple_of(align));
        Some(Reservation { map, base: NonNull::new(base)?, bytes })
    }

    fn advise_huge(&self, reservation: &Reservation, from: NonNull<u8>, bytes: usize) {
        #[cfg(target_os = "linux")]
        {
            // Refusal (a kernel without huge pages) changes nothing for us.
            let offset = reservation.offset_in_map(from);
            let _ = reservation.map.advise_range(Advice::HugePage, offset, bytes);
        }
        #[cfg(not(target_os = "linux"))]
        let _ = (reservation, from, bytes);
    }

    unsafe fn decommit(&self, reservation: &Reservation, from: NonNull<u8>, bytes: usize) -> bool {
        #[cfg(target_os = "linux")]
        {
            let offset = reservation.offset_in_map(from);
            // SAFETY: the caller owns the range; anonymous private memory reads
            // as zero afterwards (O2).
            let advised = unsafe {
                reservation.map.unchecked_advise_range(UncheckedAdvice::DontNeed, offset, bytes)
            };
            advised.is_ok()
        }
        #[cfg(not(target_os = "linux"))]
        {
            // Without an advice that zeroes, the pages are kept.
            let _ = (reservation, from, bytes);
            false
        }
    }
}
