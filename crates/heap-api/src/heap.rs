//! [`Heap`] and its [`Config`].

use std::sync::Arc;
use std::time::Duration;

use heap_core::os::Os;
pub use heap_gc::{ClassRow, HeapUsage, HistogramRow, MemoryStats, Stats};
use heap_gc::{ContextLeaked, GcConfig, HeapState, VerifyError};

use crate::cx::Cx;

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
    /// The defaults: no limit, growth by 175 %, 4 MiB before the first
    /// collection, marking on the collecting thread only, no background thread.
    #[must_use]
    pub fn new() -> Self {
        Config::default()
    }

    /// A hard limit on the bytes that the heap takes from the system for
    /// objects. Allocations beyond it fail with an
    /// [`AllocError`](crate::AllocError); they never abort.
    #[must_use]
    pub fn max_heap_bytes(mut self, bytes: usize) -> Self {
        self.config.max_heap_bytes = Some(bytes);
        self
    }

    /// How much the heap may grow over what the last collection kept before the
    /// next one is due, in percent. (Go: `GOGC`.)
    #[must_use]
    pub fn growth_percent(mut self, percent: u32) -> Self {
        self.config.growth_percent = percent;
        self
    }

    /// No collection is due below this many bytes.
    #[must_use]
    pub fn min_heap_bytes(mut self, bytes: usize) -> Self {
        self.config.min_heap_bytes = bytes;
        self
    }

    /// How many may mark beside the collecting thread: so many helper threads are
    /// started when a mark phase is long enough for them, and mutators that are blocked for
    /// the collection may take their places when they are there first. With none,
    /// collections are deterministic and the heap starts no thread.
    #[must_use]
    pub fn mark_threads(mut self, threads: usize) -> Self {
        self.config.mark_threads = threads;
        self
    }

    /// Whether a background thread sweeps after a collection, beside the lazy
    /// sweeping that allocation does anyway.
    #[must_use]
    pub fn background_sweep(mut self, on: bool) -> Self {
        self.config.background_sweep = on;
        self
    }

    /// A collection that is due stops the program for no longer than about `slice` at a
    /// time (by default it stops until everything reachable is marked). Between two
    /// stops the program runs on: it pays for its changes to cells ([`GcCell::set`] and
    /// the like report what they overwrite), and what dies meanwhile is kept until the
    /// next collection. Each stop gets something done, however short the slice. A stop is
    /// longer by what cannot be divided (roots, weak tables, one object without a tail), and
    /// when the heap has outgrown its goal or comes near its limit.
    ///
    /// [`Cx::collect`] and a collection that is asked for, also by an allocation that was
    /// refused, stop until they are done.
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

    /// Collect at every safepoint and overwrite freed memory: for tests.
    #[must_use]
    pub fn stress(mut self, on: bool) -> Self {
        self.config.stress = on;
        self
    }

    /// Whether to ask the system for huge pages (on by default).
    #[must_use]
    pub fn huge_pages(mut self, on: bool) -> Self {
        self.config.huge_pages = on;
        self
    }
}

/// A garbage-collected heap. Cheap to clone; all clones are the same heap.
///
/// Many heaps may live in one process; they share nothing.
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

    /// A new, empty heap that takes its memory from `os`: for tests of how a program
    /// behaves when memory runs out, and for platforms of your own.
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
    /// Entering is a [`safepoint`](Cx::safepoint): have no lock then that other mutators or
    /// destructors take.
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

    /// What the heap did so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.shared.stats()
    }

    /// What the heap holds, by type and size of slot, the most bytes first. The
    /// types without handles and without destructors share one row per size; those
    /// of them below 16 bytes share slots, which the row `tiny` counts. Garbage that
    /// no collection has found yet counts. Waits until all mutators are at safepoints;
    /// completes a collection that is under way.
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
    /// If a context of the heap was leaked: what its thread has in its caches is not known.
    ///
    /// # Panics
    ///
    /// If the calling thread is inside a heap (it would wait for itself).
    pub fn class_histogram(&self) -> Result<Vec<HistogramRow>, ContextLeaked> {
        drop(Cx::attach(self));
        self.shared.class_histogram()
    }

    /// Where the memory is and what it holds, by type and size of slot. Stops nobody
    /// and waits for nobody: the numbers are consistent with each other while mutators
    /// run ([`HeapUsage::adds_up`]). What a mutator has been handed out of a span that
    /// it still allocates from is counted when it is done with the span.
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

    /// Asks for a collection at the next safepoint, from any thread: contexts of
    /// the heap say so in [`Cx::should_yield`] from now on, until one of them
    /// collects. One that has begun to mark does not count: what was dropped before
    /// this call will be garbage. Also the way to make a mutator look up from its
    /// work. Who uses it so reads what is asked of it after whatever collects, entering and
    /// parking included: [`Cx::should_yield`] says no afterwards.
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

    /// Gives all memory that holds no objects back to the system, after sweeping
    /// what the last collection left to sweep (on this thread, destructors of dead
    /// objects included). Returns the bytes given back. Mutators run on.
    ///
    /// The heap does so by itself, within reason, when it has become smaller; this
    /// is for a program that knows it will be idle. Collect first to give back
    /// what is garbage now.
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
        self.shared.release_idle()
    }

    /// Checks every invariant of the heap, after completing a collection that is under
    /// way. Waits until all mutators are at safepoints; call it from a thread that is not
    /// inside, or through [`Cx::verify`].
    ///
    /// # Errors
    ///
    /// Says which invariant is broken, and where; or that nothing was checked, because a
    /// context of the heap was leaked.
    ///
    /// # Panics
    ///
    /// If the calling thread is inside a heap (it would wait for itself).
    pub fn verify(&self) -> Result<(), VerifyError> {
        Cx::attach(self).verify()
    }
}

impl Cx {
    /// Checks every invariant of the heap, at a safepoint, after completing a collection
    /// that is under way.
    ///
    /// # Errors
    ///
    /// Says which invariant is broken, and where; or that nothing was checked, because a
    /// context of the heap was leaked.
    pub fn verify(&mut self) -> Result<(), VerifyError> {
        self.verify_now()
    }
}

impl std::fmt::Debug for Heap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Heap").field("stats", &self.stats()).finish_non_exhaustive()
    }
}
