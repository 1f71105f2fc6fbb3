//! [`InternSet`]: a set that finds objects by content and keeps none alive.
//!
//! The classic use is a language's string table. After each mark phase the
//! collector removes the entries whose objects were not reached; an entry that
//! is found while marking is under way is kept (I2): to find an object is to reach it. Only a
//! thread that is inside and holds the set, or the collector, accesses the table (I3).
//!
//! * I4: a thread that holds the set can reach its objects. So the set goes to another
//!   thread only if these may be shared.

use core::marker::PhantomData;
use core::ptr::NonNull;

use heap_gc::WeakTable;

use crate::alloc::out_of_memory;
use crate::cx::Cx;
use crate::error::OutOfMemory;
use crate::gc::Gc;
use crate::heap::Heap;
use crate::payload::Payload;
use crate::share::Share;

/// A hash set that finds objects by content and keeps none of them alive: a weak table, such
/// as a language's string table. A collection removes the entries of objects that are
/// reachable from nowhere else.
///
/// An entry lives as long as its object's slot. An object so small that it shares a slot
/// (fewer than 16 bytes, no handles, no destructor) may therefore be found after its last
/// handle is gone, as long as a neighbour in the slot lives.
///
/// The caller computes the hashes; equal contents need equal hashes. A set belongs to one
/// heap and is used by one mutator at a time.
///
/// ```
/// use heap_api::{Config, Heap, InternSet};
///
/// let heap = Heap::new(Config::new());
/// let mut cx = heap.enter();
/// let mut names = InternSet::<str>::new(&heap);
/// {
///     let a = names.find_or_insert(&cx, 42, |s| s == "ada", || cx.alloc_str("ada"));
///     let b = names.find_or_insert(&cx, 42, |s| s == "ada", || unreachable!());
///     assert!(a.ptr_eq(b));
/// }
/// cx.collect();
/// assert_eq!(names.len(&cx), 0);
/// ```
#[derive(Debug)]
pub struct InternSet<T: ?Sized> {
    table: WeakTable,
    target: PhantomData<*const T>,
}

// SAFETY: I3: the set is reached by one thread at a time, which proves with a
// `Cx` that it is inside. I4: `Share` allows that the objects are reached from
// the threads that had the set before, too.
unsafe impl<T: ?Sized + Share> Send for InternSet<T> {}

impl<T: ?Sized + Payload> InternSet<T> {
    /// An empty set for objects of `heap`.
    #[must_use]
    pub fn new(heap: &Heap) -> Self {
        InternSet { table: heap.shared().weak_table(), target: PhantomData }
    }

    /// An object with this hash for which `same` returns `true`. While an incremental mark
    /// phase is under way, every object that is passed to `same` is kept alive until the next
    /// collection.
    ///
    /// # Panics
    ///
    /// If `cx` belongs to another heap.
    #[inline]
    pub fn find<'gc>(
        &self,
        cx: &'gc Cx,
        hash: u32,
        mut same: impl FnMut(&T::At<'gc>) -> bool,
    ) -> Option<Gc<'gc, T::At<'gc>>> {
        let found = cx.mutator().find_weak(&self.table, hash, |object: NonNull<u8>| {
            // SAFETY: I1 and I3: entries name live objects while we are inside.
            same(unsafe { <T::At<'gc> as Payload>::from_thin(object) })
        })?;
        // SAFETY: as above; `'gc` borrows `cx`.
        Some(unsafe { Gc::from_object(found) })
    }

    /// Adds an object. If the set has an equal one it has both afterwards, and
    /// [`InternSet::find`] returns either.
    ///
    /// # Panics
    ///
    /// If `cx` belongs to another heap, or if the system refuses the memory.
    #[inline]
    #[track_caller]
    pub fn insert<'gc>(&mut self, cx: &'gc Cx, hash: u32, value: Gc<'gc, T::At<'gc>>) {
        self.try_insert(cx, hash, value).unwrap_or_else(|reason| out_of_memory(reason));
    }

    /// As [`InternSet::insert`], for callers that can do without.
    ///
    /// # Errors
    ///
    /// If the system refuses the memory; the set is then as it was. (It is not counted by the
    /// heap's limit.)
    ///
    /// # Panics
    ///
    /// If `cx` belongs to another heap.
    #[inline]
    pub fn try_insert<'gc>(
        &mut self,
        cx: &'gc Cx,
        hash: u32,
        value: Gc<'gc, T::At<'gc>>,
    ) -> Result<(), OutOfMemory> {
        // SAFETY: a handle of the region that `cx` is in leads to a live object of its heap.
        unsafe { cx.mutator().try_insert_weak(&mut self.table, hash, value.object()) }
    }

    /// Finds an object as [`InternSet::find`] does, or makes one and adds it.
    ///
    /// # Panics
    ///
    /// If `cx` belongs to another heap, if the system refuses the memory, and if `make` panics.
    #[track_caller]
    pub fn find_or_insert<'gc>(
        &mut self,
        cx: &'gc Cx,
        hash: u32,
        same: impl FnMut(&T::At<'gc>) -> bool,
        make: impl FnOnce() -> Gc<'gc, T::At<'gc>>,
    ) -> Gc<'gc, T::At<'gc>> {
        if let Some(found) = self.find(cx, hash, same) {
            return found;
        }
        let made = make();
        self.insert(cx, hash, made);
        made
    }

    /// As [`InternSet::find_or_insert`], for callers that handle refused memory.
    ///
    /// ```
    /// use heap_api::{Config, Heap, InternSet};
    ///
    /// let heap = Heap::new(Config::new().max_heap_bytes(1 << 20));
    /// let cx = heap.enter();
    /// let mut names = InternSet::<str>::new(&heap);
    /// let make = || cx.try_alloc_str("ada").map_err(|error| error.reason);
    /// let name = names.try_find_or_insert(&cx, 42, |s| s == "ada", make)?;
    /// assert_eq!(&*name, "ada");
    /// # Ok::<(), heap_api::OutOfMemory>(())
    /// ```
    ///
    /// # Errors
    ///
    /// That of `make`; or if the system refuses the memory for the entry. The set is then as it
    /// was.
    ///
    /// # Panics
    ///
    /// If `cx` belongs to another heap, and if `make` panics.
    pub fn try_find_or_insert<'gc>(
        &mut self,
        cx: &'gc Cx,
        hash: u32,
        same: impl FnMut(&T::At<'gc>) -> bool,
        make: impl FnOnce() -> Result<Gc<'gc, T::At<'gc>>, OutOfMemory>,
    ) -> Result<Gc<'gc, T::At<'gc>>, OutOfMemory> {
        if let Some(found) = self.find(cx, hash, same) {
            return Ok(found);
        }
        let made = make()?;
        self.try_insert(cx, hash, made)?;
        Ok(made)
    }

    /// The number of entries. An entry whose object has become unreachable counts until a
    /// collection has removed it, which is done in slices if marking is.
    ///
    /// # Panics
    ///
    /// If `cx` belongs to another heap.
    #[must_use]
    pub fn len(&self, cx: &Cx) -> usize {
        cx.mutator().weak_len(&self.table)
    }

    /// Whether the set has no entries.
    ///
    /// # Panics
    ///
    /// If `cx` belongs to another heap.
    #[must_use]
    pub fn is_empty(&self, cx: &Cx) -> bool {
        self.len(cx) == 0
    }
}
