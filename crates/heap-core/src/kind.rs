//! [`ObjectKind`]: what the heap knows about the type of a span's objects.
//!
//! A span holds objects of one kind, so objects carry no header: the kind of an
//! object is a table look-up on its page. The kind is an opaque vtable made by
//! the layer above; this crate only stores it and calls through it.
//!
//! * K1: a slot of a span is only ever read as the kind of that span.
//! * K2: `trace_batch` and `trace_piece` report every handle that the object
//!   holds, and nothing else.
//! * K3: kinds are `'static` and never change.

use core::fmt;
use core::ptr::NonNull;

use crate::tracer::Tracer;

/// Traces objects of one kind that start on one page.
///
/// Arguments: address of the page, and the tracer, which has the granules in which
/// the objects start and takes the edges. Called through [`Tracer::trace`].
pub type TraceBatchFn = unsafe fn(*const u8, &mut Tracer);

/// Traces part of a large object: object, first byte of the part, bytes of it.
pub type TracePieceFn = unsafe fn(NonNull<u8>, usize, usize, &mut Tracer);

/// Runs the destructor of one object in place.
pub type DropFn = unsafe fn(NonNull<u8>);

/// The vtable of a type of heap objects.
///
/// Aligned so that the low seven bits of its address are free: the allocation
/// cache adds a size class to the address to form its key.
#[repr(C, align(128))]
pub struct ObjectKind {
    /// Name for people: statistics, heap dumps, verification errors.
    pub name: fn() -> &'static str,
    /// How to find the handles in objects of this kind; `None` when there are
    /// none ("noscan"): such objects are marked and never queued.
    pub trace_batch: Option<TraceBatchFn>,
    /// How to trace a stretch of a large object, for kinds whose objects can be
    /// large enough to be scanned in pieces.
    pub trace_piece: Option<TracePieceFn>,
    /// Destructor of one object; `None` when dropping is a no-op, in which case
    /// sweeping never touches the object's memory.
    pub drop_in_place: Option<DropFn>,
}

impl ObjectKind {
    /// `true` when objects of this kind hold no handles.
    #[inline]
    #[must_use]
    pub fn is_noscan(&self) -> bool {
        self.trace_batch.is_none()
    }

    /// `true` when several objects of this kind may share a slot: a handle may then
    /// lead to the middle of one (see [`crate::tiny`]).
    #[inline]
    #[must_use]
    pub fn shares_slots(&self) -> bool {
        core::ptr::eq(self, &raw const TINY)
    }

    /// Address of the kind, its identity within a process.
    #[inline]
    #[must_use]
    pub fn address(&'static self) -> usize {
        core::ptr::from_ref(self).addr()
    }
}

impl fmt::Debug for ObjectKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ObjectKind")
            .field("name", &(self.name)())
            .field("noscan", &self.is_noscan())
            .field("drops", &self.drop_in_place.is_some())
            .finish()
    }
}

/// The one kind shared by all types without handles and without drop glue, but for
/// those of [`TINY`].
pub static NOSCAN: ObjectKind =
    ObjectKind { name: || "noscan", trace_batch: None, trace_piece: None, drop_in_place: None };

/// The kind of the small types of that sort whose objects share slots: see
/// [`crate::tiny`].
pub static TINY: ObjectKind =
    ObjectKind { name: || "tiny", trace_batch: None, trace_piece: None, drop_in_place: None };
