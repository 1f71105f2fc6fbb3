//! [`Entries`]: a hash table of weak entries that never does much at a time.
//!
//! It consists of segments, small hash tables. Some bits of a hash are an index of a directory,
//! which leads to a segment; a segment that is full is split in two by one more bit, and only if
//! the directory has no bit for that, the directory doubles. (Extendible hashing: Fagin,
//! Nievergelt, Pippenger and Strong, 1979.) So neither inserting nor clearing nor giving room back
//! ever moves more than a segment's entries, however many there are.
//!
//! * EN1: `directory[i]` is the segment of the entries whose hash has the bits of `i`, of which the
//!   segment's entries have the lowest `depth` in common. The directory has a power of two of
//!   places, or none.
//! * EN2: the directory is small beside the entries, also if all hashes are equal: then a
//!   segment grows instead.
//! * I5: while the table is being cleared, the entries of a segment that is not cleared stay in
//!   their buckets, and the segments in their places: one that needs more room is cleared first.
//!
//! Whoever owns the table uses it; nothing here is shared.

use std::ptr::NonNull;

use hashbrown::HashTable;

/// A hash, and an object.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    hash: u32,
    object: NonNull<u8>,
}

impl Entry {
    /// An entry.
    ///
    /// # Safety
    ///
    /// The object was handed out by a heap, with provenance over its arena. Its memory is not swept as
    /// long as it has an entry, nor is the arena unmapped then.
    pub(super) unsafe fn new(hash: u32, object: NonNull<u8>) -> Entry {
        Entry { hash, object }
    }

    /// The object.
    pub(super) fn object(&self) -> NonNull<u8> {
        self.object
    }
}

/// Entries with which a segment is split rather than grown: a table of 64 KiB is full then. In
/// builds with assertions few, so that the small tables of tests have several segments.
const SEGMENT_ENTRIES_MAX: usize = if cfg!(debug_assertions) { 14 } else { 3584 };

/// EN2: entries for each place of a directory that is to double.
const ENTRIES_PER_PLACE: usize = SEGMENT_ENTRIES_MAX / 8;

/// How far ahead the clearing looks.
const BUCKETS_AHEAD: usize = 16;

/// Spreads a 32-bit hash: a segment uses the lowest bits and the highest, the directory those from
/// the middle on.
#[inline]
fn spread(hash: u32) -> u64 {
    u64::from(hash).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

/// The bits for the directory.
#[inline]
fn directory_bits(hash: u32) -> usize {
    (spread(hash) >> 32) as usize
}

fn rehash(entry: &Entry) -> u64 {
    spread(entry.hash)
}

/// The system has refused the memory.
#[derive(Debug)]
pub(super) struct Refused;

impl From<std::collections::TryReserveError> for Refused {
    fn from(_: std::collections::TryReserveError) -> Refused {
        Refused
    }
}

impl From<hashbrown::TryReserveError> for Refused {
    fn from(_: hashbrown::TryReserveError) -> Refused {
        Refused
    }
}

#[derive(Debug, Default)]
struct Segment {
    entries: HashTable<Entry>,
    /// EN1.
    depth: u32,
}

/// Gives room back that the entries do not need, if there is memory for less room.
fn shrink(entries: &mut HashTable<Entry>) {
    if entries.len() * 4 >= entries.capacity() {
        return;
    }
    let mut smaller = HashTable::new();
    if smaller.try_reserve(entries.len() * 2, rehash).is_ok() {
        for entry in entries.drain() {
            smaller.insert_unique(rehash(&entry), entry, rehash);
        }
        *entries = smaller;
    }
}

/// How far a table is cleared.
#[derive(Debug)]
struct Clearing {
    /// Segments that are not cleared: the first ones.
    segments: usize,
    /// Buckets of the last of those that were not looked at: the first ones. None was, if this is
    /// `None`.
    buckets: Option<usize>,
}

/// What says that an object is dead, and that it will be asked for.
pub(super) trait Liveness {
    /// Whether the entry's object is dead.
    fn is_dead(&self, entry: &Entry) -> bool;
    /// One of the next questions may be about this one.
    fn prefetch(&self, entry: &Entry);
}

/// The entries of a weak table.
#[derive(Debug, Default)]
pub(super) struct Entries {
    directory: Vec<u32>,
    segments: Vec<Segment>,
    len: usize,
    clearing: Option<Clearing>,
}

impl Entries {
    /// Number of entries.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// All entries.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.segments.iter().flat_map(|segment| segment.entries.iter())
    }

    /// The segment for entries with this hash.
    #[inline]
    fn segment_of(&self, hash: u32) -> Option<usize> {
        let place = directory_bits(hash) & self.directory.len().wrapping_sub(1);
        self.directory.get(place).map(|segment| *segment as usize)
    }

    /// An entry with this hash that `is_wanted`.
    #[inline]
    pub(super) fn find(
        &self,
        hash: u32,
        mut is_wanted: impl FnMut(&Entry) -> bool,
    ) -> Option<NonNull<u8>> {
        let segment = &self.segments[self.segment_of(hash)?];
        let same = |entry: &Entry| entry.hash == hash && is_wanted(entry);
        segment.entries.find(spread(hash), same).map(|entry| entry.object)
    }

    /// Adds an entry.
    ///
    /// # Errors
    ///
    /// If the memory is refused.
    pub(super) fn try_insert(
        &mut self,
        entry: Entry,
        liveness: &impl Liveness,
    ) -> Result<(), Refused> {
        let mut at = match self.segment_of(entry.hash) {
            Some(at) => at,
            None => self.first_segment()?,
        };
        if self.is_full(at) {
            at = self.make_room(at, entry.hash, liveness)?;
        }
        self.segments[at].entries.insert_unique(spread(entry.hash), entry, rehash);
        self.len += 1;
        Ok(())
    }

    /// Whether another entry might move those that are in the segment.
    fn is_full(&self, at: usize) -> bool {
        let entries = &self.segments[at].entries;
        entries.len() == entries.capacity()
    }

    #[cold]
    fn first_segment(&mut self) -> Result<usize, Refused> {
        self.directory.try_reserve(1)?;
        self.segments.try_reserve(1)?;
        self.segments.push(Segment::default());
        self.directory.push(0);
        Ok(0)
    }

    /// Makes room for an entry with this hash, whose segment is full. Returns the segment for it.
    #[cold]
    fn make_room(
        &mut self,
        mut at: usize,
        hash: u32,
        liveness: &impl Liveness,
    ) -> Result<usize, Refused> {
        if self.clearing.as_ref().is_some_and(|clearing| at < clearing.segments) {
            self.clear_segment(at, liveness);
        }
        while self.is_full(at)
            && self.segments[at].entries.len() >= SEGMENT_ENTRIES_MAX
            && self.split(at, hash)?
        {
            at = self.segment_of(hash).expect("the directory has places");
        }
        self.segments[at].entries.try_reserve(1, rehash)?;
        Ok(at)
    }

    /// Splits a segment in two, that of this hash, unless the directory would become too large
    /// (EN2). Says whether it did.
    fn split(&mut self, at: usize, hash: u32) -> Result<bool, Refused> {
        let bit = 1 << self.segments[at].depth;
        if bit == self.directory.len() {
            if bit > self.len / ENTRIES_PER_PLACE {
                return Ok(false);
            }
            self.directory.try_reserve_exact(bit)?;
            self.directory.extend_from_within(..);
        }
        self.segments.try_reserve(1)?;
        let new = self.segments.len();
        let segment = &mut self.segments[at];
        let moves = |entry: &Entry| directory_bits(entry.hash) & bit != 0;
        let mut moved = HashTable::new();
        moved.try_reserve(segment.entries.iter().filter(|entry| moves(entry)).count(), rehash)?;
        segment.entries.retain(|entry| {
            let moves = moves(entry);
            if moves {
                moved.insert_unique(rehash(entry), *entry, rehash);
            }
            !moves
        });
        segment.depth += 1;
        shrink(&mut segment.entries);
        let depth = segment.depth;
        self.segments.push(Segment { entries: moved, depth });
        let new = u32::try_from(new).expect("a segment takes more than a byte");
        let first = directory_bits(hash) & (bit - 1) | bit;
        for place in (first..self.directory.len()).step_by(bit << 1) {
            debug_assert_eq!(self.directory[place] as usize, at, "EN1");
            self.directory[place] = new;
        }
        Ok(true)
    }

    /// Clears a segment out of turn (I5).
    fn clear_segment(&mut self, at: usize, liveness: &impl Liveness) {
        let Some(clearing) = &mut self.clearing else { return };
        let entries = &mut self.segments[at].entries;
        let before = entries.len();
        entries.retain(|entry| !liveness.is_dead(entry));
        self.len -= before - entries.len();
        if at + 1 == clearing.segments {
            clearing.buckets = Some(0);
        }
    }

    /// Whether some entries were looked at since the last clearing ended.
    pub(super) fn is_being_cleared(&self) -> bool {
        self.clearing.is_some()
    }

    /// Looks at up to `limit` buckets, and removes the entries of dead objects; begins a clearing if
    /// none is under way. Returns how many it has looked at.
    pub(super) fn clear_some(&mut self, limit: usize, liveness: &impl Liveness) -> usize {
        let count = self.segments.len();
        let clearing = self.clearing.get_or_insert(Clearing { segments: count, buckets: None });
        let mut left = limit;
        while clearing.segments > 0 && left > 0 {
            let Segment { entries, .. } = &mut self.segments[clearing.segments - 1];
            let end = clearing.buckets.unwrap_or(entries.num_buckets());
            let start = end.saturating_sub(left);
            for at in (start..end).rev() {
                let ahead = at.checked_sub(BUCKETS_AHEAD);
                if let Some(soon) = ahead.and_then(|at| entries.get_bucket(at)) {
                    liveness.prefetch(soon);
                }
                if let Ok(entry) = entries.get_bucket_entry(at)
                    && liveness.is_dead(entry.get())
                {
                    entry.remove();
                    self.len -= 1;
                }
            }
            left -= (end - start).min(left);
            clearing.buckets = Some(start);
            if start == 0 {
                shrink(entries);
                clearing.segments -= 1;
                clearing.buckets = None;
            }
        }
        if clearing.segments == 0 {
            self.clearing = None;
            if self.len == 0 {
                *self = Entries::default();
            }
        }
        limit - left
    }
}

#[cfg(all(test, not(heap_loom)))]
mod tests {
    use std::cell::RefCell;
    use std::collections::{HashMap, HashSet};

    use proptest::prelude::*;

    use super::*;

    /// The dead.
    #[derive(Default)]
    struct Dead(RefCell<HashSet<NonNull<u8>>>);

    impl Liveness for Dead {
        fn is_dead(&self, entry: &Entry) -> bool {
            self.0.borrow().contains(&entry.object)
        }

        fn prefetch(&self, _: &Entry) {}
    }

    fn object(n: usize) -> NonNull<u8> {
        NonNull::without_provenance(std::num::NonZero::new(n + 1).expect("not zero"))
    }

    fn entry(hash: u32, object: NonNull<u8>) -> Entry {
        // SAFETY: the addresses are not followed here.
        unsafe { Entry::new(hash, object) }
    }

    /// EN1, EN2, and the number of entries.
    fn check(entries: &Entries) {
        let places = entries.directory.len();
        assert!(places == 0 || places.is_power_of_two(), "EN1");
        assert!(places <= 2 || places <= 2 * (entries.len / ENTRIES_PER_PLACE).max(places / 2));
        assert_eq!(entries.iter().count(), entries.len);
        for (at, segment) in entries.segments.iter().enumerate() {
            assert!(1 << segment.depth <= places, "EN1");
            for entry in &segment.entries {
                assert_eq!(entries.segment_of(entry.hash), Some(at), "EN1");
            }
        }
    }

    #[derive(Clone, Debug)]
    enum Step {
        Insert(u32),
        Find(usize),
        /// Kills some, and clears the table after that.
        Kill(Vec<usize>),
        /// So many buckets.
        Clear(usize),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let hash = prop_oneof![0..4_u32, any::<u32>(), any::<u32>().prop_map(|n| n << 24)];
        let step = prop_oneof![
            20 => hash.prop_map(Step::Insert),
            3 => any::<usize>().prop_map(Step::Find),
            1 => prop::collection::vec(any::<usize>(), 0..200).prop_map(Step::Kill),
            4 => (1..40_usize).prop_map(Step::Clear),
        ];
        prop::collection::vec(step, 0..1200)
    }

    proptest! {
        /// What is alive is found; what is dead is gone after a clearing, and nothing else is.
        #[test]
        fn entries_live_as_long_as_their_objects(steps in steps()) {
            let (mut entries, dead) = (Entries::default(), Dead::default());
            let mut alive = HashMap::new();
            let mut all: Vec<(u32, NonNull<u8>)> = Vec::new();
            for step in steps {
                match step {
                    Step::Insert(hash) => {
                        let object = object(all.len());
                        all.push((hash, object));
                        alive.insert(object, hash);
                        entries.try_insert(entry(hash, object), &dead).expect("memory");
                        prop_assert!(entries.find(hash, |found| found.object == object).is_some());
                    }
                    Step::Find(n) if !all.is_empty() => {
                        let (hash, object) = all[n % all.len()];
                        let found = entries.find(hash, |found| found.object == object).is_some();
                        prop_assert!(found || !alive.contains_key(&object), "a live entry is lost");
                    }
                    Step::Kill(which) if !entries.is_being_cleared() && !all.is_empty() => {
                        for n in which {
                            let (_, object) = all[n % all.len()];
                            alive.remove(&object);
                            dead.0.borrow_mut().insert(object);
                        }
                        entries.clear_some(1, &dead);
                    }
                    Step::Clear(buckets) if entries.is_being_cleared() => {
                        prop_assert!(entries.clear_some(buckets, &dead) <= buckets);
                        if !entries.is_being_cleared() {
                            prop_assert_eq!(entries.len(), alive.len());
                        }
                    }
                    _ => {}
                }
            }
            while entries.is_being_cleared() {
                entries.clear_some(1, &dead);
            }
            check(&entries);
            for (object, hash) in &alive {
                prop_assert!(entries.find(*hash, |found| found.object == *object).is_some());
            }
        }
    }

    #[test]
    fn equal_hashes_make_one_segment_grow() {
        let (mut entries, dead) = (Entries::default(), Dead::default());
        for n in 0..20 * SEGMENT_ENTRIES_MAX {
            entries.try_insert(entry(7, object(n)), &dead).expect("memory");
        }
        check(&entries);
        assert!(entries.directory.len() <= 20 * SEGMENT_ENTRIES_MAX / ENTRIES_PER_PLACE * 2);
        let last = object(20 * SEGMENT_ENTRIES_MAX - 1);
        assert_eq!(entries.find(7, |found| found.object == last), Some(last));
    }

    #[test]
    fn an_empty_table_has_no_memory() {
        let (mut entries, dead) = (Entries::default(), Dead::default());
        for n in 0..10_000_u32 {
            let object = object(n as usize);
            entries.try_insert(entry(n, object), &dead).expect("memory");
            dead.0.borrow_mut().insert(object);
        }
        check(&entries);
        assert!(entries.segments.len() > 2);
        entries.clear_some(usize::MAX, &dead);
        assert_eq!(
            (entries.len(), entries.segments.capacity(), entries.directory.capacity()),
            (0, 0, 0)
        );
    }
}
