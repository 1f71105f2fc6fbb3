//! [`ClassCounts`]: the objects allocated and freed of one kind and size class.
//!
//! Counted when a span changes hands (a mutator gives it back, a sweeper has swept
//! it), never by the allocation of an object: one short lock per span.
//!
//! * Z3: allocated - freed of a kind and class = the objects counted in its spans
//!   ([`Body::counted`](crate::mspan::Body::counted)); its pages are those of its
//!   spans.
//!
//! A reader that locks sees both totals of one moment. Pages change under the
//! heap's page lock only; a thread that holds that lock sees pages, spans and slots of
//! one moment, and at least as many slots as counted objects: a span is added
//! before its first object, and its last object is subtracted before the span.

use heap_sync::atomic::{AtomicUsize, Ordering};
use heap_sync::lock::Mutex;

/// Objects and bytes that were allocated and freed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// Objects allocated.
    pub allocated_objects: u64,
    /// Bytes of their slots.
    pub allocated_bytes: u64,
    /// Objects that sweeping found dead.
    pub freed_objects: u64,
    /// Bytes of their slots.
    pub freed_bytes: u64,
}

impl Counted {
    /// Objects that are not known to be dead.
    #[must_use]
    pub fn live_objects(&self) -> u64 {
        self.allocated_objects - self.freed_objects
    }

    /// Bytes of the slots of those objects.
    #[must_use]
    pub fn live_bytes(&self) -> u64 {
        self.allocated_bytes - self.freed_bytes
    }
}

impl core::ops::AddAssign for Counted {
    fn add_assign(&mut self, other: Counted) {
        self.allocated_objects += other.allocated_objects;
        self.allocated_bytes += other.allocated_bytes;
        self.freed_objects += other.freed_objects;
        self.freed_bytes += other.freed_bytes;
    }
}

/// The counts of one kind and size class.
#[derive(Debug, Default)]
pub struct ClassCounts {
    objects: Mutex<Counted>,
    spans: AtomicUsize,
    pages: AtomicUsize,
}

impl ClassCounts {
    /// Counts objects that were handed out of a span that comes back.
    pub(crate) fn allocated(&self, objects: usize, slot_bytes: usize) {
        if objects > 0 {
            let mut counted = self.objects.lock();
            counted.allocated_objects += objects as u64;
            counted.allocated_bytes += (objects * slot_bytes) as u64;
        }
    }

    /// Counts objects that a sweep has freed.
    pub(crate) fn freed(&self, objects: usize, slot_bytes: usize) {
        if objects > 0 {
            let mut counted = self.objects.lock();
            counted.freed_objects += objects as u64;
            counted.freed_bytes += (objects * slot_bytes) as u64;
        }
    }

    /// A span was added. Under the page lock.
    pub(crate) fn grew(&self, pages: usize) {
        // ORDERING: Relaxed: counts, changed and read under the page lock.
        self.spans.fetch_add(1, Ordering::Relaxed);
        self.pages.fetch_add(pages, Ordering::Relaxed);
    }

    /// A span was taken away. Under the page lock.
    pub(crate) fn shrank(&self, pages: usize) {
        // ORDERING: as `grew`.
        self.spans.fetch_sub(1, Ordering::Relaxed);
        self.pages.fetch_sub(pages, Ordering::Relaxed);
    }

    /// The objects, of one moment.
    #[must_use]
    pub(crate) fn objects(&self) -> Counted {
        *self.objects.lock()
    }

    /// Pages of spans.
    pub(crate) fn pages(&self) -> usize {
        self.pages.load(Ordering::Relaxed)
    }

    /// Spans and their pages; of one moment under the page lock.
    #[must_use]
    pub(crate) fn spans_and_pages(&self) -> (usize, usize) {
        (self.spans.load(Ordering::Relaxed), self.pages.load(Ordering::Relaxed))
    }
}
