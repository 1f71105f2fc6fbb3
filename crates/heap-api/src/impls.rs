//! [`Trace`] and [`Share`] for handles, and for types of the standard library: leaves, which hold
//! none, and containers, which hold what their elements do; and [`Opaque`], for foreign types.

use core::cell::Cell;
use core::marker::PhantomData;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap, HashSet, LinkedList, VecDeque};

use crate::gc::Gc;
use crate::payload::Payload;
use crate::share::Share;
use crate::trace::{Trace, Tracer};

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
    &'static str,
    &'static [u8],
    core::cmp::Ordering,
    core::convert::Infallible,
    core::marker::PhantomPinned,
    core::ops::Range<usize>,
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

// SAFETY: a std cell has no write barrier, so it may only hold plain data:
// `'static + Copy + Send` admits no handle and no drop glue.
unsafe impl<T: Copy + Send + 'static> Trace for Cell<T> {
    type At<'a> = Cell<T>;
    const NEEDS_TRACE: bool = false;
    #[inline(always)]
    fn trace(&self, _: &mut Tracer) {}
}

// SAFETY: as for `Cell`; `Send + 'static` excludes handles.
unsafe impl<T: Send + 'static> Trace for std::cell::RefCell<T> {
    type At<'a> = std::cell::RefCell<T>;
    const NEEDS_TRACE: bool = false;
    #[inline(always)]
    fn trace(&self, _: &mut Tracer) {}
}

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
