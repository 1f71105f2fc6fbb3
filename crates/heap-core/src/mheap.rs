//! [`MHeap`]: arenas, pages, spans, central lists and the sweep clock of one
//! heap. (Go: `mheap.go`, and the parts of `mcentral.go` that reach upwards.)
//!
//! Mechanism only: it hands out spans, sweeps spans, and refuses when there is no memory.
//! The layers above decide when to sweep and when to collect.
//!
//! Here is what the heap is made of, and its central lists. What it does is in modules: `spans`
//! gives spans to mutators and takes them back, from fresh pages (`runs`) or by `sweeping`;
//! `phases` begins and ends a mark phase, in which `allocate_black` marks new objects;
//! `teardown` ends the heap.
//!
//! The page lock guards `Pages` (module `pages`), in it `regions`, the reservations by
//! address. `scavenge` gives memory back; `stacks` has the manual spans; `weak` has the
//! weak handles; `page_search` finds what there was no memory to note. `inspect` reads the heap with the world stopped, `usage` while
//! mutators run, `check` for the verifier.
//!
//! * Y3: span records and central lists live as long as the heap.

mod allocate_black;
mod check;
mod inspect;
mod page_search;
mod pages;
mod phases;
mod regions;
mod runs;
mod scavenge;
mod spans;
mod stacks;
mod sweeping;
mod teardown;
#[cfg(all(test, not(heap_loom), not(heap_asan)))]
mod tests;
mod usage;
mod weak;

pub use inspect::{HistogramRow, MemoryStats};
pub use page_search::{PageCursor, PageSearch};
pub use spans::{SPAN_BATCH, SpanBatch, SpanRequest};
pub(crate) use stacks::{BlockDesc, RawBlock, StackPool};
pub use stacks::{ORDERS, Order};
pub use sweeping::Destructors;
pub use usage::{ClassRow, HeapUsage};
pub use weak::WeakCounts;

use core::ptr::NonNull;

use crossbeam_utils::CachePadded;
use heap_sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use heap_sync::lock::{Arc, Mutex, RwLock};
use rustc_hash::FxHashMap;

use crate::fixalloc::try_box;
use crate::gcbits::PartitionBits;
use crate::geometry::PAGE_SIZE;
use crate::kind::ObjectKind;
use crate::marks::Isa;
use crate::mcentral::Central;
use crate::os::Os;
use crate::partition::Partitioning;
use crate::size_class::SizeClass;
use crate::stats::CoreStats;
use crate::sweep_gen::SweepGen;
use crate::ticket::ActiveSweep;
use allocate_black::AllocateBlack;
use pages::Pages;

/// For what the system is asked for huge pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HugePages {
    /// For nothing.
    Never,
    /// For the memory of objects. Mark bytes get small pages: to touch one of them for the first time
    /// takes a microsecond, where it may take milliseconds until a huge page is cleared.
    Objects,
    /// For mark bytes as well. Marking objects in random order is 15 to 30 % faster (`heap-bench
    /// graph`, and with `--slice-us`, which has small ones).
    ObjectsAndMarks,
}

/// How much of a large object the program will write to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fill {
    /// All of it, and soon.
    Whole,
    /// Perhaps little: the rest is to cost nothing, so that it gets small pages.
    Sparse,
}

/// How the memory layer behaves.
#[derive(Clone, Debug)]
pub struct CoreConfig {
    /// Limit on the bytes of pages that spans cover.
    pub max_bytes: Option<usize>,
    /// Whether to advise huge pages.
    pub huge_pages: HugePages,
    /// Whether to overwrite freed slots.
    pub poison: bool,
}

/// The memory of one heap.
#[derive(Debug)]
pub struct MHeap {
    os: Box<dyn Os>,
    config: CoreConfig,
    isa: Isa,
    clock: AtomicU32,
    active: CachePadded<ActiveSweep>,
    bits: PartitionBits,
    pages: CachePadded<Mutex<Pages>>,
    centrals: RwLock<Centrals>,
    stacks: CachePadded<Mutex<StackPool>>,
    /// Where `sweep_one` looks first for spans of kinds without destructors, and of kinds with: the
    /// number of a central's shard.
    cursors: [CachePadded<AtomicUsize>; 2],
    /// Pages that may hold dead objects whose destructors have not run (DT2).
    undropped_pages: CachePadded<AtomicUsize>,
    /// The present [`Partitioning`].
    partitions: AtomicUsize,
    /// Pages swept in this cycle, for the credit formula.
    pages_swept_in_cycle: CachePadded<AtomicUsize>,
    /// Marks objects that are allocated during an incremental mark phase.
    allocate_black: AllocateBlack,
    /// Spans whose objects have weak handles.
    weak_spans: Mutex<weak::WeakSpans>,
    /// Bytes that objects own elsewhere, as far as they count towards the limit.
    elsewhere: Arc<AtomicUsize>,
    /// Bytes that the heap may retain after the last collection; `usize::MAX`
    /// before the first.
    retain_goal: AtomicUsize,
    /// Counters.
    pub stats: CoreStats,
}

#[derive(Debug, Default)]
struct Centrals {
    by_key: FxHashMap<(usize, usize), NonNull<Central>>,
    /// Append-only; boxed so that addresses are stable (Y3).
    all: Vec<NonNull<Central>>,
}

// SAFETY: centrals are `Sync` and owned by the heap.
unsafe impl Send for Centrals {}
// SAFETY: as above.
unsafe impl Sync for Centrals {}

impl MHeap {
    /// An empty heap. Reserves nothing before the first allocation.
    #[must_use]
    pub fn new(config: CoreConfig, os: Box<dyn Os>) -> MHeap {
        MHeap {
            os,
            config,
            isa: Isa::detect(),
            clock: AtomicU32::new(0),
            active: CachePadded::new(ActiveSweep::closed()),
            bits: PartitionBits::default(),
            pages: CachePadded::new(Mutex::new(Pages::default())),
            centrals: RwLock::new(Centrals::default()),
            stacks: CachePadded::default(),
            cursors: Default::default(),
            undropped_pages: CachePadded::default(),
            partitions: AtomicUsize::new(Partitioning::for_mutators(1).to_raw()),
            pages_swept_in_cycle: CachePadded::new(AtomicUsize::new(0)),
            allocate_black: AllocateBlack::default(),
            weak_spans: Mutex::default(),
            elsewhere: Arc::new(AtomicUsize::new(0)),
            retain_goal: AtomicUsize::new(usize::MAX),
            stats: CoreStats::default(),
        }
    }

    /// The vector instructions that this heap uses.
    #[must_use]
    pub fn isa(&self) -> Isa {
        self.isa
    }

    /// The limit on the bytes of pages that spans cover.
    #[must_use]
    pub fn max_bytes(&self) -> Option<usize> {
        self.config.max_bytes
    }

    /// The sweep clock.
    #[inline]
    #[must_use]
    pub(crate) fn now(&self) -> SweepGen {
        // ORDERING: Relaxed: it changes only with the world stopped (Y1), and
        // leaving a safepoint synchronises with the collector.
        SweepGen::from_raw(self.clock.load(Ordering::Relaxed))
    }

    /// The division of the heap among its mutators.
    #[must_use]
    pub fn partitions(&self) -> Partitioning {
        // ORDERING: Relaxed: a hint; any division is correct.
        Partitioning::from_raw(self.partitions.load(Ordering::Relaxed))
    }

    /// Divides the heap among `mutators` mutators from now on.
    pub fn set_partitions(&self, mutators: usize) {
        // ORDERING: as `partitions`.
        self.partitions.store(Partitioning::for_mutators(mutators).to_raw(), Ordering::Relaxed);
    }

    /// The central list of a kind and class; made on first use. `None` if there is no
    /// memory for it.
    pub(crate) fn central(&self, kind: &'static ObjectKind, class: SizeClass) -> Option<&Central> {
        let key = (kind.address(), class.index());
        let read = self.centrals.read();
        if let Some(central) = read.by_key.get(&key) {
            // SAFETY: Y3.
            return Some(unsafe { central.as_ref() });
        }
        drop(read);
        let mut write = self.centrals.write();
        let write = &mut *write;
        write.all.try_reserve(1).ok()?;
        write.by_key.try_reserve(1).ok()?;
        let central = match write.by_key.get(&key) {
            // Another thread has made it in between.
            Some(central) => *central,
            None => {
                let central = NonNull::from(Box::leak(try_box(Central::new(kind, class))?));
                write.all.push(central);
                write.by_key.insert(key, central);
                central
            }
        };
        // SAFETY: Y3.
        Some(unsafe { central.as_ref() })
    }

    fn central_at(&self, index: usize) -> Option<&Central> {
        let read = self.centrals.read();
        // SAFETY: Y3.
        read.all.get(index).map(|central| unsafe { central.as_ref() })
    }

    /// All central lists, including those that are made during the iteration.
    fn centrals(&self) -> impl Iterator<Item = &Central> {
        (0..).map_while(|index| self.central_at(index))
    }

    /// Pages that spans cover.
    #[must_use]
    pub fn pages_in_use(&self) -> usize {
        self.stats.in_use_bytes.load(Ordering::Relaxed) / PAGE_SIZE
    }

    /// Pages of stacks, which are not swept.
    #[must_use]
    pub fn stack_pages(&self) -> usize {
        self.stats.stack_bytes.load(Ordering::Relaxed) / PAGE_SIZE
    }
}
