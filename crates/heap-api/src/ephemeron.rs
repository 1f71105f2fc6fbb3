//! [`Ephemeron`]: a pair of a key and a value that lives as long as the key.
//!
//! While marking, an ephemeron whose key is not reached holds nothing; its value is traced when the
//! key is reached by another way. When marking is over, the collector traces those again whose keys
//! were not reached, and each clears itself ([`heap_core::tracer::Fate`]).
//!
//! * ED1: an ephemeron never moves: it is made in a heap object and has no value form, so the
//!   collector, which knows the object that holds it, finds it again, also if the world runs in
//!   between.
//! * ED2: while a mutator is inside, the key of an ephemeron is alive, and so is its value if the
//!   mutator has the key; or the collection that is under way has found the key dead: then it is white,
//!   and is not shown (as WH3).
//! * ED3: before a key and a value are stored while a collection is under way the key is marked (I6).
//!   So an ephemeron in an object that is not traced any more needs no clearing.

use core::cell::Cell;
use core::fmt;
use core::marker::PhantomData;
use core::mem::MaybeUninit;
use core::ptr::NonNull;

use heap_core::tracer::Fate;

use crate::alloc::{or_panic, out_of_memory};
use crate::cx::Cx;
use crate::error::{AllocError, OutOfMemory};
use crate::gc::Gc;
use crate::payload::Payload;
use crate::trace::{Trace, Tracer};

/// A pair of a key and a value in the heap. The key is held weakly, and the value is held only as long
/// as the key is reachable by another way than through the value. (Hayes, "Ephemerons: a new
/// finalization mechanism", 1997.) With a weak handle and a strong one side by side, a value that
/// leads to its key would keep both alive.
///
/// When a collection finds the key unreachable the ephemeron is cleared: it is as if it was never
/// set. If a [finalizer](crate::Finalizers) revives the key, it is not.
///
/// Ephemerons are made in the heap, by [`Cx::alloc_ephemeron`] or, for tables,
/// [`Cx::alloc_ephemerons`], and stay there. They are not [`Share`](crate::Share). [`WeakMap`] is
/// made of them.
///
/// [`WeakMap`]: crate::WeakMap
///
/// ```
/// use heap_api::{Config, Heap};
///
/// let heap = Heap::new(Config::new());
/// let mut cx = heap.enter();
/// let (key, note) = {
///     let key = cx.alloc_str("key");
///     let note = cx.alloc_ephemeron(key, cx.alloc_str("about the key"));
///     (cx.root(key), cx.root(note))
/// };
/// cx.collect();
/// let about = note.get(&cx).value_of(key.get(&cx)).unwrap();
/// assert_eq!(&*about, "about the key");
/// drop(key);
/// cx.collect();
/// assert!(note.get(&cx).get(&cx).is_none());
/// ```
pub struct Ephemeron<'gc, K: ?Sized, V> {
    /// Null while it was never set, [`CLEARED`] when it was cleared; else the key.
    key: Cell<*mut u8>,
    /// Initialised if there is a key.
    value: Cell<MaybeUninit<V>>,
    target: PhantomData<Cell<Gc<'gc, K>>>,
}

/// Stands for the key of an ephemeron that was cleared: no object is there.
const CLEARED: *mut u8 = core::ptr::without_provenance_mut(1);

/// What an ephemeron holds, for tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EphemeronState {
    /// It was never set.
    Empty,
    /// It was cleared.
    Cleared,
    /// A key with this address. The key may be dead, if a collection is under way.
    Set(NonNull<u8>),
}

impl<'gc, K: ?Sized, V> Ephemeron<'gc, K, V> {
    fn empty() -> Self {
        Ephemeron {
            key: Cell::new(core::ptr::null_mut()),
            value: Cell::new(MaybeUninit::uninit()),
            target: PhantomData,
        }
    }

    /// The key's address, if it is set. The key may be dead, if a collection is under way.
    #[inline(always)]
    fn object(&self) -> Option<NonNull<u8>> {
        NonNull::new(self.key.get()).filter(|key| key.as_ptr() != CLEARED)
    }
}

impl<'gc, K: ?Sized + Payload, V: Copy + Trace> Ephemeron<'gc, K, V> {
    /// # Safety
    ///
    /// It is set.
    #[inline(always)]
    unsafe fn value(&self) -> V {
        // SAFETY: initialised when the key was set; `V` is `Copy`.
        unsafe { self.value.get().assume_init() }
    }

    /// Key and value, if the key is alive. While an incremental mark phase is under way a key that is
    /// handed out is kept alive until the next collection. While an incremental collection finds out
    /// what finalizers revive, a key that is not reachable otherwise is not shown; if it is revived, it
    /// is shown again.
    #[inline]
    #[must_use]
    pub fn get(&self, cx: &Cx) -> Option<(Gc<'gc, K>, V)> {
        let key = self.object()?;
        // SAFETY: ED2.
        if !unsafe { cx.mutator().show_weak(key) } {
            return None;
        }
        // SAFETY: alive, and marked if it has to be (`show_weak`), so that its value will be; a `K`,
        // until the next safepoint. It is set.
        Some(unsafe { (Gc::from_object(key), self.value()) })
    }

    /// The value, if this is the key. It marks nothing, as the key is in use anyway.
    #[inline]
    #[must_use]
    pub fn value_of(&self, key: Gc<'gc, K>) -> Option<V> {
        // SAFETY: it is set, and the key is alive (ED2).
        (self.key.get() == key.object().as_ptr()).then(|| unsafe { self.value() })
    }

    /// Replaces key and value.
    #[inline]
    pub fn set(&self, cx: &Cx, key: Gc<'gc, K>, value: V) {
        // SAFETY: not `Share`, so only this thread reaches it, and it gives out no references to its
        // content; `V` is `Copy`, so there is no `GcRefCell` in it.
        unsafe { cx.before_change(self) };
        // SAFETY: a handle of the region that the thread is in. ED3.
        unsafe { cx.mutator().keep(key.object()) };
        self.value.set(MaybeUninit::new(value));
        self.key.set(key.object().as_ptr());
    }

    /// Forgets key and value.
    #[inline]
    pub fn clear(&self, cx: &Cx) {
        if self.object().is_some() {
            // SAFETY: as in `set`.
            unsafe { cx.before_change(self) };
            self.key.set(CLEARED);
        }
    }

    /// What it holds.
    #[inline(always)]
    pub(crate) fn state(&self) -> EphemeronState {
        match self.object() {
            Some(key) => EphemeronState::Set(key),
            None if self.key.get().is_null() => EphemeronState::Empty,
            None => EphemeronState::Cleared,
        }
    }

    /// Whether it is set, and the key was not found dead for good.
    pub(crate) fn is_alive(&self, cx: &Cx) -> bool {
        // SAFETY: ED2.
        self.object().is_some_and(|key| !unsafe { cx.mutator().is_dead(key) })
    }

    /// Sets this one, which is empty, to what another holds, if that is alive. The key is kept alive
    /// until the next collection, if one is under way: this one may not be traced any more.
    pub(crate) fn copy_from(&self, cx: &Cx, other: &Self) {
        if let Some(key) = other.object()
            && other.is_alive(cx)
        {
            // SAFETY: ED2: alive, or white while finalizers revive what is white: then it is revived
            // here (`set` marks it). It is set.
            let (key, value) = unsafe { (Gc::from_object(key), other.value()) };
            self.set(cx, key, value);
        }
    }
}

// SAFETY: the value is reported if the key is reached, and then it is alive; the key is held by the
// collector's knowledge of the ephemeron, which has no drop glue (only values that are `Copy` get
// in). `At` replaces all
// lifetimes. It is changed here only when it is told to be cleared, with no mutator inside.
unsafe impl<'gc, K: ?Sized + Payload, V: Trace> Trace for Ephemeron<'gc, K, V> {
    type At<'a> = Ephemeron<'a, K::At<'a>, V::At<'a>>;
    const NEEDS_TRACE: bool = true;

    #[inline]
    fn trace(&self, tracer: &mut Tracer) {
        let Some(key) = self.object() else { return };
        // SAFETY: it is set; ED2: the key is an object, alive or found dead and not swept. ED1: the
        // object that is traced holds this ephemeron.
        let fate = unsafe {
            tracer.ephemeron(key, |tracer| {
                if V::NEEDS_TRACE {
                    // The raw read stands for `get`, as in `GcCell`: there is no writer (TA5).
                    (*self.value.as_ptr()).assume_init_ref().trace(tracer);
                }
            })
        };
        if fate == Fate::Clear {
            self.key.set(CLEARED);
        }
    }
}

impl<K: ?Sized, V> fmt::Debug for Ephemeron<'_, K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(Ephemeron)")
    }
}

impl Cx {
    /// Allocates an ephemeron.
    ///
    /// # Panics
    ///
    /// As [`Cx::alloc`].
    #[track_caller]
    pub fn alloc_ephemeron<'gc, K, V>(
        &'gc self,
        key: Gc<'gc, K>,
        value: V,
    ) -> Gc<'gc, Ephemeron<'gc, K, V>>
    where
        K: ?Sized + Payload,
        V: Copy + Trace,
        Ephemeron<'gc, K, V>: Trace<At<'gc> = Ephemeron<'gc, K, V>>,
    {
        self.try_alloc_ephemeron(key, value).unwrap_or_else(|reason| out_of_memory(reason))
    }

    /// As [`Cx::alloc_ephemeron`], for callers that handle refused memory.
    ///
    /// # Errors
    ///
    /// When the heap's limit or the system refuses the memory.
    pub fn try_alloc_ephemeron<'gc, K, V>(
        &'gc self,
        key: Gc<'gc, K>,
        value: V,
    ) -> Result<Gc<'gc, Ephemeron<'gc, K, V>>, OutOfMemory>
    where
        K: ?Sized + Payload,
        V: Copy + Trace,
        Ephemeron<'gc, K, V>: Trace<At<'gc> = Ephemeron<'gc, K, V>>,
    {
        let ephemeron = self.try_alloc(Ephemeron::empty()).map_err(|error| error.reason)?;
        ephemeron.set(self, key, value);
        Ok(ephemeron)
    }

    /// Allocates a slice of ephemerons that are not set: for tables.
    ///
    /// # Panics
    ///
    /// As [`Cx::alloc`].
    #[track_caller]
    pub fn alloc_ephemerons<'gc, K, V>(&'gc self, len: usize) -> Gc<'gc, [Ephemeron<'gc, K, V>]>
    where
        K: ?Sized + Payload,
        V: Copy + Trace,
        Ephemeron<'gc, K, V>: Trace<At<'gc> = Ephemeron<'gc, K, V>>,
    {
        or_panic(self.try_alloc_ephemerons(len))
    }

    /// As [`Cx::alloc_ephemerons`], for callers that handle refused memory.
    ///
    /// # Errors
    ///
    /// As [`Cx::try_alloc`].
    pub fn try_alloc_ephemerons<'gc, K, V>(
        &'gc self,
        len: usize,
    ) -> Result<Gc<'gc, [Ephemeron<'gc, K, V>]>, AllocError>
    where
        K: ?Sized + Payload,
        V: Copy + Trace,
        Ephemeron<'gc, K, V>: Trace<At<'gc> = Ephemeron<'gc, K, V>>,
    {
        self.try_alloc_slice_fn(len, |_| Ephemeron::empty())
    }
}
