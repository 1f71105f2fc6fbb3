//! [`AllocateBlack`]: objects that are allocated during an incremental mark phase, in which
//! mutators run.
//!
//! Such a mark phase finds what was reachable when it began. Later objects count as reachable
//! until the next one. (Snapshot-at-the-beginning marking: Yuasa, "Real-time garbage
//! collection on general-purpose machines", 1990. Go marks new objects too, each as it is
//! allocated.)
//!
//! Allocation itself is not changed. The caches are empty when such a mark phase begins, so
//! the slots that a span in a cache has handed out since it was cached are new; and they are
//! marked here when the span leaves the cache.
//!
//! * M4: when an incremental mark phase ends, the objects that were allocated during it are
//!   marked. They need not be traced: what they hold was reachable when marking began, or is
//!   new as well.
//!
//! `mark` is called by the owner of the span, and `mark_one` by any mutator, at any time; `begin` and `end` with the world
//! stopped.

use heap_sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::location::Location;
use crate::mark_byte::Found;
use crate::mspan::Body;

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
        // stopped, and leaving a safepoint synchronises with the thread that stopped it.
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

    /// Marks the slots that were handed out of the span since it was cached. The span of a
    /// large object has one slot.
    #[cold]
    pub(super) fn mark(&self, body: &Body) {
        let location = Location::of_span(body);
        let mut objects = 0;
        for slot in body.handed_out() {
            let mark = location.arena().mark_byte(body.slot(slot).addr().get());
            // While mutators run, only write barriers mark, and make objects grey; an object
            // that is grey already will be traced, which is sufficient.
            // A new object is not awaited: it was marked before it became a key (I6).
            objects += usize::from(mark.try_mark_black() != Found::Reached);
        }
        self.count(objects, body.slot_bytes);
    }

    /// Marks an object sooner.
    #[cold]
    pub(super) fn mark_one(&self, object: Location) {
        if object.mark().try_mark_black() != Found::Reached {
            self.count(1, object.slot_bytes());
        }
    }

    fn count(&self, objects: usize, slot_bytes: usize) {
        self.objects.fetch_add(objects, Ordering::Relaxed);
        self.bytes.fetch_add(objects * slot_bytes, Ordering::Relaxed);
    }
}
