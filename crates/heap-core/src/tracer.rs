//! [`Tracer`]: where `trace` functions report the handles they find.
//!
//! It only collects: edges go into a buffer, and the mark state of the target
//! is prefetched, so that by the time the marker looks at an edge its mark byte
//! is in the cache. Whoever drains the buffer (the marker in `heap-gc`, the
//! verifier) decides what an edge means.

use core::ptr::NonNull;

use crate::arena;

/// A stretch of a large object that is still to be scanned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The object.
    pub object: NonNull<u8>,
    /// First byte of the stretch, counted from the start of the object.
    pub from: usize,
    /// One past the last byte of the object's contents.
    pub end: usize,
}

/// Bytes of a large object that are scanned in one go.
pub const PIECE_BYTES: usize = 64 << 10;

/// Collects the edges of the objects that are being traced.
#[derive(Debug, Default)]
pub struct Tracer {
    edges: Vec<NonNull<u8>>,
    pieces: Vec<Piece>,
}

impl Tracer {
    /// A tracer with room for `capacity` edges before it grows.
    #[must_use]
    pub fn with_capacity(capacity: usize) -> Self {
        Tracer { edges: Vec::with_capacity(capacity), pieces: Vec::new() }
    }

    /// Reports a handle to the start of a heap object.
    #[inline(always)]
    pub fn edge(&mut self, object: NonNull<u8>) {
        arena::prefetch_mark(object);
        self.edges.push(object);
    }

    /// Defers a stretch of a large object.
    #[cold]
    pub fn defer(&mut self, piece: Piece) {
        self.pieces.push(piece);
    }

    /// Number of edges reported and not yet taken.
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        self.edges.len()
    }

    /// `true` when no edge is waiting.
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
