//! Objects that share slots: the window of the kind `TINY` moves on by the size of
//! the object. Where an object goes is the rule of [`crate::tiny`].

use core::ptr::NonNull;

use super::{Cache, place};
use crate::asan;
use crate::tiny::{TINY_CLASS, TinyLayout};

/// Key of the window that tiny objects come from.
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
    /// Room for a tiny object, if the window has some. Nobody looks at what is written there:
    /// the kind has no handles and no destructor.
    #[inline(always)]
    pub fn alloc_tiny(&mut self, layout: TinyLayout) -> Option<NonNull<u8>> {
        let key = key();
        let window = &mut self.windows[place(key)];
        let object = layout.place(window.cursor);
        // The window ends where a slot ends, and a tiny object ends within the slot in
        // which it starts (TN1): where it may start it fits.
        if window.key == key && object < window.end {
            window.cursor = object.wrapping_add(layout.bytes());
            unpoison_to(window.cursor, object);
            // SAFETY: below the window's end, within the heap.
            Some(unsafe { NonNull::new_unchecked(object) })
        } else {
            None
        }
    }

    /// The first slow half of [`Cache::alloc_tiny`]: room in a window that was not
    /// in its place. If there is none, the window's last slot is closed, and the
    /// next step is [`Cache::refill`] for a whole slot of the kind and class.
    pub fn reopen_for_tiny(&mut self, layout: TinyLayout) -> Option<NonNull<u8>> {
        let key = key();
        let index = *self.by_key.get(&key)?;
        self.bring_in(key, index);
        self.alloc_tiny(layout).or_else(|| {
            let window = &mut self.windows[place(key)];
            window.cursor = window.end;
            None
        })
    }

    /// The second slow half: a slot goes to `layout`, and what the tiny object leaves of it back
    /// to the window.
    ///
    /// # Safety
    ///
    /// The last thing that this cache handed out of the kind and class of tiny objects is `slot`,
    /// as a whole.
    pub unsafe fn place_tiny(&mut self, slot: NonNull<u8>, layout: TinyLayout) {
        let window = &mut self.windows[place(key())];
        debug_assert_eq!(window.cursor, slot.as_ptr().wrapping_add(TINY_CLASS.object_size()));
        window.cursor = slot.as_ptr().wrapping_add(layout.bytes());
        asan::poison(slot.as_ptr(), TINY_CLASS.object_size());
        unpoison_to(window.cursor, slot.as_ptr());
    }
}
