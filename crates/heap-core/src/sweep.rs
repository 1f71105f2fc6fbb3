//! Sweeping one claimed span: marks become allocation bits, the dead are
//! dropped, the mark bytes are cleared. (Go: `sweepLocked.sweep`.)
//!
//! Order: destructors of dead objects, new bitmap, zombie check, poison, clear
//! marks, replace. No object memory is touched unless the kind drops or the
//! heap poisons.
//!
//! Destructors are user code. A panic in one is caught and counted; the others
//! still run. While one runs, its thread counts as sweeping, so that it cannot
//! enter a heap.

use core::any::Any;
use core::cell::Cell;
use core::ptr::NonNull;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::asan;
use crate::corrupt;
use crate::gcbits::Bitmap;
use crate::kind::DropFn;
use crate::location::Location;
use crate::mark_byte::whiten_page;
use crate::marks::{Isa, granules_to_slots, marked_masks};
use crate::mspan::{Body, SweepClaim};
use crate::size_class::SizeClass;

/// Byte that freed memory is filled with when the heap poisons.
pub(crate) const POISON: u8 = 0xD7;

/// The result of sweeping a span.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SweepCounts {
    /// Objects that are live.
    pub live_objects: usize,
    /// Objects that were freed.
    pub freed_objects: usize,
    /// Destructors that panicked.
    pub drop_panics: usize,
}

heap_sync::thread::thread_local! {
    static DROPPING: Cell<bool> = const { Cell::new(false) };
}

/// Whether this thread is running a destructor of a heap object.
#[must_use]
pub fn is_in_destructor() -> bool {
    DROPPING.try_with(Cell::get).unwrap_or(false)
}

/// Runs a destructor, catching its panic. Returns whether it panicked.
///
/// # Safety
///
/// `object` is a live object of the kind that `drop` belongs to; it is not used afterwards.
pub(crate) unsafe fn drop_object(drop: DropFn, object: NonNull<u8>) -> bool {
    let before = DROPPING.try_with(|dropping| dropping.replace(true)).unwrap_or(true);
    // SAFETY: forwarded from the caller. `AssertUnwindSafe`: the object is not used again in
    // either case, and no structure of the heap is half changed.
    let result = catch_unwind(AssertUnwindSafe(|| unsafe { drop(object) }));
    let panicked = result.map_err(drop_payload).is_err();
    let _ = DROPPING.try_with(|dropping| dropping.set(before));
    panicked
}

/// Drops the payload of a destructor's panic. If that panics too, the second payload is
/// leaked, so that there is no third.
pub fn drop_payload(payload: Box<dyn Any + Send>) {
    let _ = catch_unwind(AssertUnwindSafe(|| drop(payload))).map_err(core::mem::forget);
}

/// Sweeps the claimed span in place. `fresh` is the memory for its new bitmap.
///
/// If there is no memory for one, nothing is freed in this cycle: dead objects stay
/// allocated, and the next sweep finds them again.
pub(crate) fn sweep(
    claim: &mut SweepClaim<'_>,
    fresh: Option<Bitmap>,
    isa: Isa,
    poison: bool,
) -> SweepCounts {
    let body = claim.body_mut();
    let location = Location::of_span(body);
    let Some(fresh) = fresh else {
        // SAFETY: the span is claimed, and a claim's ticket is out: no mark phase is under way
        // (Y1, W1).
        unsafe { whiten(location, body) };
        return SweepCounts { live_objects: body.allocated, ..SweepCounts::default() };
    };
    let live = gather(location, body, isa, fresh);
    check_zombies(body, fresh, live);

    let mut counts =
        SweepCounts { live_objects: live, freed_objects: body.allocated - live, drop_panics: 0 };
    let drop = body.kind.drop_in_place;
    let touch = drop.is_some() || poison || cfg!(heap_asan);
    if touch && counts.freed_objects > 0 {
        for slot in (0..body.nelems).filter(|i| body.is_allocated(*i) && !fresh.get(*i)) {
            let object = body.slot(slot);
            if let Some(drop) = drop {
                // SAFETY: allocated and unmarked: initialised, unreachable, and
                // dropped exactly once, since the slot is freed below.
                counts.drop_panics += usize::from(unsafe { drop_object(drop, object) });
            }
            if poison {
                // The rest of a large object's pages (AS1).
                asan::unpoison(object.as_ptr(), body.slot_bytes);
                // SAFETY: the slot is free from here on and we own the span.
                unsafe { object.write_bytes(POISON, body.slot_bytes) };
            }
            asan::poison(object.as_ptr(), body.slot_bytes);
        }
    }
    // Otherwise the mark bytes are white already, and without a write other processors keep
    // their copies of them.
    if live > 0 {
        // SAFETY: as above.
        unsafe { whiten(location, body) };
    }
    body.alloc_bits = Some(fresh);
    body.free_index = 0;
    body.allocated = live;
    counts
}

/// Writes the slot bits of the marked objects to `out`; returns their number.
fn gather(location: Location, body: &Body, isa: Isa, out: Bitmap) -> usize {
    let mut live = 0;
    if body.npages == 1 && body.slot_bytes <= 128 {
        let masks = marked_masks(isa, location.page_marks());
        let mut index = 0;
        granules_to_slots(isa, &masks, body.class, |word| {
            out.set_word(index, word);
            live += word.count_ones() as usize;
            index += 1;
        });
    } else {
        // Few, large slots: read their mark bytes one by one.
        let (arena, base) = (location.arena(), body.base.addr().get());
        let mut slot = 0;
        for index in 0..out.len() {
            let mut word = 0u64;
            for bit in 0..64.min(body.nelems - index * 64) {
                let mark = arena.mark_byte(base + slot * body.slot_bytes);
                word |= u64::from(!mark.is_white()) << bit;
                slot += 1;
            }
            out.set_word(index, word);
            live += word.count_ones() as usize;
        }
    }
    live
}

/// S2: a marked slot was allocated.
fn check_zombies(body: &Body, fresh: Bitmap, live: usize) {
    let mut bad = live > body.allocated;
    for index in 0..fresh.len() {
        let old = body.alloc_bits.map_or(0, |bits| bits.word(index));
        let below = match (body.free_index).saturating_sub(index * 64) {
            0 => 0,
            n if n >= 64 => !0,
            n => (1u64 << n) - 1,
        };
        bad |= fresh.word(index) & !(old | below) != 0;
    }
    if bad {
        corrupt!("S2: a pointer to a free slot was found while marking: {body:?}");
    }
}

/// Makes the span's mark bytes white again (M1).
///
/// # Safety
///
/// The caller has claimed the span, which begins at `location`, and no mark phase is under way.
unsafe fn whiten(location: Location, body: &Body) {
    let arena = location.arena();
    if body.class == SizeClass::LARGE || body.slot_bytes > 1024 {
        let base = body.base.addr().get();
        for slot in 0..body.nelems {
            arena.mark_byte(base + slot * body.slot_bytes).whiten();
        }
    } else {
        let first = location.page_index();
        for page in first..first + body.npages {
            // SAFETY: forwarded from the caller: a page of the span.
            unsafe { whiten_page(arena.page_marks(page)) };
        }
    }
}
