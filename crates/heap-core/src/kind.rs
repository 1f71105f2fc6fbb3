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
//! * K4: a kind that names a type is the kind of objects of that type only. So an object whose
//!   kind names a type is one of that type. The identity is that of the type, not the
//!   address of the kind: a constant may have several addresses.
//!
//! The maker of a kind answers for K2 and K4 ([`ObjectKind::new`] and [`ObjectKind::of_type`] are
//! unsafe), the allocating code for K1.

use core::any::TypeId;
use core::fmt;
use core::ptr::NonNull;

use crate::tracer::{TraceBatchFn, TracePieceFn};

/// Runs the destructor of one object in place.
pub type DropFn = unsafe fn(NonNull<u8>);

/// The vtable of a type of heap objects.
///
/// Aligned so that the low seven bits of its address are free: the allocation
/// cache adds a size class to the address to form its key.
#[repr(C, align(128))]
pub struct ObjectKind {
    pub(crate) name: fn() -> &'static str,
    pub(crate) trace_batch: Option<TraceBatchFn>,
    pub(crate) trace_piece: Option<TracePieceFn>,
    pub(crate) drop_in_place: Option<DropFn>,
    pub(crate) type_id: Option<TypeId>,
}

impl ObjectKind {
    /// A kind of objects.
    ///
    /// * `name`: for people: statistics, heap dumps, verification errors.
    /// * `trace_batch`: how to find the handles in objects of this kind; `None` when there
    ///   are none ("noscan"): such objects are marked and never queued.
    /// * `trace_piece`: how to trace a stretch of a large object, for kinds whose objects
    ///   can be large enough to be scanned in pieces.
    /// * `drop_in_place`: destructor of one object; `None` when dropping is a no-op, in
    ///   which case sweeping never touches the object's memory.
    ///
    /// # Safety
    ///
    /// For every object that is made with this kind:
    ///
    /// * the functions may be called on it, as their types say, also on other threads than
    ///   the one that made it; `trace_batch` and `trace_piece` while there are no writers to
    ///   it, `drop_in_place` once, as the last;
    /// * `trace_batch` and `trace_piece` report every handle that the object holds and nothing
    ///   else (K2), to the buffer they were given; they do not unwind. `trace_batch` defers
    ///   pieces only if there is a `trace_piece`;
    /// * `drop_in_place` follows no handle: its target may have been freed.
    #[must_use]
    pub const unsafe fn new(
        name: fn() -> &'static str,
        trace_batch: Option<TraceBatchFn>,
        trace_piece: Option<TracePieceFn>,
        drop_in_place: Option<DropFn>,
    ) -> ObjectKind {
        ObjectKind { name, trace_batch, trace_piece, drop_in_place, type_id: None }
    }

    /// A kind of objects without handles and destructor.
    #[must_use]
    pub const fn plain(name: fn() -> &'static str) -> ObjectKind {
        ObjectKind {
            name,
            trace_batch: None,
            trace_piece: None,
            drop_in_place: None,
            type_id: None,
        }
    }

    /// The kind as that of the objects of one type, which `id` names.
    ///
    /// # Safety
    ///
    /// Every object that is made with this kind is of that type, as the layer above lays it out
    /// (K4): it may be seen as one by code that knows no more of it than this.
    #[must_use]
    pub const unsafe fn of_type(mut self, id: TypeId) -> ObjectKind {
        self.type_id = Some(id);
        self
    }

    /// The name of the kind.
    #[must_use]
    pub fn name(&self) -> &'static str {
        (self.name)()
    }

    /// The function that traces the objects of the kind on a page; `None` if they hold no
    /// handles.
    #[inline(always)]
    #[must_use]
    pub fn trace_batch(&self) -> Option<TraceBatchFn> {
        self.trace_batch
    }

    /// The function that traces a stretch of a large object of the kind, if it has one.
    #[inline(always)]
    #[must_use]
    pub fn trace_piece(&self) -> Option<TracePieceFn> {
        self.trace_piece
    }

    /// `true` when objects of this kind have a destructor.
    #[inline]
    #[must_use]
    pub fn drops(&self) -> bool {
        self.drop_in_place.is_some()
    }

    /// `true` when objects of this kind hold no handles.
    #[inline]
    #[must_use]
    pub(crate) fn is_noscan(&self) -> bool {
        self.trace_batch.is_none()
    }

    /// `true` when several objects of this kind may share a slot: a handle may then
    /// lead to the middle of one (see [`crate::tiny`]).
    #[inline]
    #[must_use]
    pub fn shares_slots(&self) -> bool {
        core::ptr::eq(self, &raw const TINY)
    }

    /// Whether objects of both kinds are of one type. `false` where a kind names no type.
    #[inline(always)]
    #[must_use]
    pub fn is_same_type(&self, other: &ObjectKind) -> bool {
        matches!((self.type_id, other.type_id), (Some(one), Some(other)) if one == other)
    }

    /// Address of the kind, its identity for the tables of this crate.
    #[inline]
    #[must_use]
    pub fn address(&'static self) -> usize {
        core::ptr::from_ref(self).addr()
    }
}

impl fmt::Debug for ObjectKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ObjectKind")
            .field("name", &self.name())
            .field("noscan", &self.is_noscan())
            .field("drops", &self.drops())
            .finish()
    }
}

/// The one kind of all types without handles and without drop glue, except those of
/// [`TINY`].
pub static NOSCAN: ObjectKind = ObjectKind::plain(|| "noscan");

/// The same, for objects of which the program may write to little: their spans are
/// [sparse](crate::mheap::Fill::Sparse).
pub static NOSCAN_SPARSE: ObjectKind = ObjectKind::plain(|| "noscan, sparse");

/// The kind of an object of this many bytes, few of which the program may write to.
#[inline(always)]
#[must_use]
pub fn sparse_kind(kind: &'static ObjectKind, bytes: usize) -> &'static ObjectKind {
    // A smaller one fills pages of the system with its neighbours.
    if bytes > 4096 && core::ptr::eq(kind, &raw const NOSCAN) { &NOSCAN_SPARSE } else { kind }
}

/// The kind of types without handles and without drop glue that are so small that their
/// objects share slots: see [`crate::tiny`].
pub static TINY: ObjectKind = ObjectKind::plain(|| "tiny");

/// The kind of weak cells: see [`crate::weak_handles`].
pub static WEAK_CELL: ObjectKind = ObjectKind::plain(|| "weak cell");
