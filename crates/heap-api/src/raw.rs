//! Handles as raw pointers, for words that are a handle or something else by their bits.
//!
//! * RW1: a raw handle is the address and the provenance of a handle: that of its object, derived
//!   from the arena's mapping (H3), without a region. The maker of a handle from it says which.

use core::ptr::NonNull;

use crate::gc::Gc;
use crate::trace::Tracer;

impl<'gc, T: ?Sized> Gc<'gc, T> {
    /// The handle as a pointer, for tagged words and NaN boxes that a hand-written
    /// [`Trace`](crate::Trace) takes apart: see [`Tracer::report_raw`].
    ///
    /// It keeps nothing alive by itself. There is nothing to release.
    ///
    /// * **Low bits.** The address of a slice, of a string, and of an object that has sixteen bytes or
    ///   more, that is traced or dropped, or that has a kind of its own is a multiple of eight, whatever
    ///   the alignment of its type. That of other objects is a multiple of their alignment only.
    /// * **High bits.** It is an address as the system gives them out to programs: below 2<sup>47</sup> on
    ///   x86-64, and below 2<sup>48</sup> on AArch64.
    /// * **Provenance.** The collector reaches its tables through the pointer. So a word that holds
    ///   it is a pointer with other bits in its address (`map_addr` keeps the
    ///   provenance, and whatever is no handle is made with
    ///   [`without_provenance`](core::ptr::without_provenance)); or it is a number that was exposed
    ///   (`expose_provenance`), of which
    ///   [`with_exposed_provenance`](core::ptr::with_exposed_provenance) makes the pointer again. A
    ///   number that was made in another way, by `addr` or by a transmutation, is not enough.
    #[inline(always)]
    #[must_use]
    pub fn into_raw(self) -> NonNull<u8> {
        self.object()
    }

    /// The handle of which [`Gc::into_raw`] has made `object`, in the region `'gc`.
    ///
    /// # Safety
    ///
    /// * `object` has the address and the provenance of what [`Gc::into_raw`] returned, for a handle
    ///   to a `T` in some region: of a `Gc<'_, T::At<'_>>`.
    /// * The object is alive: since there was a handle, or since it was last known to be
    ///   reachable, there was no safepoint. So it is if `object` is in a value that reports it
    ///   ([`Tracer::report_raw`]), which a handle of region `'gc` leads to.
    /// * The thread is inside the heap of the object, and there is no safepoint within `'gc`: it borrows
    ///   the [`Cx`](crate::Cx), or is the region of the value that `object` is in.
    /// * `T` is of region `'gc`: `T::At<'gc>` is `T`.
    #[inline(always)]
    #[must_use]
    pub unsafe fn from_raw(object: NonNull<u8>) -> Gc<'gc, T> {
        // SAFETY: forwarded from the caller.
        unsafe { Gc::from_object(object) }
    }
}

impl Tracer {
    /// Reports a handle that a value holds in a form of its own, as the pointer that [`Gc::into_raw`]
    /// returned.
    ///
    /// Cells of such values need no more than this: [`GcCell`](crate::GcCell),
    /// [`GcRefCell`](crate::GcRefCell) and [`GcStack`](crate::GcStack) run the barrier, which
    /// traces what they hold.
    ///
    /// ```
    /// use core::marker::PhantomData;
    /// use core::ptr::{self, NonNull};
    /// use heap_api::{Config, Gc, GcCell, Heap, Trace, Tracer};
    ///
    /// /// An integer of 63 bits, or a text. A text's address is a multiple of eight: its lowest bit
    /// /// tells which.
    /// #[derive(Clone, Copy)]
    /// struct Word<'gc> {
    ///     bits: *mut u8,
    ///     region: PhantomData<Gc<'gc, str>>,
    /// }
    ///
    /// impl<'gc> Word<'gc> {
    ///     fn integer(value: isize) -> Self {
    ///         let bits = ptr::without_provenance_mut((value << 1 | 1) as usize);
    ///         Word { bits, region: PhantomData }
    ///     }
    ///
    ///     fn text(text: Gc<'gc, str>) -> Self {
    ///         Word { bits: text.into_raw().as_ptr(), region: PhantomData }
    ///     }
    ///
    ///     fn pointer(self) -> Option<NonNull<u8>> {
    ///         NonNull::new(self.bits).filter(|bits| bits.addr().get() & 1 == 0)
    ///     }
    ///
    ///     fn get(self) -> Result<isize, Gc<'gc, str>> {
    ///         match self.pointer() {
    ///             None => Ok(self.bits.addr() as isize >> 1),
    ///             // SAFETY: made of a handle to a text, in this region; `trace` reports it.
    ///             Some(text) => Err(unsafe { Gc::from_raw(text) }),
    ///         }
    ///     }
    /// }
    ///
    /// // SAFETY: the one handle is reported; `At` replaces the lifetime; there is no `Drop`.
    /// unsafe impl Trace for Word<'_> {
    ///     type At<'a> = Word<'a>;
    ///     const NEEDS_TRACE: bool = true;
    ///     fn trace(&self, tracer: &mut Tracer) {
    ///         if let Some(text) = self.pointer() {
    ///             // SAFETY: made of a handle to a text.
    ///             unsafe { tracer.report_raw(text) };
    ///         }
    ///     }
    /// }
    ///
    /// let heap = Heap::new(Config::new());
    /// let mut cx = heap.enter();
    /// let cell = cx.root(cx.alloc(GcCell::new(Word::integer(-7))));
    /// assert_eq!(cell.get(&cx).get().get().ok(), Some(-7));
    /// cell.get(&cx).set(&cx, Word::text(cx.alloc_str("seven")));
    /// cx.collect();
    /// assert_eq!(cell.get(&cx).get().get().unwrap_err().as_ref(), "seven");
    /// ```
    ///
    /// # Safety
    ///
    /// `object` has the address and the provenance of what [`Gc::into_raw`] returned, for a handle to
    /// an object of any type. The value that is traced holds it in the sense of
    /// [`Trace`](crate::Trace): it was put there while there was such a handle, in the region of the value,
    /// and each time that the value is traced it is reported.
    #[inline(always)]
    pub unsafe fn report_raw(&mut self, object: NonNull<u8>) {
        // SAFETY: as a handle would report itself (RW1): a value that is traced is in a marked
        // object of the heap, which was reachable when marking began or is new, so what it holds is
        // alive.
        unsafe { self.edge(object) };
    }
}
