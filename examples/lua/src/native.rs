//! Functions written in Rust: how the standard library is built.
//!
//! # How to write a library function
//! A library is a `static` slice of [`NativeDef`]s, put into a table by
//! [`crate::stdlib::install`]. Most functions are *fast*: `fn(&Call<'gc>) -> NativeResult<'gc>`.
//! They run inside the region of the interpreter loop: they may hold values freely and allocate, but
//! they can neither collect nor call Lua.
//!
//! ```ignore
//! fn abs<'gc>(call: &Call<'gc>) -> NativeResult<'gc> {
//!     match call.arg(0) {
//!         Value::Int(i) => call.ret(Value::Int(i.wrapping_abs())),
//!         _ => call.ret(Value::float(call.float(0)?.abs())),
//!     }
//! }
//! static MATH: &[NativeDef] = &[NativeDef::fast("abs", abs)];
//! ```
//!
//! * Arguments are numbered from 0: `call.arg(i)` (nil if absent), `call.count()`, and with type
//!   checks in real Lua's words `call.int(i)?`, `call.float(i)?`, `call.string(i)?`,
//!   `call.table(i)?`, `call.opt_int(i, default)?`, `call.opt_string(i)?`, `call.any(i)?`.
//! * Results: `call.ret(value)`, `call.ret_none()`, `call.ret_all(&[..])`. For many results
//!   `let call = call.reserve(n)?`, read what is needed, then `call.set_result(i, value)` for each
//!   and `call.results(n)`. Results overwrite the arguments: read first.
//! * Errors: `Err(fail("message"))` (the caller's position is added), `Err(call.bad_argument(i,
//!   "message"))`, `Err(call.type_error(i, "table"))`; `?` on [`NoMemory`](crate::error::NoMemory) and on
//!   [`crate::table::SetError`].
//! * **No memory**: a function that fails with [`Fail::Memory`] (which is what `?` on `NoMemory`
//!   gives) is called again after a collection. So do nothing irrevocable before the last
//!   allocation; if that cannot be, map the error to [`Fail::MemoryFinal`].
//!
//! A function that must call Lua or collect has a *slow* body, `fn(&mut Task<'_>) -> Result<usize,
//! Raised>`. It keeps no values across calls except in stack slots. With [`NativeDef::either`] the
//! fast body runs first and asks for the slow one by `call.slow()`, before any side effect (a sort
//! without comparator is fast, one with a comparator is slow).
//!
//! ```ignore
//! fn apply(task: &mut Task<'_>) -> Result<usize, Raised> {   // apply(f, x) --> f(x) + 1
//!     task.enter(|call| { call.push(call.any(0)?)?; call.push(call.arg(1)) })?;
//!     task.call_for(1, 1)?;                                   // one argument, one result
//!     task.enter(|call| match call.pushed(0) {
//!         Value::Int(i) => Ok(call.place(&[Value::Int(i + 1)])),
//!         _ => Err(fail("integer expected")),
//!     })
//! }
//! ```
//!
//! * [`Task::enter`] opens a region; its closure gets the same [`Call`], returns a value without
//!   handles, and runs again after a collection if it fails for lack of memory.
//! * A slow body has a stack of its own after its arguments: [`Call::push`], [`Call::pushed`] (by
//!   index from the first pushed), [`Call::pop`]. [`Task::call_for`] and [`Task::call`] call the
//!   function below its arguments on that stack and replace them by the results.
//! * Its own results are in place, as for a fast body ([`Call::place`], [`Call::set_result`],
//!   [`Task::return_pushed`]), and it returns their number.

use heap_api::Gc;

use crate::error::{Fail, Failure};
use crate::function::NativeFn;
use crate::number::Number;
use crate::state::{Ctx, Event};
use crate::string::Str;
use crate::table::Table;
use crate::thread::{Frame, FrameKind, Thread};
use crate::value::Value;
use crate::vm::Task;

pub use crate::error::Raised;

/// A body that runs inside the interpreter loop's region.
pub type FastFn = for<'gc> fn(&Call<'gc>) -> NativeResult<'gc>;

/// A body that may call Lua and collect.
pub type SlowFn = for<'a, 'b> fn(&'a mut Task<'b>) -> Result<usize, Raised>;

/// What a fast body says when it does not fail.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Done {
    /// That many results are in place.
    Results(usize),
    /// Call the slow body; nothing has happened yet.
    Slow,
}

/// What a fast body returns.
pub type NativeResult<'gc> = Result<Done, Failure<'gc>>;

/// Functions that the interpreter loop itself carries out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs, reason = "the names of Lua functions")]
pub enum Control {
    Pcall,
    Xpcall,
    Pairs,
    DoFile,
    Resume,
    /// The function that `coroutine.wrap` made; the coroutine is its only upvalue.
    Wrapped,
    Yield,
    /// `coroutine.close`
    Close,
}

/// The body of a native function.
#[derive(Clone, Copy)]
pub enum Body {
    /// Only a fast one.
    Fast(FastFn),
    /// A fast one that may ask for the slow one.
    Either(FastFn, SlowFn),
    /// Only a slow one.
    Slow(SlowFn),
    /// Part of the interpreter loop.
    Control(Control),
}

/// A native function, as data.
pub struct NativeDef {
    /// The name in its library.
    pub name: &'static str,
    /// What it does.
    pub body: Body,
}

impl NativeDef {
    /// A function with a fast body.
    #[must_use]
    pub const fn fast(name: &'static str, body: FastFn) -> NativeDef {
        NativeDef { name, body: Body::Fast(body) }
    }

    /// A function with a slow body.
    #[must_use]
    pub const fn slow(name: &'static str, body: SlowFn) -> NativeDef {
        NativeDef { name, body: Body::Slow(body) }
    }

    /// A function with a fast body that may ask for the slow one.
    #[must_use]
    pub const fn either(name: &'static str, fast: FastFn, slow: SlowFn) -> NativeDef {
        NativeDef { name, body: Body::Either(fast, slow) }
    }

    /// A function that the interpreter loop carries out.
    #[must_use]
    pub const fn control(name: &'static str, control: Control) -> NativeDef {
        NativeDef { name, body: Body::Control(control) }
    }
}

/// One call of a native function, inside a region.
#[derive(Clone, Copy)]
pub struct Call<'gc> {
    /// The region.
    pub ctx: Ctx<'gc>,
    /// The thread that runs.
    pub thread: Gc<'gc, Thread<'gc>>,
    func: usize,
    count: usize,
}

impl<'gc> Call<'gc> {
    /// The call whose function is at `func`, with `count` arguments after it.
    #[inline(always)]
    pub(crate) fn new(
        ctx: Ctx<'gc>,
        thread: Gc<'gc, Thread<'gc>>,
        func: usize,
        count: usize,
    ) -> Call<'gc> {
        Call { ctx, thread, func, count }
    }

    // ---- arguments ----

    /// Number of arguments.
    #[inline(always)]
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }

    /// Argument `i`, nil if absent.
    #[inline(always)]
    #[must_use]
    pub fn arg(&self, i: usize) -> Value<'gc> {
        if i < self.count { self.thread.slot(self.func + 1 + i).get() } else { Value::Nil }
    }

    /// Value `i` of the function's own.
    ///
    /// # Panics
    ///
    /// In a slow body, after it has placed its results.
    #[must_use]
    pub fn upvalue(&self, i: usize) -> Value<'gc> {
        self.native().tail[i].get()
    }

    /// Replaces value `i` of the function's own.
    pub fn set_upvalue(&self, i: usize, value: Value<'gc>) {
        self.native().as_ref().tail[i].set(self.ctx.cx, value);
    }

    /// The function itself if it has no frame: that of a fast body is pushed only when it has failed
    /// for lack of memory and runs again.
    #[must_use]
    pub fn frameless(&self) -> Option<Value<'gc>> {
        let is_own = |frame: &Frame| {
            frame.kind.get() == FrameKind::Native && frame.func.get() as usize == self.func
        };
        (!self.thread.top_frame().is_some_and(is_own)).then(|| self.thread.slot(self.func).get())
    }

    /// Stack index of argument 0.
    #[must_use]
    pub fn first(&self) -> usize {
        self.func + 1
    }

    fn native(&self) -> Gc<'gc, NativeFn<'gc>> {
        match self.thread.slot(self.func).get() {
            Value::Native(native) => native,
            _ => unreachable!("a native call has its function in place until it returns"),
        }
    }

    /// An argument that must be there, even if nil.
    ///
    /// # Errors
    ///
    /// If it is absent.
    pub fn any(&self, i: usize) -> Result<Value<'gc>, Failure<'gc>> {
        if i < self.count { Ok(self.arg(i)) } else { Err(self.bad_argument(i, "value expected")) }
    }

    /// An integer argument.
    ///
    /// # Errors
    ///
    /// If it is not a number with an integer value.
    #[inline]
    pub fn int(&self, i: usize) -> Result<i64, Failure<'gc>> {
        match self.arg(i) {
            Value::Int(n) => Ok(n),
            other => other.to_integer().ok_or_else(|| self.not_an_integer(i)),
        }
    }

    #[cold]
    fn not_an_integer(&self, i: usize) -> Failure<'gc> {
        if self.arg(i).to_number().is_some() {
            self.bad_argument(i, "number has no integer representation")
        } else {
            self.type_error(i, "number")
        }
    }

    /// A number argument.
    ///
    /// # Errors
    ///
    /// If it is not a number.
    pub fn number(&self, i: usize) -> Result<Number, Failure<'gc>> {
        self.arg(i).to_number().ok_or_else(|| self.type_error(i, "number"))
    }

    /// A number argument as a float.
    ///
    /// # Errors
    ///
    /// If it is not a number.
    #[inline]
    pub fn float(&self, i: usize) -> Result<f64, Failure<'gc>> {
        match self.arg(i) {
            Value::Float(f) => Ok(f.get()),
            other => other.to_float().ok_or_else(|| self.type_error(i, "number")),
        }
    }

    /// A string argument; numbers are converted.
    ///
    /// # Errors
    ///
    /// If it is neither, or no memory.
    #[inline]
    pub fn string(&self, i: usize) -> Result<Str<'gc>, Failure<'gc>> {
        match self.arg(i) {
            Value::Str(s) => Ok(s),
            other => self.number_as_string(i, other),
        }
    }

    #[inline(never)]
    fn number_as_string(&self, i: usize, value: Value<'gc>) -> Result<Str<'gc>, Failure<'gc>> {
        match value {
            Value::Int(_) | Value::Float(_) => {
                let mut text = Vec::new();
                crate::vm::append_number(&mut text, value);
                Ok(self.ctx.str(&text)?)
            }
            _ => Err(self.type_error(i, "string")),
        }
    }

    /// A table argument.
    ///
    /// # Errors
    ///
    /// If it is not a table.
    #[inline]
    pub fn table(&self, i: usize) -> Result<Gc<'gc, Table<'gc>>, Failure<'gc>> {
        match self.arg(i) {
            Value::Table(table) => Ok(table),
            _ => Err(self.type_error(i, "table")),
        }
    }

    /// An integer argument, `default` if it is absent or nil.
    ///
    /// # Errors
    ///
    /// As [`Call::int`].
    pub fn opt_int(&self, i: usize, default: i64) -> Result<i64, Failure<'gc>> {
        if self.arg(i).is_nil() { Ok(default) } else { self.int(i) }
    }

    /// A string argument, `None` if it is absent or nil.
    ///
    /// # Errors
    ///
    /// As [`Call::string`].
    pub fn opt_string(&self, i: usize) -> Result<Option<Str<'gc>>, Failure<'gc>> {
        if self.arg(i).is_nil() { Ok(None) } else { self.string(i).map(Some) }
    }

    // ---- errors ----

    /// "bad argument #i to 'f' (message)".
    #[cold]
    #[must_use]
    pub fn bad_argument(&self, i: usize, message: impl Into<String>) -> Failure<'gc> {
        Box::new(Fail::Argument { index: i + 1, message: message.into() })
    }

    /// "bad argument #i to 'f' (table expected, got nil)".
    #[cold]
    #[must_use]
    pub fn type_error(&self, i: usize, expected: &str) -> Failure<'gc> {
        let got = if i < self.count { self.type_name(self.arg(i)) } else { "no value".to_owned() };
        self.bad_argument(i, format!("{expected} expected, got {got}"))
    }

    /// The type's name for messages; a metatable's `__name` takes precedence.
    #[must_use]
    pub fn type_name(&self, value: Value<'gc>) -> String {
        match (self.ctx.metamethod(value, Event::Name), value) {
            (Value::Str(name), _) => name.to_text(),
            (_, Value::LightUserData(_)) => "light userdata".to_owned(),
            _ => value.ty().name().to_owned(),
        }
    }

    /// Looks now and then whether the script is to stop. Loops whose number of turns the script
    /// chooses call this in each turn, with the turn's number.
    ///
    /// # Errors
    ///
    /// If it is.
    #[inline]
    pub fn poll(&self, turn: i64) -> Result<(), Failure<'gc>> {
        if turn & 0xffff == 0 && self.ctx.cx.should_yield() && self.ctx.host.interrupt.is_up() {
            return Err(Box::new(Fail::Interrupted));
        }
        Ok(())
    }

    // ---- results ----

    /// One result.
    ///
    /// # Errors
    ///
    /// Never; the type fits a function's last expression.
    #[inline(always)]
    pub fn ret(&self, value: impl Into<Value<'gc>>) -> NativeResult<'gc> {
        self.set_result(0, value.into());
        Ok(Done::Results(1))
    }

    /// No result.
    ///
    /// # Errors
    ///
    /// Never; the type fits a function's last expression.
    pub fn ret_none(&self) -> NativeResult<'gc> {
        Ok(Done::Results(0))
    }

    /// A few results, at most [`crate::thread::SPARE`].
    ///
    /// # Errors
    ///
    /// Never; the type fits a function's last expression.
    #[inline]
    pub fn ret_all(&self, values: &[Value<'gc>]) -> NativeResult<'gc> {
        Ok(Done::Results(self.place(values)))
    }

    /// Puts a few results in place, at most [`crate::thread::SPARE`], and counts them.
    pub fn place(&self, values: &[Value<'gc>]) -> usize {
        for (i, value) in values.iter().enumerate() {
            self.set_result(i, *value);
        }
        values.len()
    }

    /// Asks for the slow body.
    ///
    /// # Errors
    ///
    /// Never; the type fits a function's last expression.
    pub fn slow(&self) -> NativeResult<'gc> {
        Ok(Done::Slow)
    }

    /// Makes room for that many results.
    ///
    /// # Errors
    ///
    /// If the stack cannot grow so far.
    pub fn reserve(&self, results: usize) -> Result<(), Failure<'gc>> {
        self.thread.reserve(self.ctx, self.func + results)
    }

    /// Puts result `i` in place.
    #[inline(always)]
    pub fn set_result(&self, i: usize, value: Value<'gc>) {
        self.thread.slot(self.func + i).set(self.ctx.cx, value);
    }

    // ---- the stack of a slow body ----

    /// Pushes a value.
    ///
    /// # Errors
    ///
    /// If the stack cannot grow.
    pub fn push(&self, value: Value<'gc>) -> Result<(), Failure<'gc>> {
        let top = self.thread.top.get() as usize;
        self.thread.reserve(self.ctx, top + 1)?;
        self.thread.slot(top).set(self.ctx.cx, value);
        self.thread.top.set(top as u32 + 1);
        Ok(())
    }

    /// Pushes some values, at most [`crate::thread::SPARE`], the first one first.
    ///
    /// # Errors
    ///
    /// If the stack cannot grow.
    #[inline]
    pub fn push_all<const N: usize>(&self, values: [Value<'gc>; N]) -> Result<(), Failure<'gc>> {
        let top = self.thread.top.get() as usize;
        self.thread.reserve(self.ctx, top + N)?;
        for (slot, value) in self.thread.cells(self.ctx)[top..top + N].iter().zip(values) {
            slot.set(value);
        }
        self.thread.top.set((top + N) as u32);
        Ok(())
    }

    /// Pushed value `i`, counted from the first.
    #[inline]
    #[must_use]
    pub fn pushed(&self, i: usize) -> Value<'gc> {
        self.thread.slot(self.func + 1 + self.count + i).get()
    }

    /// Replaces pushed value `i`.
    pub fn set_pushed(&self, i: usize, value: Value<'gc>) {
        self.thread.slot(self.func + 1 + self.count + i).set(self.ctx.cx, value);
    }

    /// Number of pushed values.
    #[must_use]
    pub fn pushed_count(&self) -> usize {
        self.thread.top.get() as usize - (self.func + 1 + self.count)
    }

    /// Pops the last pushed value.
    #[inline]
    pub fn pop(&self) -> Value<'gc> {
        let top = self.thread.top.get() - 1;
        self.thread.top.set(top);
        self.thread.slot(top as usize).get()
    }

    /// Replaces an argument, to keep a value in its place.
    pub fn set_arg(&self, i: usize, value: Value<'gc>) {
        self.thread.slot(self.func + 1 + i).set(self.ctx.cx, value);
    }
}
