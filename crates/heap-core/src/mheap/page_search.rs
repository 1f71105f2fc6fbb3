//! A search through the pages of a heap that needs no memory: for pages that are lost, and for all that
//! may have objects with handles. Called by the collector, which has stopped the world.

use core::num::NonZeroUsize;

use super::MHeap;
use crate::arena::HEADER_PAGES;
use crate::geometry::{ARENA_PAGES, PAGE_SIZE};
use crate::location::Location;

/// Pages that are looked at between two looks at the clock: some microseconds. In builds with
/// assertions few.
const PAGES_SEARCHED: usize = if cfg!(debug_assertions) { 64 } else { 1 << 14 };

/// How far a search has come: the address of the next page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PageCursor(usize);

/// What a part of a search has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PageSearch {
    /// A page; the search goes on behind it.
    Found(Location),
    /// Nothing so far.
    More,
    /// Nothing, and there are no more pages.
    Done,
}

impl MHeap {
    /// Searches for a page that is lost (M3). The unit is a number of pages.
    ///
    /// # Safety
    ///
    /// The world is stopped, a mark phase is under way, and no page is in a work queue.
    pub unsafe fn next_lost_page(&self, cursor: &mut PageCursor) -> PageSearch {
        self.next_page(cursor, |page| page.page_flag().is_queued())
    }

    /// Searches for a page whose objects may hold handles.
    ///
    /// # Safety
    ///
    /// The world is stopped, and no thread sweeps.
    pub unsafe fn next_traced_page(&self, cursor: &mut PageCursor) -> PageSearch {
        self.next_page(cursor, |page| page.kind().is_some_and(|kind| kind.trace_batch().is_some()))
    }

    fn next_page(&self, cursor: &mut PageCursor, wanted: impl Fn(&Location) -> bool) -> PageSearch {
        let pages = self.pages.lock();
        let mut left = PAGES_SEARCHED;
        while let Some(region) = pages.regions.at_or_after(cursor.0) {
            let base = region.base();
            let start = base.addr().get();
            // Beyond the reach of a head's tables only a huge object goes on.
            let end = start + (region.bytes() / PAGE_SIZE).min(ARENA_PAGES) * PAGE_SIZE;
            let mut at = cursor.0.max(start + HEADER_PAGES * PAGE_SIZE);
            while at < end {
                let Some(page) = NonZeroUsize::new(at) else { break };
                // SAFETY: a page of a region, which is mapped while it is in the list; a page that is
                // found has objects, so that it stays there until the world runs.
                let page = unsafe { Location::of(base.map_addr(|_: NonZeroUsize| page)) };
                at += PAGE_SIZE;
                left -= 1;
                if wanted(&page) {
                    cursor.0 = at;
                    return PageSearch::Found(page);
                }
                if left == 0 {
                    cursor.0 = at;
                    return PageSearch::More;
                }
            }
            cursor.0 = (start + region.bytes()).max(at);
        }
        PageSearch::Done
    }
}
