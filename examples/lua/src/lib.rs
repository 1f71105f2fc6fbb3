//! A Lua 5.4 interpreter whose every object lives in the managed heap.
#![forbid(unsafe_code)]
pub mod ldate;
pub mod lstr;
pub mod bytecode;
pub mod compiler;
pub mod number;
pub mod syntax;
