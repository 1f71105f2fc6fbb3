//! [`Interpreter`]: the library's face.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use heap_api::{Heap, Root};

use crate::error::{Failure, NoMemory, Raised, operation_failed};
use crate::hash::{HashSeed, random_seed};
use crate::host::{self, Data, HostType};
use crate::interrupt::Interrupter;
use crate::limits::{Limit, OnLimit, Stop};
use crate::native::{Call, NativeResult};
use crate::state::{AtExit, Ctx, Host, State};
use crate::stdlib::Libraries;
use crate::stdlib::base::append_text;
use crate::stdlib::package::{load_chunk, read_script};
use crate::timer::Timer;
use crate::value::Value;
use crate::vm::{NativeNames, Runner, Task, stack_hook};

/// How an interpreter behaves. Start from [`Config::new`].
#[derive(Default)]
pub struct Config {
    heap: heap_api::Config,
    max_heap_bytes: Option<usize>,
    output: Option<Box<dyn Write + Send>>,
    hash_seed: Option<u64>,
    reads_environment: bool,
    takes_stacks: bool,
    instruction_limit: Option<u64>,
    time_limit: Option<Duration>,
    on_limits: Vec<(Limit, OnLimit)>,
    libraries: Libraries,
    at_exit: Option<AtExit>,
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

    /// Samples allocations, on average one per this number of bytes, with the stack of the script:
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

    /// How many instructions of the virtual machine each call from the host may run. Scripts run
    /// more slowly while instructions are counted. The limit does not depend on the machine's
    /// speed. A call of a library function counts as one instruction, so a host should also set a
    /// limit for the time or use an [`Interrupter`].
    #[must_use]
    pub fn instruction_limit(mut self, instructions: u64) -> Config {
        self.instruction_limit = Some(instructions);
        self
    }

    /// How long each call from the host may run, in real time. A thread watches over it. A script notices at
    /// its next call or turn of a loop; see [`Interrupter::interrupt`] about library functions.
    #[must_use]
    pub fn time_limit(mut self, limit: Duration) -> Config {
        self.time_limit = Some(limit);
        self
    }

    /// Whether scripts can catch the error that a limit raises. By default they can.
    ///
    /// ```
    /// use lua::{Config, Interpreter, Limit, OnLimit, ScriptError};
    ///
    /// let config = Config::new()
    ///     .instruction_limit(1_000_000)
    ///     .on_limit(Limit::Instructions, OnLimit::Uncatchable);
    /// let mut lua = Interpreter::new(config)?;
    /// let hostile = "while true do pcall(function() while true do end end) end";
    /// let error = lua.run_source(hostile, "=hostile", &[]).unwrap_err();
    /// assert!(matches!(error, ScriptError::Stopped { limit: Limit::Instructions, .. }));
    /// // Each call has its own budget.
    /// lua.run_source("assert(1 + 1 == 2)", "=good", &[])?;
    /// # Ok::<(), ScriptError>(())
    /// ```
    #[must_use]
    pub fn on_limit(mut self, limit: Limit, on_limit: OnLimit) -> Config {
        self.on_limits.push((limit, on_limit));
        self
    }

    /// Which libraries there are; all of them by default.
    ///
    /// ```
    /// use lua::{Config, Interpreter, Libraries};
    ///
    /// let mut lua = Interpreter::new(Config::new().libraries(Libraries::safe()))?;
    /// lua.run_source("assert(io == nil and require == nil and string.rep)", "=script", &[])?;
    /// # Ok::<(), lua::ScriptError>(())
    /// ```
    #[must_use]
    pub fn libraries(mut self, libraries: Libraries) -> Config {
        self.libraries = libraries;
        self
    }

    /// What to do before `os.exit` ends the process, which it does at once, without closing anything, unless
    /// its second argument is true. It gets the heap, after a collection, and the exit code, and returns the one to
    /// use. Neither is done if [`ScriptError::Exit`] leaves the end of the process to the host.
    ///
    /// ```no_run
    /// use lua::{Config, Interpreter};
    ///
    /// let config = Config::new().at_exit(|heap, code| {
    ///     eprintln!("{} collections", heap.stats().collections);
    ///     code
    /// });
    /// Interpreter::new(config)?.run_source("os.exit(3)", "=script", &[])?;
    /// # Ok::<(), lua::ScriptError>(())
    /// ```
    #[must_use]
    pub fn at_exit(mut self, at_exit: impl FnOnce(&Heap, i32) -> i32 + Send + 'static) -> Config {
        self.at_exit = Some(Box::new(at_exit));
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
    /// The script has met a limit whose error it could not catch; see [`OnLimit`].
    #[error("{message}\n{traceback}")]
    Stopped {
        /// Which one.
        limit: Limit,
        /// The error as text.
        message: String,
        /// The stack at the time of the error.
        traceback: String,
    },
    /// The script has called `os.exit` with a second argument that is true: it is for the host to end the
    /// process, with this code.
    #[error("the script has exited with code {0}")]
    Exit(i32),
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
    time_limit: Option<Duration>,
    timer: Option<Timer>,
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
        host.limits.set_instructions(config.instruction_limit);
        for (limit, on_limit) in &config.on_limits {
            host.limits.set_on_limit(*limit, *on_limit);
        }
        *host.at_exit.borrow_mut() = config.at_exit;
        let mut cx = heap.enter();
        let root = {
            let state = State::new(&cx, &host)?;
            cx.root(state)
        };
        let runner = Runner { cx: &mut cx, root: &root, host: &host };
        crate::stdlib::open(runner.ctx(), &config.libraries)?;
        if config.reads_environment {
            crate::stdlib::package::read_environment(runner.ctx())?;
        }
        let names = || Arc::new(NativeNames::of_loaded(runner.ctx()));
        let native_names = config.takes_stacks.then(names);
        drop(cx);
        let mut interpreter = Interpreter {
            root,
            host,
            heap,
            has_arguments: false,
            native_names,
            time_limit: None,
            timer: None,
        };
        interpreter.set_time_limit(config.time_limit);
        Ok(interpreter)
    }

    /// The heap, for statistics and verification.
    #[must_use]
    pub fn heap(&self) -> &Heap {
        &self.heap
    }

    /// Limits the instructions of each call from the host from now on; see [`Config::instruction_limit`].
    pub fn set_instruction_limit(&mut self, limit: Option<u64>) {
        self.host.limits.set_instructions(limit);
    }

    /// Limits the time of each call from the host from now on; see [`Config::time_limit`].
    ///
    /// # Panics
    ///
    /// If the system refuses the thread that watches over it.
    pub fn set_time_limit(&mut self, limit: Option<Duration>) {
        self.time_limit = limit;
        if limit.is_some() && self.timer.is_none() {
            let timer = Timer::new(self.interrupter());
            self.timer = Some(timer.expect("the system starts a thread for the time limit"));
        }
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
        self.run(&source, &name, |ctx| push_strings(ctx, args))
    }

    /// As [`Interpreter::run_file`], for the script of a command line: `...` gets the elements that
    /// the table `arg` ([`Interpreter::set_arguments`]) has at that time, with the changes that
    /// earlier chunks have made.
    ///
    /// # Errors
    ///
    /// As [`Interpreter::run_file`]; if `arg` is not a table.
    pub fn run_script(&mut self, path: Option<&Path>) -> Result<(), ScriptError> {
        let path = path.map(|path| path.to_string_lossy().into_owned());
        let (source, name) = read_script(path.as_deref()).map_err(ScriptError::Read)?;
        self.run(&source, &name, push_arg)
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
        self.run(source.as_bytes(), name, |ctx| push_strings(ctx, args))
    }

    /// As [`Interpreter::run_source`], for source text that need not be UTF-8, and for binary chunks
    /// (`string.dump`). These are verified; a chunk that is spoilt is a syntax error.
    ///
    /// ```
    /// use lua::{Config, Data, Interpreter};
    ///
    /// let mut lua = Interpreter::new(Config::new())?;
    /// let dump = lua.eval("return string.dump(function() x = 42 end)", "=dump")?;
    /// let [Data::Text(chunk)] = dump.as_slice() else { panic!("a string") };
    /// lua.run_bytes(chunk, "=chunk", &[])?;
    /// assert_eq!(lua.global("x")?, Data::Int(42));
    /// assert!(lua.run_bytes(&chunk[..20], "=chunk", &[]).is_err());
    /// # Ok::<(), lua::ScriptError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`Interpreter::run_source`].
    pub fn run_bytes(
        &mut self,
        chunk: &[u8],
        name: &str,
        args: &[String],
    ) -> Result<(), ScriptError> {
        self.set_arg(None, args)?;
        self.run(chunk, name, |ctx| push_strings(ctx, args))
    }

    /// Runs source text as [`Interpreter::run_source`], and returns what it returns.
    ///
    /// ```
    /// use lua::{Config, Data, Interpreter};
    ///
    /// let mut lua = Interpreter::new(Config::new())?;
    /// assert_eq!(lua.eval("return 1 + 1, 'x'", "=sum")?, [Data::Int(2), "x".into()]);
    /// # Ok::<(), lua::ScriptError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// If it does not compile, or fails.
    pub fn eval(&mut self, source: &str, name: &str) -> Result<Vec<Data>, ScriptError> {
        self.run_for_results(source.as_bytes(), name, |_| Ok(0))
    }

    /// Calls a function in Lua: the global variable of that name, or a field as in `module.name`.
    ///
    /// ```
    /// use lua::{Config, Data, Interpreter};
    ///
    /// let mut lua = Interpreter::new(Config::new())?;
    /// lua.run_source("function double(x) return 2 * x end", "=script", &[])?;
    /// assert_eq!(lua.call("double", &[21.into()])?, [Data::Int(42)]);
    /// assert_eq!(lua.call("string.upper", &["a".into()])?, ["A".into()]);
    /// # Ok::<(), lua::ScriptError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// If there is no such function, or it fails.
    pub fn call(&mut self, path: &str, arguments: &[Data]) -> Result<Vec<Data>, ScriptError> {
        let results = self.with(|runner| {
            let prepared = runner.enter(|ctx| {
                let thread = ctx.state.main_thread;
                thread.reserve(ctx, arguments.len())?;
                thread.slot(0).set(ctx.cx, field(ctx, path)?);
                for (i, argument) in arguments.iter().enumerate() {
                    thread.slot(i + 1).set(ctx.cx, argument.to_value(ctx)?);
                }
                Ok(())
            });
            let called = prepared.and_then(|()| runner.call(0, arguments.len()));
            called
                .map(|count| results(runner.ctx(), count))
                .map_err(|raised| uncaught(runner, raised))
        });
        self.flush();
        results
    }

    /// Sets a global variable.
    ///
    /// # Errors
    ///
    /// If the heap has no memory for it.
    pub fn set_global(&mut self, name: &str, value: &Data) -> Result<(), ScriptError> {
        self.set_global_value(name, |ctx| value.to_value(ctx))
    }

    /// The value of a global variable, or of a field as in `module.name`.
    ///
    /// # Errors
    ///
    /// If the value before the last name is not a table.
    pub fn global(&mut self, path: &str) -> Result<Data, ScriptError> {
        self.with(|runner| {
            let value = runner.enter(|ctx| field(ctx, path).map(Data::from_value));
            value.map_err(|raised| uncaught(runner, raised))
        })
    }

    /// Makes a function in Rust a global variable. It runs inside the region of its caller and can neither
    /// call Lua nor collect. If it finds no memory it is called again after a collection. See
    /// [`crate::native`] for what a [`Call`] offers.
    ///
    /// ```
    /// use lua::{Config, Data, Interpreter};
    ///
    /// let mut lua = Interpreter::new(Config::new())?;
    /// let factor = 3;
    /// lua.register("scale", move |call| call.ret(call.int(0)? * factor))?;
    /// assert_eq!(lua.eval("return scale(14)", "=script")?, [Data::Int(42)]);
    /// let error = lua.eval("scale{}", "=script").unwrap_err();
    /// assert!(error.to_string().contains("bad argument #1 to 'scale' (number expected, got table)"));
    /// # Ok::<(), lua::ScriptError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// If the heap has no memory for it.
    pub fn register(
        &mut self,
        name: &str,
        body: impl for<'gc> Fn(&Call<'gc>) -> NativeResult<'gc> + Send + Sync + 'static,
    ) -> Result<(), ScriptError> {
        let body = Arc::new(body);
        self.set_global_value(name, move |ctx| {
            let body = Arc::clone(&body);
            host::function(ctx, move |call| body(call))
        })
    }

    /// As [`Interpreter::register`], for a function that calls functions in Lua; see
    /// [`Task`].
    ///
    /// ```
    /// use lua::{Config, Data, Interpreter};
    ///
    /// let mut lua = Interpreter::new(Config::new())?;
    /// lua.register_calling("twice", |task| {
    ///     for _ in 0..2 {
    ///         task.enter(|call| call.push(call.arg(0)))?;
    ///         task.call_for(0, 0)?;
    ///     }
    ///     Ok(0)
    /// })?;
    /// lua.run_source("n = 0 twice(function() n = n + 1 end)", "=script", &[])?;
    /// assert_eq!(lua.global("n")?, Data::Int(2));
    /// # Ok::<(), lua::ScriptError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// If the heap has no memory for it.
    pub fn register_calling(
        &mut self,
        name: &str,
        body: impl Fn(&mut Task<'_>) -> Result<usize, Raised> + Send + Sync + 'static,
    ) -> Result<(), ScriptError> {
        let body = Arc::new(body);
        self.set_global_value(name, move |ctx| {
            let body = Arc::clone(&body);
            host::calling_function(ctx, move |task| body(task))
        })
    }

    /// Makes a type known, so that functions can make objects of it ([`Call::new_userdata`]).
    ///
    /// # Errors
    ///
    /// If the heap has no memory for it.
    pub fn register_type<T: HostType>(&mut self) -> Result<(), ScriptError> {
        self.with(|runner| {
            let registered = runner.enter(|ctx| Ok(host::register_type::<T>(ctx)?));
            registered.map_err(|raised| uncaught(runner, raised))
        })
    }

    fn set_global_value(
        &mut self,
        name: &str,
        value: impl for<'gc> Fn(Ctx<'gc>) -> Result<Value<'gc>, NoMemory>,
    ) -> Result<(), ScriptError> {
        self.with(|runner| {
            let set = runner
                .enter(|ctx| Ok(ctx.state.globals.set_str(ctx, ctx.str(name)?, value(ctx)?)?));
            set.map_err(|raised| uncaught(runner, raised))
        })
    }

    /// Runs the finalizers (`__gc` metamethods) of all objects that have one, the newest first: for
    /// the end of a program, when real Lua closes its state. Objects that the finalizers register
    /// are not finalized. An interpreter that is dropped runs none.
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
        self.host.limits.begin();
        // IN2: there may have been a collection since the interrupt.
        runner.renew_wish();
        if let Some((timer, limit)) = self.timer.as_ref().zip(self.time_limit) {
            timer.start(limit);
        }
        let result = body(&mut runner);
        if let Some(timer) = &self.timer {
            timer.stop();
        }
        result
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

    /// Runs a chunk. `push` puts its arguments into the stack, from slot 1 on, and says how many.
    fn run(
        &mut self,
        source: &[u8],
        name: &str,
        push: impl for<'gc> Fn(Ctx<'gc>) -> Result<usize, Failure<'gc>>,
    ) -> Result<(), ScriptError> {
        self.run_for_results(source, name, push).map(drop)
    }

    fn run_for_results(
        &mut self,
        source: &[u8],
        name: &str,
        push: impl for<'gc> Fn(Ctx<'gc>) -> Result<usize, Failure<'gc>>,
    ) -> Result<Vec<Data>, ScriptError> {
        let result = self.with(|runner| {
            let loaded = runner.enter(|ctx| {
                let environment = Value::Table(ctx.state.globals);
                let closure = match load_chunk(ctx, source, name, environment)? {
                    Ok(closure) => closure,
                    Err(message) => return Ok(Err(message)),
                };
                ctx.state.main_thread.slot(0).set(ctx.cx, Value::Function(closure));
                Ok(Ok(push(ctx)?))
            });
            let count = match loaded {
                Ok(Ok(count)) => count,
                Ok(Err(message)) => return Err(ScriptError::Syntax(message)),
                Err(raised) => return Err(uncaught(runner, raised)),
            };
            let called = runner.call(0, count);
            called
                .map(|count| results(runner.ctx(), count))
                .map_err(|raised| uncaught(runner, raised))
        });
        self.flush();
        result
    }

    fn flush(&self) {
        // A closed pipe is not the script's fault.
        let _ = self.host.output.borrow_mut().flush();
    }
}

/// The results of a call from the host.
fn results(ctx: Ctx<'_>, count: usize) -> Vec<Data> {
    (0..count).map(|i| Data::from_value(ctx.state.main_thread.slot(i).get())).collect()
}

/// What a path of names leads to, from the global variables on.
fn field<'gc>(ctx: Ctx<'gc>, path: &str) -> Result<Value<'gc>, Failure<'gc>> {
    let mut value = Value::Table(ctx.state.globals);
    for name in path.split('.') {
        let Value::Table(table) = value else {
            return Err(operation_failed(format!("no field '{name}' (in '{path}')")));
        };
        value = table.get_str(ctx, ctx.str(name)?);
    }
    Ok(value)
}

fn push_strings<'gc>(ctx: Ctx<'gc>, args: &[String]) -> Result<usize, Failure<'gc>> {
    let thread = ctx.state.main_thread;
    thread.reserve(ctx, args.len())?;
    for (i, arg) in args.iter().enumerate() {
        thread.slot(i + 1).set(ctx.cx, Value::Str(ctx.str(arg)?));
    }
    Ok(args.len())
}

/// What the table `arg` has from index 1 on.
fn push_arg<'gc>(ctx: Ctx<'gc>) -> Result<usize, Failure<'gc>> {
    let Value::Table(arg) = ctx.state.globals.get_str(ctx, ctx.str("arg")?) else {
        return Err(operation_failed("'arg' is not a table"));
    };
    let (thread, count) = (ctx.state.main_thread, arg.length(ctx));
    let count = usize::try_from(count).unwrap_or(0);
    if !thread.has_room(count) {
        return Err(operation_failed("too many arguments to script"));
    }
    thread.reserve(ctx, count)?;
    for i in 1..=count {
        thread.slot(i).set(ctx.cx, arg.get_int(ctx, i as i64));
    }
    Ok(count)
}

/// Describes the error in the state as the stand-alone interpreter does.
fn uncaught(runner: &mut Runner<'_>, _: Raised) -> ScriptError {
    // After an error for lack of memory there may be none.
    let traceback = runner.host.traceback.take().unwrap_or_default();
    let stop = runner.host.limits.stop();
    if let Some(Stop::Exit(code)) = stop {
        return ScriptError::Exit(code);
    }
    if let Some(Stop::Limit(limit)) = stop {
        let message = match runner.ctx().state.error.get() {
            Value::Str(text) => text.to_text(),
            _ => limit.message().to_owned(),
        };
        return ScriptError::Stopped { limit, message, traceback };
    }
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
