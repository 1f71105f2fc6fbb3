//! Giving memory back to the system. (Go: `mgcscavenge.go`.)
//!
//! The heap *retains* the pages in use and the idle ones, free pages with memory behind
//! them. After a collection it may retain a tenth more than what was in use when marking
//! ended, before anything was swept: the program needs that much between two collections.
//! So a heap in a steady state never gives back pages that it is about to take again, and
//! pages are expensive to touch anew. Memory beyond the goal goes back: empty arenas as a
//! whole, then the highest runs of pages, whole huge pages first.
//!
//! * SC1: a run is given back with no lock held, and its pages cannot be allocated during
//!   that time (U1).
//! * SC2: giving a run back changes `released` and `idle` and nothing else, and not their
//!   sum.
//! * SC3: a call ends when the goal is met, nothing is left to give, or the system
//!   refuses; it never tries the same pages twice.

use heap_sync::atomic::Ordering;

use super::MHeap;
use crate::geometry::PAGE_SIZE;
use crate::os::Decommit;
use crate::page_alloc::ScavengePolicy;

/// Pages given back in one call to the system: large enough that the call is
/// cheap per page, small enough that a mutator seldom misses them.
const STRETCH: usize = 512;

/// How many empty arenas to keep for the next growth.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum KeepEmpty {
    One,
    None,
}

impl MHeap {
    /// Gives memory back until the heap retains `retain` bytes at most. Keeps one
    /// empty arena, and pages that are likely to be used again soon.
    /// Returns the bytes given back.
    pub fn scavenge(&self, retain: usize) -> usize {
        self.give_back(retain, usize::MAX, ScavengePolicy::BACKGROUND, KeepEmpty::One)
    }

    /// Gives all memory back that holds no objects, in units that the system takes
    /// ([`crate::os::Os::decommit_pages`]). Returns the bytes given back. It does not sweep: what is
    /// not swept counts as in use.
    pub fn release_idle(&self) -> usize {
        let bitmaps = self.bits.release_free();
        bitmaps + self.give_back(0, usize::MAX, ScavengePolicy::FORCED, KeepEmpty::None)
    }

    /// Gives back memory beyond the goal that the last collection has set, about `most` bytes
    /// at most. Returns the bytes given back.
    ///
    /// A program whose needs change from collection to collection would take
    /// memory again soon after: with `most` the caller limits the cost of that.
    pub fn trim(&self, most: usize) -> usize {
        // ORDERING: Relaxed: a heuristic.
        match self.retain_goal.load(Ordering::Relaxed) {
            usize::MAX => 0,
            goal => self.give_back(goal, most, ScavengePolicy::BACKGROUND, KeepEmpty::One),
        }
    }

    /// Sets the goal for [`MHeap::trim`]: a tenth more than what is in use now, and `room` for what
    /// will be allocated. At the end of marking, when garbage is in use as well; and when all of it
    /// is swept. (Go: `gcController.heapGoal` in `gcPaceScavenger`.)
    pub fn set_retain_goal(&self, room: usize) {
        let goal = self.stats.in_use_bytes.load(Ordering::Relaxed).saturating_add(room);
        self.retain_goal.store(goal.saturating_add(goal / 10), Ordering::Relaxed);
    }

    fn give_back(
        &self,
        retain: usize,
        most: usize,
        policy: ScavengePolicy,
        keep: KeepEmpty,
    ) -> usize {
        let policy = ScavengePolicy { os_page: self.os.decommit_pages(), ..policy };
        let mut total = 0;
        while total < most {
            let mut pages = self.pages.lock();
            let retained =
                self.stats.in_use_bytes.load(Ordering::Relaxed) + pages.idle_pages() * PAGE_SIZE;
            let over = retained.saturating_sub(retain).div_ceil(PAGE_SIZE);
            let left = (most - total).div_ceil(PAGE_SIZE);
            let spare = keep == KeepEmpty::None || pages.empty_arenas().nth(1).is_some();
            let wanted = over.min(left);
            // An empty arena without idle pages is only address space, and goes in
            // any case.
            if spare && let Some(gone) = pages.remove_empty_arena(|idle| idle <= wanted) {
                drop(pages);
                let (region, idle) = gone;
                drop(region);
                self.stats.returned_bytes.add((idle * PAGE_SIZE) as u64);
                total += idle * PAGE_SIZE;
                continue;
            }
            if over == 0 {
                return total;
            }
            let Some((run, region)) = pages.begin_scavenge(wanted.min(STRETCH), &policy) else {
                return total;
            };
            let first = pages.pointer(run.base);
            drop(pages);
            // SAFETY: SC1: the run is in flight, so no other code uses it; it lies within
            // its region and is made of whole pages of the system.
            let outcome = unsafe { self.os.decommit(&region, first, run.npages * PAGE_SIZE) };
            let mut pages = self.pages.lock();
            pages.released_may_be_dirty |= outcome == Decommit::Offered;
            pages.finish_scavenge(run, outcome != Decommit::Refused);
            drop(pages);
            if outcome == Decommit::Refused {
                // SC3.
                return total;
            }
            let bytes = (run.npages - run.scavenged_pages) * PAGE_SIZE;
            self.stats.returned_bytes.add(bytes as u64);
            total += bytes;
        }
        total
    }
}
