//! Memory that objects own outside of the heap: [`ExternalBytes`], a charge that ends with its
//! object, and [`External`], a value with the charge for what it owns.

use core::cell::RefCell;
use core::fmt;
use core::ops::Deref;

use heap_gc::ExternalCharge;

use crate::cx::Cx;
use crate::error::{AllocError, OutOfMemory};
use crate::impls::Opaque;
use crate::local::LocalOpaque;
use crate::trace::{Trace, Tracer};

/// A field that says how many bytes its object owns outside of the heap: with `malloc`, in a
/// file mapping, in a graphics card, or what a file handle costs.
///
/// The heap does not see that memory, and yet only a collection finds the objects that own it.
/// Charged bytes therefore pace collections as bytes of the heap do. They show in
/// [`Stats::external_bytes`](crate::Stats::external_bytes) and, by type, in
/// [`Heap::external_usage`](crate::Heap::external_usage); they count towards the limit if
/// [`Config::limit_external`](crate::Config::limit_external) says so. The charge ends when the object
/// is dropped, or the value itself.
///
/// ```
/// use heap_api::{Config, Cx, ExternalBytes, Heap, Opaque, Trace};
///
/// #[derive(Trace)]
/// struct Image {
///     pixels: Opaque<Box<[u32]>>, // say
///     external: ExternalBytes,
/// }
///
/// let heap = Heap::new(Config::new());
/// let mut cx = heap.enter();
/// let image = Image {
///     pixels: Opaque(vec![0; 100_000].into()),
///     external: cx.external_bytes::<Image>(400_000),
/// };
/// cx.alloc(image);
/// assert_eq!(heap.stats().external_bytes, 400_000);
/// cx.collect();
/// assert_eq!(heap.stats().external_bytes, 0);
/// ```
pub struct ExternalBytes(ExternalCharge);

impl ExternalBytes {
    /// The bytes that are charged.
    #[must_use]
    pub fn get(&self) -> usize {
        self.0.bytes()
    }

    /// Says how many bytes it is now.
    ///
    /// # Panics
    ///
    /// As [`ExternalBytes::try_set`] returns an error; and if `cx` belongs to another heap.
    #[track_caller]
    pub fn set(&self, cx: &Cx, bytes: usize) {
        if let Err(reason) = self.try_set(cx, bytes) {
            crate::alloc::out_of_memory(reason);
        }
    }

    /// Says how many bytes it is now.
    ///
    /// # Errors
    ///
    /// If external bytes count towards the limit and these exceed it: the charge is as it was.
    ///
    /// # Panics
    ///
    /// If `cx` belongs to another heap.
    pub fn try_set(&self, cx: &Cx, bytes: usize) -> Result<(), OutOfMemory> {
        cx.mutator().recharge_external(&self.0, bytes)
    }
}

impl fmt::Debug for ExternalBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ExternalBytes").field(&self.get()).finish()
    }
}

// SAFETY: counters, without handles (TA1); `'static`, one type in all regions (TA2, TA6), and
// `Send` (TA4).
unsafe impl Trace for ExternalBytes {
    type At<'a> = ExternalBytes;
    const NEEDS_TRACE: bool = false;
    #[inline(always)]
    fn trace(&self, _: &mut Tracer) {}
}

impl Cx {
    /// Charges bytes that an object of type `T` owns outside of the heap.
    ///
    /// # Panics
    ///
    /// As [`Cx::try_external_bytes`] returns an error.
    #[must_use = "dropping it ends the charge"]
    #[track_caller]
    pub fn external_bytes<T: 'static>(&self, bytes: usize) -> ExternalBytes {
        match self.try_external_bytes::<T>(bytes) {
            Ok(charge) => charge,
            Err(reason) => crate::alloc::out_of_memory(reason),
        }
    }

    /// Charges bytes that an object of type `T` owns outside of the heap.
    ///
    /// # Errors
    ///
    /// If external bytes count towards the limit
    /// ([`Config::limit_external`](crate::Config::limit_external)) and these exceed it. As with an
    /// allocation, a collection may make room.
    pub fn try_external_bytes<T: 'static>(
        &self,
        bytes: usize,
    ) -> Result<ExternalBytes, OutOfMemory> {
        self.mutator().charge_external::<T>(bytes).map(ExternalBytes)
    }
}

/// What a value owns outside of the heap, in bytes.
///
/// The bytes behind its pointers, not those of the value itself, which is in the heap.
pub trait ExternalSize {
    /// The bytes, at present.
    fn external_size(&self) -> usize;
}

impl<T> ExternalSize for Vec<T> {
    fn external_size(&self) -> usize {
        self.capacity() * size_of::<T>()
    }
}

impl<T> ExternalSize for std::collections::VecDeque<T> {
    fn external_size(&self) -> usize {
        self.capacity() * size_of::<T>()
    }
}

impl<K, V, S> ExternalSize for std::collections::HashMap<K, V, S> {
    fn external_size(&self) -> usize {
        // One byte of control for each place.
        self.capacity() * (size_of::<(K, V)>() + 1)
    }
}

impl<T: ?Sized> ExternalSize for Box<T> {
    fn external_size(&self) -> usize {
        size_of_val(&**self)
    }
}

impl ExternalSize for String {
    fn external_size(&self) -> usize {
        self.capacity()
    }
}

impl<T: ExternalSize> ExternalSize for Option<T> {
    fn external_size(&self) -> usize {
        self.as_ref().map_or(0, T::external_size)
    }
}

impl<T: ExternalSize> ExternalSize for RefCell<T> {
    fn external_size(&self) -> usize {
        self.borrow().external_size()
    }
}

impl<T: ExternalSize + Send + 'static> ExternalSize for Opaque<T> {
    fn external_size(&self) -> usize {
        self.0.external_size()
    }
}

impl<T: ExternalSize + 'static> ExternalSize for LocalOpaque<T> {
    fn external_size(&self) -> usize {
        (**self).external_size()
    }
}

/// A value with the charge for what it owns outside of the heap.
///
/// ```
/// use std::cell::RefCell;
/// use heap_api::{Config, External, Heap, Opaque};
///
/// let heap = Heap::new(Config::new());
/// let cx = heap.enter();
/// let text = cx.alloc(External::new(&cx, String::from("on the heap of the process")));
/// assert_eq!(&**text, "on the heap of the process");
/// // Something that grows, and says so.
/// let buffer = cx.alloc(External::new(&cx, RefCell::new(Vec::<u8>::new())));
/// buffer.borrow_mut().resize(10_000, 0);
/// buffer.update(&cx);
/// assert!(heap.stats().external_bytes > 10_000);
/// // A foreign resource, at a price of the program's own.
/// let file = Opaque(std::io::stdin());
/// let file = cx.alloc(External::with_bytes(&cx, file, 1024));
/// assert_eq!(file.bytes(), 1024);
/// ```
#[derive(heap_derive::Trace)]
pub struct External<T> {
    value: T,
    bytes: ExternalBytes,
}

impl<T: Trace> External<T> {
    /// A value, charged for what it says that it owns.
    ///
    /// # Panics
    ///
    /// As [`External::try_new`] returns an error.
    #[track_caller]
    pub fn new(cx: &Cx, value: T) -> External<T>
    where
        T: ExternalSize,
    {
        crate::alloc::or_panic(External::try_new(cx, value))
    }

    /// A value, charged for what it says that it owns; or the value back.
    ///
    /// # Errors
    ///
    /// As [`Cx::try_external_bytes`].
    pub fn try_new(cx: &Cx, value: T) -> Result<External<T>, AllocError<T>>
    where
        T: ExternalSize,
    {
        let bytes = value.external_size();
        External::try_with_bytes(cx, value, bytes)
    }

    /// A value, charged for as many bytes as the caller says.
    ///
    /// # Panics
    ///
    /// As [`External::try_new`] returns an error.
    #[track_caller]
    pub fn with_bytes(cx: &Cx, value: T, bytes: usize) -> External<T> {
        crate::alloc::or_panic(External::try_with_bytes(cx, value, bytes))
    }

    /// A value, charged for as many bytes as the caller says; or the value back.
    ///
    /// # Errors
    ///
    /// As [`Cx::try_external_bytes`].
    pub fn try_with_bytes(cx: &Cx, value: T, bytes: usize) -> Result<External<T>, AllocError<T>> {
        match cx.try_external_bytes::<T::At<'static>>(bytes) {
            Ok(bytes) => Ok(External { value, bytes }),
            Err(reason) => Err(AllocError { value, reason }),
        }
    }

    /// The bytes that are charged.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes.get()
    }

    /// The charge, for a value whose size is known to the caller.
    #[must_use]
    pub fn charge(&self) -> &ExternalBytes {
        &self.bytes
    }

    /// Charges what the value owns now.
    ///
    /// # Panics
    ///
    /// As [`External::try_update`] returns an error, or panics.
    #[track_caller]
    pub fn update(&self, cx: &Cx)
    where
        T: ExternalSize,
    {
        self.bytes.set(cx, self.value.external_size());
    }

    /// Charges what the value owns now.
    ///
    /// # Errors
    ///
    /// As [`ExternalBytes::try_set`].
    ///
    /// # Panics
    ///
    /// If `cx` belongs to another heap; and if a `RefCell` is mutably borrowed.
    pub fn try_update(&self, cx: &Cx) -> Result<(), OutOfMemory>
    where
        T: ExternalSize,
    {
        self.bytes.try_set(cx, self.value.external_size())
    }
}

impl<T> Deref for External<T> {
    type Target = T;
    #[inline(always)]
    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: fmt::Debug> fmt::Debug for External<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("External")
            .field("value", &self.value)
            .field("bytes", &self.bytes.get())
            .finish()
    }
}
