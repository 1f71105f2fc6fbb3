//! [`ByAddress`]: a handle that is compared and hashed by identity.

use core::cmp::Ordering;
use core::fmt;
use core::hash::{Hash, Hasher};
use core::ops::Deref;

use crate::gc::Gc;
use crate::payload::Payload;
use crate::share::Share;
use crate::trace::{Trace, Tracer};

/// A handle that is equal to the handles of the same object only, and is hashed and ordered by
/// its address, which never changes. (A [`Gc`] is compared by content.) A key of a
/// [`GcMap`](crate::GcMap) or of another map, for the objects of a language that has identity.
///
/// ```
/// use heap_api::{ByAddress, Config, GcMap, Heap};
///
/// let heap = Heap::new(Config::new());
/// let cx = heap.enter();
/// let (a, b) = (cx.alloc_str("same"), cx.alloc_str("same"));
/// let map = GcMap::new();
/// map.insert(&cx, ByAddress(a), 1);
/// assert_eq!(map.get(&ByAddress(a)), Some(1));
/// assert_eq!(map.get(&ByAddress(b)), None);
/// ```
#[repr(transparent)]
pub struct ByAddress<'gc, T: ?Sized>(pub Gc<'gc, T>);

impl<T: ?Sized> Clone for ByAddress<'_, T> {
    #[inline(always)]
    fn clone(&self) -> Self {
        *self
    }
}
impl<T: ?Sized> Copy for ByAddress<'_, T> {}

impl<'gc, T: ?Sized> Deref for ByAddress<'gc, T> {
    type Target = Gc<'gc, T>;
    #[inline(always)]
    fn deref(&self) -> &Gc<'gc, T> {
        &self.0
    }
}

impl<T: ?Sized> PartialEq for ByAddress<'_, T> {
    #[inline(always)]
    fn eq(&self, other: &Self) -> bool {
        self.0.addr() == other.0.addr()
    }
}
impl<T: ?Sized> Eq for ByAddress<'_, T> {}

impl<T: ?Sized> PartialOrd for ByAddress<'_, T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl<T: ?Sized> Ord for ByAddress<'_, T> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.addr().cmp(&other.0.addr())
    }
}

impl<T: ?Sized> Hash for ByAddress<'_, T> {
    #[inline(always)]
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_usize(self.0.addr());
    }
}

impl<T: ?Sized + Payload + fmt::Debug> fmt::Debug for ByAddress<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

// SAFETY: as the handle that it wraps.
unsafe impl<'gc, T: ?Sized + Payload> Trace for ByAddress<'gc, T> {
    type At<'a> = ByAddress<'a, T::At<'a>>;
    const NEEDS_TRACE: bool = true;
    #[inline(always)]
    fn trace(&self, tracer: &mut Tracer) {
        self.0.trace(tracer);
    }
}

// SAFETY: as the handle that it wraps.
unsafe impl<T: ?Sized + Payload + Share> Share for ByAddress<'_, T> {}
