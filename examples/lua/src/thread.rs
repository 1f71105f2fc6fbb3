//! Threads: Lua's coroutines, the main one included.
//!
//! A thread owns a value stack (`value_stack`) and a stack of frames (`frame_stack`, [`Frame`]), both heap objects that
//! are replaced by bigger ones when they are full. While it is suspended it may do with less (`folding`); other objects
//! know some of its variables (`open_variables`).
//!
//! * TH1: a Lua frame at `base` may address `stack[base..base + WINDOW]`: the stack of a thread that
//!   runs or waits for another is always that much longer than the base of its last frame, and
//!   [`SPARE`] slots more.
//! * `frames[..depth]` are in use; the last one runs (or waits for the thread to be resumed).
//! * TH3: a frame knows how many nested calls of its thread wait for it, a thread how many of others
//!   do; together they are at most [`MAX_NESTING`], and a few more while an overflow is handled.
//! * TH4: open upvalues are listed from the top of the stack down, each slot at most once.
//! * TH5: a stack that overflows gets `HANDLER_RESERVE` slots beyond [`STACK_LIMIT`]. They are for
//!   the message handlers of the overflow; an error that needs more fails without a handler. The
//!   frame that catches the error gives them back.
//! * TH6: a thread that died of an error keeps its frames until it is closed, for a traceback. Nothing
//!   runs them again, so of the stack it keeps just their functions: that of frame `i` in slot `i`.
//! * TH7: a suspended thread may be *folded*: its stack is then a short one that has just the values
//!   below the call in which it waits, at their old places; nothing above is in use. TH1 makes a stack
//!   six kilobytes long, and there may be very many suspended threads. It needs a long one only to run,
//!   and gets it from those that others have left ([`SpareStacks`]).
//! * TH8: what a thread no longer uses keeps nothing alive after the next collection, and memory that
//!   deep calls took is given back: by a thread that dies, at once; by any other thread that has
//!   run since the last collection, before the next one ([`Thread::trim`], [`UnfoldedThreads`]).
//! * TH9: the slots of variables that are to be closed are listed as open upvalues are (TH4); they
//!   are in use until they are taken off the list, even if the functions that own the variables
//!   have ended with an error. A thread that died of an error and has such slots keeps its stack
//!   (TH6).

mod folding;
mod frame;
mod frame_stack;
mod open_variables;
mod value_stack;

use core::cell::Cell;

use heap_api::{Cx, Gc, GcCell, Trace};

use crate::error::NoMemory;
use crate::function::Upval;
use crate::hook::Hook;
use crate::state::Ctx;
use crate::value::Value;

use folding::FOLD_UNIT;
pub use folding::{SpareStacks, UnfoldedThreads};
pub use frame::{Frame, FrameKind, OnReturn, new_frames};
use frame_stack::FIRST_FRAMES;
pub use frame_stack::{MAX_NESTING, NESTING_OVERFLOW};
pub use open_variables::{ToClose, open_upval};
use value_stack::FIRST_STACK;
pub use value_stack::{SPARE, STACK_LIMIT, Stack, WINDOW, Window, new_stack, window};

/// What `coroutine.status` says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Status {
    /// Not started, or in `yield`.
    Suspended,
    /// It runs now.
    Running,
    /// It resumed another coroutine.
    Normal,
    /// It returned, failed or was closed.
    Dead,
}

impl Status {
    /// The status's name in Lua.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Status::Suspended => "suspended",
            Status::Running => "running",
            Status::Normal => "normal",
            Status::Dead => "dead",
        }
    }
}

/// A coroutine.
#[derive(Trace)]
pub struct Thread<'gc> {
    stack: GcCell<Gc<'gc, Stack<'gc>>>,
    /// The stack while the thread is folded (TH7). In a thread that is not folded its content has
    /// no meaning, and is dropped before a collection.
    short_stack: GcCell<Gc<'gc, Stack<'gc>>>,
    frames: GcCell<Gc<'gc, [Frame]>>,
    open_upvals: GcCell<Option<Gc<'gc, Upval<'gc>>>>,
    to_close: GcCell<Option<Gc<'gc, ToClose<'gc>>>>,
    /// The thread that resumed this one and waits for it.
    pub resumer: GcCell<Option<Gc<'gc, Thread<'gc>>>>,
    /// The error that the thread died of, until it is closed.
    death: GcCell<Option<Value<'gc>>>,
    /// Number of slots in use while the thread is folded, 0 while it is not.
    folded: Cell<u32>,
    /// No slot of the short stack from here on holds anything.
    short_end: Cell<u32>,
    /// The next one of the [`UnfoldedThreads`].
    next_unfolded: GcCell<Option<Gc<'gc, Thread<'gc>>>>,
    is_listed: Cell<bool>,
    depth: Cell<u32>,
    /// End of the open list of values, set by instructions with an open result.
    pub top: Cell<u32>,
    /// Calls from Rust and of message handlers on the frame stack; the thread cannot yield across
    /// them.
    pub entries: Cell<u32>,
    /// Nested calls of other threads that wait for this one, its resumption included.
    pub outer_nesting: Cell<u32>,
    /// What `coroutine.status` says.
    pub status: Cell<Status>,
    hook: GcCell<Option<Gc<'gc, Hook<'gc>>>>,
}

impl<'gc> Thread<'gc> {
    /// The thread that scripts start in; `none` is a stack without slots.
    ///
    /// # Errors
    ///
    /// If the heap has no memory for it.
    pub fn main(cx: &'gc Cx, none: Gc<'gc, Stack<'gc>>) -> Result<Gc<'gc, Thread<'gc>>, NoMemory> {
        let stack = new_stack(cx, FIRST_STACK, |_| Value::Nil)?;
        Thread::with_stacks(cx, stack, none, 0)
    }

    /// A new coroutine that will call `function`, folded.
    ///
    /// # Errors
    ///
    /// If the heap has no memory for it.
    pub fn coroutine(cx: &'gc Cx, function: Value<'gc>) -> Result<Gc<'gc, Thread<'gc>>, NoMemory> {
        let value = |i| if i == 0 { function } else { Value::Nil };
        let stack = new_stack(cx, FOLD_UNIT, value)?;
        Thread::with_stacks(cx, stack, stack, 1)
    }

    fn with_stacks(
        cx: &'gc Cx,
        stack: Gc<'gc, Stack<'gc>>,
        short_stack: Gc<'gc, Stack<'gc>>,
        folded: u32,
    ) -> Result<Gc<'gc, Thread<'gc>>, NoMemory> {
        let frames = new_frames(cx, FIRST_FRAMES)?;
        Ok(cx.try_alloc(Thread {
            stack: GcCell::new(stack),
            short_stack: GcCell::new(short_stack),
            frames: GcCell::new(frames),
            open_upvals: GcCell::new(None),
            to_close: GcCell::new(None),
            resumer: GcCell::new(None),
            death: GcCell::new(None),
            folded: Cell::new(folded),
            short_end: Cell::new(folded),
            next_unfolded: GcCell::new(None),
            is_listed: Cell::new(false),
            depth: Cell::new(0),
            top: Cell::new(0),
            entries: Cell::new(0),
            outer_nesting: Cell::new(0),
            status: Cell::new(Status::Suspended),
            hook: GcCell::new(None),
        })?)
    }

    /// What `debug.sethook` has made for the thread.
    #[inline]
    #[must_use]
    pub fn hook(&self) -> Option<Gc<'gc, Hook<'gc>>> {
        self.hook.get()
    }

    /// Gives the thread a hook.
    pub fn set_hook(&self, cx: &Cx, hook: Gc<'gc, Hook<'gc>>) {
        self.hook.set(cx, Some(hook));
    }

    // ---- the end ----

    /// An error has ended the thread (TH6). Without memory for a shorter stack it keeps the one that it
    /// has.
    pub fn fail(&self, ctx: Ctx<'gc>, error: Value<'gc>) {
        self.close_upvals(ctx, 0);
        self.status.set(Status::Dead);
        self.death.set(ctx.cx, Some(error));
        if let Some(last) = self.to_close_from(0) {
            let used = (0..self.depth()).map(|i| self.frame(i).func.get() as usize).max();
            self.trim(ctx, used.unwrap_or(0).max(last) + 1);
            return;
        }
        let (depth, stack) = (self.depth(), self.stack.get());
        let function = |i: usize| {
            if i < depth { self.slot(self.frame(i).func.get() as usize).get() } else { Value::Nil }
        };
        let short = self.short_stack.replace(ctx.cx, ctx.state.no_stack);
        let kept = if depth <= short.tail.len() {
            for (i, slot) in short.tail.iter().enumerate() {
                slot.set(ctx.cx, function(i));
            }
            short
        } else if let Ok(made) = new_stack(ctx.cx, depth, function) {
            made
        } else {
            return;
        };
        for i in 0..depth {
            self.frame(i).func.set(i as u32);
        }
        self.stack.set(ctx.cx, kept);
        ctx.state.spare_stacks.put(ctx.cx, stack);
        self.trim_frames(ctx);
    }

    /// Ends a suspended or dead coroutine; returns the error that had killed it, if one had.
    pub fn kill(&self, ctx: Ctx<'gc>) -> Option<Value<'gc>> {
        self.retire(ctx);
        self.take_death(ctx)
    }

    /// The error that the thread died of, which nothing asks for again.
    pub fn take_death(&self, ctx: Ctx<'gc>) -> Option<Value<'gc>> {
        self.death.replace(ctx.cx, None)
    }

    /// The thread has ended, one way or another: lets go of its stacks.
    pub fn retire(&self, ctx: Ctx<'gc>) {
        self.close_upvals(ctx, 0);
        self.cut_frames(0);
        self.entries.set(0);
        self.to_close.set(ctx.cx, None);
        self.frames.set(ctx.cx, ctx.state.no_frames);
        self.status.set(Status::Dead);
        let stack = self.stack.replace(ctx.cx, ctx.state.no_stack);
        ctx.state.spare_stacks.put(ctx.cx, stack);
        self.short_stack.set(ctx.cx, ctx.state.no_stack);
        self.folded.set(0);
    }
}
