//! The slow recount behind [`PageAlloc::check`], page by page. Plain, not fast: it is the verifier's,
//! and shares nothing with what it checks.

use super::PageAlloc;
use super::arena::{Arena, CHUNK, HALF, WORD};
use super::summary::Summary;
use crate::geometry::ARENA_PAGES;

/// The bits of an arena's pages.
pub(super) fn pages(words: &[u64]) -> Vec<bool> {
    words.iter().flat_map(|word| (0..WORD).map(move |bit| word >> bit & 1 != 0)).collect()
}

fn count(pages: &[bool]) -> usize {
    pages.iter().filter(|page| **page).count()
}

impl PageAlloc {
    /// Whether a page of this run is free; `true` also for pages of no arena.
    #[must_use]
    pub(crate) fn any_free(&self, base: usize, npages: usize) -> bool {
        let (at, page) = self.position(base);
        let arena = &self.arenas[at];
        page + npages > arena.usable.end
            || (page..page + npages).any(|p| arena.free[p / WORD] >> (p % WORD) & 1 != 0)
    }

    /// Compares everything that is cached with a recount of the bitmaps.
    ///
    /// # Errors
    /// The invariant that does not hold, and where.
    pub fn check(&self) -> Result<(), String> {
        if self.bases.len() != self.arenas.len() {
            return Err("P1: bases and arenas differ in number".into());
        }
        let (mut free, mut scavenged, mut mapped) = (0, 0, 0);
        let mut end = 0;
        for (i, arena) in self.arenas.iter().enumerate() {
            if arena.base != self.bases[i] || arena.base < end {
                return Err(format!("P1: arena {i} at {:#x} is out of order", arena.base));
            }
            end = arena.address(arena.usable.end);
            mapped += arena.usable.end;
            let bits = pages(&arena.free);
            check_bits(arena, &bits)?;
            check_summaries(arena, &bits)?;
            free += count(&bits);
            scavenged += arena.scavenged_pages;
            if self.index.get(i) != arena.root.max() {
                return Err(format!("P4: arena {i} has {}", arena.root.max()));
            }
            let below_hint = match i.cmp(&self.hint.0) {
                std::cmp::Ordering::Less => ARENA_PAGES,
                std::cmp::Ordering::Equal => self.hint.1.min(ARENA_PAGES),
                std::cmp::Ordering::Greater => 0,
            };
            if let Some(page) = bits[..below_hint].iter().position(|free| *free) {
                return Err(format!("P6: page {page} of arena {i} is below {:?}", self.hint));
            }
        }
        self.index.check()?;
        let counted = (free, scavenged, mapped);
        if counted != (self.free, self.scavenged, self.mapped) {
            return Err(format!("P5: free, scavenged, mapped are {counted:?}, not {self:?}"));
        }
        Ok(())
    }
}

fn check_bits(arena: &Arena, free: &[bool]) -> Result<(), String> {
    let at = arena.base;
    let scavenged = pages(&arena.scavenged);
    for page in 0..ARENA_PAGES {
        if free[page] && !arena.usable.contains(&page) {
            return Err(format!("P2: an unusable page of arena {at:#x} is free"));
        }
        if scavenged[page] && !free[page] {
            return Err(format!("P2: a page in use of arena {at:#x} is scavenged"));
        }
    }
    let counted = (count(free), count(&scavenged));
    if counted != (arena.free_pages, arena.scavenged_pages) {
        return Err(format!("P5: arena {at:#x} has {counted:?} free and scavenged pages"));
    }
    Ok(())
}

fn check_summaries(arena: &Arena, free: &[bool]) -> Result<(), String> {
    let levels: [(usize, &[Summary]); 4] = [
        (WORD, &arena.words),
        (CHUNK, &arena.chunks),
        (HALF, &arena.halves),
        (ARENA_PAGES, &[arena.root]),
    ];
    for (size, summaries) in levels {
        for (i, (pages, &summary)) in free.chunks(size).zip(summaries).enumerate() {
            let counted = count_runs(pages);
            if counted != summary {
                return Err(format!(
                    "P3: summary {i} of {size} pages of arena {:#x} is {summary:?}, not {counted:?}",
                    arena.base
                ));
            }
        }
    }
    Ok(())
}

/// What the summary of these pages should be.
pub(super) fn count_runs(pages: &[bool]) -> Summary {
    let runs = || pages.split(|free| !free).map(<[bool]>::len);
    // The first and the last of the runs between pages in use, which may be empty.
    let (first, last) = (runs().next(), runs().next_back());
    let longest = runs().max().unwrap_or(0);
    Summary::new(first.unwrap_or(0), longest, last.unwrap_or(0))
}
