//! [`Trace`] and [`Share`] for handles, and for types of the standard library: leaves, which hold
//! none, and containers, which hold what their elements do; and [`Opaque`], for foreign types.
//!
//! Cells and locks of the standard library have no write barrier, so they are leaves. A `OnceCell`
//! needs none: what it holds is not replaced while the cell is shared. (A caller that has it to itself
//! has got it out of a `GcRefCell`, which has reported it, or not given it to the heap yet.)

use core::cell::{Cell, OnceCell, RefCell};
use core::marker::PhantomData;
use core::ops::{Bound, Range, RangeFrom, RangeFull, RangeInclusive, RangeTo, RangeToInclusive};
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap, HashSet, LinkedList, VecDeque};
use std::sync::{Arc, Mutex, OnceLock, RwLock};

use crate::gc::Gc;
use crate::payload::Payload;
use crate::share::Share;
use crate::trace::{PlainData, Trace, Tracer};

macro_rules! leaf {
    ($($t:ty),* $(,)?) => {$(
        // SAFETY: plain `Send + 'static` data without handles: nothing to
        // report (TA1), no lifetime to replace (TA2, TA3), `Send` (TA4).
        unsafe impl Trace for $t {
            type At<'a> = $t;
            const NEEDS_TRACE: bool = false;
            #[inline(always)]
            fn trace(&self, _: &mut Tracer) {}
        }
        // SAFETY: `Sync` data without handles.
        unsafe impl Share for $t {}
    )*};
}
leaf!(
    (),
    bool,
    char,
    u8,
    u16,
    u32,
    u64,
    u128,
    usize,
    i8,
    i16,
    i32,
    i64,
    i128,
    isize,
    f32,
    f64,
    String,
    core::cmp::Ordering,
    core::convert::Infallible,
    core::marker::PhantomPinned,
    RangeFull,
    core::any::TypeId,
    std::borrow::Cow<'static, str>,
    std::ffi::CString,
    std::ffi::OsString,
    std::net::IpAddr,
    std::net::SocketAddr,
    std::num::NonZeroU8,
    std::num::NonZeroU16,
    std::num::NonZeroU32,
    std::num::NonZeroU64,
    std::num::NonZeroU128,
    std::num::NonZeroUsize,
    std::num::NonZeroI8,
    std::num::NonZeroI16,
    std::num::NonZeroI32,
    std::num::NonZeroI64,
    std::num::NonZeroI128,
    std::num::NonZeroIsize,
    std::path::PathBuf,
    std::thread::ThreadId,
    std::time::Duration,
    std::time::Instant,
    std::time::SystemTime,
);

/// Wraps a type that does not implement [`Trace`], so that it can be a field of a heap
/// object. The value is dropped when the object is swept, which any thread may do: hence
/// `Send`. It cannot hold a handle: hence `'static`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Opaque<T: Send + 'static>(pub T);

// SAFETY: `'static` and `Gc` is never `Send`, so no handle hides inside (TA1,
// TA3); `Send` covers TA4.
unsafe impl<T: Send + 'static> Trace for Opaque<T> {
    type At<'a> = Opaque<T>;
    const NEEDS_TRACE: bool = false;
    #[inline(always)]
    fn trace(&self, _: &mut Tracer) {}
}

// SAFETY: `Sync` data without handles.
unsafe impl<T: Send + Sync + 'static> Share for Opaque<T> {}

macro_rules! std_cells {
    ($($name:ident<T $(: $bound:ident)*>),*) => {$(
        // SAFETY: a std cell has no write barrier, so it may only hold plain data: `Send + 'static`
        // admits no handle (TA1 to TA3), and may be dropped on any thread (TA4).
        unsafe impl<T: PlainData $(+ $bound)*> Trace for $name<T> {
            type At<'a> = $name<T>;
            const NEEDS_TRACE: bool = false;
            #[inline(always)]
            fn trace(&self, _: &mut Tracer) {}
        }
    )*};
}
std_cells!(Cell<T: Copy>, RefCell<T>, Mutex<T>, RwLock<T>, OnceLock<T>);

// SAFETY: `Sync` data without handles.
unsafe impl<T: Send + 'static> Share for Mutex<T> {}
// SAFETY: `Sync` data without handles.
unsafe impl<T: Send + Sync + 'static> Share for RwLock<T> {}
// SAFETY: `Sync` data without handles.
unsafe impl<T: Send + Sync + 'static> Share for OnceLock<T> {}

// SAFETY: reports its content, which only comes, and is not replaced (B1): see the header. `get`
// reads it; a cell is not `Share`, so no other thread is about to set it. The drop glue is the
// content's.
unsafe impl<T: Trace> Trace for OnceCell<T> {
    type At<'a> = OnceCell<T::At<'a>>;
    const NEEDS_TRACE: bool = T::NEEDS_TRACE;
    #[inline]
    fn trace(&self, tracer: &mut Tracer) {
        if T::NEEDS_TRACE
            && let Some(value) = self.get()
        {
            value.trace(tracer);
        }
    }
}

// SAFETY: a reference that is valid for good leads to `Sync + 'static` data, which holds no handle
// (TA1 to TA3); it has no drop glue.
unsafe impl<T: ?Sized + Sync + 'static> Trace for &'static T {
    type At<'a> = &'static T;
    const NEEDS_TRACE: bool = false;
    #[inline(always)]
    fn trace(&self, _: &mut Tracer) {}
}
// SAFETY: `Sync` data without handles.
unsafe impl<T: ?Sized + Sync + 'static> Share for &'static T {}

// SAFETY: `Send + 'static` data holds no handle (TA1 to TA3), and whichever thread drops the last
// reference may drop it (TA4).
unsafe impl<T: ?Sized + Send + Sync + 'static> Trace for Arc<T> {
    type At<'a> = Arc<T>;
    const NEEDS_TRACE: bool = false;
    #[inline(always)]
    fn trace(&self, _: &mut Tracer) {}
}
// SAFETY: `Sync` data without handles.
unsafe impl<T: ?Sized + Send + Sync + 'static> Share for Arc<T> {}

macro_rules! functions {
    ($(($($argument:ident)*))*) => {$(
        // SAFETY: the address of a function: no data at all, and the same type in all regions.
        unsafe impl<R: 'static $(, $argument: 'static)*> Trace for fn($($argument),*) -> R {
            type At<'a> = fn($($argument),*) -> R;
            const NEEDS_TRACE: bool = false;
            #[inline(always)]
            fn trace(&self, _: &mut Tracer) {}
        }
        // SAFETY: no data at all.
        unsafe impl<R: 'static $(, $argument: 'static)*> Share for fn($($argument),*) -> R {}
    )*};
}
// Functions for any lifetime, `for<'a> fn(&'a T)`, are other types; `Opaque` takes them.
functions! {
    () (A) (A B) (A B C) (A B C D) (A B C D E) (A B C D E F) (A B C D E F G) (A B C D E F G H)
}

macro_rules! ranges {
    ($($name:ident<T>: $range:ident => $($bound:expr),+;)*) => {$(
        // SAFETY: reports what its bounds report; its drop glue is theirs.
        unsafe impl<T: Trace> Trace for $name<T> {
            type At<'a> = $name<T::At<'a>>;
            const NEEDS_TRACE: bool = T::NEEDS_TRACE;
            #[inline]
            fn trace(&self, tracer: &mut Tracer) {
                let $range = self;
                $($bound.trace(tracer);)+
            }
        }
        // SAFETY: as its bounds.
        unsafe impl<T: Share> Share for $name<T> {}
    )*};
}
ranges! {
    Range<T>: range => range.start, range.end;
    RangeInclusive<T>: range => range.start(), range.end();
    RangeFrom<T>: range => range.start;
    RangeTo<T>: range => range.end;
    RangeToInclusive<T>: range => range.end;
}

// SAFETY: reports what its value reports; its drop glue is the value's.
unsafe impl<T: Trace> Trace for Bound<T> {
    type At<'a> = Bound<T::At<'a>>;
    const NEEDS_TRACE: bool = T::NEEDS_TRACE;
    #[inline]
    fn trace(&self, tracer: &mut Tracer) {
        match self {
            Bound::Included(value) | Bound::Excluded(value) => value.trace(tracer),
            Bound::Unbounded => {}
        }
    }
}
// SAFETY: as its value.
unsafe impl<T: Share> Share for Bound<T> {}

// SAFETY: no data at all.
unsafe impl<T: ?Sized + 'static> Trace for PhantomData<T> {
    type At<'a> = PhantomData<T>;
    const NEEDS_TRACE: bool = false;
    #[inline(always)]
    fn trace(&self, _: &mut Tracer) {}
}

macro_rules! atomics {
    ($($t:ident),*) => {$(
        // SAFETY: plain data without handles.
        unsafe impl Trace for std::sync::atomic::$t {
            type At<'a> = std::sync::atomic::$t;
            const NEEDS_TRACE: bool = false;
            #[inline(always)]
            fn trace(&self, _: &mut Tracer) {}
        }
        // SAFETY: `Sync` data without handles.
        unsafe impl Share for std::sync::atomic::$t {}
    )*};
}
atomics!(
    AtomicBool,
    AtomicU8,
    AtomicU16,
    AtomicU32,
    AtomicU64,
    AtomicUsize,
    AtomicI8,
    AtomicI16,
    AtomicI32,
    AtomicI64,
    AtomicIsize
);

macro_rules! containers {
    ($($name:ident<T $(, $hasher:ident)?>),*) => {$(
        // SAFETY: reports what its elements report, none of which is changed or compared for
        // that; its own drop glue only frees memory and drops the elements, which are `Trace`
        // themselves. A hasher is plain data.
        unsafe impl<T: Trace $(, $hasher: Send + 'static)?> Trace for $name<T $(, $hasher)?> {
            type At<'a> = $name<T::At<'a> $(, $hasher)?>;
            const NEEDS_TRACE: bool = T::NEEDS_TRACE;
            #[inline]
            fn trace(&self, tracer: &mut Tracer) {
                if T::NEEDS_TRACE {
                    for value in self.iter() {
                        value.trace(tracer);
                    }
                }
            }
        }
    )*};
}
containers!(
    Option<T>,
    Vec<T>,
    VecDeque<T>,
    LinkedList<T>,
    BinaryHeap<T>,
    BTreeSet<T>,
    HashSet<T, S>
);

macro_rules! maps {
    ($($name:ident<K, V $(, $hasher:ident)?>),*) => {$(
        // SAFETY: reports what its keys and values report, none of which is changed or compared
        // for that; its own drop glue only frees memory and drops them. A hasher is plain data.
        unsafe impl<K: Trace, V: Trace $(, $hasher: Send + 'static)?> Trace
            for $name<K, V $(, $hasher)?>
        {
            type At<'a> = $name<K::At<'a>, V::At<'a> $(, $hasher)?>;
            const NEEDS_TRACE: bool = K::NEEDS_TRACE || V::NEEDS_TRACE;
            #[inline]
            fn trace(&self, tracer: &mut Tracer) {
                if Self::NEEDS_TRACE {
                    for (key, value) in self {
                        key.trace(tracer);
                        value.trace(tracer);
                    }
                }
            }
        }
    )*};
}
maps!(HashMap<K, V, S>, BTreeMap<K, V>);

/// The same for hashbrown's.
#[cfg(feature = "hashbrown")]
mod hashbrown_impls {
    use hashbrown::{HashMap, HashSet, HashTable};

    use crate::trace::{Trace, Tracer};

    containers!(HashSet<T, S>, HashTable<T>);
    maps!(HashMap<K, V, S>);
}

// SAFETY: as its content; the box's drop glue drops the content and frees.
unsafe impl<T: Trace> Trace for Box<T> {
    type At<'a> = Box<T::At<'a>>;
    const NEEDS_TRACE: bool = T::NEEDS_TRACE;
    #[inline]
    fn trace(&self, tracer: &mut Tracer) {
        (**self).trace(tracer);
    }
}

// SAFETY: as its elements.
unsafe impl<T: Trace> Trace for Box<[T]> {
    type At<'a> = Box<[T::At<'a>]>;
    const NEEDS_TRACE: bool = T::NEEDS_TRACE;
    #[inline]
    fn trace(&self, tracer: &mut Tracer) {
        if T::NEEDS_TRACE {
            for value in self {
                value.trace(tracer);
            }
        }
    }
}

// SAFETY: plain data.
unsafe impl Trace for Box<str> {
    type At<'a> = Box<str>;
    const NEEDS_TRACE: bool = false;
    #[inline(always)]
    fn trace(&self, _: &mut Tracer) {}
}

// SAFETY: as its elements.
unsafe impl<T: Trace, const N: usize> Trace for [T; N] {
    type At<'a> = [T::At<'a>; N];
    const NEEDS_TRACE: bool = T::NEEDS_TRACE;
    #[inline]
    fn trace(&self, tracer: &mut Tracer) {
        if T::NEEDS_TRACE {
            for value in self {
                value.trace(tracer);
            }
        }
    }
}

// SAFETY: as whichever side is present.
unsafe impl<T: Trace, E: Trace> Trace for Result<T, E> {
    type At<'a> = Result<T::At<'a>, E::At<'a>>;
    const NEEDS_TRACE: bool = T::NEEDS_TRACE || E::NEEDS_TRACE;
    #[inline]
    fn trace(&self, tracer: &mut Tracer) {
        match self {
            Ok(value) => value.trace(tracer),
            Err(error) => error.trace(tracer),
        }
    }
}

macro_rules! tuples {
    ($(($($t:ident $i:tt),+))*) => {$(
        // SAFETY: as the elements.
        unsafe impl<$($t: Trace),+> Trace for ($($t,)+) {
            type At<'a> = ($($t::At<'a>,)+);
            const NEEDS_TRACE: bool = $($t::NEEDS_TRACE)||+;
            #[inline]
            fn trace(&self, tracer: &mut Tracer) {
                $(self.$i.trace(tracer);)+
            }
        }
        // SAFETY: as the elements.
        unsafe impl<$($t: Share),+> Share for ($($t,)+) {}
    )*};
}
tuples! {
    (A 0) (A 0, B 1) (A 0, B 1, C 2) (A 0, B 1, C 2, D 3) (A 0, B 1, C 2, D 3, E 4)
    (A 0, B 1, C 2, D 3, E 4, F 5) (A 0, B 1, C 2, D 3, E 4, F 5, G 6)
    (A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7)
    (A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8)
    (A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9)
    (A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10)
    (A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10, L 11)
}

// SAFETY: a handle reports itself; it has no drop glue; `At` replaces its
// lifetime and its target's.
unsafe impl<'gc, T: ?Sized + Payload> Trace for Gc<'gc, T> {
    type At<'a> = Gc<'a, T::At<'a>>;
    const NEEDS_TRACE: bool = true;
    #[inline(always)]
    fn trace(&self, tracer: &mut Tracer) {
        // SAFETY: a handle that is traced comes from a marked object of the heap, which was
        // reachable when marking began or is new: a handle in it leads to a live object.
        unsafe { tracer.edge(self.object()) };
    }
}
