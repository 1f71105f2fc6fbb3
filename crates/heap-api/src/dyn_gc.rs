//! [`DynGc`]: a handle to an object behind a trait, in two words: the object and the table of its
//! methods. Objects have no header in which the table could be, and their kind, which has
//! one place for each type, knows nothing of the traits of programs.
//!
//! * DY1: `object` and `metadata` are, in this order, the two words of a pointer to
//!   `D::At<'a>` for every `'a` in which the object is alive: code cannot tell one region from
//!   another, so what `coerce` does in one it does in each, and the words do not depend on it.
//! * DY2: `object` is the start of the object, with the provenance of its handle (H3), not that of
//!   the reference that `coerce` returned. So it can be traced.
//! * DY3: `D` is invariant and names the type in all regions. If it could change by subtyping, another
//!   implementation of [`DynFamily`] would say what the words point at.

use core::fmt;
use core::marker::PhantomData;
use core::ops::Deref;
use core::ptr::NonNull;

use crate::any::{AnyGc, AnyObject};
use crate::cx::Cx;
use crate::error::OutOfMemory;
use crate::gc::Gc;
use crate::payload::Payload;
use crate::root::Root;
use crate::trace::{Trace, Tracer};

/// A trait object's type in every region, for [`DynGc`].
///
/// ```
/// use heap_api::DynFamily;
///
/// trait Shape {}
/// impl DynFamily for dyn Shape {
///     type At<'a> = dyn Shape + 'a;
/// }
///
/// // A trait that names handles has a lifetime.
/// trait Callable<'gc> {}
/// impl DynFamily for dyn Callable<'static> {
///     type At<'a> = dyn Callable<'a> + 'a;
/// }
/// ```
pub trait DynFamily: 'static {
    /// The type in the region `'a`.
    type At<'a>: ?Sized + 'a;
}

/// A handle to an object of which only a trait is known: `DynGc<'gc, dyn Trait>`.
///
/// It is two words, and a method call costs what one of a `&dyn Trait` does. It is valid until
/// the next safepoint, as a [`Gc`] is, and may be a field of objects and the content of a
/// [`GcCell`](crate::GcCell). [`DynRoot`] keeps the object across safepoints. The trait needs an
/// implementation of [`DynFamily`], and no method of it can be generic.
///
/// ```
/// use heap_api::{Config, DynFamily, DynGc, GcCell, Heap, Trace};
///
/// trait Shape {
///     fn area(&self) -> f64;
/// }
/// impl DynFamily for dyn Shape {
///     type At<'a> = dyn Shape + 'a;
/// }
///
/// #[derive(Trace)]
/// struct Square(f64);
/// impl Shape for Square {
///     fn area(&self) -> f64 {
///         self.0 * self.0
///     }
/// }
///
/// #[derive(Trace)]
/// struct Both<'gc>(DynGc<'gc, dyn Shape>, GcCell<Option<DynGc<'gc, dyn Shape>>>);
/// impl Shape for Both<'_> {
///     fn area(&self) -> f64 {
///         self.0.area() + self.1.get().map_or(0.0, |shape| shape.area())
///     }
/// }
///
/// let heap = Heap::new(Config::new());
/// let mut cx = heap.enter();
/// let root = {
///     let square = DynGc::<dyn Shape>::new(cx.alloc(Square(2.0)), |square| square);
///     let both = cx.alloc(Both(square, GcCell::new(None)));
///     both.1.set(&cx, Some(square));
///     DynGc::<dyn Shape>::new(both, |both| both).root(&cx)
/// };
/// cx.collect();
/// assert_eq!(root.get(&cx).area(), 8.0);
/// assert!(root.get(&cx).erase().is::<Both<'_>>());
/// ```
pub struct DynGc<'gc, D: ?Sized> {
    object: NonNull<u8>,
    metadata: *const (),
    region: PhantomData<&'gc ()>,
    /// Invariant (DY3).
    family: PhantomData<fn(*mut D) -> *mut D>,
}

impl<D: ?Sized> Clone for DynGc<'_, D> {
    #[inline(always)]
    fn clone(&self) -> Self {
        *self
    }
}
impl<D: ?Sized> Copy for DynGc<'_, D> {}

impl<'gc, D: ?Sized + DynFamily> DynGc<'gc, D> {
    /// The handle with a trait in place of the object's type. `coerce` is `|object| object`: it lets
    /// the compiler see that the type implements the trait, in every region. The trait is named:
    /// `DynGc::<dyn Trait>::new(gc, |object| object)`.
    ///
    /// # Panics
    ///
    /// If `coerce` returns something else than the object that it was given.
    #[inline]
    #[must_use]
    #[track_caller]
    pub fn new<T: Trace>(
        gc: Gc<'gc, T>,
        coerce: for<'a> fn(&'a T::At<'a>) -> &'a D::At<'a>,
    ) -> DynGc<'gc, D> {
        const {
            assert!(
                size_of::<*const D::At<'static>>() == size_of::<[*const (); 2]>(),
                "a `DynGc` is for types that pointers have two words for"
            );
        }
        // SAFETY: H1: the object lives; `T::At<'gc>` is its type in this region (TA2).
        let object = unsafe { <T::At<'gc> as Payload>::from_thin(gc.object()) };
        let pointer: *const D::At<'gc> = coerce(object);
        // SAFETY: of the size just asserted, both words initialised: a pointer and its metadata.
        let [start, metadata] =
            unsafe { core::mem::transmute_copy::<*const D::At<'gc>, [*const (); 2]>(&pointer) };
        // The address is the first word, if the assertion holds, and what is there for as long as
        // the object, as a `D::At<'a>` in every region 'a in which there is a `&'a T::At<'a>`.
        assert!(start.addr() == gc.addr(), "DynGc::new: `coerce` returns another object");
        // DY1, DY2.
        DynGc { object: gc.object(), metadata, region: PhantomData, family: PhantomData }
    }

    /// The object, borrowed for the whole region of the handle.
    #[inline(always)]
    #[must_use]
    #[expect(
        clippy::should_implement_trait,
        reason = "`as_ref` of a handle keeps the region; `AsRef` cannot"
    )]
    pub fn as_ref(self) -> &'gc D::At<'gc> {
        let words = [self.object.as_ptr().cast_const().cast::<()>(), self.metadata];
        // SAFETY: DY1: the words of a pointer to the object, which lives (H1, as for a `Gc`).
        unsafe { &*core::mem::transmute_copy::<[*const (); 2], *const D::At<'gc>>(&words) }
    }

    /// A root for the object: it keeps it across safepoints.
    ///
    /// # Panics
    ///
    /// If the system refuses the memory for it: see [`DynGc::try_root`].
    #[must_use]
    #[track_caller]
    pub fn root(self, cx: &Cx) -> DynRoot<D> {
        let DynGc { metadata, family, .. } = self;
        DynRoot { object: cx.root(self.erase()), metadata, family }
    }

    /// As [`DynGc::root`], for callers that handle refused memory.
    ///
    /// # Errors
    ///
    /// If the system refuses the memory for the root.
    pub fn try_root(self, cx: &Cx) -> Result<DynRoot<D>, OutOfMemory> {
        let DynGc { metadata, family, .. } = self;
        Ok(DynRoot { object: cx.try_root(self.erase())?, metadata, family })
    }
}

impl<'gc, D: ?Sized> DynGc<'gc, D> {
    /// The handle in one word, without the trait. Its type may be found again:
    /// [`AnyGc::downcast`].
    #[inline(always)]
    #[must_use]
    pub fn erase(self) -> AnyGc<'gc> {
        // SAFETY: a live object of this region (DY2), of which no more is said.
        unsafe { Gc::from_object(self.object) }
    }

    /// The object's address, as [`Gc::addr`].
    #[inline(always)]
    #[must_use]
    pub fn addr(self) -> usize {
        self.object.addr().get()
    }

    /// Whether both handles lead to the same object.
    #[inline(always)]
    #[must_use]
    pub fn ptr_eq(self, other: Self) -> bool {
        self.object == other.object
    }
}

impl<'gc, D: ?Sized + DynFamily> Deref for DynGc<'gc, D> {
    type Target = D::At<'gc>;

    #[inline(always)]
    fn deref(&self) -> &D::At<'gc> {
        self.as_ref()
    }
}

impl<'gc, D: ?Sized + DynFamily<At<'gc>: fmt::Debug>> fmt::Debug for DynGc<'gc, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_ref().fmt(f)
    }
}

impl<'gc, D: ?Sized + DynFamily<At<'gc>: fmt::Display>> fmt::Display for DynGc<'gc, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_ref().fmt(f)
    }
}

// SAFETY: the one handle reports itself (DY2); it has no drop glue; `At` replaces the region, and
// `D` has none.
unsafe impl<D: ?Sized + DynFamily> Trace for DynGc<'_, D> {
    type At<'a> = DynGc<'a, D>;
    const NEEDS_TRACE: bool = true;
    #[inline(always)]
    fn trace(&self, tracer: &mut Tracer) {
        self.erase().trace(tracer);
    }
}

/// An owned handle that keeps the object of a [`DynGc`] alive across safepoints, as a [`Root`] does
/// that of a [`Gc`]. Made by [`DynGc::root`].
pub struct DynRoot<D: ?Sized> {
    object: Root<AnyObject>,
    metadata: *const (),
    family: PhantomData<fn(*mut D) -> *mut D>,
}

impl<D: ?Sized + DynFamily> DynRoot<D> {
    /// The handle, for the region that `cx` is in.
    ///
    /// # Panics
    ///
    /// If `cx` belongs to another heap.
    #[inline]
    #[track_caller]
    pub fn get<'gc>(&self, cx: &'gc Cx) -> DynGc<'gc, D> {
        let object = self.object.get(cx).object();
        // DY1: the words are those of a `DynGc` of this family. DY2: as the root has it.
        DynGc { object, metadata: self.metadata, region: PhantomData, family: PhantomData }
    }
}

impl<D: ?Sized> Clone for DynRoot<D> {
    /// # Panics
    ///
    /// If the system refuses the memory.
    #[track_caller]
    fn clone(&self) -> Self {
        let DynRoot { object, metadata, family } = self;
        DynRoot { object: object.clone(), metadata: *metadata, family: *family }
    }
}

impl<D: ?Sized> fmt::Debug for DynRoot<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("DynRoot").field(&self.object).finish()
    }
}
