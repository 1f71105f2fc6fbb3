//! [`Payload`]: what a [`Gc`](crate::Gc) can point at, and how it lies in the heap: a sized object by
//! itself; a slice, a string or a [`HeaderSlice`] behind its length.
//!
//! * PL1: types that are the same in one region are the same in each: `At` of a type's `At` is
//!   that of the type. So `At<'static>`, which has a `TypeId`, names a type in all regions.

use core::any::TypeId;
use core::marker::PhantomData;
use core::ptr::NonNull;

use heap_core::kind::ObjectKind;
use heap_core::tiny::TinyLayout;
use heap_core::tracer::{EdgeBuffer, PIECE_BYTES, Piece};

use crate::trace::{Trace, Tracer};

/// A type that a [`Gc`](crate::Gc) can point at: a sized [`Trace`] type, a slice, `str`, or a
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

/// Builds the kind of a sized type.
struct SizedKind<T>(PhantomData<T>);

impl<T: Trace> SizedKind<T> {
    // SAFETY: the functions take live `T`s; TA1 gives K2; a `trace` does not unwind (contract of
    // `Trace`), nothing is deferred, and destructors follow no handles and run anywhere (TA3, TA4).
    // K4: the type is that of the objects, in the region `'static`, which stands for all
    // regions: `T::At<'a>` is the same type for every `T` with that `At<'static>` (PL1).
    const KIND: ObjectKind = unsafe {
        ObjectKind::new(
            core::any::type_name::<T>,
            if T::NEEDS_TRACE { Some(Self::trace_batch) } else { None },
            None,
            if core::mem::needs_drop::<T>() { Some(Self::drop_in_place) } else { None },
        )
        .of_type(TypeId::of::<T::At<'static>>())
    };

    /// # Safety
    /// Contract of [`heap_core::tracer::TraceBatchFn`]: every granule of the batch
    /// is the start of a live, initialised `T` on this page.
    unsafe fn trace_batch(page: *const u8, edges: &mut EdgeBuffer) {
        edges.with_tracer(|tracer| {
            // SAFETY: TA5: the caller is the collector.
            let tracer = unsafe { Tracer::of(tracer) };
            while let Some(granule) = tracer.0.next_granule() {
                let offset =
                    heap_core::size_class::object_offset(granule, const { slot_size::<T>() });
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
    if T::NEEDS_TRACE || core::mem::needs_drop::<T>() || T::OWN_KIND {
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
    const KIND: &'static ObjectKind =
        if T::NEEDS_TRACE || core::mem::needs_drop::<T>() || T::OWN_KIND {
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
    // tails that hold handles, and kinds with such tails have a function for them. K4: `[T]` and
    // `HeaderSlice<(), T>` have one layout, so either may be seen as the other.
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
        .of_type(TypeId::of::<HeaderSlice<H::At<'static>, T::At<'static>>>())
    };

    pub(crate) const KIND_REF: &'static ObjectKind =
        if Self::KIND_IS_PLAIN { &heap_core::kind::NOSCAN } else { &Self::KIND };

    const KIND_IS_PLAIN: bool = !H::NEEDS_TRACE
        && !T::NEEDS_TRACE
        && !core::mem::needs_drop::<H>()
        && !core::mem::needs_drop::<T>()
        && !H::OWN_KIND
        && !T::OWN_KIND;

    /// # Safety
    /// As [`SizedKind::trace_batch`], for tailed objects.
    unsafe fn trace_batch(page: *const u8, edges: &mut EdgeBuffer) {
        edges.with_tracer(|tracer| {
            // SAFETY: TA5: the caller is the collector.
            let tracer = unsafe { Tracer::of(tracer) };
            while let Some(granule) = tracer.0.next_granule() {
                // Scanned objects with a tail are never put in slots of `OFF_GRANULE_SLOT` bytes
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
                    let piece = Piece { object, from: Self::TAIL, end, trace: None };
                    // SAFETY: the whole tail of a live object, with handles in it.
                    if end > PIECE_BYTES && unsafe { tracer.0.defer(piece) }.is_ok() {
                        continue;
                    }
                    // SAFETY: the whole tail of a live object.
                    unsafe { Self::trace_tail(object, Self::TAIL, end - Self::TAIL, tracer) };
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
/// use heap_api::{Config, HeaderSlice, Heap};
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
