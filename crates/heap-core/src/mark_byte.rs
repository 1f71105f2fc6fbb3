//! [`MarkByte`]: what a mark phase knows about one object. There is one for each granule of an
//! arena, in the arena's head; that of an object is the one of the granule in which it starts.
//!
//! | colour | byte | what it says |
//! |---|---|---|
//! | white | 0 | not reached so far |
//! | grey | 1 | reached, and still to be traced |
//! | awaited | 2 | not reached so far, and the key of an ephemeron whose value waits for that |
//! | black | 3 | reached, and traced or about to be, or there is nothing to trace in it |
//!
//! Bit 0 says *reached*. White is 0, because fresh memory from the system reads as zero and then
//! needs no preparation. What is said of white objects is true of awaited ones, but that the one
//! that marks them has to say so: so an ephemeron costs nothing where none waits.
//!
//! * M1: a mark byte has a colour; it is only non-white between the start of marking and the
//!   sweep of its span, and only awaited within a mark phase.
//!
//! The transitions, by whom, and what comes of two threads that make one at the same time:
//!
//! * [`mark_grey`](MarkByte::mark_grey), from white: a worker, or a mutator's write barrier, that
//!   finds the object. Both have found it; and one that is late turns a black object grey, which
//!   is then traced again.
//! * [`try_mark_black`](MarkByte::try_mark_black), from white: the worker that traces the page that
//!   the object lies on, and traces the object with it; the owner of a span, for new objects. Both
//!   trace it.
//! * [`mark_black`](MarkByte::mark_black), from grey: the worker that took the page, or the object,
//!   and traces it next; a page and an object have one taker. From white: whoever finds an object
//!   that holds no handles.
//! * [`await_mark`](MarkByte::await_mark), from white, and [`forget_await`](MarkByte::forget_await),
//!   back: the collector, while no worker marks and the world is stopped. So it is never lost
//!   between a worker's look and its store; two workers that mark an awaited object at the same time
//!   both find that it was, and both say so.
//! * `whiten`: the sweeper that has claimed the span, with no mark phase under way.
//!
//! So an object may be traced twice, and never zero times: tracing only reads, so twice is
//! harmless (MK2, decision 003), and marking needs no read-modify-write.
//!
//! ORDERING: all accesses are Relaxed. A mark byte publishes nothing but itself: what workers find
//! through an object was written before the world was stopped. That a grey object is traced
//! does need an order, between its mark and the flag of its page: the fences of
//! [`page_flag`](crate::page_flag). Sweepers see the colours that marking has left because the
//! world was stopped in between.
//!
//! Models: `loom_page_queue` here, with the flag, and `loom_awaited`; `loom_barrier` in the collector.

use core::ptr::NonNull;

use heap_sync::atomic::{AtomicPtr, AtomicU8, AtomicU32, Ordering};

use crate::geometry::{ARENA_MASK, ARENA_PAGES, GRANULE_SHIFT, PAGE_GRANULES};
use crate::prefetch::prefetch_later;

/// The states of an object in a mark phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Color {
    /// It has not been reached.
    White = 0,
    /// It was reached and must still be traced.
    Grey = 1,
    /// It has not been reached, and the value of an ephemeron waits for that.
    Awaited = 2,
    /// It was reached and needs no more tracing than it is about to get.
    Black = 3,
}

/// The bit of the colours that say that an object was reached.
const REACHED: u8 = 1;

/// What a marker has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// The object was reached before.
    Reached,
    /// It was white.
    White,
    /// It was awaited: the values that wait for it are reached now.
    Awaited,
}

/// The mark byte of an object.
#[derive(Debug)]
#[repr(transparent)]
pub struct MarkByte(AtomicU8);

/// The mark bytes of one page.
pub type PageMarks = [MarkByte; PAGE_GRANULES];

impl MarkByte {
    /// A mark byte of this colour.
    #[must_use]
    pub fn new(color: Color) -> MarkByte {
        MarkByte(AtomicU8::new(color as u8))
    }

    /// The byte, for the kernels that compare many.
    #[inline(always)]
    pub(crate) fn byte(&self) -> u8 {
        self.0.load(Ordering::Relaxed)
    }

    /// The colour; none is corruption (M1).
    #[must_use]
    pub(crate) fn color(&self) -> Option<Color> {
        let byte = self.byte();
        let all = [Color::White, Color::Grey, Color::Awaited, Color::Black];
        all.into_iter().find(|color| *color as u8 == byte)
    }

    /// Whether the object has not been reached: it is white or awaited.
    #[inline(always)]
    #[must_use]
    pub fn is_white(&self) -> bool {
        self.byte() & REACHED == 0
    }

    /// What a marker finds that comes to the object.
    #[inline(always)]
    #[must_use]
    pub fn find(&self) -> Found {
        // White first: for objects on the page that is traced, which are mostly white.
        let byte = self.byte();
        if byte == Color::White as u8 {
            Found::White
        } else if byte == Color::Awaited as u8 {
            Found::Awaited
        } else {
            Found::Reached
        }
    }

    /// The same, for a marker that mostly finds what was reached before. (An instruction for each
    /// edge: a twentieth of those of marking a graph.)
    #[inline(always)]
    #[must_use]
    pub fn find_again(&self) -> Found {
        let byte = self.byte();
        if byte & REACHED != 0 {
            Found::Reached
        } else if byte == Color::White as u8 {
            Found::White
        } else {
            Found::Awaited
        }
    }

    /// From white to awaited. No other thread marks meanwhile.
    pub fn await_mark(&self) {
        self.0.store(Color::Awaited as u8, Ordering::Relaxed);
    }

    /// From awaited to white; nothing, if it was reached since. Says whether it was awaited still.
    /// No other thread marks meanwhile.
    pub fn forget_await(&self) -> bool {
        let awaited = self.byte() == Color::Awaited as u8;
        if awaited {
            self.whiten();
        }
        awaited
    }

    /// Has the system put memory behind the byte, which stays as it is.
    pub(crate) fn touch(&self) {
        // A write, for which the system cannot use its page of zeros; compilers turn the `or` of
        // nothing into a read.
        let byte = self.byte();
        // ORDERING: Relaxed: nothing changes.
        let _ = self.0.compare_exchange(byte, byte, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// From white to grey: the object is found, and will be traced.
    #[inline(always)]
    pub fn mark_grey(&self) {
        self.0.store(Color::Grey as u8, Ordering::Relaxed);
    }

    /// To black: this worker traces the object next, or there is nothing to trace in it.
    #[inline(always)]
    pub fn mark_black(&self) {
        self.0.store(Color::Black as u8, Ordering::Relaxed);
    }

    /// Makes a white object black; returns what it was. A grey one stays grey: the
    /// worker that takes it will trace it.
    #[inline(always)]
    pub fn try_mark_black(&self) -> Found {
        // Not one access: two workers at the same time may both find it white, and both trace it.
        // Model: loom_page_queue::a_neighbour_is_traced.
        let found = self.find();
        if found != Found::Reached {
            self.mark_black();
        }
        found
    }

    /// To white: the object's span is swept.
    pub(crate) fn whiten(&self) {
        self.0.store(Color::White as u8, Ordering::Relaxed);
    }
}

/// Makes all mark bytes of a page white.
///
/// # Safety
///
/// No other thread accesses them: the caller has claimed the page's span, and no mark
/// phase is under way (M1).
pub(crate) unsafe fn whiten_page(marks: &PageMarks) {
    let bytes = core::ptr::from_ref(marks).cast::<u8>().cast_mut();
    // SAFETY: 512 bytes inside `UnsafeCell`s (atomics), and by the contract above there is no
    // concurrent access that a plain write could race with.
    unsafe { bytes.write_bytes(Color::White as u8, PAGE_GRANULES) };
}

/// Where the mark bytes begin in an arena: behind its tables by page, of which an entry is a flag,
/// the size of a slot, and two pointers. The arena checks it.
pub(crate) const MARKS_OFFSET: usize =
    ARENA_PAGES * (size_of::<AtomicU8>() + size_of::<AtomicU32>() + 2 * size_of::<AtomicPtr<()>>());

/// Whether an object has not been reached, for code that knows nothing of arenas.
///
/// # Safety
///
/// `object` was handed out by a heap, with provenance over its arena, which is mapped.
pub(crate) unsafe fn is_white(object: NonNull<u8>) -> bool {
    let address = object.addr().get();
    let at = (address & !ARENA_MASK) + MARKS_OFFSET + ((address & ARENA_MASK) >> GRANULE_SHIFT);
    // SAFETY: the mark byte of the object's granule, in the head of its arena.
    unsafe { &*object.as_ptr().with_addr(at).cast::<MarkByte>() }.is_white()
}

/// Prefetches the mark byte of an object, as [`prefetch_later`]: many edges are found
/// before the first of them is examined, more than the first-level cache has lines to wait
/// for.
#[inline(always)]
pub fn prefetch_mark(object: NonNull<u8>) {
    let address = object.addr().get();
    let at = (address & !ARENA_MASK) + MARKS_OFFSET + ((address & ARENA_MASK) >> GRANULE_SHIFT);
    prefetch_later(object.as_ptr().with_addr(at));
}
