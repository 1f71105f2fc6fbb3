//! Allocation of objects that read as zero: for types of which all-zero bytes are a
//! value ([`Zeroable`]).
//!
//! The heap knows for each span whether free slots may hold old data. So a large object
//! in memory that was never used is not written to at all: a sparse table
//! costs what is stored in it. (Go: `needzero`.)
//!
//! * ZA1: a type is accepted only if zero bytes are a value of it. They are not a handle;
//!   they are the `None` of an optional one (H4).

use bytemuck::{Zeroable, ZeroableInOption};
use heap_core::mheap::Fill;

use crate::alloc::or_panic;
use crate::cell::{AtomicGcCell, BarrierStamp, GcCell};
use crate::cx::Cx;
use crate::error::AllocError;
use crate::gc::Gc;
use crate::impls::Opaque;
use crate::payload::{HeaderSlice, HeaderSliceLayout};
use crate::trace::Trace;

// SAFETY: H4: a transparent wrapper of `NonNull` (and of nothing else that has a
// size), for which the language gives `None` as zero bytes.
unsafe impl<T: ?Sized> ZeroableInOption for Gc<'_, T> {}

// SAFETY: a transparent wrapper of a `Cell` of the content.
unsafe impl<T: Zeroable> Zeroable for GcCell<T> {}

// SAFETY: a number: no mark phase.
unsafe impl Zeroable for BarrierStamp {}

// SAFETY: one atomic pointer, for which null stands for no handle.
unsafe impl<T: ?Sized> Zeroable for AtomicGcCell<'_, T> {}

// SAFETY: its one field.
unsafe impl<T: Zeroable + Send + 'static> Zeroable for Opaque<T> {}

impl Cx {
    /// Allocates a `T` of zero bytes, in place: it is never on the stack.
    ///
    /// ```
    /// use heap_api::{Config, Heap};
    ///
    /// let heap = Heap::new(Config::new());
    /// let cx = heap.enter();
    /// let table = cx.alloc_zeroed::<[u64; 1 << 20]>(); // 8 MiB, not touched yet
    /// assert_eq!(table[12_345], 0);
    /// ```
    ///
    /// # Panics
    ///
    /// As [`Cx::alloc`].
    #[inline]
    #[track_caller]
    pub fn alloc_zeroed<'gc, T: Trace<At<'gc> = T> + Zeroable>(&'gc self) -> Gc<'gc, T> {
        or_panic(self.try_alloc_zeroed())
    }

    /// Allocates a `T` of zero bytes, in place: it is never on the stack.
    ///
    /// # Errors
    ///
    /// As [`Cx::try_alloc`].
    #[inline]
    pub fn try_alloc_zeroed<'gc, T: Trace<At<'gc> = T> + Zeroable>(
        &'gc self,
    ) -> Result<Gc<'gc, T>, AllocError> {
        // SAFETY: zeroed below.
        let object = unsafe { self.sized_slot::<T>(Fill::Sparse) };
        let object = object.map_err(|reason| AllocError { value: (), reason })?;
        // SAFETY: a fresh slot of at least this size and alignment, to which there is no
        // other pointer; zero bytes are a `T` (ZA1), which lives from here on.
        unsafe {
            self.mutator().zero(object, size_of::<T>());
            Ok(Gc::from_object(object))
        }
    }

    /// Allocates a slice of `len` elements of zero bytes. Memory that was never used is not
    /// touched.
    ///
    /// ```
    /// use heap_api::{Config, Gc, GcCell, Heap};
    ///
    /// let heap = Heap::new(Config::new());
    /// let cx = heap.enter();
    /// let bytes = cx.alloc_slice_zeroed::<u8>(1000);
    /// assert!(bytes.iter().all(|byte| *byte == 0));
    /// // No handles yet: 16 MB of address space, and next to no memory.
    /// let names = cx.alloc_slice_zeroed::<GcCell<Option<Gc<'_, str>>>>(2_000_000);
    /// names[1_999_999].set(&cx, Some(cx.alloc_str("last")));
    /// assert!(names[0].get().is_none());
    /// ```
    ///
    /// # Panics
    ///
    /// As [`Cx::alloc`].
    #[inline]
    #[track_caller]
    pub fn alloc_slice_zeroed<'gc, T: Trace<At<'gc> = T> + Zeroable>(
        &'gc self,
        len: usize,
    ) -> Gc<'gc, [T]> {
        or_panic(self.try_alloc_slice_zeroed(len))
    }

    /// Allocates a slice of `len` elements of zero bytes.
    ///
    /// # Errors
    ///
    /// As [`Cx::try_alloc`]; also when the slice has more than `isize::MAX` bytes.
    #[inline]
    pub fn try_alloc_slice_zeroed<'gc, T: Trace<At<'gc> = T> + Zeroable>(
        &'gc self,
        len: usize,
    ) -> Result<Gc<'gc, [T]>, AllocError> {
        let header_slice = self.try_alloc_header_slice_zeroed::<(), T>((), len)?;
        // SAFETY: `[T]` and `HeaderSlice<(), T>` have the same heap layout.
        Ok(unsafe { Gc::from_object(header_slice.object()) })
    }

    /// Allocates a header followed by `len` elements of zero bytes.
    ///
    /// # Panics
    ///
    /// As [`Cx::alloc`].
    #[inline]
    #[track_caller]
    pub fn alloc_header_slice_zeroed<'gc, H, T>(
        &'gc self,
        header: H,
        len: usize,
    ) -> Gc<'gc, HeaderSlice<H, T>>
    where
        H: Trace<At<'gc> = H>,
        T: Trace<At<'gc> = T> + Zeroable,
    {
        or_panic(self.try_alloc_header_slice_zeroed(header, len))
    }

    /// Allocates a header followed by `len` elements of zero bytes.
    ///
    /// # Errors
    ///
    /// As [`Cx::try_alloc_slice_zeroed`]; the header is given back.
    #[inline]
    pub fn try_alloc_header_slice_zeroed<'gc, H, T>(
        &'gc self,
        header: H,
        len: usize,
    ) -> Result<Gc<'gc, HeaderSlice<H, T>>, AllocError<H>>
    where
        H: Trace<At<'gc> = H>,
        T: Trace<At<'gc> = T> + Zeroable,
    {
        // SAFETY: written to below.
        let object = match unsafe { self.header_slice_slot_for::<H, T, true>(len) } {
            Ok(object) => object,
            Err(reason) => return Err(AllocError { value: header, reason }),
        };
        // The slot is this large: its allocation computed the same.
        let bytes = HeaderSliceLayout::<H, T>::TAIL + len * size_of::<T>();
        let layout = object.cast::<HeaderSliceLayout<H, T>>().as_ptr();
        // SAFETY: a fresh slot of `bytes` bytes, to which there is no other pointer; zero
        // bytes are elements (ZA1), and length and header are written before there is a handle.
        unsafe {
            self.mutator().zero(object, bytes);
            (&raw mut (*layout).len).write(len);
            (&raw mut (*layout).header).write(header);
            Ok(Gc::from_object(object))
        }
    }
}
