//! Functions: prototypes, Lua closures and their upvalues, native functions.
//!
//! * F1: an *open* upvalue names a stack slot of a thread that still lives; it is on that thread's
//!   list. Closing moves the value into the upvalue and takes it off the list.

use heap_api::{Gc, Opaque, Slot, Tailed, Trace};

use crate::bytecode::{Constant, Op, ProtoData, UpvalSource};
use crate::error::NoMemory;
use crate::native::NativeDef;
use crate::state::Ctx;
use crate::string::Str;
use crate::thread::Thread;
use crate::value::Value;

/// A compiled function in the heap: the code, and what must be collected with it.
#[derive(Trace)]
pub struct Proto<'gc> {
    /// The instructions.
    pub code: Opaque<Box<[Op]>>,
    /// The constants.
    pub constants: Gc<'gc, [Value<'gc>]>,
    /// Functions defined inside.
    pub protos: Gc<'gc, [Gc<'gc, Proto<'gc>>]>,
    /// Where a new closure finds its upvalues.
    pub captures: Opaque<Box<[UpvalSource]>>,
    /// Fixed parameters.
    pub num_params: u8,
    /// Whether extra arguments are kept.
    pub is_vararg: bool,
    /// Registers that the function uses.
    pub max_stack: u8,
    /// The rest of what the compiler said, for messages. Its `code` is empty.
    pub debug: Opaque<Box<ProtoData>>,
}

impl<'gc> Proto<'gc> {
    /// Moves a compiled function, and those inside it, into the heap.
    ///
    /// The nesting of functions is bounded by the parser's own limit, and so is this recursion.
    ///
    /// # Errors
    ///
    /// If the heap has no memory for it.
    pub fn load(ctx: Ctx<'gc>, data: &ProtoData) -> Result<Gc<'gc, Proto<'gc>>, NoMemory> {
        let mut protos = Vec::with_capacity(data.protos.len());
        for inner in &data.protos {
            protos.push(Proto::load(ctx, inner)?);
        }
        let mut constants = Vec::with_capacity(data.constants.len());
        for constant in &data.constants {
            constants.push(match constant {
                Constant::Nil => Value::Nil,
                Constant::Bool(b) => Value::Bool(*b),
                Constant::Int(i) => Value::Int(*i),
                Constant::Float(f) => Value::Float(*f),
                Constant::Str(bytes) => Value::Str(Str::new(ctx, bytes)?),
            });
        }
        let debug = ProtoData {
            code: data.code.clone(),
            line_info: data.line_info.clone(),
            constants: data.constants.clone(),
            protos: Vec::new(),
            upvalues: data.upvalues.clone(),
            num_params: data.num_params,
            is_vararg: data.is_vararg,
            max_stack: data.max_stack,
            source: data.source.clone(),
            line_defined: data.line_defined,
            last_line: data.last_line,
            local_vars: data.local_vars.clone(),
        };
        Ok(ctx.cx.try_alloc(Proto {
            code: Opaque(data.code.clone().into_boxed_slice()),
            constants: ctx.cx.try_alloc_slice_copy(&constants)?,
            protos: ctx.cx.try_alloc_slice_copy(&protos)?,
            captures: Opaque(data.upvalues.iter().map(|upvalue| upvalue.source).collect()),
            num_params: data.num_params,
            is_vararg: data.is_vararg,
            max_stack: data.max_stack,
            debug: Opaque(Box::new(debug)),
        })?)
    }
}

/// What precedes the upvalues of a closure.
#[derive(Trace)]
pub struct ClosureHead<'gc> {
    /// The code.
    pub proto: Gc<'gc, Proto<'gc>>,
}

/// A Lua function with its upvalues.
pub type Closure<'gc> = Tailed<ClosureHead<'gc>, Gc<'gc, Upval<'gc>>>;

/// Where the variable behind an upvalue is.
#[derive(Clone, Copy, Trace)]
pub enum UpvalState<'gc> {
    /// In the upvalue itself.
    Closed(Value<'gc>),
    /// In a stack slot: the local variable is still in scope.
    Open(Gc<'gc, Thread<'gc>>, u32),
}

const _: () = assert!(size_of::<UpvalState<'_>>() == 16);

/// A variable that closures share.
#[derive(Trace)]
pub struct Upval<'gc> {
    /// Where it is.
    pub state: Slot<UpvalState<'gc>>,
    /// The next open upvalue of the same thread, further down the stack (F1).
    pub next: Slot<Option<Gc<'gc, Upval<'gc>>>>,
}

impl<'gc> Upval<'gc> {
    /// An upvalue that has its value already.
    #[must_use]
    pub fn closed(value: Value<'gc>) -> Upval<'gc> {
        Upval { state: Slot::new(UpvalState::Closed(value)), next: Slot::new(None) }
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
pub type NativeFn<'gc> = Tailed<NativeHead, Slot<Value<'gc>>>;

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
    Ok(ctx.cx.try_alloc_tailed_fn(head, upvalues.len(), |i| Slot::new(upvalues[i]))?)
}
