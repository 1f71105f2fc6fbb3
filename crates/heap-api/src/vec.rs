//! [`GcVec`]: a growing array in the heap.
//!
//! Its elements are in a [`Buffer`], which it leaves for a larger one when it is full. No user
//! code runs while it changes: elements are `Copy`. What a program gives the heap to get memory
//! from may run while a buffer is made, so lengths are read again afterwards.

use core::cell::Cell;
use core::fmt;

use bytemuck::Zeroable;

use crate::alloc::out_of_memory;
use crate::buffer::Buffer;
use crate::cx::Cx;
use crate::error::{AllocError, OutOfMemory};
use crate::trace::{Trace, Tracer};

/// Elements for which the first buffer has room, at least.
const FEWEST: usize = 4;

/// A growing array in the heap: the list or array type of a language.
///
/// It is one word: a field of a heap object, or an object of its own behind a
/// `Gc<'gc, GcVec<'gc, T>>`. Its elements are in a heap object too, so they are counted, limited
/// and collected like everything else, and are not searched for handles if `T` has none. The
/// write barrier is inside. A new array has no memory; a full one moves to twice as much.
///
/// Elements are `Copy`, and come and go by value, so that no reference to one can outlive a
/// change of the array. (For elements that are not, or that are to be borrowed, there is
/// `GcRefCell<Vec<T>>`, which checks that at run time, and whose memory is the process's.)
///
/// ```
/// use heap_api::{Config, Gc, GcVec, Heap, Trace};
///
/// #[derive(Clone, Copy, Trace)]
/// enum Value<'gc> {
///     Number(f64),
///     List(Gc<'gc, GcVec<'gc, Value<'gc>>>),
/// }
///
/// let heap = Heap::new(Config::new());
/// let mut cx = heap.enter();
/// let list = {
///     let list = cx.alloc(GcVec::new());
///     list.push(&cx, Value::Number(1.0));
///     list.push(&cx, Value::List(list)); // a cycle
///     cx.root(list)
/// };
/// cx.collect();
/// let list = list.get(&cx);
/// assert!(matches!(list.get(1), Some(Value::List(inner)) if inner.ptr_eq(list)));
/// assert!(matches!(list.remove(&cx, 0), Value::Number(1.0)));
/// assert_eq!(list.len(), 1);
/// ```
pub struct GcVec<'gc, T> {
    buffer: Cell<Option<Buffer<'gc, T>>>,
}

impl<T> GcVec<'_, T> {
    /// An empty array without memory.
    #[must_use]
    pub const fn new() -> Self {
        GcVec { buffer: Cell::new(None) }
    }

    /// The number of elements.
    #[inline(always)]
    #[must_use]
    pub fn len(&self) -> usize {
        self.buffer.get().map_or(0, Buffer::len)
    }

    /// Whether there are no elements.
    #[inline(always)]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The number of elements for which there is memory.
    #[inline(always)]
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.buffer.get().map_or(0, Buffer::capacity)
    }
}

impl<'gc, T: Trace<At<'gc> = T> + Copy> GcVec<'gc, T> {
    /// An empty array with memory for `capacity` elements.
    ///
    /// # Panics
    ///
    /// If the heap's limit or the system refuses the memory.
    #[must_use]
    #[track_caller]
    pub fn with_capacity(cx: &'gc Cx, capacity: usize) -> Self {
        or_panic(Self::try_with_capacity(cx, capacity))
    }

    /// An empty array with memory for `capacity` elements.
    ///
    /// # Errors
    ///
    /// If the heap's limit or the system refuses the memory.
    pub fn try_with_capacity(cx: &'gc Cx, capacity: usize) -> Result<Self, OutOfMemory> {
        let array = GcVec::new();
        array.try_reserve(cx, capacity)?;
        Ok(array)
    }

    /// The element at `index`.
    #[inline(always)]
    #[must_use]
    pub fn get(&self, index: usize) -> Option<T> {
        self.buffer.get()?.get(index)
    }

    /// The last element.
    #[inline(always)]
    #[must_use]
    pub fn last(&self) -> Option<T> {
        self.get(self.len().checked_sub(1)?)
    }

    /// Replaces the element at `index`.
    ///
    /// # Panics
    ///
    /// If the array is not that long.
    #[inline(always)]
    #[track_caller]
    pub fn set(&self, cx: &Cx, index: usize, value: T) {
        let _ = self.replace(cx, index, value);
    }

    /// Replaces the element at `index` and returns what was there.
    ///
    /// # Panics
    ///
    /// If the array is not that long.
    #[inline(always)]
    #[track_caller]
    pub fn replace(&self, cx: &Cx, index: usize, value: T) -> T {
        match self.buffer.get().and_then(|buffer| buffer.replace(cx, index, value)) {
            Some(old) => old,
            None => out_of_range(index, self.len()),
        }
    }

    /// Swaps two elements.
    ///
    /// # Panics
    ///
    /// If the array is not that long.
    #[inline]
    #[track_caller]
    pub fn swap(&self, cx: &Cx, a: usize, b: usize) {
        let at = |index| self.get(index).unwrap_or_else(|| out_of_range(index, self.len()));
        let (old_a, old_b) = (at(a), at(b));
        self.set(cx, a, old_b);
        self.set(cx, b, old_a);
    }

    /// Adds an element at the end.
    ///
    /// # Panics
    ///
    /// If the heap's limit or the system refuses the memory.
    #[inline(always)]
    #[track_caller]
    pub fn push(&self, cx: &'gc Cx, value: T) {
        if let Err(error) = self.try_push(cx, value) {
            out_of_memory(error.reason);
        }
    }

    /// Adds an element at the end, or gives it back.
    ///
    /// # Errors
    ///
    /// If the heap's limit or the system refuses the memory.
    #[inline(always)]
    pub fn try_push(&self, cx: &'gc Cx, value: T) -> Result<(), AllocError<T>> {
        match self.buffer.get() {
            Some(buffer) if buffer.push(value).is_ok() => Ok(()),
            _ => self.grow_and_push(cx, value),
        }
    }

    #[cold]
    #[inline(never)]
    fn grow_and_push(&self, cx: &'gc Cx, value: T) -> Result<(), AllocError<T>> {
        loop {
            if let Err(reason) = self.grow(cx, 1) {
                return Err(AllocError { value, reason });
            }
            if self.buffer.get().is_some_and(|buffer| buffer.push(value).is_ok()) {
                return Ok(());
            }
        }
    }

    /// Removes the last element.
    #[inline(always)]
    pub fn pop(&self, cx: &Cx) -> Option<T> {
        let buffer = self.buffer.get()?;
        let last = buffer.len().checked_sub(1)?;
        let value = buffer.get(last);
        buffer.truncate(cx, last);
        value
    }

    /// Removes the elements from `len` on, if there are any. The memory stays.
    #[inline]
    pub fn truncate(&self, cx: &Cx, len: usize) {
        if let Some(buffer) = self.buffer.get() {
            buffer.truncate(cx, len);
        }
    }

    /// Removes all elements. While an incremental mark phase is under way the memory goes with
    /// them, so that it takes no time for each of them.
    pub fn clear(&self, cx: &Cx) {
        if T::NEEDS_TRACE && cx.mutator().marking().is_some() {
            self.exchange(cx, None);
        } else {
            self.truncate(cx, 0);
        }
    }

    /// Adds an element before the one at `index`, or at the end if `index` is the length. It
    /// takes time for each element behind it.
    ///
    /// # Panics
    ///
    /// If `index` is beyond the length; and if the heap's limit or the system refuses the memory.
    #[track_caller]
    pub fn insert(&self, cx: &'gc Cx, index: usize, value: T) {
        if let Err(error) = self.try_insert(cx, index, value) {
            out_of_memory(error.reason);
        }
    }

    /// Adds an element before the one at `index`, or gives it back.
    ///
    /// # Errors
    ///
    /// If the heap's limit or the system refuses the memory.
    ///
    /// # Panics
    ///
    /// If `index` is beyond the length.
    #[track_caller]
    pub fn try_insert(&self, cx: &'gc Cx, index: usize, value: T) -> Result<(), AllocError<T>> {
        if let Err(reason) = self.try_reserve(cx, 1) {
            return Err(AllocError { value, reason });
        }
        match self.buffer.get() {
            Some(buffer) if index <= buffer.len() => {
                buffer.insert(cx, index, value);
                Ok(())
            }
            _ => out_of_range(index, self.len()),
        }
    }

    /// Removes the element at `index`; those behind it move down, which takes time for each.
    ///
    /// # Panics
    ///
    /// If the array is not that long.
    #[track_caller]
    pub fn remove(&self, cx: &Cx, index: usize) -> T {
        match self.buffer.get().and_then(|buffer| buffer.remove(cx, index)) {
            Some(value) => value,
            None => out_of_range(index, self.len()),
        }
    }

    /// Removes the element at `index` and puts the last one in its place.
    ///
    /// # Panics
    ///
    /// If the array is not that long.
    #[track_caller]
    pub fn swap_remove(&self, cx: &Cx, index: usize) -> T {
        let last = self.len().checked_sub(1).unwrap_or_else(|| out_of_range(index, 0));
        self.swap(cx, index, last);
        match self.pop(cx) {
            Some(value) => value,
            None => out_of_range(index, 0),
        }
    }

    /// Adds copies of the values at the end.
    ///
    /// # Panics
    ///
    /// If the heap's limit or the system refuses the memory.
    #[track_caller]
    pub fn extend_from_slice(&self, cx: &'gc Cx, values: &[T]) {
        or_panic(self.try_extend_from_slice(cx, values));
    }

    /// Adds copies of the values at the end.
    ///
    /// # Errors
    ///
    /// If the heap's limit or the system refuses the memory; the array is then as it was.
    pub fn try_extend_from_slice(&self, cx: &'gc Cx, values: &[T]) -> Result<(), OutOfMemory> {
        if values.is_empty() {
            return Ok(());
        }
        self.try_reserve(cx, values.len())?;
        if let Some(buffer) = self.buffer.get() {
            buffer.push_all(values);
        }
        Ok(())
    }

    /// Adds the values of an iterator at the end.
    ///
    /// # Panics
    ///
    /// If the heap's limit or the system refuses the memory.
    #[track_caller]
    pub fn extend(&self, cx: &'gc Cx, values: impl IntoIterator<Item = T>) {
        or_panic(self.try_extend(cx, values));
    }

    /// Adds the values of an iterator at the end.
    ///
    /// # Errors
    ///
    /// If the heap's limit or the system refuses the memory; the array then has those that it got
    /// until then.
    pub fn try_extend(
        &self,
        cx: &'gc Cx,
        values: impl IntoIterator<Item = T>,
    ) -> Result<(), OutOfMemory> {
        for value in values {
            self.try_push(cx, value).map_err(|error| error.reason)?;
        }
        Ok(())
    }

    /// Makes the array `len` elements long: removes those from there on, or adds copies of `fill`.
    ///
    /// # Panics
    ///
    /// If the heap's limit or the system refuses the memory.
    #[track_caller]
    pub fn resize(&self, cx: &'gc Cx, len: usize, fill: T) {
        or_panic(self.try_resize(cx, len, fill));
    }

    /// Makes the array `len` elements long: removes those from there on, or adds copies of `fill`.
    ///
    /// # Errors
    ///
    /// If the heap's limit or the system refuses the memory; the array is then as it was.
    pub fn try_resize(&self, cx: &'gc Cx, len: usize, fill: T) -> Result<(), OutOfMemory> {
        if len <= self.len() {
            self.truncate(cx, len);
            return Ok(());
        }
        self.try_reserve(cx, len - self.len())?;
        if let Some(buffer) = self.buffer.get() {
            buffer.fill_up(len, fill);
        }
        Ok(())
    }

    /// Makes room for `additional` elements: that many can be added without a further allocation.
    ///
    /// # Errors
    ///
    /// If the heap's limit or the system refuses the memory.
    #[inline]
    pub fn try_reserve(&self, cx: &'gc Cx, additional: usize) -> Result<(), OutOfMemory> {
        if additional <= self.capacity() - self.len() {
            return Ok(());
        }
        self.grow(cx, additional)
    }

    #[cold]
    #[inline(never)]
    fn grow(&self, cx: &'gc Cx, additional: usize) -> Result<(), OutOfMemory> {
        while additional > self.capacity() - self.len() {
            let wanted = self.len().checked_add(additional).ok_or(OutOfMemory::TooLarge)?;
            let wanted = wanted.max(self.capacity().saturating_mul(2)).max(FEWEST);
            self.move_to(cx, Buffer::try_new(cx, wanted)?);
        }
        Ok(())
    }

    /// Moves the elements to the smallest memory that has room for them; an empty array gives up
    /// all of it. If the smaller memory is refused, they stay where they are.
    pub fn shrink_to_fit(&self, cx: &'gc Cx) {
        let (len, capacity) = (self.len(), self.capacity());
        if len == 0 {
            self.exchange(cx, None);
        } else if len < capacity
            && let Ok(smaller) = Buffer::try_new(cx, len)
            && smaller.capacity() < capacity
        {
            self.move_to(cx, smaller);
        }
    }

    /// Moves the elements to another buffer, if there is room for them: making it may have run
    /// code of the program's, which may have added some.
    fn move_to(&self, cx: &Cx, other: Buffer<'gc, T>) {
        if self.len() <= other.capacity() {
            if let Some(old) = self.buffer.get() {
                other.push_elements_of(old);
            }
            self.exchange(cx, Some(other));
        }
    }

    /// The write barrier for the handle on the old buffer keeps everything in it.
    fn exchange(&self, cx: &Cx, buffer: Option<Buffer<'gc, T>>) {
        // SAFETY: a `GcVec` is not `Share`, so only this thread reaches it, and it gives out no
        // reference to the handle that it holds.
        unsafe { cx.before_change(self) };
        self.buffer.set(buffer);
    }

    /// The elements as cells, for many changes, such as sorting: runs the write barrier for all
    /// of them, once per mark phase.
    ///
    /// The slice is memory of this moment. If the array then shrinks, or grows and moves, the
    /// cells can still be used, and the array does not see what is written to those that it has
    /// left.
    ///
    /// ```
    /// use heap_api::{Config, GcVec, Heap};
    ///
    /// let heap = Heap::new(Config::new());
    /// let cx = heap.enter();
    /// let array = GcVec::new();
    /// array.extend_from_slice(&cx, &[3, 1, 2]);
    /// let cells = array.open(&cx);
    /// cells[0].swap(&cells[2]);
    /// assert_eq!(array.iter().collect::<Vec<_>>(), [2, 1, 3]);
    /// ```
    #[inline]
    pub fn open(&self, cx: &'gc Cx) -> &'gc [Cell<T>] {
        match self.buffer.get() {
            Some(buffer) => {
                buffer.before_any_change(cx);
                // SAFETY: all elements were reported if a mark phase is under way, and none begins
                // before the next safepoint, which ends 'gc: that borrows `cx`.
                unsafe { buffer.cells() }
            }
            None => &[],
        }
    }

    /// The elements in order, by index: each step looks at the array as it is then, so it may be
    /// changed meanwhile. An element that moves down behind the iterator is missed, one that
    /// moves up is met again, and what is added at the end is met.
    #[inline]
    pub fn iter(&self) -> GcVecIter<'_, 'gc, T> {
        GcVecIter { array: self, next: 0 }
    }
}

impl<'a, 'gc, T: Trace<At<'gc> = T> + Copy> IntoIterator for &'a GcVec<'gc, T> {
    type Item = T;
    type IntoIter = GcVecIter<'a, 'gc, T>;
    fn into_iter(self) -> GcVecIter<'a, 'gc, T> {
        self.iter()
    }
}

/// The elements of a [`GcVec`]; see [`GcVec::iter`].
pub struct GcVecIter<'a, 'gc, T> {
    array: &'a GcVec<'gc, T>,
    next: usize,
}

impl<'gc, T: Trace<At<'gc> = T> + Copy> Iterator for GcVecIter<'_, 'gc, T> {
    type Item = T;
    #[inline]
    fn next(&mut self) -> Option<T> {
        let value = self.array.get(self.next)?;
        self.next += 1;
        Some(value)
    }
}

impl<T> fmt::Debug for GcVecIter<'_, '_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GcVecIter").field("next", &self.next).finish_non_exhaustive()
    }
}

impl<T> Default for GcVec<'_, T> {
    fn default() -> Self {
        GcVec::new()
    }
}

impl<'gc, T: Trace<At<'gc> = T> + Copy + fmt::Debug> fmt::Debug for GcVec<'gc, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // By index: printing an element may change the array.
        f.debug_list().entries(self).finish()
    }
}

// SAFETY: reports the one handle that it holds (TA1), whose object traces the elements; `At`
// replaces its region and theirs (TA2); no drop glue.
unsafe impl<'gc, T: Trace> Trace for GcVec<'gc, T> {
    type At<'a> = GcVec<'a, T::At<'a>>;
    const NEEDS_TRACE: bool = true;
    #[inline(always)]
    fn trace(&self, tracer: &mut Tracer) {
        if let Some(buffer) = self.buffer.get() {
            buffer.trace(tracer);
        }
    }
}

// SAFETY: an optional non-null pointer, of which zero bytes are `None`: an empty array.
unsafe impl<T> Zeroable for GcVec<'_, T> {}

#[track_caller]
pub(crate) fn or_panic<T>(result: Result<T, OutOfMemory>) -> T {
    result.unwrap_or_else(|reason| out_of_memory(reason))
}

#[cold]
#[inline(never)]
#[track_caller]
fn out_of_range(index: usize, len: usize) -> ! {
    panic!("index {index} in an array of {len} elements")
}
