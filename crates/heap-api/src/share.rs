//! [`Share`] says which objects several mutators may reach. For leaves, atomics and tuples it is
//! implemented beside `Trace`, in `impls`.

use core::marker::PhantomData;
use std::collections::VecDeque;

use crate::gc::Gc;
use crate::payload::{HeaderSlice, Payload};

/// Objects that several mutators of one heap may reach at the same time.
///
/// `Sync` cannot express it: if a type with handles were `Sync`, a thread inside another
/// heap could read handles out of it. Derive it with `#[derive(Trace, Share)]`: every field
/// must be `Share`.
///
/// # Safety
///
/// All access through `&Self` is free of data races; every handle leads to a
/// `Share` type.
pub unsafe trait Share {
    /// Never called. In derived implementations its body makes the compiler check each field.
    #[doc(hidden)]
    fn check_fields(&self) {}
}

// SAFETY: a handle is copied by value and leads to a shareable object.
unsafe impl<T: ?Sized + Payload + Share> Share for Gc<'_, T> {}
// SAFETY: as its elements: no interior mutability of its own.
unsafe impl<T: Share> Share for [T] {}
// SAFETY: as its elements.
unsafe impl<T: Share, const N: usize> Share for [T; N] {}
// SAFETY: as its content.
unsafe impl<T: Share> Share for Option<T> {}
// SAFETY: as whichever side is present.
unsafe impl<T: Share, E: Share> Share for Result<T, E> {}
// SAFETY: as its content.
unsafe impl<T: ?Sized + Share> Share for Box<T> {}
// SAFETY: as its elements.
unsafe impl<T: Share> Share for Vec<T> {}
// SAFETY: as its elements.
unsafe impl<T: Share> Share for VecDeque<T> {}
// SAFETY: no data at all.
unsafe impl<T: ?Sized + 'static> Share for PhantomData<T> {}
// SAFETY: immutable bytes.
unsafe impl Share for str {}
// SAFETY: as its parts.
unsafe impl<H: Share, T: Share> Share for HeaderSlice<H, T> {}
