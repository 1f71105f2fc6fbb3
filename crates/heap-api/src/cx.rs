//! [`Cx`]: a thread's presence inside a heap.
//!
//! While a `Cx` exists its thread is a *mutator* of the heap: it may hold
//! handles, and no collection can complete. Shared access (`&Cx`) allocates
//! and never collects; a safepoint needs exclusive access (`&mut Cx`), which the borrow
//! checker grants only when no handle is left. A thread that enters has no handles either
//! (X1), so entering is a safepoint too.
//!
//! * X1: a thread is inside at most one heap at a time (a thread-local flag;
//!   [`Cx::park`] steps out for the length of a closure). So of all the
//!   contexts of a thread only one can be named, and that one is inside; the
//!   others are borrowed by calls of `park` further up the stack.
//! * X2: a `Cx` that is leaked leaves its thread inside for good: the heap can
//!   then never collect again, because handles of that region may still exist.
//! * X3: an object that is allocated in a region holds only handles of that region:
//!   `T: Trace<At<'gc> = T>` says that the handles inside a new object are of
//!   the region that `cx` is in, not of a longer one. Without it an empty
//!   `GcCell<Option<Gc<'static, _>>>` could be filled through a root, which gives
//!   its type as `GcCell<Option<Gc<'gc, _>>>`, and read back as `'static`.

use core::cell::{Cell, RefCell};
use core::fmt;
use core::marker::PhantomData;

use heap_gc::{Mutator, PollFlag, ThreadExitGuard, VerifyError};
use heap_sync::time::Instant;

use crate::heap::Heap;
use crate::local;
use crate::trace::Trace;

heap_sync::thread::thread_local! {
    /// X1: whether this thread is inside some heap.
    static INSIDE: Cell<bool> = const { Cell::new(false) };
    /// X2: tells the heap when the thread ends while inside.
    static EXIT_GUARD: RefCell<Option<ThreadExitGuard>> = const { RefCell::new(None) };
}

/// A context: a thread's presence inside a [`Heap`], needed to allocate and to read
/// roots. Made by [`Heap::enter`]; dropping it leaves the heap.
///
/// `&Cx` allocates and never collects, and handles borrow it. A safepoint takes
/// `&mut Cx`, which the borrow checker grants only when no handle is alive.
///
/// A context that is leaked (`mem::forget`) leaves its thread inside for good: the heap
/// cannot collect any more.
// Transparent for `of_mutator`.
#[repr(transparent)]
pub struct Cx {
    mutator: Mutator,
    /// Handles and contexts stay on their thread.
    not_send: PhantomData<*mut ()>,
}

/// Whether this thread is inside a heap.
pub(crate) fn is_inside() -> bool {
    INSIDE.try_with(Cell::get).unwrap_or(false)
}

fn claim_thread() {
    INSIDE.with(|inside| {
        assert!(
            !inside.get(),
            "this thread is already inside a heap; use `Cx::park` to enter another one"
        );
        // A destructor that runs while sweeping must not enter a heap: the
        // sweeper is half-way through a span.
        assert!(!heap_gc::is_in_destructor(), "a destructor of a heap object cannot enter a heap");
        inside.set(true);
    });
}

impl Cx {
    pub(crate) fn enter(heap: &Heap) -> Cx {
        let mut cx = Cx::attach(heap);
        cx.safepoint();
        local::drop_dead();
        cx
    }

    /// Enters without checking whether a collection is due.
    pub(crate) fn attach(heap: &Heap) -> Cx {
        claim_thread();
        // If attaching fails by panic, the thread is outside again.
        let undo = OnUnwind(|| INSIDE.with(|inside| inside.set(false)));
        let mutator = Mutator::attach(heap.shared());
        drop(tie(&mutator));
        core::mem::forget(undo);
        Cx { mutator, not_send: PhantomData }
    }

    #[inline(always)]
    pub(crate) fn mutator(&self) -> &Mutator {
        &self.mutator
    }

    /// The context whose mutator this is.
    ///
    /// # Safety
    ///
    /// It is that of a context.
    pub(crate) unsafe fn of_mutator(mutator: &Mutator) -> &Cx {
        // SAFETY: a context has the layout of its mutator, and this is one by the contract.
        unsafe { &*core::ptr::from_ref(mutator).cast::<Cx>() }
    }

    /// The heap this context is inside of.
    #[must_use]
    pub fn heap(&self) -> Heap {
        Heap::from_shared(self.mutator.shared().clone())
    }

    /// Bytes of slots of objects that are not known to be dead, for a language that tells its programs how
    /// much memory they use: [`Stats::live_bytes`](crate::Stats::live_bytes) counts what mutators were
    /// granted, a region of up to 8 KiB for each size at a time; this counts what the calling one has
    /// allocated instead. For the other mutators it has what they were granted. Costs a look at each kind
    /// and size that this thread has allocated.
    ///
    /// ```
    /// use heap_api::{Config, Heap};
    ///
    /// let heap = Heap::new(Config::new());
    /// let cx = heap.enter();
    /// let before = cx.live_bytes();
    /// for i in 0..10_u64 {
    ///     cx.alloc([i, i]);
    /// }
    /// assert_eq!(cx.live_bytes() - before, 10 * 16);
    /// ```
    #[must_use]
    pub fn live_bytes(&self) -> usize {
        self.mutator.live_bytes()
    }

    // ---- safepoints -----------------------------------------------------

    /// Whether this thread should go to a safepoint soon: a collection is due or requested, or
    /// another thread waits until all mutators are at safepoints. One relaxed load, so that an
    /// interpreter can ask at the back-edges of its loops.
    #[inline(always)]
    #[must_use]
    pub fn should_yield(&self) -> bool {
        self.mutator.poll()
    }

    /// What [`Cx::should_yield`] looks at, for a loop that asks often: it keeps the flag in a local
    /// variable, and each look is one load instead of three.
    ///
    /// ```
    /// use heap_api::{Config, Heap};
    ///
    /// let heap = Heap::new(Config::new());
    /// let cx = heap.enter();
    /// let flag = cx.poll_flag();
    /// assert!(!flag.is_raised());
    /// heap.request_collection();
    /// assert!(flag.is_raised() && cx.should_yield());
    /// ```
    #[inline(always)]
    #[must_use]
    pub fn poll_flag(&self) -> PollFlag<'_> {
        self.mutator.poll_flag()
    }

    /// A safepoint: collects if a collection is due, or waits for one that
    /// another mutator runs. Takes `&mut self`, so no handle is alive here. It may run
    /// destructors of dead objects, and other mutators may run them while this thread waits:
    /// a thread that holds a lock that these or other mutators take can deadlock.
    ///
    /// # Panics
    ///
    /// As [`Cx::collect`], if a collection is due or under way.
    #[inline]
    pub fn safepoint(&mut self) {
        if self.mutator.poll() {
            self.timed(Mutator::safepoint);
        }
    }

    /// One step of incremental marking, now: begins a collection, or continues the one that
    /// is under way, for the duration of [`Config::mark_slice`] (one millisecond if that is
    /// not set). For programs that know when they have time: between two frames, say.
    ///
    /// Returns `true` when the collection is complete: unreachable objects are known, and
    /// are swept from now on. (Also when no collection is possible, because a context was
    /// leaked.) A step takes longer if the heap has outgrown its goal. Objects that become
    /// unreachable after the first step, and those that are allocated after it, are kept
    /// until the next collection. If a collection becomes due before the last step, the
    /// rest is done at the next safepoint.
    ///
    /// ```
    /// use heap_api::{Config, Heap};
    ///
    /// let heap = Heap::new(Config::new());
    /// let mut cx = heap.enter();
    /// (0..1000u64).for_each(|i| drop(cx.alloc([i; 4])));
    /// while !cx.collect_step() {
    ///     // There is time for something else.
    /// }
    /// assert_eq!(heap.stats().collections, 1);
    /// ```
    ///
    /// [`Config::mark_slice`]: crate::Config::mark_slice
    ///
    /// # Panics
    ///
    /// As [`Cx::collect`].
    pub fn collect_step(&mut self) -> bool {
        self.timed(Mutator::collect_step)
    }

    /// A full collection, now. Returns once unreachable objects are known;
    /// their memory is swept lazily, and entirely before the next collection.
    ///
    /// # Panics
    ///
    /// If a destructor of a heap object calls it, with a context that it found in a
    /// thread-local.
    pub fn collect(&mut self) {
        self.timed(Mutator::collect);
    }

    /// A full collection, now, that returns once the destructors of everything that it has found
    /// dead have run, also if a background sweeper runs them ([`LocalOpaque`](crate::LocalOpaque)
    /// values of other threads excepted): for programs that are short of what dead objects still
    /// have, such as file descriptors. Everything is swept then.
    ///
    /// ```
    /// use heap_api::{Config, Heap, Opaque};
    /// use std::sync::Arc;
    ///
    /// let heap = Heap::new(Config::new().background_sweep(true));
    /// let mut cx = heap.enter();
    /// let scarce = Arc::new(());
    /// cx.alloc(Opaque(Arc::clone(&scarce)));
    /// cx.collect_and_drop();
    /// assert_eq!(Arc::strong_count(&scarce), 1);
    /// ```
    ///
    /// # Panics
    ///
    /// As [`Cx::collect`].
    pub fn collect_and_drop(&mut self) {
        self.timed(Mutator::collect_and_drop);
    }

    /// Does what a safepoint is for, and drops what waits for this thread. Counts the time.
    #[cold]
    fn timed<R>(&mut self, work: impl FnOnce(&mut Mutator) -> R) -> R {
        let start = Instant::now();
        let result = work(&mut self.mutator);
        local::drop_dead();
        self.mutator.shared().count_safepoint(start.elapsed());
        result
    }

    /// Runs `blocking` outside the heap, so that this thread delays no collection while it
    /// blocks. The closure may enter other heaps. After it has returned, `park` is a
    /// [`safepoint`](Cx::safepoint), with the same risk of deadlock for a thread that then
    /// holds a lock. If there was no collection for a second it takes the program for idle: a heap
    /// without a [background sweeper](crate::Config::background_sweep) then gives back what the program
    /// does not need before the next collection.
    ///
    /// A thread that waits for threads that use the same heap must be parked, or they wait
    /// for each other when one of them collects. `std::thread::scope` waits for its threads
    /// also while it unwinds: if the thread that calls it has a context, the whole call
    /// belongs into a `park`, or nothing in it may panic while that context is inside.
    ///
    /// # Panics
    ///
    /// If the closure returns a `Cx` (which is then dropped). If a destructor of a heap
    /// object calls it, with a context that it found in a thread-local.
    ///
    /// # Aborts
    ///
    /// If the closure stores a `Cx` in a place that outlives it: this context could then
    /// never step back inside, and a caller that catches a panic must not see it again.
    pub fn park<R>(&mut self, blocking: impl FnOnce() -> R) -> R {
        // SAFETY: `&mut self`: the mutator is not in use, and no other code can name it before
        // `back` has brought it inside again. A destructor that has found another context of
        // this thread cannot use it: that one is parked.
        unsafe { self.mutator.step_out() };
        INSIDE.with(|inside| inside.set(false));
        let back = Reenter(self);
        let result = blocking();
        assert!(!is_inside(), "Cx::park: the closure left the thread inside another heap");
        drop(back);
        self.safepoint();
        if self.mutator.shared().is_idle() {
            self.timed(Mutator::give_back_if_idle);
        }
        local::drop_dead();
        result
    }

    /// Checks every invariant of the heap's own structures, at a safepoint, after completing
    /// a collection that is under way.
    ///
    /// # Errors
    ///
    /// As [`Heap::verify`].
    ///
    /// # Panics
    ///
    /// As [`Cx::collect`].
    pub fn verify(&mut self) -> Result<(), VerifyError> {
        self.mutator.verify()
    }

    // ---- the write barrier (B1) -----------------------------------------

    /// For a cell that is about to change.
    ///
    /// # Safety
    ///
    /// As [`Cx::report`], but there need be no mark phase.
    #[inline(always)]
    pub(crate) unsafe fn before_change<T: Trace>(&self, cell: &T) {
        if T::NEEDS_TRACE && self.mutator.marking().is_some() {
            // SAFETY: an incremental mark phase is under way; the rest is forwarded from the
            // caller.
            unsafe { self.report(cell) };
        }
    }

    /// Reports what a cell holds, while an incremental mark phase is under way. (A call with a
    /// slice would take one register more from its callers, which are the hot loops of
    /// interpreters.)
    ///
    /// # Safety
    ///
    /// A mark phase is under way, and the caller has the cell to itself: see
    /// [`report`](crate::trace::report).
    #[cold]
    #[inline(never)]
    pub(crate) unsafe fn report<T: Trace>(&self, cell: &T) {
        // SAFETY: forwarded from the caller.
        unsafe { self.report_all(core::slice::from_ref(cell)) };
    }

    /// The same for several cells.
    ///
    /// # Safety
    ///
    /// As [`Cx::report`], for each.
    #[cold]
    pub(crate) unsafe fn report_all<T: Trace>(&self, cells: &[T]) {
        // SAFETY: forwarded from the caller. A `trace` has only the tracer, and allocates
        // nothing in the heap (contract of `Trace`): it does not come back to the mutator.
        unsafe { self.mutator.barrier_mark(|edges| crate::trace::report(cells, edges)) };
    }
}

impl Drop for Cx {
    fn drop(&mut self) {
        debug_assert!(self.mutator.is_running(), "X1");
        // SAFETY: the mutator is dropped next; `&mut self`: it is not in use.
        unsafe { self.mutator.leave() };
        INSIDE.with(|inside| inside.set(false));
        // Taken while outside: an exit guard that drops inside abandons the mutator.
        // The thread-local may be gone when a thread ends.
        let _ = EXIT_GUARD.try_with(RefCell::take);
    }
}

impl fmt::Debug for Cx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cx").field("mutator", &self.mutator.id()).finish_non_exhaustive()
    }
}

/// Steps back into the heap when the closure of `park` returns or unwinds.
struct Reenter<'a>(&'a mut Cx);

impl Drop for Reenter<'_> {
    fn drop(&mut self) {
        if INSIDE.with(|inside| inside.replace(true)) {
            stranded();
        }
        let mutator = &self.0.mutator;
        // While outside: the new exit guard replaces one of this very mutator.
        let untied = tie(mutator);
        if let Some(blocked) = mutator.enter() {
            mutator.shared().count_safepoint(blocked);
        }
        drop(untied);
    }
}

/// Puts an exit guard in the thread-local, which tells the heap if the thread ends while the
/// mutator is inside (X2).
///
/// In a destructor of a thread-local that place may be gone already, and nothing would tell the
/// heap when the thread ends. Then the guard is returned, and the caller drops it while inside,
/// which tells the heap now. The context can be used and dropped all the same; while it is
/// inside, other mutators do not collect.
#[must_use]
fn tie(mutator: &Mutator) -> Option<ThreadExitGuard> {
    let mut exit_guard = Some(mutator.exit_guard());
    match EXIT_GUARD.try_with(|slot| slot.replace(exit_guard.take())) {
        Ok(replaced) => {
            drop(replaced);
            None
        }
        Err(_) => exit_guard,
    }
}

/// Ends a process whose `park` closure left its thread inside a heap.
///
/// A panic is not enough: code that catches it could name two contexts, of which either
/// one is outside its heap and hands out handles all the same, or both are inside and
/// handles of two heaps meet.
#[cold]
#[inline(never)]
fn stranded() -> ! {
    eprintln!("Cx::park: the closure left the thread inside another heap");
    std::process::abort()
}

struct OnUnwind<F: FnMut()>(F);

impl<F: FnMut()> Drop for OnUnwind<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}
