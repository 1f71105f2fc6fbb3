//! The input says what a hook does, byte by byte, to the program that it watches: it changes local variables
//! and upvalues, joins them, sets other hooks, looks at everything, raises errors, collects garbage. The
//! programs are in `debugged.lua`. They may come to any result or error, but nothing may panic, hang, touch
//! freed memory or break the heap.

#![no_main]

mod small;
mod watchdog;

use libfuzzer_sys::fuzz_target;
use lua::Data;

/// Reads the global variable `input`.
const DRIVER: &str = include_str!("debugged.lua");

fuzz_target!(|input: &[u8]| {
    let mut lua = small::interpreter(input);
    lua.set_global("input", &Data::Text(input.to_vec())).expect("room for the input");
    watchdog::watched(&mut lua, |lua| {
        let _ = lua.run_source(DRIVER, "=debugged", &[]);
    });
});
