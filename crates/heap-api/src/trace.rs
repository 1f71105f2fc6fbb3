//! [`Trace`] says which handles a value holds; it reports them to a [`Tracer`].
//!
//! `#[derive(Trace)]` implements it for sized types; by hand it is `unsafe`. For types of the
//! standard library it is implemented in `impls`.
//!
//! * TA1: `trace` reports every handle that the value holds.
//! * TA2: `At<'a>` is the same type with its heap lifetime replaced by `'a`: it
//!   contains no handle of any other region.
//! * TA3: types with a `Drop` implementation of their own hold no handles: a
//!   destructor runs after its neighbours may have been freed.
//! * TA4: drop glue may run on any thread, so every leaf that has some is `Send`.
//! * TA5: a [`Tracer`] exists only where there are no writers to the values that are traced with
//!   it, so `trace` may read what a mutator may be writing at other times
//!   ([`GcRefCell`](crate::GcRefCell)): no mutator is inside, or one reports a cell that it has to
//!   itself ([`report`]).
//! * TA6: a type whose `NEEDS_TRACE` is false is the same in all regions.

use core::ptr::NonNull;

use heap_core::tracer::{self, EdgeBuffer};

/// A sized value that may live in the heap and says which handles it holds.
///
/// Derive it. The derive works on structs, enums and generic types, takes one
/// lifetime parameter as the heap lifetime (conventionally `'gc`), and rejects
/// types that implement `Drop`.
///
/// ```
/// use heap_api::{Gc, GcCell, Trace};
///
/// #[derive(Trace)]
/// struct Node<'gc> {
///     value: i64,
///     next: GcCell<Option<Gc<'gc, Node<'gc>>>>,
/// }
/// ```
///
/// # Safety
///
/// * [`Trace::trace`] reports, through the field types' own `trace`, every
///   `Gc` reachable from `self` without going through another `Gc`.
/// * [`Trace::At<'a>`](Trace::At) is `Self` with the heap lifetime replaced: same layout,
///   same invariants.
/// * [`Trace::NEEDS_TRACE`] may be `false` only if there is no handle and `At<'a>` is the
///   same type for every `'a`.
/// * The type has no `Drop` of its own unless it holds no handle (then it
///   is `'static`).
/// * Dropping a value on another thread than the one that made it is sound.
/// * `trace` does not unwind, does not allocate in the heap and does not write.
// TA1 to TA4, and TA6.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not say which handles it holds",
    note = "derive `Trace`, or wrap a foreign type without handles in `Opaque`, which asks for `Send + 'static`: destructors run on any thread"
)]
pub unsafe trait Trace {
    /// The same type in another region (the time between two safepoints): with `'a` in
    /// place of the heap lifetime `'gc`. Its own `At` leads to the same types again.
    type At<'a>: for<'b> Trace<At<'b> = Self::At<'b>> + 'a;

    /// Whether values of this type may hold handles. `false` promises that they hold none.
    const NEEDS_TRACE: bool;

    /// Whether objects of this type have spans of their own even if they need not be traced or
    /// dropped, so that [`AnyGc::downcast`](crate::AnyGc::downcast) can tell them from others:
    /// `#[trace(own_kind)]` on a derive. Types that are traced or dropped have spans of their own
    /// anyway; all others share spans, and the small ones slots. The price is some memory:
    /// at least one span of 8 KiB for each thread that allocates such objects, and slots of 16 bytes
    /// for smaller ones. Slices and [`HeaderSlice`](crate::HeaderSlice)s have an own kind if their
    /// elements or their header have one.
    const OWN_KIND: bool = false;

    /// Reports the handles that `self` holds.
    fn trace(&self, tracer: &mut Tracer);

    /// Never called. In derived implementations its body makes the compiler check the type and
    /// each field.
    #[doc(hidden)]
    fn check_fields<'a>(_: &mut Self::At<'a>) {}

    /// What a derived implementation for a leaf asserts: TA3 and TA4.
    #[doc(hidden)]
    fn assert_leaf()
    where
        Self: Sized + Send + 'static,
    {
    }

    /// What a derived implementation asserts of a field that it skips: that the field holds no
    /// handle, and may be dropped on any thread (TA1 to TA4).
    #[doc(hidden)]
    fn assert_skipped<F: Send + 'static>(_: &mut F)
    where
        Self: Sized,
    {
    }

    /// What every other derived implementation asserts (TA3).
    #[doc(hidden)]
    fn assert_no_drop()
    where
        Self: Sized + HeapObjectsMustNotImplementDrop<OwnDrop = ()>,
    {
    }
}

/// What `#[trace(leaf)]` asks for, as a bound that a derived implementation can name.
#[doc(hidden)]
pub trait LeafData: Send + 'static {}
impl<T: Send + 'static + ?Sized> LeafData for T {}

/// What cells and locks of the standard library may hold in heap objects. It is a trait of its own
/// for the sake of the error message.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "`{Self}` may hold handles, which cells and locks of the standard library do not report to the collector when they change",
    label = "may hold handles, or is not `Send`",
    note = "use `GcCell` for a `Copy` value such as `Option<Gc<'gc, T>>`, and `GcRefCell` for others",
    note = "data without handles must be `Send + 'static`: destructors run on any thread"
)]
pub trait PlainData: Send + 'static {}
#[diagnostic::do_not_recommend]
impl<T: Send + 'static + ?Sized> PlainData for T {}

/// What containers of handles ask of their elements: a type of region `'gc`, such as can be
/// allocated with a `&'gc Cx`. It stands for `Trace<At<'gc> = Self>`.
///
/// ```
/// use heap_api::{Config, Cx, Gc, GcVec, Heap, In};
///
/// fn pair<'gc, T: In<'gc> + Copy>(cx: &'gc Cx, a: T, b: T) -> Gc<'gc, GcVec<'gc, T>> {
///     let pair = GcVec::with_capacity(cx, 2);
///     pair.extend_from_slice(cx, &[a, b]);
///     cx.alloc(pair)
/// }
///
/// let heap = Heap::new(Config::new());
/// let cx = heap.enter();
/// assert_eq!(&*pair(&cx, cx.alloc_str("a"), cx.alloc_str("b")).get(1).unwrap(), "b");
/// ```
pub trait In<'gc>: Sized + Trace<At<'gc> = Self> {}
impl<'gc, T: Trace<At<'gc> = T>> In<'gc> for T {}

/// Implemented for the types that implement `Drop`; the derive implements it for its types, too.
/// So a derived type that implements `Drop` has two implementations, which the compiler refuses.
#[doc(hidden)]
pub trait HeapObjectsMustNotImplementDrop {
    /// `()` where there is no `Drop`.
    type OwnDrop;
}
#[allow(drop_bounds, reason = "exactly the types with a destructor of their own")]
impl<T: ?Sized + Drop> HeapObjectsMustNotImplementDrop for T {
    type OwnDrop = HasDrop;
}

/// The type implements `Drop`.
#[doc(hidden)]
#[derive(Debug)]
pub struct HasDrop;

/// The receiver of the handles that [`Trace::trace`] reports. The collector and the write
/// barrier make one; a hand-written `trace` passes it on to its fields.
// No value exists elsewhere: TA5.
#[derive(Debug)]
#[repr(transparent)]
pub struct Tracer(pub(crate) tracer::Tracer);

impl Tracer {
    /// # Safety
    ///
    /// TA5: there are no writers to what is traced with it.
    #[inline(always)]
    pub(crate) unsafe fn of(tracer: &mut tracer::Tracer) -> &mut Tracer {
        // SAFETY: `Tracer` is a transparent wrapper.
        unsafe { &mut *core::ptr::from_mut(tracer).cast() }
    }

    /// # Safety
    ///
    /// Contract of [`tracer::Tracer::edge`].
    #[inline(always)]
    pub(crate) unsafe fn edge(&mut self, object: NonNull<u8>) {
        // SAFETY: forwarded from the caller.
        unsafe { self.0.edge(object) };
    }
}

impl Tracer {
    /// # Safety
    ///
    /// Contract of [`tracer::Tracer::ephemeron`].
    #[inline]
    pub(crate) unsafe fn ephemeron(
        &mut self,
        key: NonNull<u8>,
        report_value: impl FnOnce(&mut Tracer),
    ) -> tracer::Fate {
        // SAFETY: forwarded from the caller. TA5 holds for the same tracer.
        unsafe { self.0.ephemeron(key, |tracer| report_value(Tracer::of(tracer))) }
    }
}

/// Reports the handles that cells hold, for the write barrier.
///
/// # Safety
///
/// The caller has the cells to itself: `GcCell`s or a stack, which no other thread can reach,
/// or the contents of a `GcRefCell` that it has just borrowed mutably, and with them everything
/// in them. So no mutable reference into them is in use.
pub(crate) unsafe fn report<T: Trace>(cells: &[T], edges: &mut EdgeBuffer) {
    edges.with_tracer(|tracer| {
        // SAFETY: TA5, by the contract: what holds handles and can be written through `&T` is
        // a cell of this crate. Those that are not `Share` are reached by this thread only,
        // which is here; atomic ones may be read at any time.
        let tracer = unsafe { Tracer::of(tracer) };
        cells.iter().for_each(|cell| cell.trace(tracer));
    });
}
