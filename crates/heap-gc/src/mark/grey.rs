//! The mark step: what becomes of an object that was found. Workers take it, and the write barriers
//! of mutators.
//!
//! * MK5: marking allocates only what it can do without. Where there is no memory to queue a page the
//!   page is lost ([`page_flag`](heap_core::page_flag)): its flag says that it is queued, and
//!   [`Finds::pages_lost`] that there are such pages; they are searched for when nothing else is left
//!   to do. Where there is none for what is weak, all marked objects are traced again
//!   ([`Ephemerons`](super::ephemerons::Ephemerons)).
//!
//! Model of lost pages: `loom_page_queue` in `heap-core`.

use std::ptr::NonNull;

use heap_core::location::Location;
use heap_core::mark_byte::Found;
use heap_core::page_flag::{MarkMode, announce_marks};
use heap_core::tracer::Finds;
use heap_sync::mutant;

/// What marking found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct MarkCounts {
    /// Objects marked. With several workers an upper bound (MK2).
    pub(crate) objects: usize,
    /// Bytes of their slots; likewise.
    pub(crate) bytes: usize,
}

impl MarkCounts {
    #[inline(always)]
    pub(crate) fn count(&mut self, objects: usize, slot_bytes: usize) {
        self.objects += objects;
        self.bytes += objects * slot_bytes;
    }
}

impl std::ops::AddAssign for MarkCounts {
    fn add_assign(&mut self, other: Self) {
        self.objects += other.objects;
        self.bytes += other.bytes;
    }
}

/// Marks an object if it is not reached. Returns it if its page must perhaps be queued.
///
/// # Safety
///
/// A mark phase of the object's heap is under way. `object` is the start of a live object, or
/// lies in a slot that objects share; with provenance over its arena.
#[inline(always)]
pub(crate) unsafe fn mark_grey<M: MarkMode>(
    object: NonNull<u8>,
    finds: &mut Finds,
    counts: &mut MarkCounts,
) -> Option<Location> {
    // SAFETY: forwarded from the caller; what turns grey is traced (MK1).
    let object = unsafe { Location::of(object) };
    let mark = object.mark();
    // A racing worker at worst marks the same object again (MK2).
    match mark.find_again() {
        Found::Reached => return None,
        Found::White => {}
        Found::Awaited => wake(object, finds),
    }
    let flag = object.page_flag();
    if flag.is_noscan() {
        mark.mark_black();
        counts.count(1, object.slot_bytes());
        return None;
    }
    mark.mark_grey();
    (!flag.is_surely_queued::<M>()).then_some(object)
}

/// Notes that an awaited object is marked (EP1).
#[cold]
fn wake(object: Location, finds: &mut Finds) {
    mutant!("does not wake" => return);
    finds.wake(object.pointer());
}

/// Marks an edge for which there is no memory (MK5): a [`SpillFn`](heap_core::tracer::SpillFn) that
/// needs no context.
///
/// # Safety
///
/// As [`mark_grey`].
pub(crate) unsafe fn spill<M: MarkMode>(_: *const (), object: NonNull<u8>, finds: &mut Finds) {
    let mut counts = MarkCounts::default();
    // SAFETY: forwarded from the caller.
    let fresh = unsafe { mark_grey::<M>(object, finds, &mut counts) };
    finds.spilled_objects += counts.objects;
    finds.spilled_bytes += counts.bytes;
    if let Some(object) = fresh {
        announce_marks::<M>();
        // If it turns the flag, the page is in no queue: it is lost.
        finds.pages_lost |= object.page_flag().must_queue::<M>();
    }
}
