//! [`Timer`]: a thread that ends scripts which take too long.
//!
//! * TI1: the time of a script runs out at most once, and never after [`Timer::stop`] has returned:
//!   the timer's thread and `stop` look at the deadline under one lock.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::interrupt::Interrupter;

#[derive(Debug, Default)]
struct State {
    deadline: Option<Instant>,
    is_over: bool,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

/// Watches over the scripts of one interpreter, one at a time.
#[derive(Debug)]
pub(crate) struct Timer {
    shared: Arc<Shared>,
    interrupter: Interrupter,
    thread: Option<JoinHandle<()>>,
}

impl Timer {
    /// A timer without a deadline, and its thread.
    ///
    /// # Errors
    ///
    /// If the system refuses the thread.
    pub(crate) fn new(interrupter: Interrupter) -> std::io::Result<Timer> {
        let shared = Arc::new(Shared::default());
        let (of_thread, ends) = (Arc::clone(&shared), interrupter.clone());
        let thread = std::thread::Builder::new()
            .name("lua-timer".to_owned())
            .spawn(move || watch(&of_thread, &ends))?;
        Ok(Timer { shared, interrupter, thread: Some(thread) })
    }

    /// A script begins that may run for as long as `limit`.
    pub(crate) fn start(&self, limit: Duration) {
        self.change(|state| state.deadline = Instant::now().checked_add(limit));
    }

    /// The script has ended, in time or not (TI1).
    pub(crate) fn stop(&self) {
        self.change(|state| state.deadline = None);
        self.interrupter.set_out_of_time(false);
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.shared.state.lock().unwrap_or_else(PoisonError::into_inner));
        self.shared.changed.notify_one();
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        self.change(|state| state.is_over = true);
        if let Some(thread) = self.thread.take() {
            // It does nothing that can panic.
            let _ = thread.join();
        }
    }
}

fn watch(shared: &Shared, interrupter: &Interrupter) {
    let mut state = shared.state.lock().unwrap_or_else(PoisonError::into_inner);
    while !state.is_over {
        let now = Instant::now();
        match state.deadline {
            Some(deadline) if deadline <= now => {
                state.deadline = None;
                interrupter.set_out_of_time(true);
            }
            Some(deadline) => {
                let waited = shared.changed.wait_timeout(state, deadline - now);
                state = waited.unwrap_or_else(PoisonError::into_inner).0;
            }
            None => state = shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
        }
    }
}
