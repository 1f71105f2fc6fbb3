//! The heap verifier: the memory layer's own check, then a plain second marking
//! that compares what is reachable with what is allocated.
//!
//! * V1: every handle that can be reached leads to the start of an allocated
//!   slot of this heap, or into one that objects share ("nothing lost").
//!   So do every entry of a weak table (I1), the key of an ephemeron and its value, and what is
//!   registered with finalizers (FI1); a weak cell leads to the object that has it (WH3).
//!
//! Each check has been seen to fail: `verify/tests.rs`.

#[cfg(all(test, not(heap_loom), not(heap_asan)))]
mod tests;

use std::collections::HashSet;
use std::ptr::NonNull;
use std::sync::Arc;

use heap_core::kind::WEAK_CELL;
use heap_core::location::Location;
use heap_core::mheap::HistogramRow;
use heap_core::mspan::Body;
use heap_core::tracer::{Batch, EdgeBuffer, Neighbours, Weakness};
use heap_core::verify::ensure;
use heap_core::weak_handles::WeakCell;

use crate::cycle::Outcome;
use crate::error::{BrokenInvariant, ContextLeaked, VerifyError};
use crate::gate::WorldStopped;
use crate::heap_state::HeapState;
use crate::world::MutatorRecord;

impl HeapState {
    /// Checks every invariant. The calling thread is outside.
    pub(crate) fn verify(self: &Arc<Self>) -> Result<(), VerifyError> {
        self.at_rest(|world, mutators| {
            // SAFETY: `at_rest` stops this heap's world, flushes the caches and sweeps.
            unsafe { verify(self, world, |visit| self.each_root(world, mutators, visit)) }
        })?
        .map_err(VerifyError::from)
    }

    /// What the heap holds, by kind and size class. Never returns if the calling thread has
    /// a mutator of the heap that is inside.
    ///
    /// # Errors
    ///
    /// If a mutator was abandoned: its cache cannot be looked into.
    pub fn class_histogram(self: &Arc<Self>) -> Result<Vec<HistogramRow>, ContextLeaked> {
        // SAFETY: as in `verify`.
        self.at_rest(|world, _| unsafe { class_histogram(self, world) })
    }

    /// Looks in with the world stopped, all caches flushed, everything swept.
    ///
    /// # Errors
    ///
    /// If a mutator was abandoned: its cache cannot be looked into.
    fn at_rest<R>(
        self: &Arc<Self>,
        look: impl FnOnce(&WorldStopped<'_>, &[Arc<MutatorRecord>]) -> R,
    ) -> Result<R, ContextLeaked> {
        let collector = self.world.gate.claim();
        if self.finish_marking(&collector) == Outcome::Refused {
            return Err(ContextLeaked);
        }
        self.finish_sweep();
        let (mutators, world) = self.world.wait(collector.raise());
        let world = world.ok_or(ContextLeaked)?;
        self.flush_caches(&world, &mutators);
        self.finish_sweep();
        Ok(look(&world, &mutators))
    }
}

/// What the heap holds.
///
/// # Safety
///
/// The world that stands is that of the heap; all caches are flushed and sweeping is over.
unsafe fn class_histogram(shared: &HeapState, _world: &WorldStopped<'_>) -> Vec<HistogramRow> {
    // SAFETY: the world is stopped, and sweeping over: forwarded from the caller.
    unsafe { shared.heap.class_histogram() }
}

/// Checks everything.
///
/// # Safety
///
/// As [`class_histogram`].
unsafe fn verify(
    shared: &HeapState,
    world: &WorldStopped<'_>,
    roots: impl FnOnce(&mut dyn FnMut(NonNull<u8>)),
) -> Result<(), BrokenInvariant> {
    // SAFETY: the world is stopped, caches flushed, sweeping over: forwarded from the caller.
    unsafe { heap_core::verify::verify(&shared.heap) }?;
    check_pace(shared)?;
    let mut entries = Vec::new();
    shared.weak.each(world, |object| entries.push(object));
    for object in entries {
        // SAFETY: forwarded from the caller.
        unsafe { check_start(shared, object, "I1") }?;
    }
    let mut stack = Vec::new();
    let mut handles = Vec::new();
    // SAFETY: forwarded from the caller.
    unsafe { shared.heap.each_weak_handle(|object, cell| handles.push((object, cell))) };
    for (object, cell) in handles {
        // SAFETY: forwarded from the caller.
        unsafe { check_weak_handle(shared, object, cell) }?;
        stack.push(object);
    }
    let mut registered = Vec::new();
    shared.finalizers.each(world, |object| registered.push(object));
    for object in registered {
        // SAFETY: forwarded from the caller.
        unsafe { check_start(shared, object, "FI1") }?;
        stack.push(object);
    }
    // SAFETY: forwarded from the caller.
    unsafe { check_samples(shared, world) }?;
    let mut seen = HashSet::new();
    roots(&mut |object| stack.push(object));
    shared.weak.each(world, |object| stack.push(object));
    let mut buffer = EdgeBuffer::of(Weakness::KeysAndValues);
    let mut batch = Batch::default();
    while let Some(object) = stack.pop() {
        if !seen.insert(object) {
            continue;
        }
        // SAFETY: forwarded from the caller.
        let body = unsafe { check_start(shared, object, "V1") }?;
        let Some(trace) = body.kind.trace_batch() else { continue };
        // SAFETY: a live object of this heap starts there (V1, just checked).
        let object = unsafe { Location::of(object) };
        let page = object.page().pointer().as_ptr();
        batch.clear();
        batch.push(object.granule());
        // SAFETY: as above, of this kind.
        unsafe { buffer.trace(trace, page, &mut batch, Neighbours::Report) };
        while let Some(piece) = buffer.take_piece() {
            let trace = body.kind.trace_piece().expect("only such kinds defer pieces");
            // SAFETY: the object has deferred a stretch of its own contents (K2).
            unsafe { buffer.trace_piece(trace, piece) };
        }
        stack.extend(buffer.edges());
        buffer.clear_edges();
    }
    Ok(())
}

/// SM1.
///
/// # Safety
///
/// As [`class_histogram`].
unsafe fn check_samples(
    shared: &HeapState,
    world: &WorldStopped<'_>,
) -> Result<(), BrokenInvariant> {
    let Some(sampling) = &shared.sampling else { return Ok(()) };
    let mut records = Vec::new();
    let all_have_one =
        sampling.each_record(world, |slot, kind, bytes| records.push((slot, kind, bytes)));
    for &(slot, kind, bytes) in &records {
        // SAFETY: forwarded from the caller.
        let found = unsafe { shared.heap.find_object(slot.addr().get()) };
        let is_right = found.as_ref().is_some_and(|(start, body)| {
            *start == slot && body.kind.address() == kind.address() && body.slot_bytes == bytes
        });
        ensure(is_right, "SM1", || {
            format!("a sample of {} in {bytes} bytes at {slot:p}: {found:?}", kind.name())
        })?;
    }
    let (count, slots) = (records.len(), records.iter().map(|record| record.0));
    let distinct = slots.collect::<HashSet<_>>().len();
    ensure(distinct == count, "SM1", || format!("{count} samples are of {distinct} slots"))?;
    let allocated = shared.heap.usage().total().live_objects();
    ensure(!all_have_one || count as u64 == allocated, "SM1", || {
        format!("all of {allocated} objects are sampled, of which {count} have records")
    })
}

/// WH3.
///
/// # Safety
///
/// As [`class_histogram`].
unsafe fn check_weak_handle(
    shared: &HeapState,
    object: NonNull<u8>,
    cell: NonNull<u8>,
) -> Result<(), BrokenInvariant> {
    // SAFETY: forwarded from the caller.
    let [_, body] =
        unsafe { [check_start(shared, object, "WH3")?, check_start(shared, cell, "WH3")?] };
    // SAFETY: an allocated object; if it is of this kind, it is a cell.
    let target = core::ptr::eq(body.kind, &raw const WEAK_CELL)
        .then(|| unsafe { cell.cast::<WeakCell>().as_ref() }.target());
    ensure(target == Some(Some(object)), "WH3", || {
        format!("the weak cell of {object:p} at {cell:p} leads to {target:?}")
    })?;
    Ok(())
}

/// The span of `object`, which must be the start of an allocated slot, or lie in one
/// that objects share.
///
/// # Safety
///
/// As [`class_histogram`], as long as the span's contents are used.
unsafe fn check_start(
    shared: &HeapState,
    object: NonNull<u8>,
    invariant: &'static str,
) -> Result<Body, BrokenInvariant> {
    // SAFETY: the world is stopped, sweeping over: forwarded from the caller.
    let found = unsafe { shared.heap.find_object(object.addr().get()) };
    match found {
        Some((_, body)) if body.may_start_at(object.addr().get()) => Ok(body),
        found => Err(BrokenInvariant {
            invariant,
            message: format!("{object:p} is not the start of an object: {found:?}"),
        }),
    }
}

/// L1, PA1.
fn check_pace(shared: &HeapState) -> Result<(), BrokenInvariant> {
    let [live, trigger] = [shared.budget.live_bytes(), shared.budget.trigger_bytes()];
    let marked = shared.cycles.lock().marked_bytes;
    let allocated = shared.heap.usage().total().live_bytes();
    // What a sweep without memory for a bitmap has left is dead, and not counted.
    let exact = !shared.heap.retains_dead();
    ensure(live as u64 >= allocated || !exact, "L1", || {
        format!("{allocated} bytes are allocated, {live} are accounted for")
    })?;
    ensure(trigger as u64 > marked, "PA1", || {
        format!("{marked} bytes were marked, the next collection is due at {trigger}")
    })
}
