//! An independent check of the memory layer's invariants.
//!
//! It recounts, from the span records, the page tables and the bitmaps, what the
//! fast paths keep incrementally, and compares. Invariants are named by their
//! ids, which the modules' headers define.
//!
//! Each check has a test in which it fails: `mheap/tests.rs` breaks the invariants one by
//! one. `docs/verification.md` has the table.
//!
//! * Z2: every mapped byte is in use, idle, released or part of an arena's head,
//!   and counted once.

mod counts;
mod slots;

use std::collections::HashMap;

use heap_sync::atomic::Ordering;

pub use crate::error::{VerifyError, ensure};
use crate::geometry::{ARENA_PAGES, PAGE_SIZE};
use crate::location::Location;
use crate::marks::{PageMasks, marked_masks};
use crate::mheap::{MHeap, StackPool};
use crate::mspan::{Body, Span, SpanState};
use crate::size_class::SizeClass;
use crate::sweep_gen::SpanPhase;

/// Whether mutators hold spans.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caches {
    /// All caches are flushed, and their counts added to the totals.
    Flushed,
    /// Mutators may hold spans; what they have allocated is not all counted.
    InUse,
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
    // SAFETY: forwarded from the caller.
    unsafe { verify_with(heap, Caches::Flushed) }
}

/// As [`verify`], also for a heap whose caches are not flushed.
///
/// # Safety
///
/// The world is stopped, no sweeper is at work; caches are as `caches` says.
///
/// # Errors
///
/// The first broken invariant.
pub unsafe fn verify_with(heap: &MHeap, caches: Caches) -> Result<(), VerifyError> {
    // Stack blocks may be returned at any time, also while the world is stopped, but not
    // while the pool is locked.
    let stacks = heap.stack_pool();
    let mut spans = Vec::new();
    // SAFETY: forwarded from the caller.
    unsafe { heap.each_span(|span, body| spans.push((core::ptr::from_ref(span), *body))) };
    spans.sort_by_key(|(_, body)| body.base);
    // Before any bit is read.
    slots::check_bitmaps(heap, spans.iter().map(|(_, body)| body))?;
    let stack_runs = check_stacks(heap, &stacks)?;
    let mut runs: Vec<_> =
        spans.iter().map(|(_, body)| (body.base.addr().get(), body.npages)).collect();
    runs.extend(&stack_runs);
    runs.sort_unstable();
    for pair in runs.windows(2) {
        let (below, above) = (pair[0], pair[1]);
        ensure(below.0 + below.1 * PAGE_SIZE <= above.0, "S3", || {
            format!("the spans at {:#x} and {:#x} overlap", below.0, above.0)
        })?;
    }
    for &(span, ref body) in &spans {
        // SAFETY: F1: records live as long as the heap.
        check_span(heap, unsafe { &*span }, body, caches)?;
    }
    // SAFETY: forwarded from the caller; these are the heap's records.
    unsafe { check_sweep(heap, &spans) }?;
    // SAFETY: forwarded from the caller.
    unsafe { check_lists(heap, &spans) }?;
    // SAFETY: these are the heap's records.
    unsafe { check_weak_spans(heap, &spans) }?;
    check_in_use(heap, &spans, &stack_runs)?;
    let (made, free) = heap.records();
    ensure(made == free + runs.len(), "F1", || {
        format!("of {made} span records {free} are free and {} in use", runs.len())
    })?;
    // SAFETY: forwarded from the caller.
    unsafe { heap.check_pages(&runs) }?;
    counts::check(heap, spans.iter().map(|(_, body)| body), caches)
}

fn check_span(heap: &MHeap, span: &Span, body: &Body, caches: Caches) -> Result<(), VerifyError> {
    let phase = span.phase(heap.now());
    let at_rest = match phase {
        Some(SpanPhase::Swept | SpanPhase::NeedsSweep) => true,
        Some(SpanPhase::Cached) => caches == Caches::InUse,
        _ => false,
    };
    ensure(at_rest, "C1", || format!("the span at {:p} is {phase:?}", body.base))?;

    let shape = if body.class == SizeClass::LARGE {
        (body.npages, 1, body.npages * PAGE_SIZE)
    } else {
        (body.class.span_pages(), body.class.objects_per_span(), body.class.object_size())
    };
    let found = (body.npages, body.nelems, body.slot_bytes);
    ensure(found == shape, "S4", || {
        format!("pages, slots and slot size of the span at {:p} are {found:?}", body.base)
    })?;
    let counted = (0..body.nelems).filter(|i| body.is_allocated(*i)).count();
    ensure(counted == body.allocated && body.free_index <= body.nelems, "S1", || {
        format!("{counted} slots are allocated: {body:?}")
    })?;

    check_weak_handles(span, body)?;
    slots::check_zero(body)?;

    let location = Location::of_span(body);
    let (arena, first) = (location.arena(), location.page_index());
    for page in first..(first + body.npages).min(ARENA_PAGES) {
        let covers = arena.span(page).is_some_and(|s| core::ptr::eq(s.as_ptr(), span));
        ensure(covers, "M2", || format!("page {page} does not name its span"))?;
        let kind = arena.kind(page).map(|k| k.address());
        ensure(kind == Some(body.kind.address()), "K1", || {
            format!("page {page} names another kind than its span")
        })?;
        let unqueued = !arena.page_flag(page).is_queued();
        ensure(unqueued, "M3", || format!("page {page} is queued outside marking"))?;
        if phase == Some(SpanPhase::NeedsSweep) {
            slots::check_marks(arena.page_marks(page), page - first, body)?;
        } else {
            let white = marked_masks(heap.isa(), arena.page_marks(page)) == PageMasks::default();
            ensure(white, "M1", || format!("the swept page {page} has marks"))?;
        }
    }
    Ok(())
}

/// W1, G3: at rest no thread sweeps, and if sweeping is over, every span is swept.
///
/// # Safety
///
/// As [`verify`], and the spans are records of the heap.
unsafe fn check_sweep(heap: &MHeap, spans: &[(*const Span, Body)]) -> Result<(), VerifyError> {
    let tickets = heap.tickets();
    ensure(tickets == 0, "W1", || format!("{tickets} tickets are out, and nobody sweeps"))?;
    let unswept = spans.iter().find(|(span, _)| {
        // SAFETY: F1: records live as long as the heap.
        unsafe { &**span }.phase(heap.now()) == Some(SpanPhase::NeedsSweep)
    });
    ensure(!heap.sweep_is_over() || unswept.is_none(), "G3", || {
        format!("sweeping is over, and a span is not swept: {unswept:?}")
    })
}

/// WH1.
fn check_weak_handles(span: &Span, body: &Body) -> Result<(), VerifyError> {
    let list = span.weak_handles().copy();
    let sorted = list.windows(2).all(|pair| pair[0].object < pair[1].object);
    ensure(sorted, "WH1", || format!("weak handles out of order: {list:?}"))?;
    let strays = list.iter().find(|handle| !body.may_start_at(handle.object.addr().get()));
    ensure(strays.is_none(), "WH1", || format!("{strays:?} is of no object"))
}

/// WH2: the spans with weak handles are listed, each once.
///
/// # Safety
///
/// The spans are records of the heap.
unsafe fn check_weak_spans(heap: &MHeap, spans: &[(*const Span, Body)]) -> Result<(), VerifyError> {
    let mut listed = heap.weak_spans();
    listed.sort_unstable();
    // SAFETY: F1: records live as long as the heap; forwarded from the caller.
    let any = |span: *const Span| !unsafe { &*span }.weak_handles().copy().is_empty();
    let mut expected: Vec<_> =
        spans.iter().map(|(span, _)| *span).filter(|span| any(*span)).collect();
    expected.sort_unstable();
    ensure(listed == expected, "WH2", || {
        format!("spans with weak handles: {expected:?}, in the list: {listed:?}")
    })
}

/// N1: every span that is in no cache is in exactly one list, and in the right one.
///
/// # Safety
///
/// As [`verify`].
unsafe fn check_lists(heap: &MHeap, spans: &[(*const Span, Body)]) -> Result<(), VerifyError> {
    // SAFETY: forwarded from the caller.
    let listed = unsafe { heap.listed() };
    let mut places = HashMap::new();
    for place in &listed {
        let twice = places.insert(place.span.as_ptr().cast_const(), place);
        ensure(twice.is_none(), "N1", || format!("a span is listed twice: {twice:?}, {place:?}"))?;
    }
    for &(span, ref body) in spans {
        // SAFETY: F1: records live as long as the heap.
        let phase = unsafe { &*span }.phase(heap.now());
        let place = places.remove(&span).map(|place| (place.central, place.swept, place.full));
        let full = body.allocated == body.nelems;
        let expected = match phase {
            Some(SpanPhase::Swept) => Some((body.central, true, full)),
            Some(SpanPhase::NeedsSweep) => Some((body.central, false, full)),
            _ => None,
        };
        ensure(place == expected, "N1", || {
            format!("the span at {:p}, {phase:?}, is listed in {place:?}", body.base)
        })?;
    }
    ensure(places.is_empty(), "N1", || format!("dead spans are listed: {places:?}"))
}

/// SK1..SK4. Returns the manual spans as first address and number of pages.
fn check_stacks(heap: &MHeap, pool: &StackPool) -> Result<Vec<(usize, usize)>, VerifyError> {
    pool.check()?;
    let mut runs = Vec::new();
    for manual in pool.spans() {
        let record = manual.record();
        // SAFETY: F1; the pool is locked, so the span is in use.
        let (span, location) = unsafe { (record.as_ref(), Location::of(manual.base())) };
        let (arena, first) = (location.arena(), location.page_index());
        let entered = (first..(first + manual.npages()).min(ARENA_PAGES)).all(|page| {
            arena.span(page) == Some(record)
                && arena.kind(page).is_none()
                && marked_masks(heap.isa(), arena.page_marks(page)) == PageMasks::default()
        });
        let holds =
            entered && span.state() == SpanState::Manual && span.weak_handles().copy().is_empty();
        ensure(holds, "SK1", || format!("a manual span is not by itself: {manual:?}"))?;
        runs.push((manual.base().addr().get(), manual.npages()));
    }
    let bytes = pages_bytes(&runs);
    let claimed = heap.stats.stack_bytes.load(Ordering::Relaxed);
    ensure(bytes == claimed, "SK4", || {
        format!("stacks have {bytes} bytes, the counter says {claimed}")
    })?;
    Ok(runs)
}

fn pages_bytes(runs: &[(usize, usize)]) -> usize {
    runs.iter().map(|(_, npages)| npages * PAGE_SIZE).sum()
}

/// Y2.
fn check_in_use(
    heap: &MHeap,
    spans: &[(*const Span, Body)],
    stacks: &[(usize, usize)],
) -> Result<(), VerifyError> {
    let objects: usize = spans.iter().map(|(_, body)| body.bytes()).sum();
    let in_use = objects + pages_bytes(stacks);
    let claimed = heap.stats.in_use_bytes.load(Ordering::Relaxed);
    ensure(in_use == claimed, "Y2", || {
        format!("spans cover {in_use} bytes, the counter says {claimed}")
    })?;
    ensure(heap.max_bytes().is_none_or(|max| in_use <= max), "Y2", || {
        format!("{in_use} bytes in use exceed the limit")
    })
}
