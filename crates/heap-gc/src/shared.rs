//! [`Shared`]: one heap as its mutators and its collector share it, and the
//! collection cycle itself.
//!
//! The story of a cycle is told in the crate's documentation.

use std::ptr::NonNull;
use std::sync::Arc;
use std::time::Instant;

use heap_core::geometry::PAGE_SIZE;
use heap_core::mcache::Cache;
use heap_core::mheap::{CensusRow, CoreConfig, Snapshot};
use heap_core::os::{Os, SystemOs};
use heap_core::stack::{HeapOwner, StackCache};
use heap_core::stats::SweepBy;
use heap_core::verify::VerifyError;
use heap_sync::atomic::{AtomicUsize, Ordering};
use heap_sync::lock::Mutex;

use crate::background::BackgroundSweeper;
use crate::credit::SweepCredit;
use crate::gate::{Collector, Gate, WorldStopped};
use crate::mark::{self, MarkPool, Watch};
use crate::mutator::Record;
use crate::pacer::Pacer;
use crate::roots::RootSet;
use crate::stats::{CycleStats, Stats};
use crate::verify;
use crate::weak::WeakTables;

/// Bytes per second that a heap gives back unasked. If the program's needs change
/// from collection to collection it takes them again; at a tenth of a millisecond
/// per megabyte that is less than a hundredth of its time.
const TRIM_RATE: f64 = (64 << 20) as f64;
/// Less than this is not worth a look.
const TRIM_LEAST: usize = 4 << 20;

/// A mutator waits for the collection that another one has begun when the heap is
/// larger than it should be by this part.
const OVERDUE_SHARE: usize = 8;

/// How a heap behaves.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Hard limit on the bytes of pages for objects.
    pub max_heap_bytes: Option<usize>,
    /// Growth over the marked bytes before the next collection, in percent.
    pub growth_percent: u32,
    /// No collection is due below this many bytes.
    pub min_heap_bytes: usize,
    /// How many may mark beside the collecting thread: helper threads, and mutators
    /// that stand aside.
    pub helpers: usize,
    /// Whether a background thread sweeps.
    pub background_sweep: bool,
    /// Collect at every safepoint, poison what is freed.
    pub stress: bool,
    /// Advise huge pages.
    pub huge_pages: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            max_heap_bytes: None,
            growth_percent: 175,
            min_heap_bytes: 4 << 20,
            helpers: 0,
            background_sweep: false,
            stress: false,
            huge_pages: true,
        }
    }
}

/// One heap.
#[derive(Debug)]
pub struct Shared {
    /// The background sweeper; dropped (joined) before the memory.
    background: BackgroundSweeper,
    /// The marking helpers; likewise.
    pool: MarkPool,
    settings: Settings,
    pub(crate) gate: Gate,
    pub(crate) members: Mutex<Vec<Arc<Record>>>,
    pub(crate) roots: Arc<RootSet>,
    pub(crate) weak: WeakTables,
    pub(crate) credit: SweepCredit,
    /// Bytes granted to mutators and not known to be dead; an over-estimate
    /// between collections.
    pub(crate) live_bytes: AtomicUsize,
    /// Live bytes at which a collection is due.
    trigger_bytes: AtomicUsize,
    /// Pages in use at which a collection is due, in a heap with a limit.
    trigger_pages: AtomicUsize,
    /// Live bytes below which `trigger_pages` does not count.
    trigger_floor: AtomicUsize,
    cycles: Mutex<CycleStats>,
    /// When memory was last given back unasked.
    last_trim: Mutex<Instant>,
    pub(crate) heap: HeapOwner,
}

impl Shared {
    /// A new heap on the real system.
    #[must_use]
    pub fn new(settings: Settings) -> Arc<Shared> {
        Shared::with_os(settings, Box::new(SystemOs))
    }

    /// A new heap on the given system, real or simulated.
    #[must_use]
    pub fn with_os(settings: Settings, os: Box<dyn Os>) -> Arc<Shared> {
        let config = CoreConfig {
            max_bytes: settings.max_heap_bytes,
            huge_pages: settings.huge_pages,
            poison: settings.stress,
        };
        let shared = Shared {
            background: BackgroundSweeper::default(),
            pool: MarkPool::new(settings.helpers),
            gate: Gate::default(),
            members: Mutex::new(Vec::new()),
            roots: Arc::new(RootSet::default()),
            weak: WeakTables::default(),
            credit: SweepCredit::default(),
            live_bytes: AtomicUsize::new(0),
            trigger_bytes: AtomicUsize::new(0),
            trigger_pages: AtomicUsize::new(usize::MAX),
            trigger_floor: AtomicUsize::new(0),
            cycles: Mutex::new(CycleStats::default()),
            last_trim: Mutex::new(Instant::now()),
            heap: HeapOwner::new(config, os),
            settings,
        };
        shared.set_triggers(0);
        if shared.settings.stress {
            shared.gate.want_always();
        }
        Arc::new(shared)
    }

    fn set_triggers(&self, marked: usize) {
        // What stacks have is not there for objects.
        let stacks = self.heap.stack_pages();
        let limit = self.settings.max_heap_bytes;
        let limit = limit.map(|limit| limit.saturating_sub(stacks * PAGE_SIZE));
        let pacer = Pacer {
            growth_percent: self.settings.growth_percent,
            min_heap_bytes: self.settings.min_heap_bytes,
            max_heap_bytes: limit,
        };
        // ORDERING: Relaxed: published by leaving the safepoint.
        self.trigger_bytes.store(pacer.trigger(marked), Ordering::Relaxed);
        if let Some(limit) = limit {
            // Pages run out before bytes do when spans are partly filled. Half
            // of what is left may be taken before the next collection, so that
            // a heap near its limit still makes progress (PA1).
            // Before sweeping, most pages in use are garbage's: count the live.
            let pages = limit / PAGE_SIZE;
            let live = marked.div_ceil(PAGE_SIZE).min(self.heap.pages_in_use());
            let left = pages.saturating_sub(live);
            let trigger = stacks + pages - (left / 2).min(pages / 8);
            self.trigger_pages.store(trigger, Ordering::Relaxed);
            // In a fragmented heap the pages may stay above the trigger. Some
            // allocation must fit between two collections all the same.
            self.trigger_floor.store(marked.saturating_add(limit / 32), Ordering::Relaxed);
        }
    }

    /// Live bytes at which the next collection is due.
    pub(crate) fn trigger_bytes(&self) -> usize {
        self.trigger_bytes.load(Ordering::Relaxed)
    }

    /// Counts bytes granted to a mutator; asks for a collection when due.
    pub(crate) fn grant(&self, bytes: usize) {
        let live = self.live_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if live >= self.trigger_bytes.load(Ordering::Relaxed)
            || (live >= self.trigger_floor.load(Ordering::Relaxed)
                && self.heap.pages_in_use() > self.trigger_pages.load(Ordering::Relaxed)
                // Until then many of the pages are garbage's, and a heap at its
                // limit sweeps them before it refuses.
                && self.heap.sweep_is_over())
        {
            self.gate.want();
        }
    }

    /// The same for blocks for stacks. Those that their owners have returned are
    /// memory regained without a collection, and are no reason for one.
    pub(crate) fn grant_stack(&self, bytes: usize) {
        self.take_back(self.heap.take_returned_stacks());
        self.grant(bytes);
    }

    /// Marks whenever a marking could do with another worker. The calling mutator is
    /// outside.
    pub(crate) fn watch_marking(&self) -> Watch<'_> {
        self.pool.watch()
    }

    /// Takes back bytes that a mutator was granted and did not use.
    pub(crate) fn take_back(&self, bytes: usize) {
        // Saturating: the estimate was reset by a collection in between.
        let _ = self.live_bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |live| {
            Some(live.saturating_sub(bytes))
        });
    }

    // ---- the cycle -----------------------------------------------------------

    /// Asks for a collection that begins after this call: the next mutator that comes
    /// to a safepoint does it.
    pub fn request_collection(&self) {
        self.gate.want_from_now();
    }

    /// A full collection. The calling thread is outside.
    pub(crate) fn collect(self: &Arc<Self>) {
        let right = self.gate.claim();
        self.cycle(&right);
    }

    /// A collection if one is still wanted once the right to collect is ours.
    pub(crate) fn collect_if_wanted(self: &Arc<Self>) {
        let Some(right) = self.gate.try_claim() else {
            // Somebody else collects; entering waits for them once they stop the
            // world. If they are slow to do so, the heap must not outgrow its goal
            // meanwhile. (This wait begins before there is anything to mark, and does
            // not help.)
            let trigger = self.trigger_bytes();
            let most = trigger.saturating_add(trigger / OVERDUE_SHARE);
            if self.live_bytes.load(Ordering::Relaxed) > most {
                drop(self.gate.claim());
            }
            return;
        };
        if self.gate.poll() {
            self.cycle(&right);
        }
    }

    fn cycle(self: &Arc<Self>, right: &Collector<'_>) {
        // Phase 1: finish the previous sweep, while mutators run.
        self.finish_sweep();
        if !self.settings.background_sweep {
            // Everything is swept: what is idle now is beyond what this cycle
            // needed. With a background sweeper it has done so already.
            self.trim();
        }
        // Phase 2: stop the world. If it cannot be stopped no collection answers the
        // requests there are, but later ones must stay.
        self.gate.satisfied();
        let start = Instant::now();
        let (members, world) = self.stop_world(right);
        let Some(world) = world else {
            // X2: handles of a leaked context may be anywhere, so nothing may be
            // freed, perhaps for ever. Ask again only after the heap has doubled:
            // the mutator may have been on its way out, in a thread that ended.
            let live = self.live_bytes.load(Ordering::Relaxed);
            self.trigger_bytes.store(live.saturating_mul(2).max(1), Ordering::Relaxed);
            let pages = self.heap.pages_in_use();
            self.trigger_pages.store(pages.saturating_mul(2).max(1), Ordering::Relaxed);
            return;
        };
        let stopped = Instant::now();
        // Phase 3: caches back, sweep leftovers (a mutator may have swept on
        // while we waited), bitmaps rotate.
        self.flush_caches(&world, &members);
        self.finish_sweep();
        self.heap.before_mark();
        // GA6: from here on a request is for the next collection. Not sooner: what the
        // caches held is of this one, and counting it may ask.
        self.gate.satisfied();
        // Phase 4: mark.
        let marking = Instant::now();
        let armed = AbortOnUnwind;
        let counts = mark::mark(self.heap.isa(), &self.pool, |visit| {
            self.each_root(&world, &members, visit);
        });
        let mark_time = marking.elapsed();
        // Phase 5: weak tables forget the dead.
        self.weak.after_mark(&world);
        // Phase 6: every span needs sweeping; set the price of allocation.
        // Stacks may come and go between the two loads.
        let pages = self.heap.pages_in_use().saturating_sub(self.heap.stack_pages());
        self.heap.start_sweep();
        self.live_bytes.store(counts.bytes, Ordering::Relaxed);
        self.heap.settle_stacks();
        self.set_triggers(counts.bytes);
        let trigger = self.trigger_bytes.load(Ordering::Relaxed);
        self.credit.set_terms(pages, counts.bytes, trigger);
        std::mem::forget(armed);
        // Phase 7: resume.
        let mut cycles = self.cycles.lock();
        cycles.collections += 1;
        cycles.marked_objects = counts.objects as u64;
        cycles.marked_bytes = counts.bytes as u64;
        cycles.mark_time.add(mark_time);
        cycles.stop_time.add(stopped - start);
        cycles.pause_time.add(start.elapsed());
        drop(cycles);
        drop(world);
        if self.settings.background_sweep {
            self.background.wake(self);
        }
    }

    /// Stops the world. Returns the mutators there are, and proof that they are
    /// outside: `None` if one was abandoned.
    fn stop_world<'c>(
        &self,
        right: &'c Collector<'_>,
    ) -> (Vec<Arc<Record>>, Option<WorldStopped<'c>>) {
        // Listed when the flag is up: who attaches later stays outside (GA1).
        let stopping = right.raise();
        let members: Vec<Arc<Record>> = self.members.lock().clone();
        let world = stopping.wait(members.iter().map(|member| &member.presence));
        (members, world)
    }

    fn flush_caches(&self, world: &WorldStopped<'_>, members: &[Arc<Record>]) {
        for member in members {
            self.flush(member.cache_stopped(world), member.stacks_stopped(world));
        }
    }

    /// Takes back what a mutator has in store.
    pub(crate) fn flush(&self, cache: &mut Cache, stacks: &mut StackCache) {
        let unused = cache.flush(&self.heap);
        self.grant(cache.take_opened_bytes());
        self.take_back(unused);
        stacks.flush(&self.heap);
    }

    /// Sweeps what is left and waits for other sweepers.
    fn finish_sweep(&self) {
        self.heap.sweep_rest(SweepBy::Collector);
        while !self.heap.sweep_is_over() {
            std::thread::yield_now();
        }
        self.credit.settle();
    }

    fn each_root(
        &self,
        world: &WorldStopped<'_>,
        members: &[Arc<Record>],
        visit: &mut dyn FnMut(NonNull<u8>),
    ) {
        self.roots.each(&mut *visit);
        for member in members {
            member.shadow_stopped(world).iter().for_each(|object| visit(*object));
        }
    }

    /// Gives back memory that the program has ceased to need. Everything is swept.
    pub(crate) fn trim(&self) {
        let mut last = self.last_trim.lock();
        let most = (TRIM_RATE * last.elapsed().as_secs_f64()) as usize;
        if most >= TRIM_LEAST && self.heap.trim(most) > 0 {
            *last = Instant::now();
        }
    }

    /// Sweeps what is left, unless this thread runs a destructor, and gives all
    /// memory that holds no objects back to the system. Returns the bytes given
    /// back. Stops nobody.
    pub fn release_idle(&self) -> usize {
        if !heap_core::sweep::is_dropping() {
            // The ticket is returned after the sweep is accounted for: whoever finds
            // sweeping over finds the counters complete, and we are no mutator that a
            // verifier would wait for.
            let ticket = self.heap.sweep_ticket();
            self.heap.sweep_rest(SweepBy::Collector);
            drop(ticket);
        }
        self.heap.release_idle()
    }

    // ---- looking in ------------------------------------------------------------

    /// Checks every invariant. The calling thread is outside.
    pub(crate) fn verify(self: &Arc<Self>) -> Result<(), VerifyError> {
        // An abandoned mutator's cache cannot be looked into.
        self.at_rest(|world, members| {
            verify::verify(self, world, |visit| self.each_root(world, members, visit))
        })
        .unwrap_or(Ok(()))
    }

    /// What the heap holds, by kind and size class. The calling thread is outside.
    /// Empty if a mutator was abandoned: its cache cannot be looked into.
    #[must_use]
    pub fn census(self: &Arc<Self>) -> Vec<CensusRow> {
        self.at_rest(|world, _| verify::census(self, world)).unwrap_or_default()
    }

    /// Breaks PA1, for tests of the verifier.
    #[cfg(all(test, not(heap_loom)))]
    pub(crate) fn set_trigger_for_test(&self, bytes: usize) {
        self.trigger_bytes.store(bytes, Ordering::Relaxed);
    }

    /// Live bytes as they are estimated, where the next collection is due, and what
    /// the last one marked. For the verifier.
    pub(crate) fn pace(&self) -> (u64, u64, u64) {
        let marked = self.cycles.lock().marked_bytes;
        let live = self.live_bytes.load(Ordering::Relaxed);
        (live as u64, self.trigger_bytes.load(Ordering::Relaxed) as u64, marked)
    }

    /// Looks in with the world stopped, all caches flushed, everything swept.
    /// `None` if a mutator was abandoned.
    fn at_rest<R>(&self, look: impl FnOnce(&WorldStopped<'_>, &[Arc<Record>]) -> R) -> Option<R> {
        let right = self.gate.claim();
        self.finish_sweep();
        let (members, world) = self.stop_world(&right);
        let world = world?;
        self.flush_caches(&world, &members);
        self.finish_sweep();
        Some(look(&world, &members))
    }

    /// Where the memory is and what it holds, by kind and size class. Stops nobody.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.heap.snapshot()
    }

    /// What the heap did so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let cycles = *self.cycles.lock();
        let core = &self.heap.stats;
        let memory = self.heap.memory();
        let objects = self.heap.counted();
        Stats {
            collections: cycles.collections,
            allocated_objects: objects.allocated_objects,
            allocated_bytes: objects.allocated_bytes,
            freed_objects: objects.freed_objects,
            freed_bytes: objects.freed_bytes,
            marked_objects: cycles.marked_objects,
            marked_bytes: cycles.marked_bytes,
            live_bytes: self.live_bytes.load(Ordering::Relaxed) as u64,
            trigger_bytes: self.trigger_bytes.load(Ordering::Relaxed) as u64,
            heap_bytes: memory.in_use as u64,
            stack_bytes: memory.stacks as u64,
            heap_bytes_max: core.in_use_bytes_max.load(Ordering::Relaxed) as u64,
            reserved_bytes: memory.mapped as u64,
            idle_bytes: memory.idle as u64,
            released_bytes: memory.released as u64,
            returned_bytes: core.returned_bytes.get(),
            metadata_bytes: memory.metadata() as u64,
            mark_time: cycles.mark_time.total,
            mark_time_max: cycles.mark_time.max,
            pause_time: cycles.pause_time.total,
            pause_time_max: cycles.pause_time.max,
            stop_time: cycles.stop_time.total,
            stop_time_max: cycles.stop_time.max,
            sweep_time: core.sweep_time(),
            sweep_time_max: core.sweep_time_max(),
            pages_swept_by_allocation: core.pages_swept_by_allocation.get(),
            pages_swept_by_credit: core.pages_swept_by_credit.get(),
            pages_swept_in_background: core.pages_swept_in_background.get(),
            pages_swept_by_collector: core.pages_swept_by_collector.get(),
            drop_panics: core.drop_panics.get(),
            roots: self.roots.len() as u64,
        }
    }
}

/// Ends the process when a panic would leave marking half done: the next cycle
/// would take its marks for its own and free what is reachable.
struct AbortOnUnwind;

impl Drop for AbortOnUnwind {
    fn drop(&mut self) {
        heap_core::corrupt!("a panic while marking");
    }
}
