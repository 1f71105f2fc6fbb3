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

use std::sync::{Condvar, Mutex, Once, PoisonError};
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use lua::{Config, Interpreter, Interrupter};

/// A small heap, so that scripts run out of memory now and then.
const HEAP_BYTES: usize = 4 << 20;

/// How long a script may run. Nothing is learnt from the rest of an endless loop.
const BUDGET: Duration = Duration::from_millis(40);

const PRELUDE: &str = include_str!("prelude.lua");

/// The script that runs; nothing between two scripts.
static RUNNING: Mutex<Option<Interrupter>> = Mutex::new(None);
static CHANGED: Condvar = Condvar::new();
static WATCHDOG: Once = Once::new();

fn set_running(script: Option<Interrupter>) {
    *RUNNING.lock().unwrap_or_else(PoisonError::into_inner) = script;
    CHANGED.notify_one();
}

/// Interrupts each script that is still the same one after its time.
fn watch() {
    let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        let (changed, wait) =
            CHANGED.wait_timeout(running, BUDGET).unwrap_or_else(PoisonError::into_inner);
        running = changed;
        if wait.timed_out()
            && let Some(script) = running.take()
        {
            script.interrupt();
        }
    }
}

fuzz_target!(|source: &[u8]| {
    WATCHDOG.call_once(|| drop(std::thread::spawn(watch)));
    let config = Config::new()
        .hash_seed(0)
        .max_heap_bytes(HEAP_BYTES)
        .stress(source.len() % 4 == 3)
        .output(Box::new(std::io::sink()));
    let mut lua = Interpreter::new(config).expect("the heap is large enough to begin");
    lua.run_source(PRELUDE, "=prelude", &[]).expect("the prelude works");
    set_running(Some(lua.interrupter()));
    let _ = lua.run_source(&String::from_utf8_lossy(source), "=fuzz", &[]);
    set_running(None);
    // Where nothing was collected there is nothing that could have gone wrong.
    if lua.heap().stats().collections > 0 {
        lua.heap().verify().unwrap_or_else(|error| panic!("the heap is broken: {error}"));
    }
});
