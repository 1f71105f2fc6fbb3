//! The numbers that all modules share: page, arena and granule sizes.
//!
//! Bottom layer: no state, no dependencies. (Go: `malloc.go` constants.)

/// Bytes of a heap page, the unit in which spans are cut. (Go: `PageSize`.)
pub const PAGE_SIZE: usize = 1 << PAGE_SHIFT;
/// `log2(PAGE_SIZE)`.
pub(crate) const PAGE_SHIFT: u32 = 13;
/// Bytes of an arena, the unit in which address space is reserved. Arenas are
/// aligned to their size, so masking any object address finds its arena.
pub const ARENA_SIZE: usize = 64 << 20;
/// `ARENA_SIZE - 1`: the offset part of an address.
pub const ARENA_MASK: usize = ARENA_SIZE - 1;
/// Pages of an arena, its header included.
pub(crate) const ARENA_PAGES: usize = ARENA_SIZE / PAGE_SIZE;
/// Bytes that share one mark byte. Two slots never start in the same granule
/// because the smallest slot is one granule long.
pub const GRANULE: usize = 1 << GRANULE_SHIFT;
/// `log2(GRANULE)`.
pub const GRANULE_SHIFT: u32 = 4;
/// Mark bytes of one page.
pub const PAGE_GRANULES: usize = PAGE_SIZE / GRANULE;

const _: () = assert!(PAGE_GRANULES == 512);
const _: () = assert!(ARENA_SIZE.is_power_of_two() && ARENA_PAGES == 8192);

/// Rounds `bytes` up to whole pages.
#[must_use]
pub const fn pages_for(bytes: usize) -> usize {
    bytes.div_ceil(PAGE_SIZE)
}
