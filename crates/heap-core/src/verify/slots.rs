//! Checks of the slots of a span: marks, bitmaps, zeros. Part of [`super::verify`].

use heap_sync::atomic::Ordering;

use super::{VerifyError, ensure};
use crate::arena::{Arena, BLACK, WHITE};
use crate::asan;
use crate::geometry::{ARENA_PAGES, GRANULE, PAGE_SIZE};
use crate::mheap::MHeap;
use crate::mspan::Body;

/// GB1: the bitmaps of spans in use lie in chunks that are not free, and none
/// overlaps another.
pub(super) fn check_bitmaps<'b>(
    heap: &MHeap,
    bodies: impl Iterator<Item = &'b Body>,
) -> Result<(), VerifyError> {
    let chunks = heap.bitmaps_in_use();
    let mut bitmaps: Vec<(usize, usize)> =
        bodies.filter_map(|body| body.alloc_bits).map(|bits| bits.range()).collect();
    bitmaps.sort_unstable();
    for &(first, end) in &bitmaps {
        let after = chunks.partition_point(|(chunk, _)| *chunk <= first);
        let inside = after > 0 && end <= chunks[after - 1].1;
        ensure(inside, "GB1", || format!("a span's bitmap at {first:#x} may be recycled"))?;
    }
    let shared = bitmaps.windows(2).find(|pair| pair[0].1 > pair[1].0);
    ensure(shared.is_none(), "GB1", || format!("two spans share a bitmap: {shared:x?}"))
}

/// S2, MK1, M1: on a page that is not yet swept only allocated objects are marked, and every
/// marked object has been traced.
pub(super) fn check_marks(arena: Arena<'_>, page: usize, body: &Body) -> Result<(), VerifyError> {
    let first =
        body.base.addr().get() + (page - Arena::page_index(body.base.addr().get())) * PAGE_SIZE;
    debug_assert!(page < ARENA_PAGES);
    for (granule, mark) in arena.page_marks(page).iter().enumerate() {
        let mark = mark.load(Ordering::Relaxed);
        if mark == WHITE {
            continue;
        }
        // In the 24-byte class two slots share three granules, so the object may
        // begin in the middle of its granule.
        let address = first + granule * GRANULE;
        let marked = [address, address + GRANULE / 2].into_iter().any(|at| {
            body.slot_index(at)
                .is_some_and(|slot| body.slot(slot).addr().get() == at && body.is_allocated(slot))
        });
        ensure(marked, "S2", || format!("a mark at {address:#x}, where no object starts"))?;
        ensure(mark == BLACK, "MK1", || {
            format!("the object at {address:#x} is marked and was not traced: {mark}")
        })?;
    }
    Ok(())
}

/// Y4: the free slots of a span that need no zeroing read as zero.
pub(super) fn check_zero(body: &Body) -> Result<(), VerifyError> {
    if body.needs_zero {
        return Ok(());
    }
    for slot in (body.free_index..body.nelems).filter(|slot| !body.is_allocated(*slot)) {
        let start = body.slot(slot).cast::<u64>();
        asan::unpoison(start.as_ptr().cast(), body.slot_bytes);
        // SAFETY: a free slot is initialised memory that is not in use: fresh pages
        // read as zero. Slots are multiples of eight bytes, so aligned.
        let words = unsafe { core::slice::from_raw_parts(start.as_ptr(), body.slot_bytes / 8) };
        let zero = words.iter().all(|word| *word == 0);
        asan::poison(start.as_ptr().cast(), body.slot_bytes);
        ensure(zero, "Y4", || {
            format!("the free slot at {start:p} is not zero, and nobody would zero it")
        })?;
    }
    Ok(())
}
