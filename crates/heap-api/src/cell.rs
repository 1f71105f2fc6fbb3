//! Cells that may hold handles: [`GcCell`], [`AtomicGcCell`] and [`GcRefCell`].
//!
//! They are the only way to change a handle inside a heap object, and each
//! change runs the write barrier first. Std cells have no barrier, so they accept
//! plain data only.
//!
//! What a cell held when an incremental mark phase began is reported before the cell changes for
//! the first time in that phase (B1, the snapshot-at-the-beginning barrier). While none is under
//! way, the test for it is one predictable branch.
//!
//! * B3: a [`GcRefCell`] may change in any way while it is borrowed. All that it holds is
//!   reported when it is first borrowed mutably in a mark phase, as its stamp tells; later
//!   changes overwrite what was reported, or what is new. The same holds for cells behind a
//!   [`BarrierStamp`].

use core::cell::{Cell, RefCell, RefMut};
use core::fmt;
use core::ops::{Deref, DerefMut};
use core::ptr::{self, NonNull};

use heap_sync::atomic::{AtomicPtr, Ordering};

use crate::cx::Cx;
use crate::gc::Gc;
use crate::payload::{HeaderSlice, Payload};
use crate::share::Share;
use crate::trace::{Trace, Tracer};

/// A `Cell` for values that may hold handles. It is not [`Share`]: only one mutator at a time
/// can reach it. [`AtomicGcCell`] is for objects that several mutators share.
///
/// ```
/// use heap_api::{Config, Gc, GcCell, Heap, Trace};
///
/// #[derive(Trace)]
/// struct Cons<'gc> {
///     head: i64,
///     tail: GcCell<Option<Gc<'gc, Cons<'gc>>>>,
/// }
///
/// let heap = Heap::new(Config::new());
/// let cx = heap.enter();
/// let nil = cx.alloc(Cons { head: 1, tail: GcCell::new(None) });
/// let list = cx.alloc(Cons { head: 2, tail: GcCell::new(None) });
/// list.tail.set(&cx, Some(nil));
/// assert_eq!(list.tail.get().unwrap().head, 1);
/// ```
#[derive(Default)]
#[repr(transparent)]
pub struct GcCell<T>(Cell<T>);

impl<T: Copy> GcCell<T> {
    /// A cell that holds `value`.
    #[inline(always)]
    pub const fn new(value: T) -> Self {
        GcCell(Cell::new(value))
    }

    /// The value.
    #[inline(always)]
    pub fn get(&self) -> T {
        self.0.get()
    }
}

impl<T: Copy + Trace> GcCell<T> {
    /// Runs the write barrier and replaces the value.
    #[inline(always)]
    pub fn set(&self, cx: &Cx, value: T) {
        // SAFETY: a cell is not `Share`, so only this thread reaches it, and it gives out no
        // references to its content, which is `Copy`: there is no `GcRefCell` in it.
        unsafe { cx.before_change(self) };
        self.0.set(value);
    }

    /// Runs the write barrier, replaces the value and returns what was there.
    #[inline(always)]
    pub fn replace(&self, cx: &Cx, value: T) -> T {
        // SAFETY: a cell is not `Share`, so only this thread reaches it, and it gives out no
        // references to its content, which is `Copy`: there is no `GcRefCell` in it.
        unsafe { cx.before_change(self) };
        self.0.replace(value)
    }
}

impl<T: Copy + fmt::Debug> fmt::Debug for GcCell<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("GcCell").field(&self.get()).finish()
    }
}

// SAFETY: reports its content; the drop glue is the content's (none, unless the
// cell was made by `default` for a type that is not `Copy`). The raw read stands
// for `get` without asking for `Copy`: tracing happens while there are no writers (TA5).
unsafe impl<T: Trace> Trace for GcCell<T> {
    type At<'a> = GcCell<T::At<'a>>;
    const NEEDS_TRACE: bool = T::NEEDS_TRACE;
    #[inline(always)]
    fn trace(&self, tracer: &mut Tracer) {
        if T::NEEDS_TRACE {
            // SAFETY: see the impl: there is no writer.
            unsafe { (*self.0.as_ptr()).trace(tracer) }
        }
    }
}

/// A one-word atomic cell for an optional handle, in objects that several
/// mutators of one heap share.
///
/// Loads acquire and stores release: a thread that reads a handle from the cell sees the
/// object fully initialised.
pub struct AtomicGcCell<'gc, T: ?Sized> {
    object: AtomicPtr<u8>,
    content: core::marker::PhantomData<Cell<Gc<'gc, T>>>,
}

impl<'gc, T: ?Sized> AtomicGcCell<'gc, T> {
    /// A cell that holds `value`.
    #[inline]
    pub fn new(value: Option<Gc<'gc, T>>) -> Self {
        AtomicGcCell {
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
    /// `raw` was in a cell of this type: then it is null or was a handle of region 'gc. Only
    /// `Gc<'gc, T>` goes in, and safepoints end the region of the cell's own object along
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
        // SAFETY: it is in this cell.
        unsafe { Self::from_raw(self.object.load(Ordering::Acquire)) }
    }

    /// Runs the write barrier and replaces the value.
    #[inline]
    pub fn set(&self, cx: &Cx, value: Option<Gc<'gc, T>>) {
        if cx.mutator().marking().is_some() {
            // The barrier reports the value that this very store replaces.
            let _ = self.swap(cx, value);
            return;
        }
        // ORDERING: Release pairs with the Acquire of `get`.
        self.object.store(Self::to_raw(value), Ordering::Release);
    }

    /// Runs the write barrier, replaces the value and returns what was there.
    #[inline]
    pub fn swap(&self, cx: &Cx, value: Option<Gc<'gc, T>>) -> Option<Gc<'gc, T>> {
        // ORDERING: as `get` and `set` together.
        let old = self.object.swap(Self::to_raw(value), Ordering::AcqRel);
        // SAFETY: it was in this cell.
        unsafe {
            Self::after_change(cx, old);
            Self::from_raw(old)
        }
    }

    /// Replaces `current` by `new` and runs the write barrier, if the cell holds `current`.
    ///
    /// # Errors
    ///
    /// The value that the cell holds, if that is not `current`.
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
                // SAFETY: it was in this cell.
                unsafe { Self::after_change(cx, old) };
                Ok(())
            }
            // SAFETY: it is in this cell.
            Err(actual) => Err(unsafe { Self::from_raw(actual) }),
        }
    }

    /// The write barrier for the value that a change has replaced. It comes after the change,
    /// which makes no difference to a collector: this thread is inside until both are done.
    ///
    /// # Safety
    ///
    /// As [`from_raw`](Self::from_raw); `cx` is of the cell's heap.
    #[inline]
    unsafe fn after_change(cx: &Cx, old: *mut u8) {
        if let Some(object) = NonNull::new(old) {
            // SAFETY: what the cell held was a handle of the region that `cx` is in: forwarded
            // from the caller.
            unsafe { cx.mutator().barrier_mark_object(object) };
        }
    }
}

impl<T: ?Sized> fmt::Debug for AtomicGcCell<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AtomicGcCell").field(&self.object.load(Ordering::Relaxed)).finish()
    }
}

// SAFETY: reports its content, has no drop glue.
unsafe impl<'gc, T: ?Sized + Payload> Trace for AtomicGcCell<'gc, T> {
    type At<'a> = AtomicGcCell<'a, T::At<'a>>;
    const NEEDS_TRACE: bool = true;
    #[inline(always)]
    fn trace(&self, tracer: &mut Tracer) {
        if let Some(gc) = self.get() {
            gc.trace(tracer);
        }
    }
}

// SAFETY: one atomic word; its target is shareable.
unsafe impl<T: ?Sized + Payload + Share> Share for AtomicGcCell<'_, T> {}

/// A `RefCell` for values that may hold handles: the write barrier runs when it is
/// borrowed mutably, so the value may then be changed in any way.
///
/// ```
/// use heap_api::{Config, Gc, GcRefCell, Heap};
///
/// let heap = Heap::new(Config::new());
/// let cx = heap.enter();
/// let names = cx.alloc(GcRefCell::new(Vec::<Gc<'_, str>>::new()));
/// names.borrow_mut(&cx).push(cx.alloc_str("ada"));
/// assert_eq!(&*names.borrow()[0], "ada");
/// ```
#[derive(Default)]
pub struct GcRefCell<T> {
    stamp: BarrierStamp,
    value: RefCell<T>,
}

/// Names the mark phase in which the contents of a cell or an object were last reported by
/// the write barrier.
///
/// As the header of an object with a tail of cells it makes [`HeaderSlice::open`] possible,
/// which runs the barrier for all the cells at once.
// It is the stamp of B3.
#[derive(Debug, Default)]
pub struct BarrierStamp(Cell<u64>);

impl BarrierStamp {
    /// A stamp that names no mark phase.
    #[must_use]
    pub const fn new() -> BarrierStamp {
        BarrierStamp(Cell::new(0))
    }

    /// Whether to report the contents before they change: an incremental mark phase is under
    /// way, and they were not reported in it yet.
    #[inline(always)]
    pub(crate) fn is_due(&self, cx: &Cx) -> bool {
        cx.mutator().marking().is_some_and(|marking| self.0.replace(marking.get()) != marking.get())
    }

    /// Whether all contents were reported in the incremental mark phase that is under way.
    #[inline(always)]
    pub(crate) fn is_of_this_phase(&self, cx: &Cx) -> bool {
        cx.mutator().marking().is_some_and(|marking| self.0.get() == marking.get())
    }
}

// SAFETY: a number.
unsafe impl Trace for BarrierStamp {
    type At<'a> = BarrierStamp;
    const NEEDS_TRACE: bool = false;
    #[inline(always)]
    fn trace(&self, _: &mut Tracer) {}
}

impl<T: Copy + Trace> HeaderSlice<BarrierStamp, GcCell<T>> {
    /// Opens the cells of the tail for many changes, such as those of an interpreter's
    /// registers: runs the write barrier for all of them, once per mark phase, and returns
    /// them as plain cells, which change without a barrier. The slice borrows `cx`, so no
    /// safepoint can come while it is in use.
    ///
    /// ```
    /// use heap_api::{BarrierStamp, Config, GcCell, Heap};
    ///
    /// let heap = Heap::new(Config::new());
    /// let cx = heap.enter();
    /// let stack = cx.try_alloc_header_slice_fn(BarrierStamp::new(), 100, |_| GcCell::new(None)).unwrap();
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
        // SAFETY: a `GcCell` is a transparent wrapper of a `Cell`. B3: what the cells hold was
        // reported if an incremental mark phase is under way, as the stamp in their own header
        // tells, and none begins before the next safepoint, which ends 'a.
        unsafe { &*(core::ptr::from_ref(&self.tail) as *const [Cell<T>]) }
    }

    #[cold]
    #[inline(never)]
    fn report_once(&self, cx: &Cx) {
        if self.header.is_due(cx) {
            // SAFETY: the report is due only in a mark phase. The cells are not `Share`, and
            // those that were given out before are not written to while this function runs.
            unsafe { cx.report_all(&self.tail) };
        }
    }
}

impl<T> GcRefCell<T> {
    /// A cell around `value`.
    pub const fn new(value: T) -> Self {
        GcRefCell { stamp: BarrierStamp::new(), value: RefCell::new(value) }
    }

    /// Borrows the value.
    ///
    /// # Panics
    ///
    /// If the value is borrowed mutably.
    #[inline]
    #[track_caller]
    pub fn borrow(&self) -> core::cell::Ref<'_, T> {
        self.value.borrow()
    }
}

impl<T: Trace> GcRefCell<T> {
    /// Borrows the value mutably; runs the write barrier.
    ///
    /// # Panics
    ///
    /// If the value is borrowed already.
    #[inline]
    #[track_caller]
    pub fn borrow_mut<'a>(&'a self, cx: &'a Cx) -> GcRefMut<'a, T> {
        let guard = self.value.borrow_mut();
        if T::NEEDS_TRACE && self.stamp.is_due(cx) {
            // SAFETY: the report is due only in a mark phase. The value was borrowed mutably
            // just now, so there is no other reference to it, and no guard of a cell in it.
            unsafe { cx.report(&*guard) };
        }
        GcRefMut { guard, cx: core::marker::PhantomData }
    }
}

impl<T: fmt::Debug> fmt::Debug for GcRefCell<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value.fmt(f)
    }
}

/// The guard of [`GcRefCell::borrow_mut`]. It borrows the [`Cx`], so no safepoint
/// can come while it is in use.
#[derive(Debug)]
pub struct GcRefMut<'a, T> {
    guard: RefMut<'a, T>,
    cx: core::marker::PhantomData<&'a Cx>,
}

impl<T> Deref for GcRefMut<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.guard
    }
}

impl<T> DerefMut for GcRefMut<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.guard
    }
}

// SAFETY: reports its content. `Ref`/`GcRefMut` guards borrow the object for a
// region without safepoints, so none is in use when the collector traces (TA5),
// even if one was leaked and left the borrow flag set. The write barrier traces a `GcRefCell`
// inside another one only while it has borrowed the outer one mutably: then there is no
// guard of the inner. So the raw read is exclusive with writers. The drop glue is the
// content's.
unsafe impl<T: Trace> Trace for GcRefCell<T> {
    type At<'a> = GcRefCell<T::At<'a>>;
    const NEEDS_TRACE: bool = T::NEEDS_TRACE;
    #[inline]
    fn trace(&self, tracer: &mut Tracer) {
        if T::NEEDS_TRACE {
            // SAFETY: see the impl: no mutable borrow is in use.
            unsafe { (*self.value.as_ptr()).trace(tracer) }
        }
    }
}
