//! The value stack of a [`Thread`]: its length, the window of a frame in it (TH1), its overflow (TH5), and what is
//! dropped before a collection (TH8).

use core::cell::Cell;

use heap_api::{BarrierStamp, Cx, Gc, GcCell, HeaderSlice};

use super::Thread;
use crate::error::{Fail, Failure, NoMemory, operation_failed};
use crate::state::Ctx;
use crate::value::Value;

/// Registers that one byte can name, and a few more: an instruction may use up to eight in a row.
pub const WINDOW: usize = 256 + 8;

/// Slots beyond the window, for calls that natives and metamethods set up at a frame's end.
pub const SPARE: usize = 56;

/// Most slots that a script may use.
pub const STACK_LIMIT: usize = 1_000_000;

/// Extra slots for message handlers that run because the stack is full (TH5).
const HANDLER_RESERVE: usize = 2 * (WINDOW + SPARE);

pub(super) const FIRST_STACK: usize = WINDOW + SPARE + 64;

/// The values of a thread.
pub type Stack<'gc> = HeaderSlice<BarrierStamp, GcCell<Value<'gc>>>;

/// A stack of `len` values.
///
/// # Errors
///
/// If the heap has no memory for it.
pub fn new_stack<'gc>(
    cx: &'gc Cx,
    len: usize,
    value: impl Fn(usize) -> Value<'gc>,
) -> Result<Gc<'gc, Stack<'gc>>, NoMemory> {
    Ok(cx.try_alloc_header_slice_fn(BarrierStamp::new(), len, |i| GcCell::new(value(i)))?)
}

/// The registers of a frame. Indexing with a byte, or a byte and a small constant, needs no bounds check.
pub type Window<'gc> = [Cell<Value<'gc>>; WINDOW];

/// The registers of the frame at `base` (TH1). Of 32 bits, so that the sum cannot overflow.
#[inline(always)]
pub fn window<'gc>(stack: &'gc [Cell<Value<'gc>>], base: u32) -> &'gc Window<'gc> {
    let base = base as usize;
    match stack.get(base..base + WINDOW).and_then(|registers| registers.first_chunk()) {
        Some(window) => window,
        None => unreachable!("TH1: the stack ends inside a frame's window"),
    }
}

impl<'gc> Thread<'gc> {
    /// The whole stack.
    #[inline(always)]
    pub fn stack(&self) -> &'gc [GcCell<Value<'gc>>] {
        &self.stack.get().as_ref().tail
    }

    /// One slot.
    ///
    /// # Panics
    ///
    /// If the stack is not that long, which would be a bug of this crate.
    #[inline(always)]
    pub fn slot(&self, index: usize) -> &'gc GcCell<Value<'gc>> {
        &self.stack()[index]
    }

    /// The whole stack, open for changes: until it is replaced, and not beyond the region.
    #[inline(always)]
    pub fn cells(&self, ctx: Ctx<'gc>) -> &'gc [Cell<Value<'gc>>] {
        self.stack.get().as_ref().open(ctx.cx)
    }

    /// Makes sure that a frame may begin at `base` with `used` slots in use beyond it.
    ///
    /// # Errors
    ///
    /// "stack overflow", or no memory.
    #[inline(always)]
    pub fn reserve(&self, ctx: Ctx<'gc>, base: usize) -> Result<(), Failure<'gc>> {
        if base + WINDOW + SPARE <= self.stack().len() {
            return Ok(());
        }
        self.grow(ctx, base)
    }

    /// Whether a frame may begin at `base`.
    #[must_use]
    pub fn has_room(&self, base: usize) -> bool {
        base + WINDOW + SPARE <= STACK_LIMIT
    }

    #[cold]
    #[inline(never)]
    fn grow(&self, ctx: Ctx<'gc>, base: usize) -> Result<(), Failure<'gc>> {
        let len = self.stack().len();
        if self.has_room(base) {
            let need = base + WINDOW + SPARE;
            self.resize(ctx, need.max(len * 2).min(STACK_LIMIT))?;
            return Ok(());
        }
        if len > STACK_LIMIT {
            return Err(Box::new(Fail::InHandler));
        }
        // TH5: now message handlers can run.
        self.resize(ctx, STACK_LIMIT + HANDLER_RESERVE)?;
        Err(operation_failed("stack overflow"))
    }

    /// Replaces the stack by one of this length.
    fn resize(&self, ctx: Ctx<'gc>, len: usize) -> Result<(), NoMemory> {
        let old = self.stack();
        let new = new_stack(ctx.cx, len, |i| old.get(i).map_or(Value::Nil, GcCell::get))?;
        self.stack.set(ctx.cx, new);
        Ok(())
    }

    /// An error has been caught by a frame that uses `used` slots: ends an overflow of the stack
    /// (TH5), if there was one and this is below it.
    pub fn end_overflow(&self, ctx: Ctx<'gc>, used: usize) {
        if self.stack().len() > STACK_LIMIT && self.has_room(used) {
            let len = (used + WINDOW + SPARE).max(2 * used).min(STACK_LIMIT);
            // Without memory for the shorter stack, the next overflow finds no room for handlers.
            let _ = self.resize(ctx, len);
        }
    }

    /// Forgets the values from `from` on, so that they keep nothing alive; gives back memory that
    /// a deep recursion left behind (TH8). Called before a collection, for a thread that is not folded.
    pub fn trim(&self, ctx: Ctx<'gc>, from: usize) {
        self.trim_frames(ctx);
        for slot in &self.short_stack.get().tail {
            slot.set(ctx.cx, Value::Nil);
        }
        let stack = self.stack();
        let keep = from + WINDOW + SPARE;
        if stack.len() > 8 * FIRST_STACK && keep < stack.len() / 4 {
            let value = |i: usize| if i < from { stack[i].get() } else { Value::Nil };
            if let Ok(smaller) = new_stack(ctx.cx, 2 * keep, value) {
                self.stack.set(ctx.cx, smaller);
                return;
            }
        }
        for slot in stack.iter().skip(from) {
            slot.set(ctx.cx, Value::Nil);
        }
    }
}
