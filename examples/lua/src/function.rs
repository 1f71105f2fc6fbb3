//! Functions: prototypes, Lua closures and their upvalues, native functions.
//!
//! * FN1: an *open* upvalue names a stack slot of a thread that still lives; it is on that thread's
//!   list. Closing moves the value into the upvalue and takes it off the list.

use std::collections::HashMap;

use heap_api::{Gc, GcCell, HeaderSlice, Opaque, Trace};

use crate::bytecode::{Constant, ProtoData, chunk};
use crate::error::NoMemory;
use crate::native::NativeDef;
use crate::state::Ctx;
use crate::string::Str;
use crate::thread::Thread;
use crate::value::Value;

/// A compiled function in the heap: the code, and what must be collected with it.
#[derive(Trace)]
pub struct Proto<'gc> {
    /// What the compiler made. The functions inside it and its constants are below, as objects.
    pub data: Opaque<ProtoData>,
    /// The constants.
    pub constants: Gc<'gc, [Value<'gc>]>,
    /// Functions defined inside.
    pub protos: Gc<'gc, [Gc<'gc, Proto<'gc>>]>,
}

impl<'gc> Proto<'gc> {
    /// Moves a compiled function, and those inside it, into the heap.
    ///
    /// Equal long strings in them become one object, as in real Lua. (Short ones always are.)
    ///
    /// The nesting of functions is bounded by the parser's own limit, and so is this recursion.
    ///
    /// # Errors
    ///
    /// If the heap has no memory for it.
    pub fn load(ctx: Ctx<'gc>, data: ProtoData) -> Result<Gc<'gc, Proto<'gc>>, NoMemory> {
        Proto::load_nested(ctx, data, &mut HashMap::new())
    }

    /// The function as a binary chunk, with those inside it. Stripped, it has no debug information.
    #[must_use]
    pub fn dump(&self, strip: bool) -> Vec<u8> {
        let mut out = Vec::new();
        chunk::write_header(&mut out, self.data.0.upvalues.len() as u8);
        self.dump_nested(&mut out, None, strip);
        out
    }

    fn dump_nested(&self, out: &mut Vec<u8>, parent: Option<&str>, strip: bool) {
        let data = &self.data.0;
        chunk::write_function(out, data, parent, self.protos.len(), strip);
        for inner in self.protos.iter() {
            inner.dump_nested(out, Some(&data.source), strip);
        }
    }

    fn load_nested(
        ctx: Ctx<'gc>,
        mut data: ProtoData,
        long_strings: &mut HashMap<&'gc [u8], Str<'gc>>,
    ) -> Result<Gc<'gc, Proto<'gc>>, NoMemory> {
        let mut protos = Vec::with_capacity(data.protos.len());
        for inner in core::mem::take(&mut data.protos) {
            protos.push(Proto::load_nested(ctx, inner, long_strings)?);
        }
        let mut constants = Vec::with_capacity(data.constants.len());
        for constant in &data.constants {
            constants.push(match constant {
                Constant::Nil => Value::Nil,
                Constant::Bool(b) => Value::from(*b),
                Constant::Int(i) => Value::Int(*i),
                Constant::Float(f) => Value::float(*f),
                Constant::Str(bytes) => Value::Str(match long_strings.get(&**bytes) {
                    Some(text) => *text,
                    None => {
                        let text = Str::new(ctx, bytes)?;
                        if !text.is_short() {
                            long_strings.insert(text.as_bytes(), text);
                        }
                        text
                    }
                }),
            });
        }
        Ok(ctx.cx.try_alloc(Proto {
            data: Opaque(data),
            constants: ctx.cx.try_alloc_slice_copy(&constants)?,
            protos: ctx.cx.try_alloc_slice_copy(&protos)?,
        })?)
    }
}

/// What precedes the upvalues of a closure.
#[derive(Trace)]
pub struct ClosureHead<'gc> {
    /// The code.
    pub proto: Gc<'gc, Proto<'gc>>,
}

/// A Lua function with its upvalues, which only `debug.upvaluejoin` changes.
pub type Closure<'gc> = HeaderSlice<ClosureHead<'gc>, GcCell<Gc<'gc, Upval<'gc>>>>;

/// Makes a Lua function with these upvalues.
///
/// # Errors
///
/// If the heap has no memory for it.
#[inline(always)]
pub fn new_closure<'gc>(
    ctx: Ctx<'gc>,
    proto: Gc<'gc, Proto<'gc>>,
    upvalues: &[Gc<'gc, Upval<'gc>>],
) -> Result<Gc<'gc, Closure<'gc>>, NoMemory> {
    let upvalue = |i: usize| GcCell::new(upvalues[i]);
    Ok(ctx.cx.try_alloc_header_slice_fn(ClosureHead { proto }, upvalues.len(), upvalue)?)
}

/// Where the variable behind an upvalue is.
#[derive(Clone, Copy, Trace)]
pub enum UpvalState<'gc> {
    /// In the upvalue itself.
    Closed(Value<'gc>),
    /// In a stack slot: the local variable is still in scope.
    Open(Gc<'gc, Thread<'gc>>, u32),
}

/// A variable that closures share.
#[derive(Trace)]
pub struct Upval<'gc> {
    /// Where it is.
    pub state: GcCell<UpvalState<'gc>>,
    /// The next open upvalue of the same thread, further down the stack (FN1).
    pub next: GcCell<Option<Gc<'gc, Upval<'gc>>>>,
}

impl<'gc> Upval<'gc> {
    /// An upvalue that has its value already.
    #[must_use]
    pub fn closed(value: Value<'gc>) -> Upval<'gc> {
        Upval { state: GcCell::new(UpvalState::Closed(value)), next: GcCell::new(None) }
    }

    /// The variable's value.
    #[inline(always)]
    #[must_use]
    pub fn get(&self) -> Value<'gc> {
        match self.state.get() {
            UpvalState::Closed(value) => value,
            UpvalState::Open(thread, index) => thread.slot(index as usize).get(),
        }
    }

    /// Assigns the variable.
    #[inline(always)]
    pub fn set(&self, ctx: Ctx<'gc>, value: Value<'gc>) {
        match self.state.get() {
            UpvalState::Closed(_) => self.state.set(ctx.cx, UpvalState::Closed(value)),
            UpvalState::Open(thread, index) => thread.slot(index as usize).set(ctx.cx, value),
        }
    }
}

/// What precedes the upvalues of a native function.
#[derive(Trace)]
pub struct NativeHead {
    /// What it does.
    pub def: Opaque<&'static NativeDef>,
}

/// A native function with values of its own.
pub type NativeFn<'gc> = HeaderSlice<NativeHead, GcCell<Value<'gc>>>;

/// Makes a native function with these values of its own.
///
/// # Errors
///
/// If the heap has no memory for it.
pub fn new_native<'gc>(
    ctx: Ctx<'gc>,
    def: &'static NativeDef,
    upvalues: &[Value<'gc>],
) -> Result<Gc<'gc, NativeFn<'gc>>, NoMemory> {
    let head = NativeHead { def: Opaque(def) };
    Ok(ctx.cx.try_alloc_header_slice_fn(head, upvalues.len(), |i| GcCell::new(upvalues[i]))?)
}
