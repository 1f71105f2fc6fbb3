//! Threads: Lua's coroutines, the main one included.
//!
//! A thread owns a value stack and a stack of frames, both heap objects that are replaced by bigger
//! ones when they are full.
//!
//! * TH1: a Lua frame at `base` may address `stack[base..base + WINDOW]`: the stack of a thread that
//!   runs or waits for another is always that much longer than the base of its last frame, and
//!   [`SPARE`] slots more.
//! * `frames[..depth]` are in use; the last one runs (or waits for the thread to be resumed).
//! * TH3: a frame knows how many nested calls of its thread wait for it, a thread how many of others
//!   do; together they are at most [`MAX_NESTING`], and a few more while an overflow is handled.
//! * TH4: open upvalues are listed from the top of the stack down, each slot at most once.
//! * TH5: a stack that overflows gets [`HANDLER_RESERVE`] slots beyond [`STACK_LIMIT`]. They are for
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

use core::cell::Cell;

use heap_api::{BarrierStamp, Cx, Gc, GcCell, HeaderSlice, Trace};

use crate::bytecode::{Count, MULTI};
use crate::error::{Fail, Failure, NoMemory, operation_failed};
use crate::function::{Upval, UpvalState};
use crate::hook::Hook;
use crate::state::Ctx;
use crate::value::Value;

/// Registers that one byte can name, and a few more: an instruction may use up to eight in a row.
pub const WINDOW: usize = 256 + 8;

/// Slots beyond the window, for calls that natives and metamethods set up at a frame's end.
pub const SPARE: usize = 56;

/// Most slots that a script may use.
pub const STACK_LIMIT: usize = 1_000_000;

/// Nested calls (TH3) that may wait for each other.
pub const MAX_NESTING: u32 = 198;

/// The error of nested calls beyond [`MAX_NESTING`].
pub const NESTING_OVERFLOW: &str = "C stack overflow";

/// Further ones for message handlers of an overflow, and for what they call.
const HANDLER_NESTING: u32 = 20;

const _: () = assert!(MAX_NESTING + HANDLER_NESTING < u8::MAX as u32);

/// Extra slots for message handlers that run because the stack is full (TH5).
const HANDLER_RESERVE: usize = 2 * (WINDOW + SPARE);

const FIRST_STACK: usize = WINDOW + SPARE + 64;
const FIRST_FRAMES: usize = 4;

/// The most slots in use with which a stack is folded (TH7). Bounds the cost of folding and
/// unfolding.
const FOLD_LIMIT: usize = 64;

/// The length of a short stack is a multiple of this, so that it serves for longer.
const FOLD_UNIT: usize = 8;

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
    fn take(&self, cx: &'gc Cx) -> Result<Gc<'gc, Stack<'gc>>, NoMemory> {
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
    fn put(&self, cx: &'gc Cx, stack: Gc<'gc, Stack<'gc>>) {
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

/// A variable that is to be closed.
#[derive(Trace)]
pub struct ToClose<'gc> {
    /// Its slot.
    at: u32,
    /// The next one, further down the stack.
    next: Option<Gc<'gc, ToClose<'gc>>>,
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

/// What a frame is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FrameKind {
    /// A Lua function.
    Lua,
    /// A Lua function that took the place of its caller.
    LuaTail,
    /// A native function that is running (it called Lua, or it failed).
    Native,
    /// `pcall`: the callee's results come to `func + 1`.
    Pcall,
    /// `xpcall`: the handler is at `func + 1`, the callee's results come to `func + 2`.
    Xpcall,
    /// `pairs` with a `__pairs` metamethod, and `dofile`: returns the results of the function that
    /// it has called. The callee's results come to `func + 1`.
    Passing,
    /// `coroutine.resume`: waits for another thread.
    Resume,
    /// A function made by `coroutine.wrap`: waits for another thread.
    Wrap,
    /// `coroutine.yield`: waits for its own thread to be resumed.
    Yield,
    /// `coroutine.close`: waits for another thread, whose variables are being closed.
    Close,
    /// The bottom of a coroutine that is being closed, see [`crate::vm`]. No error so far.
    Closing,
    /// As `Closing`, with the error in the state.
    ClosingFailed,
    /// A call from Rust; the driver gets the results.
    Entry,
    /// An `Entry` whose call failed in a coroutine that nothing keeps from dying of it: the frames
    /// above show where, until the native function that made the call passes the error on or drops
    /// them.
    Failed,
    /// As `Entry`, for the call of a hook.
    Hook,
    /// A native function whose calls are reported to a hook: waits for the one that runs, which is right
    /// behind it. The results come to `func + 1`.
    Hooked,
    /// As `Entry`, for the call of a finalizer: errors stop here, unseen by message handlers.
    Finalizer,
    /// The call of a message handler, whose result comes to `func`.
    Handler,
}

impl FrameKind {
    /// Whether it is a Lua function.
    #[inline(always)]
    #[must_use]
    pub fn is_lua(self) -> bool {
        matches!(self, FrameKind::Lua | FrameKind::LuaTail)
    }

    /// Whether it is the call of a function, for levels of errors and tracebacks.
    #[must_use]
    pub fn is_function(self) -> bool {
        !matches!(
            self,
            FrameKind::Entry
                | FrameKind::Finalizer
                | FrameKind::Hook
                | FrameKind::Hooked
                | FrameKind::Failed
                | FrameKind::Handler
                | FrameKind::Closing
                | FrameKind::ClosingFailed
        )
    }

    /// Whether its call is a nested one, see [`Frame::nesting`].
    #[inline(always)]
    fn is_nested(self) -> bool {
        self.is_protected()
            || matches!(
                self,
                FrameKind::Passing
                    | FrameKind::Entry
                    | FrameKind::Hook
                    | FrameKind::Finalizer
                    | FrameKind::Handler
            )
    }

    /// Whether it catches errors.
    #[inline(always)]
    pub fn is_protected(self) -> bool {
        matches!(self, FrameKind::Pcall | FrameKind::Xpcall)
    }
}

/// What to do with the results of a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OnReturn {
    /// Store this many at the callee's place ([`crate::bytecode::MULTI`]: all, and set `top`).
    Store(Count),
    /// Finish the caller's instruction, whose metamethod this was: see
    /// [`crate::bytecode::Op::outcome`].
    Finish,
    /// As `Finish`, with the truth value of the result inverted.
    FinishNegated,
    /// The result of `__concat`: store it at the end of a concatenation of that many registers,
    /// then go on with it.
    Concat(u8),
    /// The results of a native function called in tail position: the caller returns them.
    Tail,
    /// The call was that of a `__close`: run the caller's instruction again.
    Repeat,
    /// The call was that of a `__close` for a `return`, which is to go on.
    Close,
    /// The call was that of a `__close` for an error, or for a coroutine that is being closed.
    Unwind,
}

impl OnReturn {
    /// Whether the call is that of a metamethod.
    #[inline(always)]
    fn is_metamethod(self) -> bool {
        !matches!(self, OnReturn::Store(_) | OnReturn::Tail)
    }
}

/// One call. Plain data: the function itself is in the stack, at `func`.
#[derive(Trace)]
pub struct Frame {
    /// Stack index of the function; its results come here.
    pub func: Cell<u32>,
    /// Stack index of its first register.
    pub base: Cell<u32>,
    /// The next instruction, valid while the frame does not run.
    pub pc: Cell<u32>,
    /// What it is.
    pub kind: Cell<FrameKind>,
    /// What becomes of its results.
    pub on_return: Cell<OnReturn>,
    /// Nested calls of the thread that wait, one for the other, for this call: metamethods, message
    /// handlers, protected calls, and calls from Rust. Real Lua makes them on C's stack. Here only
    /// those from Rust have to be limited, but scripts know the limit, and without it an endless
    /// chain would eat much memory and time.
    nesting: Cell<u8>,
}

const _: () = assert!(size_of::<Frame>() <= 16);

impl Frame {
    fn unused() -> Frame {
        Frame {
            func: Cell::new(0),
            base: Cell::new(0),
            pc: Cell::new(0),
            kind: Cell::new(FrameKind::Native),
            on_return: Cell::new(OnReturn::Store(Count(0))),
            nesting: Cell::new(0),
        }
    }

    fn copy(&self) -> Frame {
        Frame {
            func: self.func.clone(),
            base: self.base.clone(),
            pc: self.pc.clone(),
            kind: self.kind.clone(),
            on_return: self.on_return.clone(),
            nesting: self.nesting.clone(),
        }
    }

    /// Describes a new call.
    #[inline(always)]
    fn fill(&self, kind: FrameKind, func: usize, base: usize, on_return: OnReturn, nesting: u8) {
        self.func.set(func as u32);
        self.base.set(base as u32);
        self.pc.set(0);
        self.kind.set(kind);
        self.on_return.set(on_return);
        self.nesting.set(nesting);
    }

    /// Whether the function has taken the place of its caller.
    #[must_use]
    pub fn is_tail_call(&self) -> bool {
        self.kind.get() == FrameKind::LuaTail
    }

    /// Turns the frame into that of a function called in tail position.
    pub fn refill_for_tail_call(&self, base: usize) {
        self.base.set(base as u32);
        self.pc.set(0);
        self.kind.set(FrameKind::LuaTail);
    }
}

/// A stack of this many frames, none of which is in use.
///
/// # Errors
///
/// If the heap has no memory for them.
pub fn new_frames<'gc>(cx: &'gc Cx, len: usize) -> Result<Gc<'gc, [Frame]>, NoMemory> {
    Ok(cx.try_alloc_slice_fn(len, |_| Frame::unused())?)
}

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

    // ---- folding (TH7) ----

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

    // ---- the value stack ----

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

    // ---- frames ----

    /// Number of frames in use.
    #[inline(always)]
    pub fn depth(&self) -> usize {
        self.depth.get() as usize
    }

    /// Frame `index`, counted from the bottom.
    #[inline(always)]
    pub fn frame(&self, index: usize) -> &'gc Frame {
        &self.frames.get().as_ref()[index]
    }

    /// The running frame, if there is one.
    #[inline(always)]
    pub fn top_frame(&self) -> Option<&'gc Frame> {
        self.frames.get().as_ref().get(self.depth().wrapping_sub(1))
    }

    /// Adds a frame.
    ///
    /// # Errors
    ///
    /// If there is no memory for a longer frame stack, or calls nest too deep. The nesting of
    /// protected calls, which catch that error, is checked elsewhere; see
    /// [`Thread::check_nesting`].
    #[inline(always)]
    pub fn push_frame(
        &self,
        ctx: Ctx<'gc>,
        kind: FrameKind,
        func: usize,
        base: usize,
        on_return: OnReturn,
    ) -> Result<&'gc Frame, Failure<'gc>> {
        let depth = self.depth();
        let mut frames = self.frames.get().as_ref();
        if depth >= frames.len() {
            self.grow_frames(ctx)?;
            frames = self.frames.get().as_ref();
        }
        let mut nesting =
            frames.get(depth.wrapping_sub(1)).map_or(0, |caller| caller.nesting.get());
        if on_return.is_metamethod() || kind.is_nested() {
            nesting += 1;
            if !kind.is_protected() && self.is_overflow(nesting) {
                if kind != FrameKind::Handler || self.total(nesting) > MAX_NESTING + 1 {
                    return Err(self.overflow(nesting));
                }
                // A handler that would be the first call beyond the limit gets that overflow as its
                // error instead (`call_handler` of `vm::raise`), and counts as two calls.
                nesting += 1;
            }
        }
        let frame = &frames[depth];
        frame.fill(kind, func, base, on_return, nesting);
        self.depth.set(depth as u32 + 1);
        Ok(frame)
    }

    /// Adds the frame of a Lua function that `caller`, the last frame, calls. `None`: the frame stack is
    /// full.
    #[inline(always)]
    pub fn push_lua_frame(
        &self,
        caller: &Frame,
        func: usize,
        base: usize,
        wanted: Count,
    ) -> Option<&'gc Frame> {
        let depth = self.depth.get();
        let frame = self.frames.get().as_ref().get(depth as usize)?;
        frame.fill(FrameKind::Lua, func, base, OnReturn::Store(wanted), caller.nesting.get());
        self.depth.set(depth + 1);
        Some(frame)
    }

    /// Adds the frame of a Lua function that the last frame calls, in any way. `false`: that needs memory,
    /// or nests too deep.
    #[inline(always)]
    pub fn try_push_lua_frame(&self, func: usize, base: usize, on_return: OnReturn) -> bool {
        let depth = self.depth();
        let frames = self.frames.get().as_ref();
        let (Some(caller), Some(frame)) = (frames.get(depth.wrapping_sub(1)), frames.get(depth))
        else {
            return false;
        };
        let nesting = caller.nesting.get() + u8::from(on_return.is_metamethod());
        if self.total(nesting) > MAX_NESTING {
            return false;
        }
        frame.fill(FrameKind::Lua, func, base, on_return, nesting);
        self.depth.set(depth as u32 + 1);
        true
    }

    /// Drops the running frame if the one below is that of a Lua function; returns that one.
    #[inline(always)]
    pub fn pop_to_lua_frame(&self) -> Option<&'gc Frame> {
        let depth = self.depth.get();
        let caller = self.frames.get().as_ref().get((depth as usize).wrapping_sub(2))?;
        caller.kind.get().is_lua().then(|| {
            self.depth.set(depth - 1);
            caller
        })
    }

    /// Adds the frames of a call from Rust, and of the Lua function at `func` that it calls with `count`
    /// arguments. `false`: that needs memory, or nests too deep.
    #[inline]
    pub fn try_push_entry(&self, func: usize, count: usize) -> bool {
        let depth = self.depth();
        let frames = self.frames.get().as_ref();
        let Some([caller, entry, frame]) =
            frames.get(depth.wrapping_sub(1)..).and_then(|frames| frames.first_chunk())
        else {
            return false;
        };
        let nesting = caller.nesting.get() + 1;
        if self.total(nesting) > MAX_NESTING {
            return false;
        }
        entry.fill(FrameKind::Entry, func, func + 1 + count, OnReturn::Store(MULTI), nesting);
        frame.fill(FrameKind::Lua, func, func + 1, OnReturn::Store(MULTI), nesting);
        self.depth.set(depth as u32 + 2);
        self.entries.set(self.entries.get() + 1);
        true
    }

    /// Whether the running frame was called by a Lua function.
    #[inline(always)]
    pub fn is_called_by_lua(&self) -> bool {
        let below = (self.depth.get() as usize).wrapping_sub(2);
        self.frames.get().as_ref().get(below).is_some_and(|caller| caller.kind.get().is_lua())
    }

    /// Drops the running frame and the one below, if that is `pcall`'s and was called by a Lua function
    /// that wants results in the ordinary way: how many.
    #[inline]
    pub fn pop_to_caller_of_pcall(&self) -> Option<Count> {
        let depth = self.depth();
        let [caller, frame] = self.frames.get().as_ref().get(..depth - 1)?.last_chunk()?;
        match (caller.kind.get().is_lua(), frame.kind.get(), frame.on_return.get()) {
            (true, FrameKind::Pcall, OnReturn::Store(wanted)) => {
                self.depth.set(depth as u32 - 2);
                Some(wanted)
            }
            _ => None,
        }
    }

    /// Drops the running frame and the one below, if that is a call from Rust.
    #[inline(always)]
    pub fn pop_to_entry(&self) -> bool {
        let below = (self.depth.get() as usize).wrapping_sub(2);
        let frame = self.frames.get().as_ref().get(below);
        let is_entry = frame.is_some_and(|frame| frame.kind.get() == FrameKind::Entry);
        if is_entry {
            self.depth.set(below as u32);
            self.entries.set(self.entries.get() - 1);
        }
        is_entry
    }

    // ---- nested calls (TH3) ----

    /// Nested calls that wait for what runs now, those of other threads included.
    #[must_use]
    pub fn nesting(&self) -> u32 {
        self.total(self.top_frame().map_or(0, |frame| frame.nesting.get()))
    }

    #[inline(always)]
    fn total(&self, nesting: u8) -> u32 {
        self.outer_nesting.get() + u32::from(nesting)
    }

    /// Whether a call at this depth of the thread fails. Beyond the limit, calls that a handler of
    /// that very failure makes do not fail.
    #[inline(always)]
    fn is_overflow(&self, nesting: u8) -> bool {
        let total = self.total(nesting);
        total == MAX_NESTING + 1 || total > MAX_NESTING + HANDLER_NESTING
    }

    /// The failure of a call at this depth, see [`Thread::is_overflow`].
    #[cold]
    fn overflow(&self, nesting: u8) -> Failure<'gc> {
        if self.total(nesting) > MAX_NESTING + HANDLER_NESTING {
            return Box::new(Fail::InHandler);
        }
        operation_failed(NESTING_OVERFLOW)
    }

    /// After the frame of a protected call has been pushed.
    ///
    /// # Errors
    ///
    /// If calls nest too deep.
    #[inline]
    pub fn check_nesting(&self) -> Result<(), Failure<'gc>> {
        match self.top_frame() {
            Some(frame) if self.is_overflow(frame.nesting.get()) => {
                Err(self.overflow(frame.nesting.get()))
            }
            _ => Ok(()),
        }
    }

    /// Makes sure that another frame can be pushed without memory.
    ///
    /// # Errors
    ///
    /// As [`Thread::push_frame`] for lack of memory.
    pub fn reserve_frame(&self, ctx: Ctx<'gc>) -> Result<(), Failure<'gc>> {
        if self.depth() < self.frames.get().as_ref().len() { Ok(()) } else { self.grow_frames(ctx) }
    }

    #[cold]
    #[inline(never)]
    fn grow_frames(&self, ctx: Ctx<'gc>) -> Result<(), Failure<'gc>> {
        let old = self.frames.get().as_ref();
        // Frames of natives and coroutines take no stack, so the stack's limit is not enough.
        if old.len() >= 2 * STACK_LIMIT {
            return Err(operation_failed("stack overflow"));
        }
        let fill = |i: usize| old.get(i).map_or_else(Frame::unused, Frame::copy);
        let new = ctx.cx.try_alloc_slice_fn(old.len() * 2, fill).map_err(NoMemory::from)?;
        self.frames.set(ctx.cx, new);
        Ok(())
    }

    /// Gives back most of a frame stack of which little is in use.
    fn trim_frames(&self, ctx: Ctx<'gc>) {
        let old = self.frames.get().as_ref();
        let len = (2 * self.depth()).max(FIRST_FRAMES);
        if old.len() > 4 * len
            && let Ok(shorter) = ctx.cx.try_alloc_slice_fn(len, |i| old[i].copy())
        {
            self.frames.set(ctx.cx, shorter);
        }
    }

    /// Drops frames until `depth` are left.
    #[inline(always)]
    pub fn cut_frames(&self, depth: usize) {
        self.depth.set(depth as u32);
    }

    /// Takes back the last [`Thread::pop_frame`].
    pub fn restore_frame(&self) {
        self.depth.set(self.depth.get() + 1);
    }

    /// Drops the running frame; returns the one below.
    #[inline(always)]
    pub fn pop_frame(&self) -> Option<&'gc Frame> {
        let depth = self.depth.get() - 1;
        self.depth.set(depth);
        self.frames.get().as_ref().get((depth as usize).wrapping_sub(1))
    }
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
