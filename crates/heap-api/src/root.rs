//! Handles that survive safepoints: [`Root`] (owned, droppable anywhere) and
//! [`Local`] (on the shadow stack of a native frame).
//!
//! A root's object is in the heap's table until the root drops (R1).
//!
//! * R2: a root gives its handle out only to a `Cx` of its own heap, so its
//!   region is one in which the object is alive.

use core::fmt;
use core::marker::PhantomData;
use core::ops::{Deref, DerefMut};

use heap_gc::RootEntry;

use crate::alloc::out_of_memory;
use crate::cx::Cx;
use crate::error::OutOfMemory;
use crate::gc::Gc;
use crate::payload::Payload;
use crate::share::Share;

/// An owned handle that keeps its object alive across safepoints.
///
/// It may be stored, cloned and dropped anywhere, also after the heap
/// is gone. It goes to another thread only if its object may be shared
/// ([`Share`]).
///
/// ```
/// use heap_api::{Config, Heap};
///
/// let heap = Heap::new(Config::new());
/// let mut cx = heap.enter();
/// let name = { let s = cx.alloc_str("kept"); cx.root(s) };
/// cx.collect();
/// assert_eq!(&*name.get(&cx), "kept");
/// ```
///
/// Inside a heap object (as an [`Opaque`](crate::Opaque) field) a root keeps
/// its target alive until the object that holds it is swept. The collector does not
/// trace through a root, so a cycle with a root in it is never freed.
pub struct Root<T: ?Sized> {
    entry: RootEntry,
    target: PhantomData<*const T>,
}

// SAFETY: the entry is `Send`; the target is only reached through a `Cx` of its
// heap, and `Share` allows that from several mutators.
unsafe impl<T: ?Sized + Share> Send for Root<T> {}
// SAFETY: as above; `&Root` gives the same access as a clone.
unsafe impl<T: ?Sized + Share> Sync for Root<T> {}

impl<T: ?Sized + Payload> Root<T> {
    pub(crate) fn new(entry: RootEntry) -> Self {
        Root { entry, target: PhantomData }
    }

    /// The handle, for the region that `cx` is in.
    ///
    /// # Panics
    ///
    /// If `cx` belongs to another heap.
    #[inline]
    #[track_caller]
    pub fn get<'gc>(&self, cx: &'gc Cx) -> Gc<'gc, T::At<'gc>> {
        assert!(cx.mutator().owns(&self.entry), "Root::get: the root belongs to another heap");
        // SAFETY: R1 keeps the object alive, R2 was just checked, and `'gc`
        // borrows `cx`, so it ends before the next safepoint.
        unsafe { Gc::from_object(self.entry.object()) }
    }

    /// Makes the root hold another object of the same type. Its clones go on holding the one that
    /// they have.
    ///
    /// # Panics
    ///
    /// If `cx` belongs to another heap. If the root has clones, and the system refuses the memory:
    /// see [`Root::try_set`].
    #[track_caller]
    pub fn set<'gc>(&mut self, cx: &'gc Cx, value: Gc<'gc, T::At<'gc>>) {
        self.try_set(cx, value).unwrap_or_else(|reason| out_of_memory(reason));
    }

    /// As [`Root::set`], for callers that handle refused memory.
    ///
    /// # Errors
    ///
    /// If the root has clones, and the system refuses the memory; the root is then as it was.
    ///
    /// # Panics
    ///
    /// If `cx` belongs to another heap.
    #[track_caller]
    pub fn try_set<'gc>(
        &mut self,
        cx: &'gc Cx,
        value: Gc<'gc, T::At<'gc>>,
    ) -> Result<(), OutOfMemory> {
        assert!(cx.mutator().owns(&self.entry), "Root::set: the root belongs to another heap");
        // SAFETY: a handle of the region that `cx` is in, hence to a live object of its heap,
        // which is that of the entry (R2, just checked).
        unsafe { self.entry.try_set(value.object()) }
    }
}

impl<T: ?Sized> Root<T> {
    /// As `clone`, for callers that handle refused memory.
    ///
    /// # Errors
    ///
    /// If the system refuses the memory.
    pub fn try_clone(&self) -> Result<Self, OutOfMemory> {
        Ok(Root { entry: self.entry.try_clone()?, target: PhantomData })
    }
}

impl<T: ?Sized> Clone for Root<T> {
    /// # Panics
    ///
    /// If the system refuses the memory: see [`Root::try_clone`].
    #[track_caller]
    fn clone(&self) -> Self {
        self.try_clone().unwrap_or_else(|reason| out_of_memory(reason))
    }
}

impl<T: ?Sized> fmt::Debug for Root<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Root").field(&self.entry.object()).finish()
    }
}

impl Cx {
    /// Makes an owned root for an object.
    ///
    /// # Panics
    ///
    /// If the system refuses the memory for it: see [`Cx::try_root`].
    #[track_caller]
    pub fn root<T: ?Sized + Payload>(&self, value: Gc<'_, T>) -> Root<T::At<'static>> {
        self.try_root(value).unwrap_or_else(|reason| out_of_memory(reason))
    }

    /// As [`Cx::root`], for callers that handle refused memory.
    ///
    /// # Errors
    ///
    /// If the system refuses the memory for the root. (It is not counted by the heap's limit.)
    pub fn try_root<T: ?Sized + Payload>(
        &self,
        value: Gc<'_, T>,
    ) -> Result<Root<T::At<'static>>, OutOfMemory> {
        // SAFETY: a handle of the region that this thread is in leads to a live object of its
        // heap (X1).
        unsafe { self.mutator().try_root(value.object()) }.map(Root::new)
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
        let mutator_id = self.mutator().id();
        let height = self.mutator().shadow_height();
        let mut scope = Scope::new(self);
        let mut guard = ShadowGuard { scope: &mut scope, height, mutator_id };
        body(guard.scope())
    }
}

/// Invariant in `'s`: the compiler never takes two scopes for one.
type Brand<'s> = PhantomData<fn(&'s ()) -> &'s ()>;

/// A scope for [`Local`]s, made by [`Cx::scope`]. It dereferences to the [`Cx`], and is used
/// in its place inside the scope.
#[derive(Debug)]
pub struct Scope<'c, 's> {
    cx: &'c mut Cx,
    brand: Brand<'s>,
}

impl<'c, 's> Scope<'c, 's> {
    pub(crate) fn new(cx: &'c mut Cx) -> Self {
        Scope { cx, brand: PhantomData }
    }

    /// Keeps an object alive until the scope ends, at the cost of one store.
    ///
    /// # Panics
    ///
    /// If the system refuses the memory for a deeper stack: see [`Scope::try_keep`].
    #[inline]
    #[track_caller]
    pub fn keep<T: ?Sized + Payload>(&self, value: Gc<'_, T>) -> Local<'s, T::At<'static>> {
        self.try_keep(value).unwrap_or_else(|reason| out_of_memory(reason))
    }

    /// As [`Scope::keep`], for callers that handle refused memory.
    ///
    /// # Errors
    ///
    /// If the system refuses the memory for a deeper stack.
    #[inline]
    pub fn try_keep<T: ?Sized + Payload>(
        &self,
        value: Gc<'_, T>,
    ) -> Result<Local<'s, T::At<'static>>, OutOfMemory> {
        // SAFETY: a handle of the region that this thread is in leads to a live object of its
        // heap (X1).
        let index = unsafe { self.cx.mutator().try_shadow_push(value.object()) }?;
        Ok(Local {
            object: value.object(),
            mutator: self.cx.mutator().id(),
            index,
            brand: PhantomData,
            target: PhantomData,
        })
    }
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
        let mutator = self.scope.cx.mutator();
        // `mem::swap` may have put another heap's context in our place, whose
        // stack must not be cut.
        if mutator.id() == self.mutator_id {
            mutator.shadow_truncate(self.height);
        }
    }
}

impl Deref for Scope<'_, '_> {
    type Target = Cx;
    fn deref(&self) -> &Cx {
        self.cx
    }
}

impl DerefMut for Scope<'_, '_> {
    fn deref_mut(&mut self) -> &mut Cx {
        self.cx
    }
}

/// A handle on the shadow stack that keeps its object alive until its [`Scope`] ends. It is
/// `Copy` and has no reference count.
pub struct Local<'s, T: ?Sized> {
    object: core::ptr::NonNull<u8>,
    mutator: u64,
    index: usize,
    brand: Brand<'s>,
    target: PhantomData<*const T>,
}

impl<T: ?Sized> Clone for Local<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T: ?Sized> Copy for Local<'_, T> {}

impl<T: ?Sized + Payload> Local<'_, T> {
    /// The handle, for the region that `cx` is in.
    ///
    /// # Panics
    ///
    /// If `cx` is not the context in which [`Scope::keep`] made the local.
    #[inline]
    #[track_caller]
    pub fn get<'gc>(self, cx: &'gc Cx) -> Gc<'gc, T::At<'gc>> {
        assert!(self.mutator == cx.mutator().id(), "Local::get: kept in another context");
        debug_assert!(cx.mutator().shadow_holds(self.index, self.object), "R1: popped too early");
        // SAFETY: the brand `'s` proves that the scope has not ended, so the
        // shadow stack still holds the object (R1); the context is the same.
        unsafe { Gc::from_object(self.object) }
    }
}

impl<T: ?Sized> fmt::Debug for Local<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Local").field(&self.object).finish()
    }
}
