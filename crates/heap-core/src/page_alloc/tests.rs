//! The page allocator by hand; `model` compares it with a plain bitmap.

mod model;

use bitvec::prelude::BitVec;
use proptest::prelude::*;

use super::check::{count_runs, pages};
use super::*;
use crate::geometry::ARENA_SIZE;

/// Beyond 4 GiB, where there is such a thing.
const BASE: usize = ARENA_SIZE << if cfg!(target_pointer_width = "32") { 2 } else { 12 };

fn at(page: usize) -> usize {
    BASE + page * PAGE_SIZE
}

/// One full arena without a header.
fn one_arena() -> PageAlloc {
    let mut pages = PageAlloc::new();
    pages.add_arena(BASE, 0, ARENA_PAGES);
    pages
}

fn check(pages: &PageAlloc) {
    pages.check().unwrap();
}

/// All pages in use, then these runs (page, length) freed.
fn with_free(runs: &[(usize, usize)]) -> PageAlloc {
    let mut pages = one_arena();
    pages.alloc(ARENA_PAGES).unwrap();
    for &(page, npages) in runs {
        pages.free(at(page), npages);
    }
    check(&pages);
    pages
}

impl PageAlloc {
    /// Allocates the lowest free run of `npages` pages, or returns `None` if no
    /// arena has one.
    ///
    /// # Panics
    /// If `npages` is 0.
    pub(crate) fn alloc(&mut self, npages: usize) -> Option<PageRun> {
        self.alloc_from(npages, 0)
    }

    /// The longest run that [`PageAlloc::alloc`] could serve, in pages.
    fn largest_free_run(&self) -> usize {
        self.index.largest()
    }

    /// The number of pages of all arenas, arena headers included.
    fn mapped_pages(&self) -> usize {
        self.mapped
    }
}

fn word() -> impl Strategy<Value = u64> {
    prop_oneof![Just(0), Just(!0), any::<u64>(), (0..64u32).prop_map(|n| !0 << n)]
}

proptest! {
    /// The recount that finds wrong summaries is no better than its own arithmetic.
    #[test]
    fn runs_are_counted_as_a_bitmap_of_another_maker_counts_them(
        words in prop::collection::vec(word(), 1..6)
    ) {
        let free = pages(&words);
        let bits: BitVec = free.iter().collect();
        let (mut longest, mut rest) = (0, &bits[..]);
        while let Some(begin) = rest.first_one() {
            let run = rest[begin..].leading_ones();
            longest = longest.max(run);
            rest = &rest[begin + run..];
        }
        let counted = count_runs(&free);
        prop_assert_eq!(counted.start(), bits.leading_ones());
        prop_assert_eq!(counted.max(), longest);
        prop_assert_eq!(counted.end(), bits.trailing_ones());
    }
}

#[test]
fn nothing_comes_from_an_empty_allocator() {
    let mut pages = PageAlloc::new();
    assert_eq!(pages.alloc(1), None);
    assert_eq!(pages.largest_free_run(), 0);
    assert_eq!(pages.take_scavenge_candidate(1, &ScavengePolicy::FORCED), None);
    check(&pages);
}

#[test]
fn each_who_looks_elsewhere_first_gets_neighbouring_pages() {
    let mut pages = one_arena();
    let mut next = |from| (pages.alloc_from(1, from).unwrap().base - BASE) / PAGE_SIZE;
    for page in 0..32 {
        assert_eq!((next(0), next(32)), (page, 32 + page));
    }
    // Of the next stripe three quarters are one's; the other takes what is left.
    assert_eq!((0..32).map(|_| next(32)).collect::<Vec<_>>(), (96..128).collect::<Vec<_>>());
    assert_eq!((0..16).map(|_| next(32)).collect::<Vec<_>>(), (64..80).collect::<Vec<_>>());
    assert_eq!((0..16).map(|_| next(0)).collect::<Vec<_>>(), (80..96).collect::<Vec<_>>());
    // A run that does not fit there is as low as it can be.
    assert_eq!(pages.alloc_from(40, 32).unwrap().base, at(128));
    assert_eq!(pages.alloc_from(8, 60).unwrap().base, at(168));
    assert_eq!(pages.alloc_from(1, 63).unwrap().base, at(191));
    check(&pages);
}

/// Growth: what is mapped, free and scavenged after adding arenas in any order.
#[test]
fn arenas_are_kept_in_address_order() {
    let mut pages = PageAlloc::new();
    pages.add_arena(BASE + 5 * ARENA_SIZE, 16, ARENA_PAGES);
    let high = pages.alloc(3).unwrap();
    assert_eq!(high.base, BASE + 5 * ARENA_SIZE + 16 * PAGE_SIZE);
    pages.add_arena(BASE, 16, ARENA_PAGES);
    pages.add_arena(BASE + 2 * ARENA_SIZE, 0, 300);
    check(&pages);
    assert_eq!(pages.mapped_pages(), 2 * ARENA_PAGES + 300);
    assert_eq!(pages.free_pages(), 2 * ARENA_PAGES + 300 - 32 - 3);
    assert_eq!(pages.scavenged_pages(), pages.free_pages());
    assert_eq!(pages.alloc(1).unwrap().base, at(16));
    // Neighbours in address order do not make a run across the border.
    assert_eq!(pages.largest_free_run(), ARENA_PAGES - 17);
    assert_eq!(pages.alloc(ARENA_PAGES - 16), None);
    assert_eq!(
        pages.empty_arenas().collect::<Vec<_>>(),
        [(BASE + 2 * ARENA_SIZE, 0)],
        "the other two have pages in use"
    );
    pages.remove_arena(BASE + 2 * ARENA_SIZE);
    check(&pages);
    assert_eq!(pages.mapped_pages(), 2 * ARENA_PAGES);
}

/// Exhausting an arena with runs of one length leaves the remainder free.
#[test]
fn exhausting_leaves_only_the_remainder() {
    for npages in [1, 2, 3, 5, 63, 64, 65, 511, 512, 513, 1023, 1025, 2048, 2049, 8191, 8192] {
        let mut pages = one_arena();
        for i in 0..ARENA_PAGES / npages {
            assert_eq!(pages.alloc(npages).unwrap().base, at(i * npages), "{npages} pages");
        }
        assert_eq!(pages.alloc(npages), None);
        assert_eq!(pages.free_pages(), ARENA_PAGES % npages);
        check(&pages);
    }
}

/// First fit finds runs that straddle words, chunks and halves.
#[test]
fn runs_across_every_border_are_found() {
    for border in [64, 128, 512, 1024, 4096, 4096 + 512, 7680, 8128] {
        for (below, above) in [(1, 1), (10, 54), (64, 1), (33, 64), (64, 64)] {
            let npages = below + above;
            let page: usize = border - below;
            // A decoy that is too short lies before it.
            let decoy = (npages - 1).min(page.saturating_sub(1));
            let runs = [(0, decoy), (page, npages)];
            let mut pages = with_free(&runs[usize::from(decoy == 0)..]);
            assert_eq!(pages.alloc(npages).unwrap().base, at(page), "border {border}");
            assert_eq!(pages.free_pages(), decoy);
            check(&pages);
        }
    }
}

/// Freeing lowers the hint; a longer run behind it does not hide a short one.
#[test]
fn the_lowest_page_is_always_next() {
    let mut pages = with_free(&[(70, 1), (500, 20), (8191, 1)]);
    assert_eq!(pages.alloc(2).unwrap().base, at(500));
    assert_eq!(pages.alloc(1).unwrap().base, at(70));
    pages.free(at(3), 1);
    assert_eq!(pages.alloc(1).unwrap().base, at(3));
    assert_eq!(pages.alloc(18).unwrap().base, at(502));
    assert_eq!(pages.alloc(1).unwrap().base, at(8191));
    assert_eq!(pages.alloc(1), None);
    check(&pages);
}

#[test]
fn fresh_pages_need_no_zeroing_and_used_ones_do() {
    let mut pages = one_arena();
    let first = pages.alloc(4).unwrap();
    assert_eq!((first.scavenged_pages, first.needs_zero), (4, false));
    pages.free(first.base, 2);
    // Two used pages below two in use, so this takes the used ones.
    let again = pages.alloc(2).unwrap();
    assert_eq!((again.base, again.scavenged_pages, again.needs_zero), (at(0), 0, true));
    pages.free(again.base, 2);
    pages.free(at(2), 2);
    // Half used, half fresh.
    let mixed = pages.alloc(8).unwrap();
    assert_eq!((mixed.base, mixed.scavenged_pages, mixed.needs_zero), (at(0), 4, true));
    pages.free(mixed.base, 8);
    let run = pages.take_scavenge_candidate(64, &ScavengePolicy::FORCED).unwrap();
    assert_eq!((run.base, run.npages), (at(0), 256), "the whole huge page");
    pages.finish_scavenge(run);
    let clean = pages.alloc(8).unwrap();
    assert_eq!((clean.base, clean.scavenged_pages, clean.needs_zero), (at(0), 8, false));
    check(&pages);
}

#[test]
#[should_panic(expected = "freed twice")]
fn double_free_is_corruption() {
    let mut pages = one_arena();
    let run = pages.alloc(3).unwrap();
    pages.free(run.base, 3);
    pages.free(run.base + PAGE_SIZE, 1);
}

#[test]
#[should_panic(expected = "outside the usable pages")]
fn freeing_the_header_is_corruption() {
    let mut pages = PageAlloc::new();
    pages.add_arena(BASE, 16, ARENA_PAGES);
    pages.free(at(15), 2);
}

#[test]
#[should_panic(expected = "no page begins")]
fn freeing_foreign_memory_is_corruption() {
    one_arena().free(BASE - PAGE_SIZE, 1);
}

#[test]
#[should_panic(expected = "is in use")]
fn a_used_arena_is_not_removed() {
    let mut pages = one_arena();
    pages.alloc(1).unwrap();
    pages.remove_arena(BASE);
}

#[test]
#[should_panic(expected = "overlaps")]
fn overlapping_arenas_are_refused() {
    one_arena().add_arena(BASE + ARENA_SIZE / 2, 0, 256);
}

#[test]
fn check_finds_what_is_wrong() {
    type Damage = fn(&mut PageAlloc);
    let broken: [(&str, Damage); 6] = [
        ("P1", |p| p.bases.swap(0, 1)),
        ("P2", |p| p.arenas[0].scavenged[0] |= 1),
        ("P3", |p| p.arenas[1].chunks[2] = summary::Summary::NONE),
        ("P4", |p| p.index.set(1, 5)),
        ("P5", |p| p.free += 1),
        ("P6", |p| p.hint = (0, 100)),
    ];
    for (invariant, damage) in broken {
        let mut pages = one_arena();
        pages.add_arena(BASE + ARENA_SIZE, 0, ARENA_PAGES);
        pages.alloc(10).unwrap();
        check(&pages);
        damage(&mut pages);
        let error = pages.check().unwrap_err();
        assert!(error.starts_with(invariant), "{invariant}: {error}");
    }
}

/// First fit among thousands of arenas, whose index has several levels; 32-bit addresses are
/// enough for some sixty.
#[test]
fn many_arenas_are_searched_in_order() {
    const ARENAS: usize = if cfg!(target_pointer_width = "32") { 55 } else { 2100 };
    let arena = |i: usize| BASE + i * ARENA_SIZE;
    let mut pages = PageAlloc::new();
    // Every seventh is long; the order of adding is not that of the addresses.
    for i in (0..ARENAS).map(|i| i * 1009 % ARENAS) {
        pages.add_arena(arena(i), 1, if i % 7 == 0 { 301 } else { 3 });
    }
    check(&pages);
    for i in (0..ARENAS).step_by(7) {
        assert_eq!(pages.alloc(200).unwrap().base, arena(i) + PAGE_SIZE);
    }
    for i in 0..ARENAS {
        let first = if i % 7 == 0 { 201 } else { 1 };
        assert_eq!(pages.alloc(2).unwrap().base, arena(i) + first * PAGE_SIZE);
        if i % 7 == 0 {
            pages.alloc(98).unwrap();
        }
    }
    assert_eq!((pages.alloc(1), pages.free_pages()), (None, 0));
    let late = ARENAS - ARENAS / 21;
    pages.free(arena(late) + PAGE_SIZE, 1);
    pages.free(arena(late - 1) + PAGE_SIZE, 2);
    assert_eq!(pages.alloc(2).unwrap().base, arena(late - 1) + PAGE_SIZE);
    assert_eq!(pages.alloc(1).unwrap().base, arena(late) + PAGE_SIZE);
    check(&pages);
}

mod scavenging {
    use super::*;

    /// Scavenges to the end; the runs in order.
    fn scavenge_all(
        pages: &mut PageAlloc,
        max: usize,
        policy: &ScavengePolicy,
    ) -> Vec<(usize, usize)> {
        let mut runs = Vec::new();
        while let Some(run) = pages.take_scavenge_candidate(max, policy) {
            check(pages);
            pages.finish_scavenge(run);
            check(pages);
            runs.push(((run.base - BASE) / PAGE_SIZE, run.npages));
        }
        runs
    }

    #[test]
    fn highest_huge_pages_go_first_and_are_not_split() {
        let mut pages = with_free(&[(0, 300), (1000, 20), (2040, 600), (8000, 10)]);
        let runs = scavenge_all(&mut pages, 16, &ScavengePolicy::FORCED);
        let huge = [(2304, 256), (2048, 256), (0, 256)];
        assert_eq!(runs[..3], huge);
        // Then the rest, from the top in pieces of at most 16.
        let rest = [
            (8000, 10),
            (2624, 16),
            (2608, 16),
            (2592, 16),
            (2576, 16),
            (2560, 16),
            (2040, 8),
            (1004, 16),
            (1000, 4),
            (284, 16),
            (268, 16),
            (256, 12),
        ];
        assert_eq!(runs[3..], rest);
        assert_eq!(pages.scavenged_pages(), pages.free_pages());
    }

    #[test]
    fn neighbouring_huge_pages_go_together_within_the_limit() {
        let mut pages = with_free(&[(0, 8192)]);
        let runs = scavenge_all(&mut pages, 3 * 256, &ScavengePolicy::BACKGROUND);
        assert_eq!(runs[0], (8192 - 768, 768));
        assert_eq!(runs.len(), 11);
        assert_eq!(runs[10], (0, 512));
    }

    #[test]
    fn scope_and_density_leave_pages_alone() {
        let only_huge =
            ScavengePolicy { scope: ScavengeScope::HugePages, ..ScavengePolicy::FORCED };
        let mut pages = with_free(&[(256, 256), (1024, 16), (1600, 17)]);
        assert_eq!(scavenge_all(&mut pages, 64, &only_huge), [(256, 256)]);
        // 496 of the chunk at 1024 are in use, 495 of the next.
        assert_eq!(scavenge_all(&mut pages, 64, &ScavengePolicy::BACKGROUND), [(1600, 17)]);
        assert_eq!(scavenge_all(&mut pages, 64, &ScavengePolicy::FORCED), [(1024, 16)]);
    }

    #[test]
    fn only_whole_system_pages_are_returned() {
        let policy = ScavengePolicy { os_page: 8, ..ScavengePolicy::FORCED };
        let mut pages = with_free(&[(3, 4), (1021, 25), (4095, 2)]);
        let runs = scavenge_all(&mut pages, 20, &policy);
        assert_eq!(runs, [(1024, 16)]);
    }

    #[test]
    fn a_failed_decommit_leaves_the_run_dirty() {
        let mut pages = with_free(&[(0, 256)]);
        let run = pages.take_scavenge_candidate(256, &ScavengePolicy::FORCED).unwrap();
        assert_eq!(pages.alloc(1), None, "the run is nobody else's meanwhile");
        pages.free(run.base, run.npages);
        assert_eq!((pages.free_pages(), pages.scavenged_pages()), (256, 0));
        check(&pages);
    }

    /// Allocating must clear the scavenged bits, or the pages would be counted
    /// as absent while in use.
    #[test]
    fn pages_in_use_are_never_scavenged() {
        let mut pages = one_arena();
        pages.alloc(100).unwrap();
        assert_eq!(pages.scavenged_pages(), ARENA_PAGES - 100);
        check(&pages);
    }
}

#[test]
fn an_arena_is_empty_when_all_its_pages_are_back() {
    let mut pages = one_arena();
    let run = pages.alloc(1).unwrap();
    assert_eq!((run.scavenged_pages, run.needs_zero), (1, false));
    assert_eq!(pages.empty_arenas().count(), 0);
    pages.free(run.base, 1);
    assert_eq!(pages.empty_arenas().collect::<Vec<_>>(), [(BASE, 1)]);
    assert_eq!(pages.scavenged_pages(), ARENA_PAGES - 1);
    assert!(pages.alloc(1).unwrap().needs_zero);
}
