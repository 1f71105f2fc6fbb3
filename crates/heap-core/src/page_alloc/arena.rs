//! The pages of one arena: two bitmaps and the summaries over them.
//!
//! Only `page_alloc` uses this. Pages are counted from the arena's base.

use super::summary::{Place, Summary, find_run, lowest_run, run_mask};
use super::{PageRun, ScavengePolicy};
use crate::geometry::{ARENA_PAGES, PAGE_SIZE};
use std::ops::Range;

pub(super) const WORD: usize = 64;
const _: () = assert!(WORD == crate::partition::STRIPE_PAGES, "a stripe is a word");
pub(super) const CHUNK: usize = 512;
pub(super) const HALF: usize = ARENA_PAGES / 2;
/// Pages of a huge page of the operating system, 2 MiB.
pub(super) const HUGE: usize = (2 << 20) / PAGE_SIZE;
pub(super) const WORDS: usize = ARENA_PAGES / WORD;
const CHUNKS: usize = ARENA_PAGES / CHUNK;
const HALVES: usize = ARENA_PAGES / HALF;

/// The state of a page that is put back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Backing {
    /// It may hold old data.
    Dirty,
    /// It has no memory behind it and reads as zero.
    Scavenged,
}

pub(super) struct Arena {
    pub(super) base: usize,
    /// The pages this allocator may give out.
    pub(super) usable: Range<usize>,
    /// A set bit is a free page.
    pub(super) free: [u64; WORDS],
    /// A set bit is a free page without memory behind it.
    pub(super) scavenged: [u64; WORDS],
    pub(super) words: [Summary; WORDS],
    pub(super) chunks: [Summary; CHUNKS],
    pub(super) halves: [Summary; HALVES],
    pub(super) root: Summary,
    pub(super) free_pages: usize,
    pub(super) scavenged_pages: usize,
    /// No page from here on was ever allocated.
    pub(super) used_end: usize,
    /// Pages below this were given out by [`Arena::take_unprepared`].
    pub(super) prepared_end: usize,
}

impl Arena {
    /// An arena of fresh pages: free, and never touched.
    pub(super) fn new(base: usize, usable: Range<usize>) -> Arena {
        let mut arena = Arena {
            base,
            usable: usable.clone(),
            free: [0; WORDS],
            scavenged: [0; WORDS],
            words: [Summary::NONE; WORDS],
            chunks: [Summary::NONE; CHUNKS],
            halves: [Summary::NONE; HALVES],
            root: Summary::NONE,
            free_pages: 0,
            scavenged_pages: 0,
            used_end: 0,
            prepared_end: 0,
        };
        if !usable.is_empty() {
            arena.put(usable.start, usable.len(), Backing::Scavenged);
        }
        arena
    }

    pub(super) fn is_empty(&self) -> bool {
        self.free_pages == self.usable.len()
    }

    /// Free pages with memory behind them.
    pub(super) fn dirty_pages(&self) -> usize {
        self.free_pages - self.scavenged_pages
    }

    pub(super) fn address(&self, page: usize) -> usize {
        self.base + page * PAGE_SIZE
    }

    /// The lowest page at which `npages` free ones begin.
    pub(super) fn find(&self, npages: usize) -> Option<usize> {
        let half = match lowest_run(&self.halves, HALF, npages)? {
            Place::At(page) => return Some(page),
            Place::Inside(half) => half,
        };
        let first = half * (HALF / CHUNK);
        let chunk = match lowest_run(&self.chunks[first..][..HALF / CHUNK], CHUNK, npages)? {
            Place::At(page) => return Some(half * HALF + page),
            Place::Inside(chunk) => first + chunk,
        };
        let first = chunk * (CHUNK / WORD);
        let word = match lowest_run(&self.words[first..][..CHUNK / WORD], WORD, npages)? {
            Place::At(page) => return Some(chunk * CHUNK + page),
            Place::Inside(word) => first + word,
        };
        Some(word * WORD + find_run(self.free[word], npages)?)
    }

    /// Allocates free pages. Panics if one of them is in use.
    pub(super) fn take(&mut self, page: usize, npages: usize) -> PageRun {
        let mut scavenged = 0;
        for (word, mask) in words_of(page, npages) {
            assert!(self.free[word] & mask == mask, "{}", self.damage(page, npages, "taken twice"));
            self.free[word] &= !mask;
            scavenged += (self.scavenged[word] & mask).count_ones() as usize;
            self.scavenged[word] &= !mask;
        }
        self.free_pages -= npages;
        self.scavenged_pages -= scavenged;
        self.used_end = self.used_end.max(page + npages);
        self.refresh(page / WORD, (page + npages - 1) / WORD);
        PageRun {
            base: self.address(page),
            npages,
            scavenged_pages: scavenged,
            needs_zero: scavenged < npages,
        }
    }

    /// Puts pages back. Panics if they are free already or not this arena's.
    pub(super) fn put(&mut self, page: usize, npages: usize, backing: Backing) {
        assert!(
            npages > 0 && page >= self.usable.start && page + npages <= self.usable.end,
            "{}",
            self.damage(page, npages, "outside the usable pages")
        );
        for (word, mask) in words_of(page, npages) {
            assert!(self.free[word] & mask == 0, "{}", self.damage(page, npages, "freed twice"));
            self.free[word] |= mask;
            if backing == Backing::Scavenged {
                self.scavenged[word] |= mask;
            }
        }
        self.free_pages += npages;
        if backing == Backing::Scavenged {
            self.scavenged_pages += npages;
        }
        self.refresh(page / WORD, (page + npages - 1) / WORD);
    }

    /// Whether [`Arena::take_unprepared`] would return pages.
    pub(super) fn has_unprepared(&self) -> bool {
        self.prepared_end.max(self.usable.start) < self.used_end
    }

    /// The next `most` pages that were allocated some time and were not returned by this before.
    pub(super) fn take_unprepared(&mut self, most: usize) -> Option<Range<usize>> {
        let start = self.prepared_end.max(self.usable.start);
        let end = self.used_end.min(start + most);
        (start < end).then(|| {
            self.prepared_end = end;
            start..end
        })
    }

    #[cold]
    fn damage(&self, page: usize, npages: usize, what: &str) -> String {
        format!("heap corruption: {npages} pages at {:#x} {what}", self.address(page))
    }

    /// Updates the summaries over some words.
    fn refresh(&mut self, first: usize, last: usize) {
        let mut changed = false;
        for word in first..=last {
            changed |= replace(&mut self.words[word], Summary::of_word(self.free[word]));
        }
        if !changed {
            return;
        }
        changed = false;
        let (first, last) = (first / (CHUNK / WORD), last / (CHUNK / WORD));
        for chunk in first..=last {
            let parts = &self.words[chunk * (CHUNK / WORD)..][..CHUNK / WORD];
            changed |= replace(&mut self.chunks[chunk], Summary::merge(parts, WORD));
        }
        if !changed {
            return;
        }
        let (first, last) = (first / (HALF / CHUNK), last / (HALF / CHUNK));
        for half in first..=last {
            let parts = &self.chunks[half * (HALF / CHUNK)..][..HALF / CHUNK];
            self.halves[half] = Summary::merge(parts, CHUNK);
        }
        self.root = Summary::merge(&self.halves, HALF);
    }

    /// The highest run of whole huge pages that are free and not all scavenged,
    /// at most `max_pages` long but at least one huge page.
    pub(super) fn highest_free_huge_pages(&self, max_pages: usize) -> Option<Range<usize>> {
        const WORDS_OF_HUGE: usize = HUGE / WORD;
        if self.dirty_pages() == 0 || self.root.max() < HUGE {
            return None;
        }
        let qualifies = |huge: usize| {
            // Half of a chunk cannot be free if the chunk has no such run.
            self.chunks[huge * HUGE / CHUNK].max() >= HUGE
                && self.free[huge * WORDS_OF_HUGE..][..WORDS_OF_HUGE].iter().all(|&w| w == u64::MAX)
                && self.scavenged[huge * WORDS_OF_HUGE..][..WORDS_OF_HUGE]
                    .iter()
                    .any(|&w| w != u64::MAX)
        };
        let top = (0..ARENA_PAGES / HUGE).rev().find(|&huge| qualifies(huge))?;
        let most = (max_pages / HUGE).max(1);
        let count = (0..=top).rev().take(most).take_while(|&huge| qualifies(huge)).count();
        Some((top + 1 - count) * HUGE..(top + 1) * HUGE)
    }

    /// The highest run of free pages of which none is scavenged, made of whole
    /// pages of the operating system, inside one chunk that is not too dense.
    ///
    /// The caller has taken all free huge pages already, so this splits none.
    pub(super) fn highest_dirty_run(
        &self,
        max_pages: usize,
        policy: &ScavengePolicy,
    ) -> Option<Range<usize>> {
        if self.dirty_pages() == 0 {
            return None;
        }
        let most = (max_pages & !(policy.os_page - 1)).max(policy.os_page);
        (0..CHUNKS).rev().find_map(|chunk| {
            let words = chunk * (CHUNK / WORD)..(chunk + 1) * (CHUNK / WORD);
            let free: u32 = self.free[words.clone()].iter().map(|w| w.count_ones()).sum();
            if CHUNK - free as usize >= policy.dense_chunk {
                return None;
            }
            let dirty =
                |word: usize| whole_groups(self.free[word] & !self.scavenged[word], policy.os_page);
            let top = words.clone().rev().find(|&word| dirty(word) != 0)?;
            let end = (top + 1) * WORD - dirty(top).leading_zeros() as usize;
            let mut begin = end;
            while begin > words.start * WORD && end - begin < most {
                let (word, bit) = ((begin - 1) / WORD, (begin - 1) % WORD);
                let run = (dirty(word) << (WORD - 1 - bit)).leading_ones() as usize;
                if run == 0 {
                    break;
                }
                begin -= run;
            }
            Some(begin.max(end.saturating_sub(most))..end)
        })
    }
}

/// Stores a summary; returns whether it differs from the old one.
fn replace(summary: &mut Summary, new: Summary) -> bool {
    let changed = *summary != new;
    *summary = new;
    changed
}

/// The words a run of pages touches, with the bits of the run in each.
fn words_of(page: usize, npages: usize) -> impl Iterator<Item = (usize, u64)> {
    let end = page + npages;
    (page / WORD..end.div_ceil(WORD)).map(move |word| {
        let from = page.max(word * WORD);
        (word, run_mask(from % WORD, end.min((word + 1) * WORD) - from))
    })
}

/// The bits of those aligned groups of `size` bits that are wholly set.
fn whole_groups(bits: u64, size: usize) -> u64 {
    let group = run_mask(0, size);
    (0..64).step_by(size).map(|at| group << at).filter(|&g| bits & g == g).fold(0, |a, g| a | g)
}
