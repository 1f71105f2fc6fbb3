//! Annotations of a heap's memory for AddressSanitizer.
//!
//! The sanitizer knows the program's allocator, not ours: to it a heap is one
//! valid mapping, and a read of a freed slot is as good as any other. Under
//! `--cfg heap_asan` (`scripts/sanitize.sh address`) the memory layer tells it which
//! bytes hold objects, and any access to others ends the program with a report
//! `use-after-poison`. Without the cfg everything here compiles to nothing.
//!
//! Callers: all code that allocates or frees a slot or a block.
//!
//! * AS1: the slots of a span are poisoned when it is set up. A large object is
//!   handed out at once; of its span only the rest of the last page is poisoned.
//! * AS2: a slot is readable from the moment it is handed out until a sweep frees
//!   it, after its destructor and the poison fill.
//!   An object larger than an arena is an exception: it has a mapping of its own,
//!   which ends with it, and a shadow of an eighth of its size.
//! * AS3: nothing of an address range is poisoned when it is unmapped: the
//!   sanitizer's shadow outlives the mapping.
//!
//! LeakSanitizer finds pointers in the program's allocations, stacks and statics.
//! The heap's mappings are registered with it, so that allocations of a live object are
//! not reported as leaks. It skips poisoned bytes, and so does report what only a
//! freed slot leads to.

/// Forbids access to these bytes from now on.
#[inline(always)]
pub(crate) fn poison(start: *const u8, bytes: usize) {
    imp::poison(start, bytes);
}

/// Allows access to these bytes again.
#[inline(always)]
pub(crate) fn unpoison(start: *const u8, bytes: usize) {
    imp::unpoison(start, bytes);
}

/// Registers a mapping in which pointers to the program's allocations may lie.
#[inline(always)]
pub(crate) fn mapped(start: *const u8, bytes: usize) {
    imp::mapped(start, bytes);
}

/// Unregisters a mapping, just before it is unmapped (AS3).
#[inline(always)]
pub(crate) fn unmapping(start: *const u8, bytes: usize) {
    imp::unmapping(start, bytes);
}

#[cfg(not(heap_asan))]
mod imp {
    #[inline(always)]
    pub(super) fn poison(_start: *const u8, _bytes: usize) {}
    #[inline(always)]
    pub(super) fn unpoison(_start: *const u8, _bytes: usize) {}
    #[inline(always)]
    pub(super) fn mapped(_start: *const u8, _bytes: usize) {}
    #[inline(always)]
    pub(super) fn unmapping(_start: *const u8, _bytes: usize) {}
}

#[cfg(heap_asan)]
mod imp {
    use crate::geometry::ARENA_SIZE;

    // The sanitizer's own interface, `sanitizer/{asan,lsan}_interface.h`.
    unsafe extern "C" {
        fn __asan_poison_memory_region(start: *const u8, bytes: usize);
        fn __asan_unpoison_memory_region(start: *const u8, bytes: usize);
        fn __lsan_register_root_region(start: *const u8, bytes: usize);
        fn __lsan_unregister_root_region(start: *const u8, bytes: usize);
    }

    pub(super) fn poison(start: *const u8, bytes: usize) {
        if bytes <= ARENA_SIZE {
            // SAFETY: changes the sanitizer's shadow only, never the memory itself.
            unsafe { __asan_poison_memory_region(start, bytes) };
        }
    }

    pub(super) fn unpoison(start: *const u8, bytes: usize) {
        // Of a longer range only the rest of the last page is poisoned (AS2).
        let last = bytes.min(ARENA_SIZE);
        // SAFETY: as in `poison`.
        unsafe { __asan_unpoison_memory_region(start.wrapping_add(bytes - last), last) };
    }

    pub(super) fn mapped(start: *const u8, bytes: usize) {
        // SAFETY: the sanitizer reads the mapping until `unmapping`, when the
        // program ends, and only such pages of it as are readable.
        unsafe { __lsan_register_root_region(start, bytes) };
    }

    pub(super) fn unmapping(start: *const u8, bytes: usize) {
        // SAFETY: registered with the same bounds in `mapped`.
        unsafe { __lsan_unregister_root_region(start, bytes) };
        unpoison(start, bytes);
    }
}
