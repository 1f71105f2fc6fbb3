//! A Lua 5.4 interpreter whose every object lives in the managed heap.
//!
//! It is the showcase of [`heap_api`]: strings, tables, closures, upvalues, prototypes, coroutines
//! and userdata are heap objects, handled without a line of unsafe code. Start reading at [`value`],
//! then [`table`], [`thread`] and [`vm`].
//!
//! Layers, from the bottom: `number`, `lstr`, `ldate` (plain functions), `syntax`, `bytecode`,
//! `compiler` (source to code, no heap), `value`, `string`, `table`, `function`, `thread`,
//! `userdata`, `state` (objects), `native` (how library functions see the world), `vm`, `stdlib`,
//! `interpreter`.

#![forbid(unsafe_code)]

pub mod bytecode;
pub mod compiler;
pub mod error;
pub mod function;
pub mod hash;
mod interpreter;
pub mod interrupt;
pub mod ldate;
pub mod lstr;
pub mod native;
pub mod number;
pub mod state;
pub mod stdlib;
pub mod string;
pub mod syntax;
pub mod table;
pub mod thread;
pub mod userdata;
pub mod value;
pub mod vm;

pub use interpreter::{Config, Interpreter, ScriptError};
pub use interrupt::Interrupter;
