//! [`AnyGc`]: a handle to an object of any type, and the way back.
//!
//! Objects carry no header. The page of an object leads to its kind (K1), and a kind that names
//! a type is the kind of objects of that type only (K4).
//!
//! * AN1: no object is an [`AnyObject`]: it is not `Trace`, so nothing allocates one, and its
//!   `KIND` names no type. A reference to one covers no bytes.
//! * AN2: an object that is found to be of a type is given out in the region of the handle: as
//!   `T::At<'gc>`, like that of a root (X3, PL1).

use core::fmt;
use core::hash::{Hash, Hasher};
use core::ptr::NonNull;

use heap_core::kind::ObjectKind;
use heap_core::location::Location;

use crate::gc::Gc;
use crate::payload::Payload;

/// A handle to an object of any type: one word, made by [`Gc::erase`].
///
/// It is a [`Gc`] like others: a field of objects, the content of a
/// [`GcCell`](crate::GcCell), kept by `Root<AnyObject>`. `==` and hashing compare identities.
///
/// The type of an object is that of the objects on its page, which the heap knows: no object has a
/// header or a tag. Types that are neither traced nor dropped share pages, as plain numbers and
/// strings do. [`AnyGc::is`] is `false` for these, and [`AnyGc::downcast`] returns `None`, unless the
/// type has pages of its own by choice:
///
/// ```
/// use heap_api::{AnyGc, Config, Gc, Heap, Trace};
///
/// #[derive(Trace)]
/// struct Pair<'gc>(AnyGc<'gc>, AnyGc<'gc>);
///
/// #[derive(Trace)]
/// #[trace(own_kind)]
/// struct Number(f64);
///
/// fn sum(value: AnyGc<'_>) -> f64 {
///     if let Some(number) = value.downcast::<Number>() {
///         number.0
///     } else if let Some(pair) = value.downcast::<Pair<'_>>() {
///         sum(pair.0) + sum(pair.1)
///     } else {
///         0.0
///     }
/// }
///
/// let heap = Heap::new(Config::new());
/// let mut cx = heap.enter();
/// let kept = {
///     let number = |x| cx.alloc(Number(x)).erase();
///     let pair = cx.alloc(Pair(number(1.0), number(2.0))).erase();
///     cx.root(cx.alloc(Pair(pair, cx.alloc_str("no number").erase())).erase())
/// };
/// cx.collect();
/// assert_eq!(sum(kept.get(&cx)), 3.0);
/// ```
pub type AnyGc<'gc> = Gc<'gc, AnyObject>;

/// What an [`AnyGc`] points at: an object of which nothing is known but where it is. There are no
/// values of this type, and a reference to it shows nothing.
pub struct AnyObject {
    /// No bytes, aligned to one: any address is that of an `AnyObject`.
    opaque: [u8; 0],
}

/// The kind of no object (AN1).
static OF_NO_OBJECT: ObjectKind = ObjectKind::plain(core::any::type_name::<AnyObject>);

// SAFETY: nothing allocates an `AnyObject` (AN1), so `KIND` describes all there are. A reference
// to one covers no bytes and is aligned to one. It has no lifetime.
unsafe impl Payload for AnyObject {
    type At<'a> = AnyObject;
    const KIND: &'static ObjectKind = &OF_NO_OBJECT;

    #[inline(always)]
    unsafe fn from_thin<'a>(object: NonNull<u8>) -> &'a Self {
        // SAFETY: not null, and there is nothing to read.
        unsafe { object.cast::<AnyObject>().as_ref() }
    }
}

impl AnyObject {
    fn addr(&self) -> usize {
        self.opaque.as_ptr().addr()
    }
}

impl fmt::Debug for AnyObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AnyObject({:#x})", self.addr())
    }
}

impl PartialEq for AnyObject {
    /// Whether both are the same object.
    fn eq(&self, other: &Self) -> bool {
        self.addr() == other.addr()
    }
}
impl Eq for AnyObject {}

impl Hash for AnyObject {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.addr().hash(state);
    }
}

impl<'gc, T: ?Sized + Payload> Gc<'gc, T> {
    /// The handle without the type of its object: see [`AnyGc`].
    #[inline(always)]
    #[must_use]
    pub fn erase(self) -> AnyGc<'gc> {
        // SAFETY: a live object of this region, of which no more is said.
        unsafe { Gc::from_object(self.object()) }
    }
}

impl<'gc> AnyGc<'gc> {
    /// The kind of the object.
    #[inline(always)]
    fn kind(self) -> Option<&'static ObjectKind> {
        // SAFETY: the object of a handle was handed out by the heap and lives (H1), so its arena
        // is mapped; the pointer is derived from the mapping (H3). No mark is written.
        unsafe { Location::of(self.object()) }.kind()
    }

    /// Whether the object is known to be a `T`. Two loads and a comparison.
    ///
    /// `false` for every `T` whose objects are neither traced nor dropped, unless it has a kind of its
    /// own ([`Trace::OWN_KIND`](crate::Trace::OWN_KIND)). So it is `false` for `str`, for `[u8]` and
    /// `u64`; text that is to be found again may be a `HeaderSlice<Text, u8>`, where `Text` is an
    /// empty type with `#[trace(own_kind)]`. `[T]` and `HeaderSlice<(), T>` are one type here.
    #[inline(always)]
    #[must_use]
    pub fn is<T: ?Sized + Payload>(self) -> bool {
        self.kind().is_some_and(|kind| kind.is_same_type(const { T::KIND }))
    }

    /// The object as a `T`; `None` if it is not known to be one: see [`AnyGc::is`].
    #[inline(always)]
    #[must_use]
    pub fn downcast<T: ?Sized + Payload>(self) -> Option<Gc<'gc, T::At<'gc>>> {
        // SAFETY: a live object of this region. It has the type that its kind names (K1, K4),
        // which is `T` in some region, given out in this one (AN2).
        self.is::<T>().then(|| unsafe { Gc::from_object(self.object()) })
    }

    /// The name of the object's type, for people; one name for all types that share pages.
    #[must_use]
    pub fn kind_name(self) -> &'static str {
        self.kind().map_or("", ObjectKind::name)
    }
}
