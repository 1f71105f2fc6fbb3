//! The variables of a [`Thread`]'s stack that something else knows: open upvalues (TH4), and those that are to be
//! closed (TH9).

use heap_api::{Gc, GcCell, Trace};

use super::Thread;
use crate::error::NoMemory;
use crate::function::{Upval, UpvalState};
use crate::state::Ctx;

/// A variable that is to be closed.
#[derive(Trace)]
pub struct ToClose<'gc> {
    /// Its slot.
    at: u32,
    /// The next one, further down the stack.
    next: Option<Gc<'gc, ToClose<'gc>>>,
}

/// The upvalue for a stack slot of `thread`: the one that is open already, or a new one (TH4).
///
/// # Errors
///
/// If the heap has no memory for it.
pub fn open_upval<'gc>(
    ctx: Ctx<'gc>,
    thread: Gc<'gc, Thread<'gc>>,
    index: usize,
) -> Result<Gc<'gc, Upval<'gc>>, NoMemory> {
    let mut above: Option<Gc<'gc, Upval<'gc>>> = None;
    let mut next = thread.open_upvals.get();
    while let Some(upval) = next {
        match upval.state.get() {
            UpvalState::Open(_, at) if at as usize > index => {
                above = Some(upval);
                next = upval.next.get();
            }
            UpvalState::Open(_, at) if at as usize == index => return Ok(upval),
            _ => break,
        }
    }
    let made = ctx.cx.try_alloc(Upval {
        state: GcCell::new(UpvalState::Open(thread, index as u32)),
        next: GcCell::new(next),
    })?;
    match above {
        Some(above) => above.next.set(ctx.cx, Some(made)),
        None => thread.open_upvals.set(ctx.cx, Some(made)),
    }
    Ok(made)
}

impl<'gc> Thread<'gc> {
    /// Closes the open upvalues for `from` and the slots above it.
    #[inline]
    pub fn close_upvals(&self, ctx: Ctx<'gc>, from: usize) {
        while let Some(upval) = self.open_upvals.get() {
            let UpvalState::Open(_, at) = upval.state.get() else { break };
            if (at as usize) < from {
                break;
            }
            let value = self.slot(at as usize).get();
            self.open_upvals.set(ctx.cx, upval.next.get());
            upval.next.set(ctx.cx, None);
            upval.state.set(ctx.cx, UpvalState::Closed(value));
        }
    }

    /// The topmost slot that an open upvalue leads to.
    #[must_use]
    pub fn last_open_upval(&self) -> Option<usize> {
        match self.open_upvals.get()?.state.get() {
            UpvalState::Open(_, at) => Some(at as usize),
            UpvalState::Closed(_) => None,
        }
    }

    // ---- variables that are to be closed (TH9) ----

    /// The variable in a slot is to be closed. It is the topmost one.
    ///
    /// # Errors
    ///
    /// If the heap has no memory for that.
    pub fn mark_to_close(&self, ctx: Ctx<'gc>, index: usize) -> Result<(), NoMemory> {
        let entry = ToClose { at: index as u32, next: self.to_close.get() };
        self.to_close.set(ctx.cx, Some(ctx.cx.try_alloc(entry)?));
        Ok(())
    }

    /// The topmost slot of a variable that is to be closed, if that is `from` or above it.
    #[inline]
    #[must_use]
    pub fn to_close_from(&self, from: usize) -> Option<usize> {
        let at = self.to_close.get()?.at as usize;
        (at >= from).then_some(at)
    }

    /// Takes the topmost variable off the list.
    pub fn unmark_to_close(&self, ctx: Ctx<'gc>) {
        let first = self.to_close.get();
        self.to_close.set(ctx.cx, first.and_then(|first| first.next));
    }
}
