//! Allocation sampling: where the objects were allocated that the memory is used for. (Go:
//! `mprof.go`.)
//!
//! Which objects are sampled is the memory layer's business ([`heap_core::sampling`]). Here is what
//! is known of them: a *record* for each sampled object that is not known to be dead, and a *site*
//! for each combination of a stack trace, a kind and a slot size, with the counts of its samples.
//! The program's own language is not known here: a hook of the embedder's yields the stack.
//!
//! A sampled object has nothing that says so, and costs as little as any other. After marking, the
//! collector looks at the mark bytes of the objects that have records, in slices if marking was
//! done in slices: what is white is dead, and counts as freed; the rest counts as live.
//!
//! * SM1: between two collections each record names the slot of an object that was allocated and was
//!   not found dead; kind and size of the slot are those of the record's site, and no two records
//!   name the same slot. If everything is sampled, and no sample was lost, every such slot has one.
//! * SM2: live figures are those of the collection that was completed last, of all sites the same:
//!   the search after marking counts them in fields of their own, and ends in the stop in which the
//!   collection is complete.
//!
//! The lock is taken for each sample, by mutators inside; for a part of a search, by the collector
//! with the world stopped; and by threads that ask for a profile. Nothing else is locked under it.

use std::num::NonZero;
use std::ptr::NonNull;

use hashbrown::HashTable;
use heap_core::kind::ObjectKind;
use heap_core::location::Location;
use heap_core::mark_byte::prefetch_mark;
use heap_core::sampling::Sampler;
use heap_core::shrink::shrink_to;
use heap_sync::atomic::{AtomicU64, Ordering};
use heap_sync::lock::Mutex;

pub use self::frames::Frames;
use self::interner::{Interner, hash_of};
use crate::gate::WorldStopped;

mod frames;
mod interner;

/// Records that are looked at between two looks at the clock: some ten microseconds. In builds with
/// assertions few.
const RECORDS_SEARCHED: usize = if cfg!(debug_assertions) { 2 } else { 1024 };

/// How far ahead the search looks.
const RECORDS_AHEAD: usize = 16;

/// What is known of the sampled objects of a heap that samples.
#[derive(Debug)]
pub(crate) struct Sampling {
    sample_bytes: NonZero<usize>,
    seed: u64,
    /// Samplers that were made.
    samplers: AtomicU64,
    samples: Mutex<Samples>,
}

/// A site as [`HeapState::each_sampled_site`](crate::HeapState::each_sampled_site) shows it.
#[derive(Debug)]
pub struct SampledSite<'a> {
    /// The name of the kind: that of the type, or `noscan` or `tiny` for types without handles and
    /// destructors.
    pub kind: &'static str,
    /// Bytes of the slot of each object.
    pub slot_bytes: usize,
    /// Samples since the heap was made.
    pub allocated_samples: u64,
    /// Those of them that the last completed collection has found alive.
    pub live_samples: u64,
    stack: &'a [Frame],
    strings: &'a Interner<u8>,
}

/// A frame of the stack that a hook has yielded.
#[derive(Clone, Copy, Debug)]
pub struct SampledFrame<'a> {
    /// The name of the function.
    pub function: &'a str,
    /// The file it is in; may be empty.
    pub file: &'a str,
    /// The line in that file; 0 if there is none.
    pub line: u32,
    /// The line on which the function begins; 0 if it is not known.
    pub first_line: u32,
}

impl SampledSite<'_> {
    /// The stack, the innermost frame first.
    pub fn frames(&self) -> impl Iterator<Item = SampledFrame<'_>> {
        let text = |id| std::str::from_utf8(self.strings.get(id)).expect("it was a string");
        self.stack.iter().map(move |frame| SampledFrame {
            function: text(frame.function),
            file: text(frame.file),
            line: frame.line,
            first_line: frame.first_line,
        })
    }
}

/// What a heap has sampled, as a whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SampleTotals {
    /// The mean number of bytes between two sample points.
    pub sample_bytes: usize,
    /// Samples for whose records the system had no memory.
    pub lost_samples: u64,
}

/// A frame whose strings are interned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Frame {
    function: u32,
    file: u32,
    line: u32,
    first_line: u32,
}

/// What the samples of a site have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct SiteKey {
    stack: u32,
    /// Address of the kind.
    kind: usize,
    slot_bytes: usize,
}

/// Live samples as a search counts them.
#[derive(Clone, Copy, Debug, Default)]
struct LiveCount {
    /// The search that has counted: of another one nothing was counted.
    search: u64,
    samples: u64,
}

#[derive(Debug)]
struct Site {
    key: SiteKey,
    kind: &'static ObjectKind,
    allocated: u64,
    /// Of this search and the one before, by the parity of their numbers (SM2).
    live: [LiveCount; 2],
}

/// A sampled object that is not known to be dead.
#[derive(Clone, Copy, Debug)]
struct Record {
    slot: NonNull<u8>,
    site: u32,
    /// The search of the collection that was under way when the object was allocated, which it
    /// outlives (M4) whether it is marked by then or not; its lowest bits. 0 if none was.
    black_in: u32,
}

#[derive(Debug, Default)]
struct Samples {
    strings: Interner<u8>,
    stacks: Interner<Frame>,
    sites: Vec<Site>,
    by_key: HashTable<u32>,
    records: Vec<Record>,
    lost: u64,
    /// The number of the search that is under way, or the next.
    search: u64,
    /// Records that were looked at in this search: the first ones.
    searched: usize,
}

// SAFETY: addresses of objects, which any thread may have that has the lock.
unsafe impl Send for Samples {}

impl Sampling {
    /// A heap that samples with these gaps.
    pub(crate) fn new(sample_bytes: NonZero<usize>, seed: u64) -> Sampling {
        // Searches count from 1, so that no count of a new site is one of a search (SM2).
        let samples = Mutex::new(Samples { search: 1, ..Samples::default() });
        Sampling { sample_bytes, seed, samplers: AtomicU64::new(0), samples }
    }

    /// The sampler of another mutator. In programs that make their mutators in the same order it is
    /// the same.
    pub(crate) fn sampler(&self) -> Sampler {
        // ORDERING: Relaxed: only the numbers matter.
        let number = self.samplers.fetch_add(1, Ordering::Relaxed);
        Sampler::new(self.sample_bytes, self.seed.wrapping_add(number))
    }

    /// Records a sampled object. If there is no memory for that it is counted as lost.
    ///
    /// # Safety
    ///
    /// A collection is under way exactly if it `is_black`. `slot` is the start of a slot of this heap, of this kind and size, which was allocated just
    /// now, has no record, and is not swept before this mutator comes to a safepoint.
    pub(crate) unsafe fn record(
        &self,
        slot: NonNull<u8>,
        kind: &'static ObjectKind,
        slot_bytes: usize,
        frames: &Frames,
        is_black: bool,
    ) {
        let samples = &mut *self.samples.lock();
        if samples.try_record(slot, kind, slot_bytes, frames, is_black).is_none() {
            samples.lost += 1;
        }
    }

    /// A part of the search for the dead, after marking: looks at some records. Says whether it has
    /// seen all, and published the live figures. The unit that is not divided is a number of records.
    ///
    /// # Safety
    ///
    /// The world of this heap is stopped. What can be reached is marked, but what was allocated
    /// meanwhile, and nothing was swept since. When this has returned `true` the collection is
    /// complete before mutators run.
    pub(crate) unsafe fn search_some(&self, _world: &WorldStopped<'_>) -> bool {
        // SAFETY: forwarded from the caller.
        unsafe { self.samples.lock().search_some(RECORDS_SEARCHED) }
    }

    /// Bytes that the records and sites take.
    pub(crate) fn metadata_bytes(&self) -> usize {
        let samples = self.samples.lock();
        samples.strings.bytes()
            + samples.stacks.bytes()
            + samples.sites.capacity() * size_of::<Site>()
            + samples.by_key.allocation_size()
            + samples.records.capacity() * size_of::<Record>()
    }

    /// Calls `visit` with the slot of each record, the kind and the bytes, for the verifier. Says
    /// whether every slot has to have a record.
    pub(crate) fn each_record(
        &self,
        _world: &WorldStopped<'_>,
        mut visit: impl FnMut(NonNull<u8>, &'static ObjectKind, usize),
    ) -> bool {
        let samples = self.samples.lock();
        for record in &samples.records {
            let site = &samples.sites[record.site as usize];
            visit(record.slot, site.kind, site.key.slot_bytes);
        }
        self.sample_bytes.get() == 1 && samples.lost == 0
    }

    /// Drops the record of a slot, for the verifier's own test.
    #[cfg(all(test, not(heap_loom), not(heap_asan)))]
    pub(crate) fn forget_for_test(&self, slot: NonNull<u8>) {
        self.samples.lock().records.retain(|record| record.slot != slot);
    }

    /// Calls `visit` with each site.
    pub(crate) fn each_site(&self, mut visit: impl FnMut(&SampledSite<'_>)) -> SampleTotals {
        let samples = self.samples.lock();
        for site in &samples.sites {
            visit(&SampledSite {
                kind: site.kind.name(),
                slot_bytes: site.key.slot_bytes,
                allocated_samples: site.allocated,
                live_samples: site.live_in(samples.search - 1),
                stack: samples.stacks.get(site.key.stack),
                strings: &samples.strings,
            });
        }
        SampleTotals { sample_bytes: self.sample_bytes.get(), lost_samples: samples.lost }
    }
}

impl Site {
    /// Live samples as this search has counted them.
    fn live_in(&self, search: u64) -> u64 {
        let count = self.live[search as usize % 2];
        if count.search == search { count.samples } else { 0 }
    }

    /// Counts a live sample.
    fn count_live(&mut self, search: u64) {
        let count = &mut self.live[search as usize % 2];
        if count.search != search {
            *count = LiveCount { search, samples: 0 };
        }
        count.samples += 1;
    }
}

impl Samples {
    /// Adds a record. `None` if there is no memory: then nothing has changed that anybody counts.
    fn try_record(
        &mut self,
        slot: NonNull<u8>,
        kind: &'static ObjectKind,
        slot_bytes: usize,
        frames: &Frames,
        is_black: bool,
    ) -> Option<()> {
        self.records.try_reserve(1).ok()?;
        let strings = &mut self.strings;
        let stack = frames.intern(|text| strings.try_intern(text.as_bytes()))?;
        let stack = self.stacks.try_intern(&stack)?;
        let site = self.site(SiteKey { stack, kind: kind.address(), slot_bytes }, kind)?;
        self.sites[site as usize].allocated += 1;
        let black_in = if is_black { self.search as u32 } else { 0 };
        self.records.push(Record { slot, site, black_in });
        Some(())
    }

    /// The site with this key.
    fn site(&mut self, key: SiteKey, kind: &'static ObjectKind) -> Option<u32> {
        let Samples { sites, by_key, .. } = self;
        let hash = hash_of(&key);
        if let Some(site) = by_key.find(hash, |site| sites[*site as usize].key == key) {
            return Some(*site);
        }
        let new = u32::try_from(sites.len()).ok()?;
        sites.try_reserve(1).ok()?;
        by_key.try_reserve(1, |site| hash_of(&sites[*site as usize].key)).ok()?;
        sites.push(Site { key, kind, allocated: 0, live: [LiveCount::default(); 2] });
        by_key.insert_unique(hash, new, |site| hash_of(&sites[*site as usize].key));
        Some(new)
    }

    /// See [`Sampling::search_some`].
    ///
    /// # Safety
    ///
    /// As [`Sampling::search_some`].
    unsafe fn search_some(&mut self, limit: usize) -> bool {
        let Samples { records, sites, search, searched, .. } = self;
        for _ in 0..limit {
            let Some(record) = records.get(*searched) else { break };
            if let Some(soon) = records.get(*searched + RECORDS_AHEAD) {
                prefetch_mark(soon.slot);
            }
            // SAFETY: SM1: an object of this heap that was not swept, by the contract.
            let is_white = unsafe { Location::of(record.slot) }.mark().is_white();
            if is_white && record.black_in != *search as u32 {
                records.swap_remove(*searched);
            } else {
                sites[record.site as usize].count_live(*search);
                *searched += 1;
            }
        }
        if *searched < records.len() {
            return false;
        }
        *searched = 0;
        *search += 1;
        if records.capacity() > 64 && records.len() * 4 < records.capacity() {
            let room = records.len() * 2;
            shrink_to(records, room);
        }
        true
    }
}
