//! Owned roots: a table of objects that are alive because somebody holds an
//! entry of it.
//!
//! Entries carry the object's address themselves, so reading one takes no lock;
//! the table is for the collector. Entries may outlive the heap.
//!
//! * R1: an object is in the table from the creation of an entry until its drop.

use std::ptr::NonNull;
use std::sync::Arc;

use heap_sync::lock::Mutex;

/// The roots of one heap.
#[derive(Debug, Default)]
pub(crate) struct RootSet {
    slots: Mutex<Slots>,
}

#[derive(Debug, Default)]
struct Slots {
    objects: Vec<Option<NonNull<u8>>>,
    free: Vec<u32>,
}

// SAFETY: the pointers are only data here; they are followed by the collector.
unsafe impl Send for Slots {}

impl RootSet {
    fn add(&self, object: NonNull<u8>) -> u32 {
        let mut slots = self.slots.lock();
        if let Some(index) = slots.free.pop() {
            slots.objects[index as usize] = Some(object);
            return index;
        }
        let index = u32::try_from(slots.objects.len()).expect("fewer than 2^32 roots");
        slots.objects.push(Some(object));
        index
    }

    /// Calls `visit` with every rooted object.
    pub(crate) fn each(&self, mut visit: impl FnMut(NonNull<u8>)) {
        self.slots.lock().objects.iter().flatten().for_each(|object| visit(*object));
    }

    /// Number of roots.
    pub(crate) fn len(&self) -> usize {
        let slots = self.slots.lock();
        slots.objects.len() - slots.free.len()
    }
}

/// One root. Dropping it, on any thread, ends it.
#[derive(Debug)]
pub struct RootEntry {
    set: Arc<RootSet>,
    index: u32,
    object: NonNull<u8>,
}

// SAFETY: an address and an index into a locked table.
unsafe impl Send for RootEntry {}
// SAFETY: `&RootEntry` reads its own fields only.
unsafe impl Sync for RootEntry {}

impl RootEntry {
    /// Roots an object.
    pub(crate) fn new(set: &Arc<RootSet>, object: NonNull<u8>) -> RootEntry {
        RootEntry { set: Arc::clone(set), index: set.add(object), object }
    }

    /// The object.
    #[inline(always)]
    #[must_use]
    pub fn object(&self) -> NonNull<u8> {
        self.object
    }

    /// Names another object.
    pub fn set(&mut self, object: NonNull<u8>) {
        self.object = object;
        self.set.slots.lock().objects[self.index as usize] = Some(object);
    }

    /// The table that the root is in.
    #[inline(always)]
    #[must_use]
    pub(crate) fn table(&self) -> *const RootSet {
        Arc::as_ptr(&self.set)
    }
}

impl Clone for RootEntry {
    fn clone(&self) -> Self {
        RootEntry::new(&self.set, self.object)
    }
}

impl Drop for RootEntry {
    fn drop(&mut self) {
        let mut slots = self.set.slots.lock();
        slots.objects[self.index as usize] = None;
        slots.free.push(self.index);
        if slots.objects.len() > 1024 && slots.free.len() == slots.objects.len() {
            // The last root: a table that was large once is given back.
            *slots = Slots::default();
        }
    }
}
