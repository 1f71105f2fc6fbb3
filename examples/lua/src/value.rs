//! [`Value`]: what a Lua variable holds.
//!
//! Sixteen bytes, `Copy`. The collectable variants are bare heap handles: they are valid for the
//! region `'gc`, that is until the next safepoint, and the borrow checker says so.
//!
//! Every variant holds one word or nothing, floats included ([`Double`]). So the compiler keeps a
//! value in two registers, and reads and writes it in two moves; one variant with a payload of
//! another shape would send all values through memory.
//!
//! * a `Float` key never equals an `Int` key: tables normalise floats with integer values.

use heap_api::{Gc, Trace};

use crate::function::{Closure, NativeFn};
use crate::number::{self, Number};
use crate::string::Str;
use crate::table::Table;
use crate::thread::Thread;
use crate::userdata::UserData;

/// A floating-point number inside a [`Value`].
#[derive(Clone, Copy, Trace)]
pub struct Double(u64);

impl Double {
    /// The number.
    #[inline(always)]
    #[must_use]
    pub fn get(self) -> f64 {
        f64::from_bits(self.0)
    }
}

/// A Lua value.
#[derive(Clone, Copy, Trace, Default)]
pub enum Value<'gc> {
    /// `nil`
    #[default]
    Nil,
    /// `false`
    False,
    /// `true`
    True,
    /// An integer number.
    Int(i64),
    /// A floating-point number.
    Float(Double),
    /// A string.
    Str(Str<'gc>),
    /// A table.
    Table(Gc<'gc, Table<'gc>>),
    /// A function written in Lua.
    Function(Gc<'gc, Closure<'gc>>),
    /// A function written in Rust.
    Native(Gc<'gc, NativeFn<'gc>>),
    /// A coroutine.
    Thread(Gc<'gc, Thread<'gc>>),
    /// A foreign object: a file of the library, or an object of the host's.
    UserData(Gc<'gc, UserData<'gc>>),
    /// A number that stands for something outside of the language and equals only itself, such as the
    /// identity of a variable. Its type is that of foreign objects.
    LightUserData(usize),
}

const _: () = assert!(size_of::<Value<'_>>() <= 16);

/// The basic types, in the order in which [`crate::state::State`] keeps their metatables.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs, reason = "the names of Lua's types")]
pub enum Type {
    Nil,
    Boolean,
    Number,
    String,
    Table,
    Function,
    Thread,
    UserData,
}

impl Type {
    /// All types.
    pub const ALL: [Type; 8] = [
        Type::Nil,
        Type::Boolean,
        Type::Number,
        Type::String,
        Type::Table,
        Type::Function,
        Type::Thread,
        Type::UserData,
    ];

    /// Number of types.
    pub const COUNT: usize = Self::ALL.len();

    /// The name that `type` returns.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Type::Nil => "nil",
            Type::Boolean => "boolean",
            Type::Number => "number",
            Type::String => "string",
            Type::Table => "table",
            Type::Function => "function",
            Type::Thread => "thread",
            Type::UserData => "userdata",
        }
    }
}

impl<'gc> Value<'gc> {
    /// A floating-point number.
    #[inline(always)]
    #[must_use]
    pub fn float(value: f64) -> Value<'gc> {
        Value::Float(Double(value.to_bits()))
    }

    /// The value's type.
    #[must_use]
    pub fn ty(self) -> Type {
        match self {
            Value::Nil => Type::Nil,
            Value::False | Value::True => Type::Boolean,
            Value::Int(_) | Value::Float(_) => Type::Number,
            Value::Str(_) => Type::String,
            Value::Table(_) => Type::Table,
            Value::Function(_) | Value::Native(_) => Type::Function,
            Value::Thread(_) => Type::Thread,
            Value::UserData(_) | Value::LightUserData(_) => Type::UserData,
        }
    }

    /// Whether this is `nil`.
    #[inline(always)]
    #[must_use]
    pub fn is_nil(self) -> bool {
        matches!(self, Value::Nil)
    }

    /// Whether a condition takes the value as false: `nil` and `false`.
    #[inline(always)]
    #[must_use]
    pub fn is_falsy(self) -> bool {
        matches!(self, Value::Nil | Value::False)
    }

    /// Primitive equality: what `==` says without metamethods.
    #[inline]
    #[must_use]
    pub fn raw_equal(self, other: Value<'gc>) -> bool {
        match (self, other) {
            (Value::Nil, Value::Nil) => true,
            (Value::False, Value::False) | (Value::True, Value::True) => true,
            (Value::Int(a), Value::Int(b)) => a == b,
            (Value::Float(a), Value::Float(b)) => a.get() == b.get(),
            // An integer has at most one float that equals it exactly.
            (Value::Int(a), Value::Float(b)) | (Value::Float(b), Value::Int(a)) => {
                number::float_to_integer(b.get()) == Some(a)
            }
            (Value::Str(a), Value::Str(b)) => a == b,
            (Value::Table(a), Value::Table(b)) => a.ptr_eq(b),
            (Value::Function(a), Value::Function(b)) => a.ptr_eq(b),
            (Value::Native(a), Value::Native(b)) => a.ptr_eq(b),
            (Value::Thread(a), Value::Thread(b)) => a.ptr_eq(b),
            (Value::UserData(a), Value::UserData(b)) => a.ptr_eq(b),
            (Value::LightUserData(a), Value::LightUserData(b)) => a == b,
            _ => false,
        }
    }

    /// The number that an arithmetic operator sees: numbers, and strings that look like one.
    #[must_use]
    pub fn to_number(self) -> Option<Number> {
        match self {
            Value::Int(i) => Some(Number::Int(i)),
            Value::Float(f) => Some(Number::Float(f.get())),
            Value::Str(s) => number::parse_number(s.as_bytes()),
            _ => None,
        }
    }

    /// The float that an arithmetic operator sees.
    #[must_use]
    pub fn to_float(self) -> Option<f64> {
        match self {
            Value::Float(f) => Some(f.get()),
            Value::Int(i) => Some(i as f64),
            Value::Str(s) => match number::parse_number(s.as_bytes())? {
                Number::Int(i) => Some(i as f64),
                Number::Float(f) => Some(f),
            },
            _ => None,
        }
    }

    /// The integer of the same value, if there is one; strings are converted first.
    #[must_use]
    pub fn to_integer(self) -> Option<i64> {
        match self {
            Value::Int(i) => Some(i),
            Value::Float(f) => number::float_to_integer(f.get()),
            Value::Str(s) => match number::parse_number(s.as_bytes())? {
                Number::Int(i) => Some(i),
                Number::Float(f) => number::float_to_integer(f),
            },
            _ => None,
        }
    }

    /// The address that `tostring` and `%p` show, for objects and light userdata.
    #[must_use]
    pub fn address(self) -> Option<usize> {
        match self {
            Value::Nil | Value::False | Value::True | Value::Int(_) | Value::Float(_) => None,
            Value::Str(s) => Some(s.address()),
            Value::Table(t) => Some(t.addr()),
            Value::Function(f) => Some(f.addr()),
            Value::Native(f) => Some(f.addr()),
            Value::Thread(t) => Some(t.addr()),
            Value::UserData(u) => Some(u.addr()),
            Value::LightUserData(word) => Some(word),
        }
    }
}

impl From<Number> for Value<'_> {
    fn from(number: Number) -> Self {
        match number {
            Number::Int(i) => Value::Int(i),
            Number::Float(f) => Value::float(f),
        }
    }
}

impl<'gc> From<Str<'gc>> for Value<'gc> {
    fn from(text: Str<'gc>) -> Self {
        Value::Str(text)
    }
}

impl From<bool> for Value<'_> {
    fn from(value: bool) -> Self {
        if value { Value::True } else { Value::False }
    }
}

impl From<i64> for Value<'_> {
    fn from(value: i64) -> Self {
        Value::Int(value)
    }
}

impl From<f64> for Value<'_> {
    fn from(value: f64) -> Self {
        Value::float(value)
    }
}

impl<'gc> From<Gc<'gc, Table<'gc>>> for Value<'gc> {
    fn from(table: Gc<'gc, Table<'gc>>) -> Self {
        Value::Table(table)
    }
}
