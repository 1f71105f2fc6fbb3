//! The mark step: what becomes of an object that was found. Workers take it, and the write barriers
//! of mutators.

use std::ptr::NonNull;

use heap_core::location::Location;
use heap_core::mark_byte::Found;
use heap_core::page_flag::MarkMode;
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

/// Marks an object if it is not reached. `fresh` takes it if its page must perhaps be queued, `woken`
/// if it was awaited.
///
/// # Safety
///
/// A mark phase of the object's heap is under way. `object` is the start of a live object, or
/// lies in a slot that objects share; with provenance over its arena.
#[inline(always)]
pub(crate) unsafe fn mark_grey<M: MarkMode>(
    object: NonNull<u8>,
    fresh: &mut Vec<Location>,
    woken: &mut Vec<NonNull<u8>>,
    counts: &mut MarkCounts,
) {
    // SAFETY: forwarded from the caller; what turns grey is traced (MK1).
    let object = unsafe { Location::of(object) };
    let mark = object.mark();
    // A racing worker at worst marks the same object again (MK2).
    match mark.find_again() {
        Found::Reached => return,
        Found::White => {}
        Found::Awaited => wake(object, woken),
    }
    let flag = object.page_flag();
    if flag.is_noscan() {
        mark.mark_black();
        counts.count(1, object.slot_bytes());
        return;
    }
    mark.mark_grey();
    if !flag.is_surely_queued::<M>() {
        fresh.push(object);
    }
}

/// Notes that an awaited object is marked (EP1).
#[cold]
#[inline(never)]
fn wake(object: Location, woken: &mut Vec<NonNull<u8>>) {
    mutant!("does not wake" => return);
    woken.push(object.pointer());
}
