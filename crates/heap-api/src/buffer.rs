//! [`Buffer`]: the memory of a growing collection: a heap object with room for some elements, of
//! which the first `len` are there. [`GcVec`](crate::GcVec) has one, [`GcMap`](crate::GcMap) two.
//!
//! The object has the layout of a [`HeaderSlice`](crate::HeaderSlice), whose stored length counts
//! the elements that are there, so the collector traces those and no others, in pieces if they
//! are many. A collection that grows moves to another object; the one it leaves is garbage.
//!
//! * VB1: a `Buffer<'gc, T>` is a handle of region `'gc` in the sense of H1: its object is alive
//!   as long as it can be named.
//! * VB2: the elements below `len` are initialised, of region `'gc`, and found through no
//!   reference but as cells. What lies above may be of a region that has ended, and is neither
//!   read nor traced.
//! * VB3: an element that is removed or replaced was reported before, alone or with all others
//!   (the stamp, B3). A buffer that is made in a mark phase needs no reports in it: what is in it
//!   was in the snapshot or is new, and the buffer that it was copied from was reported.
//! * VB4: a piece of a buffer that the collector has put off ([`Piece`]) stays below what `len`
//!   was in this mark phase. If elements are removed until it is traced, their memory still has
//!   what was there when they were removed, or values that were pushed since: all of this mark
//!   phase, whose objects are kept until it is over.
//!
//! [`Piece`]: heap_core::tracer::Piece

use core::cell::Cell;
use core::marker::PhantomData;
use core::ops::Range;
use core::ptr::NonNull;

use heap_core::alloc_class::{self, Slot};
use heap_core::geometry::PAGE_SIZE;

use crate::cell::BarrierStamp;
use crate::cx::Cx;
use crate::error::OutOfMemory;
use crate::payload::HeaderSliceLayout;
use crate::trace::{Trace, Tracer};

/// What stands before the elements, behind their number.
#[derive(heap_derive::Trace)]
pub(crate) struct Header {
    capacity: usize,
    stamp: BarrierStamp,
}

type Layout<T> = HeaderSliceLayout<Header, T>;

/// A handle on the memory of a collection.
pub(crate) struct Buffer<'gc, T> {
    object: NonNull<u8>,
    /// Invariant in both, like the cells that the elements are seen as.
    region: PhantomData<Cell<(&'gc (), T)>>,
}

impl<T> Clone for Buffer<'_, T> {
    #[inline(always)]
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for Buffer<'_, T> {}

impl<T> Buffer<'_, T> {
    /// The number of elements.
    #[inline(always)]
    pub(crate) fn len(self) -> usize {
        // SAFETY: VB1; the length comes first.
        unsafe { self.object.cast::<usize>().read() }
    }

    #[inline(always)]
    fn layout(self) -> *mut Layout<T> {
        self.object.cast().as_ptr()
    }

    /// The number of elements for which there is room.
    #[inline(always)]
    pub(crate) fn capacity(self) -> usize {
        // SAFETY: VB1; the capacity is not written to after the buffer was made.
        unsafe { (&raw const (*self.layout()).header.capacity).read() }
    }

    #[inline(always)]
    fn stamp(&self) -> &BarrierStamp {
        // SAFETY: VB1; the stamp is written to through its cell only.
        unsafe { &(*self.layout()).header.stamp }
    }

    /// Whether both are the same memory.
    #[inline(always)]
    pub(crate) fn is(self, other: Self) -> bool {
        self.object == other.object
    }

    /// Reports the object, for the owner's `trace`.
    #[inline(always)]
    pub(crate) fn trace(self, tracer: &mut Tracer) {
        // SAFETY: a buffer that is traced is in a marked object of the heap, which was reachable
        // when marking began or is new: a handle in it leads to a live object.
        unsafe { tracer.edge(self.object) };
    }
}

impl<T: Trace> Buffer<'_, T> {
    /// The place of an element.
    #[inline(always)]
    fn first(self) -> NonNull<T> {
        // SAFETY: the elements lie within the object, behind its header.
        unsafe { self.object.add(Layout::<T>::TAIL).cast() }
    }

    /// The place of an element, if there is one.
    #[inline(always)]
    pub(crate) fn place(self, index: usize) -> Option<NonNull<T>> {
        // SAFETY: below the length: within the object.
        (index < self.len()).then(|| unsafe { self.first().add(index) })
    }

    /// The elements as cells.
    ///
    /// # Safety
    ///
    /// Whoever changes one has seen to VB3, in the region `'a` at least.
    #[inline(always)]
    pub(crate) unsafe fn cells<'a>(self) -> &'a [Cell<T>] {
        // SAFETY: VB2: initialised, and only seen as cells. The object stays for the whole region
        // (VB1), also if its owner leaves it.
        unsafe { core::slice::from_raw_parts(self.first().cast().as_ptr(), self.len()) }
    }

    /// The write barrier for one element that will be removed or replaced (VB3).
    #[inline(always)]
    pub(crate) fn before_change(self, cx: &Cx, index: usize) {
        if T::NEEDS_TRACE && cx.mutator().marking().is_some() {
            self.report(cx, index..index + 1);
        }
    }

    /// The write barrier for elements that will be removed or replaced (VB3).
    #[inline(always)]
    pub(crate) fn before_changes(self, cx: &Cx, range: Range<usize>) {
        if T::NEEDS_TRACE && cx.mutator().marking().is_some() {
            self.report(cx, range);
        }
    }

    /// The write barrier for any number of changes until the next safepoint.
    #[inline(always)]
    pub(crate) fn before_any_change(self, cx: &Cx) {
        if T::NEEDS_TRACE && self.stamp().is_due(cx) {
            self.report_elements(cx, 0..self.len());
        }
    }

    #[cold]
    #[inline(never)]
    fn report(self, cx: &Cx, range: Range<usize>) {
        if !self.stamp().is_of_this_phase(cx) {
            self.report_elements(cx, range);
        }
    }

    /// In a mark phase.
    #[cold]
    fn report_elements(self, cx: &Cx, range: Range<usize>) {
        let range = range.start..range.end.min(self.len());
        if cx.mutator().marking().is_none() || range.is_empty() {
            return;
        }
        // SAFETY: a mark phase is under way. The elements are initialised (VB2). A collection is
        // not `Share`, so this thread has it to itself, and no reference to an element leads out
        // of it but as a cell, which is not written to while this function runs.
        unsafe {
            let elements = self.first().add(range.start);
            cx.report_all(core::slice::from_raw_parts(elements.as_ptr(), range.len()));
        }
    }
}

impl<'gc, T: Trace<At<'gc> = T> + Copy> Buffer<'gc, T> {
    /// An empty buffer for at least `capacity` elements: as many as fit into the slot that these
    /// need.
    ///
    /// # Errors
    ///
    /// When the memory is refused.
    pub(crate) fn try_new(cx: &'gc Cx, capacity: usize) -> Result<Self, OutOfMemory> {
        let capacity = Self::room(capacity).ok_or(OutOfMemory::TooLarge)?;
        // SAFETY: length and header are written below, and as yet there are no elements.
        let object = unsafe { cx.header_slice_slot::<Header, T>(capacity)? };
        let buffer = Buffer { object, region: PhantomData };
        let stamp = BarrierStamp::new();
        // VB3: in a mark phase, the buffer is of this one.
        stamp.is_due(cx);
        // SAFETY: a fresh slot of this layout, to which there is no other pointer.
        unsafe {
            object.cast::<usize>().write(0);
            (&raw mut (*buffer.layout()).header).write(Header { capacity, stamp });
        }
        Ok(buffer)
    }

    /// How many elements fit into the slot for `capacity` of them.
    fn room(capacity: usize) -> Option<usize> {
        if size_of::<T>() == 0 {
            return Some(usize::MAX);
        }
        let bytes = Layout::<T>::bytes(capacity)?;
        let slot =
            alloc_class::for_header_slice(bytes, Layout::<T>::KIND_REF, align_of::<Layout<T>>());
        let slot = match slot {
            Slot::Small(class) => class.object_size(),
            Slot::Large => bytes.checked_next_multiple_of(PAGE_SIZE)?,
        };
        Some((slot - Layout::<T>::TAIL) / size_of::<T>())
    }

    /// The element at `index`.
    #[inline(always)]
    pub(crate) fn get(self, index: usize) -> Option<T> {
        // SAFETY: initialised (VB2), and `Copy`.
        self.place(index).map(|place| unsafe { place.read() })
    }

    /// Replaces the element at `index`, if there is one; the barrier included.
    #[inline(always)]
    pub(crate) fn replace(self, cx: &Cx, index: usize, value: T) -> Option<T> {
        let place = self.place(index)?;
        self.before_change(cx, index);
        // SAFETY: an element (VB2), which was reported if need be (VB3).
        Some(unsafe { place.replace(value) })
    }

    /// Adds an element behind the others, or gives it back if there is no room.
    #[inline(always)]
    pub(crate) fn push(self, value: T) -> Result<(), T> {
        let len = self.len();
        if len >= self.capacity() {
            return Err(value);
        }
        // SAFETY: below the capacity. What was there is no element; nothing is lost (VB3).
        unsafe {
            self.first().add(len).write(value);
            self.set_len(len + 1);
        }
        Ok(())
    }

    /// Adds elements behind the others.
    ///
    /// # Panics
    ///
    /// If there is no room.
    pub(crate) fn push_all(self, values: &[T]) {
        let len = self.len();
        assert!(values.len() <= self.capacity() - len, "no room");
        // SAFETY: below the capacity. A slice of values is no part of a buffer, of which there are
        // no references but as cells (VB2).
        unsafe {
            let to = self.first().add(len);
            to.copy_from_nonoverlapping(NonNull::from(values).cast(), values.len());
            self.set_len(len + values.len());
        }
    }

    /// Adds copies of `value` until there are `len` elements.
    ///
    /// # Panics
    ///
    /// If there is no room.
    pub(crate) fn fill_up(self, len: usize, value: T) {
        assert!(len <= self.capacity(), "no room");
        // SAFETY: below the capacity, as `push`.
        unsafe {
            for index in self.len()..len {
                self.first().add(index).write(value);
            }
            self.set_len(len.max(self.len()));
        }
    }

    /// Adds the elements of another buffer behind those of this one, which is another.
    ///
    /// # Panics
    ///
    /// If there is no room.
    pub(crate) fn push_elements_of(self, other: Self) {
        let (len, more) = (self.len(), other.len());
        assert!(!self.is(other) && more <= self.capacity() - len, "no room");
        // SAFETY: two objects; elements of one (VB2), and room in the other.
        unsafe {
            self.first().add(len).copy_from_nonoverlapping(other.first(), more);
            self.set_len(len + more);
        }
    }

    /// Adds an element before that at `index`, which moves up with all behind it.
    ///
    /// # Panics
    ///
    /// If there is no room, or `index` is beyond the elements.
    pub(crate) fn insert(self, cx: &Cx, index: usize, value: T) {
        let len = self.len();
        assert!(index <= len && len < self.capacity(), "no room");
        self.before_any_change(cx);
        // SAFETY: both ranges are below the capacity. All elements were reported (VB3).
        unsafe {
            let place = self.first().add(index);
            place.add(1).copy_from(place, len - index);
            place.write(value);
            self.set_len(len + 1);
        }
    }

    /// Removes the element at `index`; those behind it move down.
    pub(crate) fn remove(self, cx: &Cx, index: usize) -> Option<T> {
        let place = self.place(index)?;
        self.before_any_change(cx);
        let len = self.len();
        // SAFETY: elements, all of which were reported (VB3).
        unsafe {
            let value = place.read();
            place.copy_from(place.add(1), len - index - 1);
            self.set_len(len - 1);
            Some(value)
        }
    }

    /// Removes the elements from `len` on; the barrier included.
    #[inline(always)]
    pub(crate) fn truncate(self, cx: &Cx, len: usize) {
        let old = self.len();
        if len < old {
            self.before_changes(cx, len..old);
            // SAFETY: fewer elements; those that go were reported (VB3). Their memory stays as it is
            // (VB4).
            unsafe { self.set_len(len) };
        }
    }

    /// # Safety
    ///
    /// VB2 and VB3: the elements below are initialised, and those that are removed were reported.
    #[inline(always)]
    unsafe fn set_len(self, len: usize) {
        // SAFETY: VB1; the length comes first.
        unsafe { self.object.cast::<usize>().write(len) };
    }
}
