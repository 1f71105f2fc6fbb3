//! A toy collector over the memory layer: mutators that are nothing but caches,
//! a shadow of every object, and marking that marks what the shadow says lives.
//!
//! Objects carry their own check values, so that memory given out twice, zeroed
//! under somebody's hands or not dropped exactly once is noticed.
#![allow(dead_code, reason = "every test uses its own part")]
#![allow(unsafe_code, reason = "plays the part of the collector")]

use std::collections::{BTreeMap, HashMap, HashSet};
use std::mem::ManuallyDrop;
use std::num::NonZero;
use std::ptr::NonNull;
use std::sync::{Arc, Mutex};

use heap_core::alloc_class::{Slot, for_sized};
use heap_core::error::OutOfMemory;
use heap_core::kind::{NOSCAN, ObjectKind, WEAK_CELL};
use heap_core::location::Location;
use heap_core::mcache::{Cache, Refill};
use heap_core::mheap::{
    CoreConfig, Destructors, Fill, HugePages, MHeap, SpanBatch, SpanRequest, WeakCounts,
};
use heap_core::os::{Os, SystemOs};
use heap_core::partition::Partition;
use heap_core::sampling::Sampler;
use heap_core::size_class::SizeClass;
use heap_core::stack::HeapOwner;
use heap_core::stats::{SweepBy, Tally};
use heap_core::tracer::EdgeBuffer;
use heap_core::verify::{Caches, verify, verify_with};
use heap_core::weak_handles::{AddError, WeakCell};

/// What a test object begins with.
#[repr(C)]
struct Header {
    log: *const DropLog,
    id: u64,
}

/// Smallest test object.
pub(crate) const MIN_BYTES: usize = size_of::<Header>();

#[derive(Debug, Default)]
pub(crate) struct DropLog {
    dropped: Mutex<HashMap<u64, u32>>,
}

fn trace_nothing(_page: *const u8, _buffer: &mut EdgeBuffer) {}

/// # Safety
///
/// A live object that `fill` has filled; it is not used again.
unsafe fn log_drop(object: NonNull<u8>) {
    // SAFETY: a live object of a kind that drops begins with a header.
    let header = unsafe { object.cast::<Header>().read() };
    // SAFETY: the log outlives the heap.
    let log = unsafe { &*header.log };
    *log.dropped.lock().unwrap().entry(header.id).or_default() += 1;
    // SAFETY: as above. A second drop of the same memory then finds a null log.
    unsafe { object.cast::<Header>().as_ptr().cast::<usize>().write(0) };
}

/// # Safety
///
/// As [`log_drop`].
unsafe fn log_drop_and_panic(object: NonNull<u8>) {
    // SAFETY: forwarded.
    unsafe { log_drop(object) };
    std::panic::resume_unwind(Box::new("a destructor panics"));
}

// SAFETY: there are no handles.
static SCAN: ObjectKind = unsafe { ObjectKind::new(|| "scan", Some(trace_nothing), None, None) };
// SAFETY: there are no handles; `fill` writes the header that the destructor reads.
static DROPS: ObjectKind =
    unsafe { ObjectKind::new(|| "drops", Some(trace_nothing), None, Some(log_drop)) };
// SAFETY: as above.
static PANICS: ObjectKind =
    unsafe { ObjectKind::new(|| "panics", None, None, Some(log_drop_and_panic)) };

/// The kinds of test objects.
pub(crate) const KINDS: [&ObjectKind; 4] = [&NOSCAN, &SCAN, &DROPS, &PANICS];

/// What is known of an object.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Object {
    pub(crate) bytes: usize,
    pub(crate) kind: usize,
    pub(crate) id: u64,
}

/// The toy collector.
pub(crate) struct Toy {
    pub(crate) heap: ManuallyDrop<HeapOwner>,
    caches: Vec<Cache>,
    /// By address.
    pub(crate) live: BTreeMap<usize, (NonNull<u8>, Object)>,
    /// Objects with destructors that have been unreachable in a mark phase.
    condemned: HashSet<u64>,
    /// Whether a sweep may have been without memory for a bitmap, and kept the dead of a span.
    pub(crate) may_keep_dead: bool,
    /// Those that have become unreachable since, with their addresses.
    dead: HashMap<u64, usize>,
    /// Weak cells of the living, and of those that have died since the last marking, by object.
    weak: BTreeMap<usize, NonNull<u8>>,
    /// Addresses of objects that are dead and perhaps not yet swept.
    unswept: HashSet<usize>,
    /// Addresses of objects that have died since the last marking.
    garbage: HashSet<usize>,
    log: Arc<DropLog>,
    next_id: u64,
}

pub(crate) fn config() -> CoreConfig {
    CoreConfig { max_bytes: None, huge_pages: HugePages::Never, poison: false }
}

// ---- what a test promises ------------------------------------------------------
//
// A test has its heap to itself. It uses a cache with one heap, and flushes it before a
// collection; it writes to an object of a kind whose functions read it, or that kind's
// functions read nothing; and it marks what it uses after a collection.

/// A cache of a mutator with this partition.
pub(crate) fn cache_at(partition: Partition) -> Cache {
    // SAFETY: the test's promise.
    unsafe { Cache::at(partition) }
}

/// [`Cache::alloc`].
pub(crate) fn slot(
    cache: &mut Cache,
    kind: &'static ObjectKind,
    class: SizeClass,
) -> Option<NonNull<u8>> {
    // SAFETY: the test's promise.
    unsafe { cache.alloc(kind, class) }
}

/// [`Cache::refill`].
pub(crate) fn ask<'h>(
    heap: &'h MHeap,
    cache: &mut Cache,
    kind: &'static ObjectKind,
    class: SizeClass,
) -> Refill<'h> {
    // SAFETY: the test's promise.
    unsafe { cache.refill(heap, kind, class) }
}

/// [`MHeap::acquire_spans`].
pub(crate) fn acquire(
    heap: &MHeap,
    request: SpanRequest<'_>,
    spans: &mut SpanBatch,
    tally: &mut Tally,
) -> Result<(), OutOfMemory> {
    // SAFETY: the test's promise.
    unsafe { heap.acquire_spans(request, spans, tally) }
}

/// [`MHeap::alloc_large`].
pub(crate) fn large(
    heap: &MHeap,
    kind: &'static ObjectKind,
    bytes: usize,
) -> Result<NonNull<u8>, OutOfMemory> {
    // Some of both, the same each time.
    let fill = if bytes.is_multiple_of(2) { Fill::Sparse } else { Fill::Whole };
    // SAFETY: the test's promise.
    unsafe { heap.alloc_large(kind, bytes, fill) }
}

/// The cache of the toy's n-th mutator. The second one samples every slot, the third one many.
fn toy_cache(n: usize) -> Cache {
    let mut cache = cache_at(Partition::of_mutator(n));
    if let 1 | 2 = n {
        let sample_bytes = NonZero::new(if n == 1 { 1 } else { 500 }).expect("not zero");
        cache.sample(Sampler::new(sample_bytes, n as u64));
    }
    cache
}

/// [`MHeap::before_mark`].
pub(crate) fn before_mark(heap: &MHeap) {
    // SAFETY: the test's promise.
    unsafe { heap.before_mark() };
}

/// [`MHeap::start_sweep`].
pub(crate) fn start_sweep(heap: &MHeap) {
    // SAFETY: the test's promise.
    unsafe { heap.start_sweep() };
}

// ---- the parts of mutators and collectors, for tests that have no toy --------

/// The slow path of an allocation: what a mutator does when [`Cache::alloc`] has
/// nothing for it.
pub(crate) fn refill(
    heap: &MHeap,
    cache: &mut Cache,
    kind: &'static ObjectKind,
    class: SizeClass,
) -> Result<NonNull<u8>, OutOfMemory> {
    loop {
        match ask(heap, cache, kind, class) {
            Refill::Slot(slot) => return Ok(slot),
            Refill::NoMemory => return Err(OutOfMemory::System),
            Refill::Sampled => {
                // SAFETY: it has answered so for this kind and class; tests write nothing that
                // could be traced, or an object.
                return Ok(unsafe { cache.take_sampled(kind, class) });
            }
            Refill::NeedSpans(request) => {
                let (mut spans, mut tally) = (SpanBatch::new(), Tally::default());
                let acquired = acquire(heap, request, &mut spans, &mut tally);
                cache.count(&tally);
                acquired?;
                // SAFETY: what the cache has asked for just now.
                unsafe { cache.install(kind, class, &mut spans) };
            }
        }
    }
}

/// The place of an object.
pub(crate) fn location(object: NonNull<u8>) -> Location {
    // SAFETY: the tests ask for objects of their heaps only, while those are there.
    unsafe { Location::of(object) }
}

/// Marks a live object, as one that was found and traced.
pub(crate) fn mark(object: NonNull<u8>) {
    location(object).mark().mark_black();
}

/// What a weak cell leads to.
pub(crate) fn target(cell: NonNull<u8>) -> Option<NonNull<u8>> {
    // SAFETY: a cell that was not swept.
    unsafe { cell.cast::<WeakCell>().as_ref() }.target()
}

/// Begins a cycle that has marked nothing: all objects are dead. The caches are flushed.
pub(crate) fn collect_everything(heap: &MHeap) {
    heap.sweep_rest(SweepBy::Collector);
    before_mark(heap);
    start_sweep(heap);
}

/// Every invariant of a heap at rest.
#[track_caller]
pub(crate) fn verify_at_rest(heap: &MHeap) {
    // SAFETY: everybody is at rest, and the callers have flushed the caches.
    unsafe { verify(heap) }.unwrap_or_else(|error| panic!("{error}"));
}

impl Toy {
    pub(crate) fn new(config: CoreConfig, os: Box<dyn Os>, mutators: usize) -> Toy {
        let heap = HeapOwner::new(config, os);
        heap.set_partitions(mutators);
        Toy {
            heap: ManuallyDrop::new(heap),
            caches: (0..mutators).map(toy_cache).collect(),
            live: BTreeMap::new(),
            condemned: HashSet::new(),
            may_keep_dead: false,
            dead: HashMap::new(),
            weak: BTreeMap::new(),
            unswept: HashSet::new(),
            garbage: HashSet::new(),
            log: Arc::default(),
            next_id: 1,
        }
    }

    pub(crate) fn plain() -> Toy {
        Toy::new(config(), Box::new(SystemOs), 1)
    }

    // ---- mutators --------------------------------------------------------

    /// Allocates an object and fills it with its check values.
    pub(crate) fn alloc(
        &mut self,
        mutator: usize,
        kind: usize,
        bytes: usize,
    ) -> Result<NonNull<u8>, OutOfMemory> {
        assert!(bytes >= MIN_BYTES);
        let object = match for_sized(bytes, 8) {
            Slot::Large => large(&self.heap, KINDS[kind], bytes)?,
            Slot::Small(class) => {
                let cache = &mut self.caches[mutator];
                match slot(cache, KINDS[kind], class) {
                    Some(slot) => slot,
                    None => refill(&self.heap, cache, KINDS[kind], class)?,
                }
            }
        };
        let id = self.next_id;
        self.next_id += 1;
        let known = Object { bytes, kind, id };
        self.check_apart(object, bytes);
        if id.is_multiple_of(3) {
            // SAFETY: just handed out.
            unsafe { self.heap.zero(object, bytes) };
            check_zero(object, bytes);
        }
        fill(object, &known, &self.log);
        self.live.insert(object.addr().get(), (object, known));
        Ok(object)
    }

    fn check_apart(&self, object: NonNull<u8>, bytes: usize) {
        let address = object.addr().get();
        if let Some((&below, (_, known))) = self.live.range(..=address).next_back() {
            assert!(below + known.bytes <= address, "memory was given out twice");
        }
        if let Some((&above, _)) = self.live.range(address..).next() {
            assert!(address + bytes <= above, "memory was given out twice");
        }
    }

    /// A new mutator.
    pub(crate) fn attach(&mut self) {
        self.caches.push(toy_cache(self.caches.len()));
        self.heap.set_partitions(self.caches.len());
    }

    /// A mutator ends, and gives its spans back.
    pub(crate) fn detach(&mut self, mutator: usize) {
        self.caches.swap_remove(mutator).flush(&self.heap);
    }

    pub(crate) fn mutators(&self) -> usize {
        self.caches.len()
    }

    /// Makes an object unreachable.
    pub(crate) fn kill(&mut self, address: usize) {
        let (_, known) = self.live.remove(&address).expect("a live object");
        self.garbage.insert(address);
        if KINDS[known.kind].drops() {
            self.dead.insert(known.id, address);
        }
    }

    /// Makes one in `n` objects unreachable, or all with `n` 1.
    pub(crate) fn kill_every(&mut self, n: usize) {
        let doomed: Vec<usize> = self.live.keys().copied().step_by(n).collect();
        doomed.into_iter().for_each(|address| self.kill(address));
    }

    pub(crate) fn flush(&mut self, mutator: usize) {
        self.caches[mutator].flush(&self.heap);
    }

    // ---- the collector -----------------------------------------------------

    /// A collection up to the start of sweeping.
    pub(crate) fn collect(&mut self) {
        (0..self.caches.len()).for_each(|i| self.flush(i));
        self.sweep_all();
        before_mark(&self.heap);
        for (object, _) in self.live.values() {
            mark(*object);
        }
        self.clear_weak_handles();
        self.unswept.extend(self.garbage.drain());
        self.condemned.extend(self.dead.drain().map(|(id, _)| id));
        start_sweep(&self.heap);
    }

    /// What a collector does with weak handles after marking, some at a time; cells that are kept by
    /// their targets only.
    fn clear_weak_handles(&mut self) {
        let mut counts = WeakCounts::default();
        self.heap.begin_clear_weak_handles();
        // SAFETY: one thread; all that is used is marked.
        while !unsafe { self.heap.clear_weak_handles(3, &mut counts) } {}
        let live = &self.live;
        let gone = self.weak.extract_if(.., |object, _| !live.contains_key(object));
        for (object, cell) in gone {
            assert_eq!(target(cell), None, "WH3: the cell of a dead object at {object:#x}");
        }
        assert_eq!(counts.objects, self.weak.len(), "WH3: cells live as long as their targets");
        for (object, cell) in &self.weak {
            assert_eq!(target(*cell).map(|at| at.addr().get()), Some(*object), "WH3");
        }
    }

    /// Sweeps up to `spans` spans.
    pub(crate) fn sweep(&mut self, spans: usize) {
        let mut tally = Tally::default();
        for _ in 0..spans {
            if self.heap.sweep_one(Destructors::Run, &mut tally).is_none() {
                break;
            }
        }
        self.heap.stats.add(&mut tally, SweepBy::Collector);
    }

    pub(crate) fn sweep_all(&mut self) {
        self.sweep(usize::MAX);
        assert!(self.heap.sweep_is_over());
        self.unswept.clear();
        self.check_drops(true);
    }

    /// Collects and sweeps everything.
    pub(crate) fn collect_fully(&mut self) {
        self.collect();
        self.sweep_all();
    }

    // ---- checks ------------------------------------------------------------

    /// Every invariant, with the caches as they are.
    pub(crate) fn verify(&self) {
        // SAFETY: one thread.
        if let Err(error) = unsafe { verify_with(&self.heap, Caches::InUse) } {
            panic!("{error}");
        }
        self.check_drops(false);
    }

    /// Every invariant, after flushing the caches.
    pub(crate) fn verify_flushed(&mut self) {
        (0..self.caches.len()).for_each(|i| self.flush(i));
        // SAFETY: one thread, and the caches are flushed.
        if let Err(error) = unsafe { verify_with(&self.heap, Caches::Flushed) } {
            panic!("{error}");
        }
    }

    /// Every object still has its check values.
    pub(crate) fn check_contents(&self) {
        for (object, known) in self.live.values() {
            check(*object, known, &self.log);
        }
    }

    /// Only the dead were dropped, each once; all of them if sweeping is over.
    fn check_drops(&self, all: bool) {
        let dropped = self.log.dropped.lock().unwrap();
        for (id, times) in dropped.iter() {
            assert_eq!(*times, 1, "object {id} was dropped more than once");
            assert!(self.condemned.contains(id), "object {id} was dropped alive");
        }
        if all && !self.may_keep_dead {
            assert_eq!(dropped.len(), self.condemned.len(), "some of the dead were not dropped");
        }
    }

    /// `find_object` agrees with the shadow on an address inside or near an object.
    pub(crate) fn check_find(&mut self, address: usize) {
        // What a cache may yet hand out counts as allocated.
        (0..self.caches.len()).for_each(|i| self.flush(i));
        // SAFETY: one thread.
        let found = unsafe { self.heap.find_object(address) };
        let known = self.live.range(..=address).next_back();
        let inside = known.filter(|(base, (_, known))| address - **base < known.bytes);
        if let Some((base, _)) = inside {
            let (start, _) = found.expect("an address inside a live object");
            assert_eq!(start.addr().get(), *base);
        } else if let Some((start, body)) = found {
            // The rest of a slot, or an object that is dead and not yet swept.
            let start = start.addr().get();
            assert!(address - start < body.slot_bytes);
            if let Some((_, known)) = self.live.get(&start) {
                assert!(address - start >= known.bytes);
            } else {
                let dead = self.garbage.contains(&start)
                    || self.unswept.contains(&start)
                    || std::ptr::eq(body.kind, &raw const WEAK_CELL);
                assert!(dead, "a free slot was taken for an object");
            }
        }
    }

    /// The start of the object at an address.
    pub(crate) fn find(&mut self, address: usize) -> Option<usize> {
        (0..self.caches.len()).for_each(|i| self.flush(i));
        // SAFETY: one thread.
        let found = unsafe { self.heap.find_object(address) };
        found.map(|(start, _)| start.addr().get())
    }

    // ---- weak handles ------------------------------------------------------

    /// Gives a live object a weak cell, if it has none.
    pub(crate) fn add_weak(&mut self, object: NonNull<u8>) -> Result<(), OutOfMemory> {
        let class = MHeap::weak_cell_class();
        let cache = &mut self.caches[0];
        let cell = match slot(cache, &WEAK_CELL, class) {
            Some(slot) => slot,
            None => refill(&self.heap, cache, &WEAK_CELL, class)?,
        };
        // SAFETY: just handed out.
        unsafe { cell.cast::<WeakCell>().write(WeakCell::new(object)) };
        // SAFETY: a live object, and its cell.
        let added = unsafe { self.heap.add_weak_cell(object, cell) };
        match self.weak.get(&object.addr().get()) {
            Some(before) => assert_eq!(added, Err(AddError::Exists(*before)), "WH1"),
            None => {
                assert_eq!(added, Ok(()));
                self.weak.insert(object.addr().get(), cell);
            }
        }
        Ok(())
    }

    /// The weak handles are those that are known.
    pub(crate) fn check_weak(&self) {
        let mut found = BTreeMap::new();
        let mut visit = |object: NonNull<u8>, cell| {
            assert_eq!(found.insert(object.addr().get(), cell), None, "WH1");
        };
        // SAFETY: one thread.
        unsafe { self.heap.each_weak_handle(&mut visit) };
        assert_eq!(found, self.weak);
        for (object, _) in self.live.values() {
            // SAFETY: a live object.
            let cell = unsafe { self.heap.weak_cell(*object) };
            assert_eq!(cell, self.weak.get(&object.addr().get()).copied());
        }
    }

    /// Ends the heap; everything with a destructor must have been dropped once.
    pub(crate) fn finish(self) {
        let mut expected = self.condemned.clone();
        expected.extend(self.dead.keys().copied());
        let drops = |known: &Object| KINDS[known.kind].drops();
        expected.extend(self.live.values().filter(|(_, k)| drops(k)).map(|(_, k)| k.id));
        let log = Arc::clone(&self.log);
        drop(self);
        let dropped = log.dropped.lock().unwrap();
        assert!(dropped.values().all(|times| *times == 1));
        let dropped: HashSet<u64> = dropped.keys().copied().collect();
        assert_eq!(dropped, expected, "a heap drops everything that is left, once");
    }
}

impl Drop for Toy {
    fn drop(&mut self) {
        // A heap that a failed check leaves behind is not to be trusted with its
        // own end: that would hide the failure.
        if !std::thread::panicking() {
            (0..self.caches.len()).for_each(|i| self.flush(i));
            // SAFETY: dropped once, and not used after.
            unsafe { ManuallyDrop::drop(&mut self.heap) };
        }
    }
}

/// How much of an object's end carries check values; the middle of a large one is
/// left untouched, so that huge objects are cheap.
const CHECKED: usize = 64 << 10;

fn tail(object: NonNull<u8>, bytes: usize) -> *mut [u8] {
    let first = MIN_BYTES.max(bytes.saturating_sub(CHECKED));
    // SAFETY: within the object.
    let start = unsafe { object.add(first) };
    core::ptr::slice_from_raw_parts_mut(start.as_ptr(), bytes - first)
}

fn fill(object: NonNull<u8>, known: &Object, log: &Arc<DropLog>) {
    let header = Header { log: Arc::as_ptr(log), id: known.id };
    // SAFETY: the object is ours, and is large enough.
    unsafe { object.cast::<Header>().write(header) };
    // SAFETY: as above.
    unsafe { (*tail(object, known.bytes)).fill(known.id as u8 | 1) };
}

fn check_zero(object: NonNull<u8>, bytes: usize) {
    let ends = (0..bytes.min(CHECKED)).chain(bytes.saturating_sub(CHECKED)..bytes);
    let at = ends.step_by(7).chain((0..bytes).step_by(64 << 10)).find(|&at| {
        // SAFETY: within the object.
        let byte = unsafe { object.add(at).read() };
        byte != 0
    });
    assert_eq!(at, None, "Y4: an object of {bytes} bytes was not zeroed");
}

fn check(object: NonNull<u8>, known: &Object, log: &Arc<DropLog>) {
    // SAFETY: the object is live and was filled.
    let header = unsafe { object.cast::<Header>().read() };
    assert_eq!((header.log, header.id), (Arc::as_ptr(log), known.id), "an object lost its head");
    // SAFETY: as above.
    let tail = unsafe { &*tail(object, known.bytes) };
    assert!(tail.iter().all(|&byte| byte == known.id as u8 | 1), "an object lost its tail");
}

/// A large zeroed object that no check looks at again.
pub(crate) fn alloc_zeroed(toy: &mut Toy, bytes: usize) {
    let object = large(&toy.heap, &NOSCAN, bytes).expect("memory");
    // SAFETY: just handed out.
    unsafe { toy.heap.zero(object, bytes) };
    check_zero(object, bytes);
}

/// Writes to every page of the middle of an object, so that memory is behind it.
pub(crate) fn touch(object: NonNull<u8>, bytes: usize) {
    for at in (CHECKED..bytes.saturating_sub(CHECKED)).step_by(4096) {
        // SAFETY: within the object.
        unsafe { object.add(at).write(1) };
    }
}

/// The process's resident memory in bytes.
pub(crate) fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux");
    let pages: usize = statm.split_whitespace().nth(1).unwrap().parse().unwrap();
    pages * 4096
}
