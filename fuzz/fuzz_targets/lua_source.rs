//! The input is a Lua source: it is compiled and run in a new interpreter with a
//! small heap, whose invariants are checked at the end. It may fail as it likes,
//! but not panic, hang, touch freed memory or break the heap.
//!
//! One source in four, by its length, runs with a collection at every safepoint.
//!
//! What a script must not do here is taken away by `prelude.lua`: files and
//! processes, and what real Lua too does for hours without looking up (patterns that
//! backtrack without end, `table.move` of 2^53 elements).

#![no_main]

mod watchdog;

use libfuzzer_sys::fuzz_target;
use lua::{Config, Interpreter};

/// A small heap, so that scripts run out of memory now and then.
const HEAP_BYTES: usize = 4 << 20;

const PRELUDE: &str = include_str!("prelude.lua");

fuzz_target!(|source: &[u8]| {
    let config = Config::new()
        .hash_seed(0)
        .max_heap_bytes(HEAP_BYTES)
        .stress(source.len() % 4 == 3)
        .output(Box::new(std::io::sink()));
    let mut lua = Interpreter::new(config).expect("the heap is large enough to begin");
    lua.run_source(PRELUDE, "=prelude", &[]).expect("the prelude works");
    watchdog::watched(&mut lua, |lua| {
        let _ = lua.run_source(&String::from_utf8_lossy(source), "=fuzz", &[]);
    });
});
