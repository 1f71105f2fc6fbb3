//! The heap verifier: the memory layer's own check, then a plain second marking
//! that compares what is reachable with what is allocated.
//!
//! * V1: every handle that can be reached leads to the start of an allocated
//!   slot of this heap, or into one that objects share ("nothing lost").
//! * I1: so does every entry of a weak table.

use std::collections::HashSet;
use std::ptr::NonNull;

use heap_core::arena::Arena;
use heap_core::geometry::{GRANULE_SHIFT, PAGE_GRANULES, PAGE_SHIFT};
use heap_core::mheap::CensusRow;
use heap_core::tracer::Tracer;
use heap_core::verify::{VerifyError, ensure};

use crate::gate::WorldStopped;
use crate::shared::Shared;

/// What the heap holds. All caches are flushed and sweeping is over.
pub(crate) fn census(shared: &Shared, _world: &WorldStopped<'_>) -> Vec<CensusRow> {
    // SAFETY: the world is stopped, and sweeping over: the caller's contract.
    unsafe { shared.heap.census() }
}

/// Checks everything. All caches are flushed and sweeping is over.
pub(crate) fn verify(
    shared: &Shared,
    world: &WorldStopped<'_>,
    roots: impl FnOnce(&mut dyn FnMut(NonNull<u8>)),
) -> Result<(), VerifyError> {
    // SAFETY: the world is stopped, caches flushed, sweeping over: the caller's
    // contract, and `world` proves the first part.
    unsafe { heap_core::verify::verify(&shared.heap) }?;
    let mut seen = HashSet::new();
    let mut stack = Vec::new();
    roots(&mut |object| stack.push(object));
    shared.weak.each(world, |object| stack.push(object));
    let mut tracer = Tracer::default();
    while let Some(object) = stack.pop() {
        if !seen.insert(object) {
            continue;
        }
        let address = object.addr().get();
        // SAFETY: as above.
        let found = unsafe { shared.heap.find_object(address) };
        ensure(found.as_ref().is_some_and(|(_, body)| body.may_start_at(address)), "V1", || {
            format!("a handle to {object:p} does not lead to the start of an object")
        })?;
        let Some((_, body)) = found else { continue };
        let Some(trace) = body.kind.trace_batch else { continue };
        let granule = address >> GRANULE_SHIFT & (PAGE_GRANULES - 1);
        let page = object.as_ptr().map_addr(|address| address >> PAGE_SHIFT << PAGE_SHIFT);
        debug_assert!(Arena::page_index(address) < heap_core::geometry::ARENA_PAGES);
        // SAFETY: a live object of this kind starts there (V1, just checked).
        unsafe { trace(page, granule / 64, 1 << (granule % 64), &mut tracer) };
        while let Some(piece) = tracer.take_piece() {
            let trace = body.kind.trace_piece.expect("only such kinds defer pieces");
            // SAFETY: the stretch is the object's own contents.
            unsafe { trace(piece.object, piece.from, piece.end - piece.from, &mut tracer) };
        }
        stack.extend(tracer.edges());
        tracer.clear_edges();
    }
    Ok(())
}
