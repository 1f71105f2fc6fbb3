//! [`Finalizers`]: objects that come back once when they are found unreachable.
//!
//! The registry and its protocol are the collector's (FI1 to FI4); here they get a type.
//!
//! * FZ1: a thread that has a registry can reach its objects, so it goes to another thread only if these may
//!   be shared.

use core::fmt;
use core::marker::PhantomData;

use heap_gc::FinalizerRegistry;

use crate::alloc::out_of_memory;
use crate::cx::Cx;
use crate::error::OutOfMemory;
use crate::gc::Gc;
use crate::heap::Heap;
use crate::payload::Payload;
use crate::share::Share;

/// A registry of objects that are to be finalized, and a queue of those that were found unreachable.
///
/// The collector calls nothing. When a collection finds a registered object unreachable it *revives*
/// the object, with all that it leads to, ends the registration, and puts the object into the queue,
/// once for each registration. The program takes it from there when it likes ([`Finalizers::next`]),
/// and may do with it what it wants: run a finalizer, register it again, store it.
///
/// * The object that was registered last is the first to come out, among those that one collection has
///   found. (What the collection before has found comes first.)
/// * Cycles of registered objects, and registered objects that lead to each other, come out together.
/// * [Weak handles](crate::Weak) to an object, and to what only it leads to, are cleared before it
///   comes out. Entries of [`WeakMap`](crate::WeakMap) and [`InternSet`](crate::InternSet)
///   that are reachable again stay.
/// * What is in the queue is alive. What is registered is alive until it comes out, also while a
///   collection is under way: nothing is lost that was registered.
/// * Objects so small that they share a slot (fewer than 16 bytes, no handles, no destructor) are
///   found unreachable together.
///
/// ```
/// use heap_api::{Config, Finalizers, Heap};
///
/// let heap = Heap::new(Config::new());
/// let mut cx = heap.enter();
/// let finalizers = Finalizers::<str>::new(&heap);
/// finalizers.register(&cx, cx.alloc_str("first"));
/// finalizers.register(&cx, cx.alloc_str("second"));
/// assert!(finalizers.next(&cx).is_none());
/// cx.collect();
/// assert!(cx.has_finalizable());
/// assert_eq!(&*finalizers.next(&cx).unwrap(), "second");
/// assert_eq!(&*finalizers.next(&cx).unwrap(), "first");
/// assert!(finalizers.next(&cx).is_none());
/// ```
///
/// What a program releases must be released when it ends, too: [`Finalizers::enqueue_all`] hands out
/// everything that is registered. Dropping a registry forgets what is in it.
pub struct Finalizers<T: ?Sized> {
    registry: FinalizerRegistry,
    target: PhantomData<*const T>,
}

// SAFETY: FZ1; the registry itself is locked.
unsafe impl<T: ?Sized + Share> Send for Finalizers<T> {}
// SAFETY: as above.
unsafe impl<T: ?Sized + Share> Sync for Finalizers<T> {}

impl<T: ?Sized + Payload> Finalizers<T> {
    /// An empty registry for objects of `heap`.
    #[must_use]
    pub fn new(heap: &Heap) -> Self {
        Finalizers { registry: heap.shared().finalizer_registry(), target: PhantomData }
    }

    /// Registers an object; once more, if it is registered.
    ///
    /// # Panics
    ///
    /// If `cx` belongs to another heap, or if the system refuses the memory: see
    /// [`Finalizers::try_register`].
    #[track_caller]
    pub fn register<'gc>(&self, cx: &'gc Cx, value: Gc<'gc, T::At<'gc>>) {
        self.try_register(cx, value).unwrap_or_else(|reason| out_of_memory(reason));
    }

    /// As [`Finalizers::register`], for callers that handle refused memory.
    ///
    /// # Errors
    ///
    /// If the system refuses the memory. (It is not counted by the heap's limit.)
    ///
    /// # Panics
    ///
    /// If `cx` belongs to another heap.
    #[track_caller]
    pub fn try_register<'gc>(
        &self,
        cx: &'gc Cx,
        value: Gc<'gc, T::At<'gc>>,
    ) -> Result<(), OutOfMemory> {
        // SAFETY: a handle of the region that `cx` is in leads to a live object of its heap.
        unsafe { cx.mutator().register_finalizer(&self.registry, value.object()) }
    }

    /// The next object that was found unreachable.
    ///
    /// # Panics
    ///
    /// If `cx` belongs to another heap.
    #[must_use]
    #[track_caller]
    pub fn next<'gc>(&self, cx: &'gc Cx) -> Option<Gc<'gc, T::At<'gc>>> {
        let object = cx.mutator().next_finalizable(&self.registry)?;
        // SAFETY: alive (FI1) until the next safepoint at least, and only such objects are
        // registered.
        Some(unsafe { Gc::from_object(object) })
    }

    /// Puts everything that is registered into the queue, as if it was found unreachable now: for the
    /// end of a program or of an interpreter. Weak handles stay as they are.
    ///
    /// # Panics
    ///
    /// If `cx` belongs to another heap.
    #[track_caller]
    pub fn enqueue_all(&self, cx: &Cx) {
        cx.mutator().enqueue_all_finalizers(&self.registry);
    }
}

impl<T: ?Sized> Finalizers<T> {
    /// Number of registrations whose objects were not found unreachable.
    #[must_use]
    pub fn registered_len(&self) -> usize {
        self.registry.len().0
    }

    /// Number of objects in the queue.
    #[must_use]
    pub fn queue_len(&self) -> usize {
        self.registry.len().1
    }
}

impl<T: ?Sized> fmt::Debug for Finalizers<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Finalizers")
            .field("registered", &self.registered_len())
            .field("queue", &self.queue_len())
            .finish()
    }
}

impl Cx {
    /// Whether an object of any [`Finalizers`] of the heap waits in a queue: one relaxed load, for
    /// the loop of an interpreter.
    #[inline(always)]
    #[must_use]
    pub fn has_finalizable(&self) -> bool {
        self.mutator().has_finalizable()
    }
}
