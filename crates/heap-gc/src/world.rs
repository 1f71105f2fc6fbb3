//! [`World`]: the mutators of a heap and the gate that they pass: what a collector stops.
//!
//! * MU1: the caches, the shadow stack and the barrier's list are touched by the owner
//!   while it is inside, or by a collector while the world is stopped; never both (GA1).
//! * MU4: unless `caches_are_used`, a mutator's caches are as a flush leaves them, and it has taken no
//!   spans since the flush before the last.
//! * WO1: a mutator is in the list from before it enters for the first time until after it has
//!   left for the last.
//! * WO2: a record that is used again has no other owner: no list that a collector has taken, and no
//!   [`ThreadExitGuard`](crate::mutator::ThreadExitGuard), of its last mutator. Its caches and
//!   lists are as that one has left them: flushed (MU4), handed over (B4).

use std::cell::UnsafeCell;
use std::ptr::NonNull;
use std::sync::Arc;

use crossbeam_utils::CachePadded;
use heap_core::mcache::Cache;
use heap_core::partition::Partition;
use heap_core::sampling::Sampler;
use heap_core::shrink::shrink_to;
use heap_core::stack::StackCache;
use heap_sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use heap_sync::lock::Mutex;
use heap_sync::mutant;

use crate::barrier::SatbBuffer;
use crate::gate::{Gate, MutatorState, Stopping, WorldStopped};
use crate::requests::Requests;

/// A shadow stack keeps room for this many objects.
const SHADOW_KEEP: usize = 1024;

/// Records that are kept when their mutators are gone. They are some twelve kilobytes each, and to
/// make one takes five times as long as everything else that a thread does to enter and to leave.
const RECORDS_KEPT: usize = 4;

/// A record whose cache has served more kinds and classes than this is not kept: each leave looks
/// at all of them.
const ENTRIES_KEPT: usize = 64;

/// What the collector knows of a mutator. In this order: what a stop looks at of a mutator that does
/// nothing is on one line, the count of the record's owners included.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct MutatorRecord {
    pub(crate) state: MutatorState,
    caches_are_used: AtomicBool,
    // The owner's, by MU1.
    pub(crate) shadow: UnsafeCell<Vec<NonNull<u8>>>,
    pub(crate) satb: UnsafeCell<SatbBuffer>,
    pub(crate) stacks: UnsafeCell<StackCache>,
    pub(crate) cache: UnsafeCell<Cache>,
}

// SAFETY: what is in the cells is `Send`, or addresses of objects, which any thread that has
// stopped the world may follow; MU1 says which thread may reach it.
unsafe impl Send for MutatorRecord {}
// SAFETY: MU1: two threads do not reach a cell at the same time, and the gate orders one after
// the other (GA3). The rest is `Sync`.
unsafe impl Sync for MutatorRecord {}

impl MutatorRecord {
    fn at(partition: Partition, sampler: Option<Sampler>) -> MutatorRecord {
        // SAFETY: a record is of one heap, which each collection and the mutator's end
        // flush it to (C1); a mutator holds the heap.
        let mut cache = unsafe { Cache::at(partition) };
        if let Some(sampler) = sampler {
            cache.sample(sampler);
        }
        MutatorRecord {
            state: MutatorState::default(),
            caches_are_used: AtomicBool::new(false),
            cache: UnsafeCell::new(cache),
            stacks: UnsafeCell::default(),
            shadow: UnsafeCell::default(),
            satb: UnsafeCell::default(),
        }
    }

    /// The record for another mutator, outside, if it has no other owner (WO2).
    fn renewed(mut record: Arc<MutatorRecord>, partition: Partition) -> Option<Arc<MutatorRecord>> {
        let new = Arc::get_mut(&mut record)?;
        new.state = MutatorState::default();
        new.shadow.get_mut().clear();
        new.cache.get_mut().move_to(partition);
        Some(record)
    }

    /// Whether there may be something in the caches, or the mutator has used them lately: if not,
    /// a collector need not look at them (MU4).
    pub(crate) fn caches_are_used(&self) -> bool {
        // ORDERING: Relaxed, here and where it changes: as what it tells of (MU1).
        self.caches_are_used.load(Ordering::Relaxed)
    }

    /// Says so: the owner, inside, before it puts anything into a cache that was flushed; a
    /// collector, with the world stopped, or the owner at its end, when it has flushed them.
    pub(crate) fn set_caches_are_used(&self, are_used: bool) {
        mutant!("caches count as unused" => return);
        self.caches_are_used.store(are_used, Ordering::Relaxed);
    }

    /// The cache, with the world stopped.
    ///
    /// # Safety
    ///
    /// The world is that of the record's heap, and there is no other reference to the cache.
    #[expect(clippy::mut_from_ref, reason = "exclusive by MU1: the world is stopped")]
    pub(crate) unsafe fn cache_stopped<'w>(
        &'w self,
        _world: &'w WorldStopped<'_>,
    ) -> &'w mut Cache {
        // SAFETY: MU1: no mutator is inside; the rest is forwarded from the caller.
        unsafe { &mut *self.cache.get() }
    }

    /// The cache of stack blocks, with the world stopped.
    ///
    /// # Safety
    ///
    /// As [`MutatorRecord::cache_stopped`], for what is returned.
    #[expect(clippy::mut_from_ref, reason = "exclusive by MU1: the world is stopped")]
    pub(crate) unsafe fn stacks_stopped<'w>(
        &'w self,
        _world: &'w WorldStopped<'_>,
    ) -> &'w mut StackCache {
        // SAFETY: MU1, as in `cache_stopped`.
        unsafe { &mut *self.stacks.get() }
    }

    /// The objects on the shadow stack, with the world stopped.
    ///
    /// # Safety
    ///
    /// As [`MutatorRecord::cache_stopped`], for what is returned; it may be shared.
    pub(crate) unsafe fn shadow_stopped<'w>(
        &'w self,
        _world: &'w WorldStopped<'_>,
    ) -> &'w [NonNull<u8>] {
        // SAFETY: MU1, as in `cache_stopped`.
        unsafe { &*self.shadow.get() }
    }

    /// Gives back room that the shadow stack has not needed lately, with the world stopped.
    pub(crate) fn trim_shadow_stopped(&self, _world: &WorldStopped<'_>) {
        // SAFETY: MU1: no mutator is inside, and the reference ends here.
        let shadow = unsafe { &mut *self.shadow.get() };
        if shadow.capacity() > SHADOW_KEEP && shadow.len() * 4 < shadow.capacity() {
            let room = (shadow.len() * 2).max(SHADOW_KEEP);
            shrink_to(shadow, room);
        }
    }
}

/// The mutators of a heap at some moment.
pub(crate) type MutatorList = Arc<Vec<Arc<MutatorRecord>>>;

#[derive(Debug, Default)]
struct Members {
    list: MutatorList,
    /// Records of mutators that are gone (WO2).
    kept: Vec<Arc<MutatorRecord>>,
}

/// The mutators of one heap.
#[derive(Debug, Default)]
pub(crate) struct World {
    /// On lines that no thread writes to while mutators run: they poll it.
    pub(crate) gate: CachePadded<Gate>,
    /// A collector takes it as it is: it is copied when it changes while one has it.
    members: Mutex<Members>,
    /// The length of `list`, for those that cannot wait for its lock.
    count: AtomicUsize,
}

impl World {
    /// What mutators are asked for at their next safepoint.
    pub(crate) fn requests(&self) -> Requests<'_> {
        Requests::of(&self.gate)
    }

    /// How many mutators there are.
    pub(crate) fn count(&self) -> usize {
        // ORDERING: Relaxed: a hint. A mutator has counted itself.
        self.count.load(Ordering::Relaxed)
    }

    /// A new mutator, which is inside. Its cache samples by `sampler`, or goes on as that of the
    /// mutator before it, whose record it has.
    pub(crate) fn attach(&self, sampler: impl FnOnce() -> Option<Sampler>) -> Arc<MutatorRecord> {
        // Until a collection sees which mutators allocate, one partition is as good as another.
        let partition = Partition::of_mutator(self.count());
        let kept = self.members.lock().kept.pop();
        let record = kept
            .and_then(|kept| MutatorRecord::renewed(kept, partition))
            .unwrap_or_else(|| Arc::new(MutatorRecord::at(partition, sampler())));
        mutant!("is listed late" => self.gate.enter(&record.state));
        let mut members = self.members.lock();
        Arc::make_mut(&mut members.list).push(Arc::clone(&record));
        self.count.store(members.list.len(), Ordering::Relaxed);
        drop(members);
        mutant!("is listed late" => return record);
        // WO1.
        self.gate.enter(&record.state);
        record
    }

    /// A mutator that is inside leaves for good, with its caches flushed. Its record may be
    /// kept for another.
    pub(crate) fn detach(&self, record: &Arc<MutatorRecord>) {
        // SAFETY: MU1: inside, and the reference ends here.
        let is_kept = unsafe { &*record.cache.get() }.entries() <= ENTRIES_KEPT;
        self.gate.leave(&record.state);
        // WO1.
        let mut members = self.members.lock();
        Arc::make_mut(&mut members.list).retain(|mutator| !Arc::ptr_eq(mutator, record));
        self.count.store(members.list.len(), Ordering::Relaxed);
        if is_kept && members.kept.len() < RECORDS_KEPT {
            members.kept.push(Arc::clone(record));
        }
    }

    /// Forgets the records that are kept for mutators to come.
    pub(crate) fn release_records(&self) {
        let kept = std::mem::take(&mut self.members.lock().kept);
        drop(kept);
    }

    /// Waits until the world stands. Returns the mutators there are, and proof that they
    /// are outside: `None` if one was abandoned.
    ///
    /// # Panics
    ///
    /// If it is another world that is to stop.
    pub(crate) fn wait<'c>(
        &self,
        stopping: Stopping<'c>,
    ) -> (MutatorList, Option<WorldStopped<'c>>) {
        assert!(stopping.is_of(&self.gate), "the gate is that of another heap");
        // Listed when the flag is up: a mutator that attaches later stays outside (GA1).
        let mutators = Arc::clone(&self.members.lock().list);
        // SAFETY: the list has all mutators of this gate that may be inside (WO1), and was read
        // after the flag was raised.
        let world = unsafe { stopping.wait(mutators.iter().map(|mutator| &mutator.state)) };
        (mutators, world)
    }
}

#[cfg(all(test, not(heap_loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_stop_waits_for_those_in_the_list() {
        let world = World::default();
        let mutator = world.attach(|| None);
        assert!(mutator.state.is_running() && world.count() == 1);
        world.gate.leave(&mutator.state);
        let collector = world.gate.claim();
        let (mutators, stopped) = world.wait(collector.raise());
        assert!(stopped.is_some() && Arc::ptr_eq(&mutators[0], &mutator));
        drop((mutators, stopped));
        world.gate.enter(&mutator.state);
        world.detach(&mutator);
        assert!(!mutator.state.is_running() && world.count() == 0);
        assert!(world.wait(collector.raise()).0.is_empty(), "WO1");
    }

    #[test]
    fn a_record_is_used_again_when_nothing_else_has_it() {
        let world = World::default();
        let first = world.attach(|| None);
        let (address, state) = (Arc::as_ptr(&first), &first.state);
        state.abandon(&world.gate);
        // SAFETY: MU1: inside, on this thread.
        unsafe { &mut *first.shadow.get() }.push(NonNull::dangling());
        world.detach(&first);
        // A guard, or the list of a collector, still has it.
        let second = world.attach(|| None);
        assert!(!std::ptr::eq(address, &*second), "WO2");
        world.detach(&first);
        drop(first);
        let again = world.attach(|| None);
        assert!(std::ptr::eq(address, &*again) && again.state.is_running());
        // SAFETY: as above.
        assert!(unsafe { &*again.shadow.get() }.is_empty(), "WO2");
        let collector = world.gate.claim();
        world.gate.leave(&again.state);
        world.gate.leave(&second.state);
        let (mutators, stopped) = world.wait(collector.raise());
        assert!(stopped.is_some() && mutators.len() == 2, "neither is abandoned, WO2");
        drop((mutators, stopped));
        drop(collector);
        [again, second].iter().for_each(|record| world.detach(record));
        assert_eq!(world.members.lock().kept.len(), 2);
        world.release_records();
        assert!(world.members.lock().kept.is_empty());
        let many: Vec<_> = (0..3 * RECORDS_KEPT).map(|_| world.attach(|| None)).collect();
        many.iter().for_each(|record| world.detach(record));
        assert_eq!(world.members.lock().kept.len(), RECORDS_KEPT);
    }

    #[test]
    #[should_panic(expected = "the gate is that of another heap")]
    fn the_stop_of_another_world_is_no_stop_of_this_one() {
        let [this, other] = [(); 2].map(|()| World::default());
        let collector = other.gate.claim();
        let _ = this.wait(collector.raise());
    }
}
