//! [`Hook`]: what `debug.sethook` has asked for, one per thread that ever had a hook; [`Hooks`]: which
//! threads have one.
//!
//! The interpreter loop exists twice: one copy asks for hooks before every instruction, the other knows
//! nothing of them. The driver runs the first one while [`Hooks::is_on`] ([`crate::vm`]), so a program
//! without hooks does not pay for them.
//!
//! * HK1: an event is reported once. What has been reported for the next instruction is marked
//!   ([`Hook::is_passed`]); the mark is cleared when that instruction runs.
//! * HK2: while a hook runs ([`Hook::is_running`]) its thread reports nothing; while a finalizer
//!   runs, no thread does.
//! * HK3: a hook without a function reports nothing, and does not count as one that a thread has. A coroutine begins
//!   with such a one if its creator has a hook: as in real Lua it inherits the events, which `debug.gethook` shows,
//!   but not the function.

use core::cell::{Cell, RefCell};

use heap_api::{Cx, Gc, GcCell, Trace, WeakRoot};

use crate::error::NoMemory;
use crate::state::{Ctx, Event};
use crate::table::Table;
use crate::thread::{Status, Thread};
use crate::value::Value;

/// Which events a hook is for: bits.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct HookMask(u8);

impl HookMask {
    /// Calls of functions.
    pub const CALL: HookMask = HookMask(1);
    /// Returns from them.
    pub const RETURN: HookMask = HookMask(2);
    /// New lines.
    pub const LINE: HookMask = HookMask(4);
    /// A number of instructions.
    pub const COUNT: HookMask = HookMask(8);

    const LETTERS: [(u8, HookMask); 3] =
        [(b'c', HookMask::CALL), (b'r', HookMask::RETURN), (b'l', HookMask::LINE)];

    /// The events whose letters are in a text.
    #[must_use]
    pub fn from_letters(text: &[u8]) -> HookMask {
        let asked = HookMask::LETTERS.iter().filter(|(letter, _)| text.contains(letter));
        asked.fold(HookMask::default(), |mask, (_, event)| mask.with(*event))
    }

    /// The letters of the events.
    #[must_use]
    pub fn letters(self) -> Vec<u8> {
        let asked = HookMask::LETTERS.iter().filter(|(_, event)| self.has(*event));
        asked.map(|(letter, _)| *letter).collect()
    }

    /// The events of both masks.
    #[must_use]
    pub fn with(self, other: HookMask) -> HookMask {
        HookMask(self.0 | other.0)
    }

    /// Whether the masks have an event in common.
    #[must_use]
    pub fn has(self, other: HookMask) -> bool {
        self.0 & other.0 != 0
    }
}

/// Why a thread has left the interpreter loop.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Due {
    /// Nothing.
    Nothing,
    /// What is to be reported before the next instruction of the last frame.
    Instruction {
        /// The function has just been called.
        call: bool,
        /// Enough instructions have run.
        count: bool,
        /// A new line begins.
        line: bool,
    },
    /// A Lua function is about to return this many values from that stack index on.
    Return {
        /// Stack index of the first.
        from: u32,
        /// Number of values.
        count: u32,
    },
    /// The last frame is a native function that has not been called yet.
    NativeCall,
    /// The last frame is that of a hooked native function, which has returned these values.
    NativeReturn {
        /// Stack index of the first.
        from: u32,
        /// Number of values.
        count: u32,
    },
}

/// Values on their way into a function, or out of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Transfer {
    /// The frame.
    pub frame: u32,
    /// The number that `debug.getlocal` has for the first of them.
    pub first: u32,
    /// How many.
    pub count: u32,
}

/// The hook of a thread.
#[derive(Trace)]
pub struct Hook<'gc> {
    /// Called with the event; nil if there is none (HK3).
    pub function: GcCell<Value<'gc>>,
    /// Which events it is for.
    pub mask: Cell<HookMask>,
    /// The number of instructions from one count event to the next.
    pub interval: Cell<u32>,
    /// Instructions until the next one.
    pub left: Cell<u32>,
    /// Instruction that was last looked at for its line.
    pub last_pc: Cell<u32>,
    /// Number of frames at that time.
    pub last_depth: Cell<u32>,
    /// HK2.
    pub is_running: Cell<bool>,
    /// HK1.
    pub is_passed: Cell<bool>,
    /// HK1, for the native function that is called next.
    pub is_native_passed: Cell<bool>,
    /// Whether the first instruction, which is next, is one more turn of a loop, and not the beginning of
    /// a call.
    pub is_turn: Cell<bool>,
    /// What is to be reported.
    pub due: Cell<Due>,
    /// The arguments or results of the function whose call or return is being reported.
    pub transfer: Cell<Option<Transfer>>,
}

impl<'gc> Hook<'gc> {
    /// A hook for no event.
    ///
    /// # Errors
    ///
    /// If the heap has no memory for it.
    pub fn new(cx: &'gc Cx) -> Result<Gc<'gc, Hook<'gc>>, NoMemory> {
        Ok(cx.try_alloc(Hook {
            function: GcCell::new(Value::Nil),
            mask: Cell::default(),
            interval: Cell::new(0),
            left: Cell::new(0),
            last_pc: Cell::new(0),
            last_depth: Cell::new(0),
            is_running: Cell::new(false),
            is_passed: Cell::new(false),
            is_native_passed: Cell::new(false),
            is_turn: Cell::new(false),
            due: Cell::new(Due::Nothing),
            transfer: Cell::new(None),
        })?)
    }

    /// What a coroutine that `creator` makes begins with (HK3).
    ///
    /// # Errors
    ///
    /// If the heap has no memory for it.
    pub fn inherited(
        cx: &'gc Cx,
        creator: Gc<'gc, Thread<'gc>>,
    ) -> Result<Option<Gc<'gc, Hook<'gc>>>, NoMemory> {
        let Some(of_creator) = creator.hook().filter(|hook| hook.as_ref().has_events()) else {
            return Ok(None);
        };
        let hook = Hook::new(cx)?;
        hook.mask.set(of_creator.mask.get());
        hook.interval.set(of_creator.interval.get());
        Ok(Some(hook))
    }

    /// Whether it is for some event.
    #[must_use]
    pub fn has_events(&self) -> bool {
        self.mask.get() != HookMask::default()
    }

    /// Whether there is something to report at all.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.has_events() && !self.function.get().is_nil()
    }
}

/// The hooks by their threads, for programs that look into the registry, where real Lua keeps them.
fn shown_hooks<'gc>(ctx: Ctx<'gc>) -> Result<Gc<'gc, Table<'gc>>, NoMemory> {
    let name = ctx.str("_HOOKKEY")?;
    if let Value::Table(hooks) = ctx.state.registry.get_str(ctx, name) {
        return Ok(hooks);
    }
    let hooks = Table::new(ctx)?;
    let metatable = Table::new(ctx)?;
    metatable.set_str(ctx, ctx.state.event_key(Event::Mode), Value::Str(ctx.str("k")?))?;
    hooks.set_metatable(ctx, Some(metatable))?;
    ctx.state.registry.set_str(ctx, name, Value::Table(hooks))?;
    Ok(hooks)
}

/// The threads of an interpreter that have hooks.
#[derive(Default)]
pub struct Hooks {
    threads: RefCell<Vec<WeakRoot<Thread<'static>>>>,
    is_on: Cell<bool>,
}

impl Hooks {
    /// Whether some thread may have a hook.
    #[inline(always)]
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.is_on.get()
    }

    /// Sets the hook of a thread; without events there is none.
    ///
    /// # Errors
    ///
    /// If the heap has no memory for it; nothing has changed then.
    pub fn set<'gc>(
        &self,
        ctx: Ctx<'gc>,
        thread: Gc<'gc, Thread<'gc>>,
        function: Value<'gc>,
        mask: HookMask,
        interval: u32,
    ) -> Result<(), NoMemory> {
        let hook = match thread.hook() {
            Some(hook) => hook,
            None if mask == HookMask::default() => return Ok(()),
            None => Hook::new(ctx.cx)?,
        };
        shown_hooks(ctx)?.set(ctx, Value::Thread(thread), function).map_err(|_| NoMemory)?;
        if mask != HookMask::default() && !hook.is_set() {
            let mut threads = self.threads.borrow_mut();
            threads.try_reserve(1).map_err(|_| NoMemory)?;
            threads.push(ctx.cx.try_weak_root(thread)?);
            thread.set_hook(ctx.cx, hook);
        }
        hook.function.set(ctx.cx, function);
        hook.mask.set(mask);
        hook.interval.set(interval);
        hook.left.set(interval);
        if !hook.is_running.get() {
            // The line of the call that sets the hook does not count as a new one.
            hook.last_depth.set(0);
        }
        self.prune(ctx.cx);
        Ok(())
    }

    /// Forgets threads that are garbage, or have no hook any more.
    pub fn prune(&self, cx: &Cx) {
        let mut threads = self.threads.borrow_mut();
        threads.retain(|thread| {
            let Some(thread) = thread.upgrade(cx) else { return false };
            let is_set = thread.hook().is_some_and(|hook| hook.as_ref().is_set());
            is_set && thread.status.get() != Status::Dead
        });
        self.is_on.set(!threads.is_empty());
    }
}
