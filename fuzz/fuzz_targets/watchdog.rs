//! Ends scripts that take too long: what the Lua targets have in common.

use std::sync::{Condvar, Mutex, Once, PoisonError};
use std::time::Duration;

use lua::{Interpreter, Interrupter};

/// How long a script may run. Nothing is learnt from the rest of an endless loop.
const BUDGET: Duration = Duration::from_millis(40);

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

/// Runs `body` with an interpreter that is interrupted after a while, then checks the heap.
pub fn watched(lua: &mut Interpreter, body: impl FnOnce(&mut Interpreter)) {
    WATCHDOG.call_once(|| drop(std::thread::spawn(watch)));
    set_running(Some(lua.interrupter()));
    body(lua);
    set_running(None);
    // Where nothing was collected there is nothing that could have gone wrong.
    if lua.heap().stats().collections > 0 {
        lua.heap().verify().unwrap_or_else(|error| panic!("the heap is broken: {error}"));
    }
}
