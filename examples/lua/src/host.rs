//! What hosts do with an interpreter besides running scripts: plain values ([`Data`]), functions and types in
//! Rust, calls of functions in Lua.
//!
//! ```
//! use lua::host::{Data, HostType, Methods};
//! use lua::{Config, Interpreter};
//!
//! struct Account {
//!     balance: i64,
//! }
//!
//! impl HostType for Account {
//!     const NAME: &'static str = "Account";
//!
//!     fn methods(methods: &mut Methods<Account>) {
//!         methods.add("deposit", |account, call| {
//!             account.balance += call.int(1)?;
//!             call.ret(account.balance)
//!         });
//!     }
//! }
//!
//! let mut lua = Interpreter::new(Config::new())?;
//! lua.register_type::<Account>()?;
//! lua.register("open", |call| {
//!     let account = call.new_userdata(Account { balance: call.int(0)? })?;
//!     call.ret(account)
//! })?;
//! let results = lua.eval("local a = open(10) a:deposit(5) return a:deposit(1)", "=script")?;
//! assert_eq!(results, [Data::Int(16)]);
//! # Ok::<(), lua::ScriptError>(())
//! ```
//!
//! * HO1: a function of the host's is a native function with one value of its own, a userdata that holds
//!   the closure.
//! * HO2: the metatable of a type is in the registry, under the type's name.

use core::any::Any;
use core::cell::{Cell, RefCell, RefMut};
use std::sync::Arc;

use heap_api::{Gc, GcCell, Opaque};

use crate::error::{Failure, NoMemory, Raised, fail};
use crate::function::new_native;
use crate::native::{Call, NativeDef, NativeResult};
use crate::state::{Ctx, Event};
use crate::table::Table;
use crate::userdata::{Content, UserData};
use crate::value::{Type, Value};
use crate::vm::Task;

// ---- plain values ----

/// A value outside of the interpreter: what the host passes in and gets back.
#[derive(Clone, Debug, PartialEq)]
pub enum Data {
    /// `nil`
    Nil,
    /// `true` or `false`
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A float.
    Float(f64),
    /// A string: any bytes.
    Text(Vec<u8>),
    /// A value that stays inside, of this type. Passed in, it is `nil`.
    Other(Type),
}

impl Data {
    /// The value inside a region.
    ///
    /// # Errors
    ///
    /// If the heap has no memory for it.
    pub fn to_value<'gc>(&self, ctx: Ctx<'gc>) -> Result<Value<'gc>, NoMemory> {
        Ok(match self {
            Data::Nil | Data::Other(_) => Value::Nil,
            Data::Bool(value) => Value::from(*value),
            Data::Int(value) => Value::Int(*value),
            Data::Float(value) => Value::float(*value),
            Data::Text(text) => Value::Str(ctx.str(text)?),
        })
    }

    /// The plain form of a value, which can leave the region.
    #[must_use]
    pub fn from_value(value: Value<'_>) -> Data {
        match value {
            Value::Nil => Data::Nil,
            Value::False => Data::Bool(false),
            Value::True => Data::Bool(true),
            Value::Int(value) => Data::Int(value),
            Value::Float(value) => Data::Float(value.get()),
            Value::Str(text) => Data::Text(text.as_bytes().to_vec()),
            other => Data::Other(other.ty()),
        }
    }
}

impl From<bool> for Data {
    fn from(value: bool) -> Data {
        Data::Bool(value)
    }
}

impl From<i64> for Data {
    fn from(value: i64) -> Data {
        Data::Int(value)
    }
}

impl From<f64> for Data {
    fn from(value: f64) -> Data {
        Data::Float(value)
    }
}

impl From<&str> for Data {
    fn from(text: &str) -> Data {
        Data::Text(text.as_bytes().to_vec())
    }
}

// ---- functions ----

/// What a function of the host's does: inside the region, as [`NativeDef::fast`].
type Fast = dyn for<'gc> Fn(&Call<'gc>) -> NativeResult<'gc> + Send + Sync;

/// Outside of it, as [`NativeDef::slow`].
type Slow = dyn Fn(&mut Task<'_>) -> Result<usize, Raised> + Send + Sync;

/// The closure behind a function (HO1).
#[derive(Clone)]
enum Closure {
    Fast(Arc<Fast>),
    Slow(Arc<Slow>),
}

static FAST: NativeDef = NativeDef::fast("host function", |call| match closure_of(call) {
    Some(Closure::Fast(body)) => body(call),
    _ => Err(fail("the function's own value is gone")),
});

static SLOW: NativeDef =
    NativeDef::slow("host function", |task| match task.enter(|call| Ok(closure_of(call)))? {
        Some(Closure::Slow(body)) => body(task),
        _ => task.enter(|_| Err(fail("the function's own value is gone"))),
    });

fn closure_of(call: &Call<'_>) -> Option<Closure> {
    let Value::UserData(data) = call.upvalue(0) else { return None };
    match &data.content.0 {
        Content::Host(content) => content.try_borrow().ok()?.downcast_ref::<Closure>().cloned(),
        Content::File(_) => None,
    }
}

fn new_function<'gc>(ctx: Ctx<'gc>, closure: Closure) -> Result<Value<'gc>, NoMemory> {
    let def = match closure {
        Closure::Fast(_) => &FAST,
        Closure::Slow(_) => &SLOW,
    };
    let data = new_content(ctx, Box::new(closure), None)?;
    Ok(Value::Native(new_native(ctx, def, &[Value::UserData(data)])?))
}

/// A function in Rust as a value. It runs inside the region of the caller and can neither call Lua nor
/// collect; see [`crate::native`]. If it finds no memory it is called again after a collection.
///
/// # Errors
///
/// If the heap has no memory for it.
pub fn function<'gc>(
    ctx: Ctx<'gc>,
    body: impl for<'a> Fn(&Call<'a>) -> NativeResult<'a> + Send + Sync + 'static,
) -> Result<Value<'gc>, NoMemory> {
    new_function(ctx, Closure::Fast(Arc::new(body)))
}

/// As [`function`], for one that calls functions in Lua.
///
/// # Errors
///
/// If the heap has no memory for it.
pub fn calling_function<'gc>(
    ctx: Ctx<'gc>,
    body: impl Fn(&mut Task<'_>) -> Result<usize, Raised> + Send + Sync + 'static,
) -> Result<Value<'gc>, NoMemory> {
    new_function(ctx, Closure::Slow(Arc::new(body)))
}

// ---- types ----

/// A type of the host's whose objects scripts may hold.
///
/// An object is dropped some time after scripts have lost it, by the thread that sweeps: so it has
/// to be `Send`, and should not own anything that must be released promptly.
pub trait HostType: Any + Send + Sized {
    /// The type's name in messages; `tostring` begins with it. It must be unique.
    const NAME: &'static str;

    /// Adds the methods.
    fn methods(methods: &mut Methods<Self>);
}

/// The methods of a type, and its metamethods: their names begin with two underscores.
pub struct Methods<T> {
    methods: Vec<(&'static str, Arc<Fast>)>,
    of: core::marker::PhantomData<fn(&T)>,
}

impl<T: HostType> Methods<T> {
    fn of_type() -> Methods<T> {
        let mut methods = Methods { methods: Vec::new(), of: core::marker::PhantomData };
        T::methods(&mut methods);
        methods
    }

    /// Adds a method. It gets the object and the call, whose argument 0 is the object. If it fails for lack of
    /// memory it is called again after a collection, so it should change the object last.
    pub fn add(
        &mut self,
        name: &'static str,
        body: impl for<'gc> Fn(&mut T, &Call<'gc>) -> NativeResult<'gc> + Send + Sync + 'static,
    ) {
        let method: Arc<Fast> = Arc::new(move |call| {
            let mut object = call.userdata::<T>(0)?;
            body(&mut object, call)
        });
        self.methods.push((name, method));
    }
}

/// Makes the metatable of a type (HO2).
///
/// # Errors
///
/// If the heap has no memory for it.
pub fn register_type<T: HostType>(ctx: Ctx<'_>) -> Result<(), NoMemory> {
    let metatable = Table::new(ctx)?;
    let methods = Table::new(ctx)?;
    metatable.set_str(ctx, ctx.state.event_key(Event::Index), Value::Table(methods))?;
    let name = Value::Str(ctx.str(T::NAME)?);
    metatable.set_str(ctx, ctx.state.event_key(Event::Name), name)?;
    // Hides the metatable, so that scripts cannot call its metamethods with arguments of their
    // choice.
    metatable.set_str(ctx, ctx.state.event_key(Event::Metatable), Value::False)?;
    for (name, method) in Methods::<T>::of_type().methods {
        let function = new_function(ctx, Closure::Fast(method))?;
        let table = if name.starts_with("__") { metatable } else { methods };
        table.set_str(ctx, ctx.str(name)?, function)?;
    }
    ctx.state.registry.set_str(ctx, ctx.str(T::NAME)?, Value::Table(metatable))
}

fn new_content<'gc>(
    ctx: Ctx<'gc>,
    content: Box<dyn Any + Send>,
    metatable: Option<Gc<'gc, Table<'gc>>>,
) -> Result<Gc<'gc, UserData<'gc>>, NoMemory> {
    let external = ctx.cx.try_external_bytes::<Content>(0)?;
    Ok(ctx.cx.try_alloc(UserData {
        metatable: GcCell::new(metatable),
        has_finalizer: Cell::new(false),
        content: Opaque(Content::Host(RefCell::new(content))),
        external,
    })?)
}

impl<'gc> Call<'gc> {
    /// A new object of the host's, for the script to hold.
    ///
    /// # Errors
    ///
    /// If its type has not been registered, or the heap has no memory for it; the object is dropped then.
    pub fn new_userdata<T: HostType>(&self, object: T) -> Result<Value<'gc>, Failure<'gc>> {
        let metatable = self.ctx.state.registry.get_str(self.ctx, self.ctx.str(T::NAME)?);
        let Value::Table(metatable) = metatable else {
            return Err(fail(format!("the type {} is not registered", T::NAME)));
        };
        let data = new_content(self.ctx, Box::new(object), Some(metatable))?;
        let value = Value::UserData(data);
        self.ctx.host.finalizers.register(self.ctx, value, Some(metatable))?;
        Ok(value)
    }

    /// The host's object that argument `i` is.
    ///
    /// # Errors
    ///
    /// If the argument is not of that type, or its object is in use by a caller of this call.
    pub fn userdata<T: HostType>(&self, i: usize) -> Result<RefMut<'gc, T>, Failure<'gc>> {
        if let Value::UserData(data) = self.arg(i)
            && let Content::Host(content) = &data.as_ref().content.0
        {
            let Ok(object) = content.try_borrow_mut() else {
                return Err(self.bad_argument(i, format!("this {} is in use", T::NAME)));
            };
            if let Ok(object) = RefMut::filter_map(object, |object| object.downcast_mut::<T>()) {
                return Ok(object);
            }
        }
        Err(self.type_error(i, T::NAME))
    }
}
