//! [`FinalizerQueue`]: objects with a `__gc` metamethod, and which of them wait for it to be called.
//!
//! The heap knows when an object has become unreachable, and hands it out again. The driver calls the
//! metamethods between two instructions ([`crate::vm`]).
//!
//! * GC1: an object is registered when it gets a metatable that has a `__gc` field at that time,
//!   and at most once. Handing it out ends the registration; it may be registered again.
//! * GC2: no finalizer is called while another one runs, except by the end of a state. A state that
//!   is ending registers nothing.

use core::cell::Cell;

use heap_api::{AnyObject, Cx, Finalizers, Gc, Heap};

use crate::error::NoMemory;
use crate::state::{Ctx, Event};
use crate::table::Table;
use crate::userdata::UserData;
use crate::value::Value;

/// The finalizers of an interpreter.
pub struct FinalizerQueue {
    registry: Finalizers<AnyObject>,
    /// Whether one is running.
    pub is_running: Cell<bool>,
    /// Whether the state is ending.
    pub is_closing: Cell<bool>,
}

impl FinalizerQueue {
    /// An empty queue.
    #[must_use]
    pub fn new(heap: &Heap) -> FinalizerQueue {
        FinalizerQueue {
            registry: Finalizers::new(heap),
            is_running: Cell::new(false),
            is_closing: Cell::new(false),
        }
    }

    /// Registers a table or userdata that has just got a metatable (GC1).
    ///
    /// # Errors
    ///
    /// If there is no memory for that.
    #[inline]
    pub fn register<'gc>(
        &self,
        ctx: Ctx<'gc>,
        value: Value<'gc>,
        metatable: Option<Gc<'gc, Table<'gc>>>,
    ) -> Result<(), NoMemory> {
        match metatable.and_then(|metatable| metatable.cached_metamethod(ctx, Event::Gc)) {
            Some(_) => self.register_object(ctx.cx, value),
            None => Ok(()),
        }
    }

    #[inline(never)]
    fn register_object<'gc>(&self, cx: &'gc Cx, value: Value<'gc>) -> Result<(), NoMemory> {
        if self.is_closing.get() {
            return Ok(());
        }
        match value {
            Value::Table(table) if !table.has_finalizer() => {
                self.registry.try_register(cx, table.erase())?;
                table.set_has_finalizer(true);
            }
            Value::UserData(data) if !data.has_finalizer.get() => {
                self.registry.try_register(cx, data.erase())?;
                data.has_finalizer.set(true);
            }
            _ => {}
        }
        Ok(())
    }

    /// The next object to be finalized.
    pub fn next<'gc>(&self, cx: &'gc Cx) -> Option<Value<'gc>> {
        let object = self.registry.next(cx)?;
        if let Some(table) = object.downcast::<Table<'gc>>() {
            table.set_has_finalizer(false);
            return Some(Value::Table(table));
        }
        let data = object.downcast::<UserData<'gc>>();
        debug_assert!(data.is_some(), "GC1: tables and userdata are registered");
        data.map(|data| {
            data.has_finalizer.set(false);
            Value::UserData(data)
        })
    }

    /// Makes all registered objects wait for their finalizers.
    pub fn enqueue_all(&self, cx: &Cx) {
        self.registry.enqueue_all(cx);
    }
}
