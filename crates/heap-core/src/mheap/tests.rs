//! Breaks the memory layer's invariants one by one, and sees the verifier name
//! the one that was broken: a check that was never seen to fail shows nothing.
//!
//! Not built for AddressSanitizer: it would complain of what is broken, and of heaps
//! that nobody dares to drop after that.
//!
//! The table of invariants is in `docs/verification.md`.

use core::ptr::NonNull;
use std::mem::{forget, take};

use heap_sync::atomic::Ordering;

use super::{CoreConfig, Fill, HugePages, MHeap, SpanBatch, SpanRequest};
use crate::arena::Arena;
use crate::error::OutOfMemory;
use crate::geometry::{ARENA_MASK, ARENA_SIZE, PAGE_SIZE};
use crate::kind::{NOSCAN, ObjectKind};
use crate::location::Location;
use crate::mark_byte::MarkByte;
use crate::mcache::{Cache, Refill};
use crate::mcentral::Central;
use crate::mspan::{Body, CachedSpan, Span, SweepClaim};
use crate::os::SystemOs;
use crate::page_alloc::{PageRun, ScavengePolicy};
use crate::page_flag::Serial;
use crate::partition::Partition;
use crate::size_class::SizeClass;
use crate::stats::{ClassCounts, SweepBy, Tally};
use crate::sweep_gen::SpanPhase;
use crate::tracer::EdgeBuffer;
use crate::verify::{VerifyError, verify};
use crate::weak_handles::WeakHandle;

/// What a cache asks for that wants one span.
fn one_from(central: &Central) -> SpanRequest<'_> {
    SpanRequest { central, partition: Partition::default(), wanted: 1 }
}

fn trace_nothing(_page: *const u8, _buffer: &mut EdgeBuffer) {}

/// A kind whose pages can be queued.
// SAFETY: there are no handles.
static SCAN: ObjectKind = unsafe { ObjectKind::new(|| "scan", Some(trace_nothing), None, None) };

/// How far the last collection of the heap under test has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Swept,
    Unswept,
}

/// A heap with spans of several classes, a large and a huge object; one
/// small object in five dies in each of two collections.
struct Sample {
    heap: MHeap,
    live: Vec<NonNull<u8>>,
    dead: Vec<NonNull<u8>>,
    large: NonNull<u8>,
    huge: NonNull<u8>,
}

impl Sample {
    fn new(state: State) -> Sample {
        let config = CoreConfig { max_bytes: None, huge_pages: HugePages::Never, poison: false };
        let heap = MHeap::new(config, Box::new(SystemOs));
        let mut cache = cache();
        let mut objects: Vec<_> =
            (0..3000).map(|i| alloc(&heap, &mut cache, [64, 24, 1024][i % 3])).collect();
        cache.flush(&heap);
        let one = large(&heap, &SCAN, 100_000).expect("memory");
        let huge = large(&heap, &NOSCAN, ARENA_SIZE).expect("memory");
        // The second collection is the one that the tests look at: bitmaps exist.
        let (mut live, mut dead) = (Vec::new(), Vec::new());
        for round in 0..2 {
            heap.sweep_rest(SweepBy::Collector);
            before_mark(&heap);
            let survivors = objects.iter().copied().enumerate();
            (live, dead) = (Vec::new(), Vec::new());
            for (i, object) in survivors {
                if i % 5 == 0 { dead.push(object) } else { live.push(object) }
            }
            live.iter().chain([&one, &huge]).for_each(|object| mark(*object).mark_black());
            start_sweep(&heap);
            if round == 0 || state == State::Swept {
                heap.sweep_rest(SweepBy::Collector);
            }
            objects = live.clone();
        }
        Sample { heap, live, dead, large: one, huge }
    }

    fn verify(&self) -> Result<(), VerifyError> {
        // SAFETY: one thread, no caches, nobody sweeps.
        unsafe { verify(&self.heap) }
    }

    fn span(&self, object: NonNull<u8>) -> NonNull<Span> {
        arena(object).span(page(object)).expect("a live object has a span")
    }

    /// Takes the span of `object` out of its list, changes its body, and puts it
    /// back where it was.
    fn damage_body(&self, object: NonNull<u8>, change: impl FnOnce(&mut Body)) {
        let span = self.span(object);
        // SAFETY: one thread; the token is made from nothing, which is the point.
        let mut token = unsafe { CachedSpan::from_swept(span, self.heap.now()) };
        change(token.body_mut());
        let _ = token.uncache(self.heap.now());
    }

    fn body(&self, object: NonNull<u8>) -> Body {
        // SAFETY: one thread.
        unsafe { self.span(object).as_ref().inspect() }.expect("a live span")
    }

    fn central(&self, index: usize) -> &Central {
        self.heap.central_at(index).expect("a kind and class that the sample has")
    }

    /// Takes a span out of the list of swept spans with room.
    fn unlist(&self) -> NonNull<Span> {
        let list = self.central(0).partial_swept(self.heap.now()).at(Partition::default());
        list.pop().expect("a span with room")
    }
}

// What a test promises: it has its heap to itself, flushes its caches before a collection
// unless that is the damage it does, and allocates nothing whose kind has functions that
// read it.

fn cache() -> Cache {
    // SAFETY: the test's promise.
    unsafe { Cache::at(Partition::default()) }
}

fn large(
    heap: &MHeap,
    kind: &'static ObjectKind,
    bytes: usize,
) -> Result<NonNull<u8>, OutOfMemory> {
    // SAFETY: the test's promise.
    unsafe { heap.alloc_large(kind, bytes, Fill::Whole) }
}

fn before_mark(heap: &MHeap) {
    // SAFETY: the test's promise.
    unsafe { heap.before_mark() };
}

fn start_sweep(heap: &MHeap) {
    // SAFETY: the test's promise.
    unsafe { heap.start_sweep() };
}

fn acquire(heap: &MHeap, request: SpanRequest<'_>) -> SpanBatch {
    let mut spans = SpanBatch::new();
    // SAFETY: the request is of this heap; the spans are installed, or lost with the test.
    unsafe { heap.acquire_spans(request, &mut spans, &mut Tally::default()) }.expect("memory");
    spans
}

fn alloc(heap: &MHeap, cache: &mut Cache, bytes: usize) -> NonNull<u8> {
    let class = SizeClass::for_size(bytes).expect("a small object");
    loop {
        // SAFETY: the kind's functions read nothing.
        match unsafe { cache.refill(heap, &SCAN, class) } {
            Refill::Slot(slot) => return slot,
            Refill::NoMemory | Refill::Sampled => panic!("no memory"),
            Refill::NeedSpans(request) => {
                let mut spans = acquire(heap, request);
                // SAFETY: what the cache has asked for just now.
                unsafe { cache.install(&SCAN, class, &mut spans) };
            }
        }
    }
}

fn arena<'a>(object: NonNull<u8>) -> Arena<'a> {
    // SAFETY: an object of a heap that lives.
    unsafe { Arena::of(object) }
}

fn page(object: NonNull<u8>) -> usize {
    // SAFETY: as above.
    unsafe { Location::of(object) }.page_index()
}

fn mark<'a>(object: NonNull<u8>) -> &'a MarkByte {
    arena(object).mark_byte(object.addr().get())
}

#[track_caller]
fn broken(invariant: &str, state: State, damage: impl FnOnce(&mut Sample)) {
    let mut sample = Sample::new(state);
    sample.verify().expect("sound before the damage");
    damage(&mut sample);
    let found = sample.verify().expect_err("the damage is not seen");
    assert_eq!(found.invariant, invariant, "{found}");
    // What is broken need not end well; only its address space goes back, which is scarce on
    // 32-bit systems.
    let regions = take(&mut sample.heap.pages.lock().regions);
    forget(sample);
    drop(regions);
}

#[test]
fn a_span_in_a_cache_is_seen() {
    broken("C1", State::Swept, |s| {
        let request = one_from(s.central(0));
        let _lost = acquire(&s.heap, request);
    });
    // One that was in a cache when the clock advanced.
    broken("C1", State::Swept, |s| {
        let request = one_from(s.central(0));
        let span = acquire(&s.heap, request);
        before_mark(&s.heap);
        s.live.iter().for_each(|object| mark(*object).mark_black());
        start_sweep(&s.heap);
        let phase = s.span(span[0].body().slot(0)).as_ptr();
        // SAFETY: a live record.
        assert_eq!(unsafe { &*phase }.phase(s.heap.now()), Some(SpanPhase::CachedStale));
    });
}

#[test]
fn wrong_counts_of_slots_are_seen() {
    broken("S1", State::Swept, |s| s.damage_body(s.live[0], |body| body.allocated += 1));
    broken("S1", State::Swept, |s| s.damage_body(s.live[0], |body| body.free_index = body.nelems));
}

#[test]
fn a_mark_without_an_object_is_seen() {
    broken("S2", State::Unswept, |s| {
        // Freed by the first collection.
        let free = s.dead.iter().map(|dead| s.body(*dead)).find_map(|body| {
            (0..body.nelems).find(|i| !body.is_allocated(*i)).map(|i| body.slot(i))
        });
        mark(free.expect("a free slot")).mark_black();
    });
    broken("S2", State::Unswept, |s| {
        let body = s.body(s.large);
        // SAFETY: within the large object.
        mark(unsafe { body.base.add(PAGE_SIZE) }).mark_black();
    });
}

/// Runs this test's `body` in a process of its own, which must die saying `last`.
fn dies(last: &str, body: impl FnOnce()) {
    const INNER: &str = "HEAP_TEST_DIES";
    if std::env::var_os(INNER).is_some() {
        return body();
    }
    let output = processes::this_test().env(INNER, "1").output().expect("this program runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "the process lives");
    assert!(said.contains(last), "died of something else:\n{said}");
}

#[test]
fn a_sweep_that_finds_a_mark_on_a_free_slot_ends_the_process() {
    dies("heap corruption: S2", || {
        let s = Sample::new(State::Unswept);
        let body = s.body(s.live[0]);
        let free = (0..body.nelems).find(|i| !body.is_allocated(*i)).expect("a free slot");
        mark(body.slot(free)).mark_black();
        s.heap.sweep_rest(SweepBy::Collector);
    });
}

#[test]
fn marking_does_not_start_before_sweeping_is_over() {
    dies("Y1: a cycle starts only when everything is swept", || {
        before_mark(&Sample::new(State::Unswept).heap);
    });
}

#[test]
fn a_marked_object_that_was_not_traced_is_seen() {
    broken("MK1", State::Unswept, |s| mark(s.live[0]).mark_grey());
}

#[test]
fn overlapping_spans_are_seen() {
    broken("S3", State::Swept, |s| s.damage_body(s.live[0], |body| body.npages += 8000));
}

#[test]
fn a_span_of_another_shape_is_seen() {
    broken("S4", State::Swept, |s| s.damage_body(s.live[0], |body| body.nelems -= 1));
    broken("S4", State::Swept, |s| s.damage_body(s.large, |body| body.slot_bytes -= 8));
}

#[test]
fn marks_after_the_sweep_are_seen() {
    broken("M1", State::Swept, |s| mark(s.live[0]).mark_black());
    broken("M1", State::Swept, |s| {
        // A page that no span covers.
        let run = s.heap.pages.lock().alloc.alloc(1).expect("a page");
        s.heap.pages.lock().alloc.free(run.base, 1);
        mark(s.heap.pages.lock().pointer(run.base)).mark_black();
    });
}

#[test]
fn wrong_page_tables_are_seen() {
    broken("M2", State::Swept, |s| arena(s.live[0]).retract(page(s.live[0]), 1));
    broken("M2", State::Swept, |s| {
        let run = s.heap.pages.lock().alloc.alloc(1).expect("a page");
        s.heap.pages.lock().alloc.free(run.base, 1);
        let base = s.heap.pages.lock().pointer(run.base);
        arena(base).publish(page(base), 1, 64, &SCAN, s.span(s.live[0]));
    });
    broken("K1", State::Swept, |s| {
        arena(s.live[0]).publish(page(s.live[0]), 1, 64, &NOSCAN, s.span(s.live[0]));
    });
}

#[test]
fn a_page_queued_outside_marking_is_seen() {
    broken("M3", State::Swept, |s| {
        assert!(arena(s.live[0]).page_flag(page(s.live[0])).must_queue::<Serial>());
    });
}

#[test]
fn wrong_lists_of_weak_handles_are_seen() {
    let handles = |s: &Sample, change: &dyn Fn(&mut Vec<WeakHandle>)| {
        // SAFETY: a live record.
        unsafe { s.span(s.live[0]).as_ref() }.weak_handles().damage(change);
    };
    let add = |s: &Sample, object| {
        // SAFETY: live objects; nothing looks at the cell.
        unsafe { s.heap.add_weak_cell(object, object) }.expect("memory");
    };
    broken("WH1", State::Swept, |s| {
        add(s, s.live[0]);
        handles(s, &|list| list.push(list[0]));
    });
    broken("WH1", State::Swept, |s| {
        add(s, s.live[0]);
        // SAFETY: within the slot.
        handles(s, &|list| list[0].object = unsafe { list[0].object.add(8) });
    });
    broken("WH2", State::Swept, |s| {
        add(s, s.live[0]);
        handles(s, &|list| list.clear());
    });
    broken("WH2", State::Swept, |s| {
        let object = s.live[0];
        handles(s, &|list| list.push(WeakHandle { object, cell: object }));
    });
}

#[test]
fn wrong_lists_of_spans_are_seen() {
    broken("N1", State::Swept, |s| _ = s.unlist());
    broken("N1", State::Swept, |s| {
        let span = s.unlist();
        let list = s.central(0).partial_swept(s.heap.now()).at(Partition::default());
        // SAFETY: damage: a record of this heap, twice in a list that is the verifier's to read.
        unsafe {
            list.push(span);
            list.push(span);
        }
    });
    broken("N1", State::Swept, |s| {
        let span = s.unlist();
        // SAFETY: a record of this heap, in no list.
        unsafe { s.central(0).full_swept(s.heap.now()).at(Partition::default()).push(span) };
    });
    broken("N1", State::Swept, |s| {
        let span = s.unlist();
        // SAFETY: a record of this heap, in no list.
        unsafe { s.central(1).partial_swept(s.heap.now()).at(Partition::default()).push(span) };
    });
    broken("N1", State::Swept, |s| {
        let mut pages = s.heap.pages.lock();
        let dead = pages.spans.alloc(Span::dead).expect("memory");
        pages.spans.free(dead);
        drop(pages);
        // SAFETY: a record of this heap, in no list.
        unsafe { s.central(0).full_swept(s.heap.now()).at(Partition::default()).push(dead) };
    });
}

#[test]
fn a_sweep_that_ends_early_is_seen() {
    broken("G3", State::Unswept, |s| s.heap.sweep_ticket().expect("a ticket").close());
    broken("W1", State::Unswept, |s| forget(s.heap.sweep_ticket()));
}

#[test]
fn wrong_totals_are_seen() {
    broken("Y2", State::Swept, |s| {
        s.heap.stats.in_use_bytes.fetch_add(PAGE_SIZE, Ordering::Relaxed);
    });
    broken("Y2", State::Swept, |s| s.heap.config.max_bytes = Some(PAGE_SIZE));
    broken("Z2", State::Swept, |s| s.heap.pages.lock().in_flight += 1);
}

#[test]
fn wrong_statistics_by_class_are_seen() {
    broken("Z3", State::Swept, |s| s.damage_body(s.live[0], |body| body.counted -= 1));
    broken("Z3", State::Swept, |s| s.damage_body(s.large, |body| body.counted += 1));
    let counts = |s: &Sample, damage: fn(&ClassCounts)| {
        damage(s.central(0).counts());
    };
    broken("Z3", State::Swept, |s| counts(s, |counts| counts.grew(0)));
    broken("Z3", State::Swept, |s| counts(s, |counts| counts.shrank(0)));
    broken("Z3", State::Swept, |s| counts(s, |counts| counts.freed(1, 64)));
    // The same live objects, but a history in which slots were of another size.
    broken("Z4", State::Swept, |s| {
        counts(s, |counts| {
            counts.allocated(1, 63);
            counts.freed(1, 63);
        });
    });
}

/// Z2, SC2: a huge page that goes back may have holes without memory.
#[test]
fn a_run_in_flight_is_counted_with_its_holes() {
    let s = Sample::new(State::Swept);
    let before = s.heap.memory();
    for released in [false, true] {
        let mut pages = s.heap.pages.lock();
        // Two huge pages at least, of which all but a few pages have gone back.
        let run = pages.alloc.alloc(800).expect("pages");
        pages.alloc.finish_scavenge(PageRun { npages: 400, ..run });
        pages.alloc.free(run.base + 400 * PAGE_SIZE, 3);
        let rest = PageRun { base: run.base + 403 * PAGE_SIZE, npages: 397, ..run };
        pages.alloc.finish_scavenge(rest);
        drop(pages);
        let taken = s.heap.pages.lock().begin_scavenge(512, &ScavengePolicy::FORCED);
        let (run, _region) = taken.expect("dirty pages");
        let holes = run.scavenged_pages;
        assert!(holes > 0 && run.npages > holes, "{run:?}");
        let memory = s.heap.memory();
        assert!(memory.adds_up(), "{memory:?}");
        assert_eq!(memory.idle + memory.released, before.idle + before.released, "SC2");
        s.heap.pages.lock().finish_scavenge(run, released);
        assert!(s.heap.memory().adds_up());
    }
}

#[test]
fn a_lost_record_is_seen() {
    broken("F1", State::Swept, |s| {
        let _ = s.heap.pages.lock().spans.alloc(Span::dead).expect("memory");
    });
}

#[test]
fn pages_with_two_owners_are_seen() {
    broken("U1", State::Swept, |s| {
        s.heap.pages.lock().alloc.free(s.body(s.large).base.addr().get(), 2);
    });
    // The region of a huge object whose span is gone.
    broken("U1", State::Unswept, |s| {
        let (heap, now) = (&s.heap, s.heap.now());
        // SAFETY: central lists live as long as the heap (Y3).
        let list =
            unsafe { s.body(s.huge).central.as_ref() }.full_unswept(now).at(Partition::default());
        let ticket = heap.sweep_ticket().expect("a ticket");
        let span = list.pop().expect("the huge object's span");
        // SAFETY: a span of this heap, at its own time.
        let claim = unsafe { SweepClaim::try_claim(&ticket, span, now) };
        let (record, body) = claim.expect("unswept").kill();
        arena(s.huge).retract(page(s.huge), body.npages);
        mark(s.huge).whiten();
        heap.stats.in_use_bytes.fetch_sub(body.bytes(), Ordering::Relaxed);
        heap.pages.lock().spans.free(record);
    });
}

#[test]
fn wrong_regions_are_seen() {
    broken("RG1", State::Swept, |s| s.heap.pages.lock().regions.reverse());
    broken("RG1", State::Swept, |s| {
        let base = s.heap.pages.lock().regions.iter().next().expect("a region").base();
        forget(s.heap.pages.lock().regions.remove(base.addr().get()));
    });
    broken("RG1", State::Swept, |s| {
        // The top of the address space, which no system hands out.
        s.heap.pages.lock().alloc.add_arena(!ARENA_MASK, 0, 1);
    });
}

/// The others of this family are broken in `page_alloc/tests.rs`.
#[test]
fn a_page_allocator_that_miscounts_is_seen() {
    broken("P5", State::Swept, |s| s.heap.pages.lock().alloc.miscount());
}

#[test]
fn bitmaps_that_may_be_recycled_or_are_shared_are_seen() {
    broken("GB1", State::Swept, |s| {
        // SAFETY: one thread; no bitmap is given back to the allocator.
        (0..3).for_each(|_| unsafe { s.heap.bits.rotate() });
    });
    broken("GB1", State::Swept, |s| {
        let other = s.body(s.live[0]).alloc_bits;
        s.damage_body(s.live[1], |body| body.alloc_bits = other);
    });
}

#[test]
fn a_dirty_slot_that_passes_for_clean_is_seen() {
    broken("Y4", State::Swept, |s| {
        let mut cache = cache();
        let slot = alloc(&s.heap, &mut cache, 2048);
        cache.flush(&s.heap);
        let body = s.body(slot);
        let free = (0..body.nelems).find(|i| !body.is_allocated(*i)).expect("a free slot");
        // SAFETY: a slot of the heap, which nobody uses.
        unsafe { body.slot(free).as_ptr().add(100).write(1) };
    });
}

/// Y2: whatever the reason, pages that are not charged are not taken.
#[test]
fn a_charge_beyond_all_numbers_is_refused() {
    let heap = MHeap::new(
        CoreConfig { max_bytes: None, huge_pages: HugePages::Never, poison: false },
        Box::new(SystemOs),
    );
    let in_use = &heap.stats.in_use_bytes;
    in_use.store(usize::MAX, Ordering::Relaxed);
    assert_eq!(large(&heap, &NOSCAN, PAGE_SIZE), Err(OutOfMemory::TooLarge));
    assert_eq!(in_use.load(Ordering::Relaxed), usize::MAX);
}
