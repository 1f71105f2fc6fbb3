//! Calls of `__gc` metamethods.
//!
//! They are made between two instructions of the running thread, on its stack, behind what it uses. A
//! frame of their own keeps their errors, which become warnings, from the frames below.

use heap_api::Gc;

use crate::error::Raised;
use crate::state::Event;
use crate::thread::{FrameKind, Thread};
use crate::value::Value;

use super::driver::Runner;
use super::raise::free_slot;

impl Runner<'_> {
    /// Calls the finalizers of objects that have been found unreachable, unless one is running (GC2).
    #[inline]
    pub fn run_finalizers(&mut self) {
        if self.cx.has_finalizable()
            && !self.host.limits.is_stopping()
            && !self.host.finalizers.is_running.replace(true)
        {
            self.run_waiting_finalizers();
            self.host.finalizers.is_running.set(false);
        }
    }

    /// Calls the finalizers of all objects that have one: the state ends. Those that a finalizer has
    /// meanwhile created are not finalized.
    pub fn run_all_finalizers(&mut self) {
        let finalizers = &self.host.finalizers;
        let was_running = finalizers.is_running.replace(true);
        let was_closing = finalizers.is_closing.replace(true);
        finalizers.enqueue_all(self.cx);
        self.run_waiting_finalizers();
        finalizers.is_closing.set(was_closing);
        finalizers.is_running.set(was_running);
    }

    #[cold]
    fn run_waiting_finalizers(&mut self) {
        // A list of values that the interrupted function has at the end of its stack.
        let top = self.ctx().state.thread.get().top.get();
        // Without room for the call the objects wait for another occasion.
        while let Ok(Some(func)) = self.prepare_finalizer() {
            if self.run_call(func, 1).is_err() {
                if self.host.limits.is_stopping() {
                    // LI1. The next safepoint goes on with it.
                    self.renew_wish();
                    break;
                }
                self.warn_of_finalizer();
            }
        }
        self.ctx().state.thread.get().top.set(top);
    }

    /// Takes the next object from the queue that has a metamethod, and sets up its call; returns the
    /// stack index of that.
    fn prepare_finalizer(&mut self) -> Result<Option<usize>, Raised> {
        let func = free_slot(self.ctx().state.thread.get());
        self.push_entry(FrameKind::Finalizer, func, 1)?;
        let ctx = self.ctx();
        let thread: Gc<'_, Thread<'_>> = ctx.state.thread.get();
        while let Some(object) = ctx.host.finalizers.next(ctx.cx) {
            let handler = ctx.metamethod(object, Event::Gc);
            if !handler.is_nil() {
                thread.slot(func).set(ctx.cx, handler);
                thread.slot(func + 1).set(ctx.cx, object);
                return Ok(Some(func));
            }
        }
        thread.pop_frame();
        thread.entries.set(thread.entries.get() - 1);
        Ok(None)
    }

    /// The error in the state comes from a finalizer.
    fn warn_of_finalizer(&self) {
        let ctx = self.ctx();
        let message: &[u8] = match ctx.state.error.get() {
            Value::Str(text) => text.as_bytes(),
            _ => b"error object is not a string",
        };
        ctx.host.warn(&[b"error in __gc (", message, b")"]);
    }
}
