//! [`Trace`] says which handles a value holds, [`Payload`] how it lies in the heap.
//!
//! `#[derive(Trace)]` implements `Trace` for sized types. A [`Gc`] can point at every
//! `Payload`: a `Trace` type, `[T]`, `str` or [`HeaderSlice<H, T>`](crate::HeaderSlice).
//! Both are `unsafe` to implement by hand.
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

use core::cell::Cell;
use core::marker::PhantomData;
use core::ptr::NonNull;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap, HashSet, LinkedList, VecDeque};

use heap_core::kind::ObjectKind;
use heap_core::tiny::TinyLayout;
use heap_core::tracer::{self, EdgeBuffer, PIECE_BYTES, Piece};

use crate::gc::Gc;

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
pub struct Tracer(tracer::Tracer);

impl Tracer {
    /// # Safety
    ///
    /// TA5: there are no writers to what is traced with it.
    #[inline(always)]
    unsafe fn of(tracer: &mut tracer::Tracer) -> &mut Tracer {
        // SAFETY: `Tracer` is a transparent wrapper.
        unsafe { &mut *core::ptr::from_mut(tracer).cast() }
    }

    /// # Safety
    ///
    /// Contract of [`tracer::Tracer::edge`].
    #[inline(always)]
    unsafe fn edge(&mut self, object: NonNull<u8>) {
        // SAFETY: forwarded from the caller.
        unsafe { self.0.edge(object) };
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

/// Objects that several mutators of one heap may reach at the same time.
///
/// `Sync` cannot express it: if a type with handles were `Sync`, a thread inside another
/// heap could read handles out of it. Derive it with `#[derive(Trace, Share)]`: every field
/// must be `Share`.
///
/// # Safety
///
/// All access through `&Self` is free of data races; every handle leads to a
/// `Share` type.
pub unsafe trait Share {
    /// Never called. In derived implementations its body makes the compiler check each field.
    #[doc(hidden)]
    fn check_fields(&self) {}
}

// SAFETY: a handle is copied by value and leads to a shareable object.
unsafe impl<T: ?Sized + Payload + Share> Share for Gc<'_, T> {}
// SAFETY: as its elements: no interior mutability of its own.
unsafe impl<T: Share> Share for [T] {}
// SAFETY: as its elements.
unsafe impl<T: Share, const N: usize> Share for [T; N] {}
// SAFETY: as its content.
unsafe impl<T: Share> Share for Option<T> {}
// SAFETY: as whichever side is present.
unsafe impl<T: Share, E: Share> Share for Result<T, E> {}
// SAFETY: as its content.
unsafe impl<T: ?Sized + Share> Share for Box<T> {}
// SAFETY: as its elements.
unsafe impl<T: Share> Share for Vec<T> {}
// SAFETY: as its elements.
unsafe impl<T: Share> Share for VecDeque<T> {}
// SAFETY: no data at all.
unsafe impl<T: ?Sized + 'static> Share for PhantomData<T> {}
// SAFETY: immutable bytes.
unsafe impl Share for str {}
// SAFETY: as its parts.
unsafe impl<H: Share, T: Share> Share for HeaderSlice<H, T> {}
// SAFETY: `Sync` data without handles.
unsafe impl<T: Send + Sync + 'static> Share for Opaque<T> {}

/// A type that a [`Gc`] can point at: a sized [`Trace`] type, a slice, `str`, or a
/// [`HeaderSlice`]. Programs implement [`Trace`] and need not implement this.
///
/// # Safety
///
/// `from_thin` must rebuild the reference for the layout that the allocation
/// functions of this crate write, and `KIND` must describe that layout.
pub unsafe trait Payload {
    /// The same type in another region, as [`Trace::At`].
    type At<'a>: ?Sized + for<'b> Payload<At<'b> = Self::At<'b>> + 'a;

    /// The functions with which the collector traces and drops objects of this type.
    const KIND: &'static ObjectKind;

    /// Rebuilds a reference to the payload from the address of its object.
    ///
    /// # Safety
    ///
    /// `object` points at a live, initialised heap object of type `Self` that
    /// stays alive and unmoved for `'a`.
    unsafe fn from_thin<'a>(object: NonNull<u8>) -> &'a Self;
}

macro_rules! leaf {
    ($($t:ty),* $(,)?) => {$(
        // SAFETY: plain `Send + 'static` data without handles: nothing to
        // report (TA1), no lifetime to replace (TA2, TA3), `Send` (TA4).
        unsafe impl Trace for $t {
            type At<'a> = $t;
            const NEEDS_TRACE: bool = false;
            #[inline(always)]
            fn trace(&self, _: &mut Tracer) {}
        }
        // SAFETY: `Sync` data without handles.
        unsafe impl Share for $t {}
    )*};
}
leaf!(
    (),
    bool,
    char,
    u8,
    u16,
    u32,
    u64,
    u128,
    usize,
    i8,
    i16,
    i32,
    i64,
    i128,
    isize,
    f32,
    f64,
    String,
    &'static str,
    &'static [u8],
    core::cmp::Ordering,
    core::convert::Infallible,
    core::marker::PhantomPinned,
    core::ops::Range<usize>,
    core::any::TypeId,
    std::borrow::Cow<'static, str>,
    std::ffi::CString,
    std::ffi::OsString,
    std::net::IpAddr,
    std::net::SocketAddr,
    std::num::NonZeroU8,
    std::num::NonZeroU16,
    std::num::NonZeroU32,
    std::num::NonZeroU64,
    std::num::NonZeroU128,
    std::num::NonZeroUsize,
    std::num::NonZeroI8,
    std::num::NonZeroI16,
    std::num::NonZeroI32,
    std::num::NonZeroI64,
    std::num::NonZeroI128,
    std::num::NonZeroIsize,
    std::path::PathBuf,
    std::thread::ThreadId,
    std::time::Duration,
    std::time::Instant,
    std::time::SystemTime,
);

/// Wraps a type that does not implement [`Trace`], so that it can be a field of a heap
/// object. The value is dropped when the object is swept, which any thread may do: hence
/// `Send`. It cannot hold a handle: hence `'static`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Opaque<T: Send + 'static>(pub T);

// SAFETY: `'static` and `Gc` is never `Send`, so no handle hides inside (TA1,
// TA3); `Send` covers TA4.
unsafe impl<T: Send + 'static> Trace for Opaque<T> {
    type At<'a> = Opaque<T>;
    const NEEDS_TRACE: bool = false;
    #[inline(always)]
    fn trace(&self, _: &mut Tracer) {}
}

// SAFETY: a std cell has no write barrier, so it may only hold plain data:
// `'static + Copy + Send` admits no handle and no drop glue.
unsafe impl<T: Copy + Send + 'static> Trace for Cell<T> {
    type At<'a> = Cell<T>;
    const NEEDS_TRACE: bool = false;
    #[inline(always)]
    fn trace(&self, _: &mut Tracer) {}
}

// SAFETY: as for `Cell`; `Send + 'static` excludes handles.
unsafe impl<T: Send + 'static> Trace for std::cell::RefCell<T> {
    type At<'a> = std::cell::RefCell<T>;
    const NEEDS_TRACE: bool = false;
    #[inline(always)]
    fn trace(&self, _: &mut Tracer) {}
}

// SAFETY: no data at all.
unsafe impl<T: ?Sized + 'static> Trace for PhantomData<T> {
    type At<'a> = PhantomData<T>;
    const NEEDS_TRACE: bool = false;
    #[inline(always)]
    fn trace(&self, _: &mut Tracer) {}
}

macro_rules! atomics {
    ($($t:ident),*) => {$(
        // SAFETY: plain data without handles.
        unsafe impl Trace for std::sync::atomic::$t {
            type At<'a> = std::sync::atomic::$t;
            const NEEDS_TRACE: bool = false;
            #[inline(always)]
            fn trace(&self, _: &mut Tracer) {}
        }
        // SAFETY: `Sync` data without handles.
        unsafe impl Share for std::sync::atomic::$t {}
    )*};
}
atomics!(
    AtomicBool,
    AtomicU8,
    AtomicU16,
    AtomicU32,
    AtomicU64,
    AtomicUsize,
    AtomicI8,
    AtomicI16,
    AtomicI32,
    AtomicI64,
    AtomicIsize
);

macro_rules! containers {
    ($($(#[$why:meta])* $name:ident),*) => {$(
        // SAFETY: reports what its elements report; its own drop glue only
        // frees memory and drops the elements, which are `Trace` themselves.
        unsafe impl<T: Trace> Trace for $name<T> {
            type At<'a> = $name<T::At<'a>>;
            const NEEDS_TRACE: bool = T::NEEDS_TRACE;
            #[inline]
            fn trace(&self, tracer: &mut Tracer) {
                if T::NEEDS_TRACE {
                    for value in self.iter() {
                        value.trace(tracer);
                    }
                }
            }
        }
    )*};
}
containers!(Option, Vec, VecDeque, LinkedList, BinaryHeap, BTreeSet);

macro_rules! maps {
    ($($name:ident<K, V $(, $hasher:ident)?>),*) => {$(
        // SAFETY: reports what its keys and values report, none of which is changed or compared
        // for that; its own drop glue only frees memory and drops them. A hasher is plain data.
        unsafe impl<K: Trace, V: Trace $(, $hasher: Send + 'static)?> Trace
            for $name<K, V $(, $hasher)?>
        {
            type At<'a> = $name<K::At<'a>, V::At<'a> $(, $hasher)?>;
            const NEEDS_TRACE: bool = K::NEEDS_TRACE || V::NEEDS_TRACE;
            #[inline]
            fn trace(&self, tracer: &mut Tracer) {
                if Self::NEEDS_TRACE {
                    for (key, value) in self {
                        key.trace(tracer);
                        value.trace(tracer);
                    }
                }
            }
        }
    )*};
}
maps!(HashMap<K, V, S>, BTreeMap<K, V>);

// SAFETY: as a map without values.
unsafe impl<T: Trace, S: Send + 'static> Trace for HashSet<T, S> {
    type At<'a> = HashSet<T::At<'a>, S>;
    const NEEDS_TRACE: bool = T::NEEDS_TRACE;
    #[inline]
    fn trace(&self, tracer: &mut Tracer) {
        if T::NEEDS_TRACE {
            for value in self {
                value.trace(tracer);
            }
        }
    }
}

// SAFETY: as its content; the box's drop glue drops the content and frees.
unsafe impl<T: Trace> Trace for Box<T> {
    type At<'a> = Box<T::At<'a>>;
    const NEEDS_TRACE: bool = T::NEEDS_TRACE;
    #[inline]
    fn trace(&self, tracer: &mut Tracer) {
        (**self).trace(tracer);
    }
}

// SAFETY: as its elements.
unsafe impl<T: Trace> Trace for Box<[T]> {
    type At<'a> = Box<[T::At<'a>]>;
    const NEEDS_TRACE: bool = T::NEEDS_TRACE;
    #[inline]
    fn trace(&self, tracer: &mut Tracer) {
        if T::NEEDS_TRACE {
            for value in self {
                value.trace(tracer);
            }
        }
    }
}

// SAFETY: plain data.
unsafe impl Trace for Box<str> {
    type At<'a> = Box<str>;
    const NEEDS_TRACE: bool = false;
    #[inline(always)]
    fn trace(&self, _: &mut Tracer) {}
}

// SAFETY: as its elements.
unsafe impl<T: Trace, const N: usize> Trace for [T; N] {
    type At<'a> = [T::At<'a>; N];
    const NEEDS_TRACE: bool = T::NEEDS_TRACE;
    #[inline]
    fn trace(&self, tracer: &mut Tracer) {
        if T::NEEDS_TRACE {
            for value in self {
                value.trace(tracer);
            }
        }
    }
}

// SAFETY: as whichever side is present.
unsafe impl<T: Trace, E: Trace> Trace for Result<T, E> {
    type At<'a> = Result<T::At<'a>, E::At<'a>>;
    const NEEDS_TRACE: bool = T::NEEDS_TRACE || E::NEEDS_TRACE;
    #[inline]
    fn trace(&self, tracer: &mut Tracer) {
        match self {
            Ok(value) => value.trace(tracer),
            Err(error) => error.trace(tracer),
        }
    }
}

macro_rules! tuples {
    ($(($($t:ident $i:tt),+))*) => {$(
        // SAFETY: as the elements.
        unsafe impl<$($t: Trace),+> Trace for ($($t,)+) {
            type At<'a> = ($($t::At<'a>,)+);
            const NEEDS_TRACE: bool = $($t::NEEDS_TRACE)||+;
            #[inline]
            fn trace(&self, tracer: &mut Tracer) {
                $(self.$i.trace(tracer);)+
            }
        }
        // SAFETY: as the elements.
        unsafe impl<$($t: Share),+> Share for ($($t,)+) {}
    )*};
}
tuples! {
    (A 0) (A 0, B 1) (A 0, B 1, C 2) (A 0, B 1, C 2, D 3) (A 0, B 1, C 2, D 3, E 4)
    (A 0, B 1, C 2, D 3, E 4, F 5) (A 0, B 1, C 2, D 3, E 4, F 5, G 6)
    (A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7)
}

// SAFETY: a handle reports itself; it has no drop glue; `At` replaces its
// lifetime and its target's.
unsafe impl<'gc, T: ?Sized + Payload> Trace for Gc<'gc, T> {
    type At<'a> = Gc<'a, T::At<'a>>;
    const NEEDS_TRACE: bool = true;
    #[inline(always)]
    fn trace(&self, tracer: &mut Tracer) {
        // SAFETY: a handle that is traced comes from a marked object of the heap, which was
        // reachable when marking began or is new: a handle in it leads to a live object.
        unsafe { tracer.edge(self.object()) };
    }
}

/// Builds the kind of a sized type.
struct SizedKind<T>(PhantomData<T>);

impl<T: Trace> SizedKind<T> {
    // SAFETY: the functions take live `T`s; TA1 gives K2; a `trace` does not unwind (contract of
    // `Trace`), nothing is deferred, and destructors follow no handles and run anywhere (TA3, TA4).
    const KIND: ObjectKind = unsafe {
        ObjectKind::new(
            core::any::type_name::<T>,
            if T::NEEDS_TRACE { Some(Self::trace_batch) } else { None },
            None,
            if core::mem::needs_drop::<T>() { Some(Self::drop_in_place) } else { None },
        )
    };

    /// # Safety
    /// Contract of [`heap_core::kind::TraceBatchFn`]: every granule of the batch
    /// is the start of a live, initialised `T` on this page.
    unsafe fn trace_batch(page: *const u8, edges: &mut EdgeBuffer) {
        edges.with_tracer(|tracer| {
            // SAFETY: TA5: the caller is the collector.
            let tracer = unsafe { Tracer::of(tracer) };
            while let Some(granule) = tracer.0.next_granule() {
                let offset = heap_core::arena::object_offset(granule, const { slot_size::<T>() });
                // SAFETY: the caller promises a live `T` at this slot.
                let object = unsafe { &*page.add(offset).cast::<T>() };
                object.trace(tracer);
            }
        });
    }

    /// # Safety
    /// `object` is a live `T` that is not used afterwards.
    unsafe fn drop_in_place(object: NonNull<u8>) {
        // SAFETY: forwarded from the caller.
        unsafe { object.cast::<T>().drop_in_place() }
    }
}

/// How objects of type `T` share slots, if they do.
pub(crate) const fn tiny_layout<T: Trace>() -> Option<TinyLayout> {
    if T::NEEDS_TRACE || core::mem::needs_drop::<T>() {
        None
    } else {
        TinyLayout::new(size_of::<T>(), align_of::<T>())
    }
}

/// Bytes of the slot that a `T` occupies.
const fn slot_size<T>() -> usize {
    heap_core::alloc_class::slot_size_of(size_of::<T>(), align_of::<T>())
}

// SAFETY: a sized object is its own payload.
unsafe impl<T: Trace> Payload for T {
    type At<'a> = T::At<'a>;
    const KIND: &'static ObjectKind = if T::NEEDS_TRACE || core::mem::needs_drop::<T>() {
        &SizedKind::<T>::KIND
    } else if tiny_layout::<T>().is_some() {
        TinyLayout::kind()
    } else {
        &heap_core::kind::NOSCAN
    };

    #[inline(always)]
    unsafe fn from_thin<'a>(object: NonNull<u8>) -> &'a Self {
        // SAFETY: the caller promises a live `T` for `'a`.
        unsafe { object.cast::<T>().as_ref() }
    }
}

/// Heap layout of everything with a tail: the length, a header, the elements.
#[repr(C)]
pub(crate) struct HeaderSliceLayout<H, T> {
    pub(crate) len: usize,
    pub(crate) header: H,
    pub(crate) tail: [T; 0],
}

impl<H: Trace, T: Trace> HeaderSliceLayout<H, T> {
    pub(crate) const TAIL: usize = core::mem::offset_of!(HeaderSliceLayout<H, T>, tail);

    /// Bytes of an object with `len` elements, or `None` on overflow.
    pub(crate) fn bytes(len: usize) -> Option<usize> {
        size_of::<T>()
            .checked_mul(len)?
            .checked_add(Self::TAIL)
            .filter(|b| *b <= isize::MAX as usize)
    }

    // SAFETY: as that of a sized type, for a header and elements. Pieces are deferred only of
    // tails that hold handles, and kinds with such tails have a function for them.
    pub(crate) const KIND: ObjectKind = unsafe {
        ObjectKind::new(
            core::any::type_name::<(H, [T; 0])>,
            if H::NEEDS_TRACE || T::NEEDS_TRACE { Some(Self::trace_batch) } else { None },
            if T::NEEDS_TRACE { Some(Self::trace_piece) } else { None },
            if core::mem::needs_drop::<H>() || core::mem::needs_drop::<T>() {
                Some(Self::drop_in_place)
            } else {
                None
            },
        )
    };

    pub(crate) const KIND_REF: &'static ObjectKind =
        if Self::KIND_IS_PLAIN { &heap_core::kind::NOSCAN } else { &Self::KIND };

    const KIND_IS_PLAIN: bool = !H::NEEDS_TRACE
        && !T::NEEDS_TRACE
        && !core::mem::needs_drop::<H>()
        && !core::mem::needs_drop::<T>();

    /// # Safety
    /// As [`SizedKind::trace_batch`], for tailed objects.
    unsafe fn trace_batch(page: *const u8, edges: &mut EdgeBuffer) {
        edges.with_tracer(|tracer| {
            // SAFETY: TA5: the caller is the collector.
            let tracer = unsafe { Tracer::of(tracer) };
            while let Some(granule) = tracer.0.next_granule() {
                // Scanned objects with a tail are never put in the 24-byte class
                // (`alloc_class::for_header_slice`), so granule and start coincide.
                // SAFETY: the granule lies on the page.
                let object = unsafe { page.add(granule * heap_core::geometry::GRANULE) };
                let this = object.cast::<Self>();
                // SAFETY: the caller promises a live object of this layout.
                let (len, header) = unsafe { ((*this).len, &(*this).header) };
                header.trace(tracer);
                if T::NEEDS_TRACE {
                    let end = Self::TAIL + len * size_of::<T>();
                    // SAFETY: a live object's address is not null.
                    let object = unsafe { NonNull::new_unchecked(object.cast_mut()) };
                    if end > PIECE_BYTES {
                        let piece = Piece { object, from: Self::TAIL, end };
                        // SAFETY: the whole tail of a live object, with handles in it.
                        unsafe { tracer.0.defer(piece) };
                    } else {
                        // SAFETY: the whole tail of a live object.
                        unsafe { Self::trace_tail(object, Self::TAIL, end - Self::TAIL, tracer) };
                    }
                }
            }
        });
    }

    /// # Safety
    /// As [`trace_tail`](Self::trace_tail).
    unsafe fn trace_piece(object: NonNull<u8>, from: usize, bytes: usize, edges: &mut EdgeBuffer) {
        edges.with_tracer(|tracer| {
            // SAFETY: TA5: the caller is the collector. The rest is its promise.
            unsafe { Self::trace_tail(object, from, bytes, Tracer::of(tracer)) };
        });
    }

    /// # Safety
    /// `object` is a live object of this layout and `from..from + bytes` lies
    /// within its tail. Elements that start in the range are traced.
    #[inline(always)]
    unsafe fn trace_tail(object: NonNull<u8>, from: usize, bytes: usize, tracer: &mut Tracer) {
        if size_of::<T>() == 0 {
            return;
        }
        let first = (from - Self::TAIL).div_ceil(size_of::<T>());
        let last = (from + bytes - Self::TAIL).div_ceil(size_of::<T>());
        // SAFETY: `first..last` are element indices below the length, because
        // the range lies within the tail.
        let elements = unsafe {
            let start = object.add(Self::TAIL).cast::<T>();
            core::slice::from_raw_parts(start.add(first).as_ptr(), last - first)
        };
        for element in elements {
            element.trace(tracer);
        }
    }

    /// # Safety
    /// `object` is a live object of this layout that is not used afterwards.
    unsafe fn drop_in_place(object: NonNull<u8>) {
        let this = object.cast::<Self>().as_ptr();
        // SAFETY: header and `len` elements are initialised and dropped once.
        unsafe {
            let len = (*this).len;
            let tail = object.add(Self::TAIL).cast::<T>().as_ptr();
            core::ptr::drop_in_place(&raw mut (*this).header);
            core::ptr::drop_in_place(core::ptr::slice_from_raw_parts_mut(tail, len));
        }
    }
}

// SAFETY: `[T]` lies in the heap as length and elements.
unsafe impl<T: Trace> Payload for [T] {
    type At<'a> = [T::At<'a>];
    const KIND: &'static ObjectKind = HeaderSliceLayout::<(), T>::KIND_REF;

    #[inline(always)]
    unsafe fn from_thin<'a>(object: NonNull<u8>) -> &'a Self {
        // SAFETY: the caller promises a live object of this layout: `len`
        // initialised elements follow the header.
        unsafe {
            let len = object.cast::<usize>().read();
            let tail = object.add(HeaderSliceLayout::<(), T>::TAIL).cast::<T>();
            core::slice::from_raw_parts(tail.as_ptr(), len)
        }
    }
}

// SAFETY: `str` lies in the heap as `[u8]` that is valid UTF-8.
unsafe impl Payload for str {
    type At<'a> = str;
    const KIND: &'static ObjectKind = HeaderSliceLayout::<(), u8>::KIND_REF;

    #[inline(always)]
    unsafe fn from_thin<'a>(object: NonNull<u8>) -> &'a Self {
        // SAFETY: the caller promises an object that `alloc_str` wrote.
        unsafe { core::str::from_utf8_unchecked(<[u8]>::from_thin(object)) }
    }
}

/// A header and a run of elements in one object, behind a one-word handle. The length is
/// fixed when the object is allocated ([`Cx::alloc_header_slice_copy`] and others).
///
/// [`Cx::alloc_header_slice_copy`]: crate::Cx::alloc_header_slice_copy
///
/// ```
/// use heap_api::{Config, Heap, HeaderSlice};
///
/// let heap = Heap::new(Config::new());
/// let cx = heap.enter();
/// let text = cx.alloc_header_slice_copy(7_u32, b"seven");
/// assert_eq!((text.header, &text.tail), (7, &b"seven"[..]));
/// ```
#[repr(C)]
#[derive(Debug)]
pub struct HeaderSlice<H, T> {
    len: usize,
    /// The fixed part.
    pub header: H,
    /// The elements.
    pub tail: [T],
}

// SAFETY: `HeaderSlice` and `HeaderSliceLayout` are `repr(C)` with the same fields; the
// metadata of the reference is the stored length.
unsafe impl<H: Trace, T: Trace> Payload for HeaderSlice<H, T> {
    type At<'a> = HeaderSlice<H::At<'a>, T::At<'a>>;
    const KIND: &'static ObjectKind = HeaderSliceLayout::<H, T>::KIND_REF;

    #[inline(always)]
    unsafe fn from_thin<'a>(object: NonNull<u8>) -> &'a Self {
        // SAFETY: the caller promises a live object of this layout.
        unsafe {
            let len = object.cast::<usize>().read();
            &*(core::ptr::slice_from_raw_parts(object.as_ptr(), len) as *const Self)
        }
    }
}
