//! [`AllocateBlack`]: objects that are made while an incremental mark phase is under way and mutators run.
//!
//! Such a mark phase finds what was reachable when it began. What is made later counts as
//! reachable until the next one. (The snapshot at the beginning: Yuasa, "Real-time
//! garbage collection on general-purpose machines", 1990. Go marks new objects too, each
//! as it is allocated.)
//!
//! Allocation does not know of it. The caches are empty when such a mark phase begins, so
//! what a span in a cache has handed out since it was cached is new; and a span passes
//! through here when it leaves the cache.
//!
//! * M4: when a mark phase ends during which mutators ran, the objects that were made
//!   meanwhile are marked. They need not be traced: what they hold was reachable when
//!   marking began, or is new as well.
//!
//! Called by the owner of the span, at any time; begun and ended with the world stopped.

use heap_sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::arena::Arena;
use crate::mspan::Body;
use crate::tracer::try_mark_black;

/// Whether new objects are marked, and how many were.
#[derive(Debug, Default)]
pub(super) struct AllocateBlack {
    wanted: AtomicBool,
    objects: AtomicUsize,
    bytes: AtomicUsize,
}

impl AllocateBlack {
    /// Whether an incremental mark phase is under way.
    #[inline(always)]
    pub(super) fn is_on(&self) -> bool {
        // ORDERING: Relaxed, here and where it changes: that is done with the world
        // stopped, and leaving a safepoint synchronises with whoever stopped it.
        self.wanted.load(Ordering::Relaxed)
    }

    pub(super) fn begin(&self) {
        self.wanted.store(true, Ordering::Relaxed);
    }

    pub(super) fn end(&self) -> (usize, usize) {
        self.wanted.store(false, Ordering::Relaxed);
        // ORDERING: Relaxed: the world is stopped.
        (self.objects.swap(0, Ordering::Relaxed), self.bytes.swap(0, Ordering::Relaxed))
    }

    /// Marks what was handed out of the span since it was cached. A large object is all
    /// there is in its span.
    #[cold]
    pub(super) fn mark(&self, body: &Body) {
        let mut objects = 0;
        for slot in body.handed_out() {
            let start = body.slot(slot);
            // SAFETY: a slot of this heap, which is mapped.
            let arena = unsafe { Arena::of(start) };
            let mark = arena.mark_byte(start.addr().get());
            // Nobody marks while mutators run, but for those that make an object grey;
            // and what is grey already will be traced, which is enough.
            objects += usize::from(try_mark_black(mark));
        }
        self.objects.fetch_add(objects, Ordering::Relaxed);
        self.bytes.fetch_add(objects * body.slot_bytes, Ordering::Relaxed);
    }
}
