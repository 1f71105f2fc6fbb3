//! The operating system, as far as a heap needs it: to reserve address space and to give
//! pages back. It is one small trait, so that tests can refuse any call.
//!
//! [`SystemOs`] is the real system, through `memmap2`; [`SimOs`] is the real
//! system with faults injected and calls counted. Only `mheap` calls the trait.
//!
//! * O1: a reservation is zero-filled, readable and writable, and is committed
//!   page by page when first touched.
//! * O2: a range that was given back as [`Decommit::Zeroed`] reads as zero and
//!   costs no memory until it is touched again.
//! * O3: a refused call changes nothing.

mod map;
mod sim;
mod system;

pub use sim::{Failure, SimOs};
pub use system::SystemOs;

use core::fmt;
use core::ptr::NonNull;

use self::map::Map;
use crate::asan;
use crate::geometry::PAGE_SIZE;

/// A range of reserved address space. Dropping it unmaps it. Made by [`Os::reserve`] of
/// [`SystemOs`].
#[derive(Debug)]
pub struct Reservation {
    map: Map,
    base: NonNull<u8>,
    bytes: usize,
    /// Tells a simulated system that the address space is free again.
    lease: Option<sim::Lease>,
}

// SAFETY: the mapping is plain memory owned by this value.
unsafe impl Send for Reservation {}
// SAFETY: `&Reservation` only gives out the base address and `decommit`, whose
// contract rules out concurrent use of the range.
unsafe impl Sync for Reservation {}

impl Reservation {
    /// The `bytes` bytes of `map` from its first multiple of `align` on.
    fn new(mut map: Map, bytes: usize, align: usize) -> Option<Reservation> {
        let start = map.as_mut_ptr();
        let base = start.map_addr(|address| address.next_multiple_of(align));
        debug_assert!(base.addr() - start.addr() + bytes <= map.len());
        let base = NonNull::new(base)?;
        asan::mapped(base.as_ptr(), bytes);
        Some(Reservation { base, map, bytes, lease: None })
    }

    /// The first usable byte, aligned as requested.
    #[must_use]
    pub(crate) fn base(&self) -> NonNull<u8> {
        self.base
    }

    /// The number of usable bytes from `base` on.
    #[must_use]
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether the address lies in the usable part.
    #[must_use]
    pub(crate) fn contains(&self, address: usize) -> bool {
        address.wrapping_sub(self.base.addr().get()) < self.bytes
    }

    fn offset_in_map(&self, at: NonNull<u8>) -> usize {
        at.addr().get() - self.map.as_ptr().addr()
    }

    /// Whether the range lies in the usable part.
    fn has(&self, from: NonNull<u8>, bytes: usize) -> bool {
        let offset = from.addr().get().wrapping_sub(self.base.addr().get());
        offset <= self.bytes && bytes <= self.bytes - offset
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        asan::unmapping(self.base.as_ptr(), self.bytes);
    }
}

/// The result of [`Os::decommit`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decommit {
    /// The system has taken the memory: the range reads as zero, and costs no memory until it
    /// is touched again.
    Zeroed,
    /// The system takes the memory when it needs some; until then the range may
    /// still read as before.
    Offered,
    /// The system refused, and nothing has changed.
    Refused,
}

/// The requests of a heap to the operating system.
///
/// # Safety
///
/// The heap relies on the following:
///
/// * [`Os::reserve`] returns as many bytes as were requested, aligned as requested, and not
///   in use elsewhere. They read as zero, can be read and written, and are committed page by
///   page when first touched.
/// * [`Os::decommit`] tells the truth (see [`Decommit`]) and changes nothing outside its
///   range.
/// * A call that is refused changes nothing.
/// * [`Os::advise_huge`] and [`Os::advise_small`] change no contents.
/// * [`Os::decommit_pages`] is a power of two, does not change, and is the unit in which
///   [`Os::decommit`] really works, or a multiple of it.
// O1 to O3.
pub unsafe trait Os: Send + Sync + fmt::Debug {
    /// Reserves `bytes` bytes of zeroed memory aligned to `align` bytes (a power of two).
    /// `None` when the system refuses.
    fn reserve(&self, bytes: usize, align: usize) -> Option<Reservation>;

    /// Advises the system to use huge pages for `bytes` bytes from `from` on. The advice may
    /// be ignored, and is if the range is not in the reservation.
    fn advise_huge(&self, reservation: &Reservation, from: NonNull<u8>, bytes: usize);

    /// Advises the system not to use huge pages for `bytes` bytes from `from` on, also if it does so
    /// for all memory. The advice may be ignored, and is by default.
    fn advise_small(&self, reservation: &Reservation, from: NonNull<u8>, bytes: usize) {
        let _ = (reservation, from, bytes);
    }

    /// Gives the pages of part of a reservation back to the system.
    ///
    /// # Safety
    ///
    /// The range lies within the reservation, is aligned to
    /// [`Os::decommit_pages`], and is not in use during the call.
    unsafe fn decommit(
        &self,
        reservation: &Reservation,
        from: NonNull<u8>,
        bytes: usize,
    ) -> Decommit;

    /// Heap pages (of 8 KiB) per page of the system, a power of two. The ranges that
    /// [`Os::decommit`] is given begin and end at multiples of it.
    fn decommit_pages(&self) -> usize {
        system::LARGEST_PAGE.div_ceil(PAGE_SIZE)
    }
}

#[cfg(test)]
mod tests;
