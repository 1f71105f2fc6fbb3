//! [`Interpreter`]: the library's face.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use heap_api::{Heap, Root};

use crate::error::{NoMemory, Raised};
use crate::hash::{HashSeed, random_seed};
use crate::interrupt::Interrupter;
use crate::state::{Host, State};
use crate::stdlib::base::append_text;
use crate::stdlib::package::{load_chunk, read_script};
use crate::value::Value;
use crate::vm::{NativeNames, Runner, stack_hook};

/// How an interpreter behaves. Start from [`Config::new`].
#[derive(Default)]
pub struct Config {
    heap: heap_api::Config,
    max_heap_bytes: Option<usize>,
    output: Option<Box<dyn Write + Send>>,
    hash_seed: Option<u64>,
    reads_environment: bool,
    takes_stacks: bool,
}

impl Config {
    /// The defaults: no limit, no helper threads, output to the standard output.
    #[must_use]
    pub fn new() -> Config {
        Config::default()
    }

    /// A hard limit on the heap; a script that needs more gets the error "not enough memory".
    #[must_use]
    pub fn max_heap_bytes(mut self, bytes: usize) -> Config {
        self.max_heap_bytes = Some(bytes);
        self.heap = self.heap.max_heap_bytes(bytes);
        self
    }

    /// Threads that help marking.
    #[must_use]
    pub fn mark_threads(mut self, threads: usize) -> Config {
        self.heap = self.heap.mark_threads(threads);
        self
    }

    /// Whether a background thread sweeps.
    #[must_use]
    pub fn background_sweep(mut self, on: bool) -> Config {
        self.heap = self.heap.background_sweep(on);
        self
    }

    /// How long a stop for the collection may be, about.
    #[must_use]
    pub fn mark_slice(mut self, slice: Duration) -> Config {
        self.heap = self.heap.mark_slice(slice);
        self
    }

    /// Collect at every safepoint: for tests.
    #[must_use]
    pub fn stress(mut self, on: bool) -> Config {
        self.heap = self.heap.stress(on);
        self
    }

    /// The seed of the hash functions, which decides in which order a traversal meets keys. Without
    /// it every interpreter draws a random one, so that a script's input cannot be made of keys that
    /// collide; a fixed seed is for runs that are to repeat exactly.
    ///
    /// ```
    /// use lua::{Config, Interpreter};
    ///
    /// let mut lua = Interpreter::new(Config::new().hash_seed(1))?;
    /// lua.run_source("for name in pairs(string) do last = name end", "=example", &[])?;
    /// # Ok::<(), lua::ScriptError>(())
    /// ```
    #[must_use]
    pub fn hash_seed(mut self, seed: u64) -> Config {
        self.hash_seed = Some(seed);
        self
    }

    /// Whether the environment variables `LUA_PATH` and `LUA_CPATH`, or those with `_5_4` behind their
    /// names, say where modules are. `os.getenv` sees all variables anyway.
    #[must_use]
    pub fn read_environment(mut self, on: bool) -> Config {
        self.reads_environment = on;
        self
    }

    /// Samples allocations, one for each so many bytes on average, with the stack of the script:
    /// [`Heap::allocation_profile`] of [`Interpreter::heap`] says where the memory was allocated.
    ///
    /// ```
    /// use lua::{Config, Interpreter};
    ///
    /// let mut lua = Interpreter::new(Config::new().sample_bytes(1))?;
    /// lua.run_source("kept = {}\nfor i = 1, 100 do kept[i] = {} end", "=script", &[])?;
    /// let profile = lua.heap().allocation_profile().expect("it samples");
    /// let tables = profile.sites.iter().find(|site| site.allocated.objects == 100).unwrap();
    /// assert_eq!((&*tables.frames[0].file, tables.frames[0].line), ("script", 2));
    /// # Ok::<(), lua::ScriptError>(())
    /// ```
    #[must_use]
    pub fn sample_bytes(mut self, bytes: usize) -> Config {
        self.heap = self.heap.sample_bytes(bytes);
        self.takes_stacks = bytes > 0;
        self
    }

    /// Where `print` and `io.write` go. What is written is not buffered further.
    #[must_use]
    pub fn output(mut self, output: Box<dyn Write + Send>) -> Config {
        self.output = Some(output);
        self
    }
}

/// Why a script did not run to its end.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScriptError {
    /// The file cannot be read.
    #[error("{0}")]
    Read(String),
    /// The source does not compile.
    #[error("{0}")]
    Syntax(String),
    /// An error that the script did not catch.
    #[error("{message}\n{traceback}")]
    Runtime {
        /// The error value as text.
        message: String,
        /// The stack at the time of the error.
        traceback: String,
    },
    /// The heap's limit is too small even to begin.
    #[error("not enough memory")]
    Memory,
}

impl From<NoMemory> for ScriptError {
    fn from(_: NoMemory) -> Self {
        ScriptError::Memory
    }
}

/// A Lua interpreter with a heap of its own.
///
/// ```
/// use lua::{Config, Interpreter};
///
/// let mut lua = Interpreter::new(Config::new().max_heap_bytes(16 << 20))?;
/// lua.run_source("local t = {1, 2, 3} assert(#t == 3)", "=example", &[])?;
/// # Ok::<(), lua::ScriptError>(())
/// ```
pub struct Interpreter {
    root: Root<State<'static>>,
    host: Host,
    heap: Heap,
    has_arguments: bool,
    /// For the stacks of samples, if there are any.
    native_names: Option<Arc<NativeNames>>,
}

impl Interpreter {
    /// A new interpreter with the standard library.
    ///
    /// # Errors
    ///
    /// If the heap's limit is too small for that.
    ///
    /// # Panics
    ///
    /// If the calling thread is inside a heap.
    pub fn new(config: Config) -> Result<Interpreter, ScriptError> {
        let heap = Heap::new(config.heap);
        let output = config.output.unwrap_or_else(|| Box::new(std::io::stdout()));
        let buffer_limit = config.max_heap_bytes.unwrap_or(usize::MAX);
        let hash_seed = HashSeed::new(config.hash_seed.unwrap_or_else(random_seed));
        let host = Host::new(&heap, output, buffer_limit, hash_seed);
        let mut cx = heap.enter();
        let root = {
            let state = State::new(&cx, &host)?;
            cx.root(state)
        };
        let runner = Runner { cx: &mut cx, root: &root, host: &host };
        crate::stdlib::open_all(runner.ctx())?;
        if config.reads_environment {
            crate::stdlib::package::read_environment(runner.ctx())?;
        }
        let names = || Arc::new(NativeNames::of_loaded(runner.ctx()));
        let native_names = config.takes_stacks.then(names);
        drop(cx);
        Ok(Interpreter { root, host, heap, has_arguments: false, native_names })
    }

    /// The heap, for statistics and verification.
    #[must_use]
    pub fn heap(&self) -> &Heap {
        &self.heap
    }

    /// A handle with which another thread can stop a script.
    ///
    /// ```
    /// use lua::{Config, Interpreter};
    ///
    /// let mut lua = Interpreter::new(Config::new())?;
    /// let interrupter = lua.interrupter();
    /// let watchdog = std::thread::spawn(move || interrupter.interrupt());
    /// let error = lua.run_source("while true do end", "=endless", &[]).unwrap_err();
    /// assert!(error.to_string().starts_with("endless:1: interrupted!"));
    /// # watchdog.join().unwrap();
    /// # Ok::<(), lua::ScriptError>(())
    /// ```
    #[must_use]
    pub fn interrupter(&self) -> Interrupter {
        self.host.interrupt.interrupter(&self.heap)
    }

    /// Makes the table `arg`: argument `script` is at index 0 there, those before it at negative ones.
    /// [`Interpreter::run_file`] and [`Interpreter::run_source`] leave it as it is from now on.
    ///
    /// # Errors
    ///
    /// If there is no memory for it.
    pub fn set_arguments(
        &mut self,
        arguments: &[String],
        script: usize,
    ) -> Result<(), ScriptError> {
        self.has_arguments = true;
        self.make_arg(|i| i as i64 - script as i64, arguments)
    }

    /// Requires a module and makes it a global variable.
    ///
    /// # Errors
    ///
    /// If `require` fails.
    pub fn require(&mut self, module: &str, global: &str) -> Result<(), ScriptError> {
        let result = self.with(|runner| {
            let mut required = runner.enter(|ctx| {
                let require = ctx.state.globals.get_str(ctx, ctx.str("require")?);
                ctx.state.main_thread.slot(0).set(ctx.cx, require);
                ctx.state.main_thread.slot(1).set(ctx.cx, Value::Str(ctx.str(module)?));
                Ok(())
            });
            if required.is_ok() {
                required = runner.call(0, 1).map(drop);
            }
            required = required.and_then(|()| {
                runner.enter(|ctx| {
                    let module = ctx.state.main_thread.slot(0).get();
                    Ok(ctx.state.globals.set_str(ctx, ctx.str(global)?, module)?)
                })
            });
            required.map_err(|raised| uncaught(runner, raised))
        });
        self.flush();
        result
    }

    /// As `warn("@on")`.
    pub fn turn_warnings_on(&mut self) {
        self.host.warnings.set(true);
    }

    /// Runs a script file; `None` is the standard input. `arg` and the chunk's `...` get the
    /// arguments.
    ///
    /// # Errors
    ///
    /// If the file cannot be read, does not compile, or fails.
    pub fn run_file(&mut self, path: Option<&Path>, args: &[String]) -> Result<(), ScriptError> {
        let path = path.map(|path| path.to_string_lossy().into_owned());
        let (source, name) = read_script(path.as_deref()).map_err(ScriptError::Read)?;
        self.set_arg(path.as_deref(), args)?;
        self.run(&source, &name, args)
    }

    /// Runs source text. `name` is the chunk's name in the convention of real Lua: `=name` is taken
    /// as it is.
    ///
    /// # Errors
    ///
    /// If it does not compile, or fails.
    pub fn run_source(
        &mut self,
        source: &str,
        name: &str,
        args: &[String],
    ) -> Result<(), ScriptError> {
        self.set_arg(None, args)?;
        self.run(source.as_bytes(), name, args)
    }

    /// Runs the finalizers (`__gc` metamethods) of all objects that have one, the newest first: for
    /// the end of a program, when real Lua closes its state. What the finalizers register does not
    /// count. An interpreter that is dropped runs none.
    ///
    /// ```
    /// use lua::{Config, Interpreter};
    ///
    /// let mut lua = Interpreter::new(Config::new())?;
    /// lua.run_source("setmetatable({}, {__gc = function() done = true end})", "=first", &[])?;
    /// lua.finalize_all();
    /// lua.run_source("assert(done)", "=second", &[])?;
    /// # Ok::<(), lua::ScriptError>(())
    /// ```
    pub fn finalize_all(&mut self) {
        self.with(|runner| runner.run_all_finalizers());
        self.flush();
    }

    /// Runs `body` with access to the interpreter's objects.
    pub(crate) fn with<R>(&mut self, body: impl FnOnce(&mut Runner<'_>) -> R) -> R {
        let mut cx = self.heap.enter();
        if let Some(names) = &self.native_names {
            cx.set_stack_hook(stack_hook(self.root.clone(), Arc::clone(names)));
        }
        let mut runner = Runner { cx: &mut cx, root: &self.root, host: &self.host };
        // IN2: there may have been a collection since the interrupt.
        runner.renew_wish();
        body(&mut runner)
    }

    /// The table `arg` for a script, unless there is one.
    fn set_arg(&mut self, script: Option<&str>, args: &[String]) -> Result<(), ScriptError> {
        if self.has_arguments {
            return Ok(());
        }
        let script: Vec<String> = script.into_iter().map(str::to_owned).collect();
        let first = 1 - script.len() as i64;
        self.make_arg(|i| first + i as i64, &[&script, args].concat())
    }

    fn make_arg(
        &mut self,
        index: impl Fn(usize) -> i64,
        arguments: &[String],
    ) -> Result<(), ScriptError> {
        self.with(|runner| {
            let ctx = runner.ctx();
            let table = crate::table::Table::new(ctx)?;
            for (i, argument) in arguments.iter().enumerate() {
                table.set_int(ctx, index(i), Value::Str(ctx.str(argument)?))?;
            }
            ctx.state.globals.set_str(ctx, ctx.str("arg")?, Value::Table(table))?;
            Ok(())
        })
    }

    fn run(&mut self, source: &[u8], name: &str, args: &[String]) -> Result<(), ScriptError> {
        let result = self.with(|runner| {
            let loaded = runner.enter(|ctx| {
                let environment = Value::Table(ctx.state.globals);
                let closure = match load_chunk(ctx, source, name, environment)? {
                    Ok(closure) => closure,
                    Err(message) => return Ok(Err(message)),
                };
                let thread = ctx.state.main_thread;
                thread.reserve(ctx, args.len())?;
                thread.slot(0).set(ctx.cx, Value::Function(closure));
                for (i, arg) in args.iter().enumerate() {
                    thread.slot(i + 1).set(ctx.cx, Value::Str(ctx.str(arg)?));
                }
                Ok(Ok(()))
            });
            match loaded {
                Ok(Ok(())) => {}
                Ok(Err(message)) => return Err(ScriptError::Syntax(message)),
                Err(raised) => return Err(uncaught(runner, raised)),
            }
            runner.call(0, args.len()).map(drop).map_err(|raised| uncaught(runner, raised))
        });
        self.flush();
        result
    }

    fn flush(&self) {
        // A closed pipe is not the script's fault.
        let _ = self.host.output.borrow_mut().flush();
    }
}

/// Describes the error in the state as the stand-alone interpreter does.
fn uncaught(runner: &mut Runner<'_>, _: Raised) -> ScriptError {
    // Out of memory, there is none.
    let traceback = runner.host.traceback.take().unwrap_or_default();
    let metamethod = runner.enter(|ctx| {
        let value = ctx.state.error.get();
        let handler = ctx.metamethod(value, crate::state::Event::ToString);
        let thread = ctx.state.main_thread;
        thread.slot(0).set(ctx.cx, handler);
        thread.slot(1).set(ctx.cx, value);
        Ok(!handler.is_nil())
    });
    if metamethod == Ok(true) && runner.call(0, 1).is_ok() {
        let ctx = runner.ctx();
        if let Value::Str(text) = ctx.state.main_thread.slot(0).get() {
            return ScriptError::Runtime { message: text.to_text(), traceback: String::new() };
        }
    }
    let ctx = runner.ctx();
    let value = ctx.state.error.get();
    let message = match value {
        Value::Str(_) | Value::Int(_) | Value::Float(_) => {
            let mut text = Vec::new();
            if append_text(ctx, &mut text, value).is_err() {
                text.extend_from_slice(ctx.state.out_of_memory.as_bytes());
            }
            String::from_utf8_lossy(&text).into_owned()
        }
        other => format!("(error object is a {} value)", other.ty().name()),
    };
    ScriptError::Runtime { message, traceback }
}

impl core::fmt::Debug for Interpreter {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Interpreter").field("heap", &self.heap).finish_non_exhaustive()
    }
}
