//! [`Pieces`]: stretches of large objects that any worker may trace.

use heap_core::tracer::{EdgeBuffer, PIECE_BYTES, Piece};
use heap_sync::atomic::{AtomicUsize, Ordering};
use heap_sync::lock::Mutex;

/// A stretch of a large object that is to be traced.
#[derive(Debug)]
pub(super) struct SharedPiece(Piece);

// SAFETY: an address of the heap being marked, which outlives marking; any worker may trace
// what is there.
unsafe impl Send for SharedPiece {}

/// The stretches that the workers of a step have found and not yet traced.
#[derive(Debug)]
pub(super) struct Pieces {
    list: Mutex<Vec<SharedPiece>>,
    len: AtomicUsize,
}

impl Pieces {
    pub(super) fn new(pieces: Vec<SharedPiece>) -> Pieces {
        Pieces { len: AtomicUsize::new(pieces.len()), list: Mutex::new(pieces) }
    }

    /// Whether there are pieces for any worker.
    pub(super) fn any(&self) -> bool {
        // ORDERING: Acquire pairs with the Release of the worker that changed the list.
        self.len.load(Ordering::Acquire) != 0
    }

    /// Takes over what tracing has deferred, as far as there is memory for it.
    #[cold]
    pub(super) fn share(&self, buffer: &mut EdgeBuffer) {
        let mut pieces = self.list.lock();
        while pieces.try_reserve(1).is_ok()
            && let Some(piece) = buffer.take_piece()
        {
            pieces.push(SharedPiece(piece));
        }
        // ORDERING: Release pairs with the Acquire in `any`.
        self.len.store(pieces.len(), Ordering::Release);
    }

    /// A piece that was deferred in this marking, if there is one: of as many bytes as are
    /// traced in one go.
    pub(super) fn take(&self) -> Option<Piece> {
        if !self.any() {
            return None;
        }
        let mut pieces = self.list.lock();
        let SharedPiece(mut piece) = pieces.pop()?;
        // The rest stays for others.
        let bytes = (piece.end - piece.from).min(PIECE_BYTES);
        if piece.from + bytes < piece.end {
            pieces.push(SharedPiece(Piece { from: piece.from + bytes, ..piece }));
        }
        piece.end = piece.from + bytes;
        // ORDERING: as in `share`.
        self.len.store(pieces.len(), Ordering::Release);
        Some(piece)
    }

    /// Takes all of them, when the workers are done.
    pub(super) fn take_all(&self) -> Vec<SharedPiece> {
        std::mem::take(&mut *self.list.lock())
    }
}
