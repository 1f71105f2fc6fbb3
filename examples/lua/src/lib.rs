//! A Lua 5.4 interpreter whose every object lives in the managed heap.
//!
//! It is the showcase of [`heap_api`]: strings, tables, closures, upvalues, prototypes, coroutines
//! and userdata are heap objects, handled without a line of unsafe code. Start reading at [`value`],
//! then [`table`], [`thread`] and [`vm`].
//!
//! # Layers, bottom-up
//!
//! A module uses only modules to its left; those in parentheses know each other. Plain functions come
//! first; then the knot of objects, the compiler that makes some of them, and the machine that runs
//! them; then what a program sees. A test checks it.
//!
//! ```text
//! layers: bytecode number limits interrupt timer hash lstr timezone ldate
//! layers: (compiler descriptors error finalizers function hook host native state stdlib string syntax table thread userdata value vm)
//! layers: command_line gc_stats reports interpreter interactive
//! ```

#![forbid(unsafe_code)]

pub mod bytecode;
pub mod compiler;
pub mod descriptors;
pub mod error;
pub mod finalizers;
pub mod function;
pub mod hash;
pub mod hook;
pub mod host;
mod interpreter;
pub mod interrupt;
pub mod ldate;
pub mod limits;
pub mod lstr;
pub mod native;
pub mod number;
pub mod state;
pub mod stdlib;
pub mod string;
pub mod syntax;
pub mod table;
pub mod thread;
mod timer;
pub mod timezone;
pub mod userdata;
pub mod value;
pub mod vm;

pub use host::Data;
pub use interpreter::{Config, Interpreter, ScriptError};
pub use interrupt::Interrupter;
pub use limits::{Limit, OnLimit};
pub use stdlib::{Access, Libraries, Library};
