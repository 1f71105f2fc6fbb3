//! [`Weak`] and [`WeakRoot`]: handles that keep nothing alive.
//!
//! A weak handle leads to a *weak cell*, a small object without handles that all weak handles to one
//! object share, and that the collector clears when it finds the object dead (WH3). So equality is
//! that of cells, and lasts longer than the object.
//!
//! * WE1: the cell of a `Weak` is alive wherever the handle can be named, as with H1: a `Weak` is a
//!   handle to its cell, and is traced as one.

use core::fmt;
use core::hash::{Hash, Hasher};
use core::marker::PhantomData;
use core::ptr::NonNull;

use heap_gc::RootEntry;

use crate::alloc::out_of_memory;
use crate::cx::Cx;
use crate::error::OutOfMemory;
use crate::gc::Gc;
use crate::payload::Payload;
use crate::share::Share;
use crate::trace::{Trace, Tracer};

/// A handle that does not keep its object alive. It is one machine word, `Copy`, and a field like any
/// other; so is `Option<Weak>`.
///
/// When a collection finds the object unreachable the handle is *cleared*: [`Weak::upgrade`] returns
/// `None` from then on, also if a [finalizer](crate::Finalizers), or an
/// [`InternSet`](crate::InternSet) before the collection is over, makes the object reachable again.
/// `==` and hashing compare identities, also after that: two handles are equal if they were made for
/// the same object. (The first handle that is made after the object has come back is a new one.)
///
/// The first weak handle to an object takes some forty bytes, which stay until the object dies;
/// others take none. An object without weak handles pays nothing. Objects so small that they share a
/// slot (fewer than 16 bytes, no handles, no destructor) die together: a weak handle to one leads to
/// it as long as a neighbour in the slot lives.
///
/// ```
/// use heap_api::{Config, Heap, Trace, Weak, GcCell};
///
/// #[derive(Trace)]
/// struct Cache<'gc> {
///     last: GcCell<Option<Weak<'gc, str>>>,
/// }
///
/// let heap = Heap::new(Config::new());
/// let mut cx = heap.enter();
/// let cache = {
///     let text = cx.alloc_str("found again");
///     let cache = cx.alloc(Cache { last: GcCell::new(Some(text.downgrade(&cx))) });
///     assert_eq!(&*cache.last.get().unwrap().upgrade(&cx).unwrap(), "found again");
///     cx.root(cache)
/// };
/// cx.collect();
/// assert!(cache.get(&cx).last.get().unwrap().upgrade(&cx).is_none());
/// ```
#[repr(transparent)]
pub struct Weak<'gc, T: ?Sized> {
    cell: NonNull<u8>,
    /// As in `Gc`.
    region: PhantomData<(&'gc T, *mut ())>,
}

impl<T: ?Sized> Clone for Weak<'_, T> {
    #[inline(always)]
    fn clone(&self) -> Self {
        *self
    }
}
impl<T: ?Sized> Copy for Weak<'_, T> {}

impl<'gc, T: ?Sized> Weak<'gc, T> {
    /// # Safety
    ///
    /// `cell` is the weak cell of a `T`, alive in the region 'gc (WE1).
    #[inline(always)]
    unsafe fn from_cell(cell: NonNull<u8>) -> Self {
        Weak { cell, region: PhantomData }
    }

    /// The object, if it is alive. While an incremental mark phase is under way an object that is
    /// handed out is kept alive until the next collection.
    #[inline]
    #[must_use]
    pub fn upgrade(self, cx: &Cx) -> Option<Gc<'gc, T>> {
        // SAFETY: WE1: the thread is inside the heap that the handle is of (H2), and no safepoint
        // ends 'gc before it can be named no more.
        let object = unsafe { cx.mutator().upgrade(self.cell) }?;
        // SAFETY: a `T` that is alive, and stays so until the next safepoint.
        Some(unsafe { Gc::from_object(object) })
    }

    /// Whether the object was found dead. Unlike [`Weak::upgrade`] it keeps nothing alive.
    #[inline]
    #[must_use]
    pub fn is_cleared(self, cx: &Cx) -> bool {
        // SAFETY: WE1, as in `upgrade`.
        unsafe { cx.mutator().is_cleared(self.cell) }
    }

    /// Whether both handles were made for the same object.
    #[inline]
    #[must_use]
    pub fn ptr_eq(self, other: Self) -> bool {
        self.cell == other.cell
    }
}

impl<'gc, T: ?Sized> Gc<'gc, T> {
    /// A weak handle to the object.
    ///
    /// # Panics
    ///
    /// If the heap's limit or the system refuses the memory: see [`Gc::try_downgrade`].
    #[must_use]
    #[track_caller]
    pub fn downgrade(self, cx: &Cx) -> Weak<'gc, T> {
        self.try_downgrade(cx).unwrap_or_else(|reason| out_of_memory(reason))
    }

    /// As [`Gc::downgrade`], for callers that handle refused memory.
    ///
    /// # Errors
    ///
    /// If the heap's limit or the system refuses the memory for the first weak handle to the
    /// object.
    pub fn try_downgrade(self, cx: &Cx) -> Result<Weak<'gc, T>, OutOfMemory> {
        // SAFETY: a handle leads to a live object of the heap that the thread is inside of (H1).
        let cell = unsafe { cx.mutator().downgrade(self.object()) }?;
        // SAFETY: the cell of this object, which is alive until the next safepoint at least.
        Ok(unsafe { Weak::from_cell(cell) })
    }
}

impl<T: ?Sized> PartialEq for Weak<'_, T> {
    fn eq(&self, other: &Self) -> bool {
        self.ptr_eq(*other)
    }
}
impl<T: ?Sized> Eq for Weak<'_, T> {}

impl<T: ?Sized> Hash for Weak<'_, T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.cell.addr().hash(state);
    }
}

impl<T: ?Sized> fmt::Debug for Weak<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(Weak)")
    }
}

// SAFETY: a weak handle is a handle to its cell, which holds none; no drop glue; `At` replaces its
// lifetime and its target's.
unsafe impl<'gc, T: ?Sized + Payload> Trace for Weak<'gc, T> {
    type At<'a> = Weak<'a, T::At<'a>>;
    const NEEDS_TRACE: bool = true;
    #[inline(always)]
    fn trace(&self, tracer: &mut Tracer) {
        // SAFETY: WE1, as for `Gc`.
        unsafe { tracer.edge(self.cell) };
    }
}

// SAFETY: what it gives out is a handle to a shareable object; a cell changes while the world is
// stopped only.
unsafe impl<T: ?Sized + Payload + Share> Share for Weak<'_, T> {}

/// An owned weak handle: it may be kept outside of the heap, as a [`Root`](crate::Root), and does not
/// keep its object alive.
///
/// ```
/// use heap_api::{Config, Heap};
///
/// let heap = Heap::new(Config::new());
/// let mut cx = heap.enter();
/// let text = { let s = cx.alloc_str("not kept"); cx.weak_root(s) };
/// assert!(text.upgrade(&cx).is_some());
/// cx.collect();
/// assert!(text.upgrade(&cx).is_none());
/// ```
pub struct WeakRoot<T: ?Sized> {
    /// Of the cell.
    entry: RootEntry,
    target: PhantomData<*const T>,
}

// SAFETY: as for `Root`: the target is reached through a `Cx` of its heap only, and `Share` allows
// that from several mutators.
unsafe impl<T: ?Sized + Share> Send for WeakRoot<T> {}
// SAFETY: as above.
unsafe impl<T: ?Sized + Share> Sync for WeakRoot<T> {}

impl<T: ?Sized + Payload> WeakRoot<T> {
    /// The object, if it is alive.
    ///
    /// # Panics
    ///
    /// If `cx` belongs to another heap.
    #[must_use]
    #[track_caller]
    pub fn upgrade<'gc>(&self, cx: &'gc Cx) -> Option<Gc<'gc, T::At<'gc>>> {
        self.get(cx).upgrade(cx)
    }

    /// The weak handle, for the region that `cx` is in.
    ///
    /// # Panics
    ///
    /// If `cx` belongs to another heap.
    #[must_use]
    #[track_caller]
    pub fn get<'gc>(&self, cx: &'gc Cx) -> Weak<'gc, T::At<'gc>> {
        assert!(cx.mutator().owns(&self.entry), "WeakRoot: the root belongs to another heap");
        // SAFETY: the entry keeps the cell alive (R1), also between two safepoints.
        unsafe { Weak::from_cell(self.entry.object()) }
    }
}

impl<T: ?Sized> WeakRoot<T> {
    /// Another root for the same object.
    ///
    /// # Errors
    ///
    /// If the system refuses the memory.
    pub fn try_clone(&self) -> Result<Self, OutOfMemory> {
        Ok(WeakRoot { entry: self.entry.try_clone()?, target: PhantomData })
    }
}

impl<T: ?Sized> fmt::Debug for WeakRoot<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(WeakRoot)")
    }
}

impl Cx {
    /// An owned weak handle to an object.
    ///
    /// # Panics
    ///
    /// If the heap's limit or the system refuses the memory: see [`Cx::try_weak_root`].
    #[track_caller]
    pub fn weak_root<T: ?Sized + Payload>(&self, value: Gc<'_, T>) -> WeakRoot<T::At<'static>> {
        self.try_weak_root(value).unwrap_or_else(|reason| out_of_memory(reason))
    }

    /// As [`Cx::weak_root`], for callers that handle refused memory.
    ///
    /// # Errors
    ///
    /// If the heap's limit or the system refuses the memory.
    pub fn try_weak_root<T: ?Sized + Payload>(
        &self,
        value: Gc<'_, T>,
    ) -> Result<WeakRoot<T::At<'static>>, OutOfMemory> {
        let weak = value.try_downgrade(self)?;
        // SAFETY: WE1: a live object of this heap.
        let entry = unsafe { self.mutator().try_root(weak.cell) }?;
        Ok(WeakRoot { entry, target: PhantomData })
    }
}
