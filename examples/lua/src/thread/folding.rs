//! Folding (TH7): the short stacks of suspended threads, the long ones that they leave to others
//! ([`SpareStacks`]), and the threads that a collection finds suspended and not folded ([`UnfoldedThreads`], TH8).

use core::cell::Cell;

use heap_api::{Cx, Gc, GcCell, Trace};

use super::value_stack::FIRST_STACK;
use super::{Stack, Status, Thread, new_stack};
use crate::error::{Failure, NoMemory};
use crate::state::Ctx;
use crate::value::Value;

/// The most slots in use with which a stack is folded (TH7). Bounds the cost of folding and
/// unfolding.
const FOLD_LIMIT: usize = 64;

/// The length of a short stack is a multiple of this, so that it serves for longer.
pub(super) const FOLD_UNIT: usize = 8;

/// Long stacks that no thread uses, for threads that go on or start. They may hold values that their
/// last users left there, and are given up before a collection.
#[derive(Trace)]
pub struct SpareStacks<'gc> {
    stacks: [GcCell<Option<Gc<'gc, Stack<'gc>>>>; SpareStacks::CAPACITY],
    count: Cell<u32>,
}

impl<'gc> SpareStacks<'gc> {
    /// At least this many threads can resume one another in a chain, repeatedly, without new
    /// stacks.
    const CAPACITY: usize = 8;

    /// None yet.
    #[must_use]
    pub fn new() -> SpareStacks<'gc> {
        let stacks = [const { GcCell::new(None) }; SpareStacks::CAPACITY];
        SpareStacks { stacks, count: Cell::new(0) }
    }

    #[inline]
    pub(super) fn take(&self, cx: &'gc Cx) -> Result<Gc<'gc, Stack<'gc>>, NoMemory> {
        let last = self.count.get().wrapping_sub(1);
        if let Some(slot) = self.stacks.get(last as usize)
            && let Some(stack) = slot.get()
        {
            self.count.set(last);
            return Ok(stack);
        }
        new_stack(cx, FIRST_STACK, |_| Value::Nil)
    }

    /// Keeps a stack, if it has the common length.
    #[inline]
    pub(super) fn put(&self, cx: &'gc Cx, stack: Gc<'gc, Stack<'gc>>) {
        if stack.tail.len() != FIRST_STACK {
            return;
        }
        if let Some(slot) = self.stacks.get(self.count.get() as usize) {
            slot.set(cx, Some(stack));
            self.count.set(self.count.get() + 1);
        }
    }

    /// Gives all of them up.
    pub fn clear(&self, cx: &'gc Cx) {
        self.count.set(0);
        for slot in &self.stacks {
            slot.set(cx, None);
        }
    }
}

impl Default for SpareStacks<'_> {
    fn default() -> Self {
        SpareStacks::new()
    }
}

/// The threads that have been suspended since the last collection without being folded. They hold
/// values above those that they use, which TH8 lets live until the next collection.
#[derive(Trace)]
pub struct UnfoldedThreads<'gc> {
    first: GcCell<Option<Gc<'gc, Thread<'gc>>>>,
}

impl<'gc> UnfoldedThreads<'gc> {
    /// None yet.
    #[must_use]
    pub fn new() -> UnfoldedThreads<'gc> {
        UnfoldedThreads { first: GcCell::new(None) }
    }

    /// `thread` has been suspended, with the call in which it waits as its last frame.
    pub fn add(&self, cx: &'gc Cx, thread: Gc<'gc, Thread<'gc>>) {
        if !thread.is_listed.replace(true) {
            thread.next_unfolded.set(cx, self.first.replace(cx, Some(thread)));
        }
    }

    /// Before a collection: folds or trims those that are still suspended, and forgets all.
    pub fn trim(&self, ctx: Ctx<'gc>) {
        let mut next = self.first.replace(ctx.cx, None);
        while let Some(thread) = next {
            next = thread.next_unfolded.replace(ctx.cx, None);
            thread.is_listed.set(false);
            if thread.status.get() == Status::Suspended
                && thread.folded.get() == 0
                && let Some(frame) = thread.top_frame()
            {
                let used = frame.func.get() as usize + 1;
                thread.trim_frames(ctx);
                if !thread.fold_long(ctx, used) {
                    thread.trim(ctx, used);
                }
            }
        }
    }
}

impl Default for UnfoldedThreads<'_> {
    fn default() -> Self {
        UnfoldedThreads::new()
    }
}

impl<'gc> Thread<'gc> {
    /// The thread is suspended, and only the first `used` slots are in use: moves them to a short stack
    /// if they are few and there is memory for it, and says whether it did. A thread whose stack has
    /// become long keeps it for now, for it is likely to need it again soon.
    #[inline(always)]
    #[must_use]
    pub fn fold(&self, ctx: Ctx<'gc>, used: usize) -> bool {
        self.stack().len() == FIRST_STACK && self.fold_long(ctx, used)
    }

    /// As [`Thread::fold`], however long the stack is.
    fn fold_long(&self, ctx: Ctx<'gc>, used: usize) -> bool {
        let stack = self.stack.get();
        let mut short = self.short_stack.get();
        if used > short.tail.len() {
            match self.longer_short_stack(ctx, used) {
                Some(made) => short = made,
                None => return false,
            }
        }
        let (from, to) = (self.stack(), short.as_ref().open(ctx.cx));
        for (from, to) in from[..used].iter().zip(&to[..used]) {
            to.set(from.get());
        }
        let end = self.short_end.replace(used as u32) as usize;
        for slot in to.get(used..end).unwrap_or_default() {
            slot.set(Value::Nil);
        }
        self.folded.set(used as u32);
        self.stack.set(ctx.cx, short);
        ctx.state.spare_stacks.put(ctx.cx, stack);
        true
    }

    /// Replaces the short stack by one that has enough slots, or by none if the thread is not to be
    /// folded.
    #[cold]
    #[inline(never)]
    fn longer_short_stack(&self, ctx: Ctx<'gc>, used: usize) -> Option<Gc<'gc, Stack<'gc>>> {
        self.short_stack.set(ctx.cx, ctx.state.no_stack);
        if used > FOLD_LIMIT {
            return None;
        }
        let made = new_stack(ctx.cx, used.next_multiple_of(FOLD_UNIT), |_| Value::Nil).ok()?;
        self.short_end.set(0);
        self.short_stack.set(ctx.cx, made);
        Some(made)
    }

    /// Gives a suspended thread a stack to run with, where a frame may begin at `base`.
    ///
    /// # Errors
    ///
    /// If there is no memory for it, or the stack would be too long; nothing has changed then.
    #[inline]
    pub fn unfold(&self, ctx: Ctx<'gc>, base: usize) -> Result<(), Failure<'gc>> {
        let used = self.folded.get() as usize;
        if used == 0 {
            return self.reserve(ctx, base);
        }
        let stack = ctx.state.spare_stacks.take(ctx.cx)?;
        let (from, to) = (self.stack(), stack.as_ref().open(ctx.cx));
        for (from, to) in from[..used].iter().zip(&to[..used]) {
            to.set(from.get());
        }
        self.folded.set(0);
        self.stack.set(ctx.cx, stack);
        let reserved = self.reserve(ctx, base);
        if reserved.is_err() {
            let is_folded = self.fold_long(ctx, used);
            debug_assert!(is_folded, "the short stack is still there");
        }
        reserved
    }
}
