//! [`Gc`]: the handle. One word, `Copy`, followed at no cost.
//!
//! * H1: a `Gc<'gc, T>` exists only while its thread is inside the heap: `'gc`
//!   borrows the [`Cx`](crate::Cx), and every way to reach a safepoint takes
//!   `&mut Cx`, or makes the first `Cx` of the thread that can be named (X1). So its
//!   object is alive whenever the handle can be named.
//! * H2: it is neither `Send` nor `Sync`, and nothing that holds one is: a
//!   thread never sees handles of two heaps.
//! * H3: its pointer is derived from the arena's mapping, never from a
//!   reference to the payload, so the collector may reach the arena's tables
//!   through it (strict provenance).
//! * H4: `Option<Gc>` is one word too, and zero is `None`: the handle is a
//!   transparent wrapper of a non-null pointer.

use core::borrow::Borrow;
use core::cmp::Ordering;
use core::fmt;
use core::hash::{Hash, Hasher};
use core::marker::PhantomData;
use core::ops::Deref;
use core::ptr::NonNull;

use crate::payload::Payload;
use crate::printing;

/// A handle to an object in a heap, valid until the next safepoint.
///
/// It dereferences to its payload at no cost. It is one machine word, also for slices and
/// strings, whose length is in the heap; so is `Option<Gc>`.
///
/// `'gc` is the region: the time from one safepoint to the next. It borrows the
/// [`Cx`](crate::Cx). A [`Root`](crate::Root) or a [`Local`](crate::Local) holds an object
/// across safepoints.
///
/// `==`, `<` and hashing look at payloads; [`Gc::ptr_eq`], [`Gc::addr`] and
/// [`ByAddress`](crate::ByAddress) compare identities.
#[repr(transparent)]
pub struct Gc<'gc, T: ?Sized> {
    object: NonNull<u8>,
    /// Covariant in `'gc` and `T`, and the raw pointer makes it `!Send`/`!Sync`.
    region: PhantomData<(&'gc T, *mut ())>,
}

impl<T: ?Sized> Clone for Gc<'_, T> {
    #[inline(always)]
    fn clone(&self) -> Self {
        *self
    }
}
impl<T: ?Sized> Copy for Gc<'_, T> {}

impl<'gc, T: ?Sized> Gc<'gc, T> {
    /// Makes a handle from an object's address.
    ///
    /// # Safety
    ///
    /// `object` is the start of a live `T` in the heap that the current thread
    /// is inside of, derived from the arena's mapping (H3), and no safepoint of
    /// this thread happens within `'gc` (H1).
    #[inline(always)]
    pub(crate) unsafe fn from_object(object: NonNull<u8>) -> Self {
        Gc { object, region: PhantomData }
    }

    /// The start of the object.
    #[inline(always)]
    pub(crate) fn object(self) -> NonNull<u8> {
        self.object
    }

    /// The object's address. It never changes while the object lives, so it can
    /// be hashed.
    #[inline(always)]
    #[must_use]
    pub fn addr(self) -> usize {
        self.object.addr().get()
    }

    /// Whether both handles lead to the same object.
    #[inline(always)]
    #[must_use]
    pub fn ptr_eq(self, other: Self) -> bool {
        self.object == other.object
    }
}

impl<'gc, T: ?Sized + Payload> Gc<'gc, T> {
    /// The payload, borrowed for the whole region of the handle.
    #[inline(always)]
    #[must_use]
    #[expect(
        clippy::should_implement_trait,
        reason = "`as_ref` of a handle keeps the region; `AsRef` cannot"
    )]
    pub fn as_ref(self) -> &'gc T {
        // SAFETY: H1: the object is live and stays so for `'gc`.
        unsafe { T::from_thin(self.object) }
    }
}

impl<T: ?Sized + Payload> Deref for Gc<'_, T> {
    type Target = T;

    #[inline(always)]
    fn deref(&self) -> &T {
        // SAFETY: H1: `self` is borrowed within `'gc`.
        unsafe { T::from_thin(self.object) }
    }
}

/// Prints the payload, and what that leads to. A handle on an object that is being printed already,
/// or within 32 others, or after a thousand others, is printed as type and address: so cycles can
/// be printed, and an excerpt of what is large.
impl<T: ?Sized + Payload + fmt::Debug> fmt::Debug for Gc<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        printing::object(f, self.addr(), &**self)
    }
}

impl<T: ?Sized + Payload + fmt::Display> fmt::Display for Gc<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized> fmt::Pointer for Gc<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Pointer::fmt(&self.object, f)
    }
}

impl<T: ?Sized + Payload + PartialEq> PartialEq for Gc<'_, T> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}
impl<T: ?Sized + Payload + Eq> Eq for Gc<'_, T> {}

impl PartialEq<str> for Gc<'_, str> {
    fn eq(&self, other: &str) -> bool {
        **self == *other
    }
}
impl PartialEq<&str> for Gc<'_, str> {
    fn eq(&self, other: &&str) -> bool {
        **self == **other
    }
}
impl PartialEq<Gc<'_, str>> for str {
    fn eq(&self, other: &Gc<'_, str>) -> bool {
        *self == **other
    }
}
impl PartialEq<Gc<'_, str>> for &str {
    fn eq(&self, other: &Gc<'_, str>) -> bool {
        **self == **other
    }
}

impl<T: ?Sized + Payload + PartialOrd> PartialOrd for Gc<'_, T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        (**self).partial_cmp(&**other)
    }
}
impl<T: ?Sized + Payload + Ord> Ord for Gc<'_, T> {
    fn cmp(&self, other: &Self) -> Ordering {
        (**self).cmp(&**other)
    }
}

impl<T: ?Sized + Payload + Hash> Hash for Gc<'_, T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (**self).hash(state);
    }
}

/// Contents are compared and hashed, so a map with handles as keys is searched by content.
impl<T: ?Sized + Payload> Borrow<T> for Gc<'_, T> {
    #[inline(always)]
    fn borrow(&self) -> &T {
        self
    }
}
