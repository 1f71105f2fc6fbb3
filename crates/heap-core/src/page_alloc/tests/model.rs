//! Random programs: the page allocator against a plain bitmap.

use super::*;
use proptest::prelude::*;

/// What a page is, in the shadow model.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Page {
    Header,
    Used,
    Dirty,
    Clean,
}

impl Page {
    fn is_free(self) -> bool {
        matches!(self, Page::Dirty | Page::Clean)
    }
}

/// The shadow: arenas as plain vectors of pages, in address order.
#[derive(Default)]
struct Shadow(std::collections::BTreeMap<usize, Vec<Page>>);

impl Shadow {
    /// First fit by looking at every page; before that, a fit inside the stripe of the
    /// first free page, from its page `from` on.
    fn alloc_from(&mut self, npages: usize, from: usize) -> Option<PageRun> {
        let fit = |pages: &[Page]| {
            pages.windows(npages).position(|run| run.iter().all(|page| page.is_free()))
        };
        let near = self.0.iter().find_map(|(&base, arena)| {
            let free = arena.iter().position(|page| page.is_free())?;
            Some((base, arena, free / WORD * WORD))
        });
        let preferred = near.and_then(|(base, arena, stripe)| {
            let end = (stripe + WORD).min(arena.len());
            let pages = arena.get(stripe + from..end)?;
            Some((base, stripe + from + fit(pages)?))
        });
        let first = || self.0.iter().find_map(|(&base, arena)| Some((base, fit(arena)?)));
        let (base, page) = preferred.or_else(first)?;
        Some(self.take(base + page * PAGE_SIZE, npages))
    }

    fn pages(&mut self, address: usize, npages: usize) -> &mut [Page] {
        let (&base, arena) = self.0.range_mut(..=address).next_back().unwrap();
        &mut arena[(address - base) / PAGE_SIZE..][..npages]
    }

    fn take(&mut self, base: usize, npages: usize) -> PageRun {
        let pages = self.pages(base, npages);
        assert!(pages.iter().all(|page| page.is_free()));
        let scavenged_pages = pages.iter().filter(|&&page| page == Page::Clean).count();
        pages.fill(Page::Used);
        PageRun { base, npages, scavenged_pages, needs_zero: scavenged_pages < npages }
    }

    fn put(&mut self, base: usize, npages: usize, to: Page) {
        let pages = self.pages(base, npages);
        assert!(pages.iter().all(|&page| page == Page::Used));
        pages.fill(to);
    }

    /// The run a scavenger should get, by looking at every page.
    fn candidate(&self, max: usize, policy: &ScavengePolicy) -> Option<(usize, usize)> {
        let whole_huge = |pages: &[Page]| {
            pages.len() == HUGE
                && pages.iter().all(|page| page.is_free())
                && pages.contains(&Page::Dirty)
        };
        for (&base, arena) in self.0.iter().rev() {
            let huge: Vec<_> = arena.chunks(HUGE).map(whole_huge).collect();
            if let Some(top) = huge.iter().rposition(|&yes| yes) {
                let mut first = top;
                while first > 0 && huge[first - 1] && (top - first + 2) * HUGE <= max {
                    first -= 1;
                }
                return Some((base + first * HUGE * PAGE_SIZE, (top + 1 - first) * HUGE));
            }
        }
        if policy.scope == ScavengeScope::HugePages {
            return None;
        }
        let os = policy.os_page;
        for (&base, arena) in self.0.iter().rev() {
            for (c, chunk) in arena.chunks(512).enumerate().rev() {
                let free = chunk.iter().filter(|page| page.is_free()).count();
                if 512 - free >= policy.dense_chunk {
                    continue;
                }
                let group: Vec<_> = chunk
                    .chunks(os)
                    .map(|pages| pages.len() == os && pages.iter().all(|&p| p == Page::Dirty))
                    .collect();
                let Some(top) = group.iter().rposition(|&yes| yes) else { continue };
                let mut first = top;
                while first > 0 && group[first - 1] && (top - first + 2) * os <= max {
                    first -= 1;
                }
                let page = c * 512 + first * os;
                return Some((base + page * PAGE_SIZE, (top + 1 - first) * os));
            }
        }
        None
    }

    fn count(&self, what: impl Fn(Page) -> bool) -> usize {
        self.0.values().flatten().filter(|&&page| what(page)).count()
    }
}

#[derive(Clone, Debug)]
enum Op {
    /// Pages, and where to look first.
    Alloc(usize, usize),
    Free(prop::sample::Index),
    /// Frees only a part of a run, as nothing forbids.
    FreePart(prop::sample::Index, prop::sample::Index),
    Add {
        slot: usize,
        header: usize,
        pages: usize,
    },
    RemoveEmpty,
    Scavenge {
        max: usize,
        policy: ScavengePolicy,
        succeeds: bool,
    },
}

fn policies() -> impl Strategy<Value = ScavengePolicy> {
    let scopes = prop_oneof![Just(ScavengeScope::HugePages), Just(ScavengeScope::AllPages)];
    let groups = prop::sample::select(vec![1, 1, 2, 8, 64]);
    let dense = prop::sample::select(vec![usize::MAX, 496, 256]);
    (scopes, groups, dense).prop_map(|(scope, os_page, dense_chunk)| ScavengePolicy {
        scope,
        os_page,
        dense_chunk,
    })
}

fn lengths() -> impl Strategy<Value = usize> {
    prop_oneof![6 => 1..20_usize, 3 => 1..130_usize, 2 => 130..1200_usize, 1 => 1200..8300_usize]
}

fn starts() -> impl Strategy<Value = usize> {
    prop_oneof![2 => Just(0), 2 => prop::sample::select(vec![16, 32, 48]), 1 => 0..WORD]
}

fn ops() -> impl Strategy<Value = Op> {
    let arena_pages = prop_oneof![2 => Just(ARENA_PAGES), 3 => 1..700_usize];
    prop_oneof![
        12 => (lengths(), starts()).prop_map(|(npages, from)| Op::Alloc(npages, from)),
        8 => any::<prop::sample::Index>().prop_map(Op::Free),
        4 => any::<(prop::sample::Index, prop::sample::Index)>().prop_map(|(a, b)| Op::FreePart(a, b)),
        2 => (0..6_usize, 0..20_usize, arena_pages)
            .prop_map(|(slot, header, pages)| Op::Add { slot, header, pages }),
        1 => Just(Op::RemoveEmpty),
        3 => (lengths(), policies(), prop::bool::weighted(0.8))
            .prop_map(|(max, policy, succeeds)| Op::Scavenge { max, policy, succeeds }),
    ]
}

/// The allocator, its shadow, and who holds what.
#[derive(Default)]
struct Both {
    real: PageAlloc,
    shadow: Shadow,
    runs: Vec<(usize, usize)>,
}

impl Both {
    fn step(&mut self, op: Op) -> Result<(), TestCaseError> {
        match op {
            Op::Alloc(npages, from) => {
                let run = self.real.alloc_from(npages, from);
                prop_assert_eq!(run, self.shadow.alloc_from(npages, from));
                self.runs.extend(run.map(|run| (run.base, run.npages)));
            }
            Op::Free(which) if !self.runs.is_empty() => {
                let (base, npages) = self.runs.swap_remove(which.index(self.runs.len()));
                self.free(base, npages);
            }
            Op::FreePart(which, cut) if !self.runs.is_empty() => {
                let (base, npages) = self.runs.swap_remove(which.index(self.runs.len()));
                let kept = cut.index(npages);
                if kept > 0 {
                    self.runs.push((base, kept));
                }
                self.free(base + kept * PAGE_SIZE, npages - kept);
            }
            Op::Add { slot, header, pages } => {
                let base = BASE + slot * ARENA_SIZE;
                if !self.shadow.0.contains_key(&base) {
                    let header = header.min(pages);
                    self.real.add_arena(base, header, pages);
                    let mut arena = vec![Page::Clean; pages];
                    arena[..header].fill(Page::Header);
                    self.shadow.0.insert(base, arena);
                }
            }
            Op::RemoveEmpty => {
                let empty: Vec<_> = self.real.empty_arenas().collect();
                let slow: Vec<_> = (self.shadow.0.iter())
                    .filter(|(_, arena)| !arena.contains(&Page::Used))
                    .map(|(&base, arena)| {
                        (base, arena.iter().filter(|&&page| page == Page::Dirty).count())
                    })
                    .collect();
                prop_assert_eq!(&empty, &slow);
                if let Some((base, _)) = empty.last() {
                    self.real.remove_arena(*base);
                    self.shadow.0.remove(base);
                }
            }
            Op::Scavenge { max, policy, succeeds } => {
                let expected = self.shadow.candidate(max, &policy);
                let run = self.real.take_scavenge_candidate(max, &policy);
                prop_assert_eq!(run.map(|run| (run.base, run.npages)), expected);
                if let Some(run) = run {
                    prop_assert_eq!(run, self.shadow.take(run.base, run.npages));
                    self.real.check().map_err(TestCaseError::fail)?;
                    if succeeds {
                        self.real.finish_scavenge(run);
                        self.shadow.put(run.base, run.npages, Page::Clean);
                    } else {
                        self.free(run.base, run.npages);
                    }
                }
            }
            Op::Free(_) | Op::FreePart(..) => {}
        }
        self.compare()
    }

    fn free(&mut self, base: usize, npages: usize) {
        self.real.free(base, npages);
        self.shadow.put(base, npages, Page::Dirty);
    }

    fn compare(&self) -> Result<(), TestCaseError> {
        self.real.check().map_err(TestCaseError::fail)?;
        prop_assert_eq!(self.real.free_pages(), self.shadow.count(Page::is_free));
        prop_assert_eq!(self.real.scavenged_pages(), self.shadow.count(|p| p == Page::Clean));
        prop_assert_eq!(self.real.mapped_pages(), self.shadow.count(|_| true));
        prop_assert_eq!(self.real.arenas(), self.shadow.0.len());
        let longest = (self.shadow.0.values())
            .flat_map(|arena| arena.chunk_by(|a, b| a.is_free() == b.is_free()))
            .filter(|run| run[0].is_free())
            .map(<[Page]>::len)
            .max();
        prop_assert_eq!(self.real.largest_free_run(), longest.unwrap_or(0));
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    /// Every answer equals that of a plain bitmap searched page by page.
    #[test]
    fn any_program_gives_the_answers_of_a_plain_bitmap(
        program in prop::collection::vec(ops(), 1..60),
    ) {
        let mut both = Both::default();
        both.step(Op::Add { slot: 3, header: 3, pages: 600 })?;
        for op in program {
            both.step(op)?;
        }
    }
}
