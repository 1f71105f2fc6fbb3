//! [`HeapState`]: one heap as its mutators and its collector share it. What a collector
//! does with it is in `cycle`.

use std::sync::Arc;
use std::time::Duration;

use heap_core::error::OutOfMemory;
use heap_core::geometry::PAGE_SIZE;
use heap_core::mcache::Cache;
use heap_core::mheap::{CoreConfig, Destructors, HeapUsage, HugePages};
use heap_core::os::{Os, SystemOs};
use heap_core::stack::{HeapOwner, StackCache};
use heap_core::stats::{SweepBy, Tally};
use heap_sync::atomic::{AtomicBool, Ordering};
use heap_sync::lock::Mutex;
use heap_sync::time::Instant;

use crate::background::{BackgroundSweeper, Sweep};
use crate::barrier::GreyPages;
use crate::config::GcConfig;
use crate::external::{Accounts, ExternalRow, ExternalTotal};
use crate::finalizers::{FinalizerRegistry, Finalizers};
use crate::mark::{IncrementalMark, MarkPool, Watch};
use crate::pacing::{Budget, Pacer};
use crate::phase::{Phase, PhaseWord};
use crate::roots::RootSet;
use crate::safepoint_times::{Recorder, SafepointTimes};
use crate::sampling::{SampleTotals, SampledSite, Sampling};
use crate::stats::{CycleStats, Stats};
use crate::weak::{WeakTable, WeakTables};
use crate::world::World;

/// Bytes per second that a heap gives back without being asked. If the program's needs change
/// from collection to collection it takes them again; at a tenth of a millisecond
/// per megabyte that is less than a hundredth of its time.
const TRIM_RATE: f64 = (64 << 20) as f64;
/// How long the background sweeper gives memory back in one round: a process that forks waits for it.
const GIVE_BACK_TIME: Duration = Duration::from_millis(20);
/// What is given back between two looks at the clock: some hundred microseconds.
const TRIM_UNIT: usize = 1 << 20;
/// A program that has been outside without a collection for as long is idle.
const IDLE_TIME: Duration = Duration::from_secs(1);
/// Less than this is not worth a look.
const TRIM_LEAST: usize = 4 << 20;

/// One heap.
#[derive(Debug)]
pub struct HeapState {
    /// The background sweeper; dropped (joined) before the memory.
    pub(crate) background: BackgroundSweeper,
    /// The marking helpers; likewise.
    pub(crate) pool: MarkPool,
    pub(crate) config: GcConfig,
    pub(crate) world: World,
    pub(crate) roots: Arc<RootSet>,
    pub(crate) weak: Arc<WeakTables>,
    pub(crate) finalizers: Arc<Finalizers>,
    /// What is sampled, if anything is.
    pub(crate) sampling: Option<Sampling>,
    pub(crate) budget: Budget,
    /// What objects own elsewhere.
    pub(crate) external: Accounts,
    pub(crate) cycles: Mutex<CycleStats>,
    safepoints: Recorder,
    /// What mutators are told of the collection that is under way.
    pub(crate) phase: PhaseWord,
    /// The state of the suspended mark phase; for the holder of the collector lock.
    pub(crate) suspended: Mutex<Option<IncrementalMark>>,
    /// What mutators have made grey.
    pub(crate) grey: GreyPages,
    /// When memory was last given back without being asked.
    last_trim: Mutex<Instant>,
    /// When the last collection was complete, if the heap may keep more than an idle program needs.
    since_complete: Mutex<Option<Instant>>,
    /// The same without the time; a hint.
    may_keep_more: AtomicBool,
    pub(crate) heap: HeapOwner,
}

impl HeapState {
    /// A new heap on the real system.
    #[must_use]
    pub fn new(config: GcConfig) -> Arc<HeapState> {
        HeapState::with_os(config, Box::new(SystemOs))
    }

    /// A new heap on the given system, real or simulated.
    #[must_use]
    pub fn with_os(config: GcConfig, os: Box<dyn Os>) -> Arc<HeapState> {
        let core = CoreConfig {
            max_bytes: config.max_heap_bytes,
            huge_pages: match (config.huge_pages, config.mark_slice) {
                (false, _) => HugePages::Never,
                (true, Some(_)) => HugePages::Objects,
                (true, None) => HugePages::ObjectsAndMarks,
            },
            poison: config.stress,
        };
        let heap = HeapOwner::new(core, os);
        let pacer = Pacer {
            growth_percent: config.growth_percent,
            min_heap_bytes: config.min_heap_bytes,
            max_heap_bytes: config.max_heap_bytes,
        };
        let limited = config.limit_external.then(|| heap.elsewhere().clone());
        let external = Accounts::new(ExternalTotal::new(limited));
        // Stress collects for nothing, on purpose.
        let thrash_ratio = if config.stress { u32::MAX } else { config.thrash_ratio };
        let shared = HeapState {
            background: BackgroundSweeper::default(),
            pool: MarkPool::new(config.mark_threads, heap.isa()),
            world: World::default(),
            roots: Arc::new(RootSet::default()),
            weak: Arc::default(),
            finalizers: Arc::default(),
            sampling: config
                .sample_bytes
                .map(|sample_bytes| Sampling::new(sample_bytes, config.sample_seed)),
            cycles: Mutex::new(CycleStats::default()),
            safepoints: Recorder::default(),
            phase: PhaseWord::default(),
            suspended: Mutex::new(None),
            grey: GreyPages::default(),
            last_trim: Mutex::new(Instant::now()),
            since_complete: Mutex::new(None),
            may_keep_more: AtomicBool::new(false),
            budget: Budget::new(pacer, thrash_ratio, Arc::clone(&external.total), &*heap),
            external,
            heap,
            config,
        };
        if shared.config.stress {
            shared.world.requests().request_always();
        }
        Arc::new(shared)
    }

    /// Whether the heap is so near its limit that a step of a collection should be all of it.
    pub(crate) fn is_near_limit(&self) -> bool {
        self.budget.is_near_limit(&*self.heap)
    }

    /// Counts bytes granted to a mutator; asks for a collection when due. Returns how many
    /// are granted now.
    pub(crate) fn grant(&self, bytes: usize) -> usize {
        let granted = self.budget.grant(bytes, &*self.heap);
        if granted.step_is_due {
            self.world.requests().request_step();
        }
        granted.live
    }

    /// The same for blocks for stacks. Those that their owners have returned are
    /// memory regained without a collection, and are no reason for one.
    pub(crate) fn grant_stack(&self, bytes: usize) {
        self.budget.take_back(self.heap.take_returned_stacks());
        self.grant(bytes);
    }

    /// A mutator is refused memory: asks for a collection, unless there have been too many.
    pub(crate) fn refuse(&self, reason: OutOfMemory) {
        if reason != OutOfMemory::Thrashing {
            self.budget.refused();
            self.world.requests().request_gc();
        }
    }

    /// Whether a collection is between two of its stops.
    pub(crate) fn is_collecting(&self) -> bool {
        self.phase.get() != Phase::Idle
    }

    /// Joins a mark phase whenever it could use another worker. The calling mutator is outside.
    pub(crate) fn watch_marking(&self) -> Watch<'_> {
        self.pool.watch()
    }

    /// Whether a background sweeper sweeps after collections: there is none in a child of
    /// `fork` (FK2).
    pub(crate) fn sweeps_in_background(&self) -> bool {
        self.config.background_sweep && self.background.is_here()
    }

    /// How many of `wanted` spans a mutator may take at a time.
    pub(crate) fn affordable(&self, wanted: usize, span_bytes: usize) -> usize {
        self.budget.affordable(wanted, span_bytes, self.world.count())
    }

    /// How many bytes a cache may open before they count as granted, when `live` bytes are.
    pub(crate) fn count_next(&self, live: usize) -> usize {
        self.budget.count_next(live, self.world.count())
    }

    /// Sweeps until the debt for `span_bytes` is paid.
    pub(crate) fn pay_credit(&self, span_bytes: usize) {
        let mut tally = Tally::default();
        self.budget.pay(span_bytes, &*self.heap, || {
            self.heap.sweep_one(Destructors::Leave, &mut tally).is_some()
        });
        self.heap.stats.add(&mut tally, SweepBy::Credit);
    }

    /// Counts a safepoint that has kept a mutator from its work for this time.
    pub fn count_safepoint(&self, time: Duration) {
        self.safepoints.add(time);
    }

    /// How long safepoints have kept mutators from their work.
    #[must_use]
    pub fn safepoint_times(&self) -> SafepointTimes {
        self.safepoints.read()
    }

    /// An empty registry of finalizers.
    #[must_use]
    pub fn finalizer_registry(&self) -> FinalizerRegistry {
        FinalizerRegistry::new(&self.finalizers)
    }

    /// An empty weak table.
    #[must_use]
    pub fn weak_table(&self) -> WeakTable {
        WeakTable::new(&self.weak)
    }

    /// Asks for a collection that begins after this call: the next mutator that comes
    /// to a safepoint does it.
    pub fn request_collection(&self) {
        self.world.requests().request_gc_from_now();
    }

    /// Takes back what a mutator has in store.
    pub(crate) fn flush(&self, cache: &mut Cache, stacks: &mut StackCache) {
        let unused = cache.flush(&self.heap);
        self.grant(cache.take_opened_bytes());
        self.budget.take_back(unused);
        stacks.flush(&self.heap);
    }

    /// Gives back memory that the program has ceased to need, as long as `goes_on` says so. Everything
    /// is swept. Says whether there may be more.
    pub(crate) fn trim_while(&self, goes_on: impl Fn() -> bool) -> bool {
        let mut last = self.last_trim.lock();
        let most = (TRIM_RATE * last.elapsed().as_secs_f64()) as usize;
        if most < TRIM_LEAST {
            return true;
        }
        let (mut total, mut is_done) = (0, false);
        while total < most && !is_done {
            let trimmed = self.heap.trim(TRIM_UNIT.min(most - total));
            total += trimmed;
            is_done = trimmed == 0;
            if !goes_on() {
                break;
            }
        }
        if total > 0 {
            *last = Instant::now();
        }
        !is_done
    }

    /// A collection is complete. What it leaves to be swept may be more than an idle program needs.
    pub(crate) fn note_complete(&self) {
        if !self.sweeps_in_background() {
            *self.since_complete.lock() = Some(Instant::now());
            // ORDERING: Relaxed, here and below: a hint.
            self.may_keep_more.store(true, Ordering::Relaxed);
        }
    }

    /// Whether the program seems to be idle, and the heap may keep more than such a program needs.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.may_keep_more.load(Ordering::Relaxed)
            && !self.is_collecting()
            && self.since_complete.lock().is_some_and(|since| since.elapsed() >= IDLE_TIME)
    }

    /// Sweeps what is left, and gives back what an idle program does not need (as the background sweeper
    /// does where there is one): for the time of a slice, if there are slices; the next call goes on.
    pub(crate) fn give_back_when_idle(&self) {
        let start = Instant::now();
        let has_time = || self.config.mark_slice.is_none_or(|slice| start.elapsed() < slice);
        let is_swept = self.sweep_while(Destructors::Run, SweepBy::Collector, |tally| {
            tally.spans_swept == 0 || has_time()
        });
        if !is_swept || !self.heap.sweep_is_over() {
            return;
        }
        self.heap.set_retain_goal(self.budget.room());
        while self.heap.trim(TRIM_UNIT) > 0 {
            if !has_time() {
                return;
            }
        }
        *self.last_trim.lock() = Instant::now();
        self.may_keep_more.store(false, Ordering::Relaxed);
    }

    /// Sweeps, on behalf of `by`, as long as `goes_on` says so of what it has swept. Says whether
    /// nothing is left that it may sweep.
    pub(crate) fn sweep_while(
        &self,
        destructors: Destructors,
        by: SweepBy,
        goes_on: impl Fn(&Tally) -> bool,
    ) -> bool {
        // The ticket is returned after the sweep is accounted for, so that a thread that finds
        // sweeping over finds the counters complete.
        let Some(ticket) = self.heap.sweep_ticket() else { return true };
        let mut tally = Tally::default();
        let mut is_swept = false;
        while !is_swept && goes_on(&tally) {
            is_swept = self.heap.sweep_one(destructors, &mut tally).is_none();
        }
        self.heap.stats.add(&mut tally, by);
        if self.heap.undropped_pages() == 0 {
            // No collection completes before the ticket is back.
            self.budget.all_are_dropped();
        }
        drop(ticket);
        is_swept
    }

    /// Sweeps what is left, with destructors or without, unless this thread runs one, and gives all
    /// memory that holds no objects back to the system. Returns the bytes given back. Stops no
    /// mutator.
    pub fn release_idle(&self, destructors: Destructors) -> usize {
        if !heap_core::sweep::is_in_destructor() {
            let _ = self.sweep_while(destructors, SweepBy::Collector, |_| true);
        }
        self.world.release_records();
        self.heap.release_idle()
    }

    /// Where the memory is and what it holds, by kind and size class. Stops no mutator.
    #[must_use]
    pub fn usage(&self) -> HeapUsage {
        self.heap.usage()
    }

    /// Bytes that objects own elsewhere, by the type they were charged for.
    #[must_use]
    pub fn external_usage(&self) -> Vec<ExternalRow> {
        self.external.usage()
    }

    /// Calls `visit` with each site of which objects were sampled, and returns what is known of them
    /// as a whole; `None` if the heap does not sample. While it runs other threads wait that come to
    /// a sampled allocation, or collect.
    pub fn each_sampled_site(&self, visit: impl FnMut(&SampledSite<'_>)) -> Option<SampleTotals> {
        Some(self.sampling.as_ref()?.each_site(visit))
    }

    /// What the heap did so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let cycles = *self.cycles.lock();
        let core = &self.heap.stats;
        let memory = self.heap.memory();
        let objects = self.heap.counted();
        let sampling = self.sampling.as_ref().map_or(0, Sampling::metadata_bytes);
        Stats {
            collections: cycles.collections,
            steps: cycles.steps,
            allocated_objects: objects.allocated_objects,
            allocated_bytes: objects.allocated_bytes,
            freed_objects: objects.freed_objects,
            freed_bytes: objects.freed_bytes,
            marked_objects: cycles.marked_objects,
            marked_bytes: cycles.marked_bytes,
            live_bytes: self.budget.live_bytes() as u64,
            trigger_bytes: self.budget.trigger_bytes() as u64,
            heap_bytes: memory.in_use as u64,
            stack_bytes: memory.stacks as u64,
            heap_bytes_max: core.in_use_bytes_max.load(Ordering::Relaxed) as u64,
            reserved_bytes: memory.mapped as u64,
            idle_bytes: memory.idle as u64,
            released_bytes: memory.released as u64,
            returned_bytes: core.returned_bytes.get(),
            metadata_bytes: (memory.metadata() + self.grey.metadata_bytes() + sampling) as u64,
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
            external_bytes: self.external.total.bytes() as u64,
            undropped_bytes: (self.heap.undropped_pages() * PAGE_SIZE) as u64,
        }
    }
}

impl Sweep for HeapState {
    fn sweep_batch(&self, spans: usize) -> bool {
        if self.heap.sweep_is_over() {
            return false;
        }
        !self.sweep_while(Destructors::Run, SweepBy::Background, |tally| {
            tally.spans_swept < spans as u64
        })
    }

    fn give_back(&self) -> bool {
        if !self.heap.sweep_is_over() {
            return false;
        }
        // What is idle beyond what will be allocated until the next collection will stay so.
        self.heap.set_retain_goal(self.budget.room());
        let start = Instant::now();
        self.trim_while(|| start.elapsed() < GIVE_BACK_TIME)
    }
}
