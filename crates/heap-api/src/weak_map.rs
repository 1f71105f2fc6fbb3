//! [`WeakMap`] and [`WeakSet`]: tables by identity whose entries live as long as their keys.
//!
//! A table is a slice of ephemerons with open addressing. A dead entry is cleared by the collector and
//! stays a tombstone until the table is made anew.

use core::cell::Cell;
use core::fmt;
use core::ptr::NonNull;

use crate::alloc::out_of_memory;
use crate::cell::GcCell;
use crate::cx::Cx;
use crate::ephemeron::{Ephemeron, EphemeronState};
use crate::error::OutOfMemory;
use crate::gc::Gc;
use crate::payload::Payload;
use crate::trace::{Trace, Tracer};

/// A hash map in the heap whose keys are objects, found by identity and held weakly. An entry holds
/// its value only as long as its key is reachable by another way than through the value
/// ([`Ephemeron`]), and goes when the key does.
///
/// It is a payload like any other: allocate it, or make it a field of an object. Its memory is the
/// heap's: counted, limited, collected. It is made smaller or larger when an entry is inserted and
/// there is no place for it, or by [`WeakMap::shrink_to_fit`]. While an incremental collection is under
/// way, making the table anew keeps its keys until the next collection.
///
/// ```
/// use heap_api::{Config, Heap, WeakMap};
///
/// let heap = Heap::new(Config::new());
/// let mut cx = heap.enter();
/// let (names, one) = {
///     let names = cx.alloc(WeakMap::new());
///     let (one, other) = (cx.alloc([1_u64, 2]), cx.alloc([1_u64, 2]));
///     names.insert(&cx, one, cx.alloc_str("one"));
///     names.insert(&cx, other, cx.alloc_str("other"));
///     assert_eq!(names.len(&cx), 2);
///     (cx.root(names), cx.root(one))
/// };
/// cx.collect();
/// let names = names.get(&cx);
/// assert_eq!(&*names.get(one.get(&cx)).unwrap(), "one");
/// assert_eq!(names.len(&cx), 1);
/// ```
pub struct WeakMap<'gc, K: ?Sized, V> {
    slots: GcCell<Option<Slots<'gc, K, V>>>,
    /// Slots that are not empty: with a key, or cleared.
    used: Cell<usize>,
}

type Slots<'gc, K, V> = Gc<'gc, [Ephemeron<'gc, K, V>]>;

/// The smallest table.
const SLOTS_MIN: usize = 8;

/// The slot where the search for an object begins, of a power of two of them.
fn first_slot(key: NonNull<u8>, slots: usize) -> usize {
    let spread = (key.addr().get() as u64 >> 4).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (spread >> 32) as usize & (slots - 1)
}

impl<K: ?Sized, V> WeakMap<'_, K, V> {
    /// An empty map, which has no memory.
    #[must_use]
    pub fn new() -> Self {
        WeakMap { slots: GcCell::new(None), used: Cell::new(0) }
    }
}

impl<'gc, K: ?Sized + Payload, V: Copy + Trace> WeakMap<'gc, K, V> {
    /// The slot of a key, or the one where its search ends.
    fn find(slots: &[Ephemeron<'gc, K, V>], key: NonNull<u8>) -> Result<usize, Free> {
        let mut at = first_slot(key, slots.len());
        let mut cleared = None;
        loop {
            match slots[at].state() {
                EphemeronState::Set(other) if other == key => return Ok(at),
                EphemeronState::Set(_) => {}
                EphemeronState::Cleared => cleared = cleared.or(Some(at)),
                EphemeronState::Empty => return Err(Free { empty: at, cleared }),
            }
            at = (at + 1) & (slots.len() - 1);
        }
    }

    /// The value of a key.
    #[must_use]
    pub fn get(&self, key: Gc<'gc, K>) -> Option<V> {
        let slots = self.slots.get()?;
        let at = Self::find(&slots, key.object()).ok()?;
        slots[at].value_of(key)
    }

    /// Whether the map has a value for a key.
    #[must_use]
    pub fn contains_key(&self, key: Gc<'gc, K>) -> bool {
        self.get(key).is_some()
    }

    /// Gives a key a value; returns the one that it had.
    ///
    /// # Panics
    ///
    /// If the heap's limit or the system refuses the memory: see [`WeakMap::try_insert`].
    #[track_caller]
    pub fn insert(&self, cx: &'gc Cx, key: Gc<'gc, K>, value: V) -> Option<V>
    where
        Ephemeron<'gc, K, V>: Trace<At<'gc> = Ephemeron<'gc, K, V>>,
    {
        self.try_insert(cx, key, value).unwrap_or_else(|reason| out_of_memory(reason))
    }

    /// As [`WeakMap::insert`], for callers that handle refused memory.
    ///
    /// # Errors
    ///
    /// When the heap's limit or the system refuses the memory; the map is then as it was.
    pub fn try_insert(
        &self,
        cx: &'gc Cx,
        key: Gc<'gc, K>,
        value: V,
    ) -> Result<Option<V>, OutOfMemory>
    where
        Ephemeron<'gc, K, V>: Trace<At<'gc> = Ephemeron<'gc, K, V>>,
    {
        let mut slots = match self.slots.get() {
            Some(slots) => slots,
            None => self.remake(cx, SLOTS_MIN)?,
        };
        let mut place = Self::find(&slots, key.object());
        if let Err(Free { cleared: None, .. }) = place
            && (self.used.get() + 1) * 4 > slots.len() * 3
        {
            let alive = slots.iter().filter(|slot| slot.is_alive(cx)).count();
            slots = self.remake(cx, slots_for(alive + 1))?;
            place = Self::find(&slots, key.object());
        }
        Ok(match place {
            Ok(at) => {
                let before = slots[at].value_of(key);
                slots[at].set(cx, key, value);
                before
            }
            Err(Free { empty, cleared }) => {
                self.used.set(self.used.get() + usize::from(cleared.is_none()));
                slots[cleared.unwrap_or(empty)].set(cx, key, value);
                None
            }
        })
    }

    /// Removes a key; returns its value.
    pub fn remove(&self, cx: &Cx, key: Gc<'gc, K>) -> Option<V> {
        let slots = self.slots.get()?;
        let at = Self::find(&slots, key.object()).ok()?;
        let value = slots[at].value_of(key);
        slots[at].clear(cx);
        value
    }

    /// Removes everything, and frees the memory.
    pub fn clear(&self, cx: &Cx) {
        self.slots.set(cx, None);
        self.used.set(0);
    }

    /// The number of entries whose keys were not found dead. It takes a look at every slot.
    #[must_use]
    pub fn len(&self, cx: &Cx) -> usize {
        let Some(slots) = self.slots.get() else { return 0 };
        slots.iter().filter(|slot| slot.is_alive(cx)).count()
    }

    /// Whether there is no entry whose key was not found dead.
    #[must_use]
    pub fn is_empty(&self, cx: &Cx) -> bool {
        self.slots.get().is_none_or(|slots| !slots.iter().any(|slot| slot.is_alive(cx)))
    }

    /// The entries, in no order. What is inserted or removed meanwhile may be seen or not. While an
    /// incremental mark phase is under way every key that is seen is kept alive until the next
    /// collection.
    pub fn iter(&self, cx: &'gc Cx) -> impl Iterator<Item = (Gc<'gc, K>, V)> + use<'gc, K, V> {
        let slots = self.slots.get().map(Gc::as_ref);
        slots.into_iter().flatten().filter_map(|slot| slot.get(cx))
    }

    /// Makes the table as small as the entries allow.
    ///
    /// # Errors
    ///
    /// When the heap's limit or the system refuses the memory for the smaller table; the map is then
    /// as it was.
    pub fn shrink_to_fit(&self, cx: &'gc Cx) -> Result<(), OutOfMemory>
    where
        Ephemeron<'gc, K, V>: Trace<At<'gc> = Ephemeron<'gc, K, V>>,
    {
        let Some(slots) = self.slots.get() else { return Ok(()) };
        match self.len(cx) {
            0 => self.clear(cx),
            alive if slots_for(alive) < slots.len() => drop(self.remake(cx, slots_for(alive))?),
            _ => {}
        }
        Ok(())
    }

    /// Makes a table of this size, with the entries that are alive. Larger, if there are more now:
    /// getting the memory may run code of the program's, which may insert some.
    fn remake(&self, cx: &'gc Cx, len: usize) -> Result<Slots<'gc, K, V>, OutOfMemory>
    where
        Ephemeron<'gc, K, V>: Trace<At<'gc> = Ephemeron<'gc, K, V>>,
    {
        let mut new = cx.try_alloc_ephemerons(len).map_err(|error| error.reason)?;
        // There is room for one more, and then an empty slot, so that a search ends.
        while (self.len(cx) + 1) * 4 > new.len() * 3 {
            let len = slots_for(self.len(cx) + 1);
            new = cx.try_alloc_ephemerons(len).map_err(|error| error.reason)?;
        }
        let mut used = 0;
        for old in self.slots.get().iter().flat_map(|slots| slots.iter()) {
            if let EphemeronState::Set(key) = old.state()
                && old.is_alive(cx)
                && let Err(Free { empty, .. }) = Self::find(&new, key)
            {
                new[empty].copy_from(cx, old);
                used += 1;
            }
        }
        self.slots.set(cx, Some(new));
        self.used.set(used);
        Ok(new)
    }
}

/// Where a key that a table does not have may go.
struct Free {
    empty: usize,
    cleared: Option<usize>,
}

/// Slots for this many entries, and for as many more.
fn slots_for(entries: usize) -> usize {
    (entries * 2).next_power_of_two().max(SLOTS_MIN)
}

impl<K: ?Sized, V> Default for WeakMap<'_, K, V> {
    fn default() -> Self {
        WeakMap::new()
    }
}

impl<K: ?Sized, V> fmt::Debug for WeakMap<'_, K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WeakMap").field("used", &self.used.get()).finish_non_exhaustive()
    }
}

// SAFETY: reports its slots, as the cell does; the rest is plain data. No drop glue.
unsafe impl<'gc, K: ?Sized + Payload, V: Trace> Trace for WeakMap<'gc, K, V> {
    type At<'a> = WeakMap<'a, K::At<'a>, V::At<'a>>;
    const NEEDS_TRACE: bool = true;

    #[inline]
    fn trace(&self, tracer: &mut Tracer) {
        self.slots.trace(tracer);
    }
}

/// A set of objects in the heap, by identity, that keeps none of them alive: a [`WeakMap`] without
/// values.
///
/// ```
/// use heap_api::{Config, Heap, WeakSet};
///
/// let heap = Heap::new(Config::new());
/// let cx = heap.enter();
/// let seen = cx.alloc(WeakSet::new());
/// let text = cx.alloc_str("a");
/// assert!(seen.insert(&cx, text));
/// assert!(!seen.insert(&cx, text));
/// assert!(!seen.contains(cx.alloc_str("a")), "another object");
/// ```
#[derive(Debug)]
pub struct WeakSet<'gc, K: ?Sized>(WeakMap<'gc, K, ()>);

impl<K: ?Sized> WeakSet<'_, K> {
    /// An empty set, which has no memory.
    #[must_use]
    pub fn new() -> Self {
        WeakSet(WeakMap::new())
    }
}

impl<'gc, K: ?Sized + Payload> WeakSet<'gc, K> {
    /// Whether the set has an object.
    #[must_use]
    pub fn contains(&self, key: Gc<'gc, K>) -> bool {
        self.0.contains_key(key)
    }

    /// Adds an object; returns whether it was not there.
    ///
    /// # Panics
    ///
    /// If the heap's limit or the system refuses the memory: see [`WeakSet::try_insert`].
    #[track_caller]
    pub fn insert(&self, cx: &'gc Cx, key: Gc<'gc, K>) -> bool
    where
        Ephemeron<'gc, K, ()>: Trace<At<'gc> = Ephemeron<'gc, K, ()>>,
    {
        self.0.insert(cx, key, ()).is_none()
    }

    /// As [`WeakSet::insert`], for callers that handle refused memory.
    ///
    /// # Errors
    ///
    /// When the heap's limit or the system refuses the memory; the set is then as it was.
    pub fn try_insert(&self, cx: &'gc Cx, key: Gc<'gc, K>) -> Result<bool, OutOfMemory>
    where
        Ephemeron<'gc, K, ()>: Trace<At<'gc> = Ephemeron<'gc, K, ()>>,
    {
        Ok(self.0.try_insert(cx, key, ())?.is_none())
    }

    /// Removes an object; returns whether it was there.
    pub fn remove(&self, cx: &Cx, key: Gc<'gc, K>) -> bool {
        self.0.remove(cx, key).is_some()
    }

    /// Removes everything, and frees the memory.
    pub fn clear(&self, cx: &Cx) {
        self.0.clear(cx);
    }

    /// See [`WeakMap::len`].
    #[must_use]
    pub fn len(&self, cx: &Cx) -> usize {
        self.0.len(cx)
    }

    /// See [`WeakMap::is_empty`].
    #[must_use]
    pub fn is_empty(&self, cx: &Cx) -> bool {
        self.0.is_empty(cx)
    }

    /// See [`WeakMap::iter`].
    pub fn iter(&self, cx: &'gc Cx) -> impl Iterator<Item = Gc<'gc, K>> + use<'gc, K> {
        self.0.iter(cx).map(|(key, ())| key)
    }
}

impl<K: ?Sized> Default for WeakSet<'_, K> {
    fn default() -> Self {
        WeakSet::new()
    }
}

// SAFETY: as the map.
unsafe impl<'gc, K: ?Sized + Payload> Trace for WeakSet<'gc, K> {
    type At<'a> = WeakSet<'a, K::At<'a>>;
    const NEEDS_TRACE: bool = true;

    #[inline]
    fn trace(&self, tracer: &mut Tracer) {
        self.0.trace(tracer);
    }
}

#[cfg(all(test, not(heap_loom)))]
mod tests {
    use super::*;
    use crate::{Config, Heap};

    /// As if the code that was run to get the memory had inserted what is there.
    #[test]
    fn a_table_that_has_become_too_small_is_not_filled() {
        let heap = Heap::new(Config::new());
        let cx = heap.enter();
        for entries in 0..40_u64 {
            let map = WeakMap::new();
            let keys: Vec<_> = (0..entries).map(|id| cx.alloc([id; 2])).collect();
            keys.iter().for_each(|key| _ = map.insert(&cx, *key, key[0]));
            assert!(map.remake(&cx, SLOTS_MIN).is_ok());
            map.insert(&cx, cx.alloc([100; 2]), 100);
            assert!(keys.iter().all(|key| map.get(*key) == Some(key[0])));
            assert!(!map.contains_key(cx.alloc([101; 2])), "a search ends");
        }
    }
}
