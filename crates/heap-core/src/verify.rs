//! An independent check of the memory layer's invariants.
//!
//! It recounts from the span records and the page tables what the fast paths
//! keep incrementally, and compares. Invariants are named by their ids.

use std::collections::HashSet;

use heap_sync::atomic::Ordering;

use crate::arena::{Arena, QUEUED, WHITE};
use crate::mheap::MHeap;
use crate::sweep_gen::SpanPhase;

/// A broken invariant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifyError {
    /// The invariant's id, as the code and the documentation cite it.
    pub invariant: &'static str,
    /// What was found.
    pub message: String,
}

impl core::fmt::Display for VerifyError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}: {}", self.invariant, self.message)
    }
}

impl std::error::Error for VerifyError {}

/// Builds a [`VerifyError`] unless `holds`.
///
/// # Errors
///
/// When `holds` is false.
pub fn ensure(
    holds: bool,
    invariant: &'static str,
    message: impl FnOnce() -> String,
) -> Result<(), VerifyError> {
    if holds { Ok(()) } else { Err(VerifyError { invariant, message: message() }) }
}

/// Checks every invariant of the memory layer that can be seen at rest.
///
/// # Safety
///
/// The world is stopped, all caches are flushed, no sweeper is at work.
///
/// # Errors
///
/// The first broken invariant.
pub unsafe fn verify(heap: &MHeap) -> Result<(), VerifyError> {
    let now = heap.now();
    let mut in_use = 0;
    let mut objects = 0u64;
    let mut bytes = 0u64;
    let mut bases = HashSet::new();
    let mut result = Ok(());
    // SAFETY: forwarded from the caller.
    unsafe {
        heap.each_span(|span, body| {
            if result.is_err() {
                return;
            }
            result = (|| {
                let phase = span.phase(now);
                ensure(
                    matches!(phase, Some(SpanPhase::Swept | SpanPhase::NeedsSweep)),
                    "C1",
                    || format!("span at {:p} is {phase:?} with all caches flushed", body.base),
                )?;
                ensure(bases.insert(body.base), "F1", || format!("two spans at {:p}", body.base))?;
                let counted = (0..body.nelems).filter(|i| body.is_allocated(*i)).count();
                ensure(counted == body.allocated, "S1", || {
                    format!("{counted} slots are allocated, the span says {}", body.allocated)
                })?;
                let arena = Arena::of(body.base);
                let first = Arena::page_index(body.base.addr().get());
                for page in first..(first + body.npages).min(crate::geometry::ARENA_PAGES) {
                    let covers = arena.span(page).is_some_and(|s| core::ptr::eq(s.as_ptr(), span));
                    ensure(covers, "M2", || format!("page {page} does not name its span"))?;
                    let kind = arena.kind(page).map(|k| k.address());
                    ensure(kind == Some(body.kind.address()), "K1", || {
                        format!("page {page} names another kind than its span")
                    })?;
                    let unqueued = arena.queue_flag(page).load(Ordering::Relaxed) != QUEUED;
                    ensure(unqueued, "M3", || format!("page {page} is queued outside marking"))?;
                    if phase == Some(SpanPhase::Swept) {
                        let marks = arena.page_marks(page);
                        let white = marks.iter().all(|m| m.load(Ordering::Relaxed) == WHITE);
                        ensure(white, "M1", || format!("a swept page {page} has marks"))?;
                    }
                }
                in_use += body.bytes();
                objects += counted as u64;
                bytes += (counted * body.slot_bytes) as u64;
                Ok(())
            })();
        });
    }
    result?;
    let claimed = heap.stats.in_use_bytes.load(Ordering::Relaxed);
    ensure(in_use == claimed, "Y2", || {
        format!("spans cover {in_use} bytes, the counter says {claimed}")
    })?;
    ensure(heap.max_bytes().is_none_or(|max| in_use <= max), "Y2", || {
        format!("{in_use} bytes in use exceed the limit")
    })?;
    let stats = &heap.stats;
    let live = stats.allocated_objects.get() - stats.freed_objects.get();
    ensure(live == objects, "Z1", || {
        format!("allocated - freed = {live} objects, a recount finds {objects}")
    })?;
    let live = stats.allocated_bytes.get() - stats.freed_bytes.get();
    ensure(live == bytes, "Z1", || {
        format!("allocated - freed = {live} bytes, a recount finds {bytes}")
    })?;
    heap.check_pages().map_err(|message| VerifyError { invariant: "P", message })
}
