//! Objects that share slots: the bump region of the kind `TINY` advances by the size of
//! the object. [`crate::tiny`] has the rule where an object is placed.

use core::ptr::NonNull;

use super::{Cache, table_index};
use crate::asan;
use crate::tiny::{TINY_CLASS, TinyLayout};

/// Key of the bump region that tiny objects come from.
#[inline(always)]
fn key() -> usize {
    TinyLayout::kind().address() + TINY_CLASS.index()
}

/// Unpoisons the slot of `object` from its start up to `end`: of each eight bytes the
/// sanitizer only knows how many of the first may be accessed.
#[inline(always)]
fn unpoison_to(end: *const u8, object: *const u8) {
    let before = object.addr() % TINY_CLASS.object_size();
    asan::unpoison(object.wrapping_sub(before), end.addr() - object.addr() + before);
}

impl Cache {
    /// Room for a tiny object, if the bump region has some. The heap never reads what is
    /// written there: the kind has no handles and no destructor.
    #[inline(always)]
    pub fn alloc_tiny(&mut self, layout: TinyLayout) -> Option<NonNull<u8>> {
        let key = key();
        let region = &mut self.regions[table_index(key)];
        let object = layout.place(region.cursor);
        // The bump region ends where a slot ends, and a tiny object ends within the slot in
        // which it starts (TN1): where it may start it fits.
        if region.key == key && object < region.end {
            region.cursor = object.wrapping_add(layout.bytes());
            unpoison_to(region.cursor, object);
            // SAFETY: below the bump region's end, within the heap.
            Some(unsafe { NonNull::new_unchecked(object) })
        } else {
            None
        }
    }

    /// The first slow path of [`Cache::alloc_tiny`]: room in a bump region that was not
    /// in its place. If there is none, the bump region's last slot is closed, and the
    /// next step is [`Cache::refill`] for a whole slot of the kind and class.
    pub fn reopen_for_tiny(&mut self, layout: TinyLayout) -> Option<NonNull<u8>> {
        let key = key();
        let index = *self.by_key.get(&key)?;
        self.load_region(key, index);
        self.alloc_tiny(layout).or_else(|| {
            let region = &mut self.regions[table_index(key)];
            region.cursor = region.end;
            None
        })
    }

    /// The second slow path: places an object of `layout` in a slot, and returns the rest of
    /// the slot to the bump region.
    ///
    /// # Safety
    ///
    /// Of the kind and class of tiny objects, this cache last handed out `slot`, as a whole.
    pub unsafe fn place_tiny(&mut self, slot: NonNull<u8>, layout: TinyLayout) {
        let region = &mut self.regions[table_index(key())];
        debug_assert_eq!(region.cursor, slot.as_ptr().wrapping_add(TINY_CLASS.object_size()));
        region.cursor = slot.as_ptr().wrapping_add(layout.bytes());
        asan::poison(slot.as_ptr(), TINY_CLASS.object_size());
        unpoison_to(region.cursor, slot.as_ptr());
    }
}
