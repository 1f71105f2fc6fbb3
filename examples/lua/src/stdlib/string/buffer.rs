//! [`Buffer`]: bytes on their way to become a string.
//!
//! Library functions that build a result piece by piece do it here, outside the heap, and make one
//! string at the end.
//!
//! * the memory is the interpreter's scratch buffer, taken while the `Buffer` lives and given
//!   back when it goes. A second buffer at the same time starts with memory of its own.
//! * a buffer grows in [`Output::room`] only, which fails where the host's limit or the system
//!   ends, and has then done nothing: a script cannot end the process by asking for too much.

use crate::error::{Fail, Failure};
use crate::lstr::{NoRoom, Output};
use crate::state::{Ctx, Host};
use crate::string::Str;

/// Most bytes of capacity that are kept for the next buffer.
const KEPT: usize = 1 << 20;

/// A byte vector on loan from the interpreter.
pub(crate) struct Buffer<'h> {
    host: &'h Host,
    bytes: Vec<u8>,
}

impl<'h> Buffer<'h> {
    /// An empty buffer.
    #[inline]
    pub(crate) fn new(host: &'h Host) -> Buffer<'h> {
        let mut bytes = core::mem::take(&mut *host.scratch.borrow_mut());
        bytes.clear();
        Buffer { host, bytes }
    }

    /// The bytes gathered so far.
    #[inline]
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Forgets all but the first `length` bytes.
    pub(crate) fn truncate(&mut self, length: usize) {
        self.bytes.truncate(length);
    }

    /// Makes room for `additional` more bytes; see [`Output::room`].
    ///
    /// # Errors
    ///
    /// If there is no room for that many; nothing has changed then.
    #[inline]
    pub(crate) fn room(&mut self, additional: usize) -> Result<&mut Vec<u8>, NoRoom> {
        if additional > self.bytes.capacity() - self.bytes.len() {
            reserve(self.host, &mut self.bytes, additional)?;
        }
        Ok(&mut self.bytes)
    }

    /// Appends bytes.
    ///
    /// # Errors
    ///
    /// As [`Buffer::room`].
    #[inline]
    pub(crate) fn append(&mut self, bytes: &[u8]) -> Result<(), NoRoom> {
        self.room(bytes.len())?.extend_from_slice(bytes);
        Ok(())
    }

    /// The string with the bytes gathered so far.
    ///
    /// # Errors
    ///
    /// If the heap has no memory for it.
    #[inline]
    pub(crate) fn finish<'gc>(&self, ctx: Ctx<'gc>) -> Result<Str<'gc>, Failure<'gc>> {
        Ok(ctx.str(&self.bytes)?)
    }
}

#[cold]
#[inline(never)]
fn reserve(host: &Host, bytes: &mut Vec<u8>, additional: usize) -> Result<(), NoRoom> {
    if bytes.len().saturating_add(additional) > host.buffer_limit {
        return Err(NoRoom::Limit);
    }
    bytes.try_reserve(additional).map_err(|_| NoRoom::System)
}

impl From<NoRoom> for Failure<'_> {
    #[cold]
    fn from(error: NoRoom) -> Self {
        Box::new(match error {
            NoRoom::Limit => Fail::MemoryFinal,
            // A collection can give memory back to the system.
            NoRoom::System => Fail::Memory,
        })
    }
}

/// A copy outside the heap.
///
/// # Errors
///
/// As [`Buffer::room`].
pub(crate) fn copied(host: &Host, bytes: &[u8]) -> Result<Vec<u8>, NoRoom> {
    let mut copy = Vec::new();
    reserve(host, &mut copy, bytes.len())?;
    copy.extend_from_slice(bytes);
    Ok(copy)
}

impl Output for Buffer<'_> {
    #[inline]
    fn room(&mut self, additional: usize) -> Result<&mut Vec<u8>, NoRoom> {
        Buffer::room(self, additional)
    }
}

impl Drop for Buffer<'_> {
    #[inline]
    fn drop(&mut self) {
        if self.bytes.capacity() <= KEPT {
            *self.host.scratch.borrow_mut() = core::mem::take(&mut self.bytes);
        }
    }
}
