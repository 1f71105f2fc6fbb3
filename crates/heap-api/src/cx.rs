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
use core::ptr::NonNull;

use heap_core::alloc_class::{self, Slot as SlotClass};
use heap_gc::{Mutator, OutOfMemory, ThreadExitGuard};

use crate::error::AllocError;
use crate::gc::Gc;
use crate::heap::Heap;
use crate::payload::{HeaderSlice, HeaderSliceLayout, Payload, tiny_layout};
use crate::root::{Root, Scope};
use crate::trace::Trace;

thread_local! {
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
pub struct Cx {
    mutator: Mutator,
    /// Handles and contexts stay on their thread.
    not_send: PhantomData<*mut ()>,
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

    /// The heap this context is inside of.
    #[must_use]
    pub fn heap(&self) -> Heap {
        Heap::from_shared(self.mutator.shared().clone())
    }

    // ---- allocation -----------------------------------------------------

    /// Allocates a value. Never collects, so existing handles stay valid.
    ///
    /// # Panics
    ///
    /// If the heap's limit or the system refuses the memory: use [`Cx::try_alloc`] to handle
    /// that. May also panic if a destructor of a heap object calls it, with a context that it
    /// found in a thread-local.
    #[inline(always)]
    #[track_caller]
    pub fn alloc<'gc, T: Trace<At<'gc> = T>>(&'gc self, value: T) -> Gc<'gc, T> {
        match self.try_alloc(value) {
            Ok(gc) => gc,
            Err(error) => out_of_memory(error.reason),
        }
    }

    /// Allocates a value, or gives it back.
    ///
    /// # Errors
    ///
    /// [`AllocError`] with the value when the heap's limit or the system
    /// refuses the memory. The refusal requests a collection, so the allocation may succeed
    /// after the next safepoint.
    ///
    /// # Panics
    ///
    /// May panic if a destructor of a heap object calls it, with a context that it found in a
    /// thread-local.
    #[inline(always)]
    pub fn try_alloc<'gc, T: Trace<At<'gc> = T>>(
        &'gc self,
        value: T,
    ) -> Result<Gc<'gc, T>, AllocError<T>> {
        // SAFETY: written to below.
        match unsafe { self.sized_slot::<T>() } {
            Ok(object) => {
                // SAFETY: a fresh slot of at least this size and alignment, to which there
                // is no other pointer; it becomes a live `T` here.
                unsafe {
                    object.cast::<T>().write(value);
                    Ok(Gc::from_object(object))
                }
            }
            Err(reason) => Err(AllocError { value, reason }),
        }
    }

    /// Memory for a `T`; the compiler decides between the cases.
    ///
    /// # Safety
    ///
    /// The caller writes a `T` there before it calls any other function.
    #[inline(always)]
    pub(crate) unsafe fn sized_slot<T: Trace>(&self) -> Result<NonNull<u8>, OutOfMemory> {
        const {
            assert!(
                align_of::<T>() <= heap_core::geometry::PAGE_SIZE,
                "the heap aligns objects to 8 KiB at most"
            );
        }
        if let Some(layout) = const { tiny_layout::<T>() } {
            return self.mutator.alloc_tiny(layout);
        }
        let slot = const { alloc_class::for_sized(size_of::<T>(), align_of::<T>()) };
        let kind = const { <T as Payload>::KIND };
        // SAFETY: the class is that of a `T`, whose kind this is, and the caller writes one
        // before there can be a safepoint.
        unsafe {
            match slot {
                SlotClass::Small(class) => self.mutator.alloc_small(kind, class),
                SlotClass::Large => self.mutator.alloc_large(kind, size_of::<T>()),
            }
        }
    }

    /// Allocates a copy of `text`.
    ///
    /// # Panics
    ///
    /// As [`Cx::alloc`].
    #[track_caller]
    pub fn alloc_str<'gc>(&'gc self, text: &str) -> Gc<'gc, str> {
        or_panic(self.try_alloc_str(text))
    }

    /// Allocates a copy of `text`.
    ///
    /// # Errors
    ///
    /// As [`Cx::try_alloc`].
    pub fn try_alloc_str<'gc>(&'gc self, text: &str) -> Result<Gc<'gc, str>, AllocError> {
        let bytes = self.try_alloc_header_slice_copy::<(), u8>((), text.as_bytes())?;
        // SAFETY: `str` has the layout of `[u8]`, and the bytes are UTF-8.
        Ok(unsafe { Gc::from_object(bytes.object()) })
    }

    /// Allocates a copy of a slice of plain values.
    ///
    /// # Panics
    ///
    /// As [`Cx::alloc`].
    #[track_caller]
    pub fn alloc_slice_copy<'gc, T: Trace<At<'gc> = T> + Copy>(
        &'gc self,
        values: &[T],
    ) -> Gc<'gc, [T]> {
        or_panic(self.try_alloc_slice_copy(values))
    }

    /// Allocates a copy of a slice of plain values.
    ///
    /// # Errors
    ///
    /// As [`Cx::try_alloc`].
    pub fn try_alloc_slice_copy<'gc, T: Trace<At<'gc> = T> + Copy>(
        &'gc self,
        values: &[T],
    ) -> Result<Gc<'gc, [T]>, AllocError> {
        let header_slice = self.try_alloc_header_slice_copy::<(), T>((), values)?;
        // SAFETY: `[T]` and `HeaderSlice<(), T>` have the same heap layout.
        Ok(unsafe { Gc::from_object(header_slice.object()) })
    }

    /// Allocates a slice of `len` values made by `make`, in order.
    ///
    /// # Panics
    ///
    /// As [`Cx::alloc`]; and if `make` panics.
    #[track_caller]
    pub fn alloc_slice_fn<'gc, T: Trace<At<'gc> = T>>(
        &'gc self,
        len: usize,
        make: impl FnMut(usize) -> T,
    ) -> Gc<'gc, [T]> {
        or_panic(self.try_alloc_slice_fn(len, make))
    }

    /// Allocates a slice of `len` values made by `make`, in order. `make` is not
    /// called if there is no memory.
    ///
    /// # Errors
    ///
    /// As [`Cx::try_alloc`].
    ///
    /// # Panics
    ///
    /// If `make` panics; the elements that it had made are dropped when the slot is swept.
    #[inline]
    pub fn try_alloc_slice_fn<'gc, T: Trace<At<'gc> = T>>(
        &'gc self,
        len: usize,
        make: impl FnMut(usize) -> T,
    ) -> Result<Gc<'gc, [T]>, AllocError> {
        let header_slice =
            self.try_alloc_header_slice_fn((), len, make).map_err(AllocError::without_value)?;
        // SAFETY: `[T]` and `HeaderSlice<(), T>` have the same heap layout.
        Ok(unsafe { Gc::from_object(header_slice.object()) })
    }

    /// Allocates a header followed by a copy of a slice of plain values.
    ///
    /// # Panics
    ///
    /// As [`Cx::alloc`].
    #[track_caller]
    pub fn alloc_header_slice_copy<'gc, H: Trace<At<'gc> = H>, T: Trace<At<'gc> = T> + Copy>(
        &'gc self,
        header: H,
        tail: &[T],
    ) -> Gc<'gc, HeaderSlice<H, T>> {
        or_panic(self.try_alloc_header_slice_copy(header, tail))
    }

    /// Allocates a header followed by a copy of a slice of plain values.
    ///
    /// # Errors
    ///
    /// As [`Cx::try_alloc`]; the header is given back.
    #[inline]
    pub fn try_alloc_header_slice_copy<'gc, H: Trace<At<'gc> = H>, T: Trace<At<'gc> = T> + Copy>(
        &'gc self,
        header: H,
        tail: &[T],
    ) -> Result<Gc<'gc, HeaderSlice<H, T>>, AllocError<H>> {
        // SAFETY: written to below.
        let object = match unsafe { self.header_slice_slot::<H, T>(tail.len()) } {
            Ok(object) => object,
            Err(reason) => return Err(AllocError { value: header, reason }),
        };
        let layout = object.cast::<HeaderSliceLayout<H, T>>().as_ptr();
        // SAFETY: a fresh slot of `bytes(tail.len())` bytes: header and tail fit,
        // and the source cannot overlap it.
        unsafe {
            (&raw mut (*layout).len).write(tail.len());
            (&raw mut (*layout).header).write(header);
            object
                .add(HeaderSliceLayout::<H, T>::TAIL)
                .cast::<T>()
                .copy_from_nonoverlapping(NonNull::from(tail).cast(), tail.len());
            Ok(Gc::from_object(object))
        }
    }

    /// Allocates a header followed by `len` values made by `make`, in order.
    ///
    /// # Errors
    ///
    /// As [`Cx::try_alloc`]; the header is given back and `make` is not called.
    ///
    /// # Panics
    ///
    /// If `make` panics; the header and the elements made so far are dropped when the slot is
    /// swept.
    #[inline]
    pub fn try_alloc_header_slice_fn<'gc, H: Trace<At<'gc> = H>, T: Trace<At<'gc> = T>>(
        &'gc self,
        header: H,
        len: usize,
        mut make: impl FnMut(usize) -> T,
    ) -> Result<Gc<'gc, HeaderSlice<H, T>>, AllocError<H>> {
        // SAFETY: written to below.
        let object = match unsafe { self.header_slice_slot::<H, T>(len) } {
            Ok(object) => object,
            Err(reason) => return Err(AllocError { value: header, reason }),
        };
        let layout = object.cast::<HeaderSliceLayout<H, T>>().as_ptr();
        // SAFETY: a fresh slot of `bytes(len)` bytes. The stored length counts
        // the elements written so far, so that if `make` unwinds, sweeping
        // drops exactly those; no handle leads to the object before we return.
        unsafe {
            (&raw mut (*layout).len).write(0);
            (&raw mut (*layout).header).write(header);
            let tail = object.add(HeaderSliceLayout::<H, T>::TAIL).cast::<T>();
            if core::mem::needs_drop::<T>() {
                for i in 0..len {
                    tail.add(i).write(make(i));
                    (&raw mut (*layout).len).write(i + 1);
                }
            } else {
                for i in 0..len {
                    tail.add(i).write(make(i));
                }
                (&raw mut (*layout).len).write(len);
            }
            Ok(Gc::from_object(object))
        }
    }

    /// Memory for a header and `len` elements.
    ///
    /// # Safety
    ///
    /// The caller writes a length and a header there before it calls any other function, and
    /// before the next safepoint as many elements as the length then says.
    #[inline]
    pub(crate) unsafe fn header_slice_slot<H: Trace, T: Trace>(
        &self,
        len: usize,
    ) -> Result<NonNull<u8>, OutOfMemory> {
        const {
            assert!(
                align_of::<HeaderSliceLayout<H, T>>() <= 16,
                "headers and elements of header_slice objects are aligned to 16 bytes at most"
            );
        }
        let kind = const { HeaderSliceLayout::<H, T>::KIND_REF };
        let bytes = HeaderSliceLayout::<H, T>::bytes(len).ok_or(OutOfMemory::TooLarge)?;
        // SAFETY: the class is for that many bytes of the layout whose kind this is, and the
        // caller writes what the layout has.
        unsafe {
            match alloc_class::for_header_slice(bytes, kind, align_of::<HeaderSliceLayout<H, T>>())
            {
                SlotClass::Small(class) => self.mutator.alloc_small(kind, class),
                SlotClass::Large => self.mutator.alloc_large(kind, bytes),
            }
        }
    }

    // ---- roots ----------------------------------------------------------

    /// Makes an owned root for an object.
    pub fn root<T: ?Sized + Payload>(&self, value: Gc<'_, T>) -> Root<T::At<'static>> {
        // SAFETY: a handle of the region that this thread is in leads to a live object of its
        // heap (X1).
        Root::new(unsafe { self.mutator.root(value.object()) })
    }

    /// Runs `body` with a [`Scope`], which keeps objects alive at the cost of one store each.
    ///
    /// ```
    /// use heap_api::{Config, Heap};
    ///
    /// let heap = Heap::new(Config::new());
    /// let mut cx = heap.enter();
    /// let total = cx.scope(|scope| {
    ///     let kept = scope.keep(scope.alloc(40_i64));
    ///     scope.collect();
    ///     *kept.get(scope) + 2
    /// });
    /// assert_eq!(total, 42);
    /// ```
    pub fn scope<R>(&mut self, body: impl for<'s> FnOnce(&mut Scope<'_, 's>) -> R) -> R {
        let mutator_id = self.mutator.id();
        let height = self.mutator.shadow_height();
        let mut scope = Scope::new(self);
        let mut guard = ShadowGuard { scope: &mut scope, height, mutator_id };
        body(guard.scope())
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
            self.mutator.safepoint();
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
        self.mutator.collect_step()
    }

    /// A full collection, now. Returns once unreachable objects are known;
    /// their memory is swept lazily, and entirely before the next collection.
    ///
    /// # Panics
    ///
    /// If a destructor of a heap object calls it, with a context that it found in a
    /// thread-local.
    pub fn collect(&mut self) {
        self.mutator.collect();
    }

    /// Runs `blocking` outside the heap, so that this thread delays no collection while it
    /// blocks. The closure may enter other heaps. After it has returned, `park` is a
    /// [`safepoint`](Cx::safepoint), with the same risk of deadlock for a thread that then
    /// holds a lock.
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
        assert!(
            !INSIDE.with(Cell::get),
            "Cx::park: the closure left the thread inside another heap"
        );
        drop(back);
        self.safepoint();
        result
    }

    /// Checks every invariant of the heap, at a safepoint.
    pub(crate) fn verify_now(&mut self) -> Result<(), heap_gc::VerifyError> {
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
        mutator.enter();
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

/// Pops the shadow stack when a scope ends, also by panic.
struct ShadowGuard<'a, 'c, 's> {
    scope: &'a mut Scope<'c, 's>,
    height: usize,
    mutator_id: u64,
}

impl<'c, 's> ShadowGuard<'_, 'c, 's> {
    fn scope(&mut self) -> &mut Scope<'c, 's> {
        self.scope
    }
}

impl Drop for ShadowGuard<'_, '_, '_> {
    fn drop(&mut self) {
        let mutator = self.scope.mutator();
        // `mem::swap` may have put another heap's context in our place, whose
        // stack must not be cut.
        if mutator.id() == self.mutator_id {
            mutator.shadow_truncate(self.height);
        }
    }
}

struct OnUnwind<F: FnMut()>(F);

impl<F: FnMut()> Drop for OnUnwind<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

#[track_caller]
pub(crate) fn or_panic<T, V>(result: Result<T, AllocError<V>>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => out_of_memory(error.reason),
    }
}

#[cold]
#[inline(never)]
#[track_caller]
pub(crate) fn out_of_memory(reason: OutOfMemory) -> ! {
    panic!("heap allocation failed: {reason}")
}
