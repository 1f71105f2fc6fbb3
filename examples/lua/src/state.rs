//! One interpreter's state: [`State`] in the heap, [`Host`] beside it, [`Ctx`] to reach both.
//!
//! There is no global state: every interpreter has its own heap, its own `State`, reached from one
//! root, and its own `Host`.

use core::cell::{Cell, RefCell};
use std::io::Write;

use heap_api::{Cx, Gc, GcCell, Heap, InternSet, Trace};

use crate::descriptors::Descriptors;
use crate::error::NoMemory;
use crate::finalizers::FinalizerQueue;
use crate::hash::HashSeed;
use crate::hook::Hooks;
use crate::interrupt::Interrupt;
use crate::limits::Limits;
use crate::stdlib::io::{Children, OpenFiles};
use crate::string::{LuaStr, Str};
use crate::table::{EmptyParts, Table};
use crate::thread::{
    Frame, SpareStacks, Stack, Status, Thread, UnfoldedThreads, new_frames, new_stack,
};
use crate::value::{Type, Value};

/// What code inside a region works with: the heap, the state, the host.
#[derive(Clone, Copy)]
pub struct Ctx<'gc> {
    /// The heap's region.
    pub cx: &'gc Cx,
    /// The interpreter's objects.
    pub state: &'gc State<'gc>,
    /// The interpreter's other half.
    pub host: &'gc Host,
}

macro_rules! events {
    ($($name:ident $text:literal,)*) => {
        /// Names with a meaning in metatables.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        #[allow(missing_docs, reason = "the names of Lua's events")]
        pub enum Event { $($name,)* }

        impl Event {
            const NAMES: &[&'static str] = &[$($text,)*];

            /// The key in a metatable.
            #[must_use]
            pub fn key(self) -> &'static str {
                Self::NAMES[self as usize]
            }
        }
    };
}

events! {
    Index "__index",
    NewIndex "__newindex",
    Eq "__eq",
    Mode "__mode",
    Gc "__gc",
    Len "__len",
    Call "__call",
    Close "__close",
    Add "__add",
    Sub "__sub",
    Mul "__mul",
    Div "__div",
    IDiv "__idiv",
    Mod "__mod",
    Pow "__pow",
    BAnd "__band",
    BOr "__bor",
    BXor "__bxor",
    Shl "__shl",
    Shr "__shr",
    Unm "__unm",
    BNot "__bnot",
    Concat "__concat",
    Lt "__lt",
    Le "__le",
    ToString "__tostring",
    Name "__name",
    Pairs "__pairs",
    Metatable "__metatable",
}

/// The error of a script that needs more memory than there is.
pub const NO_MEMORY: &str = "not enough memory";

const EVENTS: usize = Event::NAMES.len();

/// The objects of an interpreter that everything else is reached from.
#[derive(Trace)]
pub struct State<'gc> {
    /// What empty tables share.
    pub no_parts: EmptyParts<'gc>,
    /// What threads that have ended share.
    pub no_stack: Gc<'gc, Stack<'gc>>,
    /// Their frame stack.
    pub no_frames: Gc<'gc, [Frame]>,
    /// For threads that go on or start.
    pub spare_stacks: SpareStacks<'gc>,
    /// To be trimmed before a collection.
    pub unfolded_threads: UnfoldedThreads<'gc>,
    /// The table of global variables.
    pub globals: Gc<'gc, Table<'gc>>,
    /// What `debug.getregistry` shows: the main thread, the globals, the tables of modules.
    pub registry: Gc<'gc, Table<'gc>>,
    /// The loaded modules, by name.
    pub loaded: Gc<'gc, Table<'gc>>,
    /// The thread that runs.
    pub thread: GcCell<Gc<'gc, Thread<'gc>>>,
    /// The thread that scripts start in.
    pub main_thread: Gc<'gc, Thread<'gc>>,
    /// The function that stands for the host in the levels of the stack; nil if no script has asked for it.
    pub host_function: GcCell<Value<'gc>>,
    /// The error value on its way to the frame that catches it.
    pub error: GcCell<Value<'gc>>,
    /// The message "not enough memory", made while there was some.
    pub out_of_memory: Str<'gc>,
    /// The metatables of types whose values have none of their own.
    metatables: [GcCell<Option<Gc<'gc, Table<'gc>>>>; Type::COUNT],
    event_keys: [Str<'gc>; EVENTS],
    type_names: [Str<'gc>; Type::COUNT],
}

impl<'gc> State<'gc> {
    /// A new state with empty global tables.
    ///
    /// # Errors
    ///
    /// If the heap has no memory for it.
    pub fn new(cx: &'gc Cx, host: &Host) -> Result<Gc<'gc, State<'gc>>, NoMemory> {
        let no_parts = EmptyParts::new(cx)?;
        let globals = Table::from_parts(cx, &no_parts)?;
        let registry = Table::from_parts(cx, &no_parts)?;
        let loaded = Table::from_parts(cx, &no_parts)?;
        let no_stack = new_stack(cx, 0, |_| Value::Nil)?;
        let no_frames = new_frames(cx, 0)?;
        let main_thread = Thread::main(cx, no_stack)?;
        main_thread.status.set(Status::Running);
        let out_of_memory = Str::intern(cx, host, NO_MEMORY.as_bytes())?;
        let mut event_keys = [out_of_memory; EVENTS];
        for (key, text) in event_keys.iter_mut().zip(Event::NAMES) {
            *key = Str::intern(cx, host, text.as_bytes())?;
        }
        let mut type_names = [out_of_memory; Type::COUNT];
        for ty in Type::ALL {
            type_names[ty as usize] = Str::intern(cx, host, ty.name().as_bytes())?;
        }
        Ok(cx.try_alloc(State {
            no_parts,
            no_stack,
            no_frames,
            spare_stacks: SpareStacks::new(),
            unfolded_threads: UnfoldedThreads::new(),
            globals,
            registry,
            loaded,
            thread: GcCell::new(main_thread),
            main_thread,
            host_function: GcCell::new(Value::Nil),
            error: GcCell::new(Value::Nil),
            out_of_memory,
            metatables: [const { GcCell::new(None) }; Type::COUNT],
            event_keys,
            type_names,
        })?)
    }

    /// The key of an event.
    #[inline(always)]
    pub fn event_key(&self, event: Event) -> Str<'gc> {
        self.event_keys[event as usize]
    }

    /// The name of a type.
    pub fn type_name(&self, ty: Type) -> Str<'gc> {
        self.type_names[ty as usize]
    }

    /// The metatable that all values of a type share.
    pub fn type_metatable(&self, ty: Type) -> Option<Gc<'gc, Table<'gc>>> {
        self.metatables[ty as usize].get()
    }

    /// Sets the metatable that all values of a type share.
    pub fn set_type_metatable(&self, cx: &Cx, ty: Type, metatable: Option<Gc<'gc, Table<'gc>>>) {
        self.metatables[ty as usize].set(cx, metatable);
    }
}

impl<'gc> Ctx<'gc> {
    /// A string with these bytes.
    ///
    /// # Errors
    ///
    /// If the heap has no memory for it.
    pub fn str(self, bytes: impl AsRef<[u8]>) -> Result<Str<'gc>, NoMemory> {
        Str::new(self, bytes.as_ref())
    }

    /// The metatable of any value.
    pub fn metatable(self, value: Value<'gc>) -> Option<Gc<'gc, Table<'gc>>> {
        match value {
            Value::Table(table) => table.metatable(),
            Value::UserData(data) => data.metatable.get(),
            other => self.state.type_metatable(other.ty()),
        }
    }

    /// The metamethod of a value for an event; nil if there is none.
    pub fn metamethod(self, value: Value<'gc>, event: Event) -> Value<'gc> {
        match self.metatable(value) {
            Some(metatable) => metatable.get_short(self, self.state.event_key(event)),
            None => Value::Nil,
        }
    }
}

/// A parameter of real Lua's collector. It has no meaning for this one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs, reason = "the names that real Lua has for them")]
pub enum GcParameter {
    Pause,
    StepMultiplier,
}

impl GcParameter {
    const COUNT: usize = 2;
    const DEFAULTS: [u8; Self::COUNT] = [200 / Self::UNIT as u8, 100 / Self::UNIT as u8];

    /// They are kept as multiples of this, in a byte.
    const UNIT: i64 = 4;
}

/// What a host does before `os.exit` ends the process; see [`crate::Config::at_exit`].
pub type AtExit = Box<dyn FnOnce(&Heap, i32) -> i32 + Send>;

/// The part of an interpreter that is not in the heap.
pub struct Host {
    /// The constants of the hash functions.
    pub hash_seed: HashSeed,
    /// All short strings (weak).
    pub strings: RefCell<InternSet<LuaStr>>,
    /// Where `print` and `io.write` go.
    pub output: RefCell<Box<dyn Write + Send>>,
    /// Whether `print` passes on each line at once: `io.stdout` has been told to.
    pub flushes_output: Cell<bool>,
    /// State of the random number generator.
    pub random: Cell<[u64; 4]>,
    /// The stack at the time of an error that no frame catches.
    pub traceback: RefCell<Option<String>>,
    /// Bytes allocated when memory last ran out, to tell a retry from a hopeless case.
    pub exhausted_at: Cell<Option<u64>>,
    /// How often a function that the loop carries out and that can be tried again has found no memory.
    pub failed_attempts: Cell<u64>,
    /// A buffer for building strings, kept to be reused.
    pub scratch: RefCell<Vec<u8>>,
    /// Most bytes that a native function may gather outside the heap.
    pub buffer_limit: usize,
    /// Whether `collectgarbage("stop")` is in effect.
    pub gc_stopped: Cell<bool>,
    /// Whether the script has chosen the collector's generational mode.
    pub gc_generational: Cell<bool>,
    /// The collector's parameters as the script has set them; they have no effect.
    pub gc_parameters: [Cell<u8>; GcParameter::COUNT],
    /// The objects with `__gc` metamethods.
    pub finalizers: FinalizerQueue,
    /// Whether `warn` writes anything.
    pub warnings: Cell<bool>,
    /// The files that scripts have open.
    pub files: OpenFiles,
    /// The programs that they have started and do not wait for.
    pub children: Children,
    /// Whether more can be opened.
    pub descriptors: Descriptors,
    /// Whether the script is to stop.
    pub interrupt: Interrupt,
    /// What scripts may have.
    pub limits: Limits,
    /// See [`crate::Config::at_exit`].
    pub at_exit: RefCell<Option<AtExit>>,
    /// Whether `load` takes binary chunks.
    pub loads_binary: Cell<bool>,
    /// The threads that have hooks.
    pub hooks: Hooks,
    /// Slots and nodes that resizing tables has looked at or made (LT7 of [`crate::table`]).
    #[cfg(test)]
    pub table_work: Cell<u64>,
}

impl Host {
    /// Whether to run the copy of the interpreter loop that looks for hooks and limits before every
    /// instruction.
    #[must_use]
    pub fn is_traced(&self) -> bool {
        self.hooks.is_on() || self.limits.counts_instructions()
    }

    /// Changes a parameter; returns its last value.
    pub fn set_gc_parameter(&self, parameter: GcParameter, value: i64) -> i64 {
        let stored = (value / GcParameter::UNIT) as u8;
        let last = self.gc_parameters[parameter as usize].replace(stored);
        i64::from(last) * GcParameter::UNIT
    }

    /// Passes on what the script has written to its output and files and is still in a buffer.
    pub fn flush_all(&self) {
        self.files.flush_all();
        // If the reader of the output has gone, there is no place to report the error to.
        let _ = self.output.borrow_mut().flush();
    }

    /// Writes a warning, if warnings are on. As for `print`, a full device is not an error.
    pub fn warn(&self, message: &[&[u8]]) {
        if self.warnings.get() {
            let text = message.concat();
            let _ = writeln!(std::io::stderr(), "Lua warning: {}", String::from_utf8_lossy(&text));
        }
    }

    /// The host part of an interpreter for `heap`.
    #[must_use]
    pub fn new(
        heap: &Heap,
        output: Box<dyn Write + Send>,
        buffer_limit: usize,
        hash_seed: HashSeed,
    ) -> Host {
        Host {
            hash_seed,
            strings: RefCell::new(InternSet::new(heap)),
            output: RefCell::new(output),
            flushes_output: Cell::new(false),
            random: Cell::new([1, 2, 3, 4]),
            traceback: RefCell::new(None),
            exhausted_at: Cell::new(None),
            failed_attempts: Cell::new(0),
            scratch: RefCell::new(Vec::new()),
            buffer_limit,
            gc_stopped: Cell::new(false),
            gc_generational: Cell::new(false),
            gc_parameters: GcParameter::DEFAULTS.map(Cell::new),
            finalizers: FinalizerQueue::new(heap),
            warnings: Cell::new(false),
            files: OpenFiles::default(),
            children: Children::default(),
            descriptors: Descriptors::default(),
            interrupt: Interrupt::default(),
            limits: Limits::default(),
            at_exit: RefCell::new(None),
            loads_binary: Cell::new(true),
            hooks: Hooks::default(),
            #[cfg(test)]
            table_work: Cell::new(0),
        }
    }
}
