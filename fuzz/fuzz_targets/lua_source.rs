//! The input is a Lua source: it is compiled and run in a new interpreter with a
//! small heap, whose invariants are checked at the end. It may fail as it likes,
//! but not panic, hang, touch freed memory or break the heap.
//!
//! What a script must not do here is taken away by `prelude.lua`: files and
//! processes, and what real Lua too does for hours without looking up (patterns that
//! backtrack without end, `table.move` of 2^53 elements).

#![no_main]

mod small;
mod watchdog;

use libfuzzer_sys::fuzz_target;

const PRELUDE: &str = include_str!("prelude.lua");

fuzz_target!(|source: &[u8]| {
    let mut lua = small::interpreter(source);
    lua.run_source(PRELUDE, "=prelude", &[]).expect("the prelude works");
    watchdog::watched(&mut lua, |lua| {
        let _ = lua.run_source(&String::from_utf8_lossy(source), "=fuzz", &[]);
    });
});
