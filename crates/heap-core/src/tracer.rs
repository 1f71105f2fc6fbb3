//! [`EdgeBuffer`] and [`Tracer`]: they give `trace` functions their objects and take the
//! handles that these hold.
//!
//! Objects are traced in a [`Batch`], the grey ones of a page. An edge to another
//! page goes into a buffer, and the mark byte of the target is prefetched, so
//! that it is in the cache by the time the marker looks at the edge.
//! The user of the buffer (the marker in `heap-gc`, the verifier) decides what
//! such an edge means. An edge to the page that is being traced need not go through the
//! buffer: its mark byte is in the cache already, so the tracer marks the object and adds it
//! to the batch ([`Neighbours::Trace`]).
//!
//! A [`Tracer`] is the part of a buffer that changes with every edge. It lives in
//! registers while a batch is traced; if it were kept in memory, each edge would wait for
//! the stores of the one before.
//!
//! A buffer grows while there is memory. When the program's allocator refuses, edges are *spilled*: the
//! user of the buffer marks them at once ([`Spill`]). What else tracing finds and has no memory for is
//! counted as lost ([`Finds`]), and found again by other means. So tracing needs no memory.
//!
//! * TR1: between opening and closing a tracer, its buffer is accessed
//!   through the tracer only, and the tracer stays with its buffer.
//! * TR2: a batch names every granule at most once. It is filled with distinct
//!   grey objects, which are black by the time they are traced; an object that joins it was
//!   white and is black from then on, and nothing turns white while a heap is
//!   marked (M1).
//! * TR3: a batch has no more objects than a page has granules. It follows from TR2, but no
//!   memory access depends on that: there are more places than granules, a place is masked
//!   to a number below `PLACES`, and the function that closes a tracer checks the length and
//!   ends the process if the batch is too long.

use core::ops::Range;
use core::ptr::NonNull;

use crate::corrupt;
use crate::geometry::{GRANULE_SHIFT, PAGE_GRANULES, PAGE_SIZE};
use crate::mark_byte::{Found, MarkByte, PageMarks, is_white, prefetch_mark};

/// Traces objects of one kind that start on one page.
///
/// Arguments: address of the page, and the buffer, which has the granules in which
/// the objects start and takes the edges. Called through [`EdgeBuffer::trace`].
pub type TraceBatchFn = unsafe fn(*const u8, &mut EdgeBuffer);

/// Traces part of a large object: object, first byte of the part, bytes of it.
pub type TracePieceFn = unsafe fn(NonNull<u8>, usize, usize, &mut EdgeBuffer);

/// A stretch of a large object, or of a large block of a stack, that is still to be scanned.
#[derive(Clone, Copy, Debug)]
pub struct Piece {
    /// The object, or the block.
    pub object: NonNull<u8>,
    /// First byte of the stretch, counted from there.
    pub from: usize,
    /// One past the last byte of the contents.
    pub end: usize,
    /// How the contents of a block are traced; none for an object, whose kind knows.
    pub trace: Option<TracePieceFn>,
}

impl PartialEq for Piece {
    fn eq(&self, other: &Piece) -> bool {
        (self.object, self.from, self.end) == (other.object, other.from, other.end)
    }
}

impl Eq for Piece {}

/// Bytes of a large object that are scanned at once: the size of a piece.
pub const PIECE_BYTES: usize = 64 << 10;

/// Objects of one page that are traced together, by the granules they start in.
#[derive(Debug)]
pub struct Batch {
    granules: Box<[u16; PLACES]>,
    len: usize,
}

/// Places in a batch: a power of two above the number of granules, so that a mask keeps a
/// place within the batch. (With a comparison instead, marking a tree took a tenth longer.)
const PLACES: usize = 2 * PAGE_GRANULES;
const _: () = assert!(PLACES.is_power_of_two());

impl Default for Batch {
    fn default() -> Self {
        Batch { granules: Box::new([0; PLACES]), len: 0 }
    }
}

impl Batch {
    /// An empty batch; none if the system refuses the memory.
    #[must_use]
    pub fn try_new() -> Option<Batch> {
        let mut granules = Vec::new();
        granules.try_reserve_exact(PLACES).ok()?;
        granules.resize(PLACES, 0);
        Some(Batch { granules: granules.into_boxed_slice().try_into().ok()?, len: 0 })
    }

    /// Adds the object that starts in `granule` and is not in the batch (TR2).
    #[inline(always)]
    pub fn push(&mut self, granule: usize) {
        debug_assert!(granule < PAGE_GRANULES, "no such granule");
        self.granules[self.len & (PLACES - 1)] = granule as u16;
        self.len += 1;
    }

    /// Number of objects.
    #[inline(always)]
    #[must_use]
    pub fn count(&self) -> usize {
        self.len
    }

    /// Checks TR3.
    #[inline(always)]
    fn check(&self) {
        if self.len > PAGE_GRANULES {
            overfull();
        }
    }

    /// Forgets all objects.
    #[inline(always)]
    pub fn clear(&mut self) {
        self.len = 0;
    }
}

/// The treatment of edges to objects on the page whose objects are traced.
#[derive(Clone, Copy, Debug)]
pub enum Neighbours<'a> {
    /// They are reported like any other edge.
    Report,
    /// A target that is white in these marks of the page turns black and joins the batch.
    Trace(&'a PageMarks),
}

/// An ephemeron's value that waits for its key: an edge once the key is reached, and nothing
/// before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pending {
    /// The start of the key, or a place in a slot that objects share.
    pub key: NonNull<u8>,
    /// An object that the value leads to; likewise.
    pub value: NonNull<u8>,
}

// SAFETY: addresses of objects; they are not followed here.
unsafe impl Send for Pending {}

/// An object, or a piece of a large one, with ephemerons whose keys are not reached: to be looked at
/// again when marking is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    /// The object that starts in this granule.
    Object(NonNull<u8>),
    /// A piece.
    Piece(Piece),
}

// SAFETY: as for `Pending`.
unsafe impl Send for Holder {}

/// The treatment of ephemerons.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Weakness {
    /// They keep nothing alive: what waits for a key, and what is to be cleared, is noted.
    #[default]
    Weak,
    /// Values of ephemerons are edges: for the write barrier, which reports what a cell ceases to
    /// hold.
    Values,
    /// So are keys: for the verifier.
    KeysAndValues,
    /// Marking is over: those whose keys were not reached are cleared, and nothing is an edge.
    Clear,
}

/// What becomes of an ephemeron that is traced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Fate {
    /// It stays as it is.
    Keep,
    /// Its key is dead: the `trace` that reported it forgets key and value.
    Clear,
}

/// What tracing has found that edges in a buffer cannot say.
#[derive(Debug, Default)]
pub struct Finds {
    /// Awaited objects that were marked.
    pub woken: Vec<NonNull<u8>>,
    /// Values that wait.
    pub pending: Vec<Pending>,
    /// What is to be looked at when marking is over.
    pub holders: Vec<Holder>,
    /// Whether there was no memory for one of these: all marked objects have to be traced again.
    pub weak_lost: bool,
    /// Whether there was no memory to queue a page: it is lost
    /// ([`page_flag`](crate::page_flag)).
    pub pages_lost: bool,
    /// Objects that were spilled and needed no tracing.
    pub spilled_objects: usize,
    /// Bytes of their slots.
    pub spilled_bytes: usize,
}

impl Finds {
    /// Whether there is something to take.
    #[inline(always)]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let is_noted = self.weak_lost | self.pages_lost | (self.spilled_objects != 0);
        self.woken.is_empty() && self.pending.is_empty() && self.holders.is_empty() && !is_noted
    }

    /// Notes that an awaited object was marked.
    #[cold]
    #[inline(never)]
    pub fn wake(&mut self, object: NonNull<u8>) {
        self.weak_lost |= !push(&mut self.woken, object);
    }

    /// Notes a value that waits.
    pub fn wait(&mut self, pending: Pending) {
        self.weak_lost |= !push(&mut self.pending, pending);
    }
}

/// Adds an item; says whether there was memory for it.
fn push<T>(list: &mut Vec<T>, item: T) -> bool {
    let has_room = list.len() < list.capacity() || list.try_reserve(1).is_ok();
    if has_room {
        list.push(item);
    }
    has_room
}

/// What becomes of edges for which there is no memory.
#[derive(Clone, Copy, Debug)]
pub struct Spill {
    run: SpillFn,
    context: *const (),
}

/// Takes an edge that found no room: marks the object, and notes in the finds what is to be noted.
pub type SpillFn = unsafe fn(context: *const (), object: NonNull<u8>, finds: &mut Finds);

impl Spill {
    /// A function, and what it is given.
    #[must_use]
    pub fn new(run: SpillFn, context: *const ()) -> Spill {
        Spill { run, context }
    }
}

/// Stands for "no page": no object is less than a page away from here.
const NOWHERE: usize = usize::MAX;

/// Collects the edges of the objects that are being traced.
#[derive(Debug)]
pub struct EdgeBuffer {
    edges: Vec<NonNull<u8>>,
    pieces: Vec<Piece>,
    /// The objects to trace; null while no batch is traced.
    batch: *mut Batch,
    /// Address of the page whose white objects join the batch, or `NOWHERE`.
    page: usize,
    /// The marks of that page.
    marks: *const MarkByte,
    weakness: Weakness,
    /// The page whose objects are traced, or the piece.
    traced: Holder,
    finds: Finds,
    spill: Option<Spill>,
}

// SAFETY: addresses of objects, and of a batch only while objects are traced; what edges are spilled to
// is for the user of the buffer, who says so where it is set (contract of `spill_to`).
unsafe impl Send for EdgeBuffer {}

impl Default for EdgeBuffer {
    fn default() -> Self {
        EdgeBuffer {
            edges: Vec::new(),
            pieces: Vec::new(),
            batch: core::ptr::null_mut(),
            page: NOWHERE,
            marks: core::ptr::null(),
            weakness: Weakness::Weak,
            traced: Holder::Object(NonNull::dangling()),
            finds: Finds::default(),
            spill: None,
        }
    }
}

impl EdgeBuffer {
    /// A buffer that treats ephemerons like this. It has no memory yet.
    #[must_use]
    pub fn of(weakness: Weakness) -> Self {
        EdgeBuffer { weakness, ..EdgeBuffer::default() }
    }

    /// Makes room for `capacity` edges, if the system has the memory.
    pub fn reserve(&mut self, capacity: usize) {
        if self.edges.capacity() < capacity {
            // Refusal leaves it as it was: edges are spilled sooner.
            let _ = self.edges.try_reserve_exact(capacity - self.edges.len());
        }
    }

    /// Sets what becomes of edges for which there is no memory. Without it, they end the process,
    /// except while ephemerons are cleared, when they mean nothing.
    ///
    /// # Safety
    ///
    /// Until the next call the function may be called with its context and any edge, on the thread
    /// that traces.
    pub unsafe fn spill_to(&mut self, spill: Option<Spill>) {
        self.spill = spill;
    }

    /// What was found beside edges.
    #[inline(always)]
    pub fn finds(&mut self) -> &mut Finds {
        &mut self.finds
    }

    /// Whether anything was found beside edges.
    #[inline(always)]
    #[must_use]
    pub fn has_finds(&self) -> bool {
        !self.finds.is_empty()
    }

    /// Traces the objects of the batch, which lie on `page`, and those that join
    /// it; afterwards the batch has them all.
    ///
    /// # Safety
    ///
    /// `trace` is that of an [`ObjectKind`](crate::kind::ObjectKind); every granule in the
    /// batch is the start of a live object of this kind on `page`, to which there are no
    /// writers. The marks, if given, are those of that page, and TR2 holds.
    #[inline]
    pub unsafe fn trace(
        &mut self,
        trace: TraceBatchFn,
        page: *const u8,
        batch: &mut Batch,
        neighbours: Neighbours<'_>,
    ) {
        self.batch = batch;
        if let Neighbours::Trace(marks) = neighbours {
            self.page = page.addr();
            self.marks = marks.as_ptr();
        }
        // A page is not at address zero.
        self.traced = Holder::Object(NonNull::new(page.cast_mut()).unwrap_or(NonNull::dangling()));
        // SAFETY: the caller's contract; an object that joins the batch is the target of a
        // handle, hence the start of a live object (K2), and has the kind of its
        // page (K1).
        unsafe { trace(page, self) };
        self.page = NOWHERE;
        self.batch = core::ptr::null_mut();
    }

    /// Traces a piece.
    ///
    /// # Safety
    ///
    /// `trace` is that of the piece, or of the kind of its object, which is alive and has no writers; the
    /// piece lies within its contents.
    #[inline]
    pub unsafe fn trace_piece(&mut self, trace: TracePieceFn, piece: Piece) {
        self.traced = Holder::Piece(piece);
        // SAFETY: forwarded from the caller.
        unsafe { trace(piece.object, piece.from, piece.end - piece.from, self) };
    }

    /// Calls `run` with a tracer of this buffer, for `trace` functions.
    ///
    /// # Panics
    ///
    /// If `run` has put another buffer's tracer in the place of its own (TR1).
    #[inline(always)]
    pub fn with_tracer(&mut self, run: impl FnOnce(&mut Tracer)) {
        // SAFETY: null, or the batch that `trace` has borrowed and that nothing else uses meanwhile.
        let (granules, found) = match unsafe { self.batch.as_mut() } {
            Some(batch) => {
                batch.check();
                (batch.granules.as_mut_ptr(), batch.len)
            }
            None => (core::ptr::null_mut(), 0),
        };
        let start = self.edges.as_mut_ptr();
        let mut tracer = Tracer {
            at: start.wrapping_add(self.edges.len()),
            end: start.wrapping_add(self.edges.capacity()),
            page: self.page,
            marks: self.marks,
            granules,
            traced: 0,
            found,
            buffer: self,
        };
        run(&mut tracer);
        let Tracer { at, found, buffer, .. } = tracer;
        assert!(core::ptr::eq(buffer, self), "TR1: a tracer has left its buffer");
        // SAFETY: as above.
        if let Some(batch) = unsafe { self.batch.as_mut() } {
            batch.len = found;
            batch.check();
        }
        // SAFETY: TR1, just seen: this is the tracer that was made above. It has written
        // all edges before `at`, which lies within the capacity.
        unsafe { self.edges.set_len(edges_between(self.edges.as_ptr(), at)) };
    }

    /// Takes an edge for which there is no room before `at`: makes room, or spills it. Returns the
    /// position of the next one and the end.
    ///
    /// # Safety
    ///
    /// TR1: a tracer of this buffer has written all edges before `at`. The edge is as for
    /// [`Tracer::edge`].
    #[cold]
    #[inline(never)]
    unsafe fn grow_and_push(
        &mut self,
        at: *const NonNull<u8>,
        object: NonNull<u8>,
    ) -> (*mut NonNull<u8>, *mut NonNull<u8>) {
        let len = edges_between(self.edges.as_ptr(), at);
        // SAFETY: by the contract, `len` edges are there.
        unsafe { self.edges.set_len(len) };
        if self.edges.try_reserve(len.max(64)).is_ok() {
            self.edges.push(object);
        } else {
            // SAFETY: forwarded from the caller.
            unsafe { self.spill(object) };
        }
        let start = self.edges.as_mut_ptr();
        let at = start.wrapping_add(self.edges.len());
        (at, start.wrapping_add(self.edges.capacity()))
    }

    /// An edge for which there is no memory.
    ///
    /// # Safety
    ///
    /// As [`Tracer::edge`].
    unsafe fn spill(&mut self, object: NonNull<u8>) {
        match self.spill {
            // SAFETY: the contract of `spill_to`.
            Some(Spill { run, context }) => unsafe { run(context, object, &mut self.finds) },
            None if self.weakness == Weakness::Clear => {}
            // The verifier, which keeps a list of all objects besides.
            None => std::alloc::handle_alloc_error(core::alloc::Layout::new::<NonNull<u8>>()),
        }
    }

    /// Makes pending values of some edges, and notes their holder, which starts in `granule` if it is
    /// not a piece.
    ///
    /// # Safety
    ///
    /// TR1: a tracer of this buffer has written all edges before the end of the range, and goes back
    /// to its start.
    #[cold]
    #[inline(never)]
    unsafe fn take_pending(&mut self, key: NonNull<u8>, edges: Range<usize>, granule: usize) {
        for at in edges {
            // SAFETY: by the contract, the edge is there.
            let value = unsafe { self.edges.as_ptr().add(at).read() };
            self.finds.wait(Pending { key, value });
        }
        let holder = match self.traced {
            Holder::Object(page) => {
                let start = page.as_ptr().wrapping_add(granule << GRANULE_SHIFT);
                // SAFETY: on a page, which is not at address zero.
                Holder::Object(unsafe { NonNull::new_unchecked(start) })
            }
            piece @ Holder::Piece(_) => piece,
        };
        if self.finds.holders.last() != Some(&holder) {
            self.finds.weak_lost |= !push(&mut self.finds.holders, holder);
        }
    }

    /// Number of edges reported and not yet taken.
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        self.edges.len()
    }

    /// The number of edges for which there is room.
    #[inline]
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.edges.capacity()
    }

    /// Whether there are no edges that were reported and not yet taken.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.edges.is_empty()
    }

    /// The edges reported and not yet taken.
    #[inline(always)]
    #[must_use]
    pub fn edges(&self) -> &[NonNull<u8>] {
        &self.edges
    }

    /// Forgets the edges.
    #[inline(always)]
    pub fn clear_edges(&mut self) {
        self.edges.clear();
    }

    /// Whether a stretch of a large object was deferred.
    #[inline(always)]
    #[must_use]
    pub fn has_pieces(&self) -> bool {
        !self.pieces.is_empty()
    }

    /// Takes one deferred stretch.
    #[inline]
    pub fn take_piece(&mut self) -> Option<Piece> {
        self.pieces.pop()
    }
}

/// Number of edges from `start` to `at`, both in the same buffer.
#[inline(always)]
fn edges_between(start: *const NonNull<u8>, at: *const NonNull<u8>) -> usize {
    (at.addr() - start.addr()) / size_of::<NonNull<u8>>()
}

/// Ends the process because TR3 is broken.
#[cold]
#[inline(never)]
fn overfull() -> ! {
    corrupt!("TR3: a page has led to more objects than it has granules");
}

/// The part of an [`EdgeBuffer`] that changes while objects are traced (TR1).
#[derive(Debug)]
pub struct Tracer {
    /// The position of the next edge, and the end of the buffer.
    at: *mut NonNull<u8>,
    end: *mut NonNull<u8>,
    page: usize,
    marks: *const MarkByte,
    /// The batch: its granules, how many were handed out, how many there are.
    granules: *mut u16,
    traced: usize,
    found: usize,
    buffer: *mut EdgeBuffer,
}

impl Tracer {
    /// The granule in which the next object of the batch starts.
    #[inline(always)]
    pub fn next_granule(&mut self) -> Option<usize> {
        if self.traced >= self.found {
            return None;
        }
        // SAFETY: TR1; `traced` is below `found`, which is below the number of places (TR3).
        let granule = unsafe { self.granules.add(self.traced).read() };
        self.traced += 1;
        Some(usize::from(granule))
    }

    /// Reports a handle to the start of a heap object.
    ///
    /// # Safety
    ///
    /// `object` is the start of a live object of the heap that is traced (K2), or lies in
    /// a slot that objects share; with provenance over its arena.
    #[inline(always)]
    pub unsafe fn edge(&mut self, object: NonNull<u8>) {
        let offset = object.addr().get().wrapping_sub(self.page);
        if offset < PAGE_SIZE {
            // SAFETY: the object starts on `page`, which is therefore not `NOWHERE`.
            unsafe { self.neighbour(object, offset >> GRANULE_SHIFT) };
            return;
        }
        prefetch_mark(object);
        if self.at == self.end {
            // SAFETY: TR1: the buffer is there as long as its tracer, and this
            // method has written every edge before `at`; the edge is the caller's.
            (self.at, self.end) = unsafe { (*self.buffer).grow_and_push(self.at, object) };
            return;
        }
        // SAFETY: `at` is before the end of the buffer.
        unsafe {
            self.at.write(object);
            self.at = self.at.add(1);
        }
    }

    /// An edge to an object on the page that is traced: if the object is white, it joins the
    /// batch.
    ///
    /// # Safety
    ///
    /// `page` is not `NOWHERE`, and the object lies in `granule` of that page.
    #[inline(always)]
    unsafe fn neighbour(&mut self, object: NonNull<u8>, granule: usize) {
        // SAFETY: `page` is not `NOWHERE`, so `marks` are the marks of a page (contract of
        // `trace`), and there is one for this granule.
        let mark = unsafe { &*self.marks.add(granule) };
        match mark.find() {
            Found::White => {
                mark.mark_black();
                // SAFETY: TR1; `found` is below the number of places: it was when the tracer was
                // made, and is masked whenever it grows (TR3).
                unsafe { self.granules.add(self.found).write(granule as u16) };
                self.found = (self.found + 1) & (PLACES - 1);
            }
            Found::Reached => {}
            Found::Awaited => {
                mark.mark_black();
                // SAFETY: as above.
                unsafe { self.granules.add(self.found).write(granule as u16) };
                self.found = (self.found + 1) & (PLACES - 1);
                // SAFETY: TR1: the buffer is there; its finds are no part of the tracer.
                unsafe { (*self.buffer).finds.wake(object) };
            }
        }
    }

    /// Reports an ephemeron: `report_value` reports its value, which is held only while
    /// `key` is held by something else. Called while the object is traced that holds the ephemeron.
    ///
    /// # Safety
    ///
    /// `key` is as for [`Tracer::edge`], or an object that was found dead and not swept.
    /// `report_value` only reports. The caller does what the result says.
    #[inline]
    pub unsafe fn ephemeron(
        &mut self,
        key: NonNull<u8>,
        report_value: impl FnOnce(&mut Self),
    ) -> Fate {
        // SAFETY: TR1: the buffer is there.
        match unsafe { (*self.buffer).weakness } {
            Weakness::Weak => {}
            Weakness::Values => {
                report_value(self);
                return Fate::Keep;
            }
            Weakness::KeysAndValues => {
                // SAFETY: forwarded from the caller; the verifier looks when nothing is dead.
                unsafe { self.edge(key) };
                report_value(self);
                return Fate::Keep;
            }
            Weakness::Clear => {
                // SAFETY: forwarded from the caller.
                let is_dead = unsafe { is_white(key) };
                return if is_dead { Fate::Clear } else { Fate::Keep };
            }
        }
        // SAFETY: forwarded from the caller.
        if !unsafe { is_white(key) } {
            report_value(self);
            return Fate::Keep;
        }
        // What the value reports goes to the end of the buffer, also neighbours, and is taken from
        // there again.
        let page = core::mem::replace(&mut self.page, NOWHERE);
        let before = self.count();
        report_value(self);
        self.page = page;
        let after = self.count();
        self.at = self.at.wrapping_sub(after - before);
        // Of a piece, or of what is no object of a batch, nothing is asked.
        let granule = match self.traced.checked_sub(1) {
            // SAFETY: TR1; the object of the batch that is being traced.
            Some(at) => unsafe { self.granules.add(at).read() },
            None => 0,
        };
        // SAFETY: TR1: the edges before `after` are written, and `at` is back at `before`.
        unsafe { (*self.buffer).take_pending(key, before..after, usize::from(granule)) };
        Fate::Keep
    }

    /// Number of edges in the buffer.
    #[inline]
    fn count(&self) -> usize {
        // SAFETY: TR1: the buffer is there.
        edges_between(unsafe { (*self.buffer).edges.as_ptr() }, self.at)
    }

    /// Whether stretches of blocks may be deferred, and whether there is anything to find in values that
    /// hold no ephemerons.
    #[inline]
    #[must_use]
    pub fn weakness(&self) -> Weakness {
        // SAFETY: TR1: the buffer is there.
        unsafe { (*self.buffer).weakness }
    }

    /// Defers a stretch of a large object, or, while objects are [marked](Weakness::Weak), of a block.
    ///
    /// # Errors
    ///
    /// If there is no memory to note it: then it is to be traced now.
    ///
    /// # Safety
    ///
    /// `piece.object` is as for [`Tracer::edge`], of a kind with a
    /// [`TracePieceFn`], and the stretch lies within its contents. Or it is a large block of a stack, of
    /// which [that is noted](crate::stack::StackBlock::note_pieces), so that it is returned to nobody
    /// else before the mark phase ends (SK7), and the stretch has values that `piece.trace` may be called
    /// for until then.
    #[cold]
    #[inline(never)]
    pub unsafe fn defer(&mut self, piece: Piece) -> Result<(), Piece> {
        // SAFETY: TR1: the buffer is there; its pieces are no part of the tracer.
        match push(unsafe { &mut (*self.buffer).pieces }, piece) {
            true => Ok(()),
            false => Err(piece),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::GRANULE;
    use crate::mark_byte::Color;
    use proptest::prelude::*;

    /// An object of one granule.
    #[repr(C, align(16))]
    struct Object([Option<NonNull<u8>>; 2]);
    const _: () = assert!(size_of::<Object>() == GRANULE);

    #[repr(C, align(8192))]
    struct Page([Object; PAGE_GRANULES]);
    const _: () = assert!(align_of::<Page>() == PAGE_SIZE);

    const PAGES: usize = 2;
    const OBJECTS: usize = PAGES * PAGE_GRANULES;

    fn heap(edges: &[[Option<usize>; 2]]) -> Vec<Page> {
        let empty = || Page(core::array::from_fn(|_| Object([None; 2])));
        let mut pages: Vec<Page> = (0..PAGES).map(|_| empty()).collect();
        let start = NonNull::from(&mut pages[..]).cast::<u8>();
        for (index, edges) in edges.iter().enumerate() {
            // SAFETY: indices are below `OBJECTS`.
            let to = edges.map(|edge| edge.map(|index| unsafe { start.add(index * GRANULE) }));
            // SAFETY: as above.
            unsafe { start.add(index * GRANULE).cast::<Object>().write(Object(to)) };
        }
        pages
    }

    /// # Safety
    ///
    /// As [`TraceBatchFn`], for a page of objects.
    unsafe fn trace_objects(page: *const u8, buffer: &mut EdgeBuffer) {
        buffer.with_tracer(|tracer| {
            while let Some(granule) = tracer.next_granule() {
                // SAFETY: a page of objects.
                let object = unsafe { &*page.cast::<Object>().add(granule) };
                for edge in object.0.into_iter().flatten() {
                    // SAFETY: the start of an object.
                    unsafe { tracer.edge(edge) };
                }
            }
        });
    }

    /// How often each object is traced when marking starts at the first, and how
    /// many edges are reported.
    fn mark(pages: &[Page], trace_neighbours: bool) -> (Vec<usize>, usize) {
        let start = NonNull::from(pages).cast::<u8>();
        let index_of = |object: NonNull<u8>| (object.addr().get() - start.addr().get()) / GRANULE;
        let marks: [PageMarks; PAGES] =
            core::array::from_fn(|_| core::array::from_fn(|_| MarkByte::new(Color::White)));
        let (mut buffer, mut batch) = (EdgeBuffer::default(), Batch::default());
        let (mut traced, mut reported, mut stack) = (vec![0; OBJECTS], 0, vec![start]);
        while let Some(object) = stack.pop() {
            let (page, granule) =
                (index_of(object) / PAGE_GRANULES, index_of(object) % PAGE_GRANULES);
            if marks[page][granule].try_mark_black() == Found::Reached {
                continue;
            }
            batch.clear();
            batch.push(granule);
            let neighbours = match trace_neighbours {
                true => Neighbours::Trace(&marks[page]),
                false => Neighbours::Report,
            };
            let address = core::ptr::from_ref(&pages[page]).cast();
            // SAFETY: all granules of the page are objects, the marks are the
            // page's, and the object was white.
            unsafe { buffer.trace(trace_objects, address, &mut batch, neighbours) };
            for granule in &batch.granules[..batch.count()] {
                traced[page * PAGE_GRANULES + usize::from(*granule)] += 1;
            }
            reported += buffer.len();
            let mut edges = buffer.edges().iter();
            assert!(!trace_neighbours || edges.all(|e| index_of(*e) / PAGE_GRANULES != page));
            stack.extend(buffer.edges());
            buffer.clear_edges();
        }
        (traced, reported)
    }

    fn edge() -> impl Strategy<Value = Option<usize>> {
        prop_oneof![1 => Just(None), 3 => (0..OBJECTS).prop_map(Some)]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn tracing_neighbours_reaches_what_reporting_them_reaches(
            edges in prop::collection::vec([edge(), edge()], OBJECTS)
        ) {
            let pages = heap(&edges);
            let (simple, _) = mark(&pages, false);
            prop_assert!(simple.iter().all(|times| *times <= 1));
            prop_assert_eq!(mark(&pages, true).0, simple);
        }
    }

    #[test]
    fn a_chain_within_a_page_reports_no_edge() {
        let edges: Vec<_> =
            (0..PAGE_GRANULES).map(|i| [(i + 1 < PAGE_GRANULES).then_some(i + 1), None]).collect();
        let pages = heap(&edges);
        let (traced, reported) = mark(&pages, true);
        assert_eq!((traced.iter().sum::<usize>(), reported), (PAGE_GRANULES, 0));
        let (traced, reported) = mark(&pages, false);
        assert_eq!((traced.iter().sum::<usize>(), reported), (PAGE_GRANULES, PAGE_GRANULES - 1));
    }

    #[test]
    fn only_white_neighbours_join() {
        let pages = heap(&[[Some(1), Some(2)], [Some(3), None], [Some(3), None], [None, None]]);
        let marks: PageMarks = core::array::from_fn(|_| MarkByte::new(Color::White));
        marks[0].mark_black();
        marks[1].mark_grey();
        let (mut buffer, mut batch) = (EdgeBuffer::default(), Batch::default());
        batch.push(0);
        let page = core::ptr::from_ref(&pages[0]).cast();
        // SAFETY: as in `mark`.
        unsafe { buffer.trace(trace_objects, page, &mut batch, Neighbours::Trace(&marks)) };
        assert_eq!(batch.granules[..batch.count()], [0, 2, 3]);
        assert!(buffer.is_empty());
        // The grey one is another worker's, or in the queue: it stays grey.
        let after: Vec<_> = marks[..4].iter().filter_map(MarkByte::color).collect();
        assert_eq!(after, [Color::Black, Color::Grey, Color::Black, Color::Black]);
    }

    /// Reports the first object over and over, with marks that stay white: as a heap would
    /// have them that broke M1.
    ///
    /// # Safety
    ///
    /// As [`trace_objects`]; the marks are those of a test.
    unsafe fn trace_white_marks(page: *const u8, buffer: &mut EdgeBuffer) {
        buffer.with_tracer(|tracer| {
            while tracer.next_granule().is_some() {
                // SAFETY: the test's marks, one page of them.
                let marks = unsafe { &*tracer.marks.cast::<PageMarks>() };
                marks[0].whiten();
                let first = NonNull::new(page.cast_mut()).expect("a page");
                // SAFETY: the start of an object.
                unsafe { tracer.edge(first) };
            }
        });
    }

    /// Runs a test again in a process of its own, in which `damage` ends it. Returns what
    /// that process said.
    fn last_words(damage: impl FnOnce()) -> String {
        const CHILD: &str = "HEAP_TRACER_CHILD";
        if std::env::var_os(CHILD).is_some() {
            damage();
            std::process::exit(0);
        }
        let child = processes::this_test().env(CHILD, "1").output().expect("this program runs");
        let said = String::from_utf8_lossy(&child.stderr).into_owned();
        assert!(!child.status.success(), "it went on: {said}");
        said
    }

    #[test]
    fn a_batch_has_an_end_also_if_marks_are_wrong() {
        let said = last_words(|| {
            let pages = heap(&[]);
            let marks: PageMarks = core::array::from_fn(|_| MarkByte::new(Color::White));
            let (mut buffer, mut batch) = (EdgeBuffer::default(), Batch::default());
            batch.push(1);
            let page = core::ptr::from_ref(&pages[0]).cast();
            let neighbours = Neighbours::Trace(&marks);
            // SAFETY: breaks TR2 on purpose: no memory depends on it (TR3).
            unsafe { buffer.trace(trace_white_marks_of_many, page, &mut batch, neighbours) };
        });
        assert!(said.contains("heap corruption: TR3"), "{said}");
    }

    /// The same, but not without end.
    ///
    /// # Safety
    ///
    /// As [`trace_white_marks`].
    unsafe fn trace_white_marks_of_many(page: *const u8, buffer: &mut EdgeBuffer) {
        buffer.with_tracer(|tracer| {
            let first = NonNull::new(page.cast_mut()).expect("a page");
            for _ in 0..PAGE_GRANULES + 1 {
                // SAFETY: the test's marks, one page of them.
                let marks = unsafe { &*tracer.marks.cast::<PageMarks>() };
                marks[0].whiten();
                // SAFETY: the start of an object.
                unsafe { tracer.edge(first) };
            }
        });
    }

    #[test]
    fn a_cursor_stays_within_its_batch() {
        let pages = heap(&[]);
        let marks: PageMarks = core::array::from_fn(|_| MarkByte::new(Color::White));
        let (mut buffer, mut batch) = (EdgeBuffer::default(), Batch::default());
        batch.push(1);
        let page = core::ptr::from_ref(&pages[0]).cast();
        // SAFETY: breaks TR2 on purpose: no memory depends on it (TR3).
        unsafe { buffer.trace(trace_white_marks, page, &mut batch, Neighbours::Trace(&marks)) };
        assert_eq!(batch.count(), 0, "the places have come round");
    }

    #[test]
    fn a_batch_that_is_too_long_is_not_traced() {
        let said = last_words(|| {
            let (mut buffer, mut batch) = (EdgeBuffer::default(), Batch::default());
            (0..=PLACES).for_each(|i| batch.push(i % PAGE_GRANULES));
            let pages = heap(&[]);
            let page = core::ptr::from_ref(&pages[0]).cast();
            // SAFETY: breaks TR2 on purpose: no memory depends on it (TR3).
            unsafe { buffer.trace(trace_objects, page, &mut batch, Neighbours::Report) };
        });
        assert!(said.contains("heap corruption: TR3"), "{said}");
    }

    #[test]
    #[should_panic(expected = "TR1")]
    fn cursors_are_not_exchanged() {
        let (mut one, mut other) = (EdgeBuffer::default(), EdgeBuffer::default());
        other.reserve(1000);
        one.with_tracer(|a| other.with_tracer(|b| core::mem::swap(a, b)));
    }

    #[test]
    fn edges_survive_growth() {
        let edges: Vec<_> = (0..PAGE_GRANULES).map(|i| [Some(i), Some(OBJECTS - 1)]).collect();
        let pages = heap(&edges);
        let (mut buffer, mut batch) = (EdgeBuffer::default(), Batch::default());
        (0..PAGE_GRANULES).for_each(|granule| batch.push(granule));
        let page = core::ptr::from_ref(&pages[0]).cast();
        // SAFETY: as in `mark`.
        unsafe { buffer.trace(trace_objects, page, &mut batch, Neighbours::Report) };
        let wanted: Vec<_> = pages[0].0.iter().flat_map(|o| o.0).flatten().collect();
        assert_eq!(buffer.edges(), wanted);
    }
}
