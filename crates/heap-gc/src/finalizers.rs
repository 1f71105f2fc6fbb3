//! Finalizers: objects that are handed back to the program once when they are found unreachable.
//!
//! A registry has the objects that are registered, oldest first, and a queue. It keeps the registered
//! ones alive no longer than others do; after marking, those that are white move to the queue, and
//! are then marked with all they lead to: they are *revived*. The queue keeps its objects alive until
//! the program takes them. The collector calls nothing: the program drains the queue when it likes,
//! the latest registration first. (Boehm, "Destructors, finalizers, and synchronization", 2003, says
//! why finalizers must not run inside an allocation; Whippet and MMTk have such queues too.)
//!
//! * FI1: while a mutator is inside, every object of a registry is alive.
//! * FI2: a registration is in one place: registered, or in one batch of the queue; it leaves the queue
//!   once.
//! * FI3: what stands in a queue when marking begins is visited, or taken out by a mutator, which marks
//!   it (as with I2). What is taken from the end of a batch was not visited or is visited for nothing.
//! * FI5: a queue has room for two more batches than it has as long as anything is registered, or what is
//!   found dead is *put off*: where there is no memory to move it to the queue it stays registered, is
//!   marked with what was found, and is found again by the next collection. So neither a collection nor
//!   `enqueue_all` needs memory.
//! * FI4: registrations found dead by one collection are a batch, the latest first; batches go out in
//!   the order of their collections.
//!
//! Under a lock each: mutators that are inside register and take; the collector visits and finds, with
//! the world stopped.
//!
//! Model: `tests/loom_finalizers.rs`.

use std::collections::VecDeque;
use std::ptr::NonNull;
use std::sync::{Arc, Weak};

use heap_core::error::OutOfMemory;
use heap_core::location::Location;
use heap_core::mark_byte::prefetch_mark;
use heap_core::shrink::shrink_to;
use heap_sync::atomic::{AtomicUsize, Ordering};
use heap_sync::lock::Mutex;
use heap_sync::mutant;

use crate::gate::WorldStopped;
use crate::mark::Seeds;

/// Objects that are looked at between two looks at the clock: some ten microseconds. In builds with
/// assertions few, so that the few objects of tests are looked at in several slices.
const OBJECTS_VISITED: usize = if cfg!(any(debug_assertions, heap_loom)) { 2 } else { 2048 };

/// How far ahead the search looks.
const OBJECTS_AHEAD: usize = 16;

/// What one collection has found dead.
#[derive(Debug)]
struct Batch {
    /// The earliest registration first: the last goes out first.
    objects: Vec<NonNull<u8>>,
    /// How many of them the collection that is under way has not visited: the first ones.
    unvisited: usize,
}

#[derive(Debug, Default)]
struct Registry {
    /// The earliest first. While the dead are searched for, those between `kept` and `seen` are
    /// none.
    registered: Vec<NonNull<u8>>,
    /// How many the search has kept, and seen, and will see: those that are registered after it has
    /// begun are not dead.
    kept: usize,
    seen: usize,
    end: usize,
    /// What the search has found.
    found: Vec<NonNull<u8>>,
    /// Whether the search has put something off (FI5).
    put_off: bool,
    /// How many registrations are to be visited for that: the first ones.
    unvisited: usize,
    queue: VecDeque<Batch>,
    /// Objects in the queue.
    queued: usize,
}

// SAFETY: addresses of objects, which any thread that is inside may have.
unsafe impl Send for Registry {}

impl Registry {
    /// Searches some registrations for dead objects. Returns how many it has looked at; the search is
    /// over if these are fewer than `limit`.
    fn find_some(&mut self, limit: usize) -> usize {
        let end = self.end.min(self.seen + limit);
        let looked_at = end - self.seen;
        for at in self.seen..end {
            if let Some(soon) = self.registered.get(at + OBJECTS_AHEAD) {
                prefetch_mark(*soon);
            }
            let object = self.registered[at];
            // SAFETY: FI1: its memory was not swept.
            let is_dead = unsafe { Location::of(object) }.mark().is_white();
            let has_room =
                is_dead && self.found.try_reserve(1).is_ok() && self.queue.try_reserve(3).is_ok();
            self.put_off |= is_dead && !has_room;
            if has_room {
                self.found.push(object);
            } else {
                self.registered[self.kept] = object;
                self.kept += 1;
            }
        }
        self.seen = end;
        if looked_at < limit {
            self.end_search();
        }
        looked_at
    }

    /// Ends the search: what was found is a batch (FI4).
    fn end_search(&mut self) {
        self.registered.drain(self.kept..self.seen);
        if std::mem::take(&mut self.put_off) {
            self.unvisited = self.kept;
        }
        (self.kept, self.seen, self.end) = (0, 0, 0);
        if self.registered.len() * 4 < self.registered.capacity() {
            let room = self.registered.len() * 2;
            shrink_to(&mut self.registered, room);
        }
        let objects = std::mem::take(&mut self.found);
        let unvisited = objects.len();
        self.enqueue(Batch { objects, unvisited });
    }

    fn enqueue(&mut self, batch: Batch) {
        if !batch.objects.is_empty() {
            self.queued += batch.objects.len();
            self.queue.push_back(batch);
        }
    }

    /// Visits some of the queue, and of what was put off. Returns how many objects it has visited.
    fn visit_some(&mut self, limit: usize, visit: &mut dyn FnMut(NonNull<u8>)) -> usize {
        let from = self.unvisited.saturating_sub(limit);
        self.registered[from..self.unvisited].iter().for_each(|object| visit(*object));
        let mut left = limit - (self.unvisited - from);
        self.unvisited = from;
        for batch in &mut self.queue {
            let from = batch.unvisited.saturating_sub(left);
            batch.objects[from..batch.unvisited].iter().for_each(|object| visit(*object));
            left -= batch.unvisited - from;
            batch.unvisited = from;
        }
        limit - left
    }

    /// The next object of the queue (FI3).
    fn take(&mut self) -> Option<NonNull<u8>> {
        let batch = self.queue.front_mut()?;
        let object = batch.objects.pop();
        batch.unvisited = batch.unvisited.min(batch.objects.len());
        if batch.objects.is_empty() {
            self.queue.pop_front();
        }
        self.queued -= usize::from(object.is_some());
        object
    }
}

/// The finalizers of a heap.
#[derive(Debug, Default)]
pub(crate) struct Finalizers {
    list: Mutex<List>,
    /// Objects in queues.
    queued: AtomicUsize,
}

#[derive(Debug, Default)]
struct List {
    registries: Vec<Weak<Mutex<Registry>>>,
    /// How many were not looked at, by the search or the visit that is under way: the first ones.
    left: usize,
    /// Whether the search has found anything.
    any_found: bool,
}

impl Finalizers {
    /// Begins to visit what stands in the queues.
    pub(crate) fn begin_visit(&self) {
        let mut list = self.list.lock();
        list.left = list.registries.len();
        for registry in list.registries.iter().filter_map(Weak::upgrade) {
            for batch in &mut registry.lock().queue {
                batch.unvisited = batch.objects.len();
            }
        }
    }

    /// Visits some of it (FI3), or of what was found dead.
    pub(crate) fn visit_some(&self, visit: &mut dyn FnMut(NonNull<u8>)) -> Seeds {
        mutant!("revives nothing" => return Seeds::Done);
        self.each_left(|registry, limit| registry.visit_some(limit, visit))
    }

    /// Begins to visit what was found dead. Says whether anything was; if not, there is no visit.
    pub(crate) fn begin_revival(&self) -> bool {
        let mut list = self.list.lock();
        let any_found = std::mem::take(&mut list.any_found);
        if any_found {
            list.left = list.registries.len();
        }
        any_found
    }

    /// Begins to search for the dead: all that can be reached is marked.
    pub(crate) fn begin_find(&self, _world: &WorldStopped<'_>) {
        let mut list = self.list.lock();
        list.left = list.registries.len();
        for registry in list.registries.iter().filter_map(Weak::upgrade) {
            let registry = &mut *registry.lock();
            registry.end = registry.registered.len();
        }
    }

    /// Searches some registrations. Says whether there are more.
    pub(crate) fn find_some(&self, _world: &WorldStopped<'_>) -> Seeds {
        let (mut queued, mut put_off) = (0, false);
        let seeds = self.each_left(|registry, limit| {
            let before = registry.queued;
            let looked_at = registry.find_some(limit);
            queued += registry.queued - before;
            put_off |= registry.unvisited > 0;
            looked_at
        });
        // ORDERING: Relaxed, as all accesses: see `any_queued`.
        self.queued.fetch_add(queued, Ordering::Relaxed);
        self.list.lock().any_found |= queued > 0 || put_off;
        seeds
    }

    /// Calls `work` with a registry that is left, and the number of objects that it may look at, until
    /// it has looked at as many. One that looks at fewer is done.
    fn each_left(&self, mut work: impl FnMut(&mut Registry, usize) -> usize) -> Seeds {
        let List { registries, left, .. } = &mut *self.list.lock();
        let mut limit = OBJECTS_VISITED;
        while *left > 0 {
            let at = *left - 1;
            match registries[at].upgrade() {
                Some(registry) => {
                    let looked_at = work(&mut registry.lock(), limit);
                    if looked_at == limit {
                        return Seeds::More;
                    }
                    limit -= looked_at;
                }
                // What takes its place was looked at, or is new.
                None => drop(registries.swap_remove(at)),
            }
            *left -= 1;
        }
        Seeds::Done
    }

    /// Whether an object waits in a queue.
    #[inline(always)]
    pub(crate) fn any_queued(&self) -> bool {
        // ORDERING: Relaxed: a hint; the queue itself is locked.
        self.queued.load(Ordering::Relaxed) != 0
    }

    /// Calls `visit` with every object, for the verifier.
    pub(crate) fn each(&self, _world: &WorldStopped<'_>, mut visit: impl FnMut(NonNull<u8>)) {
        for registry in self.list.lock().registries.iter().filter_map(Weak::upgrade) {
            let registry = registry.lock();
            registry.registered.iter().for_each(|object| visit(*object));
            registry
                .queue
                .iter()
                .flat_map(|batch| &batch.objects)
                .for_each(|object| visit(*object));
        }
    }
}

/// A program's side of a registry of finalizers. A mutator uses it:
/// [`Mutator::register_finalizer`](crate::Mutator::register_finalizer).
#[derive(Debug)]
pub struct FinalizerRegistry {
    registry: Arc<Mutex<Registry>>,
    /// Those of its heap. Held, so that no others can come to the same address.
    all: Arc<Finalizers>,
}

impl FinalizerRegistry {
    /// An empty registry of a heap.
    pub(crate) fn new(all: &Arc<Finalizers>) -> FinalizerRegistry {
        let registry = Arc::new(Mutex::new(Registry::default()));
        let mut list = all.list.lock();
        if list.registries.len() == list.registries.capacity() && list.left == 0 {
            // A program that makes and drops registries but never collects.
            list.registries.retain(|registry| registry.strong_count() > 0);
        }
        list.registries.push(Arc::downgrade(&registry));
        drop(list);
        FinalizerRegistry { registry, all: Arc::clone(all) }
    }

    /// Whether it is one of these.
    pub(crate) fn is_of(&self, all: &Arc<Finalizers>) -> bool {
        Arc::ptr_eq(&self.all, all)
    }

    /// Registers an object, once more if it is registered.
    ///
    /// # Errors
    ///
    /// If the system refuses the memory.
    ///
    /// # Safety
    ///
    /// A mutator of the heap is inside on this thread. `object` is as for
    /// [`Mutator::try_root`](crate::Mutator::try_root); if a collection is under way it is marked.
    pub(crate) unsafe fn try_register(&self, object: NonNull<u8>) -> Result<(), OutOfMemory> {
        let mut registry = self.registry.lock();
        registry.registered.try_reserve(1).map_err(|_| OutOfMemory::System)?;
        // FI5.
        registry.queue.try_reserve(2).map_err(|_| OutOfMemory::System)?;
        registry.registered.push(object);
        Ok(())
    }

    /// Takes the next object of the queue out (FI2). If a collection is under way, the caller marks
    /// it before it comes to a safepoint (FI3).
    pub(crate) fn take(&self) -> Option<NonNull<u8>> {
        let object = self.registry.lock().take()?;
        self.all.queued.fetch_sub(1, Ordering::Relaxed);
        Some(object)
    }

    /// Moves all that is registered to the queue, as if all of it had been found dead. Calls `keep`
    /// with each object, which marks it if a collection is under way.
    pub(crate) fn enqueue_all(&self, mut keep: impl FnMut(NonNull<u8>)) {
        let mut registry = self.registry.lock();
        let before = registry.queued;
        // What a search has found and not handed over goes first, as it would have. It is dead so far,
        // and no revival may come.
        registry.found.iter().copied().for_each(&mut keep);
        registry.end_search();
        // All of them are kept.
        registry.unvisited = 0;
        let objects = std::mem::take(&mut registry.registered);
        objects.iter().copied().for_each(keep);
        registry.enqueue(Batch { objects, unvisited: 0 });
        self.all.queued.fetch_add(registry.queued - before, Ordering::Relaxed);
    }

    /// Numbers of objects that are registered, and that wait in the queue.
    #[must_use]
    pub fn len(&self) -> (usize, usize) {
        let registry = self.registry.lock();
        let found = registry.found.len();
        let registered = registry.registered.len() - (registry.seen - registry.kept);
        (registered + found, registry.queued)
    }
}

impl Drop for FinalizerRegistry {
    fn drop(&mut self) {
        // A collector may be about to look at it.
        let queued = std::mem::take(&mut *self.registry.lock()).queued;
        self.all.queued.fetch_sub(queued, Ordering::Relaxed);
    }
}

#[cfg(all(test, heap_loom))]
#[path = "tests/loom_finalizers.rs"]
mod loom_finalizers;

#[cfg(all(test, not(heap_loom)))]
mod tests {
    use super::*;

    #[test]
    fn registries_that_were_dropped_are_forgotten_also_after_a_collection() {
        let all = Arc::new(Finalizers::default());
        let kept = FinalizerRegistry::new(&all);
        all.begin_visit();
        while all.visit_some(&mut |_| {}) == Seeds::More {}
        assert!(!all.begin_revival(), "nothing was found");
        (0..1000).for_each(|_| drop(FinalizerRegistry::new(&all)));
        let listed = all.list.lock().registries.len();
        assert!(listed < 10, "{listed}");
        assert_eq!(kept.len(), (0, 0));
    }
}
