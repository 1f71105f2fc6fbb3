//! Checks of the slots of a span: marks, bitmaps, zeros. Part of [`super::verify`].

use super::{VerifyError, ensure};
use crate::asan;
use crate::geometry::{GRANULE, PAGE_SIZE};
use crate::mark_byte::{Color, PageMarks};
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
/// marked object has been traced. `page` is counted from the first one of the span.
pub(super) fn check_marks(marks: &PageMarks, page: usize, body: &Body) -> Result<(), VerifyError> {
    let first = body.base.addr().get() + page * PAGE_SIZE;
    for (granule, mark) in marks.iter().enumerate() {
        let color = mark.color();
        if color == Some(Color::White) {
            continue;
        }
        // In slots of `OFF_GRANULE_SLOT` bytes an object may begin in the middle of its granule.
        let address = first + granule * GRANULE;
        let marked = [address, address + GRANULE / 2].into_iter().any(|at| {
            body.slot_index(at)
                .is_some_and(|slot| body.slot(slot).addr().get() == at && body.is_allocated(slot))
        });
        ensure(marked, "S2", || format!("a mark at {address:#x}, where no object starts"))?;
        ensure(color == Some(Color::Black), "MK1", || {
            format!("the object at {address:#x} is marked and was not traced: {mark:?}")
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
