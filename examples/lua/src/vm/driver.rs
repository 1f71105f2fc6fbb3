//! The driver: owns the `&mut Cx`, runs the interpreter loop, and does what the loop cannot.

use heap_api::{Cx, Gc, Root};

use crate::bytecode::MULTI;
use crate::error::{Fail, Failure, Raised, fail, operation_failed};
use crate::limits::Limit;
use crate::native::{Body, Call, Done, SlowFn};
use crate::state::{Ctx, Event, Host, NO_MEMORY, State};
use crate::stdlib::base::append_text;
use crate::thread::{FrameKind, OnReturn, Thread};
use crate::value::Value;

use super::call::{enter_from_rust, perform};
use super::close::give_up;
use super::hook::{note_repetition, returns_unreported, skip_native};
use super::index::{Indexed, index};
use super::liveness::forget_temporaries;
use super::raise::{free_slot, raise, throw, unwind};
use super::{Action, Exit, execute};

/// Bytes that must have been allocated since memory last ran out for another collection to be worth
/// a try.
const WORTH_A_RETRY: u64 = 64 << 10;

/// Access to an interpreter between regions.
pub struct Runner<'a> {
    /// The thread's presence in the heap.
    pub cx: &'a mut Cx,
    /// The interpreter's objects.
    pub root: &'a Root<State<'static>>,
    /// The interpreter's other half.
    pub host: &'a Host,
}

impl Runner<'_> {
    /// Opens a region.
    pub fn ctx(&self) -> Ctx<'_> {
        Ctx { cx: self.cx, state: self.root.get(self.cx).as_ref(), host: self.host }
    }

    /// Runs `body` in a region; once more after a collection if it finds no memory.
    ///
    /// # Errors
    ///
    /// If `body` fails; the error value is in the state.
    pub fn enter<R>(
        &mut self,
        mut body: impl for<'gc> FnMut(Ctx<'gc>) -> Result<R, Failure<'gc>>,
    ) -> Result<R, Raised> {
        match body(self.ctx()) {
            Ok(result) => return Ok(result),
            Err(failure) if matches!(*failure, Fail::Memory) => {}
            Err(failure) => return Err(self.ctx().keep_error(failure)),
        }
        self.collect_for_retry();
        let ctx = self.ctx();
        body(ctx).map_err(|failure| ctx.keep_error(failure))
    }

    /// Collects garbage, after dropping what dead stack slots hold.
    pub fn collect(&mut self) {
        self.trim();
        if self.host.descriptors.are_short() {
            // DE2: the function that waits needs what destructors give back.
            self.cx.collect_and_drop();
            self.host.descriptors.have_been_collected();
        } else {
            self.cx.collect();
        }
        self.renew_wish();
    }

    /// Collects garbage for a function that is to run again. If the function waits for descriptors,
    /// finalizers run, which may give some back (DE2). It is a native function then, and its frame
    /// is the last.
    fn collect_for_retry(&mut self) {
        let are_short = self.host.descriptors.are_short();
        self.collect();
        if are_short {
            self.run_finalizers();
        }
    }

    /// A step of a collection; says whether the collection is complete.
    pub fn collect_step(&mut self) -> bool {
        self.trim();
        let complete = self.cx.collect_step();
        self.renew_wish();
        complete
    }

    /// Makes the script come to a safepoint if it is to stop: a collection may have withdrawn the
    /// request for that (IN2).
    pub fn renew_wish(&self) {
        if self.host.interrupt.is_up() || self.host.limits.is_stopping() {
            self.cx.heap().request_collection();
        }
    }

    fn trim(&self) {
        let ctx = self.ctx();
        ctx.state.unfolded_threads.trim(ctx);
        ctx.state.spare_stacks.clear(ctx.cx);
        forget_temporaries(ctx);
        if ctx.host.hooks.is_on() {
            ctx.host.hooks.prune(ctx.cx);
        }
        let mut next = Some(ctx.state.thread.get());
        while let Some(thread) = next {
            thread.trim(ctx, free_slot(thread));
            next = thread.resumer.get();
        }
    }

    /// Calls the value at stack index `func` of the running thread with `count` arguments.
    /// The results are at `func` then; returns their number.
    ///
    /// # Errors
    ///
    /// If the call fails; the error value is in the state.
    pub fn call(&mut self, func: usize, count: usize) -> Result<usize, Raised> {
        // A safepoint is left to the long way, because it may end in an interrupt.
        if !self.cx.should_yield() && enter_from_rust(self.ctx(), func, count) {
            self.run(None)?;
            return Ok(self.ctx().state.thread.get().top.get() as usize - func);
        }
        self.push_entry(FrameKind::Entry, func, count)?;
        self.run_call(func, count)
    }

    /// Pushes the frame below a call from Rust.
    pub(super) fn push_entry(
        &mut self,
        kind: FrameKind,
        func: usize,
        count: usize,
    ) -> Result<(), Raised> {
        self.enter(|ctx| {
            let thread = ctx.state.thread.get();
            thread.reserve(ctx, func + count)?;
            thread.push_frame(ctx, kind, func, func + 1 + count, OnReturn::Store(MULTI))?;
            thread.entries.set(thread.entries.get() + 1);
            Ok(())
        })
    }

    /// As [`Runner::call`], with the frame of [`Runner::push_entry`] in place.
    pub(super) fn run_call(&mut self, func: usize, count: usize) -> Result<usize, Raised> {
        let on_return = OnReturn::Store(MULTI);
        let pending = match perform(self.ctx(), Action::Call { func, count, on_return }) {
            // A function without loops and calls never polls, however often a native function calls
            // it.
            None if self.cx.should_yield() && self.host.interrupt.is_up() => self.safepoint(),
            pending => pending,
        };
        self.run(pending)?;
        Ok(self.ctx().state.thread.get().top.get() as usize - func)
    }

    /// Runs until the call from Rust that is under way ends.
    fn run(&mut self, mut pending: Option<Exit>) -> Result<(), Raised> {
        loop {
            let exit = match pending.take() {
                Some(exit) => exit,
                None if self.host.is_traced() => execute::run::<true>(self.ctx()),
                None => execute::run::<false>(self.ctx()),
            };
            match exit {
                Exit::Safepoint => pending = self.safepoint(),
                Exit::Memory => pending = self.out_of_memory(),
                Exit::Native => pending = self.native(),
                Exit::Hook => pending = self.report(),
                Exit::Instructions => pending = self.fail_next(Fail::Limit(Limit::Instructions)),
                Exit::Unwind => pending = self.unwind_again(),
                Exit::Returned => return Ok(()),
                Exit::Raised => return Err(Raised::Handled),
            }
        }
    }

    /// A safepoint between two instructions, and the place where an interrupt takes effect.
    fn safepoint(&mut self) -> Option<Exit> {
        if !self.is_interrupted_at_safepoint() {
            if self.host.limits.is_stopping() {
                return self.go_on_stopping();
            }
            if !self.host.gc_stopped.get() {
                self.run_finalizers();
            }
            return None;
        }
        self.fail_next(Fail::Interrupted)
    }

    /// A safepoint, after which the script may have to stop.
    fn is_interrupted_at_safepoint(&mut self) -> bool {
        self.trim();
        self.cx.safepoint();
        let is_interrupted = self.host.interrupt.is_up();
        if is_interrupted {
            // IN1: the next one is to come here as well.
            self.cx.heap().request_collection();
        }
        is_interrupted
    }

    /// An instruction found no memory: collects, so that it can run again, unless that has just
    /// been tried.
    fn out_of_memory(&mut self) -> Option<Exit> {
        if self.is_worth_a_retry() {
            self.collect();
            self.run_finalizers();
            note_repetition(self.ctx());
            return None;
        }
        self.fail_next(Fail::MemoryFinal)
    }

    /// Something has dropped an error that cannot be caught (LI1), such as the call of a finalizer.
    #[cold]
    fn go_on_stopping(&mut self) -> Option<Exit> {
        self.renew_wish();
        let ctx = self.ctx();
        perform(ctx, unwind(ctx))
    }

    /// An error was stopped by lack of memory, see [`Exit::Unwind`].
    fn unwind_again(&mut self) -> Option<Exit> {
        let is_worth_a_retry = self.is_worth_a_retry();
        if is_worth_a_retry {
            self.collect();
        }
        let ctx = self.ctx();
        let action = if is_worth_a_retry { unwind(ctx) } else { give_up(ctx, NO_MEMORY) };
        perform(ctx, action)
    }

    /// Raises an error in place of the instruction that would be next. Messages take the place of
    /// the one before `pc`.
    fn fail_next<'gc>(&'gc self, fail: Fail<'gc>) -> Option<Exit> {
        let ctx = self.ctx();
        if let Some(frame) = ctx.state.thread.get().top_frame() {
            frame.pc.set(frame.pc.get() + 1);
        }
        perform(ctx, raise(ctx, Box::new(fail)))
    }

    fn is_worth_a_retry(&self) -> bool {
        let allocated = self.cx.heap().stats().allocated_bytes;
        let last = self.host.exhausted_at.replace(Some(allocated));
        last.is_none_or(|last| allocated.saturating_sub(last) >= WORTH_A_RETRY)
    }

    /// Runs the native function whose frame is the last.
    fn native(&mut self) -> Option<Exit> {
        let (body, func, count) = {
            let ctx = self.ctx();
            let thread = ctx.state.thread.get();
            let Some(frame) = thread.top_frame() else { unreachable!("a native frame waits") };
            let func = frame.func.get() as usize;
            let Value::Native(native) = thread.slot(func).get() else {
                unreachable!("a native frame has its function in place")
            };
            (native.header.def.0.body, func, frame.base.get() as usize - func - 1)
        };
        let result = match body {
            Body::Slow(slow) | Body::Either(_, slow) => self.run_slow(slow, func, count),
            // A fast body that found no memory, or no descriptor (DE2).
            Body::Fast(fast) => {
                self.collect_for_retry();
                self.enter(|ctx| {
                    let thread = ctx.state.thread.get();
                    match fast(&Call::new(ctx, thread, func, count))? {
                        Done::Results(results) => Ok(results),
                        Done::Slow => unreachable!("this function has no slow body"),
                    }
                })
            }
            Body::Control(_) => return self.try_again(func, count),
        };
        let ctx = self.ctx();
        let thread = ctx.state.thread.get();
        let action = match result {
            Ok(results) => {
                let on_return = match thread.top_frame() {
                    Some(frame) => frame.on_return.get(),
                    None => unreachable!("the native frame is still there"),
                };
                if ctx.host.hooks.is_on() && results == 0 && returns_unreported(ctx, func) {
                    return Some(Exit::Hook);
                }
                thread.pop_frame();
                thread.top.set(0);
                Action::Return { from: func, count: results, func, on_return }
            }
            Err(Raised::Fresh) => throw(ctx),
            Err(Raised::NoHandler | Raised::Handled) => unwind(ctx),
        };
        perform(ctx, action)
    }

    /// A function that the loop carries out found no memory, such as a switch to another thread (CO1);
    /// its native frame is the last. Collects and tries again; one that fails even then is given up.
    fn try_again(&mut self, func: usize, count: usize) -> Option<Exit> {
        self.collect_for_retry();
        let ctx = self.ctx();
        let thread = ctx.state.thread.get();
        let Some(frame) = thread.top_frame() else { unreachable!("a native frame waits") };
        let on_return = frame.on_return.get();
        thread.pop_frame();
        thread.top.set(0);
        let failed = ctx.host.failed_attempts.get();
        skip_native(ctx);
        let exit = perform(ctx, Action::Call { func, count, on_return });
        if ctx.host.failed_attempts.get() == failed {
            return exit;
        }
        perform(ctx, raise(ctx, Box::new(Fail::MemoryFinal)))
    }

    fn run_slow(&mut self, slow: SlowFn, func: usize, count: usize) -> Result<usize, Raised> {
        let runner = Runner { cx: self.cx, root: self.root, host: self.host };
        slow(&mut Task { runner, func, count })
    }
}

/// One call of a native function with a slow body.
pub struct Task<'a> {
    runner: Runner<'a>,
    func: usize,
    count: usize,
}

impl<'a> Task<'a> {
    /// Number of arguments.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }

    /// Access to the interpreter.
    pub fn runner(&mut self) -> &mut Runner<'a> {
        &mut self.runner
    }

    /// Runs `body` in a region; once more after a collection if it finds no memory.
    ///
    /// # Errors
    ///
    /// If `body` fails; the error value is in the state.
    pub fn enter<R>(
        &mut self,
        mut body: impl for<'gc> FnMut(&Call<'gc>) -> Result<R, Failure<'gc>>,
    ) -> Result<R, Raised> {
        let (func, count) = (self.func, self.count);
        let top = self.runner.ctx().state.thread.get().top.get();
        self.runner.enter(|ctx| {
            let thread: Gc<'_, Thread<'_>> = ctx.state.thread.get();
            // What a first, failed run pushed is gone.
            thread.top.set(top);
            body(&Call::new(ctx, thread, func, count))
        })
    }

    /// A safepoint, if the heap wants one. Long loops that may run without a call need it; see also
    /// [`Call::poll`].
    ///
    /// # Errors
    ///
    /// If the script is to stop.
    pub fn poll(&mut self) -> Result<(), Raised> {
        if self.runner.cx.should_yield() && self.runner.is_interrupted_at_safepoint() {
            return self.enter(|_| Err(Box::new(Fail::Interrupted)));
        }
        Ok(())
    }

    /// Calls the value below the last `args` pushed values with them as arguments. The results
    /// replace all of them on the pushed stack; returns their number.
    ///
    /// # Errors
    ///
    /// If the call fails; the error value is in the state.
    pub fn call(&mut self, args: usize) -> Result<usize, Raised> {
        let func = self.runner.ctx().state.thread.get().top.get() as usize - args - 1;
        self.runner.call(func, args)
    }

    /// The error that the last call raised goes no further: drops the frames that a failed call
    /// leaves in a coroutine, see [`FrameKind::Failed`].
    ///
    /// # Errors
    ///
    /// If it is one that cannot be caught ([`crate::limits`]).
    pub fn catch(&mut self) -> Result<(), Raised> {
        let ctx = self.runner.ctx();
        if ctx.host.limits.is_stopping() {
            return Err(Raised::Handled);
        }
        let thread = ctx.state.thread.get();
        while thread.top_frame().is_some_and(|frame| frame.func.get() as usize > self.func) {
            thread.pop_frame();
        }
        Ok(())
    }

    /// As [`Task::call`], with exactly `wanted` results.
    ///
    /// # Errors
    ///
    /// As [`Task::call`].
    pub fn call_for(&mut self, args: usize, wanted: usize) -> Result<(), Raised> {
        let results = self.call(args)?;
        if results == wanted {
            return Ok(());
        }
        self.enter(|call| {
            for _ in wanted..results {
                call.pop();
            }
            for _ in results..wanted {
                call.push(Value::Nil)?;
            }
            Ok(())
        })
    }

    /// Returns the last `count` pushed values.
    ///
    /// # Errors
    ///
    /// Never in practice; the type fits a function's last expression.
    pub fn return_pushed(&mut self, count: usize) -> Result<usize, Raised> {
        self.enter(|call| {
            let first = call.pushed_count() - count;
            for i in 0..count {
                call.set_result(i, call.pushed(first + i));
            }
            Ok(count)
        })
    }

    /// Replaces the last two pushed values, an object and a key, by `object[key]`.
    ///
    /// # Errors
    ///
    /// If the object cannot be indexed or a metamethod fails.
    pub fn index(&mut self) -> Result<(), Raised> {
        let must_call = self.enter(|call| {
            let at = call.pushed_count() - 2;
            let (object, key) = (call.pushed(at), call.pushed(at + 1));
            match index(call.ctx, object, key)? {
                Indexed::Done(value) => {
                    call.pop();
                    call.set_pushed(at, value);
                    Ok(false)
                }
                Indexed::Call { handler, object } => {
                    call.push(key)?;
                    call.set_pushed(at, handler);
                    call.set_pushed(at + 1, object);
                    Ok(true)
                }
                Indexed::NotIndexable { object, .. } => {
                    let name = call.type_name(object);
                    Err(operation_failed(format!("attempt to index a {name} value")))
                }
            }
        })?;
        if must_call { self.call_for(2, 1) } else { Ok(()) }
    }

    /// Replaces the last pushed value by its string, as `tostring` does.
    ///
    /// # Errors
    ///
    /// If a metamethod fails or returns no string.
    pub fn to_string(&mut self) -> Result<(), Raised> {
        let must_call = self.enter(|call| {
            let last = call.pushed_count() - 1;
            let value = call.pushed(last);
            let handler = call.ctx.metamethod(value, Event::ToString);
            if handler.is_nil() {
                if let Value::Str(_) = value {
                    return Ok(false);
                }
                let mut buffer = Vec::new();
                append_text(call.ctx, &mut buffer, value)?;
                call.set_pushed(last, Value::Str(call.ctx.str(&buffer)?));
                return Ok(false);
            }
            call.push(value)?;
            call.set_pushed(last, handler);
            Ok(true)
        })?;
        if !must_call {
            return Ok(());
        }
        self.call_for(1, 1)?;
        self.enter(|call| {
            let last = call.pushed_count() - 1;
            match call.pushed(last) {
                Value::Str(_) => Ok(()),
                value @ (Value::Int(_) | Value::Float(_)) => {
                    let mut buffer = Vec::new();
                    append_text(call.ctx, &mut buffer, value)?;
                    call.set_pushed(last, Value::Str(call.ctx.str(&buffer)?));
                    Ok(())
                }
                _ => Err(fail("'__tostring' must return a string")),
            }
        })
    }
}
