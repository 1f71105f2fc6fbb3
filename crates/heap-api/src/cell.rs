//! Cells that may hold handles: [`Slot`], [`AtomicSlot`] and [`Lock`].
//!
//! They are the only way to change a handle inside a heap object, and each
//! change runs the write barrier before. Std cells have no barrier, so they accept
//! plain data only.
//!
//! What a cell held when an incremental mark phase began is reported before the cell changes for
//! the first time in it (B1, the snapshot-at-the-beginning barrier). While none is under way, the
//! test for it is one predictable branch.
//!
//! * B3: a [`Lock`] may change in any way while it is borrowed. What it holds is reported
//!   whole when it is borrowed for the first time in a mark phase, as its stamp says; later
//!   changes concern what was reported, or is new. So it is with slots behind a [`Stamp`].

use core::cell::{Cell, RefCell, RefMut};
use core::fmt;
use core::ops::{Deref, DerefMut};
use core::ptr::{self, NonNull};
use std::sync::atomic::{AtomicPtr, Ordering};

use crate::cx::Cx;
use crate::gc::Gc;
use crate::trace::{Payload, Share, Tailed, Trace, Tracer};

/// A `Cell` for values that may hold handles. One mutator at a time.
///
/// ```
/// use heap_api::{Config, Gc, Heap, Slot, Trace};
///
/// #[derive(Trace)]
/// struct Cons<'gc> {
///     head: i64,
///     tail: Slot<Option<Gc<'gc, Cons<'gc>>>>,
/// }
///
/// let heap = Heap::new(Config::new());
/// let cx = heap.enter();
/// let nil = cx.alloc(Cons { head: 1, tail: Slot::new(None) });
/// let list = cx.alloc(Cons { head: 2, tail: Slot::new(None) });
/// list.tail.set(&cx, Some(nil));
/// assert_eq!(list.tail.get().unwrap().head, 1);
/// ```
#[derive(Default)]
#[repr(transparent)]
pub struct Slot<T>(Cell<T>);

impl<T: Copy> Slot<T> {
    /// A slot that holds `value`.
    #[inline(always)]
    pub const fn new(value: T) -> Self {
        Slot(Cell::new(value))
    }

    /// The value.
    #[inline(always)]
    pub fn get(&self) -> T {
        self.0.get()
    }
}

impl<T: Copy + Trace> Slot<T> {
    /// Runs the write barrier and replaces the value.
    #[inline(always)]
    pub fn set(&self, cx: &Cx, value: T) {
        // SAFETY: a slot is not `Share`, so only this thread reaches it, and it gives out no
        // references to its content, which is `Copy`: there is no lock in it.
        unsafe { cx.before_change(self) };
        self.0.set(value);
    }

    /// Runs the write barrier, replaces the value and returns what was there.
    #[inline(always)]
    pub fn replace(&self, cx: &Cx, value: T) -> T {
        // SAFETY: a slot is not `Share`, so only this thread reaches it, and it gives out no
        // references to its content, which is `Copy`: there is no lock in it.
        unsafe { cx.before_change(self) };
        self.0.replace(value)
    }
}

impl<T: Copy + fmt::Debug> fmt::Debug for Slot<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Slot").field(&self.get()).finish()
    }
}

// SAFETY: reports its content; the drop glue is the content's (none, unless the
// slot was made by `default` for a type that is not `Copy`). The raw read stands
// for `get` without asking for `Copy`: tracing happens while nobody writes (TA5).
unsafe impl<T: Trace> Trace for Slot<T> {
    type At<'a> = Slot<T::At<'a>>;
    const NEEDS_TRACE: bool = T::NEEDS_TRACE;
    #[inline(always)]
    fn trace(&self, tracer: &mut Tracer) {
        if T::NEEDS_TRACE {
            // SAFETY: see the impl: nobody writes meanwhile.
            unsafe { (*self.0.as_ptr()).trace(tracer) }
        }
    }
}

/// A one-word atomic cell for a handle or nothing, for objects that several
/// mutators of one heap share.
///
/// Loads acquire and stores release, so an object published through a slot is
/// seen complete.
pub struct AtomicSlot<'gc, T: ?Sized> {
    object: AtomicPtr<u8>,
    content: core::marker::PhantomData<Cell<Gc<'gc, T>>>,
}

impl<'gc, T: ?Sized> AtomicSlot<'gc, T> {
    /// A slot that holds `value`.
    #[inline]
    pub fn new(value: Option<Gc<'gc, T>>) -> Self {
        AtomicSlot {
            object: AtomicPtr::new(Self::to_raw(value)),
            content: core::marker::PhantomData,
        }
    }

    #[inline(always)]
    fn to_raw(value: Option<Gc<'gc, T>>) -> *mut u8 {
        value.map_or(ptr::null_mut(), |gc| gc.object().as_ptr())
    }

    /// # Safety
    ///
    /// `raw` was in a slot of this type: then it is null or was a handle of region 'gc. Only
    /// `Gc<'gc, T>` goes in, and safepoints end the region of the slot's own object along
    /// with that of its content.
    #[inline(always)]
    unsafe fn from_raw(raw: *mut u8) -> Option<Gc<'gc, T>> {
        // SAFETY: forwarded from the caller.
        NonNull::new(raw).map(|object| unsafe { Gc::from_object(object) })
    }

    /// The value.
    #[inline]
    pub fn get(&self) -> Option<Gc<'gc, T>> {
        // ORDERING: Acquire pairs with the Release of `set`/`swap`/
        // `compare_exchange`: the object's initialisation is visible.
        // SAFETY: it is in this slot.
        unsafe { Self::from_raw(self.object.load(Ordering::Acquire)) }
    }

    /// Replaces the value.
    #[inline]
    pub fn set(&self, cx: &Cx, value: Option<Gc<'gc, T>>) {
        if cx.mutator().marking().is_some() {
            // What this very store replaces is to be reported.
            let _ = self.swap(cx, value);
            return;
        }
        // ORDERING: Release pairs with the Acquire of `get`.
        self.object.store(Self::to_raw(value), Ordering::Release);
    }

    /// Replaces the value and returns what was there.
    #[inline]
    pub fn swap(&self, cx: &Cx, value: Option<Gc<'gc, T>>) -> Option<Gc<'gc, T>> {
        // ORDERING: as `get` and `set` together.
        let old = self.object.swap(Self::to_raw(value), Ordering::AcqRel);
        // SAFETY: it was in this slot.
        unsafe {
            Self::after_change(cx, old);
            Self::from_raw(old)
        }
    }

    /// Replaces `current` by `new`, if `current` is what the slot holds.
    ///
    /// # Errors
    ///
    /// Returns what the slot holds when that is not `current`.
    #[inline]
    pub fn compare_exchange(
        &self,
        cx: &Cx,
        current: Option<Gc<'gc, T>>,
        new: Option<Gc<'gc, T>>,
    ) -> Result<(), Option<Gc<'gc, T>>> {
        let (current, new) = (Self::to_raw(current), Self::to_raw(new));
        // ORDERING: as `get` and `set` together.
        match self.object.compare_exchange(current, new, Ordering::AcqRel, Ordering::Acquire) {
            Ok(old) => {
                // SAFETY: it was in this slot.
                unsafe { Self::after_change(cx, old) };
                Ok(())
            }
            // SAFETY: it is in this slot.
            Err(actual) => Err(unsafe { Self::from_raw(actual) }),
        }
    }

    /// The write barrier, for what a change has replaced. That it comes after the change
    /// makes no difference to a collector: this thread is inside until both are done.
    ///
    /// # Safety
    ///
    /// As [`from_raw`](Self::from_raw); `cx` is of the slot's heap.
    #[inline]
    unsafe fn after_change(cx: &Cx, old: *mut u8) {
        if let Some(object) = NonNull::new(old) {
            // SAFETY: what the slot held was a handle of the region that `cx` is in: forwarded
            // from the caller.
            unsafe { cx.mutator().barrier_mark_object(object) };
        }
    }
}

impl<T: ?Sized> fmt::Debug for AtomicSlot<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AtomicSlot").field(&self.object.load(Ordering::Relaxed)).finish()
    }
}

// SAFETY: reports its content, has no drop glue.
unsafe impl<'gc, T: ?Sized + Payload> Trace for AtomicSlot<'gc, T> {
    type At<'a> = AtomicSlot<'a, T::At<'a>>;
    const NEEDS_TRACE: bool = true;
    #[inline(always)]
    fn trace(&self, tracer: &mut Tracer) {
        if let Some(gc) = self.get() {
            gc.trace(tracer);
        }
    }
}

// SAFETY: one atomic word; its target is shareable.
unsafe impl<T: ?Sized + Payload + Share> Share for AtomicSlot<'_, T> {}

/// A `RefCell` for values that may hold handles: the barrier runs when it is
/// borrowed mutably.
///
/// ```
/// use heap_api::{Config, Gc, Heap, Lock};
///
/// let heap = Heap::new(Config::new());
/// let cx = heap.enter();
/// let names = cx.alloc(Lock::new(Vec::<Gc<'_, str>>::new()));
/// names.borrow_mut(&cx).push(cx.alloc_str("ada"));
/// assert_eq!(&*names.borrow()[0], "ada");
/// ```
#[derive(Default)]
pub struct Lock<T> {
    stamp: Stamp,
    value: RefCell<T>,
}

/// The marking in which what a cell or an object holds was last reported (B3).
///
/// As the header of an object with a tail of slots it allows to open them for many changes
/// at once: see [`Tailed::open`].
#[derive(Debug, Default)]
pub struct Stamp(Cell<u64>);

impl Stamp {
    /// One of no mark phase.
    #[must_use]
    pub const fn new() -> Stamp {
        Stamp(Cell::new(0))
    }

    /// Whether to report the contents before they change: an incremental mark phase is under way, and
    /// they were not reported in it yet.
    #[inline(always)]
    pub(crate) fn is_due(&self, cx: &Cx) -> bool {
        cx.mutator().marking().is_some_and(|marking| self.0.replace(marking.get()) != marking.get())
    }
}

// SAFETY: a number.
unsafe impl Trace for Stamp {
    type At<'a> = Stamp;
    const NEEDS_TRACE: bool = false;
    #[inline(always)]
    fn trace(&self, _: &mut Tracer) {}
}

impl<T: Copy + Trace> Tailed<Stamp, Slot<T>> {
    /// Opens the slots for many changes, such as those of an interpreter's registers: runs
    /// the write barrier for all of them, once in a mark phase, and gives them out as cells
    /// that change without it. No safepoint can come while they are in use.
    ///
    /// ```
    /// use heap_api::{Config, Heap, Slot, Stamp};
    ///
    /// let heap = Heap::new(Config::new());
    /// let cx = heap.enter();
    /// let stack = cx.try_alloc_tailed_fn(Stamp::new(), 100, |_| Slot::new(None)).unwrap();
    /// let registers = &stack.as_ref().open(&cx)[10..20];
    /// registers[0].set(Some(cx.alloc_str("fast")));
    /// registers[1].set(registers[0].get());
    /// assert_eq!(&*stack.tail[11].get().unwrap(), "fast");
    /// ```
    #[inline(always)]
    pub fn open<'a>(&'a self, cx: &'a Cx) -> &'a [Cell<T>] {
        if T::NEEDS_TRACE && cx.mutator().marking().is_some() {
            self.report_once(cx);
        }
        // SAFETY: a slot is a transparent wrapper of a cell. B3: what the slots hold was
        // reported if an incremental mark phase is under way, by this header that is always theirs, and
        // none begins before the next safepoint, which ends 'a.
        unsafe { &*(core::ptr::from_ref(&self.tail) as *const [Cell<T>]) }
    }

    #[cold]
    #[inline(never)]
    fn report_once(&self, cx: &Cx) {
        if self.header.is_due(cx) {
            // SAFETY: due is it only in a mark phase. Slots are not `Share`; cells that were given
            // out before are not written to while this function runs.
            unsafe { cx.report_all(&self.tail) };
        }
    }
}

impl<T> Lock<T> {
    /// A lock around `value`.
    pub const fn new(value: T) -> Self {
        Lock { stamp: Stamp::new(), value: RefCell::new(value) }
    }

    /// Borrows the value.
    ///
    /// # Panics
    ///
    /// If it is borrowed mutably.
    #[inline]
    #[track_caller]
    pub fn borrow(&self) -> core::cell::Ref<'_, T> {
        self.value.borrow()
    }
}

impl<T: Trace> Lock<T> {
    /// Borrows the value mutably; runs the write barrier.
    ///
    /// # Panics
    ///
    /// If it is borrowed already.
    #[inline]
    #[track_caller]
    pub fn borrow_mut<'a>(&'a self, cx: &'a Cx) -> LockMut<'a, T> {
        let guard = self.value.borrow_mut();
        if T::NEEDS_TRACE && self.stamp.is_due(cx) {
            // SAFETY: due is it only in a mark phase. Borrowed mutably, just now: nobody has a
            // reference to the value, or a guard of a lock in it.
            unsafe { cx.report(&*guard) };
        }
        LockMut { guard, cx: core::marker::PhantomData }
    }
}

impl<T: fmt::Debug> fmt::Debug for Lock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value.fmt(f)
    }
}

/// The guard of [`Lock::borrow_mut`]. It borrows the [`Cx`], so no safepoint
/// can come while it is in use.
#[derive(Debug)]
pub struct LockMut<'a, T> {
    guard: RefMut<'a, T>,
    cx: core::marker::PhantomData<&'a Cx>,
}

impl<T> Deref for LockMut<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.guard
    }
}

impl<T> DerefMut for LockMut<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.guard
    }
}

// SAFETY: reports its content. `Ref`/`LockMut` guards borrow the object for a
// region without safepoints, so none is in use when the collector traces (TA5),
// even if one was leaked and left the borrow flag set. The write barrier traces a lock
// inside another one only while it has borrowed the outer one mutably: then nobody has a
// guard of the inner. So the raw read is exclusive with writers. Drop glue is the
// content's.
unsafe impl<T: Trace> Trace for Lock<T> {
    type At<'a> = Lock<T::At<'a>>;
    const NEEDS_TRACE: bool = T::NEEDS_TRACE;
    #[inline]
    fn trace(&self, tracer: &mut Tracer) {
        if T::NEEDS_TRACE {
            // SAFETY: see the impl: no mutable borrow is in use.
            unsafe { (*self.value.as_ptr()).trace(tracer) }
        }
    }
}
