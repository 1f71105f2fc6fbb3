//! [`FixAlloc`]: records of one size that are never unmapped while the heap
//! lives. (Go: `mfixalloc.go`.)
//!
//! A freed record keeps its memory and its atomic fields, so a late reader that
//! still holds a pointer to it reads a stale record, never foreign memory.
//!
//! * F1: records are type-stable until the allocator is dropped.
//! * F2: `bytes` counts every byte taken for records, used or not.

use core::marker::PhantomData;
use core::ptr::NonNull;
use std::alloc::Layout;

/// Moves a value into a box, or drops it if the system has no memory.
pub(crate) fn try_box<T>(value: T) -> Option<Box<T>> {
    let layout = Layout::new::<T>();
    assert!(layout.size() > 0, "a value without bytes needs no box");
    // SAFETY: the layout is not empty.
    let memory = NonNull::new(unsafe { std::alloc::alloc(layout) })?.cast::<T>();
    // SAFETY: fresh memory of this layout from the global allocator, which is what a
    // box owns; it is initialised first.
    unsafe {
        memory.write(value);
        Some(Box::from_raw(memory.as_ptr()))
    }
}

/// Records per chunk.
const CHUNK: usize = 64;

/// A chunk that is being filled. Given back, with the records that were made, if making the next
/// one unwinds.
struct Filling<T> {
    chunk: NonNull<T>,
    made: usize,
}

impl<T> Drop for Filling<T> {
    fn drop(&mut self) {
        // SAFETY: the first `made` records are initialised, nobody else has their addresses, and
        // the chunk was allocated with this layout.
        unsafe {
            core::ptr::slice_from_raw_parts_mut(self.chunk.as_ptr(), self.made).drop_in_place();
            std::alloc::dealloc(self.chunk.as_ptr().cast(), FixAlloc::<T>::layout());
        }
    }
}

/// An allocator of `T` records. Externally locked (`&mut self`).
#[derive(Debug)]
pub(crate) struct FixAlloc<T> {
    chunks: Vec<NonNull<T>>,
    free: Vec<NonNull<T>>,
    records: PhantomData<T>,
}

// SAFETY: the allocator owns its records, which are themselves `Send`/`Sync`.
unsafe impl<T: Send + Sync> Send for FixAlloc<T> {}

impl<T> Default for FixAlloc<T> {
    fn default() -> Self {
        FixAlloc { chunks: Vec::new(), free: Vec::new(), records: PhantomData }
    }
}

impl<T> FixAlloc<T> {
    fn layout() -> Layout {
        Layout::array::<T>(CHUNK).expect("a chunk of records is small")
    }

    /// A record, initialised by `fresh` if its memory is new; a recycled record
    /// comes as it was freed (F1). `None` when the system has no memory.
    pub(crate) fn alloc(&mut self, mut fresh: impl FnMut() -> T) -> Option<NonNull<T>> {
        if let Some(record) = self.free.pop() {
            return Some(record);
        }
        self.chunks.try_reserve(1).ok()?;
        self.free.try_reserve(CHUNK * (self.chunks.len() + 1)).ok()?;
        const { assert!(size_of::<T>() > 0, "records have fields") };
        // SAFETY: the layout is not empty, just seen.
        let chunk = NonNull::new(unsafe { std::alloc::alloc(Self::layout()) })?.cast::<T>();
        let mut filling = Filling { chunk, made: 0 };
        while filling.made < CHUNK {
            // SAFETY: the place is within the chunk just allocated, which is ours and not yet
            // initialised there.
            unsafe { chunk.add(filling.made).write(fresh()) };
            filling.made += 1;
        }
        core::mem::forget(filling);
        self.chunks.push(chunk);
        // SAFETY: as above.
        self.free.extend((0..CHUNK).rev().map(|i| unsafe { chunk.add(i) }));
        self.free.pop()
    }

    /// Takes a record back, to be given out again. It stays as it is (F1).
    pub(crate) fn free(&mut self, record: NonNull<T>) {
        // Cannot grow: capacity for all records is reserved with their chunk.
        self.free.push(record);
    }

    /// Every record ever made, used or free.
    pub(crate) fn all(&self) -> impl Iterator<Item = NonNull<T>> + '_ {
        self.chunks.iter().flat_map(|chunk| {
            (0..CHUNK).map(move |i| {
                // SAFETY: `i` is within the chunk.
                unsafe { chunk.add(i) }
            })
        })
    }

    /// Records that are free.
    #[must_use]
    pub(crate) fn free_records(&self) -> usize {
        self.free.len()
    }

    /// Bytes taken for records (F2).
    #[must_use]
    pub(crate) fn bytes(&self) -> usize {
        self.chunks.len() * Self::layout().size()
    }
}

impl<T> Drop for FixAlloc<T> {
    fn drop(&mut self) {
        for chunk in &self.chunks {
            for i in 0..CHUNK {
                // SAFETY: all records of a chunk were initialised by `alloc`.
                unsafe { chunk.add(i).drop_in_place() };
            }
            // SAFETY: allocated in `alloc` with this layout.
            unsafe { std::alloc::dealloc(chunk.as_ptr().cast(), Self::layout()) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[test]
    fn records_that_were_never_made_are_not_dropped() {
        struct Record<'a>(&'a Cell<usize>);
        impl Drop for Record<'_> {
            fn drop(&mut self) {
                self.0.set(self.0.get() + 1);
            }
        }
        let (made, dropped) = (Cell::new(0), Cell::new(0));
        let mut records = FixAlloc::default();
        let unwound = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            records.alloc(|| {
                assert!(made.replace(made.get() + 1) < 3, "on purpose");
                Record(&dropped)
            })
        }));
        assert!(unwound.is_err() && records.all().next().is_none());
        assert!(records.alloc(|| Record(&dropped)).is_some());
        drop(records);
        assert_eq!(dropped.get(), 3 + CHUNK, "those that were made, of both chunks");
    }
}
