//! Sweeping and refilling, span by span, on the memory layer alone: marks are set
//! by hand, so that exactly the wanted share of the slots is alive.
//!
//! * SB1: an iteration handles one span of 8 KiB; a sample of [`SPANS`]
//!   iterations handles every span of the heap once.
//! * nothing here reads or writes object memory, as in the heap itself for
//!   kinds without drop glue.
//! * before every sample the heap is brought to the same state: every span
//!   full, the same slots marked.

#![allow(unsafe_code, reason = "plays the part of the collector: it sets the marks")]

use std::ptr::NonNull;

use divan::{Bencher, black_box};
use heap_core::alloc_class::{Slot, for_sized};
use heap_core::kind::NOSCAN;
use heap_core::location::Location;
use heap_core::mcache::{Cache, Refill};
use heap_core::mheap::{CoreConfig, Destructors, HugePages, MHeap, SpanBatch};
use heap_core::os::SystemOs;
use heap_core::partition::Partition;
use heap_core::size_class::SizeClass;
use heap_core::stats::{SweepBy, Tally};

/// Spans in the heap: 32 MiB.
const SPANS: u32 = 4096;

fn main() {
    divan::main();
}

/// Which of a span's slots are marked.
#[derive(Clone, Copy, Debug)]
enum Live {
    None,
    Half,
    All,
}

impl Live {
    fn keeps(self, object: usize) -> bool {
        match self {
            Live::None => false,
            Live::Half => object.is_multiple_of(2),
            Live::All => true,
        }
    }
}

/// A heap of [`SPANS`] spans of one size class, and what is alive in it.
struct Spans {
    heap: MHeap,
    cache: Cache,
    class: SizeClass,
    live: Vec<NonNull<u8>>,
    /// Free slots of the spans that are not fresh.
    room: usize,
}

impl Spans {
    fn new(bytes: usize, live: Live) -> Spans {
        let Slot::Small(class) = for_sized(bytes, 8) else { panic!("{bytes} bytes are small") };
        assert_eq!(class.span_pages(), 1, "SB1: spans of 8 KiB");
        let config =
            CoreConfig { max_bytes: None, huge_pages: HugePages::ObjectsAndMarks, poison: false };
        let heap = MHeap::new(config, Box::new(SystemOs));
        // SAFETY: the cache is of `heap`, and `mark` flushes it; the kind has no destructor.
        let cache = unsafe { Cache::at(Partition::default()) };
        let mut spans = Spans { heap, cache, class, live: Vec::new(), room: 0 };
        let objects: Vec<_> = (0..spans.capacity()).map(|_| spans.alloc()).collect();
        let kept = objects.into_iter().enumerate().filter(|(i, _)| live.keeps(*i));
        spans.live = kept.map(|(_, object)| object).collect();
        spans
    }

    fn capacity(&self) -> usize {
        SPANS as usize * self.class.objects_per_span()
    }

    #[inline]
    fn alloc(&mut self) -> NonNull<u8> {
        // SAFETY: the kind has no functions, so nothing reads the object.
        match unsafe { self.cache.alloc(&NOSCAN, self.class) } {
            Some(slot) => slot,
            None => self.alloc_slow(),
        }
    }

    #[inline(never)]
    fn alloc_slow(&mut self) -> NonNull<u8> {
        loop {
            // SAFETY: as in `alloc`.
            match unsafe { self.cache.refill(&self.heap, &NOSCAN, self.class) } {
                Refill::Slot(slot) => break slot,
                Refill::NoMemory | Refill::Sampled => panic!("no memory"),
                Refill::NeedSpans(request) => {
                    let (mut spans, mut tally) = (SpanBatch::new(), Tally::default());
                    // SAFETY: the cache of this heap asks for them, and gets them.
                    let acquired =
                        unsafe { self.heap.acquire_spans(request, &mut spans, &mut tally) };
                    self.cache.count(&tally);
                    acquired.expect("memory");
                    // SAFETY: as above.
                    unsafe { self.cache.install(&NOSCAN, self.class, &mut spans) };
                }
            }
        }
    }

    fn fill(&mut self) {
        for _ in 0..self.room {
            self.alloc();
        }
        self.room = 0;
    }

    /// A collection up to the start of sweeping.
    fn mark(&mut self) {
        self.cache.flush(&self.heap);
        self.heap.sweep_rest(SweepBy::Collector);
        // SAFETY: one thread, and the cache is flushed.
        unsafe { self.heap.before_mark() };
        for object in &self.live {
            // SAFETY: an object of this heap, which is alive.
            unsafe { Location::of(*object) }.mark().mark_black();
        }
        // SAFETY: as above; what is not marked is not used again.
        unsafe { self.heap.start_sweep() };
        self.room = self.capacity() - self.live.len();
    }

    /// A collection and all of its sweeping.
    fn mark_and_sweep(&mut self) {
        self.mark();
        self.heap.sweep_rest(SweepBy::Collector);
    }
}

/// Times `one` on each span of `spans`, after `prepare` has run for the sample.
fn each_span(
    bencher: Bencher,
    spans: &mut Spans,
    prepare: impl Fn(&mut Spans),
    mut one: impl FnMut(&mut Spans, &mut Tally),
) {
    let spans = std::cell::RefCell::new(spans);
    let left = std::cell::Cell::new(0);
    let mut tally = Tally::default();
    bencher
        .with_inputs(|| {
            // All inputs of a sample are made before its first iteration.
            if left.get() == 0 {
                prepare(&mut spans.borrow_mut());
                left.set(SPANS);
            }
        })
        .bench_local_values(|()| {
            left.set(left.get() - 1);
            one(&mut spans.borrow_mut(), &mut tally);
        });
}

fn sweep(bencher: Bencher, bytes: usize, live: Live) {
    let mut spans = Spans::new(bytes, live);
    let prepare = |spans: &mut Spans| {
        spans.fill();
        spans.mark();
    };
    each_span(bencher, &mut spans, prepare, |spans, tally| {
        let pages = spans.heap.sweep_one(Destructors::Run, tally);
        assert_eq!(pages, Some(1), "SB1: one span per iteration");
    });
}

const CLASSES: [usize; 7] = [16, 24, 32, 48, 64, 128, 1024];

/// Sweeping a span in which nothing lives, and giving its page back.
#[divan::bench(args = CLASSES, sample_size = SPANS, sample_count = 25)]
fn sweep_0_percent_live(bencher: Bencher, bytes: usize) {
    sweep(bencher, bytes, Live::None);
}

/// Sweeping a span in which every other slot lives.
#[divan::bench(args = CLASSES, sample_size = SPANS, sample_count = 25)]
fn sweep_50_percent_live(bencher: Bencher, bytes: usize) {
    sweep(bencher, bytes, Live::Half);
}

/// Sweeping a span in which every slot lives.
#[divan::bench(args = CLASSES, sample_size = SPANS, sample_count = 25)]
fn sweep_100_percent_live(bencher: Bencher, bytes: usize) {
    sweep(bencher, bytes, Live::All);
}

/// Size of slots of which every allocation needs a span: one to a span, or two of
/// which one is alive.
const ONE_TO_A_SPAN: usize = 8192;
const TWO_TO_A_SPAN: usize = 4096;

/// Allocations that each need a span, after `prepare` has run for the sample.
fn refill(bencher: Bencher, bytes: usize, live: Live, prepare: fn(&mut Spans)) {
    let mut spans = Spans::new(bytes, live);
    each_span(bencher, &mut spans, prepare, |spans, _| {
        black_box(spans.alloc());
    });
}

/// A refill from fresh pages.
#[divan::bench(sample_size = SPANS, sample_count = 25)]
fn refill_fresh(bencher: Bencher) {
    refill(bencher, ONE_TO_A_SPAN, Live::None, Spans::mark_and_sweep);
}

/// A refill from a span that is swept and has room.
#[divan::bench(sample_size = SPANS, sample_count = 25)]
fn refill_swept(bencher: Bencher) {
    refill(bencher, TWO_TO_A_SPAN, Live::Half, Spans::mark_and_sweep);
}

/// A refill that sweeps the span it gets.
#[divan::bench(sample_size = SPANS, sample_count = 25)]
fn refill_sweeping(bencher: Bencher) {
    refill(bencher, TWO_TO_A_SPAN, Live::Half, Spans::mark);
}
