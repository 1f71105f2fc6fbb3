//! Allocation: values, strings, slices, and slices behind a header.
//!
//! Each has a form that panics when memory is refused and a `try_` form that returns
//! [`AllocError`]. None collects: existing handles stay valid. (Objects of zero bytes:
//! `zeroed`.)

use core::mem::MaybeUninit;
use core::ptr::NonNull;

use heap_core::alloc_class::{self, Slot as SlotClass};
use heap_core::kind::sparse_kind;
use heap_core::mheap::Fill;
use heap_gc::OutOfMemory;

use crate::cell::GcCell;
use crate::cx::Cx;
use crate::error::AllocError;
use crate::gc::Gc;
use crate::payload::{HeaderSlice, HeaderSliceLayout, Payload, tiny_layout};
use crate::trace::Trace;

impl Cx {
    /// Allocates a value. Never collects, so existing handles stay valid.
    ///
    /// # Panics
    ///
    /// If the heap's limit or the system refuses the memory: use [`Cx::try_alloc`] to handle
    /// that. May also panic if a destructor of a heap object calls it, with a context that it
    /// found in a thread-local.
    #[inline(always)]
    #[track_caller]
    pub fn alloc<'gc, T: Trace<At<'gc> = T>>(&'gc self, value: T) -> Gc<'gc, T> {
        match self.try_alloc(value) {
            Ok(gc) => gc,
            Err(error) => out_of_memory(error.reason),
        }
    }

    /// Allocates a value, or gives it back.
    ///
    /// # Errors
    ///
    /// [`AllocError`] with the value when the heap's limit or the system
    /// refuses the memory. The refusal requests a collection, so the allocation may succeed
    /// after the next safepoint.
    ///
    /// # Panics
    ///
    /// May panic if a destructor of a heap object calls it, with a context that it found in a
    /// thread-local.
    #[inline(always)]
    pub fn try_alloc<'gc, T: Trace<At<'gc> = T>>(
        &'gc self,
        value: T,
    ) -> Result<Gc<'gc, T>, AllocError<T>> {
        // SAFETY: written to below.
        match unsafe { self.sized_slot::<T>(Fill::Whole) } {
            Ok(object) => {
                // SAFETY: a fresh slot of at least this size and alignment, to which there
                // is no other pointer; it becomes a live `T` here.
                unsafe {
                    object.cast::<T>().write(value);
                    Ok(Gc::from_object(object))
                }
            }
            Err(reason) => Err(AllocError { value, reason }),
        }
    }

    /// Memory for a `T`; the compiler decides between the cases.
    ///
    /// # Safety
    ///
    /// The caller writes a `T` there before it calls any other function.
    #[inline(always)]
    pub(crate) unsafe fn sized_slot<T: Trace>(
        &self,
        fill: Fill,
    ) -> Result<NonNull<u8>, OutOfMemory> {
        const {
            assert!(
                align_of::<T>() <= heap_core::geometry::PAGE_SIZE,
                "the heap aligns objects to 8 KiB at most"
            );
        }
        if let Some(layout) = const { tiny_layout::<T>() } {
            return self.mutator().alloc_tiny(layout);
        }
        let slot = const { alloc_class::for_sized(size_of::<T>(), align_of::<T>()) };
        let kind = match fill {
            Fill::Whole => const { <T as Payload>::KIND },
            Fill::Sparse => sparse_kind(const { <T as Payload>::KIND }, size_of::<T>()),
        };
        // SAFETY: the class is that of a `T`, whose kind this is, and the caller writes one
        // before there can be a safepoint.
        unsafe {
            match slot {
                SlotClass::Small(class) => self.mutator().alloc_small(kind, class),
                SlotClass::Large => self.mutator().alloc_large(kind, size_of::<T>(), fill),
            }
        }
    }

    /// Allocates a copy of `text`.
    ///
    /// # Panics
    ///
    /// As [`Cx::alloc`].
    #[track_caller]
    pub fn alloc_str<'gc>(&'gc self, text: &str) -> Gc<'gc, str> {
        or_panic(self.try_alloc_str(text))
    }

    /// Allocates a copy of `text`.
    ///
    /// # Errors
    ///
    /// As [`Cx::try_alloc`].
    pub fn try_alloc_str<'gc>(&'gc self, text: &str) -> Result<Gc<'gc, str>, AllocError> {
        let bytes = self.try_alloc_header_slice_copy::<(), u8>((), text.as_bytes())?;
        // SAFETY: `str` has the layout of `[u8]`, and the bytes are UTF-8.
        Ok(unsafe { Gc::from_object(bytes.object()) })
    }

    /// Allocates a copy of a slice of plain values.
    ///
    /// # Panics
    ///
    /// As [`Cx::alloc`].
    #[track_caller]
    pub fn alloc_slice_copy<'gc, T: Trace<At<'gc> = T> + Copy>(
        &'gc self,
        values: &[T],
    ) -> Gc<'gc, [T]> {
        or_panic(self.try_alloc_slice_copy(values))
    }

    /// Allocates a copy of a slice of plain values.
    ///
    /// # Errors
    ///
    /// As [`Cx::try_alloc`].
    pub fn try_alloc_slice_copy<'gc, T: Trace<At<'gc> = T> + Copy>(
        &'gc self,
        values: &[T],
    ) -> Result<Gc<'gc, [T]>, AllocError> {
        let header_slice = self.try_alloc_header_slice_copy::<(), T>((), values)?;
        // SAFETY: `[T]` and `HeaderSlice<(), T>` have the same heap layout.
        Ok(unsafe { Gc::from_object(header_slice.object()) })
    }

    /// Allocates a slice of `len` values made by `make`, in order.
    ///
    /// For elements that are all the same there is [`Cx::alloc_slice_fill`]. A closure that
    /// makes an enum of several words anew for each element, such as `|_| Value::Nil`, is
    /// compiled to partial copies that overlap: 6.7 times slower than a fill, when it was
    /// measured.
    ///
    /// # Panics
    ///
    /// As [`Cx::alloc`]; and if `make` panics.
    #[track_caller]
    pub fn alloc_slice_fn<'gc, T: Trace<At<'gc> = T>>(
        &'gc self,
        len: usize,
        make: impl FnMut(usize) -> T,
    ) -> Gc<'gc, [T]> {
        or_panic(self.try_alloc_slice_fn(len, make))
    }

    /// Allocates a slice of `len` values made by `make`, in order. `make` is not
    /// called if there is no memory. (For equal values see [`Cx::alloc_slice_fill`].)
    ///
    /// # Errors
    ///
    /// As [`Cx::try_alloc`].
    ///
    /// # Panics
    ///
    /// If `make` panics; the elements that it had made are dropped when the slot is swept.
    #[inline]
    pub fn try_alloc_slice_fn<'gc, T: Trace<At<'gc> = T>>(
        &'gc self,
        len: usize,
        make: impl FnMut(usize) -> T,
    ) -> Result<Gc<'gc, [T]>, AllocError> {
        let header_slice =
            self.try_alloc_header_slice_fn((), len, make).map_err(AllocError::without_value)?;
        // SAFETY: `[T]` and `HeaderSlice<(), T>` have the same heap layout.
        Ok(unsafe { Gc::from_object(header_slice.object()) })
    }

    /// Allocates a slice of `len` copies of `value`.
    ///
    /// # Panics
    ///
    /// As [`Cx::alloc`].
    #[track_caller]
    pub fn alloc_slice_fill<'gc, T: Trace<At<'gc> = T> + Copy>(
        &'gc self,
        len: usize,
        value: T,
    ) -> Gc<'gc, [T]> {
        or_panic(self.try_alloc_slice_fill(len, value))
    }

    /// Allocates a slice of `len` copies of `value`.
    ///
    /// # Errors
    ///
    /// As [`Cx::try_alloc`].
    pub fn try_alloc_slice_fill<'gc, T: Trace<At<'gc> = T> + Copy>(
        &'gc self,
        len: usize,
        value: T,
    ) -> Result<Gc<'gc, [T]>, AllocError> {
        self.try_alloc_slice_grow(&[], len, value)
    }

    /// Allocates a slice of `len` cells that hold copies of `value`: an array of a fixed length.
    ///
    /// ```
    /// use heap_api::{Config, Heap};
    ///
    /// let heap = Heap::new(Config::new());
    /// let cx = heap.enter();
    /// let names = cx.alloc_slice_fill_cells(100, cx.alloc_str("nobody"));
    /// names[7].set(&cx, cx.alloc_str("ada"));
    /// assert_eq!((&*names[6].get(), &*names[7].get()), ("nobody", "ada"));
    /// ```
    ///
    /// # Panics
    ///
    /// As [`Cx::alloc`].
    #[track_caller]
    pub fn alloc_slice_fill_cells<'gc, T: Trace<At<'gc> = T> + Copy>(
        &'gc self,
        len: usize,
        value: T,
    ) -> Gc<'gc, [GcCell<T>]> {
        or_panic(self.try_alloc_slice_fill_cells(len, value))
    }

    /// Allocates a slice of `len` cells that hold copies of `value`.
    ///
    /// # Errors
    ///
    /// As [`Cx::try_alloc`].
    pub fn try_alloc_slice_fill_cells<'gc, T: Trace<At<'gc> = T> + Copy>(
        &'gc self,
        len: usize,
        value: T,
    ) -> Result<Gc<'gc, [GcCell<T>]>, AllocError> {
        self.try_alloc_slice_grow_cells(&[], len, value)
    }

    /// Allocates a slice of `len` elements that begins as `old` does, as far as that goes, and
    /// goes on with copies of `fill`. It leaves `old` as it is. (An array that grows often is a
    /// [`GcVec`](crate::GcVec).)
    ///
    /// # Panics
    ///
    /// As [`Cx::alloc`].
    #[track_caller]
    pub fn alloc_slice_grow<'gc, T: Trace<At<'gc> = T> + Copy>(
        &'gc self,
        old: &[T],
        len: usize,
        fill: T,
    ) -> Gc<'gc, [T]> {
        or_panic(self.try_alloc_slice_grow(old, len, fill))
    }

    /// As [`Cx::alloc_slice_grow`].
    ///
    /// # Errors
    ///
    /// As [`Cx::try_alloc`].
    pub fn try_alloc_slice_grow<'gc, T: Trace<At<'gc> = T> + Copy>(
        &'gc self,
        old: &[T],
        len: usize,
        fill: T,
    ) -> Result<Gc<'gc, [T]>, AllocError> {
        // SAFETY: written to below.
        let object = unsafe { self.header_slice_slot::<(), T>(len) };
        let object = object.map_err(|reason| AllocError { value: (), reason })?;
        // SAFETY: a fresh slot for `len` elements, and `old` that many.
        unsafe {
            write_parts::<(), T>(object, len, NonNull::from(old).cast(), old.len(), fill);
            Ok(Gc::from_object(object))
        }
    }

    /// Allocates a slice of `len` cells that begins with what those of `old` hold, as far as they
    /// go, and goes on with copies of `fill`. It leaves `old` as it is.
    ///
    /// # Panics
    ///
    /// As [`Cx::alloc`].
    #[track_caller]
    pub fn alloc_slice_grow_cells<'gc, T: Trace<At<'gc> = T> + Copy>(
        &'gc self,
        old: &[GcCell<T>],
        len: usize,
        fill: T,
    ) -> Gc<'gc, [GcCell<T>]> {
        or_panic(self.try_alloc_slice_grow_cells(old, len, fill))
    }

    /// As [`Cx::alloc_slice_grow_cells`].
    ///
    /// # Errors
    ///
    /// As [`Cx::try_alloc`].
    pub fn try_alloc_slice_grow_cells<'gc, T: Trace<At<'gc> = T> + Copy>(
        &'gc self,
        old: &[GcCell<T>],
        len: usize,
        fill: T,
    ) -> Result<Gc<'gc, [GcCell<T>]>, AllocError> {
        // SAFETY: written to below.
        let object = unsafe { self.header_slice_slot::<(), GcCell<T>>(len) };
        let object = object.map_err(|reason| AllocError { value: (), reason })?;
        // SAFETY: a fresh slot for `len` elements, and `old` that many; a `GcCell` has the layout
        // of its content.
        unsafe {
            write_parts::<(), T>(object, len, NonNull::from(old).cast(), old.len(), fill);
            Ok(Gc::from_object(object))
        }
    }

    /// Allocates a slice of the values of an iterator that says how many they are. It ends where
    /// the iterator ends, or after as many values as that had said; further ones are not asked for.
    ///
    /// # Panics
    ///
    /// As [`Cx::alloc`]; and if the iterator panics.
    #[track_caller]
    pub fn alloc_slice_iter<'gc, T: Trace<At<'gc> = T>>(
        &'gc self,
        values: impl IntoIterator<Item = T, IntoIter: ExactSizeIterator>,
    ) -> Gc<'gc, [T]> {
        or_panic(self.try_alloc_slice_iter(values))
    }

    /// As [`Cx::alloc_slice_iter`]. No value is asked for if there is no memory.
    ///
    /// # Errors
    ///
    /// As [`Cx::try_alloc`].
    ///
    /// # Panics
    ///
    /// If the iterator panics; the values that it had made are dropped when the slot is swept.
    pub fn try_alloc_slice_iter<'gc, T: Trace<At<'gc> = T>>(
        &'gc self,
        values: impl IntoIterator<Item = T, IntoIter: ExactSizeIterator>,
    ) -> Result<Gc<'gc, [T]>, AllocError> {
        let mut values = values.into_iter();
        let most = values.len();
        // SAFETY: written to below.
        let object = unsafe { self.header_slice_slot::<(), T>(most) };
        let object = object.map_err(|reason| AllocError { value: (), reason })?;
        // SAFETY: a fresh slot with room for `most` elements. The stored length counts those that
        // were written and have to be dropped, so that if the iterator unwinds, sweeping drops
        // exactly those; no handle leads to the object before we return.
        unsafe {
            object.cast::<usize>().write(0);
            let tail = object.add(HeaderSliceLayout::<(), T>::TAIL).cast::<T>();
            let mut len = 0;
            for value in values.by_ref().take(most) {
                tail.add(len).write(value);
                len += 1;
                if core::mem::needs_drop::<T>() {
                    object.cast::<usize>().write(len);
                }
            }
            object.cast::<usize>().write(len);
            Ok(Gc::from_object(object))
        }
    }

    /// Allocates a header followed by a copy of a slice of plain values.
    ///
    /// # Panics
    ///
    /// As [`Cx::alloc`].
    #[track_caller]
    pub fn alloc_header_slice_copy<'gc, H: Trace<At<'gc> = H>, T: Trace<At<'gc> = T> + Copy>(
        &'gc self,
        header: H,
        tail: &[T],
    ) -> Gc<'gc, HeaderSlice<H, T>> {
        or_panic(self.try_alloc_header_slice_copy(header, tail))
    }

    /// Allocates a header followed by a copy of a slice of plain values.
    ///
    /// # Errors
    ///
    /// As [`Cx::try_alloc`]; the header is given back.
    #[inline]
    pub fn try_alloc_header_slice_copy<'gc, H: Trace<At<'gc> = H>, T: Trace<At<'gc> = T> + Copy>(
        &'gc self,
        header: H,
        tail: &[T],
    ) -> Result<Gc<'gc, HeaderSlice<H, T>>, AllocError<H>> {
        // SAFETY: written to below.
        let object = match unsafe { self.header_slice_slot::<H, T>(tail.len()) } {
            Ok(object) => object,
            Err(reason) => return Err(AllocError { value: header, reason }),
        };
        let layout = object.cast::<HeaderSliceLayout<H, T>>().as_ptr();
        // SAFETY: a fresh slot of `bytes(tail.len())` bytes: header and tail fit,
        // and the source cannot overlap it.
        unsafe {
            (&raw mut (*layout).len).write(tail.len());
            (&raw mut (*layout).header).write(header);
            object
                .add(HeaderSliceLayout::<H, T>::TAIL)
                .cast::<T>()
                .copy_from_nonoverlapping(NonNull::from(tail).cast(), tail.len());
            Ok(Gc::from_object(object))
        }
    }

    /// Allocates a header followed by `len` values made by `make`, in order. (For equal values
    /// see [`Cx::alloc_header_slice_fill`], which is faster for enums of several words.)
    ///
    /// # Errors
    ///
    /// As [`Cx::try_alloc`]; the header is given back and `make` is not called.
    ///
    /// # Panics
    ///
    /// If `make` panics; the header and the elements made so far are dropped when the slot is
    /// swept.
    #[inline]
    pub fn try_alloc_header_slice_fn<'gc, H: Trace<At<'gc> = H>, T: Trace<At<'gc> = T>>(
        &'gc self,
        header: H,
        len: usize,
        mut make: impl FnMut(usize) -> T,
    ) -> Result<Gc<'gc, HeaderSlice<H, T>>, AllocError<H>> {
        // SAFETY: written to below.
        let object = match unsafe { self.header_slice_slot::<H, T>(len) } {
            Ok(object) => object,
            Err(reason) => return Err(AllocError { value: header, reason }),
        };
        let layout = object.cast::<HeaderSliceLayout<H, T>>().as_ptr();
        // SAFETY: a fresh slot of `bytes(len)` bytes. The stored length counts
        // the elements written so far, so that if `make` unwinds, sweeping
        // drops exactly those; no handle leads to the object before we return.
        unsafe {
            (&raw mut (*layout).len).write(0);
            (&raw mut (*layout).header).write(header);
            let tail = object.add(HeaderSliceLayout::<H, T>::TAIL).cast::<T>();
            if core::mem::needs_drop::<T>() {
                for i in 0..len {
                    tail.add(i).write(make(i));
                    (&raw mut (*layout).len).write(i + 1);
                }
            } else {
                for i in 0..len {
                    tail.add(i).write(make(i));
                }
                (&raw mut (*layout).len).write(len);
            }
            Ok(Gc::from_object(object))
        }
    }

    /// Allocates a header followed by `len` copies of `value`.
    ///
    /// # Panics
    ///
    /// As [`Cx::alloc`].
    #[track_caller]
    pub fn alloc_header_slice_fill<'gc, H: Trace<At<'gc> = H>, T: Trace<At<'gc> = T> + Copy>(
        &'gc self,
        header: H,
        len: usize,
        value: T,
    ) -> Gc<'gc, HeaderSlice<H, T>> {
        or_panic(self.try_alloc_header_slice_fill(header, len, value))
    }

    /// Allocates a header followed by `len` copies of `value`.
    ///
    /// # Errors
    ///
    /// As [`Cx::try_alloc`]; the header is given back.
    pub fn try_alloc_header_slice_fill<'gc, H: Trace<At<'gc> = H>, T: Trace<At<'gc> = T> + Copy>(
        &'gc self,
        header: H,
        len: usize,
        value: T,
    ) -> Result<Gc<'gc, HeaderSlice<H, T>>, AllocError<H>> {
        // SAFETY: written to below.
        match unsafe { self.header_slice_slot::<H, T>(len) } {
            // SAFETY: a fresh slot for a header and `len` elements.
            Ok(object) => unsafe {
                let layout = object.cast::<HeaderSliceLayout<H, T>>().as_ptr();
                (&raw mut (*layout).header).write(header);
                write_parts::<H, T>(object, len, NonNull::dangling(), 0, value);
                Ok(Gc::from_object(object))
            },
            Err(reason) => Err(AllocError { value: header, reason }),
        }
    }

    /// Allocates a header followed by `len` cells that hold copies of `value`, such as registers
    /// behind a [`BarrierStamp`](crate::BarrierStamp).
    ///
    /// # Panics
    ///
    /// As [`Cx::alloc`].
    #[track_caller]
    pub fn alloc_header_slice_fill_cells<'gc, H, T>(
        &'gc self,
        header: H,
        len: usize,
        value: T,
    ) -> Gc<'gc, HeaderSlice<H, GcCell<T>>>
    where
        H: Trace<At<'gc> = H>,
        T: Trace<At<'gc> = T> + Copy,
    {
        or_panic(self.try_alloc_header_slice_fill_cells(header, len, value))
    }

    /// Allocates a header followed by `len` cells that hold copies of `value`.
    ///
    /// # Errors
    ///
    /// As [`Cx::try_alloc`]; the header is given back.
    pub fn try_alloc_header_slice_fill_cells<'gc, H, T>(
        &'gc self,
        header: H,
        len: usize,
        value: T,
    ) -> Result<Gc<'gc, HeaderSlice<H, GcCell<T>>>, AllocError<H>>
    where
        H: Trace<At<'gc> = H>,
        T: Trace<At<'gc> = T> + Copy,
    {
        // SAFETY: written to below.
        match unsafe { self.header_slice_slot::<H, GcCell<T>>(len) } {
            // SAFETY: a fresh slot for a header and `len` elements; a `GcCell` has the layout of
            // its content.
            Ok(object) => unsafe {
                let layout = object.cast::<HeaderSliceLayout<H, GcCell<T>>>().as_ptr();
                (&raw mut (*layout).header).write(header);
                write_parts::<H, T>(object, len, NonNull::dangling(), 0, value);
                Ok(Gc::from_object(object))
            },
            Err(reason) => Err(AllocError { value: header, reason }),
        }
    }

    /// Memory for a header and `len` elements.
    ///
    /// # Safety
    ///
    /// The caller writes a length and a header there before it calls any other function, and
    /// before the next safepoint as many elements as the length then says.
    #[inline]
    pub(crate) unsafe fn header_slice_slot<H: Trace, T: Trace>(
        &self,
        len: usize,
    ) -> Result<NonNull<u8>, OutOfMemory> {
        // SAFETY: forwarded from the caller.
        unsafe { self.header_slice_slot_for::<H, T, false>(len) }
    }

    /// The same, for one that is sparse or is not.
    ///
    /// # Safety
    ///
    /// As [`Cx::header_slice_slot`].
    #[inline]
    pub(crate) unsafe fn header_slice_slot_for<H: Trace, T: Trace, const IS_SPARSE: bool>(
        &self,
        len: usize,
    ) -> Result<NonNull<u8>, OutOfMemory> {
        const {
            assert!(
                align_of::<HeaderSliceLayout<H, T>>() <= 16,
                "headers and elements of header_slice objects are aligned to 16 bytes at most"
            );
        }
        let mut kind = const { HeaderSliceLayout::<H, T>::KIND_REF };
        let bytes = HeaderSliceLayout::<H, T>::bytes(len).ok_or(OutOfMemory::TooLarge)?;
        let fill = if IS_SPARSE { Fill::Sparse } else { Fill::Whole };
        if IS_SPARSE {
            kind = sparse_kind(kind, bytes);
        }
        // SAFETY: the class is for that many bytes of the layout whose kind this is, and the
        // caller writes what the layout has.
        unsafe {
            match alloc_class::for_header_slice(bytes, kind, align_of::<HeaderSliceLayout<H, T>>())
            {
                SlotClass::Small(class) => self.mutator().alloc_small(kind, class),
                SlotClass::Large => self.mutator().alloc_large(kind, bytes, fill),
            }
        }
    }
}

/// Writes length and elements: a copy of `old_len` elements, as far as they go, and then copies
/// of `fill`.
///
/// # Safety
///
/// `object` is a fresh slot for an `H` and `len` elements of the layout of `T`, and at `old` are
/// `old_len` of them.
unsafe fn write_parts<H: Trace, T: Trace + Copy>(
    object: NonNull<u8>,
    len: usize,
    old: NonNull<T>,
    old_len: usize,
    fill: T,
) {
    let copied = old_len.min(len);
    // SAFETY: by the contract there is room for `len` elements, which do not overlap the old ones.
    unsafe {
        let tail = object.add(HeaderSliceLayout::<H, T>::TAIL).cast::<T>();
        tail.copy_from_nonoverlapping(old, copied);
        let rest = tail.add(copied).cast::<MaybeUninit<T>>().as_ptr();
        core::slice::from_raw_parts_mut(rest, len - copied).fill(MaybeUninit::new(fill));
        object.cast::<usize>().write(len);
    }
}

#[track_caller]
pub(crate) fn or_panic<T, V>(result: Result<T, AllocError<V>>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => out_of_memory(error.reason),
    }
}

#[cold]
#[inline(never)]
#[track_caller]
pub(crate) fn out_of_memory(reason: OutOfMemory) -> ! {
    panic!("heap allocation failed: {reason}")
}
