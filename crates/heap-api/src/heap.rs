//! [`Heap`] and its [`Config`].

use std::num::NonZero;
use std::sync::Arc;
use std::time::Duration;

use heap_core::os::Os;
pub use heap_gc::{ClassRow, ExternalRow, HeapUsage, HistogramRow, MemoryStats, Stats};
use heap_gc::{ContextLeaked, Destructors, GcConfig, HeapState, SafepointTimes, VerifyError};

use crate::cx::{Cx, is_inside};

/// Mean gap between sample points where none is named, as in Go.
const SAMPLE_BYTES_DEFAULT: usize = 512 << 10;

/// How a heap behaves. Start from [`Config::new`] and change what you need.
///
/// ```
/// use heap_api::Config;
///
/// let config = Config::new().max_heap_bytes(64 << 20).growth_percent(150).mark_threads(1);
/// # let _ = config;
/// ```
#[derive(Clone, Debug, Default)]
pub struct Config {
    config: GcConfig,
}

impl Config {
    /// The defaults: no limit, growth by 175 %, 4 MiB before the first collection,
    /// marking in one stop and on the collecting thread only, no background sweeping,
    /// huge pages. With these a heap starts no thread.
    #[must_use]
    pub fn new() -> Self {
        Config::default()
    }

    /// A hard limit on the bytes of the pages that the heap uses for objects and stacks
    /// (by default there is none). An allocation that would exceed it is refused: the `try_`
    /// functions return an error, the others panic, and none aborts. The heap's own tables do
    /// not count.
    #[must_use]
    pub fn max_heap_bytes(mut self, bytes: usize) -> Self {
        self.config.max_heap_bytes = Some(bytes);
        self
    }

    /// Whether bytes that objects own elsewhere ([`ExternalBytes`](crate::ExternalBytes)) count
    /// towards the limit (off by default). If so a charge may be refused, as an allocation may.
    #[must_use]
    pub fn limit_external(mut self, on: bool) -> Self {
        self.config.limit_external = on;
        self
    }

    /// When a heap at its limit gives up collecting (64 by default): if its last four
    /// collections were forced by the limit, and each marked more than this many bytes for each
    /// byte allocated before it, an allocation is refused with
    /// [`OutOfMemory::Thrashing`](crate::OutOfMemory::Thrashing): one after each such collection,
    /// until a collection finds more room. What room there is may still be used, to deal with the
    /// error. With the default that happens when some 94 % of the limit are live. `u32::MAX`
    /// lets the heap collect for as long as it can make any progress.
    #[must_use]
    pub fn thrash_ratio(mut self, marked_bytes_per_allocated_byte: u32) -> Self {
        self.config.thrash_ratio = marked_bytes_per_allocated_byte;
        self
    }

    /// How much the heap may grow over what the last collection kept before the
    /// next one is due, in percent of what was kept: at 100 it may double. The default is
    /// 175. (Go: `GOGC`.)
    #[must_use]
    pub fn growth_percent(mut self, percent: u32) -> Self {
        self.config.growth_percent = percent;
        self
    }

    /// The size of the heap, in bytes, below which no collection is due. The default is
    /// 4 MiB.
    #[must_use]
    pub fn min_heap_bytes(mut self, bytes: usize) -> Self {
        self.config.min_heap_bytes = bytes;
        self
    }

    /// The largest number of threads that mark beside the collecting one (0 by default). The
    /// heap starts that many helper threads when a mark phase is long enough for them.
    /// Mutators that are blocked by the collection may mark in their place, if they are there
    /// first. With 0 the collecting thread marks alone, the order of marking is
    /// deterministic, and the heap starts no thread for marking.
    #[must_use]
    pub fn mark_threads(mut self, threads: usize) -> Self {
        self.config.mark_threads = threads;
        self
    }

    /// Whether a background thread sweeps after a collection (off by default), beside the
    /// lazy sweeping that allocation does anyway. The heap starts the thread.
    #[must_use]
    pub fn background_sweep(mut self, on: bool) -> Self {
        self.config.background_sweep = on;
        self
    }

    /// Incremental marking: a collection that is due marks in several stops of about `slice`
    /// each. (By default it marks everything reachable in one stop.)
    ///
    /// Between two stops the program runs. Its changes to cells then cost more
    /// ([`GcCell::set`] and the other functions that change a cell report what they
    /// overwrite), and objects that become unreachable during the mark phase are kept until
    /// the next collection. Each stop makes progress, however short the slice. A stop is
    /// longer than the slice by work that cannot be divided (roots, weak tables, one object
    /// without a tail), and when the heap has outgrown its goal or comes near its limit.
    ///
    /// [`Cx::collect`] and a requested collection stop the program until they are done; an
    /// allocation that was refused requests one.
    ///
    /// ```
    /// use std::time::Duration;
    /// use heap_api::{Config, Heap};
    ///
    /// let heap = Heap::new(Config::new().mark_slice(Duration::from_millis(2)));
    /// ```
    ///
    /// [`GcCell::set`]: crate::GcCell::set
    #[must_use]
    pub fn mark_slice(mut self, slice: Duration) -> Self {
        self.config.mark_slice = Some(slice);
        self
    }

    /// Whether to collect at every safepoint and overwrite freed memory (off by default).
    /// For tests.
    #[must_use]
    pub fn stress(mut self, on: bool) -> Self {
        self.config.stress = on;
        self
    }

    /// Whether to sample allocations (off by default), one for each 512 KiB on average: see
    /// [`Heap::allocation_profile`]. (Go: `runtime.MemProfileRate`.)
    #[must_use]
    pub fn sample_allocations(self) -> Self {
        self.sample_bytes(SAMPLE_BYTES_DEFAULT)
    }

    /// Samples allocations, with `bytes` between two samples on average: an object whose slot has `n`
    /// bytes is sampled with the probability `1 - exp(-n / bytes)`. With 1 every object is sampled,
    /// which takes memory for each; with 0 none is.
    #[must_use]
    pub fn sample_bytes(mut self, bytes: usize) -> Self {
        self.config.sample_bytes = NonZero::new(bytes);
        self
    }

    /// From which the samples are drawn (0 by default). A program with one thread that runs again
    /// with the same seed has the same allocations sampled.
    #[must_use]
    pub fn sample_seed(mut self, seed: u64) -> Self {
        self.config.sample_seed = seed;
        self
    }

    /// Whether to advise the operating system to use huge pages (on by default).
    #[must_use]
    pub fn huge_pages(mut self, on: bool) -> Self {
        self.config.huge_pages = on;
        self
    }
}

/// A garbage-collected heap. A clone is cheap, and is the same heap.
///
/// A process may have many heaps; each has its own memory, limit and collections.
#[derive(Clone)]
pub struct Heap {
    shared: Arc<HeapState>,
}

impl Heap {
    /// A new, empty heap. It takes no memory for objects until the first
    /// allocation.
    #[must_use]
    pub fn new(config: Config) -> Heap {
        Heap { shared: HeapState::new(config.config) }
    }

    /// A new, empty heap that takes its memory from `os`: for tests of a program that runs
    /// out of memory, and to observe or limit what a heap takes. Only
    /// [`SystemOs`](crate::os::SystemOs) makes reservations, so other implementations of
    /// [`Os`] wrap it.
    ///
    /// ```
    /// use heap_api::os::{Failure, SimOs};
    /// use heap_api::{Config, Heap, OutOfMemory};
    ///
    /// let os = SimOs::new();
    /// let heap = Heap::with_os(Config::new(), Box::new(os.clone()));
    /// let cx = heap.enter();
    /// os.set_failure(Failure::Always);
    /// let error = cx.try_alloc(5).unwrap_err();
    /// assert_eq!((error.value, error.reason), (5, OutOfMemory::System));
    /// os.set_failure(Failure::Never);
    /// assert_eq!(*cx.alloc(error.value), 5);
    /// ```
    #[must_use]
    pub fn with_os(config: Config, os: Box<dyn Os>) -> Heap {
        Heap { shared: HeapState::with_os(config.config, os) }
    }

    pub(crate) fn from_shared(shared: Arc<HeapState>) -> Heap {
        Heap { shared }
    }

    pub(crate) fn shared(&self) -> &Arc<HeapState> {
        &self.shared
    }

    /// Enters the heap: this thread becomes a mutator until the [`Cx`] drops.
    /// Entering is a [`safepoint`](Cx::safepoint), which may wait for other mutators and run
    /// destructors: a thread that enters while it holds a lock that these take can deadlock.
    ///
    /// # Panics
    ///
    /// If the thread is inside a heap already (this one or another), or runs a
    /// destructor of a heap object.
    #[track_caller]
    #[must_use]
    pub fn enter(&self) -> Cx {
        Cx::enter(self)
    }

    /// Whether two values are the same heap.
    #[must_use]
    pub fn same(&self, other: &Heap) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }

    /// Counts and times of what the heap has done since it was made.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.shared.stats()
    }

    /// How long safepoints have kept mutators from their work since the heap was made: all that a
    /// thread does or waits for in [`Cx::safepoint`], [`Cx::collect`], [`Cx::collect_step`] and when
    /// it comes back from [`Cx::park`], destructors included. A safepoint at which nothing was to be
    /// done does not count.
    ///
    /// ```
    /// use heap_api::{Config, Heap};
    ///
    /// let heap = Heap::new(Config::new());
    /// let mut cx = heap.enter();
    /// (0..10).for_each(|_| cx.collect());
    /// let times = heap.safepoint_times();
    /// assert_eq!(times.count(), 10);
    /// println!("median {:?}, longest {:?}", times.quantile(0.5), times.max());
    /// ```
    #[must_use]
    pub fn safepoint_times(&self) -> SafepointTimes {
        self.shared.safepoint_times()
    }

    /// The objects in the heap by type and slot size, the row with the most bytes first.
    /// Types without handles and without destructors share one row per size; those of them
    /// below 16 bytes share slots, which the row `tiny` counts. Garbage that no collection
    /// has found yet is included. Waits until all mutators are at safepoints, and completes
    /// a collection that is under way.
    ///
    /// ```
    /// use heap_api::{Config, Heap};
    ///
    /// let heap = Heap::new(Config::new());
    /// let cx = heap.enter();
    /// (0..1000u64).for_each(|i| drop(cx.alloc([i; 4])));
    /// drop(cx);
    /// let histogram = heap.class_histogram().unwrap();
    /// assert_eq!((histogram[0].objects, histogram[0].bytes), (1000, 32_000));
    /// assert_eq!(histogram[0].bytes as u64, heap.stats().allocated_bytes);
    /// ```
    ///
    /// # Errors
    ///
    /// If a context of the heap was leaked: the contents of its mutator cache are not known.
    ///
    /// # Panics
    ///
    /// If the calling thread is inside any heap, this one or another, or runs a destructor of
    /// a heap object.
    pub fn class_histogram(&self) -> Result<Vec<HistogramRow>, ContextLeaked> {
        drop(Cx::attach(self));
        self.shared.class_histogram()
    }

    /// The memory of the heap in bytes, and its objects by type and slot size. Neither stops
    /// mutators nor waits for them, and yet the numbers are consistent with each other
    /// ([`HeapUsage::adds_up`]). Objects in a span that a mutator still allocates from are
    /// counted when the mutator has finished with the span.
    ///
    /// ```
    /// use heap_api::{Config, Heap};
    ///
    /// let heap = Heap::new(Config::new());
    /// let mut cx = heap.enter();
    /// (0..1000u64).for_each(|i| drop(cx.alloc([i; 4])));
    /// cx.collect();
    /// let usage = heap.usage();
    /// assert!(usage.adds_up());
    /// let total = usage.total();
    /// assert_eq!((total.allocated_objects, total.allocated_bytes), (1000, 32_000));
    /// ```
    #[must_use]
    pub fn usage(&self) -> HeapUsage {
        self.shared.usage()
    }

    /// What objects own outside of the heap, by the type that it was charged for
    /// ([`ExternalBytes`](crate::ExternalBytes)), the row with the most bytes first. Objects that are
    /// dead and have not been dropped yet are included.
    ///
    /// ```
    /// use heap_api::{Config, External, Heap};
    ///
    /// let heap = Heap::new(Config::new());
    /// let cx = heap.enter();
    /// cx.alloc(External::new(&cx, vec![0_u8; 1000]));
    /// let row = &heap.external_usage()[0];
    /// assert_eq!((row.type_name, row.charges, row.bytes), ("alloc::vec::Vec<u8>", 1, 1000));
    /// ```
    #[must_use]
    pub fn external_usage(&self) -> Vec<ExternalRow> {
        self.shared.external_usage()
    }

    /// Requests a collection at the next safepoint; any thread may call it. From now on
    /// [`Cx::should_yield`] returns `true` in all contexts of the heap, until one of them
    /// collects. A collection that has begun to mark does not answer the request, so
    /// objects that were unreachable before this call are found to be garbage.
    ///
    /// A program may also use it to interrupt its mutators: one that sees
    /// [`Cx::should_yield`] goes to a safepoint and then reads a flag of the program's own.
    /// It has to read that flag after every operation that may collect, entering and parking
    /// included, because [`Cx::should_yield`] returns `false` afterwards.
    ///
    /// ```
    /// use heap_api::{Config, Heap};
    ///
    /// let heap = Heap::new(Config::new());
    /// let mut cx = heap.enter();
    /// std::thread::scope(|s| s.spawn(|| heap.request_collection()).join()).unwrap();
    /// assert!(cx.should_yield());
    /// cx.safepoint();
    /// assert!(!cx.should_yield());
    /// assert_eq!(heap.stats().collections, 1);
    /// ```
    pub fn request_collection(&self) {
        self.shared.request_collection();
    }

    /// Gives all memory that holds no objects back to the operating system, after sweeping
    /// what the last collection left to sweep (on this thread; destructors of dead objects
    /// included, unless the thread is inside a heap). Returns the number of bytes given back. Does not stop mutators.
    ///
    /// The heap gives memory back by itself, at a limited rate, when it has become smaller;
    /// this function is for a program that knows it will be idle. Collect first to give back
    /// the memory of objects that are unreachable now.
    ///
    /// ```
    /// use heap_api::{Config, Heap};
    ///
    /// let heap = Heap::new(Config::new());
    /// let mut cx = heap.enter();
    /// for i in 0..100_000u64 {
    ///     cx.alloc([i; 4]);
    /// }
    /// cx.collect();
    /// assert!(heap.release_idle() > 3_000_000);
    /// assert_eq!(heap.stats().idle_bytes, 0);
    /// ```
    pub fn release_idle(&self) -> usize {
        // Between two safepoints no destructor runs (CY3).
        let destructors = if is_inside() { Destructors::Leave } else { Destructors::Run };
        self.shared.release_idle(destructors)
    }

    /// Checks every invariant of the heap's own structures, after completing a collection
    /// that is under way. Waits until all mutators are at safepoints. A thread that is inside
    /// the heap uses [`Cx::verify`] instead.
    ///
    /// # Errors
    ///
    /// [`VerifyError::Broken`] names the first invariant that does not hold;
    /// [`VerifyError::Unchecked`] means that nothing was checked, because a context of the
    /// heap was leaked.
    ///
    /// # Panics
    ///
    /// If the calling thread is inside any heap, this one or another, or runs a destructor of
    /// a heap object.
    pub fn verify(&self) -> Result<(), VerifyError> {
        Cx::attach(self).verify()
    }
}

impl std::fmt::Debug for Heap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Heap").field("stats", &self.stats()).finish_non_exhaustive()
    }
}
