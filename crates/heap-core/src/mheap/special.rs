//! Specials of objects: see [`crate::specials`].

use core::ptr::NonNull;

use super::MHeap;
use crate::location::Location;
use crate::mspan::SweepClaim;
use crate::specials::{AddError, Fate, Special, SpecialKind, Specials};

impl MHeap {
    /// The specials of the span that an object is in.
    ///
    /// # Safety
    ///
    /// `object` is the start of an object of this heap, and the caller holds it
    /// alive and is inside.
    unsafe fn specials_of(&self, object: NonNull<u8>) -> Option<&Specials> {
        // SAFETY: an object of this heap.
        let span = unsafe { Location::of(object) }.span()?;
        // SAFETY: Y3.
        Some(unsafe { span.as_ref() }.specials())
    }

    /// Adds a special to an object.
    ///
    /// # Errors
    ///
    /// If the object has one of this kind, or there is no memory.
    ///
    /// # Safety
    ///
    /// `object` is the start of an object of this heap, and the caller holds it
    /// alive and is inside.
    pub unsafe fn add_special(
        &self,
        object: NonNull<u8>,
        kind: SpecialKind,
        data: usize,
    ) -> Result<(), AddError> {
        // SAFETY: forwarded from the caller.
        let specials = unsafe { self.specials_of(object) };
        specials.map_or(Err(AddError::OutOfMemory), |list| list.add(Special { object, kind, data }))
    }

    /// The data of an object's special.
    ///
    /// # Safety
    ///
    /// As [`MHeap::add_special`].
    #[must_use]
    pub unsafe fn special(&self, object: NonNull<u8>, kind: SpecialKind) -> Option<usize> {
        // SAFETY: forwarded from the caller.
        unsafe { self.specials_of(object) }?.get(object, kind)
    }

    /// Removes a special from an object; returns its data.
    ///
    /// # Safety
    ///
    /// As [`MHeap::add_special`].
    pub unsafe fn remove_special(&self, object: NonNull<u8>, kind: SpecialKind) -> Option<usize> {
        // SAFETY: forwarded from the caller.
        unsafe { self.specials_of(object) }?.remove(object, kind)
    }

    /// Calls `visit` with every special in the heap, for roots: a collector marks what can be
    /// reached from an object with a finalizer, but not the object itself (SP3).
    ///
    /// # Safety
    ///
    /// As [`MHeap::find_object`].
    pub unsafe fn each_special(&self, mut visit: impl FnMut(&Special)) {
        // SAFETY: forwarded from the caller.
        unsafe {
            self.each_span(|span, _| {
                if span.specials().any() {
                    span.specials().usage().iter().for_each(&mut visit);
                }
            });
        }
    }

    /// Takes the queue of specials whose objects sweeping has found dead. Those of
    /// one object are in order (SP2). An object that had a finalizer is alive
    /// until the next mark phase; the others are freed.
    #[must_use]
    pub fn take_fired(&self) -> Vec<Special> {
        core::mem::take(&mut *self.fired.lock())
    }

    /// Queues the specials of the dead objects of a span that is about to be swept.
    #[cold]
    pub(super) fn fire_specials(&self, claim: &SweepClaim<'_>) {
        let location = Location::of_span(claim.body());
        // Marking is over, and the span is ours.
        let mark = |object: NonNull<u8>| location.arena().mark_byte(object.addr().get());
        let mut fired = self.fired.lock();
        claim.specials().fire(
            &mut fired,
            |object| if mark(object).is_white() { Fate::Dead } else { Fate::Live },
            |object| mark(object).mark_black(),
        );
    }
}
