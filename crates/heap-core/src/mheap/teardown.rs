//! The end of a heap: the destructors of what is still in it, and its memory.

use core::ptr::NonNull;

use super::MHeap;
use crate::mspan::{Body, Span};
use crate::sweep;

impl MHeap {
    /// Destroys all objects and gives back the memory that held them. The heap is
    /// left for the owners of stack blocks.
    ///
    /// # Safety
    ///
    /// There is no mutator and no sweeper, and no object is allocated or used any more.
    pub(crate) unsafe fn destroy(&self) {
        // SAFETY: forwarded from the caller.
        for (record, body) in unsafe { self.drop_objects() } {
            // SAFETY: Y3; as above, the central lists are not read any more.
            unsafe { record.as_ref().discard() };
            // SAFETY: it is dead now, and covered these pages.
            unsafe { self.free_pages(record, &body) };
        }
        self.release_idle();
    }

    /// Runs the destructors of everything that is still in the heap. Returns the spans
    /// that held it.
    ///
    /// # Safety
    ///
    /// As [`MHeap::destroy`]. The objects are not dropped a second time.
    unsafe fn drop_objects(&self) -> Vec<(NonNull<Span>, Body)> {
        let mut spans = Vec::new();
        // SAFETY: forwarded from the caller.
        unsafe { self.each_span(|span, body| spans.push((NonNull::from(span), *body))) };
        // Unswept spans hold objects that are dead but not yet dropped; their slots count
        // as allocated, so they are dropped here.
        for (_, body) in &spans {
            let Some(drop) = body.kind.drop_in_place else { continue };
            for slot in (0..body.nelems).filter(|i| body.is_allocated(*i)) {
                // SAFETY: an allocated slot holds an initialised object, dropped
                // once: the heap's memory goes away next.
                if unsafe { sweep::drop_object(drop, body.slot(slot)) } {
                    self.stats.drop_panics.add(1);
                }
            }
        }
        spans
    }
}

impl Drop for MHeap {
    fn drop(&mut self) {
        // SAFETY: `&mut self`: there is no other user of the heap, and its memory goes
        // away next. After `destroy` there is nothing left to drop.
        drop(unsafe { self.drop_objects() });
        let centrals = self.centrals.get_mut();
        for central in centrals.all.drain(..) {
            // SAFETY: made by `Box::leak` in `central`, dropped once.
            drop(unsafe { Box::from_raw(central.as_ptr()) });
        }
    }
}
