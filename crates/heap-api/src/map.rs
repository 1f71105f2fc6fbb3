//! [`GcMap`]: a hash map in the heap that keeps the order of insertion.
//!
//! The entries are in a [`Buffer`], in the order in which they were inserted; a second one, the
//! table, finds their indices by hash (open addressing, linear probing), if they are more than a
//! few. (CPython: the compact `dict`.) A removed entry stays in its place, dead, and so does its
//! place in the table. When the entries fill their memory, those that are alive are copied to
//! other memory, and a new table is made.
//!
//! The keys' `Hash` and `Eq` are code of the program's, which may panic, or change this very
//! map, or both; so may what the program gives the heap to get memory from. All of it is called
//! before a change is begun, and buffers that the map has left can be read until the next
//! safepoint (VB1).
//!
//! * HM1: an entry whose `hash` is 0 is dead: its key and value are neither read nor traced.
//! * HM2: `version` changes whenever an entry comes, dies or moves. What was looked up before
//!   user code ran counts only if the version is what it was.
//! * HM3: the table has a power of two of places, more than the entries have room for; each
//!   place is 0, or the index of an entry of this map's buffer plus one; and each entry, dead or
//!   alive, has one place. So a probe ends.

use core::borrow::Borrow;
use core::cell::Cell;
use core::fmt;
use core::hash::{BuildHasher, Hash};
use core::ptr::NonNull;
use std::collections::hash_map::RandomState;

use crate::alloc::out_of_memory;
use crate::buffer::Buffer;
use crate::cx::Cx;
use crate::error::{AllocError, OutOfMemory};
use crate::trace::{Trace, Tracer};
use crate::vec::or_panic;

/// Entries that are searched one by one, without a table.
const FEW: usize = 8;

/// A hash map in the heap that keeps the order of insertion: the dictionary or object type of a
/// language.
///
/// Two words and a hasher: a field of a heap object, or an object of its own. Entries and table are
/// heap objects too, so they are counted, limited and collected like everything else. The write
/// barrier is inside. A new map has no memory. Keys and values are `Copy` and come and go by
/// value, as in a [`GcVec`](crate::GcVec).
///
/// **Order.** Entries are met in the order in which their keys were first inserted, as many
/// languages demand (Python, JavaScript, Ruby, PHP). Each has an index, under which
/// [`entry_at`](GcMap::entry_at) finds it: a program iterates by index, and may
/// change the map meanwhile, and come to safepoints. Only an insertion that finds the memory full gives
/// entries other indices, and only if some were removed: [`numbering`](GcMap::numbering) tells.
///
/// **Keys** are found by their `Hash` and `Eq`: a `Gc<str>` by content (and by a `&str`), a
/// [`ByAddress`](crate::ByAddress) by identity. Languages that have the hash at hand, or whose
/// equality is not `Eq`, use [`index_of_hashed`](GcMap::index_of_hashed) and
/// [`insert_hashed`](GcMap::insert_hashed), for which the hasher may be `()`. A set is a map to
/// `()`.
///
/// A key's `Eq` that changes the map makes the function that called it panic.
///
/// ```
/// use heap_api::{Config, Gc, GcMap, Heap};
///
/// let heap = Heap::new(Config::new());
/// let mut cx = heap.enter();
/// let ages = {
///     let ages = cx.alloc(GcMap::<Gc<'_, str>, u32>::new());
///     ages.insert(&cx, cx.alloc_str("grace"), 85);
///     ages.insert(&cx, cx.alloc_str("ada"), 36);
///     ages.insert(&cx, cx.alloc_str("alan"), 41);
///     ages.remove(&cx, "ada");
///     cx.root(ages)
/// };
/// cx.collect();
/// let ages = ages.get(&cx);
/// assert_eq!(ages.get("alan"), Some(41));
/// let names: Vec<String> = ages.iter().map(|(name, _)| name.to_string()).collect();
/// assert_eq!(names, ["grace", "alan"]);
/// ```
pub struct GcMap<'gc, K, V, S = RandomState> {
    entries: Cell<Option<Buffer<'gc, Entry<K, V>>>>,
    /// `None` if the entries have room for a few only.
    table: Cell<Option<Buffer<'gc, u32>>>,
    live: Cell<usize>,
    version: Cell<u64>,
    numbering: Cell<u64>,
    hasher: S,
}

struct Entry<K, V> {
    /// Odd, or 0 (HM1).
    hash: u32,
    key: K,
    value: V,
}

impl<K: Copy, V: Copy> Clone for Entry<K, V> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<K: Copy, V: Copy> Copy for Entry<K, V> {}

// SAFETY: reports what key and value report, unless the entry is dead, when they are not read
// (HM1); `At` replaces their regions; no drop glue but theirs.
unsafe impl<K: Trace, V: Trace> Trace for Entry<K, V> {
    type At<'a> = Entry<K::At<'a>, V::At<'a>>;
    const NEEDS_TRACE: bool = K::NEEDS_TRACE || V::NEEDS_TRACE;
    #[inline(always)]
    fn trace(&self, tracer: &mut Tracer) {
        if Self::NEEDS_TRACE && self.hash != 0 {
            self.key.trace(tracer);
            self.value.trace(tracer);
        }
    }
}

/// The hash of an entry that is alive: 31 bits of the key's, mixed, and a one.
#[inline(always)]
fn live_hash(hash: u64) -> u32 {
    // Fibonacci hashing: hashes that differ in some bits only end up in different places.
    let mixed = (hash ^ (hash >> 32)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (mixed >> 32) as u32 | 1
}

/// Where a probe begins in a table of `places` places, a power of two.
#[inline(always)]
fn first_place(hash: u32, places: usize) -> usize {
    ((u64::from(hash) * places as u64) >> 32) as usize
}

impl<K, V> GcMap<'_, K, V> {
    /// An empty map without memory, whose hasher is seeded at random.
    #[must_use]
    pub fn new() -> Self {
        GcMap::with_hasher(RandomState::new())
    }
}

impl<'gc, K, V> GcMap<'gc, K, V>
where
    K: Trace<At<'gc> = K> + Copy + Hash + Eq,
    V: Trace<At<'gc> = V> + Copy,
{
    /// An empty map with memory for `capacity` entries, whose hasher is seeded at random.
    ///
    /// # Panics
    ///
    /// If the heap's limit or the system refuses the memory.
    #[must_use]
    #[track_caller]
    pub fn with_capacity(cx: &'gc Cx, capacity: usize) -> Self {
        or_panic(Self::try_with_capacity(cx, capacity))
    }

    /// An empty map with memory for `capacity` entries, whose hasher is seeded at random.
    ///
    /// # Errors
    ///
    /// If the heap's limit or the system refuses the memory.
    pub fn try_with_capacity(cx: &'gc Cx, capacity: usize) -> Result<Self, OutOfMemory> {
        Self::try_with_capacity_and_hasher(cx, capacity, RandomState::new())
    }
}

impl<K, V, S> GcMap<'_, K, V, S> {
    /// An empty map without memory.
    #[must_use]
    pub const fn with_hasher(hasher: S) -> Self {
        GcMap {
            entries: Cell::new(None),
            table: Cell::new(None),
            live: Cell::new(0),
            version: Cell::new(0),
            numbering: Cell::new(0),
            hasher,
        }
    }

    /// The number of entries.
    #[inline(always)]
    #[must_use]
    pub fn len(&self) -> usize {
        self.live.get()
    }

    /// Whether there are no entries.
    #[inline(always)]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.live.get() == 0
    }

    /// The number of entries, removed ones included, for which there is memory.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.entries.get().map_or(0, Buffer::capacity)
    }

    /// One more than the highest index of an entry.
    #[inline]
    #[must_use]
    pub fn index_end(&self) -> usize {
        self.entries.get().map_or(0, Buffer::len)
    }

    /// A number that changes whenever entries get other indices. As long as it is what it was,
    /// an index leads to the entry that it led to, or to none if that was removed.
    #[inline]
    #[must_use]
    pub fn numbering(&self) -> u64 {
        self.numbering.get()
    }

    /// The hasher.
    pub fn hasher(&self) -> &S {
        &self.hasher
    }

    #[inline(always)]
    fn changed(&self) {
        self.version.set(self.version.get() + 1);
    }
}

impl<'gc, K, V, S> GcMap<'gc, K, V, S>
where
    K: Trace<At<'gc> = K> + Copy,
    V: Trace<At<'gc> = V> + Copy,
    S: Send + 'static,
{
    /// The entry with this index; `None` if it was removed, or there never was one.
    #[inline]
    #[must_use]
    pub fn entry_at(&self, index: usize) -> Option<(K, V)> {
        live_entry(self.entries.get()?, index)
    }

    /// The index of the key with this hash for which `same` returns `true`: for programs that
    /// compute hashes themselves.
    ///
    /// # Panics
    ///
    /// If `same` panics or changes the map.
    #[inline]
    pub fn index_of_hashed(&self, hash: u64, same: impl FnMut(&K) -> bool) -> Option<usize> {
        self.find(live_hash(hash), same)
    }

    #[inline]
    fn find(&self, hash: u32, mut same: impl FnMut(&K) -> bool) -> Option<usize> {
        let entries = self.entries.get()?;
        let version = self.version.get();
        let mut is_it = |index| {
            let is_it = key_with_hash(entries, index, hash).is_some_and(|key| same(&key));
            // HM2: checked for each, as a table that has grown is another one.
            assert!(self.version.get() == version, "a key's `Eq` changed the map");
            is_it
        };
        let Some(table) = self.table.get() else {
            return (0..entries.len()).find(|index| is_it(*index));
        };
        let places = table.len();
        let mut place = first_place(hash, places);
        loop {
            // HM3: there is an empty place.
            match table.get(place) {
                None | Some(0) => return None,
                Some(entry) if is_it(entry as usize - 1) => return Some(entry as usize - 1),
                Some(_) => place = (place + 1) & (places - 1),
            }
        }
    }

    /// Replaces the value of the entry with this index and returns what was there; `None` if
    /// there is no such entry.
    #[inline]
    pub fn set_at(&self, cx: &Cx, index: usize, value: V) -> Option<V> {
        let entries = self.entries.get()?;
        let place = live_place(entries, index)?;
        entries.before_change(cx, index);
        // SAFETY: an entry of the buffer, which was reported; no reference to it exists.
        Some(unsafe { (&raw mut (*place.as_ptr()).value).replace(value) })
    }

    /// Removes the entry with this index; the others keep theirs.
    pub fn remove_at(&self, cx: &Cx, index: usize) -> Option<(K, V)> {
        let entries = self.entries.get()?;
        let place = live_place(entries, index)?;
        let removed = live_entry(entries, index);
        entries.before_change(cx, index);
        // SAFETY: an entry of the buffer, which was reported; no reference to it exists.
        unsafe { (&raw mut (*place.as_ptr()).hash).write(0) };
        self.live.set(self.live.get() - 1);
        self.changed();
        if self.live.get() == 0 {
            self.forget_all(cx);
        }
        removed
    }

    /// Removes all entries, and their memory.
    pub fn clear(&self, cx: &Cx) {
        self.forget_all(cx);
    }

    /// A map that is empty begins anew: otherwise its dead entries would be probed and skipped.
    fn forget_all(&self, cx: &Cx) {
        match self.entries.get() {
            None => return,
            // To keep it spares an object that is filled and emptied in turn the new memory.
            Some(entries) if self.table.get().is_none() && self.live.get() == 0 => {
                entries.truncate(cx, 0);
            }
            Some(_) => self.exchange(cx, None, None),
        }
        self.live.set(0);
        self.changed();
        self.numbering.set(self.numbering.get() + 1);
    }

    /// The write barrier for the handles on the old buffers keeps everything in them.
    fn exchange(
        &self,
        cx: &Cx,
        entries: Option<Buffer<'gc, Entry<K, V>>>,
        table: Option<Buffer<'gc, u32>>,
    ) {
        // SAFETY: a `GcMap` is not `Share`, so only this thread reaches it, and it gives out no
        // reference to the handles that it holds.
        unsafe { cx.before_change(self) };
        self.entries.set(entries);
        self.table.set(table);
    }

    /// Inserts a value under a key with this hash for which `same` returns `true`, or else under
    /// `key` behind the other entries, and returns the value that was there: for programs that
    /// compute hashes themselves. Equal keys need equal hashes.
    ///
    /// # Panics
    ///
    /// If `same` panics or changes the map; and if the heap's limit or the system refuses the
    /// memory.
    #[track_caller]
    pub fn insert_hashed(
        &self,
        cx: &'gc Cx,
        hash: u64,
        key: K,
        value: V,
        same: impl FnMut(&K) -> bool,
    ) -> Option<V> {
        match self.try_insert_hashed(cx, hash, key, value, same) {
            Ok(old) => old,
            Err(error) => out_of_memory(error.reason),
        }
    }

    /// As [`GcMap::insert_hashed`], or gives key and value back.
    ///
    /// # Errors
    ///
    /// If the heap's limit or the system refuses the memory; the map is then as it was.
    ///
    /// # Panics
    ///
    /// If `same` panics or changes the map.
    #[inline]
    pub fn try_insert_hashed(
        &self,
        cx: &'gc Cx,
        hash: u64,
        key: K,
        value: V,
        mut same: impl FnMut(&K) -> bool,
    ) -> Result<Option<V>, AllocError<(K, V)>> {
        let hash = live_hash(hash);
        loop {
            if let Some(index) = self.find(hash, &mut same) {
                return Ok(self.set_at(cx, index, value));
            }
            if self.append(Entry { hash, key, value }) {
                return Ok(None);
            }
            // It may run code of the program's, so that all is looked up again.
            if let Err(reason) = self.rebuild(cx, 1) {
                return Err(AllocError { value: (key, value), reason });
            }
        }
    }

    /// Adds an entry that is alive, whose key the map does not have, if there is room.
    #[inline]
    fn append(&self, entry: Entry<K, V>) -> bool {
        let Some(entries) = self.entries.get() else { return false };
        let index = entries.len();
        if entries.push(entry).is_err() {
            return false;
        }
        if let Some(table) = self.table.get() {
            enter(table, entry.hash, index);
        }
        self.live.set(self.live.get() + 1);
        self.changed();
        true
    }

    /// Makes room for `additional` entries: that many can be inserted without a further
    /// allocation, as long as none is removed.
    ///
    /// # Errors
    ///
    /// If the heap's limit or the system refuses the memory; the map is then as it was.
    pub fn try_reserve(&self, cx: &'gc Cx, additional: usize) -> Result<(), OutOfMemory> {
        while self.capacity() - self.index_end() < additional {
            self.rebuild(cx, additional)?;
        }
        Ok(())
    }

    /// Moves the entries to memory that has room for them and no more; an empty map gives up all
    /// its memory. If the smaller memory is refused, they stay where they are. It may give them
    /// other indices.
    pub fn shrink_to_fit(&self, cx: &'gc Cx) {
        let live = self.live.get();
        if live == 0 {
            self.exchange(cx, None, None);
            self.changed();
            self.numbering.set(self.numbering.get() + 1);
        } else if live < self.capacity() {
            let _ = self.move_to(cx, live);
        }
    }

    /// Moves the entries that are alive to other memory, in which there is room for
    /// `additional` more, and for as many as there are.
    #[cold]
    #[inline(never)]
    fn rebuild(&self, cx: &'gc Cx, additional: usize) -> Result<(), OutOfMemory> {
        // Twice what is alive: where little was removed, the memory doubles; where half was, it
        // stays as large; where nearly all was, it shrinks. In each case as many can be inserted
        // as are copied now, before the next time.
        let live = self.live.get();
        let wanted = live.checked_add(additional.max(live).max(2)).ok_or(OutOfMemory::TooLarge)?;
        self.move_to(cx, wanted)
    }

    /// Moves the entries that are alive to memory for `wanted` of them. Leaves them where they are
    /// if the map was changed while the memory was got (HM2).
    fn move_to(&self, cx: &'gc Cx, wanted: usize) -> Result<(), OutOfMemory> {
        let version = self.version.get();
        let entries = Buffer::<Entry<K, V>>::try_new(cx, wanted)?;
        let table = if entries.capacity() <= FEW {
            None
        } else {
            // A third at least is empty.
            let places = entries.capacity().saturating_mul(3).div_ceil(2);
            let places = places.checked_next_power_of_two().filter(|places| *places < 1 << 31);
            let places = places.ok_or(OutOfMemory::TooLarge)?;
            let table = Buffer::<u32>::try_new(cx, places)?;
            table.fill_up(places, 0);
            Some(table)
        };
        if self.version.get() != version {
            return Ok(());
        }
        // No code of the program's runs from here on.
        if let Some(old) = self.entries.get() {
            for index in 0..old.len() {
                let Some(entry) = old.get(index).filter(|entry| entry.hash != 0) else { continue };
                let to = entries.len();
                if entries.push(entry).is_ok()
                    && let Some(table) = table
                {
                    enter(table, entry.hash, to);
                }
            }
            if entries.len() < old.len() {
                self.numbering.set(self.numbering.get() + 1);
            }
        }
        self.exchange(cx, Some(entries), table);
        self.changed();
        Ok(())
    }

    /// Removes the entries for which `keep` returns `false`.
    ///
    /// # Panics
    ///
    /// If `keep` panics or changes the map.
    pub fn retain(&self, cx: &Cx, mut keep: impl FnMut(&K, &V) -> bool) {
        let mut version = self.version.get();
        let mut index = 0;
        while index < self.index_end() {
            if let Some((key, value)) = self.entry_at(index) {
                let keep = keep(&key, &value);
                assert!(self.version.get() == version, "`keep` changed the map");
                if !keep {
                    self.remove_at(cx, index);
                    version = self.version.get();
                }
            }
            index += 1;
        }
    }

    /// The entries in the order of insertion. The map may be changed meanwhile: each entry that
    /// is there all the time is met once, those that come and go meanwhile may be met or not.
    /// (When the map moves to other memory the iterator stays in the memory of before,
    /// and does not see values that are replaced later.)
    #[inline]
    pub fn iter(&self) -> GcMapIter<'gc, K, V> {
        GcMapIter { entries: self.entries.get(), next: 0 }
    }

    /// The keys in the order of insertion; see [`GcMap::iter`].
    pub fn keys(&self) -> impl Iterator<Item = K> + use<'gc, K, V, S> {
        self.iter().map(|(key, _)| key)
    }

    /// The values in the order of insertion; see [`GcMap::iter`].
    pub fn values(&self) -> impl Iterator<Item = V> + use<'gc, K, V, S> {
        self.iter().map(|(_, value)| value)
    }
}

impl<'gc, K, V, S> GcMap<'gc, K, V, S>
where
    K: Trace<At<'gc> = K> + Copy + Hash + Eq,
    V: Trace<At<'gc> = V> + Copy,
    S: BuildHasher + Send + 'static,
{
    /// An empty map with memory for `capacity` entries.
    ///
    /// # Panics
    ///
    /// If the heap's limit or the system refuses the memory.
    #[must_use]
    #[track_caller]
    pub fn with_capacity_and_hasher(cx: &'gc Cx, capacity: usize, hasher: S) -> Self {
        or_panic(Self::try_with_capacity_and_hasher(cx, capacity, hasher))
    }

    /// An empty map with memory for `capacity` entries.
    ///
    /// # Errors
    ///
    /// If the heap's limit or the system refuses the memory.
    pub fn try_with_capacity_and_hasher(
        cx: &'gc Cx,
        capacity: usize,
        hasher: S,
    ) -> Result<Self, OutOfMemory> {
        let map = GcMap::with_hasher(hasher);
        map.try_reserve(cx, capacity)?;
        Ok(map)
    }

    /// The value of a key. The key may be given in a borrowed form, as a `&str` for a `Gc<str>`.
    ///
    /// # Panics
    ///
    /// If the keys' `Hash` or `Eq` panics, or `Eq` changes the map; so do all functions that take a
    /// key.
    #[inline]
    pub fn get<Q: Hash + Eq + ?Sized>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        let index = self.index_of(key)?;
        let place = live_place(self.entries.get()?, index)?;
        // SAFETY: HM1: an entry that is alive.
        Some(unsafe { (&raw const (*place.as_ptr()).value).read() })
    }

    /// Whether there is an entry with this key.
    ///
    /// # Panics
    ///
    /// As [`GcMap::get`].
    #[inline]
    pub fn contains_key<Q: Hash + Eq + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.index_of(key).is_some()
    }

    /// The index of the entry with this key.
    ///
    /// # Panics
    ///
    /// As [`GcMap::get`].
    #[inline]
    pub fn index_of<Q: Hash + Eq + ?Sized>(&self, key: &Q) -> Option<usize>
    where
        K: Borrow<Q>,
    {
        if self.is_empty() {
            return None;
        }
        self.index_of_hashed(self.hasher.hash_one(key), |other| other.borrow() == key)
    }

    /// Inserts a value under a key and returns the value that was there. A key that is there
    /// stays in its place; a new one comes behind the others.
    ///
    /// # Panics
    ///
    /// As [`GcMap::get`]; and if the heap's limit or the system refuses the memory.
    #[inline]
    #[track_caller]
    pub fn insert(&self, cx: &'gc Cx, key: K, value: V) -> Option<V> {
        match self.try_insert(cx, key, value) {
            Ok(old) => old,
            Err(error) => out_of_memory(error.reason),
        }
    }

    /// As [`GcMap::insert`], or gives key and value back.
    ///
    /// # Errors
    ///
    /// If the heap's limit or the system refuses the memory; the map is then as it was.
    ///
    /// # Panics
    ///
    /// As [`GcMap::get`].
    #[inline]
    pub fn try_insert(
        &self,
        cx: &'gc Cx,
        key: K,
        value: V,
    ) -> Result<Option<V>, AllocError<(K, V)>> {
        self.try_insert_hashed(cx, self.hasher.hash_one(key), key, value, |other| *other == key)
    }

    /// Removes the entry with this key and returns its value.
    ///
    /// # Panics
    ///
    /// As [`GcMap::get`].
    pub fn remove<Q: Hash + Eq + ?Sized>(&self, cx: &Cx, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        let (_, value) = self.remove_at(cx, self.index_of(key)?)?;
        Some(value)
    }
}

/// The place of an entry that is alive.
#[inline(always)]
fn live_place<K: Trace, V: Trace>(
    entries: Buffer<'_, Entry<K, V>>,
    index: usize,
) -> Option<NonNull<Entry<K, V>>> {
    let place = entries.place(index)?;
    // SAFETY: an entry of the buffer.
    let hash = unsafe { (&raw const (*place.as_ptr()).hash).read() };
    (hash != 0).then_some(place)
}

#[inline(always)]
fn live_entry<K: Trace + Copy, V: Trace + Copy>(
    entries: Buffer<'_, Entry<K, V>>,
    index: usize,
) -> Option<(K, V)> {
    let place = live_place(entries, index)?;
    // SAFETY: HM1: an entry that is alive.
    let entry = unsafe { place.read() };
    Some((entry.key, entry.value))
}

/// The key of an entry, if that has this hash.
#[inline(always)]
fn key_with_hash<K: Trace + Copy, V: Trace>(
    entries: Buffer<'_, Entry<K, V>>,
    index: usize,
    hash: u32,
) -> Option<K> {
    let place = entries.place(index)?;
    // SAFETY: an entry of the buffer; it is alive if its hash is that of a key (HM1).
    unsafe {
        ((&raw const (*place.as_ptr()).hash).read() == hash)
            .then(|| (&raw const (*place.as_ptr()).key).read())
    }
}

/// Enters an entry into a table that has an empty place (HM3).
#[inline]
fn enter(table: Buffer<'_, u32>, hash: u32, index: usize) {
    // SAFETY: numbers hold no handles: there is nothing to report.
    let places = unsafe { table.cells() };
    let mut place = first_place(hash, places.len());
    while places[place].get() != 0 {
        place = (place + 1) & (places.len() - 1);
    }
    places[place].set(index as u32 + 1);
}

/// The entries of a [`GcMap`]; see [`GcMap::iter`]. It does not borrow the map.
pub struct GcMapIter<'gc, K, V> {
    entries: Option<Buffer<'gc, Entry<K, V>>>,
    next: usize,
}

impl<K: Trace + Copy, V: Trace + Copy> Iterator for GcMapIter<'_, K, V> {
    type Item = (K, V);
    #[inline]
    fn next(&mut self) -> Option<(K, V)> {
        let entries = self.entries?;
        while self.next < entries.len() {
            self.next += 1;
            if let Some(entry) = live_entry(entries, self.next - 1) {
                return Some(entry);
            }
        }
        None
    }
}

impl<K, V> fmt::Debug for GcMapIter<'_, K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GcMapIter").field("next", &self.next).finish_non_exhaustive()
    }
}

impl<'gc, K, V, S> IntoIterator for &GcMap<'gc, K, V, S>
where
    K: Trace<At<'gc> = K> + Copy,
    V: Trace<At<'gc> = V> + Copy,
    S: Send + 'static,
{
    type Item = (K, V);
    type IntoIter = GcMapIter<'gc, K, V>;
    fn into_iter(self) -> GcMapIter<'gc, K, V> {
        self.iter()
    }
}

impl<K, V, S: Default> Default for GcMap<'_, K, V, S> {
    fn default() -> Self {
        GcMap::with_hasher(S::default())
    }
}

impl<'gc, K, V, S> fmt::Debug for GcMap<'gc, K, V, S>
where
    K: Trace<At<'gc> = K> + Copy + fmt::Debug,
    V: Trace<At<'gc> = V> + Copy + fmt::Debug,
    S: Send + 'static,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self).finish()
    }
}

// SAFETY: reports the two handles that it holds (TA1), whose objects trace the entries; `At`
// replaces their regions and those of keys and values (TA2); a hasher is plain data, without
// handles, that may be dropped on any thread (TA4).
unsafe impl<'gc, K: Trace, V: Trace, S: Send + 'static> Trace for GcMap<'gc, K, V, S> {
    type At<'a> = GcMap<'a, K::At<'a>, V::At<'a>, S>;
    const NEEDS_TRACE: bool = true;
    #[inline]
    fn trace(&self, tracer: &mut Tracer) {
        if let Some(entries) = self.entries.get() {
            entries.trace(tracer);
        }
        if let Some(table) = self.table.get() {
            table.trace(tracer);
        }
    }
}
