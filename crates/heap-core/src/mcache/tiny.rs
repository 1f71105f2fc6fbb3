//! Objects that share slots: the bump region of the kind `TINY` moves on by the size of
//! the object. Where an object goes is the rule of [`crate::tiny`].

use core::ptr::NonNull;

use super::{Cache, table_index};
use crate::asan;
use crate::tiny::{TINY_CLASS, TinyLayout};

/// Key of the bump region that tiny objects come from.
#[inline(always)]
fn key() -> usize {
    TinyLayout::kind().address() + TINY_CLASS.index()
}

/// Lets the slot of `object` be used up to `end`. From its start: the sanitizer
/// remembers of each eight bytes only how many of the first may be used.
#[inline(always)]
fn unpoison_to(end: *const u8, object: *const u8) {
    let before = object.addr() % TINY_CLASS.object_size();
    asan::unpoison(object.wrapping_sub(before), end.addr() - object.addr() + before);
}

impl Cache {
    /// Room for a tiny object, if the bump region has some. Nobody looks at what is written there:
    /// the kind has no handles and no destructor.
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

    /// The first slow half of [`Cache::alloc_tiny`]: room in a bump region that was not
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

    /// The second slow half: a slot goes to `layout`, and what the tiny object leaves of it back
    /// to the bump region.
    ///
    /// # Safety
    ///
    /// The last thing that this cache handed out of the kind and class of tiny objects is `slot`,
    /// as a whole.
    pub unsafe fn place_tiny(&mut self, slot: NonNull<u8>, layout: TinyLayout) {
        let region = &mut self.regions[table_index(key())];
        debug_assert_eq!(region.cursor, slot.as_ptr().wrapping_add(TINY_CLASS.object_size()));
        region.cursor = slot.as_ptr().wrapping_add(layout.bytes());
        asan::poison(slot.as_ptr(), TINY_CLASS.object_size());
        unpoison_to(region.cursor, slot.as_ptr());
    }
}
