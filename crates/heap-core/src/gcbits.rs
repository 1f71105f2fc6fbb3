//! [`GcBits`]: the memory of per-slot bitmaps, recycled by generation.
//!
//! Sweeping a span writes a new bitmap and abandons the old one. Bitmaps are
//! bump-allocated from chunks, and a whole chunk is recycled when every bitmap
//! in it must be dead: once all spans are swept, nothing points at bitmaps
//! made before the previous cycle. (Go: `gcBitsArenas` in `mheap.go`.)
//!
//! Every partition has its own ([`PartitionBits`]): a mutator that sweeps for room writes to
//! memory that it also wrote three cycles ago.
//!
//! * GB1: `next` holds bitmaps written by the sweep in progress, `current` those
//!   of the last completed sweep; `previous` is kept one cycle more, for late
//!   readers; then it is `free`. No span in use has a bitmap in `free`, and no two
//!   share one.
//! * GB2: `rotate` is legal only when every span is swept and the world stopped.
//! * GB3: each list of chunks has room for all of them, so that they move from list to list without
//!   memory: a collection that rotates them could tell nobody that it was refused.

use core::ptr::NonNull;
use std::alloc::Layout;

use crossbeam_utils::CachePadded;
use heap_sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Ordering};
use heap_sync::lock::Mutex;

use crate::partition::{PARTITIONS_MAX, Partition};

/// Words of a chunk (64 KiB with the header).
const CHUNK_WORDS: usize = 8192 - 1;

#[repr(C)]
struct Chunk {
    used_words: AtomicUsize,
    words: [AtomicU64; CHUNK_WORDS],
}

/// A bitmap with one bit per slot of a span.
///
/// Plain data: the owner of the span may read and write it. So only this crate reads one: it
/// does not keep alive the chunk that its words are in.
#[derive(Clone, Copy, Debug)]
pub struct Bitmap {
    words: NonNull<AtomicU64>,
    len: usize,
}

impl Bitmap {
    /// Word `i`.
    #[inline(always)]
    #[must_use]
    pub(crate) fn word(&self, i: usize) -> u64 {
        assert!(i < self.len);
        // SAFETY: `i` is in bounds; the chunk is there as long as a span has the
        // bitmap (GB1).
        // ORDERING: Relaxed; G2 orders the span's bits.
        unsafe { self.words.add(i).as_ref() }.load(Ordering::Relaxed)
    }

    /// Overwrites word `i`.
    #[inline(always)]
    pub(crate) fn set_word(&self, i: usize, bits: u64) {
        assert!(i < self.len);
        // SAFETY: as `word`.
        // ORDERING: as `word`.
        unsafe { self.words.add(i).as_ref() }.store(bits, Ordering::Relaxed);
    }

    /// Words of the bitmap.
    #[inline(always)]
    #[must_use]
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// First and one-past-last address of the words.
    #[must_use]
    pub fn range(&self) -> (usize, usize) {
        let first = self.words.addr().get();
        (first, first + self.len * size_of::<AtomicU64>())
    }

    /// Bit `i`.
    #[inline(always)]
    #[must_use]
    pub(crate) fn get(&self, i: usize) -> bool {
        self.word(i / 64) >> (i % 64) & 1 != 0
    }
}

/// Neighbouring bitmaps of the same length; an iterator.
#[derive(Debug)]
pub(crate) struct Bitmaps {
    words: NonNull<AtomicU64>,
    len: usize,
    left: usize,
}

impl Iterator for Bitmaps {
    type Item = Bitmap;

    #[inline]
    fn next(&mut self) -> Option<Bitmap> {
        self.left = self.left.checked_sub(1)?;
        let words = self.words;
        // SAFETY: there were `len * left` words here, so the sum is one past the
        // last of them at most.
        self.words = unsafe { words.add(self.len) };
        Some(Bitmap { words, len: self.len })
    }
}

#[derive(Debug, Default)]
struct Generations {
    current: Vec<NonNull<Chunk>>,
    previous: Vec<NonNull<Chunk>>,
    free: Vec<NonNull<Chunk>>,
    next: Vec<NonNull<Chunk>>,
    total: usize,
}

impl Generations {
    /// Makes room for one more chunk (GB3). `None` if the system refuses the memory.
    fn make_room(&mut self) -> Option<()> {
        let Generations { current, previous, free, next, total } = self;
        for list in [current, previous, free, next] {
            list.try_reserve(*total + 1 - list.len()).ok()?;
        }
        Some(())
    }
}

/// The bitmaps of one partition.
#[derive(Debug)]
pub struct GcBits {
    /// The chunk of `next` that is being filled.
    filling: AtomicPtr<Chunk>,
    generations: Mutex<Generations>,
    /// A sweep had no memory for a bitmap, so some span keeps an older one.
    bitmap_alloc_failed: AtomicBool,
}

// SAFETY: chunks are only reached through atomics or under the lock.
unsafe impl Send for GcBits {}
// SAFETY: as above.
unsafe impl Sync for GcBits {}

impl Default for GcBits {
    fn default() -> Self {
        GcBits {
            filling: AtomicPtr::new(core::ptr::null_mut()),
            generations: Mutex::new(Generations::default()),
            bitmap_alloc_failed: AtomicBool::new(false),
        }
    }
}

impl GcBits {
    /// Room for `slots` bits in `next`. The words are not cleared: the sweep
    /// writes every one of them. `None` when the system has no memory.
    pub fn alloc(&self, slots: usize) -> Option<Bitmap> {
        self.alloc_many(slots, 1).next()
    }

    /// Room for `count` bitmaps of `slots` bits each, at about the cost of one.
    /// Yields all of them, or none when the system has no memory.
    ///
    /// # Panics
    ///
    /// If that many bitmaps do not fit in a chunk.
    pub(crate) fn alloc_many(&self, slots: usize, count: usize) -> Bitmaps {
        let len = slots.div_ceil(64).max(1);
        assert!(len.saturating_mul(count) <= CHUNK_WORDS, "bitmaps larger than a chunk");
        match self.alloc_words(len * count) {
            Some(words) => Bitmaps { words, len, left: count },
            None => Bitmaps { words: NonNull::dangling(), len, left: 0 },
        }
    }

    fn alloc_words(&self, len: usize) -> Option<NonNull<AtomicU64>> {
        loop {
            // ORDERING: Acquire pairs with the Release in `add_chunk`.
            let filling = self.filling.load(Ordering::Acquire);
            if let Some(chunk) = NonNull::new(filling)
                // SAFETY: the chunk that is being filled, loaded just now.
                && let Some(words) = unsafe { Self::bump(chunk, len) }
            {
                return Some(words);
            }
            if self.add_chunk(filling).is_none() {
                // ORDERING: Relaxed: `rotate` runs when all sweepers are at rest (GB2), and a
                // reader of `bitmap_alloc_failed` while they are not may see an older value.
                self.bitmap_alloc_failed.store(true, Ordering::Relaxed);
                return None;
            }
        }
    }

    /// Takes words of a chunk, if it has that many left.
    ///
    /// # Safety
    ///
    /// The chunk was being filled in this generation (GB2).
    unsafe fn bump(chunk: NonNull<Chunk>, len: usize) -> Option<NonNull<AtomicU64>> {
        // SAFETY: the chunk was being filled, so it is in `next` until `rotate`, which
        // waits for sweepers (GB2); only chunks in `free` are freed.
        let used = unsafe { &(*chunk.as_ptr()).used_words };
        // ORDERING: Relaxed: the add only divides the chunk among sweepers.
        let start = used.fetch_add(len, Ordering::Relaxed);
        if start + len > CHUNK_WORDS {
            return None;
        }
        // SAFETY: `start + len` words are within the chunk, and the add gave
        // them to us alone. The pointer is derived from the whole chunk.
        NonNull::new(unsafe { (&raw mut (*chunk.as_ptr()).words).cast::<AtomicU64>().add(start) })
    }

    #[cold]
    fn add_chunk(&self, full: *mut Chunk) -> Option<()> {
        let mut generations = self.generations.lock();
        // ORDERING: Relaxed: `filling` changes only under the lock.
        if self.filling.load(Ordering::Relaxed) != full {
            return Some(());
        }
        generations.make_room()?;
        let chunk = match generations.free.pop() {
            Some(chunk) => chunk,
            None => {
                // SAFETY: the layout is not empty; zeroed memory is a valid
                // `Chunk`: all integers.
                let chunk =
                    NonNull::new(unsafe { std::alloc::alloc_zeroed(Layout::new::<Chunk>()) })?
                        .cast::<Chunk>();
                generations.total += 1;
                chunk
            }
        };
        // SAFETY: the chunk is in no other list.
        // ORDERING: Relaxed: published by the store below.
        unsafe { (*chunk.as_ptr()).used_words.store(0, Ordering::Relaxed) };
        generations.next.push(chunk);
        // ORDERING: Release pairs with the Acquire in `alloc_words`.
        self.filling.store(chunk.as_ptr(), Ordering::Release);
        Some(())
    }

    /// Starts a new generation (GB1).
    ///
    /// # Safety
    ///
    /// GB2. `bitmap_alloc_failed`: whether some span of the heap keeps an older bitmap.
    unsafe fn rotate(&self, bitmap_alloc_failed: bool) {
        let mut generations = self.generations.lock();
        let generations = &mut *generations;
        // A span whose sweep found no memory keeps its old bitmap for another
        // cycle, so nothing is recycled in this one (GB1).
        // ORDERING: Relaxed: nobody sweeps (GB2).
        self.bitmap_alloc_failed.store(false, Ordering::Relaxed);
        if !bitmap_alloc_failed {
            generations.free.append(&mut generations.previous);
        }
        // GB3: there is room.
        generations.previous.append(&mut generations.current);
        core::mem::swap(&mut generations.current, &mut generations.next);
        // ORDERING: Relaxed: nobody sweeps (GB2).
        self.filling.store(core::ptr::null_mut(), Ordering::Relaxed);
    }

    /// Whether a sweep of this cycle had no memory for a bitmap, and so has freed
    /// nothing of its span.
    fn bitmap_alloc_failed(&self) -> bool {
        // ORDERING: Relaxed: see `alloc_words`.
        self.bitmap_alloc_failed.load(Ordering::Relaxed)
    }

    /// Returns the chunks that hold no bitmaps to the allocator. Returns their
    /// bytes.
    pub(crate) fn release_free(&self) -> usize {
        let mut released = 0;
        while let Some(chunk) = self.take_free() {
            // SAFETY: allocated in `add_chunk` with this layout; a free chunk holds
            // no bitmap that is reachable (GB1), and it has left the list.
            unsafe { std::alloc::dealloc(chunk.as_ptr().cast(), Layout::new::<Chunk>()) };
            released += size_of::<Chunk>();
        }
        released
    }

    /// Takes a chunk out that holds no bitmaps.
    fn take_free(&self) -> Option<NonNull<Chunk>> {
        let mut generations = self.generations.lock();
        let chunk = generations.free.pop()?;
        generations.total -= 1;
        Some(chunk)
    }

    /// The memory of bitmaps that may be in use (GB1): the words that were handed out of
    /// each chunk, as first and one-past-last address, sorted. For the verifier.
    #[must_use]
    pub(crate) fn in_use(&self) -> Vec<(usize, usize)> {
        let generations = self.generations.lock();
        let lists = [&generations.next, &generations.current, &generations.previous];
        let mut ranges: Vec<_> = lists
            .into_iter()
            .flatten()
            .map(|chunk| {
                // SAFETY: a chunk in a list is allocated.
                // ORDERING: Relaxed: the verifier has waited for the sweepers.
                let used = unsafe { &(*chunk.as_ptr()).used_words }.load(Ordering::Relaxed);
                let first = chunk.addr().get() + core::mem::offset_of!(Chunk, words);
                (first, first + used.min(CHUNK_WORDS) * size_of::<AtomicU64>())
            })
            .collect();
        ranges.sort_unstable();
        ranges
    }

    /// Bytes taken for bitmaps, in use or free.
    #[must_use]
    pub(crate) fn bytes(&self) -> usize {
        self.generations.lock().total * size_of::<Chunk>()
    }
}

impl Drop for GcBits {
    fn drop(&mut self) {
        let generations = core::mem::take(&mut *self.generations.lock());
        let lists = [generations.current, generations.previous, generations.free, generations.next];
        for chunk in lists.into_iter().flatten() {
            // SAFETY: allocated in `add_chunk` with this layout; each chunk is
            // in exactly one list.
            unsafe { std::alloc::dealloc(chunk.as_ptr().cast(), Layout::new::<Chunk>()) };
        }
    }
}

/// The bitmaps of a heap.
#[derive(Debug, Default)]
pub struct PartitionBits([CachePadded<GcBits>; PARTITIONS_MAX]);

impl PartitionBits {
    /// Those of one partition.
    #[must_use]
    pub fn at(&self, partition: Partition) -> &GcBits {
        &self.0[partition.index()]
    }

    fn all(&self) -> impl Iterator<Item = &GcBits> {
        self.0.iter().map(|bits| &**bits)
    }

    /// Starts a new generation (GB1).
    ///
    /// # Safety
    ///
    /// Every span is swept, and no thread takes a bitmap during the call (GB2).
    pub unsafe fn rotate(&self) {
        // A span whose sweep had no memory for a bitmap in one partition may have its old one
        // in another.
        let bitmap_alloc_failed = self.bitmap_alloc_failed();
        // SAFETY: forwarded from the caller; a span keeps an older bitmap if one of the partitions
        // had no memory for its new one.
        self.all().for_each(|bits| unsafe { bits.rotate(bitmap_alloc_failed) });
    }

    /// Whether a sweep of this cycle had no memory for a bitmap, and so has freed
    /// nothing of its span.
    #[must_use]
    pub fn bitmap_alloc_failed(&self) -> bool {
        self.all().any(GcBits::bitmap_alloc_failed)
    }

    /// See [`GcBits::release_free`].
    pub fn release_free(&self) -> usize {
        self.all().map(GcBits::release_free).sum()
    }

    /// See [`GcBits::in_use`].
    #[must_use]
    pub fn in_use(&self) -> Vec<(usize, usize)> {
        let mut ranges: Vec<_> = self.all().flat_map(GcBits::in_use).collect();
        ranges.sort_unstable();
        ranges
    }

    /// See [`GcBits::bytes`].
    #[must_use]
    pub(crate) fn bytes(&self) -> usize {
        self.all().map(GcBits::bytes).sum()
    }
}
