//! [`Map`]: a stretch of fresh, zeroed memory from the system, given back when it is dropped.
//!
//! `memmap2`'s anonymous maps; under Miri, which has no `mmap`, memory of the program's allocator.

#[cfg(not(miri))]
pub(super) use memmap2::MmapMut as Map;

#[cfg(not(miri))]
pub(super) fn map(bytes: usize) -> Option<Map> {
    memmap2::MmapOptions::new().len(bytes).no_reserve_swap().map_anon().ok()
}

#[cfg(miri)]
pub(super) use miri::{Map, map};

#[cfg(miri)]
mod miri {
    use core::ptr::NonNull;
    use std::alloc::{Layout, alloc_zeroed, dealloc};

    /// Memory that stands for a map.
    #[derive(Debug)]
    pub(in super::super) struct Map {
        start: NonNull<u8>,
        layout: Layout,
    }

    pub(in super::super) fn map(bytes: usize) -> Option<Map> {
        let layout = Layout::from_size_align(bytes, crate::geometry::PAGE_SIZE).ok()?;
        if bytes == 0 {
            return None;
        }
        // SAFETY: the layout is not empty.
        let start = NonNull::new(unsafe { alloc_zeroed(layout) })?;
        Some(Map { start, layout })
    }

    impl Map {
        pub(in super::super) fn as_ptr(&self) -> *const u8 {
            self.start.as_ptr()
        }

        pub(in super::super) fn as_mut_ptr(&mut self) -> *mut u8 {
            self.start.as_ptr()
        }

        pub(in super::super) fn len(&self) -> usize {
            self.layout.size()
        }
    }

    impl Drop for Map {
        fn drop(&mut self) {
            // SAFETY: allocated by `map` with this layout, and nobody has it any more.
            unsafe { dealloc(self.start.as_ptr(), self.layout) };
        }
    }
}
