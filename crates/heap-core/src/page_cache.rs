//! One mutator's own stock of pages: the free pages of one 64-page block.
//!
//! Small runs come from here without the heap lock. The cache holds pages that
//! the page allocator regards as allocated; whoever drops a mutator, wants exact
//! page counts or needs empty arenas must [`PageCache::flush`] it first.
//!
//! Only the owning mutator calls it, and the heap on its behalf while it stands
//! at a safepoint.
//!
//! Invariants:
//! * **PC1** a page is in at most one cache, and is not free in the allocator.
//! * **PC2** scavenged pages of the cache are pages of the cache.

use crate::geometry::PAGE_SIZE;
use crate::page_alloc::{PageAlloc, PageBlock, PageRun, find_run, run_mask};

/// Longer runs than this are not served from a cache: they would seldom fit, and
/// cost little more from the page allocator than their pages do.
pub const MAX_CACHED_RUN: usize = 15;

/// A mutator's stock of pages; see the module documentation.
#[derive(Default, Debug)]
pub struct PageCache {
    block: Option<PageBlock>,
}

impl PageCache {
    /// An empty cache.
    #[must_use]
    pub const fn new() -> Self {
        PageCache { block: None }
    }

    /// Takes the lowest run of `npages` pages, or returns `None` if the cache has
    /// no such run or the run is longer than [`MAX_CACHED_RUN`].
    ///
    /// # Panics
    /// If `npages` is 0.
    pub fn alloc(&mut self, npages: usize) -> Option<PageRun> {
        assert!(npages > 0, "a run of no pages");
        if npages > MAX_CACHED_RUN {
            return None;
        }
        let block = self.block.as_mut()?;
        let first = find_run(block.free_mask, npages)?;
        let mask = run_mask(first, npages);
        let scavenged_pages = (block.scavenged_mask & mask).count_ones() as usize;
        block.free_mask &= !mask;
        block.scavenged_mask &= !mask;
        let base = block.base + first * PAGE_SIZE;
        if block.free_mask == 0 {
            self.block = None;
        }
        Some(PageRun { base, npages, scavenged_pages, needs_zero: scavenged_pages < npages })
    }

    /// As [`PageCache::alloc`], with the page allocator at hand: an empty cache
    /// is filled first, and what the cache cannot serve is allocated directly.
    /// `None` means that the heap must grow.
    ///
    /// A cache that still has pages keeps them, even if none of its runs is long
    /// enough: they would only come back as the lowest free block.
    ///
    /// # Panics
    /// If `npages` is 0.
    pub fn alloc_from(&mut self, pages: &mut PageAlloc, npages: usize) -> Option<PageRun> {
        if self.block.is_none() && npages <= MAX_CACHED_RUN {
            self.block = pages.take_block();
        }
        self.alloc(npages).or_else(|| pages.alloc(npages))
    }

    /// Returns all pages to the allocator.
    pub fn flush(&mut self, pages: &mut PageAlloc) {
        if let Some(block) = self.block.take() {
            pages.give_block(block);
        }
    }

    /// The number of pages in the cache.
    #[must_use]
    pub fn pages(&self) -> usize {
        self.block.map_or(0, |block| block.free_mask.count_ones() as usize)
    }

    /// The number of pages in the cache that have no memory behind them.
    #[must_use]
    pub fn scavenged_pages(&self) -> usize {
        self.block.map_or(0, |block| block.scavenged_mask.count_ones() as usize)
    }

    /// Whether the cache holds no pages.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.block.is_none()
    }

    /// What the cache holds.
    #[cfg(test)]
    pub(crate) fn block(&self) -> PageBlock {
        self.block.unwrap_or(PageBlock { base: 0, free_mask: 0, scavenged_mask: 0 })
    }
}
