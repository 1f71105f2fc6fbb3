//! [`Buffer`]: bytes on their way to become a string.
//!
//! Library functions that build a result piece by piece do it here, outside the heap, and make one
//! string at the end.
//!
//! * B1: the memory is the interpreter's scratch buffer, taken while the `Buffer` lives and given
//!   back when it goes. A second buffer at the same time starts with memory of its own.
//! * B2: whoever appends in a loop calls [`Buffer::check`] now and then, so that a script cannot
//!   take more memory outside the heap than its host allows.

use core::ops::{Deref, DerefMut};

use crate::error::{Fail, Failure};
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

    /// Fails if the buffer is longer than the host allows.
    ///
    /// # Errors
    ///
    /// "not enough memory"; a collection would not help.
    #[inline]
    pub(crate) fn check<'gc>(&self) -> Result<(), Failure<'gc>> {
        check_length(self.host, self.bytes.len())
    }

    /// The string with the bytes gathered so far.
    ///
    /// # Errors
    ///
    /// If the heap has no memory for it, or the buffer is too long.
    #[inline]
    pub(crate) fn finish<'gc>(self, ctx: Ctx<'gc>) -> Result<Str<'gc>, Failure<'gc>> {
        self.check()?;
        Ok(ctx.str(&self.bytes)?)
    }
}

/// Fails if that many bytes are more than a function may gather outside the heap.
///
/// # Errors
///
/// "not enough memory"; a collection would not help.
#[inline]
pub(crate) fn check_length<'gc>(host: &Host, length: usize) -> Result<(), Failure<'gc>> {
    if length > host.buffer_limit {
        return Err(Box::new(Fail::MemoryFinal));
    }
    Ok(())
}

impl Deref for Buffer<'_> {
    type Target = Vec<u8>;

    #[inline]
    fn deref(&self) -> &Vec<u8> {
        &self.bytes
    }
}

impl DerefMut for Buffer<'_> {
    #[inline]
    fn deref_mut(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
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
