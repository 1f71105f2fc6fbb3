//! [`WeakValueMap`]: a table by content whose entries live as long as their values.

use core::borrow::Borrow;
use core::cell::Cell;
use core::fmt;
use core::hash::{BuildHasher, Hash};
use std::hash::RandomState;

use crate::alloc::out_of_memory;
use crate::cx::Cx;
use crate::error::OutOfMemory;
use crate::gc::Gc;
use crate::map::GcMap;
use crate::payload::Payload;
use crate::trace::{Trace, Tracer};
use crate::weak::Weak;

/// A hash map in the heap whose values are objects, held weakly: an entry goes when its value is found
/// unreachable. Keys are compared by content and are held as long as the entry is there, as in a cache
/// of what was loaded by name.
///
/// It is a [`GcMap`] of [`Weak`] handles: in the order of insertion, in memory of the heap. What keys
/// hold is held until the entry is removed: that of a dead value is when the map has doubled, or by
/// [`WeakValueMap::purge`].
///
/// ```
/// use heap_api::{Config, Gc, Heap, WeakValueMap};
///
/// let heap = Heap::new(Config::new());
/// let mut cx = heap.enter();
/// let (loaded, kept) = {
///     let loaded = cx.alloc(WeakValueMap::<u32, str>::new());
///     let kept = cx.alloc_str("one");
///     loaded.insert(&cx, 1, kept);
///     loaded.insert(&cx, 2, cx.alloc_str("two"));
///     assert_eq!(loaded.get(&cx, &2).as_deref(), Some("two"));
///     (cx.root(loaded), cx.root(kept))
/// };
/// cx.collect();
/// let loaded = loaded.get(&cx);
/// assert_eq!(loaded.get(&cx, &1).as_deref(), Some("one"));
/// assert!(loaded.get(&cx, &2).is_none());
/// # drop(kept);
/// ```
pub struct WeakValueMap<'gc, K, V: ?Sized, S = RandomState> {
    map: GcMap<'gc, K, Weak<'gc, V>, S>,
    /// When the map has this many entries those of the dead are removed.
    purge_at: Cell<usize>,
}

/// Fewer entries are not worth a look.
const PURGE_MIN: usize = 16;

impl<K, V: ?Sized> WeakValueMap<'_, K, V> {
    /// An empty map without memory, whose hasher is seeded at random.
    #[must_use]
    pub fn new() -> Self {
        WeakValueMap::with_hasher(RandomState::new())
    }
}

impl<K, V: ?Sized, S> WeakValueMap<'_, K, V, S> {
    /// An empty map without memory.
    #[must_use]
    pub fn with_hasher(hasher: S) -> Self {
        WeakValueMap { map: GcMap::with_hasher(hasher), purge_at: Cell::new(PURGE_MIN) }
    }
}

impl<'gc, K, V, S> WeakValueMap<'gc, K, V, S>
where
    K: Trace<At<'gc> = K> + Copy + Hash + Eq,
    V: ?Sized + Payload<At<'gc> = V>,
    S: BuildHasher + Send + 'static,
{
    /// The value of a key, if it is alive.
    ///
    /// # Panics
    ///
    /// As [`GcMap::get`].
    #[must_use]
    pub fn get<Q: Hash + Eq + ?Sized>(&self, cx: &'gc Cx, key: &Q) -> Option<Gc<'gc, V>>
    where
        K: Borrow<Q>,
    {
        self.map.get(key)?.upgrade(cx)
    }

    /// Gives a key a value; returns the one that it had, if that is alive.
    ///
    /// # Panics
    ///
    /// If the heap's limit or the system refuses the memory: see [`WeakValueMap::try_insert`]. As
    /// [`GcMap::insert`].
    #[track_caller]
    pub fn insert(&self, cx: &'gc Cx, key: K, value: Gc<'gc, V>) -> Option<Gc<'gc, V>> {
        self.try_insert(cx, key, value).unwrap_or_else(|reason| out_of_memory(reason))
    }

    /// As [`WeakValueMap::insert`], for callers that handle refused memory.
    ///
    /// # Errors
    ///
    /// When the heap's limit or the system refuses the memory; the map is then as it was.
    ///
    /// # Panics
    ///
    /// As [`GcMap::insert`].
    pub fn try_insert(
        &self,
        cx: &'gc Cx,
        key: K,
        value: Gc<'gc, V>,
    ) -> Result<Option<Gc<'gc, V>>, OutOfMemory> {
        let weak = value.try_downgrade(cx)?;
        if self.map.len() >= self.purge_at.get() {
            self.purge(cx);
        }
        let before = self.map.try_insert(cx, key, weak).map_err(|error| error.reason)?;
        Ok(before.and_then(|before| before.upgrade(cx)))
    }

    /// Removes a key; returns its value, if it is alive.
    ///
    /// # Panics
    ///
    /// As [`GcMap::get`].
    pub fn remove<Q: Hash + Eq + ?Sized>(&self, cx: &'gc Cx, key: &Q) -> Option<Gc<'gc, V>>
    where
        K: Borrow<Q>,
    {
        self.map.remove(cx, key)?.upgrade(cx)
    }

    /// Removes the entries of values that were found dead.
    pub fn purge(&self, cx: &Cx) {
        self.map.retain(cx, |_, value| !value.is_cleared(cx));
        self.purge_at.set((self.map.len() * 2).max(PURGE_MIN));
    }

    /// The number of entries whose values were not found dead. It takes a look at every entry.
    #[must_use]
    pub fn len(&self, cx: &Cx) -> usize {
        self.map.values().filter(|value| !value.is_cleared(cx)).count()
    }

    /// Whether there is no entry whose value was not found dead.
    #[must_use]
    pub fn is_empty(&self, cx: &Cx) -> bool {
        self.map.values().all(|value| value.is_cleared(cx))
    }

    /// The entries whose values are alive, in the order of insertion. Changes of the map meanwhile are
    /// treated as [`GcMap::iter`] treats them.
    pub fn iter(&self, cx: &'gc Cx) -> impl Iterator<Item = (K, Gc<'gc, V>)> + use<'gc, K, V, S> {
        self.map.iter().filter_map(|(key, value)| Some((key, value.upgrade(cx)?)))
    }

    /// Removes everything.
    pub fn clear(&self, cx: &Cx) {
        self.map.clear(cx);
        self.purge_at.set(PURGE_MIN);
    }
}

impl<K, V: ?Sized, S: Default> Default for WeakValueMap<'_, K, V, S> {
    fn default() -> Self {
        WeakValueMap::with_hasher(S::default())
    }
}

impl<K, V: ?Sized, S> fmt::Debug for WeakValueMap<'_, K, V, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WeakValueMap").field("entries", &self.map.len()).finish_non_exhaustive()
    }
}

// SAFETY: reports what the map does; the rest is plain data.
unsafe impl<'gc, K: Trace, V: ?Sized + Payload, S: Send + 'static> Trace
    for WeakValueMap<'gc, K, V, S>
{
    type At<'a> = WeakValueMap<'a, K::At<'a>, V::At<'a>, S>;
    const NEEDS_TRACE: bool = true;

    #[inline]
    fn trace(&self, tracer: &mut Tracer) {
        self.map.trace(tracer);
    }
}
